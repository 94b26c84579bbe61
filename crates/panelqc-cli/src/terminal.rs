//! Text for a person: on stderr, which may be gone, and on stdout. Names in it can hold anything, and nothing of them
//! acts on the terminal.

use std::fmt;
use std::io::{self, StdoutLock, Write};

use panelqc::printable;

/// Writes a line to stderr. Nobody has to read it: that it cannot be written is no error.
macro_rules! say {
    ($($text:tt)*) => { $crate::terminal::write_line(format_args!($($text)*)) };
}
pub(crate) use say;

pub(crate) fn write_line(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{}", lines(&text.to_string()));
}

/// The standard output for tables and sentences.
pub(super) fn stdout() -> Shown<StdoutLock<'static>> {
    Shown(io::stdout().lock())
}

/// A writer of text in which only the ends of lines act.
pub(super) struct Shown<W>(W);

impl<W: Write> Write for Shown<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match str::from_utf8(bytes) {
            Ok(text) => self.0.write_all(lines(text).as_bytes())?,
            Err(_) => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ends_of_lines_act() {
        let mut out = Shown(Vec::new());
        let name = "\u{1b}[31m";
        write!(out, "a {name}\nb {}{name}", 1).unwrap();
        assert_eq!(String::from_utf8(out.0).unwrap(), "a \\u{1b}[31m\nb 1\\u{1b}[31m");
    }
}
