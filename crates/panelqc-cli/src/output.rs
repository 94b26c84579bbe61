use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use panelqc::{Error, JsonlReader, JsonlWriter, Kind, PanelInput, Trace};
use panelqc_report::{CocoWriter, CsvWriter, HtmlReport, ReportWriter};

use serde::Serialize;

use super::Failure;
use super::inspect::files_of;
use super::page::pictures_again;

/// Format of the results.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OutputFormat {
    /// One JSON object per panel, one per line.
    Jsonl,
    /// One row per defect.
    Csv,
    /// COCO detection results.
    Coco,
}

impl OutputFormat {
    pub(super) fn file_name(self) -> &'static str {
        match self {
            OutputFormat::Jsonl => "results.jsonl",
            OutputFormat::Csv => "results.csv",
            OutputFormat::Coco => "results.coco.json",
        }
    }
}

/// A writer of results into a file, or to stdout without one.
pub(super) fn open_writer(
    format: OutputFormat,
    file: Option<&Path>,
    append: bool,
    kinds: &[Kind],
) -> Result<Box<dyn ReportWriter>, Failure> {
    let out: Box<dyn Write> = match file {
        None => Box::new(io::stdout()),
        Some(path) => {
            let mut options = OpenOptions::new();
            options.create(true).write(true).append(append).truncate(!append);
            let file = options.open(path).map_err(|source| writing(path, source))?;
            // Lines go out one by one, so that an interrupted run can be resumed; the other formats cannot be.
            if format == OutputFormat::Jsonl { Box::new(file) } else { Box::new(BufWriter::new(file)) }
        }
    };
    Ok(match format {
        OutputFormat::Jsonl => Box::new(JsonlWriter::new(out)),
        OutputFormat::Csv => Box::new(CsvWriter::new(out)?),
        OutputFormat::Coco => Box::new(CocoWriter::new(out, kinds)),
    })
}

pub(super) fn writing(path: &Path, source: io::Error) -> Error {
    Error::io("writing", path)(source)
}

pub(super) fn reading(path: &Path, source: io::Error) -> Error {
    Error::io("reading", path)(source)
}

/// Writes one JSON object, for people and for programs.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    Ok(fs::write(path, text).map_err(|e| writing(path, e))?)
}

/// What an interrupted run has written.
#[derive(Default)]
pub(super) struct Earlier {
    pub(super) panels: HashSet<String>,
    pub(super) errors: u64,
}

impl Earlier {
    /// Reads the lines of `path` and cuts off one that was not finished.
    ///
    /// Results of another model, manifest, policy or provider are an error: a file holds what one run would have
    /// written.
    pub(super) fn read(path: &Path, trace: &Trace) -> Result<Self, Failure> {
        let text = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(reading(path, source).into()),
        };
        let whole = text.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let mut earlier = Earlier::default();
        let mut lines = JsonlReader::new(&text[..whole], path);
        while let Some(record) = lines.next() {
            let record = record.map_err(|e| format!("--resume: {e}"))?;
            if !record.trace().same_setup(trace) {
                let expected = "a result of this model, manifest, policy and provider";
                let bad = Error::results(path, Some(lines.line()), expected, "a result of another");
                return Err(format!("--resume: {bad}").into());
            }
            earlier.errors += u64::from(!record.is_inspected());
            earlier.panels.insert(record.panel().to_owned());
        }
        if whole < text.len() {
            let file = File::options().write(true).open(path).map_err(|e| writing(path, e))?;
            file.set_len(whole as u64).map_err(|e| writing(path, e))?;
        }
        Ok(earlier)
    }

    /// Puts the results in `path` onto a page, with the pictures of those `panels` that are still there.
    pub(super) fn show(&self, path: &Path, panels: &[PanelInput], page: &mut HtmlReport) -> Result<(), Failure> {
        let files: HashMap<&str, &PanelInput> = panels.iter().map(|panel| (panel.id(), panel)).collect();
        if self.panels.is_empty() {
            return Ok(());
        }
        for record in JsonlReader::open(path)? {
            let record = record?;
            let files = files.get(record.panel()).map_or_else(Vec::new, |panel| files_of(panel));
            // A picture that cannot be read any more does not make the result one that was not made.
            let pictures = pictures_again(&record, &files, &page.picture_edge());
            page.add(&record, None, pictures)?;
        }
        Ok(())
    }
}

/// The picture for a panel: its id below `folder`, whose parts become folders.
pub(super) fn overlay_path(folder: &Path, panel: &str, frame: Option<usize>) -> PathBuf {
    let mut path = folder.to_path_buf();
    path.extend(panel.split('/').filter(|part| !matches!(*part, "" | "." | "..")));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    path.set_file_name(match frame {
        Some(frame) => format!("{name}.{frame}.png"),
        None => format!("{name}.png"),
    });
    path
}
