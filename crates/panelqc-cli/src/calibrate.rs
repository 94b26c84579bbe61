use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use panelqc::{Bounded, Error, Limits, Method, Model, Policy, Status};
use panelqc_eval::dataset::{data_sha256, fail_scores, scored_panels, verdict};
use panelqc_eval::metrics::VerdictRates;
use panelqc_eval::{Calibrated, Calibration, ScoredPanel};
use toml_edit::DocumentMut;

use super::Failure;
use super::data::{self, DataArgs, FLOOR};
use super::engine::EngineArgs;
use super::output::{reading, writing};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Most defective panels passed, of all defective ones.
    #[arg(long, value_name = "RATE")]
    max_miss: f64,
    /// Most good panels failed, of all good ones [default: no limit; panels fail from the model's own confidence on].
    #[arg(long, value_name = "RATE")]
    max_overkill: Option<f64>,
    /// Confidence of each of the two statements.
    #[arg(long, value_name = "SHARE", default_value_t = 0.95)]
    confidence: f64,
    /// How the limits are chosen.
    #[arg(long, value_enum, default_value = "exact-binomial")]
    method: MethodArg,
    /// Hold the miss rate for panels with each kind of defect by itself.
    #[arg(long)]
    per_kind: bool,
    /// Where the policy goes.
    #[arg(long, value_name = "P.toml")]
    out: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum MethodArg {
    /// Holds with the confidence: Learn then Test with exact binomial tests.
    ExactBinomial,
    /// Holds on average over calibrations: conformal risk control. Needs fewer panels.
    ConformalRisk,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut asked = Calibration::new(args.max_miss);
    asked.max_overkill = args.max_overkill;
    asked.confidence = args.confidence;
    asked.per_kind = args.per_kind;
    asked.method = match args.method {
        MethodArg::ExactBinomial => Method::ExactBinomial,
        MethodArg::ConformalRisk => Method::ConformalRisk,
    };
    let builder = args.engine.builder_without_policy()?;
    let samples = args.data.fair_samples(builder.model())?;
    // Too few panels are refused before an hour is spent on them.
    let unscored = samples.iter().map(|s| (s.label.is_defective(), s.label.kinds()));
    let unscored: Vec<_> = unscored.map(|(defective, kinds)| ScoredPanel { score: None, defective, kinds }).collect();
    asked.check(&unscored)?;

    let mut rules = Rules::new(args.engine.policy(), builder.model())?;
    let policy = &rules.policy()?;
    let inspector = builder.policy(policy.clone()).floor(FLOOR).build()?;
    let reports = data::inspect(&inspector, &samples);
    let panels = scored_panels(policy, &samples, &reports);
    let errors = reports.iter().filter(|r| r.status == Status::Error).count() as u64;
    let confidence = inspector.model().manifest().output.confidence;
    let calibrated = asked.run_with(&panels, confidence, |review| fail_scores(policy, &reports, review))?;
    rules.limit(calibrated.limits);
    let manifest = inspector.model().manifest_sha256();
    let data = data_sha256(&samples, &reports);
    let guarantee = calibrated.guarantee(&asked, errors, &data, manifest, &today());
    let sentences = guarantee.sentences();
    let text = guarantee.seal(&rules.document.to_string());
    // What is written has to be what can be read.
    let policy = Policy::parse(&text, &args.out)?;
    fs::write(&args.out, text).map_err(|e| writing(&args.out, e))?;
    let verdicts = samples.iter().zip(&reports).map(|(s, r)| (s.label.is_defective(), verdict(&policy, r)));
    print(&asked, &calibrated, errors, &sentences, &VerdictRates::new(verdicts))?;
    eprintln!("policy in {}", args.out.display());
    Ok(ExitCode::from(u8::from(errors > 0)))
}

fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}

/// The policy whose limits are chosen, as text that keeps its comments.
struct Rules {
    path: PathBuf,
    document: DocumentMut,
}

impl Rules {
    /// The rules of the file `base`, or none, bound to a model; a guarantee that it had is gone.
    fn new(base: Option<&Path>, model: &Model) -> Result<Self, Failure> {
        let (path, text) = match base {
            Some(path) => (path.to_path_buf(), fs::read_to_string(path).map_err(|e| reading(path, e))?),
            None => {
                let confidence = model.manifest().output.confidence;
                let name = toml_edit::Value::from(model.manifest().name.as_str());
                let text = format!(
                    "schema = 1\nname = {name}\n\n[default]\nreview = {confidence}   # a defect at least this sure sends \
                     the panel to review\nfail = {confidence}   # a defect at least this sure fails the panel\n"
                );
                (PathBuf::from("policy"), text)
            }
        };
        let problem = |e: toml_edit::TomlError| Error::policy(&path, e.to_string());
        let mut document: DocumentMut = text.parse().map_err(problem)?;
        document.remove("guarantee");
        document["model"] = toml_edit::value(&**model.sha256());
        Ok(Rules { path, document })
    }

    fn policy(&self) -> Result<Policy, Error> {
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

fn print(
    asked: &Calibration,
    calibrated: &Calibrated,
    errors: u64,
    sentences: &[String],
    rates: &VerdictRates,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Calibrated { limits, miss, overkill, .. } = calibrated;
    let panels = miss.of + overkill.of;
    writeln!(out, "panels          {panels} ({} defective, {} good, {errors} not inspected)", miss.of, overkill.of)?;
    writeln!(out, "pass below      {}", limits.review)?;
    writeln!(out, "fail from       {}", limits.fail)?;
    for (at, sentence) in sentences.iter().enumerate() {
        writeln!(out, "{:<15} {sentence}", if at == 0 { "guarantee" } else { "" })?;
    }
    let mut bound = |name: &str, b: &Bounded| {
        if b.of == 0 {
            return Ok(());
        }
        let value = b.count as f64 / b.of as f64 * 100.0;
        writeln!(out, "{name:<15} {value:.2} % ({} of {}), at most {:.2} %", b.count, b.of, b.bound * 100.0)
    };
    bound("miss here", miss)?;
    bound("overkill here", overkill)?;
    for (kind, bounded) in &calibrated.kinds {
        bound(&format!("  {kind}"), bounded)?;
    }
    writeln!(
        out,
        "could show      a miss rate of {:.2} % at best ({} defective panels, none of them passed)",
        asked.smallest(miss.of, 1) * 100.0,
        miss.of
    )?;
    writeln!(out, "decided here    {}", rates.decided)
}
