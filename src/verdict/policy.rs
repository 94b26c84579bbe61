use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::guarantee::Guarantee;
use super::judge::Verdict;
use super::reach;
use super::rule::{Rule, RuleFile};
use super::validate::{self, Problems};
use super::zone::{Zone, ZoneFile};
use crate::defect::Kind;
use crate::error::{Error, Result};
use crate::hash::sha256_hex;
use crate::head::OutputConfig;
use crate::model::Model;

/// More rules than anybody writes; it bounds the work of comparing them.
const MOST_RULES: usize = 1000;

/// Confidence limits for one kind of defect, both in `0..=1`, `review <= fail`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// A defect at least this sure sends the panel to review.
    pub review: f32,
    /// A defect at least this sure fails the panel. Infinite, so never, for a kind that `[unknown]` is about.
    pub fail: f32,
}

/// The rules that make a verdict out of defects, read from TOML. The smallest policy has limits on the confidence,
/// where kinds may have their own:
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
/// `distance_*` decides about the panel from all the defects that match it, but for those that a rule before it let
/// pass. Display glass, where a scratch matters by its length and by where it lies:
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
/// `docs/POLICY.md` explains every key. What cannot be meant is refused when the policy is read, with its line:
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
    name: String,
    path: PathBuf,
    model: Option<String>,
    pub(super) pixel_pitch_mm: Option<f64>,
    pub(super) default: Limits,
    kinds: BTreeMap<Kind, Limits>,
    /// The review limit for kinds that are named nowhere.
    unknown: Option<f32>,
    pub(super) zones: Vec<Zone>,
    pub(super) rules: Vec<Rule>,
    /// Every kind that is named, and the line where.
    named: Vec<(Kind, usize)>,
    guarantee: Option<Guarantee>,
    sha256: Option<Arc<str>>,
}

/// A policy as its file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: Spanned<u32>,
    name: String,
    model: Option<String>,
    pixel_pitch_mm: Option<Spanned<f64>>,
    default: Spanned<Limits>,
    #[serde(default)]
    kinds: BTreeMap<Spanned<Kind>, Spanned<Limits>>,
    unknown: Option<Spanned<Unknown>>,
    #[serde(default)]
    zones: BTreeMap<String, Spanned<ZoneFile>>,
    #[serde(default)]
    rules: Vec<Spanned<RuleFile>>,
    guarantee: Option<Spanned<Guarantee>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unknown {
    review: f32,
}

impl Policy {
    /// A policy with the same limits for all kinds.
    ///
    /// # Errors
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) unless `0 <= review <= fail <= 1`.
    pub fn new(name: impl Into<String>, limits: Limits) -> Result<Self> {
        let name = name.into();
        match limits.problem() {
            Some(problem) => Err(Error::policy(Path::new(&name), problem)),
            None => Ok(Self::of_limits(name.clone(), PathBuf::from(name), limits)),
        }
    }

    /// The policy of a model that comes without one: any defect that the manifest reports fails the panel.
    pub fn of_manifest(output: &OutputConfig) -> Self {
        let limits = |confidence: f32| Limits { review: confidence, fail: confidence };
        let kinds = output.confidences.iter().map(|(kind, &confidence)| (kind.clone(), limits(confidence))).collect();
        Policy { kinds, ..Self::of_limits("manifest".to_owned(), PathBuf::new(), limits(output.confidence)) }
    }

    fn of_limits(name: String, path: PathBuf, default: Limits) -> Self {
        Policy {
            name,
            path,
            model: None,
            pixel_pitch_mm: None,
            default,
            kinds: BTreeMap::new(),
            unknown: None,
            zones: Vec::new(),
            rules: Vec::new(),
            named: Vec::new(),
            guarantee: None,
            sha256: None,
        }
    }

    /// Reads a policy file.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when the file cannot be read,
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) as [`Policy::parse`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(Error::io("reading", path))?;
        Self::parse(&text, path)
    }

    /// Reads a policy from the text of the file `path`.
    ///
    /// # Errors
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) with the line of each mistake: an unknown key, another schema,
    /// limits that are not `0 <= review <= fail <= 1`, a limit in millimetres without `pixel_pitch_mm`, an empty range,
    /// a zone that is empty, crosses itself, is not defined or not used, a rule that can never apply or contradicts
    /// another one, a guarantee for other rules.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let error = |problem: String| Error::policy(path, problem);
        let file: File = toml::from_str(text).map_err(|e| error(e.to_string().trim_end().to_owned()))?;
        let mut problems = Problems::new(text);
        if *file.schema.get_ref() != 1 {
            let problem = format!("expected schema = 1, found {}", file.schema.get_ref());
            problems.add(file.schema.span().start, problem);
        }
        for limits in std::iter::once(&file.default).chain(file.kinds.values()) {
            if let Some(problem) = limits.get_ref().problem() {
                problems.add(limits.span().start, problem);
            }
        }
        let unknown_line = file.unknown.as_ref().map_or(0, |unknown| problems.line(unknown.span().start));
        if let Some(unknown) = file.unknown.as_ref().filter(|u| !(0.0..=1.0).contains(&u.get_ref().review)) {
            let problem = format!("expected 0 <= review <= 1, found review = {}", unknown.get_ref().review);
            problems.add(unknown.span().start, problem);
        }
        let mut policy = Self::of_limits(file.name, path.to_path_buf(), file.default.into_inner());
        policy.model = file.model;
        policy.unknown = file.unknown.map(|unknown| unknown.into_inner().review);
        policy.sha256 = Some(sha256_hex(text.as_bytes()).into());
        if let Some(pitch) = file.pixel_pitch_mm {
            if *pitch.get_ref() > 0.0 && pitch.get_ref().is_finite() {
                policy.pixel_pitch_mm = Some(*pitch.get_ref());
            } else {
                let problem = format!("expected a pixel pitch above 0 mm, found {}", pitch.get_ref());
                problems.add(pitch.span().start, problem);
            }
        }
        if let Some(guarantee) = file.guarantee {
            if let Some(problem) = guarantee.get_ref().problem(text) {
                problems.add(guarantee.span().start, problem);
            }
            if policy.model.is_none() {
                let problem = "expected `model`, the hash of the model that the guarantee was made for, found none";
                problems.add(guarantee.span().start, problem);
            }
            policy.guarantee = Some(guarantee.into_inner());
        }
        for (kind, limits) in file.kinds {
            policy.named.push((kind.get_ref().clone(), problems.line(kind.span().start)));
            policy.kinds.insert(kind.into_inner(), limits.into_inner());
        }
        let limited = policy.named.len();
        for (name, zone) in file.zones {
            let at = zone.span().start;
            match zone.into_inner().zone(&name, problems.line(at), policy.pixel_pitch_mm) {
                Ok(zone) => policy.zones.push(zone),
                Err(problem) => {
                    problems.add(at, format!("zone `{name}`: {problem}"));
                    problems.spoilt_zone(name);
                }
            }
        }
        if let Some(rule) = file.rules.get(MOST_RULES) {
            problems.add(rule.span().start, format!("expected at most {MOST_RULES} rules, found {}", file.rules.len()));
        }
        for rule in file.rules.into_iter().take(MOST_RULES) {
            let line = problems.line(rule.span().start);
            let rule = rule.into_inner();
            let kinds = rule.kinds.iter().flat_map(|kinds| kinds.get_ref());
            policy.named.extend(kinds.map(|kind| (kind.get_ref().clone(), problems.line(kind.span().start))));
            policy.rules.push(validate::rule(rule, line, &policy, &mut problems));
        }
        if policy.named.is_empty() && unknown_line > 0 {
            problems.add_line(
                unknown_line,
                "`[unknown]` is about kinds that are not named, but no kind is: use `[default]`",
            );
        }
        validate::zones_are_used(&policy, &mut problems);
        // What rules mean together can be said only when each of them means something.
        if problems.is_empty() {
            reach::rules_matter(&policy, &policy.named[..limited], unknown_line, &mut problems);
        }
        problems.finish().map_err(error)?;
        Ok(policy)
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

    /// Side of a pixel on the panel in millimetres; `None` while the policy does not declare it.
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

    /// The least confidence at which a defect of this kind can have a part in a verdict.
    pub(crate) fn floor(&self, kind: &Kind) -> f32 {
        // A rule that lets single defects pass changes nothing about those that pass anyway.
        let matters = |rule: &&Rule| rule.covers(kind) && (rule.verdict != Verdict::Pass || !rule.group.is_empty());
        let stated = self.rules.iter().filter(matters).filter_map(Rule::least_confidence);
        stated.fold(self.limits(kind).review, |least, confidence| least.min(confidence as f32))
    }

    /// Whether `[unknown]` is there and about this kind: neither `[kinds]` nor a rule names it.
    pub(super) fn is_unknown(&self, kind: &Kind) -> bool {
        self.unknown.is_some() && !self.named.iter().any(|(named, _)| named == kind)
    }

    /// Refuses a policy that was made for another model or speaks of kinds that the model does not have.
    pub(crate) fn check(&self, model: &Model) -> Result<()> {
        let error = |problem: String| Err(Error::policy(&self.path, problem));
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
                error(format!("line {line}: expected kinds of the model ({}), found `{kind}`", known.join(", ")))
            }
            None => Ok(()),
        }
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
    use crate::defect::{Confidence, Defect};
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
        let judgement = parse(TEXT).unwrap().judge(&defects, &[]);
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
