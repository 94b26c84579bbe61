use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use super::panel::{PanelFiles, PanelInput};
use super::walk::{EXTENSIONS, Found, ImageFile, LeftOut, Named, Walk, stem};
use crate::error::{Error, ErrorKind, Result};

/// Finds the panels below `inputs`, in order. A folder is walked recursively in name order, and a panel's id is the
/// path below that folder without extension, with `/` between its parts; a file given by name has its stem as id. Where
/// several files would have the same id, the first keeps it. The others are told apart by their extension (`1.png`
/// beside `1.jpg`), or by as many of their folders as it takes (`B/1` after `A/1.png`).
///
/// In a folder, a file is an image by its extension (`png`, `jpg`, `jpeg`, `tif`, `tiff`, `bmp`, `webp`) or by its
/// first bytes. What is left out is counted: hidden files and folders, those of systems (`.ipynb_checkpoints`,
/// `@eaDir`, `__MACOSX`, ...), files that are no images, and files that were found before. A file given by name is
/// inspected whatever it is.
///
/// With `reference`, each image `X_test.*` (or `X.*`) is paired with `X_temp.*` (or `X.*`) of that folder: by relative
/// path first, then by file name anywhere below it. A file that serves as a reference is not inspected itself.
///
/// An image without a reference, a link that leads nowhere, a pipe, socket or device called like an image, and a folder
/// below the input that cannot be read keep their place as [`PanelInput::Missing`], which becomes an error of its own.
///
/// # Errors
/// [`ErrorKind::Io`](crate::ErrorKind::Io) when a folder among the inputs, or one of references, cannot be read,
/// [`ErrorKind::Argument`](crate::ErrorKind::Argument) when no image is found.
pub fn find_panels(inputs: &[PathBuf], reference: Option<&Path>) -> Result<FoundPanels> {
    let mut left_out = LeftOut::default();
    let mut images = Vec::new();
    for input in inputs {
        if input.is_dir() {
            let walk = Walk::below(input)?;
            left_out.extend(walk.left_out);
            images.extend(walk.found);
        } else {
            // A file that was named is inspected whatever it is called; if it cannot be read, that is its result.
            let image = ImageFile { id: stem(input), path: input.clone() };
            images.push(Found { image, problem: None });
        }
    }
    if inputs.len() > 1 {
        once(&mut images, &mut left_out.twice);
    }
    let images = match reference {
        None => images.into_iter().map(|image| (image, None)).collect(),
        Some(folder) => pair(images, &References::new(folder)?),
    };
    let mut ids = Ids::default();
    let mut panels = Vec::with_capacity(images.len());
    for (Found { image, problem }, reference) in images {
        let Some(id) = ids.of(&image) else {
            left_out.twice.add(&image.path);
            continue;
        };
        let path = image.path;
        panels.push(match (problem, reference) {
            (Some(problem), _) => {
                let (kind, expected) = (problem.kind, problem.expected.to_owned());
                PanelInput::Missing { id, image: path, kind, expected, found: problem.found }
            }
            (None, None) => PanelFiles::from_files(id, vec![path]).into(),
            (None, Some(Ok(reference))) => PanelFiles::from_files(id, vec![path]).with_reference(reference).into(),
            (None, Some(Err((expected, found)))) => {
                PanelInput::Missing { id, image: path, kind: ErrorKind::MissingReference, expected, found }
            }
        });
    }
    if panels.is_empty() {
        let places: Vec<_> = inputs.iter().map(|p| p.display().to_string()).collect();
        let found = if left_out.is_empty() { String::new() } else { format!(" ({left_out})") };
        return Err(Error::argument(format!(
            "expected images ({}), found none in {}{found}",
            EXTENSIONS.join(", "),
            places.join(", ")
        )));
    }
    Ok(FoundPanels { panels, left_out })
}

/// What [`find_panels`] found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FoundPanels {
    /// The panels, in order, at least one, each with an id of its own.
    pub panels: Vec<PanelInput>,
    /// What is below the folders and is not among them.
    pub left_out: LeftOut,
}

impl IntoIterator for FoundPanels {
    type Item = PanelInput;
    type IntoIter = std::vec::IntoIter<PanelInput>;

    fn into_iter(self) -> Self::IntoIter {
        self.panels.into_iter()
    }
}

/// Leaves out what has been found before under the same path: folders that overlap.
fn once(images: &mut Vec<Found>, twice: &mut Named) {
    let mut seen = HashSet::new();
    images.retain(|found| {
        let new = seen.insert(found.image.path.clone());
        if !new {
            twice.add(&found.image.path);
        }
        new
    });
}

/// The ids that are taken, and by which file.
#[derive(Default)]
struct Ids(HashMap<String, PathBuf>);

impl Ids {
    /// An id of its own for this file; `None` where it is the same file as one that has its id.
    fn of(&mut self, image: &ImageFile) -> Option<String> {
        let id = match self.0.get(&image.id) {
            None => image.id.clone(),
            Some(first) if canonical(first) == canonical(&image.path) => return None,
            Some(first) => {
                let beside = first.parent() == image.path.parent();
                let free = |id: &String| !self.0.contains_key(id);
                let others = with_extension(image).filter(|_| beside).into_iter().chain(with_folders(image));
                let counted = (2..).map(|number| format!("{}#{number}", image.id));
                others.chain(counted).find(free)?
            }
        };
        self.0.insert(id.clone(), image.path.clone());
        Some(id)
    }
}

fn with_extension(image: &ImageFile) -> Option<String> {
    let name = image.path.file_name()?.to_string_lossy();
    Some(match image.id.rsplit_once('/') {
        Some((folders, _)) => format!("{folders}/{name}"),
        None => name.into_owned(),
    })
}

/// The id with one more of the folders that the file is in, then with two, and so on.
fn with_folders(image: &ImageFile) -> impl Iterator<Item = String> {
    let folders = image.path.parent().into_iter().flat_map(Path::components).filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    });
    let mut folders: Vec<String> = folders.collect();
    // Those that the id has already.
    folders.truncate(folders.len().saturating_sub(image.id.matches('/').count()));
    let mut id = image.id.clone();
    std::iter::from_fn(move || {
        id = format!("{}/{id}", folders.pop()?);
        Some(id.clone())
    })
}

type Reference = std::result::Result<PathBuf, (String, String)>;

fn pair(images: Vec<Found>, references: &References) -> Vec<(Found, Option<Reference>)> {
    let paired: Vec<_> = images
        .into_iter()
        .map(|found| {
            let reference = references.of(&found.image);
            (found, reference)
        })
        .collect();
    let used: HashSet<PathBuf> =
        paired.iter().filter_map(|(_, r)| r.as_ref().ok()).map(|path| canonical(path)).collect();
    let inspected = paired.into_iter().filter(|(found, _)| !used.contains(&canonical(&found.image.path)));
    inspected.map(|(found, reference)| (found, Some(reference))).collect()
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
        for Found { image, problem } in Walk::below(folder)?.found {
            // What is in there is missed by the images that it belongs to.
            if problem.is_some_and(|problem| problem.folder) {
                continue;
            }
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
    use crate::frame::walk::tests::tree;
    use std::fs;

    fn describe(found: &FoundPanels) -> Vec<String> {
        let panels = found.panels.iter();
        panels
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
    #[cfg(unix)]
    fn what_is_wrong_among_references_costs_no_other_image_its_own() {
        use std::os::unix::fs::symlink;
        let (images, refs) = (tree(&["a.png", "b.png"]), tree(&["a.png"]));
        symlink(".", refs.path().join("loop")).unwrap();
        symlink("gone", refs.path().join("b.png")).unwrap();
        let panels = find_panels(&[images.path().to_path_buf()], Some(refs.path())).unwrap();
        assert_eq!(describe(&panels), ["a -> a.png", "b -> b.png"]);
    }

    #[test]
    fn an_image_is_never_its_own_reference() {
        let dir = tree(&["a.png"]);
        let panels = find_panels(&[dir.path().to_path_buf()], Some(dir.path())).unwrap();
        assert_eq!(describe(&panels), ["a: none"]);
    }

    #[test]
    fn every_file_has_an_id_of_its_own() {
        let dir = tree(&["1.jpg", "1.png", "1.tif", "a/1.png", "b/1.png", "b/1/x.png"]);
        let path = |file: &str| dir.path().join(file);
        let ids = |inputs: &[PathBuf]| {
            let found = find_panels(inputs, None).unwrap();
            found.panels.iter().map(|panel| panel.id().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(ids(&[path("")]), ["1", "1.png", "1.tif", "a/1", "b/1/x", "b/1"]);
        assert_eq!(ids(&[path("a"), path("b")]), ["1", "1/x", "b/1"]);
        assert_eq!(ids(&[path("a/1.png"), path("b/1.png"), path("1.png")]), ["1", "b/1", &ids_up(&path("1.png"))]);
    }

    /// The id of a file with the folder that it is in.
    fn ids_up(path: &Path) -> String {
        format!("{}/1", path.parent().unwrap().file_name().unwrap().to_string_lossy())
    }

    #[test]
    fn a_file_that_is_found_twice_is_inspected_once() {
        let dir = tree(&["x/a.png", "x/b.png"]);
        let path = |file: &str| dir.path().join(file);
        let found = find_panels(&[path(""), path("x"), path("x/./a.png"), path("x/a.png")], None).unwrap();
        // Under `x/` and as the file of that name they have other ids: it is the paths that are the same.
        assert_eq!(describe(&found), ["x/a -> -", "x/b -> -"]);
        assert_eq!((found.left_out.twice.count, found.left_out.hidden.count), (4, 0));
        let again = find_panels(&[path("x/a.png"), path("x/../x/a.png")], None).unwrap();
        assert_eq!((describe(&again), again.left_out.twice.count), (vec!["a -> -".to_owned()], 1));
    }

    #[test]
    #[cfg(unix)]
    fn names_that_are_no_text_are_told_apart() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tree(&[]);
        for byte in [0x80, 0x81, 0x82] {
            fs::write(dir.path().join(std::ffi::OsStr::from_bytes(&[b'p', byte, b'.', b'p', b'n', b'g'])), "x")
                .unwrap();
        }
        let found = find_panels(&[dir.path().to_path_buf()], None).unwrap();
        let ids: Vec<_> = found.panels.iter().map(PanelInput::id).collect();
        assert_eq!(ids[..2], ["p\u{fffd}", "p\u{fffd}.png"]);
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 3, "{ids:?}");
    }

    #[test]
    #[cfg(unix)]
    fn what_cannot_be_read_is_a_panel_of_its_own_error() {
        let dir = tree(&["a.png", "c.png"]);
        std::os::unix::fs::symlink("gone", dir.path().join("b.png")).unwrap();
        let found = find_panels(&[dir.path().to_path_buf()], None).unwrap();
        let PanelInput::Missing { id, kind, found: what, .. } = &found.panels[1] else { panic!("{found:?}") };
        assert!(id == "b" && *kind == ErrorKind::Io && what.contains("No such file"), "{found:?}");
        assert_eq!(found.panels.len(), 3);
    }

    #[test]
    fn an_empty_folder_is_an_error() {
        let dir = tree(&["notes.txt"]);
        let error = find_panels(&[dir.path().to_path_buf()], None).unwrap_err().to_string();
        assert!(error.contains("found none") && error.contains("1 file that is no image (notes.txt)"), "{error}");
    }
}
