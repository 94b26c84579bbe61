use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use panelqc::{Frame, PanelInput, PanelReport, Status, Verdict, find_panels};
use panelqc_report::Overlay;

use super::Failure;
use super::engine::{EngineArgs, progress_bar, reported};
use super::output::{Earlier, OutputFormat, open_writer, overlay_path, writing};
use super::page;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    engine: EngineArgs,
    /// Folder of defect-free images: X_test.* (or X.*) is compared with X_temp.* (or X.*) of it.
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,
    /// Folder for results and pictures; without it results go to stdout.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How results are written.
    #[arg(long, value_enum, default_value = "jsonl")]
    format: OutputFormat,
    /// Draw the result into a copy of each image, in OUT/overlays.
    #[arg(long, requires = "out")]
    overlay: bool,
    /// Write OUT/report.html: one page with charts, gallery and review queue, that needs nothing else.
    #[arg(long, requires = "out")]
    html: bool,
    /// Leave out the panels that OUT/results.jsonl has already, and append the rest.
    #[arg(long, requires = "out")]
    resume: bool,
    /// Image files, and folders that are walked in name order.
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
    let mut pictures = match &args.out {
        Some(folder) if args.overlay => Some(Pictures { overlay: Overlay::new()?, folder: folder.join("overlays") }),
        _ => None,
    };

    let bar = progress_bar(panels.len() as u64);
    let mut tally = Tally::default();
    let start = Instant::now();
    let files: Vec<_> =
        if pictures.is_some() || page.is_some() { panels.iter().map(files_of).collect() } else { Vec::new() };
    for (at, result) in inspector.inspect_batch(panels).enumerate() {
        let report = reported(result, &bar);
        writer.write(&report)?;
        let shown = files.get(at).filter(|_| report.status == Status::Ok);
        let frames = shown.map(|files| page::frames(files)).transpose()?.unwrap_or_default();
        if let Some(pictures) = pictures.as_mut() {
            pictures.draw(&report, &frames)?;
        }
        if let Some(page) = &mut page {
            page.add(&report, None, &frames)?;
        }
        tally.add(&report);
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
    Ok(ExitCode::from(u8::from(tally.errors + earlier.errors > 0)))
}

pub(super) fn files_of(panel: &PanelInput) -> Vec<PathBuf> {
    match panel {
        PanelInput::Files(files) => files.frames.clone(),
        other => other.image().map(Path::to_path_buf).into_iter().collect(),
    }
}

struct Pictures {
    overlay: Overlay,
    folder: PathBuf,
}

impl Pictures {
    fn draw(&mut self, report: &PanelReport, frames: &[Frame]) -> Result<(), Failure> {
        for (index, frame) in frames.iter().enumerate() {
            let path = overlay_path(&self.folder, &report.panel, (frames.len() > 1).then_some(index));
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(|e| writing(parent, e))?;
            }
            self.overlay.save(frame, index, report, &path)?;
        }
        Ok(())
    }
}

#[derive(Default)]
struct Tally {
    verdicts: [u64; 3],
    errors: u64,
}

impl Tally {
    fn add(&mut self, report: &PanelReport) {
        if report.status == Status::Ok {
            self.verdicts[report.verdict as usize] += 1;
        } else {
            self.errors += 1;
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
            "{panels} panels in {seconds:.1} s, {:.1} a second{before}: {}, {} not inspected (for review)",
            panels as f64 / seconds.max(1e-9),
            verdicts.join(", "),
            self.errors
        );
    }
}
