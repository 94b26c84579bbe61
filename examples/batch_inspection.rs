//! A folder of images in, a report out: results as JSON lines, a picture of each panel, a page that shows them all,
//! and, where the folder holds labels (ELPV's `labels.csv`), how good and how fast the model is.
//!
//! ```text
//! cargo run --release --example batch_inspection -- --model models/solar-cell --out out FOLDER
//! ```

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use panelqc::{
    Frame, FrameLimits, Inspector, JsonlWriter, Model, PanelInput, PanelReport, Policy, Status, Verdict, find_panels,
};
use panelqc_eval::dataset::{DataFormat, Label, Sample, Split, read_elpv};
use panelqc_eval::metrics::{Evaluation, PERSON_MS, StageTimes};
use panelqc_report::{HtmlLabel, HtmlOptions, HtmlReport, Overlay};

#[derive(Parser)]
struct Args {
    /// Model package.
    #[arg(long)]
    model: PathBuf,
    /// Rules of the verdict.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// List of the panels to inspect, one id a line (labelled folders only).
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
        None => find_panels(std::slice::from_ref(&args.folder), None)?,
    };

    let overlays = args.out.join("overlays");
    fs::create_dir_all(&overlays)?;
    let results = args.out.join("results.jsonl");
    let mut writer = JsonlWriter::new(BufWriter::new(File::create(&results)?));
    let bar = ProgressBar::new(panels.len() as u64)
        .with_style(ProgressStyle::with_template("inspecting {bar:40} {pos}/{len} {eta} left")?);
    let start = Instant::now();
    let counter = bar.clone();
    let reports: Vec<PanelReport> = inspector
        .inspect_batch(panels)
        .on_progress(move |progress| counter.set_position(progress.done))
        .map(|result| result.unwrap_or_else(|failed| failed.to_report()))
        .collect();
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();

    for report in &reports {
        writer.write(report)?;
    }
    writer.finish()?;
    let mut page = draw(&inspector, &reports, samples.as_deref(), &overlays)?;

    println!("model                  {} ({})", inspector.model().manifest().name, args.model.display());
    println!("images                 {}", reports.len());
    for sentence in inspector.policy().and_then(|p| p.guarantee()).map(|g| g.sentences()).unwrap_or_default() {
        println!("guarantee              {sentence}");
    }
    println!("errors                 {}", reports.iter().filter(|r| r.status == Status::Error).count());
    match &samples {
        Some(samples) => {
            let evaluation = Evaluation::new(&inspector, DataFormat::Elpv, samples, &reports, seconds);
            accuracy(&evaluation);
            page.evaluation(&evaluation)?;
            fs::write(args.out.join("evaluation.json"), serde_json::to_string_pretty(&evaluation)? + "\n")?;
        }
        None => {
            for verdict in [Verdict::Pass, Verdict::Review, Verdict::Fail] {
                println!("{verdict:<22} {}", reports.iter().filter(|r| r.verdict == verdict).count());
            }
        }
    }
    speed(&reports, seconds, inspector.threads());
    println!("results                {}", results.display());
    println!("overlays               {}", overlays.display());
    let path = args.out.join("report.html");
    page.save(&path)?;
    println!("page                   {}", path.display());
    if let Some(samples) = &samples {
        uncertain(&reports, samples, &overlays);
    }
    Ok(())
}

/// The labelled panels of the folder, if it has labels.
fn labelled(args: &Args) -> Result<Option<Vec<Sample>>, Box<dyn std::error::Error>> {
    if !args.folder.join("labels.csv").is_file() {
        return Ok(None);
    }
    let samples = read_elpv(&args.folder)?;
    Ok(Some(match &args.split {
        Some(list) => Split::load(list)?.select(samples, list)?,
        None => samples,
    }))
}

/// Draws each panel into `folder`, and gives all of them on one page, with labels where there are some.
fn draw(
    inspector: &Inspector,
    reports: &[PanelReport],
    samples: Option<&[Sample]>,
    folder: &Path,
) -> Result<HtmlReport, Box<dyn std::error::Error>> {
    let manifest = inspector.model().manifest();
    let options = HtmlOptions::new(&manifest.output, inspector.policy());
    let mut page = HtmlReport::new(format!("{}: {} panels", manifest.name, reports.len()), options);
    let overlay = Overlay::new()?;
    for (at, report) in reports.iter().enumerate() {
        let label = samples.and_then(|samples| samples.get(at)).map(|sample| HtmlLabel::from(&sample.label));
        let image = report.image.as_ref().filter(|_| report.status == Status::Ok);
        let frame = image.map(|image| Frame::load(image, &FrameLimits::default())).transpose()?;
        if let Some(frame) = &frame {
            let path = folder.join(format!("{}.png", report.panel));
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            overlay.save(frame, 0, report, &path)?;
        }
        page.add(report, label.as_ref(), frame.as_slice())?;
    }
    Ok(page)
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

fn speed(reports: &[PanelReport], seconds: f64, threads: usize) {
    let timings: Vec<_> = reports.iter().filter_map(|r| r.ms).collect();
    let Some(ms) = StageTimes::new(&timings) else { return };
    let total = ms.total;
    println!(
        "ms an image            median {:.1}, p95 {:.1}, p99 {:.1} (of the median {:.1} in the model)",
        total.p50, total.p95, total.p99, ms.infer.p50
    );
    println!("images a second        {:.1} with {threads} threads, batch 1", reports.len() as f64 / seconds);
    println!("against a person's 2 s {:.2} % (median)", total.p50 / PERSON_MS * 100.0);
}

/// The ten cells whose score is nearest to the decision limit: the first ones that a person should look at.
fn uncertain(reports: &[PanelReport], samples: &[Sample], overlays: &Path) {
    let mut order: Vec<_> =
        reports.iter().zip(samples).filter_map(|(report, sample)| Some((report.score?, report, sample))).collect();
    order.sort_by(|a, b| (a.0 - 0.5).abs().total_cmp(&(b.0 - 0.5).abs()));
    println!("most uncertain");
    for (score, report, sample) in order.into_iter().take(10) {
        let label = match sample.label {
            Label::Probability(p) => format!("{p:.2}"),
            _ => String::new(),
        };
        let picture = overlays.join(format!("{}.png", report.panel));
        println!("  {score:.3} {:<6} (label {label})  {}", report.verdict, picture.display());
    }
}
