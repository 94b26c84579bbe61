use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use panelqc::{FrameLimits, Inspector, Model, Outputs, Panel, PanelInput, Provider, Timings, init_runtime};
use panelqc_eval::metrics::{Percentiles, StageTimes};
use serde::Serialize;

use super::Failure;
use super::engine::{EngineArgs, find};
use super::output::write_json;
use super::terminal::stdout;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    engine: EngineArgs,
    /// Folder of reference (defect-free) images, for a model that compares.
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,
    /// Number of rounds; each inspects all images.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
    /// Also write the numbers to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Image files, and folders, which are searched in name order. A few hundred images are enough.
    #[arg(required = true)]
    images: Vec<PathBuf>,
}

/// The numbers, as `--json` writes them. Times are milliseconds.
#[derive(Serialize)]
struct Numbers {
    images: usize,
    rounds: u64,
    provider: Provider,
    threads: usize,
    batch: usize,
    /// Through `inspect_batch`, of all rounds.
    images_per_s: Spread,
    /// Threads / (reading and decoding a panel + running the model), each alone on one thread.
    limit_images_per_s: Spread,
    /// The quotient of the two, round by round.
    efficiency: Spread,
    ms_per_image_core: f64,
    /// One panel after the other on one thread, reading included.
    single_ms: Percentiles,
    /// The same, stage by stage.
    ms: StageTimes,
    runtime: String,
}

#[derive(Serialize)]
struct Spread {
    median: f64,
    low: f64,
    high: f64,
}

impl Spread {
    fn new(mut values: Vec<f64>) -> Result<Self, Failure> {
        values.sort_by(f64::total_cmp);
        match (values.first(), values.get((values.len().max(1) - 1) / 2), values.get(values.len() / 2), values.last()) {
            (Some(&low), Some(a), Some(b), Some(&high)) => Ok(Spread { median: (a + b) / 2.0, low, high }),
            _ => Err("nothing was measured".into()),
        }
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let panels = find(&args.images, args.reference.as_deref())?;
    let inspector = args.engine.builder()?.build()?;
    let threads = inspector.threads();
    let (mut rates, mut limits, mut efficiencies) = (Vec::new(), Vec::new(), Vec::new());
    let (mut single, mut stages) = (Vec::new(), Vec::new());
    // The first round fills caches and opens what opens late: it does not count.
    for round in 0..=args.rounds {
        let rate = through(&inspector, &panels)?;
        let limit = threads as f64 / alone(inspector.model(), &panels)?;
        let (times, timings) = one_by_one(&inspector, &panels)?;
        if round > 0 {
            rates.push(rate);
            limits.push(limit);
            efficiencies.push(rate / limit);
            single.extend(times);
            stages.extend(timings);
        }
    }
    let images_per_s = Spread::new(rates)?;
    let numbers = Numbers {
        images: panels.len(),
        rounds: args.rounds,
        provider: inspector.model().provider(),
        threads,
        batch: inspector.batch(),
        ms_per_image_core: threads as f64 * 1e3 / images_per_s.median,
        images_per_s,
        limit_images_per_s: Spread::new(limits)?,
        efficiency: Spread::new(efficiencies)?,
        single_ms: Percentiles::new(single).ok_or("nothing was measured")?,
        ms: StageTimes::new(&stages).ok_or("nothing was measured")?,
        runtime: init_runtime(None)?.build,
    };
    if let Some(file) = &args.json {
        write_json(file, &numbers)?;
    }
    numbers.print(&inspector.model().manifest().name)?;
    Ok(ExitCode::SUCCESS)
}

/// Images per second of the engine, all panels.
fn through(inspector: &Inspector, panels: &[PanelInput]) -> Result<f64, Failure> {
    let start = Instant::now();
    for result in inspector.inspect_batch(panels.to_vec()) {
        result?;
    }
    Ok(panels.len() as f64 / start.elapsed().as_secs_f64())
}

/// Seconds of reading and decoding a panel plus those of running the model on it, without anything around them.
fn alone(model: &Model, panels: &[PanelInput]) -> Result<f64, Failure> {
    let mut batch = model.manifest().batch(1);
    let mut outputs = Outputs::default();
    let mut seconds = 0.0;
    for input in panels {
        let start = Instant::now();
        let panel = load(input)?;
        seconds += start.elapsed().as_secs_f64();
        batch.clear();
        batch.push(&panel.frames()[0], panel.reference())?;
        let start = Instant::now();
        model.run(batch.view(), &mut outputs)?;
        seconds += start.elapsed().as_secs_f64();
    }
    Ok(seconds / panels.len() as f64)
}

/// Milliseconds of each panel through `inspect`, reading included, and of its stages.
fn one_by_one(inspector: &Inspector, panels: &[PanelInput]) -> Result<(Vec<f64>, Vec<Timings>), Failure> {
    let (mut times, mut stages) = (Vec::new(), Vec::new());
    for input in panels {
        let start = Instant::now();
        let panel = load(input)?;
        let decode = start.elapsed().as_secs_f64() * 1e3;
        let report = inspector.inspect(&panel)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        let mut timings = report.ms;
        timings.decode = decode;
        stages.push(timings);
    }
    Ok((times, stages))
}

fn load(input: &PanelInput) -> Result<Panel<'static>, Failure> {
    Ok(input.clone().into_panel(&FrameLimits::default())?)
}

impl Numbers {
    fn print(&self, model: &str) -> Result<(), Failure> {
        let mut out = stdout();
        let spread =
            |s: &Spread, digits: usize| format!("{:.digits$} ({:.digits$} to {:.digits$})", s.median, s.low, s.high);
        writeln!(out, "model            {model}, {} threads, batch {}, {}", self.threads, self.batch, self.provider)?;
        writeln!(out, "images           {}, {} rounds: median (lowest to highest)", self.images, self.rounds)?;
        writeln!(out, "images/s         {}", spread(&self.images_per_s, 1))?;
        writeln!(
            out,
            "limit            {}  threads / (decoding + model), each alone",
            spread(&self.limit_images_per_s, 1)
        )?;
        writeln!(out, "efficiency       {}", spread(&self.efficiency, 3))?;
        writeln!(out, "ms/image*core    {:.2}", self.ms_per_image_core)?;
        let stages = [
            ("one panel, ms", &self.single_ms),
            ("  decode", &self.ms.decode),
            ("  preprocess", &self.ms.preprocess),
            ("  infer", &self.ms.infer),
            ("  postprocess", &self.ms.postprocess),
        ];
        for (name, p) in stages {
            writeln!(out, "{name:<16} p50 {:.2}, p95 {:.2}, p99 {:.2}", p.p50, p.p95, p.p99)?;
        }
        writeln!(out, "runtime          {}", self.runtime)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        let median = |values: &[f64]| Spread::new(values.to_vec()).map(|s| (s.low, s.median, s.high)).ok();
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some((1.0, 2.0, 3.0)));
        assert_eq!(median(&[4.0, 1.0, 2.0, 10.0]), Some((1.0, 3.0, 10.0)));
        assert_eq!(median(&[7.0]), Some((7.0, 7.0, 7.0)));
        assert_eq!(median(&[]), None);
    }
}
