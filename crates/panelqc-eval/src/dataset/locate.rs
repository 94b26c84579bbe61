//! Finding the images that label files name, however the tool and the system that wrote them spelt it.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// Extensions of images, as label files and lists name them.
const EXTENSIONS: [&str; 11] = ["png", "jpg", "jpeg", "jpe", "jfif", "tif", "tiff", "bmp", "dib", "webp", "gif"];

/// Folders that systems and tools keep for themselves.
const SYSTEM: [&str; 2] = ["__MACOSX", "@eaDir"];

/// Whether a file or folder of this name is no part of a set: hidden, or a system's own.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || SYSTEM.contains(&name)
}

/// A name without the extension of an image, if it has one.
pub(super) fn without_extension(name: &str) -> &str {
    let stem = name.rsplit_once('.').filter(|(_, e)| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(e)));
    stem.map_or(name, |(stem, _)| stem)
}

/// Whether a name has the extension of an image.
pub(super) fn is_image(name: &str) -> bool {
    without_extension(name).len() < name.len()
}

/// The child of a folder with this name; or the only one whose name is the same but for its case and for `_` and `-`.
pub(super) fn child(folder: &Path, name: &str) -> Option<PathBuf> {
    let exact = folder.join(name);
    if exact.exists() {
        return Some(exact);
    }
    let plain = |name: &str| name.to_ascii_lowercase().replace(['_', '-', ' '], "");
    let mut like = names(folder).into_iter().filter(|other| plain(other) == plain(name));
    let found = like.next().filter(|_| like.next().is_none())?;
    Some(folder.join(found))
}

/// The same; where there is none, the path that it would have.
pub(super) fn inner(folder: &Path, name: &str) -> PathBuf {
    child(folder, name).unwrap_or_else(|| folder.join(name))
}

/// The names in a folder, sorted, without hidden ones; none of a folder that cannot be read.
pub(super) fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| !is_hidden(name)).collect()
}

/// An image that labels name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// Its name in the set: what was found of the path, without extension, with `/` between its parts.
    pub(super) id: String,
}

/// The names of the files in folders, each folder read once.
#[derive(Debug, Default)]
pub(super) struct Folders(HashMap<PathBuf, Files>);

/// The names of the files in a folder, without hidden ones.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) names: BTreeSet<String>,
    /// Names by what they are without the extension of an image, in lower case.
    stems: HashMap<String, Vec<String>>,
}

impl Files {
    /// The names of this stem in any case, images and others.
    fn like(&self, stem: &str) -> &[String] {
        self.stems.get(&stem.to_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// The images of this stem in any case.
    pub(super) fn images(&self, stem: &str) -> impl Iterator<Item = &String> {
        self.like(stem).iter().filter(|name| is_image(name))
    }
}

impl Folders {
    /// The files in a folder; none of one that cannot be read.
    pub(super) fn files(&mut self, folder: &Path) -> &Files {
        self.0.entry(folder.to_path_buf()).or_insert_with(|| {
            let mut files = Files::default();
            for name in names(folder).into_iter().filter(|name| folder.join(name).is_file()) {
                files.stems.entry(without_extension(&name).to_lowercase()).or_default().push(name.clone());
                files.names.insert(name);
            }
            files
        })
    }

    /// The image that labels call `name`, below one of `places`. Its path may have `\`, begin on another machine, lack
    /// its extension, or differ in the case of its last part.
    pub(super) fn image(&mut self, name: &str, places: &[PathBuf]) -> Option<Found> {
        let direct = places.iter().map(|place| place.join(name)).find(|path| path.is_file());
        let spelt = name.replace('\\', "/");
        let parts: Vec<&str> = spelt.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let foreign = spelt.starts_with('/') || parts.iter().any(|part| *part == ".." || part.ends_with(':'));
        let id = |parts: &[&str], path: &Path| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let file = if is_image(&file) { without_extension(&file) } else { &file };
            let folders = parts.split_last().map_or(&[][..], |(_, folders)| folders);
            folders.iter().copied().chain([file]).collect::<Vec<_>>().join("/")
        };
        // What leads out of the set says nothing about the panel's name.
        let least = parts.iter().rposition(|part| *part == ".." || part.ends_with(':')).map_or(0, |at| at + 1);
        if let Some(path) = direct {
            let below = places.iter().filter_map(|place| path.strip_prefix(place).ok()).map(Path::to_string_lossy);
            let below = below.map(|below| below.replace('\\', "/")).find(|_| Path::new(name).is_absolute());
            let inner = below.as_deref().map_or(parts[least..].to_vec(), |below| below.split('/').collect());
            return Some(Found { id: id(&inner, &path), path });
        }
        // Of a path that begins elsewhere the end may be right, the longest first.
        for from in least..if foreign { parts.len() } else { (least + 1).min(parts.len()) } {
            let (last, folders) = parts[from..].split_last()?;
            for place in places {
                let folder = folders.iter().fold(place.clone(), |path, part| path.join(part));
                if let Some(file) = self.like(&folder, last) {
                    let path = folder.join(file);
                    return Some(Found { id: id(&parts[from..], &path), path });
                }
            }
        }
        None
    }

    /// The file of a folder that is called `name`; or the only one called so but for its case; or, if the name has no
    /// extension of an image, the only image of that stem.
    fn like(&mut self, folder: &Path, name: &str) -> Option<String> {
        let files = self.files(folder);
        if let Some(exact) = files.names.get(name) {
            return Some(exact.clone());
        }
        let only = |fits: &dyn Fn(&str) -> bool| {
            let mut fitting = files.like(without_extension(name)).iter().filter(|file| fits(file));
            fitting.next().filter(|_| fitting.next().is_none()).cloned()
        };
        let stem = |file: &str| is_image(file) && !is_image(name) && without_extension(file) == name;
        only(&|file| file.eq_ignore_ascii_case(name)).or_else(|| only(&stem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::testing::tree;

    #[test]
    fn images_are_found_however_they_are_spelt() {
        let dir =
            tree(&["images/a.png", "images/sub/b.JPG", "images/panel.v2.png", "c.png", "c.txt", "d.png", "d.bmp"]);
        let places = [dir.path().to_path_buf(), dir.path().join("images")];
        let find = |name: &str| {
            let found = Folders::default().image(name, &places)?;
            let below = found.path.strip_prefix(dir.path()).unwrap().to_string_lossy().replace('\\', "/");
            Some(format!("{below} {}", found.id))
        };
        for (name, says) in [
            ("a.png", "images/a.png a"),
            ("images/a.png", "images/a.png images/a"),
            (r"images\a.png", "images/a.png images/a"),
            (r".\images\sub\b.jpg", "images/sub/b.JPG images/sub/b"),
            (r"C:\work\set\images\a.png", "images/a.png images/a"),
            ("/home/x/set/images/sub/b.JPG", "images/sub/b.JPG images/sub/b"),
            ("../../upload/3/a.png", "images/a.png a"),
            ("sub/b.jpg", "images/sub/b.JPG sub/b"),
            ("A.PNG", "images/a.png a"),
            ("a", "images/a.png a"),
            ("panel.v2", "images/panel.v2.png panel.v2"),
            ("panel.v2.png", "images/panel.v2.png panel.v2"),
            ("c", "c.png c"),
            ("d.bmp", "d.bmp d"),
        ] {
            assert_eq!(find(name).as_deref(), Some(says), "{name}");
        }
        for name in ["b.jpg", "e.png", "d", "other/a.png", "", "/", "..", "a.jpg"] {
            assert_eq!(find(name), None, "{name}");
        }
    }

    #[test]
    fn folders_are_found_in_any_case() {
        let dir = tree(&["Ground_Truth/x", "test/x", "Test/x"]);
        assert_eq!(child(dir.path(), "ground_truth"), Some(dir.path().join("Ground_Truth")));
        assert_eq!(child(dir.path(), "groundtruth"), Some(dir.path().join("Ground_Truth")));
        assert_eq!(child(dir.path(), "Test"), Some(dir.path().join("Test")));
        assert_eq!((child(dir.path(), "TEST"), child(dir.path(), "train")), (None, None), "two, none");
    }

    #[test]
    fn names_lose_the_extensions_of_images_only() {
        for (name, stem) in [("a.png", "a"), ("a.TIFF", "a"), ("a.v2", "a.v2"), ("a", "a"), ("a.txt", "a.txt")] {
            assert_eq!(without_extension(name), stem);
        }
        assert!([".ipynb_checkpoints", "._a.xml", "__MACOSX"].into_iter().all(is_hidden) && !is_hidden("a"));
    }
}
