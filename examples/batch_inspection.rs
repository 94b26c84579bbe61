//! A folder of images in, a report out: results as JSON lines, a picture of each panel, a page that shows them all,
//! and, where the folder holds labels (ELPV's `labels.csv`), how good and how fast the model is.
//!
//! ```text
//! cargo run --release --example batch_inspection -- --model models/solar-cell --out out FOLDER
//! ```

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use panelqc::{
    Error, Inspector, JsonlWriter, Model, Panel, PanelInput, PanelRecord, PanelReport, Policy, Verdict, find_panels,
};
use panelqc_eval::dataset::{DataFormat, Label, Sample, Split, read_elpv};
use panelqc_eval::metrics::{Evaluation, EvaluationOptions, PERSON_MS, StageTimes};
use panelqc_report::{HtmlLabel, HtmlOptions, HtmlPicture, HtmlReport, Overlay, OverlayPaths, PictureEdge};

#[derive(Parser)]
struct Args {
    /// Model package.
    #[arg(long)]
    model: PathBuf,
    /// Rules of the verdict.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// List of the panels to inspect, one id per line (labelled folders only).
    #[arg(long)]
    split: Option<PathBuf>,
    /// Folder for the results.
    #[arg(long)]
    out: PathBuf,
    /// Folder of images.
    folder: PathBuf,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let mut builder = Inspector::builder(Model::load(&args.model)?);
    if let Some(policy) = &args.policy {
        builder = builder.policy(Policy::load(policy)?);
    }
    let inspector = builder.build()?;
    let samples = labelled(&args)?;
    let panels: Vec<PanelInput> = match &samples {
        Some(samples) => samples.iter().map(|sample| sample.files.clone().into()).collect(),
        None => find_panels(std::slice::from_ref(&args.folder), None)?.panels,
    };

    // Pictures of an earlier run would lie beside results that are not theirs.
    let overlays = args.out.join("overlays");
    if overlays.exists() {
        fs::remove_dir_all(&overlays)?;
    }
    fs::create_dir_all(&overlays)?;
    let paths = OverlayPaths::new(&overlays, panels.iter().map(PanelInput::id));
    let results = args.out.join("results.jsonl");
    let mut writer = JsonlWriter::new(BufWriter::new(File::create(&results)?));
    let bar = ProgressBar::new(panels.len() as u64)
        .with_style(ProgressStyle::with_template("inspecting {bar:40} {pos}/{len} {eta} left")?);
    let start = Instant::now();
    let counter = bar.clone();
    let manifest = inspector.model().manifest();
    let options = HtmlOptions::new(&manifest.output, inspector.policy());
    let mut page = HtmlReport::new(format!("{}: {} panels", manifest.name, panels.len()), options);
    let (overlay, drawn, edge) = (Overlay::new()?, paths.clone(), page.picture_edge());
    let inspected = inspector
        .inspect_batch(panels)
        .on_progress(move |progress| counter.set_position(progress.done))
        .with_panels(move |report, panel| draw(&overlay, report, panel, (&drawn, &edge)));
    let mut records = Vec::new();
    for (at, result) in inspected.enumerate() {
        let (record, pictures) = match result {
            Ok((report, pictures)) => (PanelRecord::from(report), pictures?),
            Err(failed) => (PanelRecord::from(failed), Vec::new()),
        };
        writer.write(&record)?;
        let label = samples.as_ref().map(|samples| HtmlLabel::from(&samples[at].label));
        page.add(&record, label.as_ref(), pictures)?;
        records.push(record);
    }
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();
    writer.finish()?;

    println!("model                  {} ({})", inspector.model().manifest().name, args.model.display());
    println!("images                 {}", records.len());
    for sentence in inspector.policy().and_then(|p| p.guarantee()).map(|g| g.sentences()).unwrap_or_default() {
        println!("guarantee              {sentence}");
    }
    println!("errors                 {}", records.iter().filter(|r| !r.is_inspected()).count());
    match &samples {
        Some(samples) => {
            let evaluation = Evaluation::new(
                EvaluationOptions::from(&inspector).with_protocol(DataFormat::Elpv),
                samples,
                &records,
                seconds,
            );
            accuracy(&evaluation);
            page.evaluation(&evaluation)?;
            fs::write(args.out.join("evaluation.json"), serde_json::to_string_pretty(&evaluation)? + "\n")?;
        }
        None => {
            for verdict in [Verdict::Pass, Verdict::Review, Verdict::Fail] {
                println!("{verdict:<22} {}", records.iter().filter(|r| r.verdict() == verdict).count());
            }
        }
    }
    speed(&records, seconds, inspector.threads());
    println!("results                {}", results.display());
    println!("overlays               {}", overlays.display());
    let path = args.out.join("report.html");
    page.save(&path)?;
    println!("page                   {}", path.display());
    if let Some(samples) = &samples {
        uncertain(&records, samples, &paths);
    }
    Ok(())
}

/// The labelled panels of the folder, if it has labels.
fn labelled(args: &Args) -> Result<Option<Vec<Sample>>, Box<dyn std::error::Error>> {
    if !args.folder.join("labels.csv").is_file() {
        return Ok(None);
    }
    let samples = read_elpv(&args.folder)?.samples;
    Ok(Some(match &args.split {
        Some(list) => Split::load(list)?.select(samples, list)?,
        None => samples,
    }))
}

/// Draws a panel and makes its pictures for the page, on the worker that has just inspected its frames.
fn draw(
    overlay: &Overlay,
    report: &PanelReport,
    panel: &Panel<'_>,
    (paths, edge): (&OverlayPaths, &PictureEdge),
) -> panelqc::Result<Vec<HtmlPicture>> {
    let path = paths.of(&report.panel, None);
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(Error::io("creating", &path))?;
    let frame = &panel.frames()[0];
    overlay.save(frame, 0, report, &path)?;
    Ok(vec![HtmlPicture::new(frame, edge.get())?])
}

fn accuracy(e: &Evaluation) {
    let row = |name: &str, text: String| println!("{name:<22} {text}");
    if let Some(rate) = e.accuracy_rate {
        row("accuracy", rate.to_string());
    }
    if let Some(rate) = e.accuracy_sure {
        row("  sure labels only", rate.to_string());
    }
    if let Some(auroc) = e.auroc {
        row("AUROC", format!("{auroc:.4}"));
    }
    if let Some(c) = e.confusion {
        row("confusion", "                  called good   called defective".to_owned());
        row("", format!("  good       {:>15} {:>18}", c.true_negative, c.false_positive));
        row("", format!("  defective  {:>15} {:>18}", c.false_negative, c.true_positive));
    }
    row("miss rate", format!("{} of the defective passed", e.miss));
    row("overkill", format!("{} of the good failed", e.overkill));
    row("decided without review", e.decided.to_string());
    row("  of these rightly", e.decided_right.to_string());
}

fn speed(records: &[PanelRecord], seconds: f64, threads: usize) {
    let timings: Vec<_> = records.iter().filter_map(PanelRecord::ms).collect();
    let Some(ms) = StageTimes::new(&timings) else { return };
    let total = ms.total;
    println!(
        "ms per image           median {:.1}, p95 {:.1}, p99 {:.1} (of the median {:.1} in the model)",
        total.p50, total.p95, total.p99, ms.infer.p50
    );
    println!("images/s               {:.1} with {threads} threads, batch 1", records.len() as f64 / seconds);
    println!("against a person's 2 s {:.2} % (median)", total.p50 / PERSON_MS * 100.0);
}

/// The ten cells whose score is nearest to the decision limit: the first ones that a person should look at.
fn uncertain(records: &[PanelRecord], samples: &[Sample], paths: &OverlayPaths) {
    let mut order: Vec<_> =
        records.iter().zip(samples).filter_map(|(record, sample)| Some((record.score()?, record, sample))).collect();
    order.sort_by(|a, b| (a.0 - 0.5).abs().total_cmp(&(b.0 - 0.5).abs()));
    println!("most uncertain");
    for (score, record, sample) in order.into_iter().take(10) {
        let label = match sample.label {
            Label::Probability(p) => format!("{p:.2}"),
            _ => String::new(),
        };
        let picture = paths.of(record.panel(), None);
        println!("  {score:.3} {:<6} (label {label})  {}", record.verdict(), picture.display());
    }
}
