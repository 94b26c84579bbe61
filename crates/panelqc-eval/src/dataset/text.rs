//! The text of label files, as the systems of the tools that wrote them store it.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use panelqc::{Error, Result};

/// The largest label file of one panel, and of what names a set's classes or parts, in bytes.
pub(super) const MOST: u64 = 64 << 20;
/// The largest file with the labels of a whole set, in bytes: twice that of COCO's or LVIS's training part.
pub(super) const MOST_OF_SET: u64 = 2 << 30;

/// The most characters of a line that a message repeats.
const QUOTED: usize = 120;

const UTF: &str = "text in UTF-8, or in UTF-16 with a byte order mark";

/// The text of a file of at most `most` bytes in UTF-8, with or without a byte order mark, or in UTF-16 with one.
pub(super) fn read_text(path: &Path, most: u64) -> Result<String> {
    decode(path, read(path, most)?)
}

/// The text of an XML file, in the encoding of its byte order mark, else the one that it declares, else UTF-8.
pub(super) fn read_xml(path: &Path) -> Result<String> {
    let bytes = read(path, MOST)?;
    let Some(label) = declared(&bytes).filter(|_| Encoding::for_bom(&bytes).is_none()) else {
        return decode(path, bytes);
    };
    match Encoding::for_label(label) {
        // Its declaration could not be read so far if it were UTF-16.
        Some(encoding) if encoding == UTF_8 || encoding == UTF_16LE || encoding == UTF_16BE => decode(path, bytes),
        Some(encoding) => {
            let text = encoding.decode_without_bom_handling_and_without_replacement(&bytes);
            let expected = || format!("text in the declared encoding {}", String::from_utf8_lossy(label));
            text.map(Into::into).ok_or_else(|| Error::labels(path, None, expected(), "bytes that it does not have"))
        }
        None => {
            let found = format!("`{}`", String::from_utf8_lossy(label));
            Err(Error::labels(path, Some(1), "the name of an encoding, for example `utf-8` or `gb2312`", found))
        }
    }
}

/// The bytes of a regular file: a pipe in its place would be waited for.
fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let io = || Error::io("reading", path);
    if !fs::metadata(path).map_err(io())?.is_file() {
        return Err(Error::labels(path, None, "a file", "a folder, a pipe or a device"));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(io())?;
    if bytes.len() as u64 > most {
        return Err(Error::labels(path, None, format!("a file of at most {} MB", most >> 20), "a larger one"));
    }
    Ok(bytes)
}

pub(super) fn decode(path: &Path, bytes: Vec<u8>) -> Result<String> {
    let text = decode_as_it_is(path, bytes)?;
    // Some spreadsheets still end lines with a carriage return alone.
    Ok(if text.contains('\r') && !text.contains('\n') { text.replace('\r', "\n") } else { text })
}

fn decode_as_it_is(path: &Path, mut bytes: Vec<u8>) -> Result<String> {
    match Encoding::for_bom(&bytes) {
        Some((encoding, mark)) if encoding != UTF_8 => {
            let (text, broken) = encoding.decode_without_bom_handling(&bytes[mark..]);
            let found = format!("broken {}", encoding.name());
            if broken { Err(Error::labels(path, None, UTF, found)) } else { Ok(text.into_owned()) }
        }
        mark => {
            bytes.drain(..mark.map_or(0, |(_, length)| length));
            String::from_utf8(bytes).map_err(|e| {
                let at = e.utf8_error().valid_up_to();
                let line = e.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
                let byte = e.as_bytes().get(at).copied().unwrap_or_default();
                Error::labels(path, Some(line), UTF, format!("the byte {byte:#04x} of another encoding"))
            })
        }
    }
}

/// The name of the encoding in the declaration at the head of an XML file.
fn declared(bytes: &[u8]) -> Option<&[u8]> {
    let find = |text: &[u8], part: &[u8]| text.windows(part.len()).position(|window| window == part);
    let head = &bytes[..bytes.len().min(512)];
    let head = head.trim_ascii_start().strip_prefix(b"<?xml")?;
    let head = &head[..find(head, b"?>")?];
    let value = head[find(head, b"encoding")? + b"encoding".len()..].trim_ascii_start();
    let value = value.strip_prefix(b"=")?.trim_ascii_start();
    let (&quote, value) = value.split_first().filter(|(quote, _)| b"\"'".contains(quote))?;
    value.split(|&byte| byte == quote).next()
}

/// A line for a message, in quotes; of a long one its head.
pub(super) fn quote(line: &str) -> String {
    match line.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("`{}...`", &line[..end]),
        None => format!("`{line}`"),
    }
}

/// Counts lines from one place of a text to the next: from the start each time, many places would take the square of
/// their number.
pub(super) struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Lines { text, at: 0, line: 1 }
    }

    /// The line, from 1, of the byte at `at`.
    pub(super) fn at(&mut self, at: usize) -> usize {
        let at = at.min(self.text.len());
        if at < self.at {
            (self.at, self.line) = (0, 1);
        }
        self.line += self.text.as_bytes()[self.at..at].iter().filter(|&&byte| byte == b'\n').count();
        self.at = at;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8], read: impl Fn(&Path) -> Result<String>) -> Result<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        fs::write(&path, bytes).unwrap();
        read(&path)
    }

    #[test]
    fn marks_tell_the_encoding() {
        for bytes in [
            &b"\xef\xbb\xbfa\r\n\xc3\xa4"[..],
            b"a\r\n\xc3\xa4",
            b"\xff\xfea\0\r\0\n\0\xe4\0",
            b"\xfe\xff\0a\0\r\0\n\0\xe4",
        ] {
            assert_eq!(text(bytes, |path| read_text(path, MOST)).unwrap(), "a\r\nä");
            assert_eq!(text(bytes, read_xml).unwrap(), "a\r\nä");
        }
        assert_eq!(text(b"a\rb\r", |path| read_text(path, MOST)).unwrap(), "a\nb\n");
        let message = text(b"a\n\xcf\xdd", |path| read_text(path, MOST)).unwrap_err().to_string();
        assert!(message.contains("a.txt:2: expected text in UTF-8") && message.contains("the byte 0xcf"), "{message}");
        let message = text(b"\xff\xfea\0\xd8", |path| read_text(path, MOST)).unwrap_err().to_string();
        assert!(message.contains("found broken UTF-16LE"), "{message}");
    }

    #[test]
    fn an_xml_file_is_read_in_the_encoding_that_it_declares() {
        let xml = |encoding: &str, bytes: &[u8]| {
            text(&[format!("<?xml version='1.0' {encoding} ?><a>").as_bytes(), bytes].concat(), read_xml)
        };
        for (encoding, bytes, says) in [
            ("encoding=\"gb2312\"", &b"\xc8\xb1\xcf\xdd"[..], "缺陷"),
            ("encoding='GBK'", b"\xc8\xb1", "缺"),
            ("encoding=\"ISO-8859-1\"", b"\xfc", "ü"),
            ("encoding = \"Shift_JIS\"", b"\x8f\x9d", "傷"),
            ("encoding=\"UTF-8\"", b"\xc3\xbc", "ü"),
            ("encoding=\"utf-16\"", b"\xc3\xbc", "ü"),
            ("", b"\xc3\xbc", "ü"),
        ] {
            let text = xml(encoding, bytes).unwrap();
            assert!(text.ends_with(&format!("<a>{says}")), "{encoding}: {text}");
        }
        for (encoding, bytes, says) in [
            ("encoding=\"gbk\"", &b"\xff"[..], "expected text in the declared encoding gbk"),
            ("encoding=\"none\"", b"", "a.txt:1: expected the name of an encoding"),
            ("encoding=\"utf-8\"", b"\xfc", "the byte 0xfc"),
        ] {
            let message = xml(encoding, bytes).unwrap_err().to_string();
            assert!(message.contains(says), "{message}");
        }
    }

    #[test]
    fn what_is_too_large_or_no_file_is_refused() {
        let message = text(b"12345", |path| read_text(path, 4)).unwrap_err().to_string();
        assert!(message.contains("a larger one"), "{message}");
        assert_eq!(text(b"1234", |path| read_text(path, 4)).unwrap(), "1234");
        let dir = tempfile::tempdir().unwrap();
        let message = read_text(dir.path(), 4).unwrap_err().to_string();
        assert!(message.contains("expected a file, found a folder"), "{message}");
    }

    #[test]
    fn a_message_repeats_the_head_of_a_line() {
        assert_eq!(quote("ä b"), "`ä b`");
        assert_eq!(quote(&"ä".repeat(1000)), format!("`{}...`", "ä".repeat(QUOTED)));
    }

    #[test]
    fn lines_are_counted_on_and_back() {
        let mut lines = Lines::new("a\nb\n\nc");
        assert_eq!([0, 2, 5, 3, 99].map(|at| lines.at(at)), [1, 2, 4, 2, 4]);
    }
}
