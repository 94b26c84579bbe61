use std::path::PathBuf;

use panelqc::{Error, Guarantee, InspectorBuilder, Limits, Manifest, Model, PanelRecord, Policy, Result};
use toml_edit::{DocumentMut, TomlError};

use crate::calibration::{Calibrated, Calibration, ScoredPanel};
use crate::dataset::{FLOOR, Note, Sample, check_ids, data_sha256, fail_scores, same_images, scored_panels, verdict};
use crate::metrics::VerdictRates;

/// How [`calibrate`] makes a policy.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CalibrateOptions {
    /// What to guarantee.
    pub calibration: Calibration,
    /// The day of the calibration, for example `2026-11-24`.
    pub date: String,
    /// The policy whose `[default]` limits are to be chosen, as text; everything else in it stays, comments too, but
    /// for a guarantee. Default: none, that is to say no rules.
    pub rules: Option<String>,
    /// What messages call these rules. Default: `policy`.
    pub rules_path: PathBuf,
    /// What messages call the policy that is made. Default: `policy.toml`.
    pub path: PathBuf,
}

impl CalibrateOptions {
    /// Limits that hold `calibration`, chosen on that day.
    pub fn new(calibration: Calibration, date: impl Into<String>) -> Self {
        CalibrateOptions {
            calibration,
            date: date.into(),
            rules: None,
            rules_path: PathBuf::from("policy"),
            path: PathBuf::from("policy.toml"),
        }
    }

    /// Chooses the limits of this policy, whose file messages call `path`. Default: none, that is to say no rules.
    #[must_use]
    pub fn with_rules(mut self, text: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.rules = Some(text.into());
        self.rules_path = path.into();
        self
    }

    /// What messages call the policy that is made. Default: `policy.toml`.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = path.into();
        self
    }
}

/// A policy with limits that hold what was asked for, and what they rest on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CalibratedPolicy {
    /// The policy's file: the rules with the limits in them, and the guarantee.
    pub text: String,
    /// The same as it is read from that text.
    pub policy: Policy,
    /// What it guarantees.
    pub guarantee: Guarantee,
    /// The limits, and what was counted.
    pub calibrated: Calibrated,
    /// What its verdicts are worth on the panels that the limits were chosen on.
    pub rates: VerdictRates,
    /// Panels that could not be inspected.
    pub errors: u64,
    /// Images that stand under two names: a guarantee counts them as panels of their own.
    pub notes: Vec<Note>,
}

/// Inspects labelled panels and makes a policy whose limits hold what `options` ask for: see [`Calibration::run`]. The
/// policy and the floor of `builder` are not used. `on_panel` gets each result, in the order of `samples`.
///
/// Too few panels are refused before any is inspected.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use panelqc::{Inspector, Model};
/// use panelqc_eval::dataset::{DataFormat, ReadOptions, read};
/// use panelqc_eval::{CalibrateOptions, Calibration, calibrate};
///
/// let builder = Inspector::builder(Model::load("models/solar-cell")?);
/// let samples = read(DataFormat::Folders, "validation".as_ref(), &ReadOptions::default())?.samples;
/// let options = CalibrateOptions::new(Calibration::new(0.01), "2026-11-24");
/// let made = calibrate(builder, &samples, &options, |record| println!("{}", record.panel()))?;
/// println!("{}", made.guarantee.sentences().join("\n"));
/// std::fs::write("policy.toml", made.text)?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of [`Calibration::run`], of [`Policy::parse`] for the rules, and of
/// [`InspectorBuilder::build`](panelqc::InspectorBuilder::build); [`ErrorKind::Argument`](panelqc::ErrorKind::Argument)
/// for two samples of one id. A panel that cannot be inspected is not an error: it counts as one for review.
pub fn calibrate(
    builder: InspectorBuilder,
    samples: &[Sample],
    options: &CalibrateOptions,
    mut on_panel: impl FnMut(&PanelRecord),
) -> Result<CalibratedPolicy> {
    let asked = &options.calibration;
    // A panel that is labelled twice would count as two.
    check_ids(samples)?;
    let unscored =
        samples.iter().map(|s| ScoredPanel { score: None, defective: s.label.is_defective(), kinds: s.label.kinds() });
    asked.check(&unscored.collect::<Vec<_>>())?;

    let mut rules = Rules::new(options, builder.model())?;
    let policy = rules.policy()?;
    let inspector = builder.policy(policy.clone()).floor(FLOOR).build()?;
    let results = inspector.inspect_batch(samples.iter().map(|sample| sample.files.clone()));
    let records: Vec<PanelRecord> = results.map(PanelRecord::from).inspect(|record| on_panel(record)).collect();

    let panels = scored_panels(&policy, samples, &records);
    let errors = records.iter().filter(|record| !record.is_inspected()).count() as u64;
    let confidence = inspector.model().manifest().output.confidence;
    let calibrated = asked.run_with(&panels, confidence, |review| fail_scores(&policy, &records, review))?;
    rules.limit(calibrated.limits);
    let manifest = inspector.model().manifest_sha256();
    let guarantee = calibrated.guarantee(asked, errors, &data_sha256(samples, &records), manifest, &options.date);
    let text = guarantee.seal(&rules.document.to_string());
    // What is written has to be what can be read.
    let policy = Policy::parse(&text, &options.path)?;
    let Some(guarantee) = policy.guarantee().cloned() else {
        return Err(Error::internal("a policy without the guarantee that was written"));
    };
    let verdicts = samples.iter().zip(&records).map(|(s, record)| (s.label.is_defective(), verdict(&policy, record)));
    let rates = VerdictRates::new(verdicts);
    let notes = same_images(samples, &records);
    Ok(CalibratedPolicy { text, guarantee, calibrated, rates, errors, policy, notes })
}

/// The policy whose limits are chosen, as text that keeps its comments.
struct Rules {
    path: PathBuf,
    document: DocumentMut,
}

impl Rules {
    /// The rules that were given, or none, bound to a model; a guarantee that they had is gone.
    fn new(options: &CalibrateOptions, model: &Model) -> Result<Self> {
        let path = options.rules_path.clone();
        let text = options.rules.clone().unwrap_or_else(|| no_rules(model.manifest()));
        let problem = |e: TomlError| Error::policy(&path, e.to_string());
        let mut document: DocumentMut = text.parse().map_err(problem)?;
        document.remove("guarantee");
        document["model"] = toml_edit::value(&**model.sha256());
        Ok(Rules { path, document })
    }

    fn policy(&self) -> Result<Policy> {
        Policy::parse(&self.document.to_string(), &self.path)
    }

    fn limit(&mut self, limits: Limits) {
        for (key, limit) in [("review", limits.review), ("fail", limits.fail)] {
            // The shortest digits that are this number, also as 64 bits.
            let number = limit.to_string().parse::<f64>().unwrap_or(f64::from(limit));
            if let Some(value) = self.document["default"][key].as_value_mut() {
                let decor = value.decor().clone();
                *value = number.into();
                *value.decor_mut() = decor;
            }
        }
    }
}

fn no_rules(manifest: &Manifest) -> String {
    let confidence = manifest.output.confidence;
    let name = toml_edit::Value::from(manifest.name.as_str());
    format!(
        "schema = 1\nname = {name}\n\n[default]\nreview = {confidence}   # a defect with at least this confidence sends the panel \
         to review\nfail = {confidence}   # a defect with at least this confidence fails the panel\n"
    )
}
