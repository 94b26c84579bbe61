use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use panelqc::{Error, JsonlReader, JsonlWriter, PanelRecord, replace_file};

use super::Failure;
use super::output::{reading, writing};

/// How often it is looked whether the file is still where it was.
const LOOK: Duration = Duration::from_secs(1);

/// `results.jsonl` while a run writes it: a line for each panel as soon as it is done, so that a run that ends early
/// can be resumed.
pub(super) struct Lines {
    path: PathBuf,
    file: File,
    /// Where each line lies.
    spans: Vec<Range<u64>>,
    end: u64,
    looked: Instant,
}

impl Lines {
    /// An empty file.
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        File::create(path).map_err(|e| writing(path, e))?;
        Self::append(path, Vec::new())
    }

    /// The file as it is, which has these lines; others follow.
    pub(super) fn append(path: &Path, spans: Vec<Range<u64>>) -> Result<Self, Error> {
        let file = File::options().read(true).append(true).open(path).map_err(|e| writing(path, e))?;
        let end = file.metadata().map_err(|e| reading(path, e))?.len();
        Ok(Lines { path: path.to_path_buf(), file, spans, end, looked: Instant::now() })
    }

    /// Writes a line; gives its number. Of one that cannot be written whole nothing stays.
    pub(super) fn write(&mut self, record: &PanelRecord) -> Result<usize, Failure> {
        let mut line = Vec::new();
        JsonlWriter::new(&mut line).write(record)?;
        if let Err(e) = self.file.write_all(&line) {
            let _ = self.file.set_len(self.end);
            return Err(writing(&self.path, e).into());
        }
        let start = self.end;
        self.end += line.len() as u64;
        self.spans.push(start..self.end);
        if self.looked.elapsed() >= LOOK {
            self.look()?;
        }
        Ok(self.spans.len() - 1)
    }

    /// Reads the line of that number.
    pub(super) fn read(&mut self, line: usize) -> Result<PanelRecord, Failure> {
        let text = span(&mut self.file, &self.spans[line]).map_err(|e| reading(&self.path, e))?;
        match JsonlReader::new(&text[..], &self.path).next() {
            Some(record) => Ok(record?),
            None => Err(Error::results(&self.path, Some(line + 1), "the result of a panel", "none").into()),
        }
    }

    /// Ends the file, with its lines in this order.
    pub(super) fn finish(mut self, order: &[usize]) -> Result<(), Failure> {
        self.look()?;
        let Lines { path, mut file, spans, .. } = self;
        file.sync_all().map_err(|e| writing(&path, e))?;
        if order.iter().copied().eq(0..spans.len()) {
            return Ok(());
        }
        // The old file is closed before the new one takes its name: Windows asks for that.
        Ok(replace_file(&path, move |new| copy(&mut file, order.iter().map(|&line| &spans[line]), new))?)
    }

    /// An error if the file is not the one at its path any more: what is written then is lost.
    fn look(&mut self) -> Result<(), Failure> {
        self.looked = Instant::now();
        let there = fs::metadata(&self.path).is_ok_and(|there| there.len() == self.end && self.is_same(&there));
        if there {
            return Ok(());
        }
        let lines = self.spans.len();
        let expected = format!("the {lines} lines that this run wrote");
        Err(Error::results(&self.path, None, expected, "that the file was removed or changed meanwhile").into())
    }

    #[cfg(unix)]
    fn is_same(&self, there: &fs::Metadata) -> bool {
        use std::os::unix::fs::MetadataExt;
        self.file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (there.dev(), there.ino()))
    }

    #[cfg(not(unix))]
    fn is_same(&self, _: &fs::Metadata) -> bool {
        true
    }
}

/// Copies these lines of a file.
pub(super) fn copy<'s>(from: &mut File, spans: impl Iterator<Item = &'s Range<u64>>, to: &mut File) -> io::Result<()> {
    let mut to = io::BufWriter::new(to);
    for lines in spans {
        to.write_all(&span(from, lines)?)?;
    }
    to.flush()
}

fn span(file: &mut File, span: &Range<u64>) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(span.start))?;
    let len = usize::try_from(span.end - span.start).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Bytes of the file up to the end of its last whole line; a run that was killed can leave a part of one behind.
pub(super) fn whole(file: &mut File) -> io::Result<u64> {
    const PART: u64 = 1 << 16;
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(PART);
        let bytes = span(file, &(start..end))?;
        if let Some(at) = bytes.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use panelqc::{ErrorKind, FailedPanel, Trace};

    fn record(id: &str) -> PanelRecord {
        FailedPanel::new(id, ErrorKind::Io, "gone", Trace::new("m", "f")).into()
    }

    fn ids(path: &Path) -> Vec<String> {
        JsonlReader::open(path).unwrap().map(|record| record.unwrap().panel().to_owned()).collect()
    }

    #[test]
    fn lines_are_read_back_and_put_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.jsonl");
        let mut lines = Lines::create(&path).unwrap();
        let numbers: Vec<_> = ["a", "b", "c"].iter().map(|id| lines.write(&record(id)).unwrap()).collect();
        assert_eq!((numbers, lines.read(1).unwrap()), (vec![0, 1, 2], record("b")));
        lines.write(&record("d")).unwrap();
        lines.finish(&[3, 0, 2]).unwrap();
        assert_eq!(ids(&path), ["d", "a", "c"]);
    }

    #[test]
    fn a_file_that_was_taken_away_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.jsonl");
        for replaced in [false, true] {
            let mut lines = Lines::create(&path).unwrap();
            lines.write(&record("a")).unwrap();
            let text = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            if replaced {
                fs::write(&path, text).unwrap();
            }
            lines.write(&record("b")).unwrap();
            let error = lines.finish(&[0, 1]).unwrap_err().to_string();
            assert!(
                error.contains("expected the 2 lines that this run wrote, found that the file was removed"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_last_whole_line_is_found_however_long_the_rest_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.jsonl");
        for (text, whole_bytes) in [
            (String::new(), 0),
            ("a\nb".to_owned(), 2),
            ("a\n".to_owned(), 2),
            (format!("a\n{}", "x".repeat(200_000)), 2),
        ] {
            fs::write(&path, &text).unwrap();
            assert_eq!(whole(&mut File::open(&path).unwrap()).unwrap(), whole_bytes);
        }
    }
}
