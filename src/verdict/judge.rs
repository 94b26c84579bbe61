use std::fmt;

use serde::{Deserialize, Serialize};

/// What becomes of a panel. Ordered: a worse verdict is greater.
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

/// A verdict and the rules that led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Each rule that gave this verdict, once, for example `crack >= 0.80`; none for a pass.
    pub reasons: Vec<String>,
}
