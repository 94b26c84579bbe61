use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::manifest::Manifest;
use super::options::Precision;
use crate::error::{Error, Result};
use crate::hash::{Hash, sha256_hex};
use crate::runtime::external_files;
use crate::tensor::Step;

/// What a model package says, read without opening its graph and without ONNX Runtime: for work on results that exist
/// already.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ModelInfo {
    /// The manifest.
    pub manifest: Manifest,
    /// SHA-256 of the graph's file and of the files that it reads, in hexadecimal, as
    /// [`Model::sha256`](crate::Model::sha256).
    pub sha256: Arc<str>,
    /// SHA-256 of the manifest's text, in hexadecimal, as
    /// [`Model::manifest_sha256`](crate::Model::manifest_sha256).
    pub manifest_sha256: Arc<str>,
    /// SHA-256 of the files that steps of preprocessing own, as [`Model::files`](crate::Model::files).
    pub files: Arc<BTreeMap<String, String>>,
}

impl ModelInfo {
    /// Reads the package at `path`, a folder or an `.onnx` file with a `.toml` beside it, and its graph of this
    /// precision, or else of the one that the manifest chooses.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) for a missing file, also for a package whose manifest is in its
    /// graph; for a manifest that cannot be used; for a hash that differs.
    pub fn load(path: impl AsRef<Path>, precision: Option<Precision>) -> Result<Self> {
        let PackageFiles { manifest_path, stated, sha256, .. } = PackageFiles::read(path.as_ref(), precision)?;
        let Some((manifest, text)) = stated else {
            return Err(Error::model(&manifest_path, "a manifest", "no such file"));
        };
        let files = step_files(&manifest, &manifest_path, manifest_path.parent())?.into();
        let manifest_sha256 = sha256_hex(text.as_bytes()).into();
        Ok(ModelInfo { manifest, sha256: sha256.into(), manifest_sha256, files })
    }
}

/// The files of a model package, read and with the hash that they state.
pub(super) struct PackageFiles {
    pub(super) graph_path: PathBuf,
    pub(super) manifest_path: PathBuf,
    /// The manifest and its text, where there is one.
    pub(super) stated: Option<(Manifest, String)>,
    /// The graph.
    pub(super) bytes: Vec<u8>,
    pub(super) sha256: String,
}

impl PackageFiles {
    pub(super) fn read(path: &Path, precision: Option<Precision>) -> Result<Self> {
        let (graph_path, manifest_path) = if path.is_dir() {
            (path.join("model.onnx"), path.join("model.toml"))
        } else if path.exists() {
            (path.to_path_buf(), path.with_extension("toml"))
        } else {
            return Err(Error::model(path, "a folder with model.onnx and model.toml", "nothing there"));
        };
        let stated = if manifest_path.exists() {
            let text = String::from_utf8(read(&manifest_path)?)
                .map_err(|e| Error::model(&manifest_path, "a manifest in UTF-8", e.to_string()))?;
            Some((Manifest::parse(&text, &manifest_path)?, text))
        } else {
            None
        };
        let manifest = stated.as_ref().map(|(manifest, _)| manifest);
        // A graph that is named itself is the one to use.
        let chosen = manifest.filter(|_| path.is_dir()).map(|m| m.precision);
        let precision = precision.or(chosen).unwrap_or_default();
        let given = match (precision, manifest) {
            (Precision::Fp32, manifest) => manifest.and_then(|m| m.sha256.clone()),
            (Precision::Int8, manifest) => {
                let Some(given) = manifest.and_then(|m| m.int8.clone()) else {
                    let expected = "int8 = \"...\", the SHA-256 of model.int8.onnx";
                    return Err(Error::model(&manifest_path, expected, "a package without that precision"));
                };
                Some(given)
            }
        };
        let graph_path = precision.graph(&graph_path);
        let bytes = read(&graph_path)?;
        let sha256 = graph_sha256(&bytes, &graph_path)?;
        let is_stated = |hash: &str| given.as_deref().is_some_and(|given| given.eq_ignore_ascii_case(hash));
        if given.is_some() && !is_stated(&sha256) && is_stated(&sha256_hex(&bytes)) {
            let expected = format!("the SHA-256 of the graph with the files that it reads, {sha256}");
            let found = format!("that of the graph alone in {}", manifest_path.display());
            return Err(Error::model(&graph_path, expected, found));
        }
        check_hash(given.as_deref(), &sha256, &graph_path, &manifest_path.display())?;
        Ok(PackageFiles { graph_path, manifest_path, stated, bytes, sha256 })
    }
}

/// Refuses a graph whose hash is another one than stated.
pub(super) fn check_hash(stated: Option<&str>, found: &str, graph: &Path, place: &dyn fmt::Display) -> Result<()> {
    match stated.filter(|stated| !stated.eq_ignore_ascii_case(found)) {
        None => Ok(()),
        Some(stated) => Err(Error::model(graph, format!("the SHA-256 {stated} that {place} states"), found)),
    }
}

/// SHA-256 of the files that the steps of a manifest own, by their paths in the package's folder. A package without a
/// folder can have none.
pub(super) fn step_files(
    manifest: &Manifest,
    manifest_path: &Path,
    folder: Option<&Path>,
) -> Result<BTreeMap<String, String>> {
    let files = manifest.prepare.iter().flat_map(Step::files).map(|file| {
        let name = file.display().to_string();
        let Some(folder) = folder else {
            let found = format!("a step with the file {name}");
            return Err(Error::model(manifest_path, "steps without files, with a graph from memory", found));
        };
        let path = inside(folder, file).map_err(|(expected, found)| Error::model(manifest_path, expected, found))?;
        Ok((name, sha256_hex(&read(&path)?)))
    });
    files.collect()
}

/// The path of a file of the package that is named in it, or what was expected and found: the file has to lie in the
/// package's folder or below, also where links lead.
fn inside(folder: &Path, file: &Path) -> Result<PathBuf, (&'static str, String)> {
    let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    let named = file.components().any(|part| matches!(part, Component::Normal(_)));
    if !named || !file.components().all(plain) {
        return Err(("a path inside the package, without `..`", format!("`{}`", file.display())));
    }
    let path = folder.join(file);
    let missing = |e: std::io::Error| ("files of the package that can be read", format!("{}: {e}", path.display()));
    let (real, root) = (path.canonicalize().map_err(missing)?, lies(folder).canonicalize().map_err(missing)?);
    if !real.starts_with(&root) {
        let found = format!("{}, a link to {}", path.display(), real.display());
        return Err(("files inside the package's folder", found));
    }
    if !real.is_file() {
        return Err(("files of the package that can be read", format!("{}, which is no file", path.display())));
    }
    Ok(path)
}

/// A folder as the system wants it named: that of `model.onnx` is the current one.
fn lies(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// The bytes of a file of the package.
pub(super) fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(|e| Error::model(file, "a file that can be read", e.to_string()).with_source(e))
}

/// SHA-256 of a graph, followed by the files beside it that it reads, in the order of their names. Where there are
/// several, the lengths of all but the last follow (8 bytes each, lowest first), so that no number can move from one
/// file to the next without a trace.
pub(super) fn graph_sha256(graph: &[u8], path: &Path) -> Result<String> {
    let files = external_files(graph).map_err(|m| Error::model(path, m.expected, m.found))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut hash = Hash::default();
    hash.update(graph);
    let mut lengths = Vec::new();
    for file in &files {
        let file = inside(folder, Path::new(file)).map_err(|(expected, found)| Error::model(path, expected, found))?;
        lengths.push(add_file(&mut hash, &file)?);
    }
    lengths.pop();
    lengths.iter().for_each(|length| hash.update(&length.to_le_bytes()));
    Ok(hash.hex())
}

/// SHA-256 of a graph from memory, which has no folder where files could lie.
pub(super) fn memory_sha256(graph: &[u8], path: &Path) -> Result<String> {
    let files = external_files(graph).map_err(|m| Error::model(path, m.expected, m.found))?;
    match files.first() {
        None => Ok(sha256_hex(graph)),
        Some(file) => {
            let expected = "a graph from memory that holds its weights";
            Err(Error::model(path, expected, format!("one that reads the file `{file}`")))
        }
    }
}

/// Adds a file to a hash, part by part: weights can be larger than the memory. Gives its length.
fn add_file(hash: &mut Hash, path: &Path) -> Result<u64> {
    let failed = |e: std::io::Error| Error::model(path, "a file that can be read", e.to_string()).with_source(e);
    let mut file = File::open(path).map_err(failed)?;
    let mut part = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        match file.read(&mut part) {
            Ok(0) => return Ok(length),
            Ok(count) => {
                hash.update(&part[..count]);
                length += count as u64;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(failed(e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_steps_are_hashed_and_lie_in_the_package() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("table.bin"), "abc").unwrap();
        let files = |table: &str, folder| {
            let text = format!(
                "schema = 1\nname = \"t\"\ntask = \"detect\"\n[[prepare]]\nstep = \"invert\"\ntable = \"{table}\"\n\
                 [input]\nsize = [8, 8]\n[output]\nkinds = [\"a\"]\n"
            );
            let manifest = Manifest::parse(&text, Path::new("model.toml")).unwrap();
            step_files(&manifest, Path::new("model.toml"), folder).map_err(|e| e.to_string())
        };
        // The example of FIPS 180-4.
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let inside = Some(folder.path());
        assert_eq!(files("table.bin", inside), Ok(BTreeMap::from([("table.bin".to_owned(), hash.to_owned())])));
        assert!(files("none.bin", inside).unwrap_err().contains("none.bin"));
        assert!(files("../table.bin", inside).unwrap_err().contains("a path inside the package"));
        assert!(files("table.bin", None).unwrap_err().contains("a graph from memory"));
    }
}
