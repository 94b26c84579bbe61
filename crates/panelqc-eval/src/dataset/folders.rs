use std::collections::BTreeSet;
use std::path::Path;

use panelqc::{Error, Kind, Result, find_images};

use super::collector::Collector;
use super::options::ReadOptions;
use super::set::Dataset;
use super::{Label, Part, Sample};

/// Names of the folder of good panels that need no manifest, compared without case.
const GOOD: [&str; 2] = ["good", "ok"];

/// Whether a class of this name is that of good panels, which may also be called like one of `good`.
pub(super) fn is_good(class: &str, good: &[Kind]) -> bool {
    GOOD.iter().copied().chain(good.iter().map(Kind::as_str)).any(|name| name.eq_ignore_ascii_case(class))
}

/// Reads class folders: `DIR/<class>/**/*.png`. A class named `good`, `ok` or like one of [`good`](ReadOptions::good)
/// (without case) holds good panels, any other is a kind of defect. Where all of them lie in folders `train`, `val` and
/// `test`, those are the parts of the set. The id is the path below `folder` without extension.
///
/// # Errors
/// [`ErrorKind::Io`](panelqc::ErrorKind::Io), and [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) for an image that
/// lies in no class folder, for a part that the set does not have, or when there is no image.
pub fn read_folders(folder: &Path, options: &ReadOptions) -> Result<Dataset> {
    let images = find_images(folder)?;
    let mut set = Collector::default();
    if images.iter().all(|image| in_part(&image.id).is_some()) {
        let parts = images.iter().filter_map(|image| Some(in_part(&image.id)?.0));
        set.part = Part::choose(options.part, parts, &mut set.notes)
            .map_err(|(expected, found)| Error::labels(folder, None, expected, found))?;
    }
    for image in images {
        let class = match set.part {
            None => image.id.split_once('/').map(|(class, _)| class),
            Some(part) => match in_part(&image.id) {
                Some((of, class)) if of == part => Some(class),
                _ => continue,
            },
        };
        let Some(class) = class else {
            return Err(Error::labels(&image.path, None, "a folder named after a class around it", "none"));
        };
        let good = is_good(class, &options.good);
        let kinds = if good { BTreeSet::new() } else { BTreeSet::from([class.into()]) };
        let source = image.path.clone();
        set.push(Sample::of_image(image.id, image.path, Label::Kinds(kinds)), &source, None)?;
    }
    set.finish(folder, "images in folders named after classes")
}

/// The part that the outermost folder is, and the class in it.
fn in_part(id: &str) -> Option<(Part, &str)> {
    let (first, rest) = id.split_once('/')?;
    let (class, _) = rest.split_once('/')?;
    Some((Part::of_name(first)?, class))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::testing::tree;
    use std::fs;

    fn kinds(folder: &Path, options: &ReadOptions) -> Vec<String> {
        let set = read_folders(folder, options).unwrap();
        set.samples.iter().map(|s| format!("{} {:?}", s.files.id, s.label.kinds())).collect()
    }

    #[test]
    fn a_folder_is_a_class() {
        let dir = tree(&["crack/b.png", "Good/a.png", "functional/x/c.png"]);
        assert_eq!(
            kinds(dir.path(), &ReadOptions::default().with_good(["functional".into()])),
            ["Good/a {}", "crack/b {Kind(\"crack\")}", "functional/x/c {}"]
        );
        assert_eq!(kinds(dir.path(), &ReadOptions::default())[2], "functional/x/c {Kind(\"functional\")}");
        fs::write(dir.path().join("lost.png"), "").unwrap();
        let message = read_folders(dir.path(), &ReadOptions::default()).unwrap_err().to_string();
        assert!(message.contains("lost.png"), "{message}");
        assert!(read_folders(&dir.path().join("crack/none"), &ReadOptions::default()).is_err());
    }

    #[test]
    fn folders_around_all_classes_are_parts() {
        let dir = tree(&["train/crack/a.png", "val/good/b.png", "val/crack/c.png"]);
        let val = ["val/crack/c {Kind(\"crack\")}", "val/good/b {}"];
        assert_eq!(kinds(dir.path(), &ReadOptions::default()), val);
        let set = read_folders(dir.path(), &ReadOptions::default()).unwrap();
        assert!(set.notes[0].to_string().contains("1 other part of the set was left out: `val` was read"));
        let train = ReadOptions::default().with_part(Part::Train);
        assert_eq!(kinds(dir.path(), &train), ["train/crack/a {Kind(\"crack\")}"]);
        let message = read_folders(dir.path(), &ReadOptions::default().with_part(Part::Test)).unwrap_err().to_string();
        assert!(message.contains("expected the part `test`, found only train, val"), "{message}");
        // One that holds images itself is a class.
        fs::write(dir.path().join("val/d.png"), "").unwrap();
        assert_eq!(kinds(dir.path(), &ReadOptions::default()).len(), 4);
    }
}
