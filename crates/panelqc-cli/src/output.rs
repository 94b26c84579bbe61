use std::io::{self, BufWriter, Write};
use std::path::Path;

use panelqc::{Error, JsonlReader, JsonlWriter, Kind, printable_json, replace_file};
use panelqc_report::{CocoWriter, CsvWriter, ReportWriter};

use serde::Serialize;

use super::Failure;

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
    pub(super) const ALL: [Self; 3] = [OutputFormat::Jsonl, OutputFormat::Csv, OutputFormat::Coco];

    pub(super) fn file_name(self) -> &'static str {
        match self {
            OutputFormat::Jsonl => "results.jsonl",
            OutputFormat::Csv => "results.csv",
            OutputFormat::Coco => "results.coco.json",
        }
    }

    /// A writer of results in this format.
    pub(super) fn writer<'w>(self, out: impl Write + 'w, kinds: &[Kind]) -> io::Result<Box<dyn ReportWriter + 'w>> {
        Ok(match self {
            OutputFormat::Jsonl => Box::new(JsonlWriter::new(out)),
            OutputFormat::Csv => Box::new(CsvWriter::new(out)?),
            OutputFormat::Coco => Box::new(CocoWriter::new(out, kinds)),
        })
    }

    /// Makes the results at `path` of the lines that a run wrote.
    pub(super) fn convert(self, lines: &Path, path: &Path, kinds: &[Kind]) -> Result<(), Error> {
        let records = JsonlReader::open(lines)?;
        replace_file(path, |file| {
            let mut writer = self.writer(BufWriter::new(file), kinds)?;
            for record in records {
                writer.write(&record.map_err(io::Error::other)?)?;
            }
            writer.finish()
        })
    }
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
    Ok(write_text(path, &printable_json(&text))?)
}

/// Writes a text whole or not at all.
pub(super) fn write_text(path: &Path, text: &str) -> Result<(), Error> {
    replace_file(path, |file| file.write_all(text.as_bytes()))
}
