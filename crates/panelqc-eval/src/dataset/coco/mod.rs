//! COCO's instances: one JSON file for a set or a part of it.

mod record;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use panelqc::{Error, Kind, Result};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::collector::Collector;
use super::locate::{Folders, child, inner, names};
use super::note::NoteKind;
use super::options::ReadOptions;
use super::set::Dataset;
use super::text::{Lines, MOST, MOST_OF_SET, read_text};
use super::{Label, Part, Sample, Truth, check_size, place_of, size_of};
use record::{Annotation, Category, Id, Image};

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    images: Vec<&'a RawValue>,
    #[serde(borrow)]
    annotations: Vec<&'a RawValue>,
    #[serde(borrow)]
    categories: Vec<&'a RawValue>,
}

/// How the names of files begin that COCO has beside its instances.
const OTHERS: [&str; 5] = ["captions", "person_keypoints", "stuff", "panoptic", "image_info"];

/// The most files that a message names.
const LISTED: usize = 4;

/// Where and why a record is refused: byte in the text, expected, found.
type Problem = (usize, String, String);

/// Reads COCO instances (Lin et al. 2014): `folder` is the JSON file itself, or holds `annotations.json`, or one JSON
/// file, or one for each part, in it, in `annotations` or in a folder for each part. A file is that of a part if its
/// name ends in the part's (`instances_val2017.json`) or its folder has that name.
///
/// Images lie beside the file or in `images`, or, where the file lies in `annotations`, in the folder around it, in
/// its `images`, in a folder that is called like the end of the file's name (`val2017`), or in `images` below or above
/// that. Boxes, polygons (filled by the pixels' centres) and masks as run lengths are read; an image without annotation
/// is a good panel. The id is `file_name` without extension.
///
/// # Errors
/// [`ErrorKind::Io`](panelqc::ErrorKind::Io), and [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) with the line for a
/// record that is malformed, an id that is unknown or taken, two categories of one name, a panel that is there twice, a
/// box that is empty or more than 1 px outside its image, and an image that is named and absent or of another size.
pub fn read_coco(folder: &Path, options: &ReadOptions) -> Result<Dataset> {
    let mut set = Collector::default();
    let path = instances(folder, options, &mut set)?;
    let text = read_text(&path, MOST_OF_SET)?;
    let file: File<'_> = serde_json::from_str(&text).map_err(|e| not_coco(&path, &text, &e))?;
    let mut folders = Folders::default();
    let problem = Reader { text: &text, path: &path, folders: &mut folders, set: &mut set }.read(&file);
    problem.map_err(|problem| match problem {
        Refused::Record((at, expected, found)) => Error::labels(&path, Some(Lines::new(&text).at(at)), expected, found),
        Refused::Set(error) => error,
    })?;
    set.note_left_out(&mut folders);
    set.finish(&path, "images")
}

/// What is wrong with a file that is no COCO instances.
fn not_coco(path: &Path, text: &str, e: &serde_json::Error) -> Error {
    let found = match foreign(text) {
        Some(tool) => format!("{tool} ({e})"),
        None => e.to_string(),
    };
    Error::labels(path, Some(e.line()), "COCO instances: images, annotations, categories", found)
}

/// Whose format a text has, if it is that of a tool that can also write COCO's.
fn foreign(text: &str) -> Option<&'static str> {
    if text.contains("\"shapes\"") && text.contains("\"imagePath\"") {
        return Some("a file of labelme's own format, which can be exported as COCO");
    }
    let is_list = text.trim_start().starts_with('[') && text.contains("\"result\"");
    is_list.then_some("a file of Label Studio's own format, which can be exported as COCO")
}

/// The JSON file of a set, or of the part of it that is read.
fn instances(folder: &Path, options: &ReadOptions, set: &mut Collector) -> Result<PathBuf> {
    let json = |folder: &Path| -> Vec<PathBuf> {
        let is_json = |path: &PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
        names(folder).into_iter().map(|name| folder.join(name)).filter(|path| is_json(path) && path.is_file()).collect()
    };
    let usual = folder.join("annotations.json");
    let mut found = match () {
        () if !folder.is_dir() => vec![folder.to_path_buf()],
        () if usual.is_file() => vec![usual],
        () => json(folder),
    };
    if found.is_empty() {
        found = child(folder, "annotations").map(|folder| json(&folder)).unwrap_or_default();
        found.retain(|path| OTHERS.iter().all(|other| !stem_of(path).starts_with(other)));
    }
    if found.is_empty() {
        let parts = names(folder).into_iter().filter(|name| Part::of_name(name).is_some());
        found = parts.flat_map(|name| json(&folder.join(name))).collect();
    }
    let part = |path: &PathBuf| {
        let stem = stem_of(path);
        let around = path.parent().filter(|around| *around != folder).and_then(Path::file_name);
        let around = around.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Part::of_name(stem.rsplit(['_', '-']).next().unwrap_or(&stem)).or(Part::of_name(&around))
    };
    let listed = || {
        let more = found.len().saturating_sub(LISTED);
        let names = found.iter().take(LISTED).map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        if more == 0 { names } else { format!("{names} and {more} more") }
    };
    let parts: Vec<Part> = found.iter().filter_map(part).collect();
    let bad = |(expected, found)| Error::labels(folder, None, expected, found);
    match (&found[..], parts.len()) {
        ([], _) => Err(bad(("annotations.json, or one JSON file".to_owned(), "0".to_owned()))),
        ([one], _) => {
            set.part = Part::choose(options.part, parts, &mut set.notes).map_err(bad)?;
            Ok(one.clone())
        }
        (several, count) if count == several.len() => {
            set.part = Part::choose(options.part, parts, &mut set.notes).map_err(bad)?;
            let mut chosen = several.iter().filter(|path| part(path) == set.part);
            match (chosen.next(), chosen.next()) {
                (Some(one), None) => Ok(one.clone()),
                _ => Err(bad(("one JSON file for each part".to_owned(), listed()))),
            }
        }
        (several, _) => {
            let expected = "annotations.json, or one JSON file (the file itself can be named)".to_owned();
            // labelme writes one for each image.
            let tool = several.first().and_then(|path| read_text(path, MOST).ok()).and_then(|text| foreign(&text));
            let tool = tool.map(|tool| format!("; the first is {tool}")).unwrap_or_default();
            Err(bad((expected, format!("{}: {}{tool}", several.len(), listed()))))
        }
    }
}

fn stem_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Folders that the images of a JSON file may lie in.
fn places(path: &Path) -> Vec<PathBuf> {
    let beside = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut places = vec![beside.clone(), inner(&beside, "images")];
    let is_inner = beside.file_name().is_some_and(|name| name.eq_ignore_ascii_case("annotations"));
    // A relative path may be no more than the file's name.
    let around = if is_inner { beside.parent().map(Path::to_path_buf) } else { Some(beside) };
    let Some(around) = around else { return places };
    let stem = stem_of(path);
    let end = stem.split_once('_').map_or(stem.as_str(), |(_, end)| end);
    let images = inner(&around, "images");
    places.extend([around.clone(), images.clone(), around.join(end), images.join(end)]);
    places.extend([around.join(end).join("images"), around.join("data")]);
    places
}

enum Refused {
    Record(Problem),
    Set(Error),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Refused::Record(problem)
    }
}

struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
    folders: &'a mut Folders,
    set: &'a mut Collector,
}

impl Reader<'_> {
    fn read(self, file: &File<'_>) -> std::result::Result<(), Refused> {
        let Reader { text, path, folders, set } = self;
        let mut lines = Lines::new(text);
        let mut kinds: HashMap<Id, Kind> = HashMap::new();
        for &raw in &file.categories {
            let (at, category) = record::<Category>(text, raw)?;
            let taken = format!("{} twice", category.id);
            let kind = category.kind();
            if kinds.insert(category.id, kind).is_some() {
                return Err((at, "a unique category id".to_owned(), taken).into());
            }
        }
        let places = places(path);
        let mut by_id: HashMap<Id, usize> = HashMap::new();
        let mut images = Vec::new();
        let mut files: HashMap<PathBuf, String> = HashMap::new();
        for &raw in &file.images {
            let (at, image) = record::<Image>(text, raw)?;
            let bad = |expected: &str, found: String| Refused::from((at, expected.to_owned(), found));
            let taken = format!("{} twice", image.id);
            if by_id.insert(image.id, images.len()).is_some() {
                return Err(bad("a unique image id", taken));
            }
            let found = folders.image(&image.file_name, &places);
            let expected = "an image file beside the labels or in images";
            let found = found.ok_or_else(|| bad(expected, format!("no {}", image.file_name)))?;
            if let Some(first) = files.insert(found.path.clone(), image.file_name.clone()) {
                let found = if first == image.file_name { format!("{first} twice") } else { format!("{first} too") };
                return Err(bad("a unique file name", found));
            }
            let stated = (image.width.map_or(0, |side| side.0), image.height.map_or(0, |side| side.0));
            let size = if stated.0 == 0 || stated.1 == 0 {
                set.notes.add(NoteKind::SizeOfImage, || format!("{}:{}", path.display(), lines.at(at)));
                size_of(&found.path).map_err(|e| bad("a size, or an image with one", e.to_string()))?
            } else {
                check_size(&found.path, stated).map_err(|(expected, found)| Refused::from((at, expected, found)))?;
                stated
            };
            images.push((at, found, size, Vec::<Truth>::new()));
        }
        let mut used: HashSet<Id> = HashSet::new();
        let mut seen: HashMap<Id, &str> = HashMap::new();
        for &raw in &file.annotations {
            let (at, annotation) = record::<Annotation>(text, raw)?;
            // Other records of one number are other defects, from files that were put together.
            if annotation.id.clone().and_then(|id| seen.insert(id, raw.get())) == Some(raw.get()) {
                set.notes.add(NoteKind::Repeated, || format!("{}:{}", path.display(), lines.at(at)));
                continue;
            }
            let bad = |(expected, found)| Refused::from((at, expected, found));
            let known = |what: &str, id: &Id| bad((format!("the id of {what}"), id.to_string()));
            let place = *by_id.get(&annotation.image_id).ok_or_else(|| known("an image", &annotation.image_id))?;
            let category = annotation.category_id.clone();
            let kind = kinds.get(&category).ok_or_else(|| known("a category", &category))?;
            let (_, _, size, truths) = &mut images[place];
            let (truth, clipped) = annotation.into_truth(kind.clone(), *size).map_err(bad)?;
            if clipped {
                set.notes.add(NoteKind::Clipped, || format!("{}:{}", path.display(), lines.at(at)));
            }
            truths.push(truth);
            used.insert(category);
        }
        let mut named: HashMap<&Kind, bool> = HashMap::new();
        for &raw in &file.categories {
            let (at, category) = record::<Category>(text, raw)?;
            let labels = used.contains(&category.id);
            let Some(kind) = kinds.get(&category.id) else { continue };
            match named.get_mut(kind) {
                // Which of the two is wrong nobody can tell here.
                Some(first) if *first && labels => {
                    return Err(
                        (at, "a name of its own for each category".to_owned(), format!("`{kind}` twice")).into()
                    );
                }
                Some(first) => {
                    *first |= labels;
                    set.notes.add(NoteKind::SameName, || format!("{}:{}", path.display(), lines.at(at)));
                }
                None => drop(named.insert(kind, labels)),
            }
        }
        for (at, found, _, truths) in images {
            let line = Some(lines.at(at));
            set.push(Sample::of_image(found.id, found.path, Label::Boxes(truths)), path, line).map_err(Refused::Set)?;
        }
        Ok(())
    }
}

/// A record and where it begins in the text, which it was borrowed from.
fn record<'a, T: Deserialize<'a>>(text: &str, raw: &'a RawValue) -> std::result::Result<(usize, T), Problem> {
    let at = place_of(text, raw);
    serde_json::from_str(raw.get()).map(|value| (at, value)).map_err(|e| {
        let within: usize = raw.get().split_inclusive('\n').take(e.line().saturating_sub(1)).map(str::len).sum();
        let head: String = raw.get().chars().take(80).collect();
        (at + within, "a record of COCO instances".to_owned(), format!("{e} in `{head}`"))
    })
}

#[cfg(test)]
mod tests;
