use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use panelqc::{Error, Result};

use super::Sample;
use super::locate::{is_image, without_extension};
use super::text::{MOST_OF_SET, decode, quote};

/// Extensions besides those of images that a list may have behind its names.
const OTHERS: [&str; 13] =
    ["txt", "xml", "json", "csv", "npy", "npz", "raw", "dcm", "pgm", "ppm", "jp2", "heic", "avif"];

/// A list of panels, one per line: by id, by the image's file name, or by its path or the end of it, each with or
/// without extension. Empty lines and lines that start with `#` are skipped. A line that names no panel as a whole may
/// have several columns (as in the lists of DeepPCB), of which the first counts; what is in quotes is one column. A
/// `_test` at the end of a name may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The lines with their numbers, from 1; each once.
    lines: Vec<(usize, String)>,
    /// The folder of the list, which its paths may be given from.
    folder: PathBuf,
}

impl Split {
    /// Reads a list.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](panelqc::ErrorKind::Io) when the file cannot be read,
    /// [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) when it is no text or too large.
    pub fn load(path: &Path) -> Result<Self> {
        // A list may also come from another program, through a pipe.
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MOST_OF_SET).read_to_end(&mut bytes));
        read.map_err(Error::io("reading", path))?;
        let text = decode(path, bytes)?;
        let mut seen = BTreeSet::new();
        let lines = text.lines().map(str::trim).enumerate();
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#') && seen.insert(*line));
        Ok(Split {
            lines: lines.map(|(number, line)| (number + 1, line.to_owned())).collect(),
            folder: path.parent().unwrap_or(Path::new("")).to_path_buf(),
        })
    }

    /// Number of panels on it.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether it names none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The samples that it names, in their order.
    ///
    /// # Errors
    /// [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) when it names a panel that the set does not have, or one by a
    /// name that several have; the message shows what an id of the set looks like.
    pub fn select(&self, samples: Vec<Sample>, list: &Path) -> Result<Vec<Sample>> {
        let index = Index::new(&samples);
        let mut chosen = vec![false; samples.len()];
        let mut missing = Vec::new();
        for (number, line) in &self.lines {
            match index.find(line, &self.folder) {
                Search::Found(at) => at.into_iter().for_each(|at| chosen[at] = true),
                Search::Several(at) => {
                    let ids: Vec<&str> = at.iter().map(|&at| samples[at].files.id.as_str()).collect();
                    let found = format!("{}, which is the end of {}", quote(line), ids.join(" and of "));
                    return Err(Error::labels(list, Some(*number), "the name of one panel", found));
                }
                Search::None => missing.push((*number, line)),
            }
        }
        if let [(number, first), ..] = missing[..] {
            let example = samples.first().map(|sample| format!(", such as `{}`", sample.files.id)).unwrap_or_default();
            let expected = format!("panels of the data set{example}");
            let found = format!("{} that it does not have, the first {}", missing.len(), quote(first));
            return Err(Error::labels(list, Some(number), expected, found));
        }
        let mut chosen = chosen.into_iter();
        Ok(samples.into_iter().filter(|_| chosen.next().unwrap_or_default()).collect())
    }
}

enum Search {
    Found(Vec<usize>),
    /// The first two of several panels.
    Several([usize; 2]),
    None,
}

/// Samples by what a list may call them.
struct Index {
    ids: HashMap<String, Vec<usize>>,
    /// By id without `_test`.
    keys: HashMap<String, Vec<usize>>,
    /// By file name without extension and `_test`: the parts of the path above it, from the file up.
    names: HashMap<String, Vec<(usize, Vec<String>)>>,
}

impl Index {
    fn new(samples: &[Sample]) -> Self {
        let mut index = Index { ids: HashMap::new(), keys: HashMap::new(), names: HashMap::new() };
        for (at, sample) in samples.iter().enumerate() {
            let id = &sample.files.id;
            index.ids.entry(id.clone()).or_default().push(at);
            index.keys.entry(key(id).to_owned()).or_default().push(at);
            for frame in &sample.files.frames {
                let mut parts = parts(&std::path::absolute(frame).unwrap_or_else(|_| frame.clone()).to_string_lossy());
                if let Some(name) = parts.pop() {
                    parts.reverse();
                    index.names.entry(key(bare(&name)).to_owned()).or_default().push((at, parts));
                }
            }
        }
        index
    }

    /// The panel that a line names.
    fn find(&self, line: &str, folder: &Path) -> Search {
        let quoted = line.strip_prefix('"').and_then(|rest| rest.split_once('"')).map(|(inside, _)| inside);
        let first = line.split([' ', '\t', ',', ';']).next().filter(|first| *first != line);
        for name in [Some(line), quoted, first].into_iter().flatten() {
            match self.find_name(name, folder) {
                Search::None => {}
                found => return found,
            }
        }
        Search::None
    }

    fn find_name(&self, name: &str, folder: &Path) -> Search {
        let parts = parts(name);
        let Some((last, above)) = parts.split_last() else { return Search::None };
        let whole = parts.join("/");
        let ids = [whole.as_str(), bare(&whole)];
        let by_key = || ids.iter().find_map(|id| self.keys.get(key(id)));
        if let Some(found) = ids.iter().find_map(|id| self.ids.get(*id)).or_else(by_key) {
            return Search::Found(found.clone());
        }
        let names = [bare(last), last];
        let candidates = names.into_iter().find_map(|name| self.names.get(key(name))).map_or(&[][..], Vec::as_slice);
        // Given from where the list lies, from where the program runs, or from further up or down.
        let absolute = |from: &Path| {
            std::path::absolute(from.join(above.join("/"))).map(|path| self::parts(&path.to_string_lossy()))
        };
        let ends = [absolute(folder).ok(), absolute(Path::new("")).ok(), Some(above.to_vec())];
        for end in ends.into_iter().flatten() {
            let fits = |(_, path): &&(usize, Vec<String>)| {
                path.len() >= end.len() && end.iter().rev().zip(path).all(|(a, b)| a == b)
            };
            let mut fitting = candidates.iter().filter(fits).map(|(at, _)| *at);
            match (fitting.next(), fitting.next()) {
                (Some(at), None) => return Search::Found(vec![at]),
                (Some(first), Some(second)) => return Search::Several([first, second]),
                (None, _) => {}
            }
        }
        Search::None
    }
}

/// The parts of a path of any system, without `.`, and without `..` and what it leads out of.
fn parts(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in path.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part.to_owned()),
        }
    }
    parts
}

/// A name without the extension of an image or of what belongs to one; an id may have other dots.
fn bare(name: &str) -> &str {
    let other = name.rsplit_once('.').filter(|(_, e)| OTHERS.iter().any(|known| known.eq_ignore_ascii_case(e)));
    if is_image(name) { without_extension(name) } else { other.map_or(name, |(stem, _)| stem) }
}

fn key(id: &str) -> &str {
    id.strip_suffix("_test").unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Label;
    use std::fs;

    /// The ids that a list chooses of a set below a folder; `HERE` in the list is that folder.
    fn select(list: impl AsRef<[u8]>, files: &[(&str, &str)]) -> std::result::Result<Vec<String>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.txt");
        let bytes = String::from_utf8(list.as_ref().to_vec());
        let bytes = bytes
            .map_or(list.as_ref().to_vec(), |text| text.replace("HERE", &dir.path().to_string_lossy()).into_bytes());
        fs::write(&path, bytes).unwrap();
        let sample = |(id, file): &(&str, &str)| {
            Sample::of_image((*id).to_owned(), dir.path().join(file), Label::Probability(0.0))
        };
        let samples: Vec<Sample> = files.iter().map(sample).collect();
        let split = Split::load(&path).map_err(|e| e.to_string())?;
        let chosen = split.select(samples, &path).map_err(|e| e.to_string())?;
        Ok(chosen.into_iter().map(|sample| sample.files.id).collect())
    }

    const SET: [(&str, &str); 4] = [
        ("val/a", "images/val/a.png"),
        ("val/b c", "images/val/b c.tif"),
        ("train/d.v2", "images/train/d.v2.JPG"),
        ("train/e_test", "images/train/e_test.jpg"),
    ];

    #[test]
    fn panels_are_named_in_many_ways() {
        for list in [
            "val/a\nval/b c\n",
            "val/a.png\nval/b c.tif\n",
            "\u{feff}val/a.PNG\r\n\r\n# the second\r\nval/b c.TIFF\r\n",
            "./val/a.jpeg\n./val/b c.bmp\n",
            ".\\val\\a.png\nval\\b c.tif\n",
            "a\nb c\n",
            "a.png\n\"b c.tif\"\n",
            "\"val/a\"\n\"val/b c\" \"labels/b c.txt\"\n",
            "images/val/a.png\nimages/val/b c.tif\n",
            "./images/val/a.png\nHERE/images/val/b c.tif\n",
            "val/a.png labels/val/a.txt\nval/b c\nval/b c\n",
            "val/a,1\nval/b c\n",
            "val/a.txt\nval/b c.xml\n",
        ] {
            assert_eq!(select(list, &SET).unwrap(), ["val/a", "val/b c"], "{list}");
        }
        let utf16: Vec<u8> = "\u{feff}val/a\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(select(utf16, &SET).unwrap(), ["val/a"]);
        for list in
            ["train/d.v2\ntrain/e\n", "train/d.v2.jpg\ntrain/e.jpg\n", "d.v2\ne_test.jpg\n", "d.v2.png\ne.jpg e.txt"]
        {
            assert_eq!(select(list, &SET).unwrap(), ["train/d.v2", "train/e_test"], "{list}");
        }
        assert_eq!(select("a.png\n", &[("a.png", "a.png"), ("a.bmp", "a.bmp")]).unwrap(), ["a.png"]);
        assert_eq!(select("# none\n", &SET).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn an_error_shows_what_an_id_looks_like() {
        for (list, says) in [
            (
                "val/a\nval/x.png\ny\n",
                "list.txt:2: expected panels of the data set, such as `val/a`, found 2 that it does not have, the first \
                 `val/x.png`",
            ),
            ("train/a\n", "list.txt:1: expected panels of the data set, such as `val/a`"),
            ("other/images/val/a.png\n", "found 1 that it does not have"),
        ] {
            let message = select(list, &SET).unwrap_err();
            assert!(message.contains(says), "{message}");
        }
        let two = [("x/a", "x/a.png"), ("y/a", "y/a.png")];
        let message = select("a\n", &two).unwrap_err();
        assert!(
            message
                .contains("list.txt:1: expected the name of one panel, found `a`, which is the end of x/a and of y/a"),
            "{message}"
        );
        assert!(select(b"\xcf\xdd\n", &two).unwrap_err().contains("expected text in UTF-8"));
    }
}
