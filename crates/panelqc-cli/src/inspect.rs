use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use panelqc::{Panel, PanelInput, PanelRecord, PanelReport, Verdict, find_panels};
use panelqc_report::{HtmlPicture, HtmlReport, Overlay, PictureEdge};

use super::Failure;
use super::engine::{EngineArgs, progress_bar, recorded};
use super::output::{Earlier, OutputFormat, open_writer, overlay_path, writing};
use super::page;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    engine: EngineArgs,
    /// Folder of reference (defect-free) images: X_test.* (or X.*) is compared with X_temp.* (or X.*) there.
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,
    /// Folder for results, overlays and the page [default: results go to stdout].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Format of the results.
    #[arg(long, value_enum, default_value = "jsonl")]
    format: OutputFormat,
    /// Draw the result on a copy of each image, in OUT/overlays.
    #[arg(long, requires = "out")]
    overlay: bool,
    /// Write OUT/report.html: charts, gallery and review queue on one self-contained page.
    #[arg(long, requires = "out")]
    html: bool,
    /// Skip the panels already in OUT/results.jsonl, and append the rest.
    #[arg(long, requires = "out")]
    resume: bool,
    /// Image files, and folders, which are searched in name order.
    #[arg(required = true)]
    images: Vec<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    if args.resume && args.format != OutputFormat::Jsonl {
        return Err("--resume: expected --format jsonl, found another".into());
    }
    let mut panels = find_panels(&args.images, args.reference.as_deref())?;
    let inspector = args.engine.builder()?.build()?;

    let file = match &args.out {
        Some(folder) => {
            fs::create_dir_all(folder).map_err(|e| writing(folder, e))?;
            Some(folder.join(args.format.file_name()))
        }
        None => None,
    };
    let name = &inspector.model().manifest().name;
    let mut page = args.html.then(|| page::page(&inspector, format!("{name}: {}", args.images[0].display())));
    let mut earlier = Earlier::default();
    if let Some(file) = file.as_ref().filter(|_| args.resume) {
        earlier = Earlier::read(file, &inspector.trace())?;
        if let Some(page) = &mut page {
            earlier.show(file, &panels, page)?;
        }
        panels.retain(|panel| !earlier.panels.contains(panel.id()));
    }
    let kinds = &inspector.model().manifest().output.kinds;
    let mut writer = open_writer(args.format, file.as_deref(), args.resume, kinds)?;
    let overlays = match &args.out {
        Some(folder) if args.overlay => Some(Overlays { overlay: Overlay::new()?, folder: folder.join("overlays") }),
        _ => None,
    };
    let shown = Shown { overlays, edge: page.as_ref().map(HtmlReport::picture_edge) };

    let bar = progress_bar(panels.len() as u64);
    let mut tally = Tally::default();
    let start = Instant::now();
    // Pictures are made by the workers, of the frames that they inspected.
    for result in inspector.inspect_batch(panels).with_panels(move |report, panel| shown.make(report, panel)) {
        let (result, pictures) = match result {
            Ok((report, made)) => {
                made.problems.iter().for_each(|problem| bar.suspend(|| eprintln!("panelqc: {problem}")));
                tally.problems += made.problems.len() as u64;
                (Ok(report), made.pictures)
            }
            Err(failed) => (Err(failed), Vec::new()),
        };
        let record = recorded(result, &bar);
        writer.write(&record)?;
        if let Some(page) = &mut page {
            page.add(&record, None, pictures)?;
        }
        tally.add(&record);
        bar.inc(1);
    }
    writer.finish()?;
    if let (Some(page), Some(folder)) = (page, &args.out) {
        page.save(folder.join("report.html"))?;
    }
    bar.finish_and_clear();
    tally.print(start.elapsed().as_secs_f64(), earlier.panels.len());
    if let Some(folder) = &args.out {
        eprintln!("results in {}", folder.display());
    }
    Ok(ExitCode::from(u8::from(tally.errors + tally.problems + earlier.errors > 0)))
}

pub(super) fn files_of(panel: &PanelInput) -> Vec<PathBuf> {
    match panel {
        PanelInput::Files(files) => files.frames.clone(),
        other => other.image().map(Path::to_path_buf).into_iter().collect(),
    }
}

/// What is made of each panel while its frames are in memory.
struct Shown {
    overlays: Option<Overlays>,
    /// Of the page's pictures, where there is one.
    edge: Option<PictureEdge>,
}

/// What became of it.
struct Made {
    /// For the page.
    pictures: Vec<HtmlPicture>,
    /// Pictures that could not be made or written.
    problems: Vec<String>,
}

struct Overlays {
    overlay: Overlay,
    folder: PathBuf,
}

impl Shown {
    fn make(&self, report: &PanelReport, panel: &Panel<'_>) -> Made {
        let mut problems = Vec::new();
        if let Some(overlays) = &self.overlays {
            overlays.draw(report, panel, &mut problems);
        }
        let pictures = self.edge.as_ref().map_or(Ok(Vec::new()), |edge| page::pictures(panel, edge));
        let pictures = pictures.unwrap_or_else(|e| {
            problems.push(format!("panel {}: {e}", report.panel));
            Vec::new()
        });
        Made { pictures, problems }
    }
}

impl Overlays {
    fn draw(&self, report: &PanelReport, panel: &Panel<'_>, problems: &mut Vec<String>) {
        let frames = panel.frames();
        for (index, frame) in frames.iter().enumerate() {
            let path = overlay_path(&self.folder, &report.panel, (frames.len() > 1).then_some(index));
            let made = path.parent().map_or(Ok(()), fs::create_dir_all).map_err(|e| writing(&path, e));
            if let Err(problem) = made.and_then(|()| self.overlay.save(frame, index, report, &path)) {
                problems.push(problem.to_string());
            }
        }
    }
}

#[derive(Default)]
struct Tally {
    verdicts: [u64; 3],
    errors: u64,
    /// Pictures that could not be written.
    problems: u64,
}

impl Tally {
    fn add(&mut self, record: &PanelRecord) {
        match record {
            PanelRecord::Inspected(report) => self.verdicts[report.verdict as usize] += 1,
            PanelRecord::Failed(_) => self.errors += 1,
        }
    }

    fn print(&self, seconds: f64, earlier: usize) {
        let panels = self.verdicts.iter().sum::<u64>() + self.errors;
        let verdicts: Vec<_> = [Verdict::Pass, Verdict::Review, Verdict::Fail]
            .into_iter()
            .map(|verdict| format!("{} {verdict}", self.verdicts[verdict as usize]))
            .collect();
        let before = if earlier > 0 { format!(" ({earlier} more were done before)") } else { String::new() };
        eprintln!(
            "{panels} panels in {seconds:.1} s ({:.1}/s){before}: {}, {} failed (sent to review)",
            panels as f64 / seconds.max(1e-9),
            verdicts.join(", "),
            self.errors
        );
    }
}
