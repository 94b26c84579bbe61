use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::Manifest;
use super::options::Precision;
use crate::error::{Error, Result};
use crate::hash::{sha256_hex, sha256_of};

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
        Ok(ModelInfo { manifest, sha256: sha256.into(), manifest_sha256: sha256_hex(text.as_bytes()).into() })
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
