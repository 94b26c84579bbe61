use std::io::{self, Write};

use super::panel_report::PanelReport;

/// Writes JSON lines: one object a panel.
#[derive(Debug)]
pub struct JsonlWriter<W: Write> {
    out: W,
}

impl<W: Write> JsonlWriter<W> {
    /// A writer to `out`.
    pub fn new(out: W) -> Self {
        JsonlWriter { out }
    }

    /// Writes one line, with its newline, in one call.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&mut self, report: &PanelReport) -> io::Result<()> {
        let mut line = serde_json::to_vec(report)?;
        line.push(b'\n');
        self.out.write_all(&line)
    }

    /// Flushes the writer.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}
