use std::io::{self, Write};

use panelqc::{PanelRecord, printable};

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
///
/// Names and messages are written for people: characters that act on a terminal are shown as [`printable`] shows them,
/// and a text that a spreadsheet would take for a formula, since it begins with `=`, `+`, `-` or `@`, has a `'` before
/// it. Programs find names as they are in the JSON lines.
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
        let start = [
            cell(record.panel()),
            record.image().map(cell).unwrap_or_default(),
            if record.is_inspected() { "ok" } else { "error" }.to_owned(),
            record.verdict().to_string(),
            cell(&record.reasons().join("; ")),
            record.score().map(|score| score.to_string()).unwrap_or_default(),
        ];
        let end = [record.error().map(cell).unwrap_or_default()];
        if record.defects().is_empty() {
            self.out.write_record(start.iter().chain(&[const { String::new() }; 7]).chain(&end))?;
        }
        for defect in record.defects() {
            let b = defect.bbox;
            let middle = [
                cell(defect.kind.as_str()),
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

/// A text that neither a terminal nor a spreadsheet acts on.
fn cell(text: &str) -> String {
    // Those behind are what they look like on Chinese and Japanese keyboards, which spreadsheets take too.
    let formula = text.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    format!("{}{}", if formula { "'" } else { "" }, printable(text))
}

impl<W: Write> ReportWriter for CsvWriter<W> {
    fn write(&mut self, record: &PanelRecord) -> io::Result<()> {
        CsvWriter::write(self, record)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        CsvWriter::finish(*self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use panelqc::{Confidence, Defect, ErrorKind, FailedPanel, FrameInfo, PanelReport, PixelBox, Size, Trace};

    fn csv(record: &PanelRecord) -> String {
        let mut out = Vec::new();
        let mut writer = CsvWriter::new(&mut out).unwrap();
        writer.write(record).unwrap();
        writer.finish().unwrap();
        String::from_utf8(out).unwrap().lines().skip(1).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn names_are_no_formulas_and_do_nothing_on_a_terminal_and_numbers_stay_numbers() {
        let frame = FrameInfo::new(Size::new(9, 9)).with_image("+1.png");
        let defect = Defect::new("@SUM(1)".into(), Confidence::new(0.5).unwrap(), PixelBox::new(-1.5, 0.0, 2.0, 3.0));
        let report = PanelReport::new("=cmd|' /C calc'!A0", frame, Trace::new("m", "f")).with_defects(vec![defect]);
        assert_eq!(csv(&report.into()), "'=cmd|' /C calc'!A0,'+1.png,ok,pass,,0.5,'@SUM(1),0.5,-1.5,0,2,3,11,");
        let failed = FailedPanel::new("-a\u{1b}[2J", ErrorKind::Io, "no\u{9b}\nfile", Trace::new("m", "f"));
        assert_eq!(csv(&failed.into()), r"'-a\u{1b}[2J,,error,review,,,,,,,,,,no\u{9b}\nfile");
    }
}
