use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::guarantee::Guarantee;
use super::judge::{Judgement, Verdict};
use crate::defect::{Defect, Kind};
use crate::error::{Error, Result};
use crate::hash::sha256_hex;
use crate::model::{Model, OutputConfig};

/// Confidence limits for one kind of defect, both in `0..=1`, `review <= fail`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// A defect at least this sure sends the panel to review.
    pub review: f32,
    /// A defect at least this sure fails the panel.
    pub fail: f32,
}

/// The rules that make a verdict out of defects, read from TOML:
///
/// ```toml
/// schema = 1
/// name = "line 3"
/// model = "<sha256 of the model>"   # optional: refused with any other model
/// [default]
/// review = 0.25
/// fail = 0.5
/// [kinds.crack]                     # optional: limits of their own
/// review = 0.1
/// fail = 0.8
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    name: String,
    path: PathBuf,
    model: Option<String>,
    default: Limits,
    kinds: BTreeMap<Kind, Limits>,
    guarantee: Option<Guarantee>,
    sha256: Option<Arc<str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: toml::Spanned<u32>,
    name: String,
    model: Option<String>,
    default: toml::Spanned<Limits>,
    #[serde(default)]
    kinds: BTreeMap<Kind, toml::Spanned<Limits>>,
    guarantee: Option<toml::Spanned<Guarantee>>,
}

impl Policy {
    /// A policy with the same limits for all kinds.
    ///
    /// # Errors
    /// [`Error::Policy`] unless `0 <= review <= fail <= 1`.
    pub fn new(name: impl Into<String>, limits: Limits) -> Result<Self> {
        let name = name.into();
        let path = PathBuf::from(&name);
        match limits.problem() {
            Some(problem) => Err(Error::Policy { path, problem }),
            None => Ok(Policy {
                name,
                path,
                model: None,
                default: limits,
                kinds: BTreeMap::new(),
                guarantee: None,
                sha256: None,
            }),
        }
    }

    /// The policy of a model that comes without one: any defect that the manifest reports fails the panel.
    pub(crate) fn of_manifest(output: &OutputConfig) -> Self {
        let limits = |confidence: f32| Limits { review: confidence, fail: confidence };
        Policy {
            name: "manifest".to_owned(),
            path: PathBuf::new(),
            model: None,
            default: limits(output.confidence),
            kinds: output.confidences.iter().map(|(kind, &confidence)| (kind.clone(), limits(confidence))).collect(),
            guarantee: None,
            sha256: None,
        }
    }

    /// Reads a policy file.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::Policy`] as [`Policy::parse`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(Error::io("reading", path))?;
        Self::parse(&text, path)
    }

    /// Reads a policy from the text of the file `path`.
    ///
    /// # Errors
    /// [`Error::Policy`] with the line, for an unknown key, another schema, or limits that are not
    /// `0 <= review <= fail <= 1`.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let error = |problem: String| Error::Policy { path: path.to_path_buf(), problem };
        let file: File = toml::from_str(text).map_err(|e| error(e.to_string().trim_end().to_owned()))?;
        let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        if *file.schema.get_ref() != 1 {
            let at = line(file.schema.span().start);
            return Err(error(format!("line {at}: expected schema = 1, found {}", file.schema.get_ref())));
        }
        for limits in std::iter::once(&file.default).chain(file.kinds.values()) {
            if let Some(problem) = limits.get_ref().problem() {
                return Err(error(format!("line {}: {problem}", line(limits.span().start))));
            }
        }
        if let Some(guarantee) = &file.guarantee {
            if let Some(problem) = guarantee.get_ref().problem(text) {
                return Err(error(format!("line {}: {problem}", line(guarantee.span().start))));
            }
            if file.model.is_none() {
                return Err(error(format!(
                    "line {}: expected `model`, the hash of the model that the guarantee was made for, found none",
                    line(guarantee.span().start)
                )));
            }
        }
        Ok(Policy {
            name: file.name,
            path: path.to_path_buf(),
            model: file.model,
            default: file.default.into_inner(),
            kinds: file.kinds.into_iter().map(|(kind, limits)| (kind, limits.into_inner())).collect(),
            guarantee: file.guarantee.map(toml::Spanned::into_inner),
            sha256: Some(sha256_hex(text.as_bytes()).into()),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of its file, in hexadecimal; `None` when it did not come from one.
    pub fn sha256(&self) -> Option<&Arc<str>> {
        self.sha256.as_ref()
    }

    /// What it promises; `None` for a policy that was not calibrated.
    pub fn guarantee(&self) -> Option<&Guarantee> {
        self.guarantee.as_ref()
    }

    /// The limits for a kind.
    pub fn limits(&self, kind: &Kind) -> Limits {
        self.kinds.get(kind).copied().unwrap_or(self.default)
    }

    /// Refuses a policy that was made for another model or speaks of kinds that the model does not have.
    pub(crate) fn check(&self, model: &Model) -> Result<()> {
        let error = |problem: String| Err(Error::Policy { path: self.path.clone(), problem });
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
        match self.kinds.keys().find(|kind| !reported(kind)) {
            Some(kind) => {
                let known: Vec<_> = output.kinds.iter().filter(reported).map(Kind::as_str).collect();
                error(format!("expected kinds of the model ({}), found `{kind}`", known.join(", ")))
            }
            None => Ok(()),
        }
    }

    /// Judges the defects of one panel, of all its frames together.
    pub fn judge<'a>(&self, defects: impl IntoIterator<Item = &'a Defect>) -> Judgement {
        let mut judgement = Judgement { verdict: Verdict::Pass, reasons: Vec::new() };
        for defect in defects {
            let limits = self.limits(&defect.kind);
            let confidence = defect.confidence.get();
            let (verdict, limit) = if confidence >= limits.fail {
                (Verdict::Fail, limits.fail)
            } else if confidence >= limits.review {
                (Verdict::Review, limits.review)
            } else {
                continue;
            };
            if verdict > judgement.verdict {
                judgement = Judgement { verdict, reasons: Vec::new() };
            }
            if verdict == judgement.verdict {
                let reason = format!("{} >= {limit:.2}", defect.kind);
                if !judgement.reasons.contains(&reason) {
                    judgement.reasons.push(reason);
                }
            }
        }
        judgement
    }
}

impl Limits {
    fn problem(&self) -> Option<String> {
        let Limits { review, fail } = self;
        (!(0.0..=1.0).contains(review) || !(0.0..=1.0).contains(fail) || review > fail)
            .then(|| format!("expected 0 <= review <= fail <= 1, found review = {review}, fail = {fail}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::defect::Confidence;
    use crate::geometry::PixelBox;

    const TEXT: &str =
        "schema = 1\nname = \"t\"\n[default]\nreview = 0.3\nfail = 0.6\n[kinds.crack]\nreview = 0.1\nfail = 0.8\n";

    fn parse(text: &str) -> Result<Policy> {
        Policy::parse(text, Path::new("p.toml"))
    }

    fn judge(defects: &[(&str, f32)]) -> (Verdict, String) {
        let defects: Vec<_> = defects
            .iter()
            .map(|&(kind, c)| Defect::new(kind.into(), Confidence::new(c).unwrap(), PixelBox::default()))
            .collect();
        let judgement = parse(TEXT).unwrap().judge(&defects);
        (judgement.verdict, judgement.reasons.join("; "))
    }

    #[test]
    fn limits_are_inclusive_and_the_worst_decides() {
        assert_eq!(judge(&[]), (Verdict::Pass, String::new()));
        assert_eq!(judge(&[("dirt", 0.29), ("crack", 0.09)]), (Verdict::Pass, String::new()));
        assert_eq!(judge(&[("dirt", 0.3)]), (Verdict::Review, "dirt >= 0.30".into()));
        assert_eq!(judge(&[("dirt", 0.3), ("crack", 0.8)]), (Verdict::Fail, "crack >= 0.80".into()));
        assert_eq!(judge(&[("crack", 0.79), ("dirt", 0.4)]), (Verdict::Review, "crack >= 0.10; dirt >= 0.30".into()));
        assert_eq!(judge(&[("dirt", 0.9), ("dirt", 0.7)]), (Verdict::Fail, "dirt >= 0.60".into()));
    }

    #[test]
    fn each_mistake_is_named_with_its_line() {
        for (change, with, says) in [
            ("schema = 1", "schema = 3", "line 1: expected schema = 1, found 3"),
            ("fail = 0.6", "fail = 0.2", "line 3"),
            ("fail = 0.8", "fail = 1.8", "line 6"),
            ("fail = 0.8", "fail = nan", "line 6"),
            ("fail = 0.8", "fial = 0.8", "line 8"),
            ("name = \"t\"\n", "", "missing field `name`"),
        ] {
            let message = parse(&TEXT.replacen(change, with, 1)).unwrap_err().to_string();
            assert!(message.starts_with("policy p.toml: ") && message.contains(says), "{with}: {message}");
        }
    }
}
