//! Folders for the tests of readers.

use std::fs;
use std::path::{Path, PathBuf};

/// A folder with these files, all of them empty.
pub(super) fn tree(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    files.iter().for_each(|file| fs::write(place(dir.path(), file), "").unwrap());
    dir
}

/// A set of images of 20x10 and text files.
pub(super) fn set(images: &[&str], texts: &[(&str, &str)]) -> tempfile::TempDir {
    let files: Vec<_> = texts.iter().map(|&(file, text)| (file, text.as_bytes())).collect();
    set_of_bytes(images, &files)
}

/// A set of images of 20x10 and files.
pub(super) fn set_of_bytes(images: &[&str], files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in images {
        image::GrayImage::new(20, 10).save(place(dir.path(), file)).unwrap();
    }
    files.iter().for_each(|(file, bytes)| fs::write(place(dir.path(), file), bytes).unwrap());
    dir
}

/// The path of a file, whose folder is made.
fn place(dir: &Path, file: &str) -> PathBuf {
    let path = dir.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    path
}
