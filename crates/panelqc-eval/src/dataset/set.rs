use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use panelqc::{Error, Kind, Result};

use super::locate::{Folders, is_image};
use super::note::{Note, NoteKind, Notes};
use super::{Part, Sample, none_of};

/// What to read of a labelled set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Names that class folders of good panels may have besides `good` and `ok`: the manifest's
    /// [`good`](panelqc::OutputConfig::good). Default: none.
    pub good: Vec<Kind>,
    /// The part of the set. Default: all of a set without parts; of others `val`, `test` or `train`, the first that
    /// there is, and a note says so.
    pub part: Option<Part>,
}

impl ReadOptions {
    /// Class folders of these names hold good panels too. Default: none.
    #[must_use]
    pub fn with_good(mut self, good: impl Into<Vec<Kind>>) -> Self {
        self.good = good.into();
        self
    }

    /// Reads this part of the set. Default: `val`, `test` or `train`, the first that there is.
    #[must_use]
    pub fn with_part(mut self, part: Part) -> Self {
        self.part = Some(part);
        self
    }
}

/// A labelled set as it was read. No two panels of it have the same id.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Dataset {
    /// The labelled panels.
    pub samples: Vec<Sample>,
    /// What whoever uses them should know.
    pub notes: Vec<Note>,
    /// The part of the set that they are; `None` for a set without parts.
    pub part: Option<Part>,
}

impl From<Vec<Sample>> for Dataset {
    /// Panels that were put together without a reader; nothing is checked.
    fn from(samples: Vec<Sample>) -> Self {
        Dataset { samples, ..Dataset::default() }
    }
}

/// Collects the panels of a set: the one place that refuses a panel that is labelled twice.
#[derive(Debug, Default)]
pub(super) struct Collector {
    samples: Vec<Sample>,
    /// Where each id is in `samples`; `None` for a name that several images share.
    ids: HashMap<String, Option<usize>>,
    pub(super) notes: Notes,
    pub(super) part: Option<Part>,
}

impl Collector {
    /// Adds a panel that is labelled at `line` of `source`. Images of one folder that differ only in their extension
    /// keep it in their ids.
    ///
    /// # Errors
    /// [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) for a panel that is there already.
    pub(super) fn push(&mut self, mut sample: Sample, source: &Path, line: Option<usize>) -> Result<()> {
        let id = &sample.files.id;
        if let Some(&taken) = self.ids.get(id) {
            let first = taken.and_then(|at| self.samples.get(at));
            let whole = |sample: &Sample| {
                let extension = sample.files.frames.first()?.extension()?.to_string_lossy();
                Some(format!("{}.{extension}", sample.files.id))
            };
            let stem = |sample: &Sample| sample.files.frames.first().map(|frame| frame.with_extension(""));
            let twins = first.is_none_or(|first| stem(first) == stem(&sample) && whole(first) != whole(&sample));
            let Some(own) = whole(&sample).filter(|own| twins && !self.ids.contains_key(own)) else {
                return Err(twice(&sample, first, source, line));
            };
            if let (Some(at), Some(other)) = (taken, first.and_then(whole)) {
                self.ids.insert(id.clone(), None);
                self.ids.insert(other.clone(), Some(at));
                self.samples[at].files.id = other;
            }
            sample.files.id = own;
        }
        self.ids.insert(sample.files.id.clone(), Some(self.samples.len()));
        self.samples.push(sample);
        Ok(())
    }

    /// The panels so far.
    pub(super) fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Notes the images that lie beside those of the panels and are none of them.
    pub(super) fn note_left_out(&mut self, folders: &mut Folders) {
        let frames = self.samples.iter().flat_map(|sample| &sample.files.frames);
        let used: HashSet<&Path> = frames.map(PathBuf::as_path).collect();
        let places: BTreeSet<&Path> = used.iter().filter_map(|path| path.parent()).collect();
        for place in places {
            let files = folders.files(place).names.iter().filter(|name| is_image(name)).map(|name| place.join(name));
            for file in files.filter(|file| !used.contains(file.as_path())) {
                self.notes.add(NoteKind::LeftOut, || file.display().to_string());
            }
        }
    }

    /// The whole set; `expected` says what it should have had if there is none.
    pub(super) fn finish(self, folder: &Path, expected: &str) -> Result<Dataset> {
        if self.samples.is_empty() {
            return Err(none_of(folder, expected));
        }
        Ok(Dataset { samples: self.samples, notes: self.notes.finish(self.part), part: self.part })
    }
}

fn twice(sample: &Sample, first: Option<&Sample>, source: &Path, line: Option<usize>) -> Error {
    let path = |sample: &Sample| sample.files.frames.first().map(|frame| frame.display().to_string());
    let other = first.and_then(path).filter(|other| Some(other) != path(sample).as_ref());
    let other = other.map(|other| format!(" for {other} and {}", path(sample).unwrap_or_default()));
    let found = format!("`{}` twice{}", sample.files.id, other.unwrap_or_default());
    Error::labels(source, line, "one label for each panel", found)
}

/// Refuses samples of which two have the same id.
///
/// # Errors
/// [`ErrorKind::Argument`](panelqc::ErrorKind::Argument) that names the id.
pub(crate) fn check_ids(samples: &[Sample]) -> Result<()> {
    let mut ids = HashSet::new();
    match samples.iter().map(|sample| &sample.files.id).find(|id| !ids.insert(*id)) {
        Some(id) => Err(Error::argument(format!("labelled panels: expected one label for each, found `{id}` twice"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Label;

    fn collect(files: &[(&str, &str)]) -> Result<Vec<String>> {
        let mut set = Collector::default();
        for (line, (id, file)) in files.iter().enumerate() {
            let sample = Sample::of_image((*id).to_owned(), *file, Label::Probability(0.0));
            set.push(sample, Path::new("labels"), Some(line + 1))?;
        }
        Ok(set.samples().iter().map(|sample| sample.files.id.clone()).collect())
    }

    #[test]
    fn images_that_differ_in_their_extension_keep_it() {
        assert_eq!(collect(&[("d/a", "d/a.png"), ("d/b", "d/b.png")]).unwrap(), ["d/a", "d/b"]);
        let ids = collect(&[("a", "a.png"), ("b", "b.png"), ("a", "a.bmp"), ("a", "a.tif")]).unwrap();
        assert_eq!(ids, ["a.png", "b", "a.bmp", "a.tif"]);
    }

    #[test]
    fn a_panel_that_is_labelled_twice_is_refused() {
        for (files, says) in [
            (&[("a", "a.png"), ("a", "a.png")][..], "labels:2: expected one label for each panel, found `a` twice"),
            (&[("a", "x/a.png"), ("a", "y/a.png")], "`a` twice for x/a.png and y/a.png"),
            (&[("a", "a.png"), ("a", "a.bmp"), ("a", "a.png")], "labels:3: expected one label for each panel"),
            (&[("a.png", "b.png"), ("a", "a.bmp"), ("a", "a.png")], "labels:3: "),
        ] {
            let message = collect(files).unwrap_err().to_string();
            assert!(message.contains(says), "{message}");
        }
        let sample = |id: &str| Sample::of_image(id.to_owned(), "a.png", Label::Probability(0.0));
        assert!(check_ids(&[sample("a"), sample("b")]).is_ok());
        assert!(check_ids(&[sample("a"), sample("a")]).unwrap_err().to_string().contains("found `a` twice"));
    }
}
