//! YOLO's labels: a text file for each image, beside it or in a folder of its own.

mod config;
mod row;

use std::collections::{BTreeSet, HashSet};
use std::path::{Component, Path, PathBuf};

use panelqc::{Error, Result, find_images};

use super::collector::Collector;
use super::locate::{Folders, inner, without_extension};
use super::note::{NoteKind, Notes};
use super::options::ReadOptions;
use super::set::Dataset;
use super::text::{MOST, MOST_OF_SET, quote, read_text};
use super::{Label, Part, Sample, Truth, none_of, size_of};
use config::{Config, Names};
use row::Row;

/// Reads YOLO labels: `folder` is `data.yaml`, or holds it or a list of class names (`classes.txt`, `obj.names`), and
/// each image has a text file of the same name: in `labels` where the image lies in `images`, otherwise beside it. A
/// line is `class x y width height` (the centre), or `class x1 y1 x2 y2 x3 y3 ...`, a polygon, which an oriented box is
/// too; all in shares of the image, 0 to 1. A line that stands twice counts once. An image without a text file, or
/// with an empty one, is a good panel.
///
/// The parts are those of `data.yaml` (folders, or lists of images); without any, folders called `train`, `val` and
/// `test`. The id is the path below the folder of `data.yaml` without extension.
///
/// # Errors
/// [`ErrorKind::Io`](panelqc::ErrorKind::Io), [`ErrorKind::Frame`](panelqc::ErrorKind::Frame), and
/// [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) with the line of a malformed label, of classes with one name, and
/// for rows of poses; also for a part that the set does not have, and when no image has a text file at all.
pub fn read_yolo(folder: &Path, options: &ReadOptions) -> Result<Dataset> {
    let config = Config::load(folder)?;
    let mut set = Collector::default();
    let Images { files, listed } = images(&config, options, &mut set)?;
    let mut labels = Labels::default();
    let mut labelled = 0;
    for (id, image) in files {
        let mut truths = Vec::new();
        match labels.of(&image) {
            Some(path) => {
                labelled += 1;
                truths = truths_of(&path, &config.names, &image, &mut set.notes)?;
                labels.used.insert(path);
            }
            None => set.notes.add(NoteKind::Unlabelled, || id.clone()),
        }
        let source = image.clone();
        set.push(Sample::of_image(id, image, Label::Boxes(truths)), &source, None)?;
    }
    if labelled == 0 {
        return Err(none_of(folder, "images with text files beside them, or in images and labels"));
    }
    // A list leaves images out on purpose, with their labels.
    if !listed {
        labels.note_without_image(&mut set.notes);
    }
    set.finish(folder, "images")
}

/// The images of a set or of one part of it.
struct Images {
    /// Ids and files.
    files: Vec<(String, PathBuf)>,
    /// Whether some come from a list.
    listed: bool,
}

fn images(config: &Config, options: &ReadOptions, set: &mut Collector) -> Result<Images> {
    let bad = |(expected, found)| Error::labels(&config.path, None, expected, found);
    let there = |places: &Vec<String>| places.iter().all(|place| config.resolve(place, None).is_some());
    if !config.parts.values().any(there) {
        if let (Some((part, places)), asked) = (config.parts.first_key_value(), options.part) {
            if let Some(places) = asked.and_then(|asked| config.parts.get(&asked)) {
                return Err(bad((format!("the folders or lists {}", places.join(", ")), "none of them".to_owned())));
            }
            let count = config.parts.len() as u64;
            set.notes.add_many(NoteKind::AbsentParts, count, || format!("{part}: {}", places.join(", ")));
        }
        return whole(config, options, set).map(|files| Images { files, listed: false });
    }
    // A part that is named has to be there, or another one would be measured in its place.
    let part = Part::choose(options.part, config.parts.keys().copied(), &mut set.notes).map_err(bad)?;
    set.part = part;
    let places = part.and_then(|part| config.parts.get(&part)).map_or(&[][..], Vec::as_slice);
    let mut images = Images { files: Vec::new(), listed: false };
    for place in places {
        let missing = || bad((format!("the folder or list `{place}`"), "none there".to_owned()));
        let path = config.resolve(place, None).ok_or_else(missing)?;
        if path.is_dir() {
            images.files.extend(find_images(&path)?.into_iter().map(|image| (config.id(&image.path), image.path)));
        } else {
            images.listed = true;
            images.files.extend(listed(config, &path)?);
        }
    }
    Ok(images)
}

/// All images of a set whose file names no parts, or those in folders that are called like the part.
fn whole(config: &Config, options: &ReadOptions, set: &mut Collector) -> Result<Vec<(String, PathBuf)>> {
    let images = find_images(config.root())?;
    let parts: BTreeSet<Part> = images.iter().filter_map(|image| Part::of_id(&image.id)).collect();
    set.part = Part::choose(options.part, parts, &mut set.notes)
        .map_err(|(expected, found)| Error::labels(config.root(), None, expected, found))?;
    let fits = |id: &str| set.part.is_none() || Part::of_id(id) == set.part;
    Ok(images.into_iter().filter(|image| fits(&image.id)).map(|image| (image.id, image.path)).collect())
}

/// The images of a list.
fn listed(config: &Config, list: &Path) -> Result<Vec<(String, PathBuf)>> {
    let text = read_text(list, MOST_OF_SET)?;
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
    let image = |(number, line): (usize, &str)| {
        let missing = || Error::labels(list, Some(number + 1), "an image that is there", quote(line));
        let path = config.resolve_file(line, list.parent()).ok_or_else(missing)?;
        Ok((config.id(&path), path))
    };
    lines.map(image).collect()
}

impl Config {
    /// The id of an image: its path below the set's folder, or below the one that the set states.
    fn id(&self, path: &Path) -> String {
        let whole = plain(path);
        let below = self.roots.iter().rev().find_map(|root| whole.strip_prefix(plain(root)).ok());
        let below = below.unwrap_or(&whole).with_extension("");
        let normal = below.components().filter_map(|part| match part {
            Component::Normal(part) => Some(part.to_string_lossy()),
            _ => None,
        });
        normal.collect::<Vec<_>>().join("/")
    }
}

/// A path without `.`, and without `..` where a folder before it is named. Links are kept: they may be the set's names.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match (part, plain.components().next_back()) {
            (Component::CurDir, _) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => drop(plain.pop()),
            _ => plain.push(part),
        }
    }
    plain
}

/// The text files of images.
#[derive(Default)]
struct Labels {
    folders: Folders,
    /// Folders in which text files were looked for.
    seen: BTreeSet<PathBuf>,
    used: HashSet<PathBuf>,
}

impl Labels {
    /// The text file of an image: `.txt` in any case.
    fn of(&mut self, image: &Path) -> Option<PathBuf> {
        let name = image.file_name()?.to_string_lossy().into_owned();
        let stem = without_extension(&name);
        let beside = image.parent().unwrap_or(Path::new("")).to_path_buf();
        let parts: Vec<_> = beside.iter().collect();
        let at = parts.iter().rposition(|part| part.eq_ignore_ascii_case("images"));
        let apart = at.map(|at| {
            let above: PathBuf = parts[..at].iter().collect();
            parts[at + 1..].iter().fold(inner(&above, "labels"), |path, part| path.join(part))
        });
        for folder in apart.into_iter().chain([beside]) {
            let files = &self.folders.files(&folder).names;
            let is_text = |file: &&String| file.rsplit_once('.').is_some_and(|(s, e)| s == stem && is_txt(e));
            let head = format!("{stem}.");
            let mut same_stem = files.range(head.clone()..).take_while(|file| file.starts_with(&head));
            let exact = files.get(&format!("{stem}.txt"));
            let found = exact.or_else(|| same_stem.find(is_text)).map(|file| folder.join(file));
            self.seen.insert(folder);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Notes the files in those folders that are labels, and no image's.
    fn note_without_image(&mut self, notes: &mut Notes) {
        for folder in std::mem::take(&mut self.seen) {
            let is_text = |file: &&String| file.rsplit_once('.').is_some_and(|(_, e)| is_txt(e));
            for file in self.folders.files(&folder).names.iter().filter(is_text) {
                let path = folder.join(file);
                if !self.used.contains(&path) && holds_labels(&path) {
                    notes.add(NoteKind::WithoutImage, || path.display().to_string());
                }
            }
        }
    }
}

fn is_txt(extension: &str) -> bool {
    extension.eq_ignore_ascii_case("txt")
}

/// Whether the first line of a file is a label.
fn holds_labels(path: &Path) -> bool {
    let text = read_text(path, MOST).unwrap_or_default();
    let first = text.lines().find(|line| !line.trim().is_empty());
    first.is_some_and(|line| line.split_whitespace().count() >= 5 && Row::parse(line).is_ok())
}

fn truths_of(path: &Path, names: &Names, image: &Path, notes: &mut Notes) -> Result<Vec<Truth>> {
    let text = read_text(path, MOST)?;
    let lines = || text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
    if lines().next().is_none() {
        return Ok(Vec::new());
    }
    let size = size_of(image)?;
    let (mut truths, mut seen) = (Vec::new(), HashSet::new());
    for (number, line) in lines() {
        let bad = |(expected, found)| Error::labels(path, Some(number + 1), expected, found);
        let place = || format!("{}:{}", path.display(), number + 1);
        let row = Row::parse(line).map_err(bad)?;
        let (truth, clipped) = row.truth(line, names, size).map_err(bad)?;
        if !seen.insert(row.key()) {
            notes.add(NoteKind::Repeated, place);
            continue;
        }
        if clipped {
            notes.add(NoteKind::Clipped, place);
        }
        truths.push(truth);
    }
    Ok(truths)
}

#[cfg(test)]
mod tests;
