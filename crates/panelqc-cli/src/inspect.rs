use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use std::{fs, io};

use indicatif::ProgressBar;
use panelqc::{Inspector, Panel, PanelError, PanelInput, PanelRecord, PanelReport, Verdict};
use panelqc_report::{HtmlPicture, HtmlReport, Overlay, OverlayPaths, PictureEdge};

use super::Failure;
use super::engine::{EngineArgs, find, progress_bar, recorded};
use super::lines::Lines;
use super::output::{OutputFormat, writing};
use super::page;
use super::resume::{Earlier, Wanted, remove_overlays};
use super::run_folder::{Begin, RunFolder};
use super::terminal::say;

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
    /// Continue the run in OUT: only images without a line in OUT/results.jsonl are inspected, and those that were
    /// replaced since.
    #[arg(long, requires = "out")]
    resume: bool,
    /// With --resume: try panels again that could not be inspected.
    #[arg(long, requires = "resume")]
    retry_errors: bool,
    /// Delete the results, overlays and page of an earlier run in OUT. Without this or --resume they are an error.
    #[arg(long, requires = "out", conflicts_with = "resume")]
    overwrite: bool,
    /// Image files, and folders, which are searched in name order.
    #[arg(required = true)]
    images: Vec<PathBuf>,
}

impl Args {
    fn begin(&self) -> Begin {
        match (self.resume, self.overwrite) {
            (true, _) => Begin::Resume,
            (_, true) => Begin::Overwrite,
            _ => Begin::New,
        }
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let panels = find(&args.images, args.reference.as_deref())?;
    let inspector = args.engine.builder()?.build()?;
    match &args.out {
        None => to_stdout(args, &inspector, panels),
        Some(folder) => {
            let folder = RunFolder::open(folder, args.begin())?;
            into_folder(args, &inspector, &folder, panels)
        }
    }
}

fn to_stdout(args: &Args, inspector: &Inspector, panels: Vec<PanelInput>) -> Result<ExitCode, Failure> {
    let all = panels.len();
    let bar = progress_bar(all as u64);
    let mut tally = Tally::default();
    let start = Instant::now();
    let kinds = &inspector.model().manifest().output.kinds;
    let mut written = 0;
    let done = args.format.writer(io::stdout(), kinds).and_then(|mut writer| {
        for result in inspector.inspect_batch(panels) {
            let record = recorded(result, &bar);
            writer.write(&record)?;
            written += 1;
            tally.add(&record);
            bar.inc(1);
        }
        writer.finish()
    });
    bar.finish_and_clear();
    // The last ones may have been on their way.
    let missing = (all - written).max(1);
    done.map_err(|e| format!("writing to stdout: {e}: the results of {missing} of {all} panels are missing"))?;
    tally.print(start.elapsed().as_secs_f64(), 0);
    Ok(tally.status())
}

fn into_folder(
    args: &Args,
    inspector: &Inspector,
    folder: &RunFolder,
    mut panels: Vec<PanelInput>,
) -> Result<ExitCode, Failure> {
    let drawn = folder.leave_overlays_out(&mut panels);
    if panels.is_empty() {
        let overlays = folder.overlays();
        return Err(format!("expected images, found none but in {}, which is for results", overlays.display()).into());
    }
    if drawn > 0 {
        say!("panelqc: left out {drawn} images in {}, which is for results", folder.overlays().display());
    }
    let all = panels.len();
    let name = &inspector.model().manifest().name;
    let title = format!("{name}: {}", args.images[0].display());
    let mut page = args.html.then(|| page::page(inspector, title));
    let paths = OverlayPaths::new(folder.overlays(), panels.iter().map(PanelInput::id));
    let lines = folder.lines();
    let Earlier { mut lines, kept, others, outdated, errors } = if args.resume {
        let trace = inspector.trace();
        let overlays = args.overlay.then_some(&paths);
        Earlier::read(&lines, &panels, &Wanted { trace: &trace, retry: args.retry_errors, overlays })?
    } else {
        Earlier::none(Lines::create(&lines)?)
    };
    if outdated > 0 {
        say!(
            "panelqc: {outdated} earlier results are made again: their images are others now, or were to be tried again"
        );
    }
    if !others.is_empty() {
        say!("panelqc: {} earlier results are of panels that are not among these images; they stay", others.len());
    }
    let mut tally = Tally { errors_before: errors, ..Tally::default() };
    // Earlier lines in their places among those that will be written.
    let (mut places, mut todo) = (Vec::with_capacity(all), Vec::new());
    for panel in panels {
        match kept.get(panel.id()) {
            Some(&line) => places.push(Some((line, page.as_ref().map_or_else(Vec::new, |_| files_of(&panel))))),
            None => {
                places.push(None);
                todo.push(panel);
            }
        }
    }
    if args.resume && !(todo.is_empty() && outdated == 0) {
        folder.remove_outdated(args.format, args.html)?;
        remove_overlays(&paths, todo.iter().map(PanelInput::id))?;
    }
    let overlays = if args.overlay { Some(Overlays { overlay: Overlay::new()?, paths }) } else { None };
    let shown = Shown { overlays, edge: page.as_ref().map(HtmlReport::picture_edge) };

    let bar = progress_bar(todo.len() as u64);
    let start = Instant::now();
    let mut order = others.clone();
    let run = || -> Result<(), Failure> {
        for &line in &others {
            add_earlier(&mut page, &mut lines, line, &[])?;
        }
        // Pictures are made by the workers, of the frames that they inspected.
        let mut results = inspector.inspect_batch(todo).with_panels(move |report, panel| shown.make(report, panel));
        for place in &places {
            let Some((line, files)) = place else {
                let Some(result) = results.next() else { return Err("internal error: a panel has no result".into()) };
                order.push(tally.take(result, &mut lines, page.as_mut(), &bar)?);
                continue;
            };
            add_earlier(&mut page, &mut lines, *line, files)?;
            order.push(*line);
        }
        Ok(())
    };
    let done = run();
    bar.finish_and_clear();
    // What is there stays, and can be continued.
    let missing = all - (order.len() - others.len());
    done.map_err(|e| format!("{e}: the results of {missing} of {all} panels are missing (--resume continues)"))?;
    let lost = tally.drawn.iter().filter(|picture| !picture.is_file()).count();
    if lost > 0 {
        // Written, and taken away by somebody.
        say!("panelqc: {lost} overlays are not in {} any more (--resume draws them)", folder.overlays().display());
        tally.problems += lost as u64;
    }
    lines.finish(&order)?;
    if args.format != OutputFormat::Jsonl {
        let kinds = &inspector.model().manifest().output.kinds;
        args.format.convert(&folder.lines(), &folder.results(args.format), kinds)?;
    }
    if let Some(page) = page {
        page.save(folder.page())?;
    }
    tally.print(start.elapsed().as_secs_f64(), kept.len());
    say!("results in {}", folder.path().display());
    Ok(tally.status())
}

/// Puts an earlier result onto the page, with its pictures if they are still those that were inspected.
fn add_earlier(
    page: &mut Option<HtmlReport>,
    lines: &mut Lines,
    line: usize,
    files: &[PathBuf],
) -> Result<(), Failure> {
    let Some(page) = page else { return Ok(()) };
    let record = lines.read(line)?;
    // A picture that cannot be read any more does not make the result one that was not made.
    let pictures = page::pictures_again(&record, files, &page.picture_edge());
    Ok(page.add(&record, None, pictures)?)
}

fn files_of(panel: &PanelInput) -> Vec<PathBuf> {
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
    /// Overlays.
    drawn: Vec<PathBuf>,
    /// Pictures that could not be made or written.
    problems: Vec<String>,
}

struct Overlays {
    overlay: Overlay,
    paths: OverlayPaths,
}

impl Shown {
    fn make(&self, report: &PanelReport, panel: &Panel<'_>) -> Made {
        let (mut drawn, mut problems) = (Vec::new(), Vec::new());
        if let Some(overlays) = &self.overlays {
            overlays.draw(report, panel, &mut drawn, &mut problems);
        }
        let pictures = self.edge.as_ref().map_or(Ok(Vec::new()), |edge| page::pictures(panel, edge));
        let pictures = pictures.unwrap_or_else(|e| {
            problems.push(format!("panel {}: {e}", report.panel));
            Vec::new()
        });
        Made { pictures, drawn, problems }
    }
}

impl Overlays {
    fn draw(&self, report: &PanelReport, panel: &Panel<'_>, drawn: &mut Vec<PathBuf>, problems: &mut Vec<String>) {
        let frames = panel.frames();
        for (index, frame) in frames.iter().enumerate() {
            let path = self.paths.of(&report.panel, (frames.len() > 1).then_some(index));
            let made = path.parent().map_or(Ok(()), fs::create_dir_all).map_err(|e| writing(&path, e));
            match made.and_then(|()| self.overlay.save(frame, index, report, &path)) {
                Ok(()) => drawn.push(path),
                Err(problem) => problems.push(problem.to_string()),
            }
        }
    }
}

#[derive(Default)]
struct Tally {
    verdicts: [u64; 3],
    errors: u64,
    /// Those of an earlier run.
    errors_before: u64,
    /// Pictures that could not be written.
    problems: u64,
    /// Overlays that were written.
    drawn: Vec<PathBuf>,
}

impl Tally {
    /// Writes the line of a panel, and puts it onto the page; gives the line's number.
    fn take(
        &mut self,
        result: Result<(PanelReport, Made), PanelError>,
        lines: &mut Lines,
        page: Option<&mut HtmlReport>,
        bar: &ProgressBar,
    ) -> Result<usize, Failure> {
        let (result, pictures) = match result {
            Ok((report, made)) => {
                made.problems.iter().for_each(|problem| bar.suspend(|| say!("panelqc: {problem}")));
                self.problems += made.problems.len() as u64;
                self.drawn.extend(made.drawn);
                (Ok(report), made.pictures)
            }
            Err(failed) => (Err(failed), Vec::new()),
        };
        let record = recorded(result, bar);
        let line = lines.write(&record)?;
        self.add(&record);
        bar.inc(1);
        if let Some(page) = page {
            page.add(&record, None, pictures)?;
        }
        Ok(line)
    }

    fn add(&mut self, record: &PanelRecord) {
        match record {
            PanelRecord::Inspected(report) => self.verdicts[report.verdict as usize] += 1,
            PanelRecord::Failed(_) => self.errors += 1,
        }
    }

    fn status(&self) -> ExitCode {
        ExitCode::from(u8::from(self.errors + self.errors_before + self.problems > 0))
    }

    fn print(&self, seconds: f64, earlier: usize) {
        let panels = self.verdicts.iter().sum::<u64>() + self.errors;
        let verdicts: Vec<_> = [Verdict::Pass, Verdict::Review, Verdict::Fail]
            .into_iter()
            .map(|verdict| format!("{} {verdict}", self.verdicts[verdict as usize]))
            .collect();
        let before = if earlier > 0 { format!(" ({earlier} more were done before)") } else { String::new() };
        say!(
            "{panels} panels in {seconds:.1} s ({:.1}/s){before}: {}, {} failed (sent to review)",
            panels as f64 / seconds.max(1e-9),
            verdicts.join(", "),
            self.errors
        );
    }
}
