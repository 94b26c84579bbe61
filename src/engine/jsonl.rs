use std::borrow::Cow;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use super::record::PanelRecord;
use crate::error::{Error, Result};
use crate::printable::printable_json;

/// Writes JSON lines: one object per panel.
#[derive(Debug)]
pub struct JsonlWriter<W: Write> {
    out: W,
}

impl<W: Write> JsonlWriter<W> {
    /// A writer to `out`.
    pub fn new(out: W) -> Self {
        JsonlWriter { out }
    }

    /// Writes one line, with its newline, in one call. Characters that act on a terminal are escaped, see
    /// [`printable_json`].
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn write(&mut self, record: &PanelRecord) -> io::Result<()> {
        let mut line = serde_json::to_string(record)?;
        if let Cow::Owned(printable) = printable_json(&line) {
            line = printable;
        }
        line.push('\n');
        self.out.write_all(line.as_bytes())
    }

    /// Flushes the writer.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads JSON lines: the records that [`JsonlWriter`] wrote, one by one, including those of earlier versions. Empty
/// lines are skipped. A line that cannot be read is an error, and the next one follows; an error of the reader is the
/// last item.
///
/// # Errors
/// [`ErrorKind::Results`](crate::ErrorKind::Results) that names file, line and field;
/// [`ErrorKind::Io`](crate::ErrorKind::Io) when the reader fails.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("results.jsonl");
/// # std::fs::write(&path, "")?;
/// use panelqc::JsonlReader;
///
/// for record in JsonlReader::open(&path)? {
///     let record = record?;
///     println!("{}: {}", record.panel(), record.verdict());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct JsonlReader<R: BufRead> {
    input: R,
    name: PathBuf,
    buffer: Vec<u8>,
    line: usize,
    bytes: u64,
    ended: bool,
}

impl<R: BufRead> JsonlReader<R> {
    /// A reader of `input`, which messages call `name`.
    pub fn new(input: R, name: impl Into<PathBuf>) -> Self {
        JsonlReader { input, name: name.into(), buffer: Vec::new(), line: 0, bytes: 0, ended: false }
    }

    /// The number of the line that was read last, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Bytes read so far, up to the end of the line that was read last.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl JsonlReader<io::BufReader<std::fs::File>> {
    /// A reader of the file `path`.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when it cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = std::fs::File::open(path).map_err(Error::io("reading", path))?;
        Ok(Self::new(io::BufReader::new(file), path))
    }
}

impl<R: BufRead> Iterator for JsonlReader<R> {
    type Item = Result<PanelRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            self.buffer.clear();
            match self.input.read_until(b'\n', &mut self.buffer) {
                Ok(0) => self.ended = true,
                Err(e) => {
                    self.ended = true;
                    return Some(Err(Error::io("reading", &self.name)(e)));
                }
                Ok(bytes) => {
                    self.line += 1;
                    self.bytes += bytes as u64;
                }
            }
            if !self.buffer.trim_ascii().is_empty() {
                let read = serde_json::from_slice(&self.buffer);
                let expected = "the result of a panel";
                return Some(read.map_err(|e| {
                    let column = format!(" at line 1 column {}", e.column());
                    let text = e.to_string();
                    let found = text.strip_suffix(&column).unwrap_or(&text);
                    Error::results(&self.name, Some(self.line), expected, found).with_source(e)
                }));
            }
        }
        None
    }
}
