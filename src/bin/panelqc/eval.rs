use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::ValueEnum;
use panelqc::HtmlLabel;
use panelqc::dataset::{Decisions, Split, read_deeppcb, read_elpv};
use panelqc::metrics::{Evaluation, Rate};

use super::Failure;
use super::engine::{EngineArgs, progress_bar, reported};
use super::output::writing;
use super::page;

/// Average precision needs the unsure detections too.
const FLOOR: f32 = 0.01;

#[derive(Clone, Copy, clap::ValueEnum)]
enum DataFormat {
    /// Pairs of test image and template with boxes (DeepPCB).
    Deeppcb,
    /// Solar cells with a defect probability (ELPV).
    Elpv,
}

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    engine: EngineArgs,
    /// Folder of labelled images.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// How the labels are laid out.
    #[arg(long, value_enum)]
    format: DataFormat,
    /// List of the panels to use, one id a line [default: all].
    #[arg(long, value_name = "FILE")]
    split: Option<PathBuf>,
    /// What persons decided on a report's page: it takes the place of the labels.
    #[arg(long, value_name = "decisions.json")]
    decisions: Option<PathBuf>,
    /// Write one page with figures, charts, gallery and review queue, that needs nothing else.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the numbers as one JSON object.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut samples = match args.format {
        DataFormat::Deeppcb => read_deeppcb(&args.data)?,
        DataFormat::Elpv => read_elpv(&args.data)?,
    };
    if let Some(path) = &args.decisions {
        let decisions = Decisions::load(path)?;
        let changed = decisions.apply(&mut samples)?;
        eprintln!("{} decisions, {changed} against the label", decisions.iter().len());
    }
    if let Some(list) = &args.split {
        let split = Split::load(list)?;
        if split.is_empty() {
            return Err(format!("--split {}: expected ids, found none", list.display()).into());
        }
        samples = split.select(samples, list)?;
    }
    let inspector = args.engine.builder()?.floor(FLOOR).build()?;

    let bar = progress_bar(samples.len() as u64);
    let start = Instant::now();
    let reports: Vec<_> = inspector
        .inspect_batch(samples.iter().map(|sample| sample.files.clone()))
        .map(|result| {
            bar.inc(1);
            reported(result, &bar)
        })
        .collect();
    bar.finish_and_clear();
    let evaluation = Evaluation::new(inspector.model(), &samples, &reports, start.elapsed().as_secs_f64());
    print(&evaluation, inspector.threads(), inspector.batch())?;
    if let Some(path) = &args.json {
        write_json(path, &evaluation)?;
    }
    if let Some(path) = &args.html {
        let part = args.split.as_ref().and_then(|list| list.file_stem()).unwrap_or_default().to_string_lossy();
        let set = args.format.to_possible_value().map(|name| name.get_name().to_owned()).unwrap_or_default();
        let title = format!("{}: {set} {part}", inspector.model().manifest().name);
        let mut page = page::page(&inspector, title.trim_end().to_owned());
        for (sample, report) in samples.iter().zip(&reports) {
            page::add(&mut page, report, Some(&HtmlLabel::from(&sample.label)), &sample.files.frames)?;
        }
        page.evaluation(&evaluation)?;
        page.save(path)?;
    }
    Ok(ExitCode::from(u8::from(evaluation.errors > 0)))
}

fn write_json(path: &Path, evaluation: &Evaluation) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(evaluation)?;
    text.push('\n');
    Ok(fs::write(path, text).map_err(|e| writing(path, e))?)
}

fn print(e: &Evaluation, threads: usize, batch: usize) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "images          {} ({} could not be inspected)", e.images, e.errors)?;
    if let (Some(map), Some(f), Some(all)) = (e.map, e.f_score, e.detections) {
        writeln!(out, "mAP             {map:.4} at IoU {}", e.iou.unwrap_or(0.0))?;
        let (at, p, r) = (e.f_score_confidence.unwrap_or(0.0), e.precision.unwrap_or(0.0), e.recall.unwrap_or(0.0));
        writeln!(
            out,
            "F-score         {f:.4} at confidence {at:.2}: precision {p:.4} ({} of {}), recall {r:.4} ({} of {})",
            all.right, all.detections, all.right, all.truths
        )?;
        for (kind, k) in &e.per_kind {
            writeln!(
                out,
                "  {:<13} AP {:.4}, {} of {} detections right, {} of {} truths found",
                kind.as_str(),
                k.ap,
                k.right,
                k.detections,
                k.right,
                k.truths
            )?;
        }
    }
    let mut rate = |name: &str, value: Option<Rate>| match value {
        Some(value) => writeln!(out, "{name:<15} {value}"),
        None => Ok(()),
    };
    rate("accuracy", e.accuracy_rate)?;
    rate("  sure labels", e.accuracy_sure)?;
    rate("miss", Some(e.miss))?;
    rate("overkill", Some(e.overkill))?;
    rate("review", Some(e.review))?;
    rate("decided", Some(e.decided))?;
    rate("  rightly", Some(e.decided_right))?;
    if let Some(c) = e.confusion {
        writeln!(
            out,
            "confusion       defective: {} found, {} not; good: {} called good, {} called defective",
            c.true_positive, c.false_negative, c.true_negative, c.false_positive
        )?;
    }
    if let Some(auroc) = e.auroc {
        writeln!(out, "AUROC           {auroc:.4}")?;
    }
    if let Some(ms) = e.ms {
        writeln!(
            out,
            "ms an image     median {:.1}, p95 {:.1}, p99 {:.1} (model {:.1})",
            ms.total.p50, ms.total.p95, ms.total.p99, ms.infer.p50
        )?;
    }
    writeln!(out, "images a second {:.1} ({threads} threads, batch {batch})", e.images_per_s)
}
