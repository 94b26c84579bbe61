use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use panelqc::{Bounded, Method};
use panelqc_eval::{CalibrateOptions, Calibrated, CalibratedPolicy, Calibration, calibrate};

use super::Failure;
use super::data::{self, DataArgs};
use super::engine::{EngineArgs, progress_bar, tell};
use super::output::{reading, write_text};
use super::terminal::{say, stdout};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Highest miss (escape) rate: defective panels passed, of all defective ones.
    #[arg(long, value_name = "RATE")]
    max_miss: f64,
    /// Highest overkill (false reject) rate: good panels failed, of all good ones [default: no limit; a panel fails at
    /// the model's own confidence].
    #[arg(long, value_name = "RATE")]
    max_overkill: Option<f64>,
    /// Confidence with which each of the two rates holds.
    #[arg(long, value_name = "SHARE", default_value_t = 0.95)]
    confidence: f64,
    /// How the limits are chosen.
    #[arg(long, value_enum, default_value = "exact-binomial")]
    method: MethodArg,
    /// Guarantee the miss rate for each kind of defect separately.
    #[arg(long)]
    per_kind: bool,
    /// Write the policy to this file.
    #[arg(long, value_name = "P.toml")]
    out: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum MethodArg {
    /// Holds with the given confidence: Learn then Test with exact binomial tests.
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
    let samples = args.data.fair_samples(builder.model().manifest())?.samples;
    let mut options = CalibrateOptions::new(asked, today()).with_path(&args.out);
    if let Some(path) = args.engine.policy() {
        options = options.with_rules(fs::read_to_string(path).map_err(|e| reading(path, e))?, path);
    }
    let bar = progress_bar(samples.len() as u64);
    let made = calibrate(builder, &samples, &options, |record| {
        bar.inc(1);
        tell(record, &bar);
    })?;
    bar.finish_and_clear();
    data::tell(&made.notes);
    write_text(&args.out, &made.text)?;
    print(&asked, &made)?;
    say!("policy in {}", args.out.display());
    Ok(ExitCode::from(u8::from(made.errors > 0)))
}

fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}

fn print(asked: &Calibration, made: &CalibratedPolicy) -> io::Result<()> {
    let mut out = stdout();
    let CalibratedPolicy { calibrated, errors, rates, .. } = made;
    let Calibrated { limits, miss, overkill, .. } = calibrated;
    let panels = miss.of + overkill.of;
    writeln!(out, "panels          {panels} ({} defective, {} good, {errors} not inspected)", miss.of, overkill.of)?;
    writeln!(out, "pass below      {}", limits.review)?;
    writeln!(out, "fail from       {}", limits.fail)?;
    for (at, sentence) in made.guarantee.sentences().iter().enumerate() {
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
        "best provable   a miss rate of {:.2} % ({} defective panels, none of them passed)",
        asked.smallest(miss.of, 1) * 100.0,
        miss.of
    )?;
    writeln!(out, "decided here    {}", rates.decided)
}
