use std::collections::HashMap;
use std::path::{Path, PathBuf};

use panelqc::{printable, sha256_hex};

/// Bytes of a part of an id, and of a whole one, that go into a path as they are: file systems take 255 and, on
/// Windows, 260 with the folder.
const MAX_PART: usize = 120;
const MAX_ID: usize = 180;

/// Where the pictures of panels lie below a folder: `FOLDER/ID.png`, each part of the id a folder. No two panels share
/// a picture, and none lies outside the folder, on Linux, macOS and Windows.
///
/// Ids that cannot be paths there (too long, with `..`, `:` or `~`, reserved as `NUL` is, with a folder called like a
/// picture), and those that differ from another one in nothing but capitals, have pictures of the form `NAME~HASH.png`
/// directly in the folder. Frames of a panel of several are counted from 0: `ID~0.png`.
///
/// ```
/// use panelqc_report::OverlayPaths;
///
/// let paths = OverlayPaths::new("overlays", ["lot 7/a", "..", "B", "b"]);
/// assert_eq!(paths.of("lot 7/a", None), std::path::Path::new("overlays/lot 7/a.png"));
/// assert_eq!(paths.of("..", None), std::path::Path::new("overlays/..~5ec1f7e700f37c3d.png"));
/// assert_ne!(paths.of("B", Some(1)), paths.of("b", Some(1)));
/// ```
#[derive(Debug, Clone)]
pub struct OverlayPaths {
    folder: PathBuf,
    /// How many ids there are in lower case, where it is more than one.
    crowded: HashMap<String, usize>,
}

impl OverlayPaths {
    /// Paths in `folder` for panels with these ids, each given once.
    pub fn new<'a>(folder: impl Into<PathBuf>, ids: impl IntoIterator<Item = &'a str>) -> Self {
        let mut crowded: HashMap<String, usize> = HashMap::new();
        for id in ids {
            *crowded.entry(id.to_lowercase()).or_default() += 1;
        }
        crowded.retain(|_, ids| *ids > 1);
        OverlayPaths { folder: folder.into(), crowded }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The picture of a panel, or of one of its several frames.
    pub fn of(&self, panel: &str, frame: Option<usize>) -> PathBuf {
        let plain = is_plain(panel) && !self.crowded.contains_key(&panel.to_lowercase());
        let name =
            if plain { panel.to_owned() } else { format!("{}~{}", short(panel), &sha256_hex(panel.as_bytes())[..16]) };
        let frame = frame.map_or_else(String::new, |frame| format!("~{frame}"));
        let mut path = self.folder.clone();
        path.extend(format!("{name}{frame}.png").split('/'));
        path
    }
}

/// Whether an id is a path that every system takes, and that no other id becomes.
fn is_plain(id: &str) -> bool {
    let folder_like_a_picture = |part: &str| part.to_ascii_lowercase().ends_with(".png");
    let folders = id.rsplit_once('/').map_or("", |(folders, _)| folders);
    id.len() <= MAX_ID && id.split('/').all(is_plain_part) && !folders.split('/').any(folder_like_a_picture)
}

fn is_plain_part(part: &str) -> bool {
    let device = part.split('.').next().unwrap_or(part).trim_end().to_ascii_uppercase();
    let numbered = |name: &str| device.strip_prefix(name).is_some_and(|rest| rest.chars().count() == 1);
    let reserved = matches!(device.as_str(), "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT");
    !part.is_empty() && part.len() <= MAX_PART && !reserved && part.chars().all(is_plain_char)
        // Windows takes these away at the end.
        && !part.ends_with(['.', ' '])
}

fn is_plain_char(c: char) -> bool {
    !matches!(c, '<' | '>' | ':' | '"' | '\\' | '|' | '?' | '*' | '~')
        && printable(c.encode_utf8(&mut [0; 4])).len() == c.len_utf8()
}

/// The beginning of an id, as far as a file can be called like it.
fn short(id: &str) -> String {
    let mut name: String = id.chars().map(|c| if c != '/' && is_plain_char(c) { c } else { '_' }).collect();
    let mut end = name.len().min(MAX_PART / 2);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_panels_share_a_picture_and_none_leaves_the_folder() {
        let long = "x".repeat(300);
        let replaced = "\u{fffd}".repeat(120);
        let ids = [
            "a",
            "A",
            "a/b",
            "a.png/b",
            "a/..",
            "a/.",
            "..",
            ".",
            "",
            "/",
            "a//b",
            "a/../b",
            "../a",
            "/a",
            "a.0",
            "a~0",
            "nul",
            "NUL.txt",
            "com1",
            "lot/aux",
            "a.",
            "a ",
            "x:y",
            "x*y",
            "x\\y",
            "x\u{1b}y",
            "x\u{202e}y",
            &long,
            &replaced,
            "b",
            "b.png",
            "b.png/c",
            "B.PNG/c",
            "b/c",
        ];
        let paths = OverlayPaths::new("out", ids);
        let mut seen = HashSet::new();
        for id in ids {
            for frame in [None, Some(0), Some(1)] {
                let path = paths.of(id, frame);
                let parts: Vec<_> = path.strip_prefix("out").unwrap().iter().map(|p| p.to_str().unwrap()).collect();
                assert!(parts.iter().all(|part| part.len() < 200 && *part != ".." && !part.contains(['\u{1b}', ':'])));
                assert!(
                    parts[..parts.len() - 1].iter().all(|folder| !folder.to_lowercase().ends_with(".png")),
                    "{path:?}"
                );
                assert!(seen.insert(path.to_str().unwrap().to_lowercase()), "{id:?}: {path:?}");
            }
        }
    }

    #[test]
    fn usual_ids_are_paths() {
        let paths = OverlayPaths::new("o", ["lot 7/cell_01", "cell.v2", "1.png", "面板"]);
        for (id, path) in [
            ("lot 7/cell_01", "o/lot 7/cell_01.png"),
            ("cell.v2", "o/cell.v2.png"),
            ("1.png", "o/1.png.png"),
            ("面板", "o/面板.png"),
        ] {
            assert_eq!(paths.of(id, None), Path::new(path));
        }
        assert_eq!(paths.of("cell.v2", Some(3)), Path::new("o/cell.v2~3.png"));
    }
}
