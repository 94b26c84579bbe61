use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use panelqc::dataset::{data_sha256, scored_panels};
use panelqc::metrics::VerdictRates;
use panelqc::{Bounded, Calibrated, Calibration, Guarantee, Inspector, Method, Policy, ScoredPanel, Status, Verdict};

use super::Failure;
use super::engine::EngineArgs;
use super::labelled::{self, DataArgs, FLOOR};
use super::output::writing;

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
    let samples = args.data.samples()?;
    // Too few panels are refused before an hour is spent on them.
    let unscored = samples.iter().map(|s| (s.label.is_defective(), s.label.kinds()));
    let unscored: Vec<_> = unscored.map(|(defective, kinds)| ScoredPanel { score: None, defective, kinds }).collect();
    asked.check(&unscored)?;

    let inspector = args.engine.builder()?.floor(FLOOR).build()?;
    let reports = labelled::inspect(&inspector, &samples);
    let panels = scored_panels(&samples, &reports);
    let errors = reports.iter().filter(|r| r.status == Status::Error).count() as u64;
    let calibrated = asked.run(&panels, inspector.model().manifest().output.confidence)?;
    let rules = rules(&inspector, &calibrated);
    let manifest = inspector.model().manifest_sha256();
    let data = data_sha256(&samples, &reports);
    let guarantee = Guarantee::new(&asked, &calibrated, errors, &data, manifest, &today());
    let sentences = guarantee.sentences();
    let text = guarantee.seal(&rules);
    // What is written has to be what can be read.
    Policy::parse(&text, &args.out)?;
    fs::write(&args.out, text).map_err(|e| writing(&args.out, e))?;
    print(&asked, &calibrated, &panels, &sentences)?;
    eprintln!("policy in {}", args.out.display());
    Ok(ExitCode::from(u8::from(errors > 0)))
}

fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}

/// The policy without its guarantee.
fn rules(inspector: &Inspector, calibrated: &Calibrated) -> String {
    let model = inspector.model();
    let limits = calibrated.limits;
    format!(
        "schema = 1\nname = {}\nmodel = \"{}\"\n\n[default]\nreview = {}   # a defect at least this sure sends the panel \
         to review\nfail = {}   # a defect at least this sure fails the panel\n",
        toml::Value::from(model.manifest().name.as_str()),
        model.sha256(),
        limits.review,
        limits.fail
    )
}

fn print(asked: &Calibration, calibrated: &Calibrated, panels: &[ScoredPanel], sentences: &[String]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Calibrated { limits, miss, overkill, .. } = calibrated;
    let errors = panels.iter().filter(|p| p.score.is_none()).count();
    writeln!(
        out,
        "panels          {} ({} defective, {} good, {errors} not inspected)",
        panels.len(),
        miss.of,
        overkill.of
    )?;
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
    let verdict = |score: Option<f32>| match score {
        Some(score) if score < limits.review => Verdict::Pass,
        Some(score) if score >= limits.fail => Verdict::Fail,
        _ => Verdict::Review,
    };
    let rates = VerdictRates::new(panels.iter().map(|p| (p.defective, verdict(p.score))));
    writeln!(out, "decided here    {}", rates.decided)
}
