use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use panelqc::{Error, Result};

use super::locate::{Folders, is_image};
use super::note::{NoteKind, Notes};
use super::set::Dataset;
use super::{Part, Sample, none_of};

/// Collects the panels of a set: the one place that refuses a panel that is labelled twice.
#[derive(Debug, Default)]
pub(super) struct Collector {
    samples: Vec<Sample>,
    /// Where each id is in `samples`.
    ids: HashMap<String, usize>,
    pub(super) notes: Notes,
    pub(super) part: Option<Part>,
}

impl Collector {
    /// Adds a panel that is labelled at `line` of `source`. Of images of one folder that differ only in their extension
    /// the first by name has the id without it, as a walk of that folder gives it; the others keep theirs.
    ///
    /// # Errors
    /// [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) for a panel that is there already.
    pub(super) fn push(&mut self, mut sample: Sample, source: &Path, line: Option<usize>) -> Result<()> {
        let new = self.samples.len();
        let Some(&at) = self.ids.get(&sample.files.id) else {
            self.ids.insert(sample.files.id.clone(), new);
            self.samples.push(sample);
            return Ok(());
        };
        let first = &mut self.samples[at];
        let twins = stem(first) == stem(&sample) && first.files.frames != sample.files.frames;
        let is_earlier = sample.files.frames < first.files.frames;
        let own = whole_name(if is_earlier { first } else { &sample });
        let Some(own) = own.filter(|own| twins && !self.ids.contains_key(own)) else {
            return Err(twice(&sample, first, source, line));
        };
        if is_earlier {
            // The plain id goes over to the new one.
            first.files.id.clone_from(&own);
            self.ids.insert(sample.files.id.clone(), new);
            self.ids.insert(own, at);
        } else {
            sample.files.id.clone_from(&own);
            self.ids.insert(own, new);
        }
        self.samples.push(sample);
        Ok(())
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

/// The image of a panel without its extension.
fn stem(sample: &Sample) -> Option<PathBuf> {
    Some(sample.files.frames.first()?.with_extension(""))
}

/// The id of a panel with the extension of its image.
fn whole_name(sample: &Sample) -> Option<String> {
    let extension = sample.files.frames.first()?.extension()?.to_string_lossy();
    Some(format!("{}.{extension}", sample.files.id))
}

fn twice(sample: &Sample, first: &Sample, source: &Path, line: Option<usize>) -> Error {
    let path = |sample: &Sample| sample.files.frames.first().map(|frame| frame.display().to_string());
    let both = path(first).zip(path(sample)).filter(|(first, second)| first != second);
    let both = both.map(|(first, second)| format!(" for {first} and {second}")).unwrap_or_default();
    let found = format!("`{}` twice{both}", sample.files.id);
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
        Ok(set.samples.iter().map(|sample| sample.files.id.clone()).collect())
    }

    #[test]
    fn images_that_differ_in_their_extension_keep_it() {
        assert_eq!(collect(&[("d/a", "d/a.png"), ("d/b", "d/b.png")]).unwrap(), ["d/a", "d/b"]);
        let ids = collect(&[("a", "a.png"), ("b", "b.png"), ("a", "a.bmp"), ("a", "a.tif")]).unwrap();
        assert_eq!(ids, ["a.png", "b", "a", "a.tif"], "the first by name has the plain id");
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
