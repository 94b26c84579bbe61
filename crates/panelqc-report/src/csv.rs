use std::io::{self, Write};

use panelqc::PanelRecord;

use crate::writer::ReportWriter;

const HEADER: [&str; 14] = [
    "panel",
    "image",
    "status",
    "verdict",
    "reasons",
    "score",
    "kind",
    "confidence",
    "x0",
    "y0",
    "x1",
    "y1",
    "area_px",
    "error",
];

/// Writes CSV (RFC 4180): a header, then one row per defect; a panel without defects has one row with those columns
/// empty.
pub struct CsvWriter<W: Write> {
    out: csv::Writer<W>,
}

impl<W: Write> CsvWriter<W> {
    /// A writer to `out`; writes the header.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn new(out: W) -> io::Result<Self> {
        let mut out = csv::Writer::from_writer(out);
        out.write_record(HEADER)?;
        Ok(CsvWriter { out })
    }

    /// Writes the rows of one panel.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&mut self, record: &PanelRecord) -> io::Result<()> {
        let text = |value: Option<String>| value.unwrap_or_default();
        let start = [
            record.panel().to_owned(),
            text(record.image().map(str::to_owned)),
            if record.is_inspected() { "ok" } else { "error" }.to_owned(),
            record.verdict().to_string(),
            record.reasons().join("; "),
            text(record.score().map(|s| s.to_string())),
        ];
        let end = [text(record.error().map(str::to_owned))];
        if record.defects().is_empty() {
            self.out.write_record(start.iter().chain(&[const { String::new() }; 7]).chain(&end))?;
        }
        for defect in record.defects() {
            let b = defect.bbox;
            let middle = [
                defect.kind.to_string(),
                defect.confidence.to_string(),
                b.x0.to_string(),
                b.y0.to_string(),
                b.x1.to_string(),
                b.y1.to_string(),
                defect.area_px.to_string(),
            ];
            self.out.write_record(start.iter().chain(&middle).chain(&end))?;
        }
        Ok(())
    }

    /// Flushes the writer.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W: Write> ReportWriter for CsvWriter<W> {
    fn write(&mut self, record: &PanelRecord) -> io::Result<()> {
        CsvWriter::write(self, record)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        CsvWriter::finish(*self)
    }
}
