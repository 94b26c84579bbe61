use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use panelqc::{Error, Kind, Result};

use crate::dataset::Part;
use crate::dataset::locate::names as names_in;
use crate::dataset::none_of;
use crate::dataset::text::{MOST, read_text};
use crate::dataset::yaml::{Node, Value};

/// Names of the classes, by their number.
pub(super) type Names = BTreeMap<usize, Kind>;

/// Lists of class names that tools write, one name a line.
const LISTS: [&str; 5] =
    ["classes.txt", "labels/classes.txt", "obj.names", "_darknet.labels", "predefined_classes.txt"];

/// What a set says about itself: its classes and its parts.
#[derive(Debug)]
pub(super) struct Config {
    /// The file.
    pub(super) path: PathBuf,
    pub(super) names: Names,
    /// Folders and lists of images, as they are written, of each part.
    pub(super) parts: BTreeMap<Part, Vec<String>>,
    /// Folders that they may be given from.
    pub(super) roots: Vec<PathBuf>,
}

impl Config {
    /// The configuration that `path` is, or that lies in it.
    pub(super) fn load(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            return if is_yaml(path) { Config::of_yaml(path) } else { Config::of_list(path) };
        }
        let files = names_in(path);
        let yaml: Vec<PathBuf> = files.iter().map(|name| path.join(name)).filter(|path| is_yaml(path)).collect();
        let usual = ["data.yaml", "data.yml", "dataset.yaml", "dataset.yml"].map(|name| path.join(name));
        let yaml = usual.iter().find(|path| path.is_file()).or(if let [one] = &yaml[..] { Some(one) } else { None });
        let list = || LISTS.iter().map(|name| path.join(name)).find(|list| list.is_file());
        match (yaml, list()) {
            (Some(yaml), _) => Config::of_yaml(yaml),
            (None, Some(list)) => Config::of_list(&list).map(|config| Config { roots: vec![path.into()], ..config }),
            (None, None) => Err(none_of(path, "data.yaml or classes.txt with the names of the classes")),
        }
    }

    fn of_yaml(path: &Path) -> Result<Self> {
        let text = read_text(path, MOST)?;
        let bad = |line, expected: &str, found: String| Err(Error::labels(path, line, expected, found));
        let root = match Node::parse(&text) {
            Ok(root) => root,
            Err((line, problem)) => return bad(Some(line), "YAML", problem),
        };
        if let Some(shape) = root.get("kpt_shape") {
            let expected = "labels of boxes, polygons or oriented boxes";
            return bad(Some(shape.line), expected, "those of poses (`kpt_shape`), which are not read".to_owned());
        }
        let names = root.get("names");
        let line = names.map(|names| names.line);
        let name = |node: &Node| node.text().map(|text| Kind::from(text.trim()));
        let read: Option<Names> = match names.map(|names| &names.value) {
            Some(Value::List(list)) => list.iter().enumerate().map(|(i, node)| Some((i, name(node)?))).collect(),
            Some(Value::Map(pairs)) => {
                let mut read = Names::new();
                for (number, node) in pairs {
                    let number = number.trim().parse().ok();
                    let pair = number.zip(name(node)).filter(|(number, _)| !read.contains_key(number));
                    let Some((number, name)) = pair else {
                        let found = "something else, or a number twice".to_owned();
                        return bad(Some(node.line), "`names`: a list, or numbers with names", found);
                    };
                    read.insert(number, name);
                }
                Some(read)
            }
            _ => None,
        };
        let Some(names) = read else {
            let found = if names.is_some() { "something else" } else { "none" };
            return bad(line, "`names`: a list, or numbers with names", found.to_owned());
        };
        if let Some(count) = root.get("nc").filter(|nc| nc.text() != Some(names.len().to_string().as_str())) {
            let found = format!("{} names", names.len());
            return bad(Some(count.line), "as many `names` as `nc` says", found);
        }
        let mut parts = BTreeMap::new();
        for (part, keys) in [(Part::Train, &["train"][..]), (Part::Val, &["val", "valid"]), (Part::Test, &["test"])] {
            let node = keys.iter().find_map(|key| root.get(key)).filter(|node| node.value != Value::Null);
            let Some(node) = node else { continue };
            let places: Option<Vec<&str>> =
                node.texts().map(|texts| texts.into_iter().filter(|t| !t.is_empty()).collect());
            match places {
                Some(places) if !places.is_empty() => {
                    parts.insert(part, places.into_iter().map(str::to_owned).collect());
                }
                Some(_) => {}
                None => return bad(Some(node.line), "folders or lists of images", "something else".to_owned()),
            }
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let stated = root.get("path").and_then(Node::text).map(|stated| folder.join(stated.replace('\\', "/")));
        let config = Config {
            path: path.to_path_buf(),
            names,
            parts,
            roots: stated.into_iter().filter(|stated| stated.is_dir()).chain([folder.to_path_buf()]).collect(),
        };
        config.checked(line)
    }

    fn of_list(path: &Path) -> Result<Self> {
        let text = read_text(path, MOST)?;
        let mut names = Names::new();
        for (number, name) in text.trim_end().lines().map(str::trim).enumerate() {
            if name.is_empty() {
                return Err(Error::labels(path, Some(number + 1), "the name of a class on each line", "none"));
            }
            names.insert(number, name.into());
        }
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        Config { path: path.to_path_buf(), names, parts: BTreeMap::new(), roots: vec![folder] }.checked(None)
    }

    /// Refuses classes without a name or of one name.
    fn checked(self, line: Option<usize>) -> Result<Self> {
        let mut seen = HashSet::new();
        let twice = self.names.values().find(|name| name.as_str().is_empty() || !seen.insert(*name));
        match twice {
            Some(name) => {
                Err(Error::labels(&self.path, line, "a name of its own for each class", format!("`{name}` twice")))
            }
            None if self.names.is_empty() => Err(none_of(&self.path, "names of classes")),
            None => Ok(self),
        }
    }

    /// What `place` means, which is written in this file or in a list in `beside`: a file or folder that is there.
    pub(super) fn resolve(&self, place: &str, beside: Option<&Path>) -> Option<PathBuf> {
        let place = place.replace('\\', "/");
        let inner = place.trim_start_matches("./");
        // Some tools write the paths of the folder that their training ran in.
        let stripped = inner.trim_start_matches("../");
        let roots = || beside.into_iter().chain(self.roots.iter().map(PathBuf::as_path));
        let paths = [inner, stripped].into_iter().flat_map(|place| roots().map(move |root| root.join(place)));
        paths.into_iter().find(|path| path.exists())
    }

    /// The file that a line of a list means: as [`resolve`](Self::resolve), or the longest end of it that is there,
    /// since tools write paths of other machines, or of a folder around the set's.
    pub(super) fn resolve_file(&self, line: &str, beside: Option<&Path>) -> Option<PathBuf> {
        let line = line.replace('\\', "/");
        let ends = line.match_indices('/').map(|(at, _)| &line[at + 1..]);
        let ends = [line.as_str()].into_iter().chain(ends.filter(|end| !end.starts_with('/')));
        ends.filter_map(|end| self.resolve(end, beside)).find(|path| path.is_file())
    }

    /// The folder that panels are named from.
    pub(super) fn root(&self) -> &Path {
        self.roots.last().map_or(Path::new(""), PathBuf::as_path)
    }
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("yaml") || e.eq_ignore_ascii_case("yml"))
}
