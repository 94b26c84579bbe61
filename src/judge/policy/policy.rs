use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::rule::Rule;
use super::zone::Placed;
use crate::defect::Kind;
use crate::error::{Error, Result};
use crate::head::OutputConfig;
use crate::judge::guarantee::Guarantee;
use crate::judge::limits::Limits;
use crate::judge::verdict::Verdict;
use crate::model::Model;

/// The rules that make a verdict out of defects, read from TOML or [built in code](Policy::builder). The smallest
/// policy has limits on the confidence, where kinds may have their own:
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let text = r#"
/// schema = 1
/// name = "line 3"                  # model = "<sha256>" would refuse any other model
/// [default]
/// review = 0.25
/// fail = 0.5
/// [kinds.crack]
/// review = 0.1
/// fail = 0.8
/// "#;
/// let policy = panelqc::Policy::parse(text, "line-3.toml".as_ref())?;
/// assert_eq!(policy.limits(&"crack".into()).fail, 0.8);
/// # Ok(())
/// # }
/// ```
///
/// Rules come before these limits. They are tried in their order; the first one on single defects that matches a defect
/// decides about it, and the panel gets the worst of all verdicts. A rule with `count`, `density_*`, `area_share` or
/// `distance_*` decides about the panel from all the defects that match it, except those that an earlier rule waived.
/// Display glass, where a scratch matters by its length and by where it lies:
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use panelqc::{Confidence, Defect, PixelBox, Policy, Size, Verdict};
///
/// let text = r#"
/// schema = 1
/// name = "display glass"
/// pixel_pitch_mm = 0.02
///
/// [default]
/// review = 0.25
/// fail = 0.6
///
/// [unknown]                        # a kind that is named nowhere here: a person looks
/// review = 0.25
///
/// [zones.active]
/// margin = { mm = 5 }              # the band along the edges ...
/// invert = true                    # ... and the rest of the frame is the zone
///
/// [[rules]]
/// name = "scratch in active area"
/// kinds = ["scratch"]
/// zones = ["active"]
/// length_mm = 2.0                  # at least
/// severity = "major"
/// verdict = "fail"
///
/// [[rules]]
/// name = "many scratches"
/// kinds = ["scratch"]
/// count = 5
/// verdict = "review"
///
/// [[rules]]
/// name = "hairline"
/// kinds = ["scratch"]
/// length_mm = { below = 0.5 }
/// verdict = "pass"
///
/// [[rules]]
/// name = "dust cluster"
/// kinds = ["dust"]
/// count = 3
/// distance_mm = { below = 1 }
/// verdict = "fail"
/// "#;
/// let policy = Policy::parse(text, "glass.toml".as_ref())?;
/// let scratch = |x0: f32, x1: f32| {
///     let sure = Confidence::new(0.5).ok_or("a confidence")?;
///     Ok::<_, &str>(Defect::new("scratch".into(), sure, PixelBox::new(x0, 500.0, x1, 504.0)))
/// };
/// let judgement = policy.judge(&[scratch(400.0, 555.0)?, scratch(700.0, 720.0)?], &[Size::new(1920, 1080)]);
/// assert_eq!(judgement.verdict, Verdict::Fail);
/// assert_eq!(judgement.reasons, [r#"rule "scratch in active area" (major): length 3.1 mm >= 2 mm"#]);
/// // The short one alone passes, and the reason says why.
/// let judgement = policy.judge(&[scratch(700.0, 720.0)?], &[Size::new(1920, 1080)]);
/// assert_eq!(judgement.verdict, Verdict::Pass);
/// assert_eq!(judgement.reasons, [r#"rule "hairline": length 0.4 mm < 0.5 mm"#]);
/// # Ok(())
/// # }
/// ```
///
/// `docs/POLICY.md` explains every key. What makes no sense is refused when the policy is read, with its line:
///
/// ```
/// # let text = r#"
/// # schema = 1
/// # name = "mistaken"
/// # [default]
/// # review = 0.25
/// # fail = 0.6
/// # [[rules]]
/// # name = "scratches"
/// # kinds = ["scratch"]
/// # verdict = "fail"
/// # [[rules]]
/// # name = "long scratches"
/// # kinds = ["scratch"]
/// # length_px = 100
/// # verdict = "review"
/// # "#;
/// let error = panelqc::Policy::parse(text, "p.toml".as_ref()).unwrap_err().to_string();
/// assert_eq!(error, "policy p.toml: line 11: rule \"long scratches\" can never apply: rule \"scratches\" (line 7) \
///                    matches everything that it does");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub(super) name: String,
    /// Its file, or what messages call it.
    pub(super) path: PathBuf,
    /// SHA-256 of the model that it is for; any when `None`.
    pub(super) model: Option<String>,
    pub(super) pixel_pitch_mm: Option<f64>,
    pub(super) default: Limits,
    pub(super) kinds: BTreeMap<Kind, Limits>,
    /// The review limit for kinds that are named nowhere.
    pub(super) unknown: Option<f32>,
    pub(super) zones: Vec<Placed>,
    pub(super) rules: Vec<Entry>,
    /// Every kind that is named, and the line where; those with limits of their own first.
    pub(super) named: Vec<(Kind, Option<usize>)>,
    /// The same, to look them up.
    pub(super) known: BTreeSet<Kind>,
    pub(super) guarantee: Option<Guarantee>,
    /// Its file, and the SHA-256 of that; none for the policy of a manifest.
    pub(super) text: Option<Text>,
}

/// A rule in its policy.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) rule: Rule,
    /// Places in the policy's list of zones; anywhere when `None`.
    pub(super) zones: Option<Vec<usize>>,
    /// Where the policy's file has it.
    pub(super) line: Option<usize>,
}

/// A policy as its file has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Text {
    pub(super) toml: Arc<str>,
    pub(super) sha256: Arc<str>,
}

impl Policy {
    /// The policy of a model that comes without one: any defect that the manifest reports fails the panel.
    pub fn of_manifest(output: &OutputConfig) -> Self {
        let limits = |confidence: f32| Limits { review: confidence, fail: confidence };
        Policy {
            name: "manifest".to_owned(),
            path: PathBuf::new(),
            model: None,
            pixel_pitch_mm: None,
            default: limits(output.confidence),
            kinds: output.confidences.iter().map(|(kind, &confidence)| (kind.clone(), limits(confidence))).collect(),
            unknown: None,
            zones: Vec::new(),
            rules: Vec::new(),
            named: Vec::new(),
            known: BTreeSet::new(),
            guarantee: None,
            text: None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256, in hexadecimal, of its file or, for a policy that was built in code, of [`to_toml`](Self::to_toml);
    /// `None` for the one that a model without a policy is judged by.
    pub fn sha256(&self) -> Option<&str> {
        self.text.as_ref().map(|text| &*text.sha256)
    }

    /// Its rules, in their order.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|entry| &entry.rule)
    }

    /// What it promises; `None` for a policy that was not calibrated.
    pub fn guarantee(&self) -> Option<&Guarantee> {
        self.guarantee.as_ref()
    }

    /// Side of a pixel on the panel in millimetres; `None` when the policy does not declare it.
    pub fn pixel_pitch_mm(&self) -> Option<f64> {
        self.pixel_pitch_mm
    }

    /// The limits for a kind, for defects that no rule decides about.
    pub fn limits(&self, kind: &Kind) -> Limits {
        if let Some(limits) = self.kinds.get(kind) {
            return *limits;
        }
        match self.unknown {
            Some(review) if self.is_unknown(kind) => Limits { review, fail: f32::INFINITY },
            _ => self.default,
        }
    }

    /// The lowest confidence at which a defect of this kind can affect a verdict.
    pub fn floor(&self, kind: &Kind) -> f32 {
        // A rule that waives single defects changes nothing about those that pass anyway.
        let matters = |rule: &&Rule| rule.covers(kind) && (rule.verdict != Verdict::Pass || !rule.is_single());
        let stated = self.rules().filter(matters).filter_map(Rule::least_confidence);
        stated.fold(self.limits(kind).review, |least, confidence| least.min(confidence as f32))
    }

    /// Whether `[unknown]` is there and about this kind: neither `[kinds]` nor a rule names it.
    pub(super) fn is_unknown(&self, kind: &Kind) -> bool {
        self.unknown.is_some() && !self.known.contains(kind)
    }

    /// Refuses a policy that was made for another model, names kinds that the model does not have, or passes every
    /// panel.
    ///
    /// # Errors
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) with what was expected and what the model has.
    pub fn check(&self, model: &Model) -> Result<()> {
        let error = |problem: String| Err(refused(&self.path, problem));
        if let Some(stated) = self.model.as_ref().filter(|stated| !stated.eq_ignore_ascii_case(model.sha256())) {
            return error(format!(
                "expected the model {stated} that it was made for, found {} ({})",
                model.sha256(),
                model.path().display()
            ));
        }
        if let Some(guarantee) = self.guarantee.as_ref().filter(|g| g.manifest != **model.manifest_sha256()) {
            return error(format!(
                "expected the manifest {} that its guarantee was made for, found {} ({}): calibrate again",
                guarantee.manifest,
                model.manifest_sha256(),
                model.path().display()
            ));
        }
        let output = &model.manifest().output;
        let reported = |kind: &&Kind| output.kinds.contains(kind) && !output.good.contains(kind);
        match self.named.iter().find(|(kind, _)| !reported(&kind)) {
            Some((kind, line)) => {
                let known: Vec<_> = output.kinds.iter().filter(reported).map(Kind::as_str).collect();
                let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
                error(format!("{line}expected kinds of the model ({}), found `{kind}`", known.join(", ")))
            }
            None if self.passes_everything(output.kinds.iter().filter(reported)) => error(
                "expected that some defect of the model sends a panel to review or fails it, found that rules waive \
                       all of them: every panel would pass"
                    .to_owned(),
            ),
            None => Ok(()),
        }
    }
}

/// The error of a policy that cannot be used; `path` is its file, or what messages call it.
pub(super) fn refused(path: &Path, problem: String) -> Error {
    Error::policy(path, problem)
}
