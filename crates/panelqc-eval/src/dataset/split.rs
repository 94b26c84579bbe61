use std::collections::HashSet;
use std::fs;
use std::path::Path;

use panelqc::{Error, Result};

use super::Sample;

/// A list of panels: one id per line. Empty lines and lines that start with `#` are skipped; of a line with several
/// columns (as in the lists of DeepPCB) the first counts, its extension and a `_test` at its end do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split(HashSet<String>);

impl Split {
    /// Reads a list.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](panelqc::ErrorKind::Io) when the file cannot be read.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io("reading", path))?;
        Ok(Split(
            text.lines()
                .filter(|line| !line.trim_start().starts_with('#'))
                .filter_map(|line| line.split_whitespace().next())
                .map(|id| key(id).to_owned())
                .collect(),
        ))
    }

    /// Number of panels on it.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it names none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The samples that it names, in their order.
    ///
    /// # Errors
    /// [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) when it names a panel that the set does not have.
    pub fn select(&self, samples: Vec<Sample>, list: &Path) -> Result<Vec<Sample>> {
        let chosen: Vec<Sample> = samples.into_iter().filter(|s| self.0.contains(key(&s.files.id))).collect();
        let have: HashSet<&str> = chosen.iter().map(|s| key(&s.files.id)).collect();
        let mut missing: Vec<&str> = self.0.iter().map(String::as_str).filter(|id| !have.contains(id)).collect();
        missing.sort_unstable();
        match missing[..] {
            [] => Ok(chosen),
            [first, ..] => Err(Error::labels(
                list,
                None,
                "panels of the data set",
                format!("{} that it does not have, the first {first}", missing.len()),
            )),
        }
    }
}

fn key(id: &str) -> &str {
    let id = [".jpg", ".png"].iter().find_map(|e| id.strip_suffix(e)).unwrap_or(id);
    id.strip_suffix("_test").unwrap_or(id)
}
