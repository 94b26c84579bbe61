use std::io::{self, Write};

use panelqc::{JsonlWriter, PanelRecord};

/// Writes the results of a run, one panel after the other, in the order in which they are given.
///
/// [`JsonlWriter`], [`CsvWriter`](crate::CsvWriter) and [`CocoWriter`](crate::CocoWriter) implement it. Implement it
/// for a format of your own (a database, an MES message) and everything that takes a `Box<dyn ReportWriter>` writes
/// that.
///
/// Call [`finish`](Self::finish) after the last panel. It is not called on drop, where an error would be lost: without
/// it a COCO file lacks its end and what is buffered may not be written. Results already written stay, and each format
/// says what a file without its end is worth: JSON lines and CSV are whole up to the last line, COCO results are not.
///
/// A writer begins a new stream. Only JSON lines can be appended to a file that has some already: CSV would have a
/// second header in the middle, COCO results a second array.
///
/// ```
/// use std::io;
///
/// use panelqc::{JsonlWriter, PanelRecord};
/// use panelqc_report::{CsvWriter, ReportWriter};
///
/// fn writer(csv: bool) -> io::Result<Box<dyn ReportWriter>> {
///     Ok(if csv { Box::new(CsvWriter::new(io::stdout())?) } else { Box::new(JsonlWriter::new(io::stdout())) })
/// }
///
/// fn write_all(records: &[PanelRecord], mut writer: Box<dyn ReportWriter>) -> io::Result<()> {
///     for record in records {
///         writer.write(record)?;
///     }
///     writer.finish()
/// }
/// # fn main() -> io::Result<()> {
/// write_all(&[], writer(true)?)
/// # }
/// ```
pub trait ReportWriter {
    /// Writes one panel.
    ///
    /// # Errors
    /// Those of the underlying writer.
    fn write(&mut self, record: &PanelRecord) -> io::Result<()>;

    /// Writes what ends the format, if anything does, and flushes. It takes the writer: nothing can follow.
    ///
    /// # Errors
    /// Those of the underlying writer.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

impl<W: Write> ReportWriter for JsonlWriter<W> {
    fn write(&mut self, record: &PanelRecord) -> io::Result<()> {
        JsonlWriter::write(self, record)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        JsonlWriter::finish(*self)
    }
}
