use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use panelqc::{Error, JsonlWriter, Panel, PanelReport, Policy, Task, Trace};
use panelqc_eval::dataset::{Dataset, FLOOR, Note, read_results};
use panelqc_eval::metrics::{Evaluation, EvaluationOptions, Evaluator, KindConfusion, Rate};
use panelqc_report::{HtmlLabel, HtmlReport};

use super::Failure;
use super::data::{self, DataArgs};
use super::engine::{EngineArgs, progress_bar, recorded};
use super::gates::Gates;
use super::output::{write_json, writing};
use super::page;
use super::terminal::{say, stdout};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Measure the results in this file, from `--store` or `inspect`, without running the model; only its manifest is
    /// used.
    #[arg(long, value_name = "results.jsonl", conflicts_with = "store")]
    results: Option<PathBuf>,
    /// Also write the results, as JSON lines, for `--results` to measure again.
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// Write one self-contained page with rates, charts, gallery and review queue.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Also write the numbers to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    gates: Gates,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let Measured { evaluation, page, engine, problems } = match &args.results {
        Some(file) => stored(args, file)?,
        None => inspected(args)?,
    };
    if let Some(path) = &args.json {
        write_json(path, &evaluation)?;
    }
    if let (Some(mut page), Some(path)) = (page, &args.html) {
        page.evaluation(&evaluation)?;
        page.save(path)?;
    }
    // Last, since whoever reads it may have gone.
    print(&evaluation, engine)?;
    let broken = args.gates.broken(&evaluation);
    for gate in &broken {
        say!("panelqc: gate {gate}");
    }
    Ok(ExitCode::from(u8::from(evaluation.errors > 0 || problems > 0 || !broken.is_empty())))
}

struct Measured {
    evaluation: Evaluation,
    page: Option<HtmlReport>,
    /// Threads and batch of the inspection, where there was one.
    engine: Option<(usize, usize)>,
    /// Pictures that could not be made.
    problems: u64,
}

/// Inspects the labelled panels and measures the results.
fn inspected(args: &Args) -> Result<Measured, Failure> {
    let builder = args.engine.builder()?;
    let task = builder.model().manifest().task;
    // The areas under the curves of classes need all scores.
    let floor = if task == Task::Classify { 0.0 } else { FLOOR };
    let mut builder = builder.floor(floor);
    if task == Task::Anomaly {
        builder = builder.keep_maps();
    }
    let inspector = builder.build()?;
    let manifest = inspector.model().manifest();
    let Dataset { samples, notes, .. } = args.data.samples(manifest)?;
    let store = |path: &PathBuf| {
        Ok::<_, Error>((path.clone(), JsonlWriter::new(File::create(path).map_err(|e| writing(path, e))?)))
    };
    let mut store = args.store.as_ref().map(store).transpose()?;
    let title = format!("{}: {}", manifest.name, args.data.title());
    let mut page = args.html.as_ref().map(|_| page::page(&inspector, title));

    let bar = progress_bar(samples.len() as u64);
    let start = Instant::now();
    let options = EvaluationOptions::from(&inspector).with_protocol(args.data.format());
    let mut evaluator = Evaluator::new(options);
    let mut problems = 0;
    let files: Vec<_> = samples.iter().map(|sample| sample.files.clone()).collect();
    // Pictures are made by the workers, of the frames that they inspected.
    let edge = page.as_ref().map(HtmlReport::picture_edge);
    let pictures = move |_: &PanelReport, panel: &Panel<'static>| {
        edge.as_ref().map(|edge| page::pictures(panel, edge)).transpose()
    };
    for (sample, result) in samples.into_iter().zip(inspector.inspect_batch(files).with_panels(pictures)) {
        bar.inc(1);
        let (result, pictures) = match result {
            Ok((report, pictures)) => (Ok(report), pictures),
            Err(failed) => (Err(failed), Ok(None)),
        };
        let record = recorded(result, &bar);
        if let Some((path, writer)) = &mut store {
            writer.write(&record).map_err(|e| writing(path, e))?;
        }
        if let Some(page) = &mut page {
            let pictures = pictures.unwrap_or_else(|e| {
                bar.suspend(|| say!("panelqc: panel {}: {e}", record.panel()));
                problems += 1;
                None
            });
            page.add(&record, Some(&HtmlLabel::from(&sample.label)), pictures.unwrap_or_default())?;
        }
        evaluator.add(sample, record);
    }
    bar.finish_and_clear();
    let evaluation = noted(evaluator.finish(start.elapsed().as_secs_f64()), notes);
    Ok(Measured { evaluation, page, engine: Some((inspector.threads(), inspector.batch())), problems })
}

/// Measures results that another run has written.
fn stored(args: &Args, file: &Path) -> Result<Measured, Failure> {
    let (model, policy) = args.engine.info()?;
    let Dataset { samples, notes, .. } = args.data.samples(&model.manifest)?;
    let mut setup = Trace::new(model.sha256, model.manifest_sha256).with_files(model.files);
    setup.policy = policy.as_ref().and_then(Policy::sha256).map(Into::into);
    let records = read_results(file, &samples, &setup)?;

    let policy = policy.unwrap_or_else(|| Policy::of_manifest(&model.manifest.output));
    let options = EvaluationOptions::new(&model.manifest).with_protocol(args.data.format()).with_judge(policy.clone());
    let title = format!("{}: {}", model.manifest.name, args.data.title());
    let mut page = args.html.as_ref().map(|_| page::page_of(&model.manifest, Some(&policy), title));
    let mut evaluator = Evaluator::new(options);
    for (sample, record) in samples.into_iter().zip(records) {
        if let Some(page) = &mut page {
            let pictures = page::pictures_again(&record, &sample.files.frames, &page.picture_edge());
            page.add(&record, Some(&HtmlLabel::from(&sample.label)), pictures)?;
        }
        evaluator.add(sample, record);
    }
    Ok(Measured { evaluation: noted(evaluator.finish(0.0), notes), page, engine: None, problems: 0 })
}

/// The numbers with what was noticed while the labels were read, which was said; what was noticed since is said here.
fn noted(mut evaluation: Evaluation, notes: Vec<Note>) -> Evaluation {
    data::tell(&evaluation.notes);
    evaluation.notes.splice(0..0, notes);
    evaluation
}

fn print(e: &Evaluation, engine: Option<(usize, usize)>) -> std::io::Result<()> {
    let mut out = stdout();
    writeln!(out, "images          {} ({} could not be inspected)", e.images, e.errors)?;
    if let (Some(f), Some(all)) = (e.f_score, e.detections) {
        let number = |value: Option<f64>| value.map_or("none".to_owned(), |value| format!("{value:.4}"));
        let (map50, map75) = (number(e.map50), number(e.map75));
        writeln!(out, "mAP             {} (COCO at IoU 0.50 {map50}, 0.75 {map75})", number(e.map))?;
        if let Some(masks) = &e.masks {
            writeln!(out, "  of masks      {} (at IoU 0.50 {})", number(masks.map), number(masks.map50))?;
        }
        let (at, p, r) = (e.f_score_confidence.unwrap_or(0.0), e.precision.unwrap_or(0.0), e.recall.unwrap_or(0.0));
        let iou = e.iou.unwrap_or(0.0);
        writeln!(
            out,
            "F-score         {f:.4} at IoU {iou}, confidence {at:.2}: precision {p:.4} ({} of {}), recall {r:.4} ({} of {})",
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
        Some(value) if value.is_scarce() => {
            let (low, high) = value.exact();
            writeln!(out, "{name:<15} {value}, exact {:.1} to {:.1}", low * 100.0, high * 100.0)
        }
        Some(value) => writeln!(out, "{name:<15} {value}"),
        None => Ok(()),
    };
    rate("accuracy", e.accuracy_rate)?;
    rate("  sure labels", e.accuracy_sure)?;
    rate("miss", Some(e.miss))?;
    rate("  single defects", e.defect_miss)?;
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
    let numbers = [
        ("AUROC", e.auroc),
        ("  of kinds", e.auroc_kinds),
        ("AUPR", e.aupr),
        ("F1 (macro)", e.f1),
        ("pixel AUROC", e.pixel_auroc),
        ("AU-PRO at 0.3", e.aupro),
        ("mean IoU", e.mean_iou),
        ("Dice", e.dice),
        ("ECE", e.ece),
        ("AURC", e.risk_coverage.as_ref().map(|curve| curve.aurc)),
    ];
    for (name, value) in numbers.iter().filter_map(|(name, value)| Some((name, (*value)?))) {
        writeln!(out, "{name:<15} {value:.4}")?;
    }
    if let Some(matrix) = e.confusion_kinds.as_ref().filter(|matrix| matrix.kinds.len() > 2) {
        print_matrix(&mut out, matrix)?;
    }
    if let Some(ms) = e.ms {
        writeln!(
            out,
            "ms per image    median {:.1}, p95 {:.1}, p99 {:.1} (model {:.1})",
            ms.total.p50, ms.total.p95, ms.total.p99, ms.infer.p50
        )?;
    }
    match e.images_per_s.zip(engine) {
        Some((rate, (threads, batch))) => {
            writeln!(out, "images/s        {rate:.1} ({threads} threads, batch {batch})")
        }
        None => Ok(()),
    }
}

fn print_matrix(out: &mut impl Write, matrix: &KindConfusion) -> std::io::Result<()> {
    let width = matrix.kinds.iter().map(|kind| kind.as_str().chars().count()).max().unwrap_or(0).max(6);
    write!(out, "{:<width$} ", "found")?;
    matrix.kinds.iter().try_for_each(|kind| write!(out, " {kind:>width$}", kind = kind.as_str()))?;
    for (kind, row) in matrix.kinds.iter().zip(&matrix.counts) {
        write!(out, "\n{:<width$} ", kind.as_str())?;
        row.iter().try_for_each(|count| write!(out, " {count:>width$}"))?;
    }
    writeln!(out)
}
