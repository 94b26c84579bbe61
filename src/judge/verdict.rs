use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The decision on a panel. Ordered: a worse verdict is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Good: goes on.
    Pass,
    /// A person has to look.
    Review,
    /// Defective.
    Fail,
}

impl Verdict {
    /// `pass`, `review` or `fail`.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Review => "review",
            Verdict::Fail => "fail",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A verdict and what led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// What gave the panel this verdict, each once, in alphabetical order. From a [`Policy`](crate::Policy):
    /// `crack >= 0.80` for a confidence limit, `rule "long scratches": length 3.1 mm >= 2 mm` for a rule, with the
    /// measured value and the limit. For a pass, the rules that waived a defect; none where there was nothing to waive.
    pub reasons: Vec<String>,
}

impl Judgement {
    /// A verdict with its reasons, which are sorted; duplicates are dropped.
    pub fn new<S: Into<String>>(verdict: Verdict, reasons: impl IntoIterator<Item = S>) -> Self {
        let mut reasons: Vec<String> = reasons.into_iter().map(Into::into).collect();
        reasons.sort();
        reasons.dedup();
        Judgement { verdict, reasons }
    }

    /// The same where something else than defects asks for `verdict` too, with `reasons`: the worse verdict counts, and
    /// its reasons; those of both where they are equal. Nothing happens without a reason.
    ///
    /// ```
    /// use panelqc::{Judgement, Verdict};
    ///
    /// let passed = Judgement::new(Verdict::Pass, [r#"rule "dust": count 2 < 3"#]);
    /// let judgement = passed.and(Verdict::Review, ["the frame is too dark"]);
    /// assert_eq!((judgement.verdict, &*judgement.reasons[0]), (Verdict::Review, "the frame is too dark"));
    /// ```
    #[must_use]
    pub fn and<S: Into<String>>(self, verdict: Verdict, reasons: impl IntoIterator<Item = S>) -> Self {
        let more: Vec<String> = reasons.into_iter().map(Into::into).collect();
        match verdict.cmp(&self.verdict) {
            _ if more.is_empty() => self,
            Ordering::Less => self,
            Ordering::Equal => Judgement::new(verdict, self.reasons.into_iter().chain(more)),
            Ordering::Greater => Judgement::new(verdict, more),
        }
    }
}
