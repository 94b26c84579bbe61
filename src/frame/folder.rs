use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::panel::{PanelFiles, PanelInput};
use crate::error::{Error, ErrorKind, Result};

const EXTENSIONS: [&str; 7] = ["png", "jpg", "jpeg", "tif", "tiff", "bmp", "webp"];

/// Finds the panels below `inputs`, in order. A folder is walked recursively in name order, and a panel's id is the
/// path below that folder without extension, with `/` between its parts; a file given by name has its stem as id.
///
/// With `reference`, each image `X_test.*` (or `X.*`) is paired with `X_temp.*` (or `X.*`) of that folder: by relative
/// path first, then by file name anywhere below it. A file that serves as a reference is not inspected itself. An
/// image without a reference, or whose id another image already has, keeps its place as [`PanelInput::Missing`].
///
/// # Errors
/// [`ErrorKind::Io`](crate::ErrorKind::Io) when an input or a folder cannot be read,
/// [`ErrorKind::Argument`](crate::ErrorKind::Argument) when no image is found.
pub fn find_panels(inputs: &[PathBuf], reference: Option<&Path>) -> Result<Vec<PanelInput>> {
    let mut images = Vec::new();
    for input in inputs {
        if input.is_dir() {
            images.extend(find_images(input)?);
        } else {
            // A file that was named is inspected whatever it is called; if it cannot be read, that is its result.
            let id = input.file_stem().unwrap_or(input.as_os_str()).to_string_lossy().into_owned();
            images.push(ImageFile { id, path: input.clone() });
        }
    }
    let panels = match reference {
        None => images.into_iter().map(|image| (image.id, image.path, None)).collect(),
        Some(folder) => pair(images, &References::new(folder)?),
    };
    if panels.is_empty() {
        let places: Vec<_> = inputs.iter().map(|p| p.display().to_string()).collect();
        return Err(Error::argument(format!(
            "expected images ({}), found none in {}",
            EXTENSIONS.join(", "),
            places.join(", ")
        )));
    }
    let mut seen: HashMap<String, PathBuf> = HashMap::new();
    Ok(panels
        .into_iter()
        .map(|(id, path, reference)| {
            if let Some(first) = seen.get(&id) {
                let found = format!("the id `{id}` twice: {} has it too", first.display());
                let (kind, expected) = (ErrorKind::Frame, "an id of its own".to_owned());
                return PanelInput::Missing { id, image: path, kind, expected, found };
            }
            seen.insert(id.clone(), path.clone());
            match reference {
                None => PanelFiles::from_files(id, vec![path]).into(),
                Some(Ok(reference)) => PanelFiles::from_files(id, vec![path]).with_reference(reference).into(),
                Some(Err((expected, found))) => {
                    let kind = ErrorKind::MissingReference;
                    PanelInput::Missing { id, image: path, kind, expected, found }
                }
            }
        })
        .collect())
}

/// An image file below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageFile {
    /// The path below the folder without extension, with `/` between its parts.
    pub id: String,
    /// The file.
    pub path: PathBuf,
}

/// The image files below a folder, walked recursively in name order; links to folders are followed. A file counts by
/// its extension (`png`, `jpg`, `jpeg`, `tif`, `tiff`, `bmp`, `webp`, in any case). An empty folder has none, which is
/// no error here.
///
/// [`find_panels`] makes panels of them; this is for readers of labelled data, which pair files with labels themselves.
///
/// # Errors
/// [`ErrorKind::Io`](crate::ErrorKind::Io) when a folder cannot be read, or a link leads back into a folder that it is
/// in.
pub fn find_images(folder: &Path) -> Result<Vec<ImageFile>> {
    let mut images = Vec::new();
    walk(folder, &mut Vec::new(), &mut |path| {
        let below = path.strip_prefix(folder).unwrap_or(path).with_extension("");
        let id = below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
        images.push(ImageFile { id, path: path.to_path_buf() });
    })?;
    Ok(images)
}

/// Gives `found` each image file below a folder; `above` are the folders that it is in, without links.
fn walk(folder: &Path, above: &mut Vec<PathBuf>, found: &mut impl FnMut(&Path)) -> Result<()> {
    let real = folder.canonicalize().map_err(Error::io("reading", folder))?;
    if above.contains(&real) {
        return Err(Error::io("reading", folder)(io::Error::other("a link to a folder that it is in")));
    }
    above.push(real);
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = entries.map_err(Error::io("reading", folder))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let extension = path.extension().and_then(|e| e.to_str());
        let known = extension.is_some_and(|e| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known)));
        // What the entry is, or what it links to.
        match fs::metadata(&path) {
            Ok(kind) if kind.is_dir() => walk(&path, above, found)?,
            Ok(kind) if kind.is_file() && known => found(&path),
            Ok(_) => {}
            Err(source) if known => return Err(Error::io("reading", &path)(source)),
            Err(_) => {}
        }
    }
    above.pop();
    Ok(())
}

type Reference = std::result::Result<PathBuf, (String, String)>;

fn pair(images: Vec<ImageFile>, references: &References) -> Vec<(String, PathBuf, Option<Reference>)> {
    let paired: Vec<_> = images
        .into_iter()
        .map(|image| {
            let reference = references.of(&image);
            (image, reference)
        })
        .collect();
    let used: HashSet<PathBuf> =
        paired.iter().filter_map(|(_, r)| r.as_ref().ok()).map(|path| canonical(path)).collect();
    paired
        .into_iter()
        .filter(|(image, _)| !used.contains(&canonical(&image.path)))
        .map(|(image, reference)| (image.id, image.path, Some(reference)))
        .collect()
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// The files of a reference folder by id, and by the last part of the id.
struct References {
    folder: PathBuf,
    by_id: HashMap<String, PathBuf>,
    by_name: BTreeMap<String, Vec<PathBuf>>,
}

impl References {
    fn new(folder: &Path) -> Result<Self> {
        let mut by_id = HashMap::new();
        let mut by_name: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for image in find_images(folder)? {
            let name = image.id.rsplit('/').next().unwrap_or(&image.id).to_owned();
            by_name.entry(name).or_default().push(image.path.clone());
            // The first in name order stays: `x.jpg` before `x.png`.
            by_id.entry(image.id).or_insert(image.path);
        }
        Ok(References { folder: folder.to_path_buf(), by_id, by_name })
    }

    fn of(&self, image: &ImageFile) -> Reference {
        let base = image.id.strip_suffix("_test").unwrap_or(&image.id);
        let candidates = [format!("{base}_temp"), base.to_owned()];
        let own = canonical(&image.path);
        let other = |path: &&PathBuf| canonical(path) != own;
        if let Some(path) = candidates.iter().filter_map(|id| self.by_id.get(id)).find(other) {
            return Ok(path.clone());
        }
        let name = |id: &String| id.rsplit('/').next().unwrap_or(id).to_owned();
        for candidate in candidates.iter().map(name) {
            let found: Vec<_> = self.by_name.get(&candidate).into_iter().flatten().filter(other).collect();
            match found[..] {
                [] => {}
                [path] => return Ok(path.clone()),
                _ => {
                    return Err((
                        format!("one reference image in {}", self.folder.display()),
                        format!("{} of the name {candidate}", found.len()),
                    ));
                }
            }
        }
        Err((
            format!(
                "a reference image {} or {} in {}",
                name(&candidates[0]),
                name(&candidates[1]),
                self.folder.display()
            ),
            "none".to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        dir
    }

    fn describe(panels: &[PanelInput]) -> Vec<String> {
        panels
            .iter()
            .map(|p| match p {
                PanelInput::Files(f) => format!(
                    "{} -> {}",
                    f.id,
                    f.reference.as_ref().map_or("-".into(), |r| r.file_name().unwrap().to_string_lossy().into_owned())
                ),
                PanelInput::Missing { id, found, .. } => format!("{id}: {found}"),
                PanelInput::Loaded(_) => unreachable!(),
            })
            .collect()
    }

    #[test]
    fn folders_are_walked_in_name_order() {
        let dir = tree(&["b.png", "a/2.PNG", "a/1.jpeg", "notes.txt", "c.webp"]);
        let panels = find_panels(&[dir.path().to_path_buf()], None).unwrap();
        assert_eq!(describe(&panels), ["a/1 -> -", "a/2 -> -", "b -> -", "c -> -"]);
    }

    #[test]
    fn references_in_the_same_folder_are_paired_and_not_inspected() {
        let dir = tree(&["g/1_test.jpg", "g/1_temp.jpg", "g/2_test.jpg", "g/2_temp.png", "g/3_test.jpg"]);
        let panels = find_panels(&[dir.path().to_path_buf()], Some(dir.path())).unwrap();
        assert_eq!(describe(&panels), ["g/1_test -> 1_temp.jpg", "g/2_test -> 2_temp.png", "g/3_test: none"]);
    }

    #[test]
    fn references_elsewhere_are_found_by_path_then_by_name() {
        let images = tree(&["a/x.png", "b/x.png", "y.png", "z_test.png", "w.png"]);
        let refs = tree(&["a/x.png", "deep/y_temp.png", "q/z.png", "q/w.png", "r/w.png"]);
        let panels = find_panels(&[images.path().to_path_buf()], Some(refs.path())).unwrap();
        assert_eq!(
            describe(&panels),
            ["a/x -> x.png", "b/x -> x.png", "w: 2 of the name w", "y -> y_temp.png", "z_test -> z.png"]
        );
    }

    #[test]
    fn an_image_is_never_its_own_reference() {
        let dir = tree(&["a.png"]);
        let panels = find_panels(&[dir.path().to_path_buf()], Some(dir.path())).unwrap();
        assert_eq!(describe(&panels), ["a: none"]);
    }

    #[test]
    fn a_second_image_of_the_same_id_is_an_error_in_its_place() {
        let dir = tree(&["a.jpg", "a.png", "b.png"]);
        let panels = find_panels(&[dir.path().to_path_buf()], None).unwrap();
        assert_eq!(panels.len(), 3);
        assert!(matches!(&panels[1], PanelInput::Missing { id, .. } if id == "a"));
    }

    #[test]
    #[cfg(unix)]
    fn links_are_followed_and_a_circle_is_an_error() {
        use std::os::unix::fs::symlink;
        let (dir, other) = (tree(&["b/1.png"]), tree(&["2.png"]));
        symlink(other.path(), dir.path().join("a")).unwrap();
        symlink("gone", dir.path().join("c.txt")).unwrap();
        let ids: Vec<_> = find_images(dir.path()).unwrap().into_iter().map(|image| image.id).collect();
        assert_eq!(ids, ["a/2", "b/1"]);
        symlink(dir.path(), dir.path().join("b/back")).unwrap();
        let error = find_images(dir.path()).unwrap_err();
        assert!(error.kind() == ErrorKind::Io && error.to_string().contains("a link to a folder that it is in"));
    }

    #[test]
    fn an_empty_folder_is_an_error() {
        let dir = tree(&["notes.txt"]);
        assert!(find_panels(&[dir.path().to_path_buf()], None).unwrap_err().to_string().contains("found none"));
    }
}
