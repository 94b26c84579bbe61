use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::manifest::Manifest;
use super::options::Precision;
use crate::error::{Error, Result};
use crate::hash::{sha256_hex, sha256_of};
use crate::tensor::Step;

/// What a model package says, read without opening its graph and without ONNX Runtime: for work on results that exist
/// already.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ModelInfo {
    /// The manifest.
    pub manifest: Manifest,
    /// SHA-256 of the graph's file, in hexadecimal, as [`Model::sha256`](crate::Model::sha256).
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
        let refused = |expected: &str| Error::model(manifest_path, expected, format!("a step with the file {name}"));
        let folder = folder.ok_or_else(|| refused("steps without files, with a graph from memory"))?;
        if !file.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(refused("a path inside the package, without `..`"));
        }
        let hash = sha256_hex(&read(&folder.join(file))?);
        Ok((name, hash))
    });
    files.collect()
}

/// The bytes of a file of the package.
pub(super) fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(|e| Error::model(file, "a file that can be read", e.to_string()).with_source(e))
}

/// SHA-256 of a graph, followed by the weights that lie in a file beside it, `NAME.onnx.data`, where there is one.
pub(super) fn graph_sha256(graph: &[u8], path: &Path) -> Result<String> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".data");
    let beside = Path::new(&beside);
    Ok(if beside.is_file() { sha256_of([graph, &read(beside)?]) } else { sha256_hex(graph) })
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
