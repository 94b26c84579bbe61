use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::content::{PICTURE_HEAD, is_picture};
use crate::error::{Error, ErrorKind, Result};
use crate::printable::printable;

/// Endings of images. A file that has one is an image, and if it cannot be read that is its result; any other file is
/// one if it begins like one.
pub(super) const EXTENSIONS: [&str; 7] = ["png", "jpg", "jpeg", "tif", "tiff", "bmp", "webp"];

/// What systems and programs leave beside images, in lower case. So is what begins with a dot.
const SIDE: [&str; 12] = [
    "__macosx",
    "@eadir",
    "@tmp",
    "#recycle",
    "@recycle",
    "#snapshot",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
];

/// Names that are listed of what was left out.
const LISTED: usize = 3;

/// An image file below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageFile {
    /// The path below the folder without extension, with `/` between its parts.
    pub id: String,
    /// The file.
    pub path: PathBuf,
}

/// What a search of folders left out. As text it counts and names them: `left out 2 hidden files and folders, and those
/// of systems (.hidden, @eaDir); 1 file that is no image (notes.txt)`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LeftOut {
    /// Hidden files and folders, whose names begin with a dot, and those that systems leave beside images: `__MACOSX`,
    /// `@eaDir`, `Thumbs.db` and the like. A folder counts once, whatever is in it.
    pub hidden: Named,
    /// Files that neither have the extension of an image nor begin like one.
    pub other: Named,
    /// Files that were found before, under another input.
    pub twice: Named,
}

/// How many there are, with the names of the first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Named {
    /// Their number.
    pub count: usize,
    /// The first of them, at most three.
    pub names: Vec<String>,
}

/// The image files below a folder, walked recursively in name order; links to folders are followed. A file is an image
/// by its extension (`png`, `jpg`, `jpeg`, `tif`, `tiff`, `bmp`, `webp`, in any case) or by its first bytes. Hidden
/// files and folders, and those of systems, are left out. An empty folder has none, which is no error here.
///
/// [`find_panels`](crate::find_panels) makes panels of them; this is for readers of labelled data, which pair files
/// with labels themselves.
///
/// # Errors
/// [`ErrorKind::Io`](crate::ErrorKind::Io) when a folder cannot be read, or a link leads back into a folder that it is
/// in.
pub fn find_images(folder: &Path) -> Result<Vec<ImageFile>> {
    let walk = Walk::below(folder)?;
    let mut images = Vec::with_capacity(walk.found.len());
    for Found { image, problem } in walk.found {
        match problem {
            Some(problem) if problem.folder => return Err(problem.of(&image.path)),
            // Whoever reads it gets the error.
            _ => images.push(image),
        }
    }
    Ok(images)
}

/// An image, or what stands in its place.
pub(super) struct Found {
    pub(super) image: ImageFile,
    /// Why it cannot be read, where that was seen without opening it.
    pub(super) problem: Option<Problem>,
}

/// Why something below a folder cannot be read.
pub(super) struct Problem {
    pub(super) kind: ErrorKind,
    pub(super) expected: &'static str,
    pub(super) found: String,
    /// Whether it is a folder: nobody knows what is in it.
    pub(super) folder: bool,
}

impl Problem {
    fn of(self, path: &Path) -> Error {
        Error::image(path.display(), self.expected, self.found).with_kind(self.kind)
    }
}

/// A folder that was walked.
#[derive(Default)]
pub(super) struct Walk {
    /// In name order.
    pub(super) found: Vec<Found>,
    pub(super) left_out: LeftOut,
}

impl Walk {
    /// Walks a folder. What cannot be read below it takes its place in the list.
    pub(super) fn below(folder: &Path) -> Result<Self> {
        let mut walk = Walk::default();
        walk.folder(folder, folder, &mut Vec::new()).map_err(Error::io("reading", folder))?;
        Ok(walk)
    }

    /// Walks `folder`, which lies below `root`; `above` are the folders that it is in, without links.
    fn folder(&mut self, root: &Path, folder: &Path, above: &mut Vec<PathBuf>) -> io::Result<()> {
        let real = folder.canonicalize()?;
        if above.contains(&real) {
            return Err(io::Error::other("a link to a folder that it is in"));
        }
        let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        above.push(real);
        for entry in entries {
            self.entry(root, entry.path(), &entry.file_name(), above);
        }
        above.pop();
        Ok(())
    }

    fn entry(&mut self, root: &Path, path: PathBuf, name: &OsStr, above: &mut Vec<PathBuf>) {
        let below = path.strip_prefix(root).unwrap_or(&path);
        if is_side(name) {
            return self.left_out.hidden.add(below);
        }
        let known = path.extension().and_then(OsStr::to_str);
        let known = known.is_some_and(|e| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known)));
        let id = id_below(below);
        let found = |problem| self.found.push(Found { image: ImageFile { id, path: path.clone() }, problem });
        let unreadable = |e: io::Error, expected, folder| {
            Some(Problem { kind: ErrorKind::Io, expected, found: e.to_string(), folder })
        };
        // What the entry is, or what it links to.
        match fs::metadata(&path) {
            Ok(kind) if kind.is_dir() => {
                if let Err(e) = self.folder(root, &path, above) {
                    let problem = unreadable(e, "a folder that can be read", true);
                    let id = below.iter().map(OsStr::to_string_lossy).collect::<Vec<_>>().join("/");
                    self.found.push(Found { image: ImageFile { id, path: path.clone() }, problem });
                }
            }
            Ok(kind) if kind.is_file() && (known || begins_as_image(&path)) => found(None),
            Ok(kind) if known => {
                let (kind, special) = (ErrorKind::Unsupported, special(kind.file_type()).to_owned());
                found(Some(Problem { kind, expected: A_FILE, found: special, folder: false }));
            }
            Err(e) if known => found(unreadable(e, "a file that can be read", false)),
            Ok(_) | Err(_) => self.left_out.other.add(below),
        }
    }
}

impl LeftOut {
    /// Whether nothing was left out.
    pub fn is_empty(&self) -> bool {
        [&self.hidden, &self.other, &self.twice].iter().all(|named| named.count == 0)
    }

    pub(super) fn extend(&mut self, more: LeftOut) {
        self.hidden.extend(more.hidden);
        self.other.extend(more.other);
        self.twice.extend(more.twice);
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            (
                &self.hidden,
                "hidden file or folder, or one of a system",
                "hidden files and folders, and those of systems",
            ),
            (&self.other, "file that is no image", "files that are no images"),
            (&self.twice, "file that was found before", "files that were found before"),
        ];
        let parts = words.iter().filter(|(named, ..)| named.count > 0).map(|(named, one, several)| {
            let names = named.names.iter().map(|name| printable(name)).collect::<Vec<_>>().join(", ");
            let more = match named.count - named.names.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("{} {} ({names}{more})", named.count, if named.count == 1 { one } else { several })
        });
        write!(f, "left out {}", parts.collect::<Vec<_>>().join("; "))
    }
}

impl Named {
    pub(super) fn add(&mut self, path: &Path) {
        self.count += 1;
        if self.names.len() < LISTED {
            self.names.push(path.display().to_string());
        }
    }

    fn extend(&mut self, more: Named) {
        self.count += more.count;
        let room = LISTED - self.names.len().min(LISTED);
        self.names.extend(more.names.into_iter().take(room));
    }
}

/// A path below a folder without its extension, with `/` between its parts.
fn id_below(below: &Path) -> String {
    let folders = below.parent().into_iter().flat_map(Path::iter).map(|part| part.to_string_lossy().into_owned());
    folders.chain([stem(below)]).collect::<Vec<_>>().join("/")
}

/// The name of a file without its extension; all of it where nothing but dots would be left.
pub(super) fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    let stem = path.file_stem().unwrap_or(name).to_string_lossy();
    if stem.chars().all(|c| c == '.') { name.to_string_lossy().into_owned() } else { stem.into_owned() }
}

/// What an image has to be, for messages.
pub(super) const A_FILE: &str = "a regular file";

/// What something is that is no regular file: opening it could wait forever.
pub(super) fn special(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    if kind.is_dir() { "a folder" } else { "something else" }
}

fn is_side(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with('.') || SIDE.contains(&name.to_lowercase().as_str())
}

fn begins_as_image(path: &Path) -> bool {
    let mut start = Vec::with_capacity(PICTURE_HEAD);
    let read = File::open(path).and_then(|file| file.take(PICTURE_HEAD as u64).read_to_end(&mut start));
    read.is_ok() && is_picture(&start)
}

#[cfg(test)]
pub(super) mod tests;
