use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::ArrayView4;

use super::files::{PackageFiles, check_hash, memory_sha256, step_files};
use super::manifest::Manifest;
use super::options::{ModelOptions, Precision};
use super::trial::Trial;
use super::ultralytics;
use crate::error::{Error, Result};
use crate::hash::sha256_hex;
use crate::head::{self, Context, Decoder, Head};
use crate::runtime::{Graph, InputForm, Mismatch, Outputs, Provider, Signature};
use crate::tensor::Fit;

/// A model package that is loaded and fits its manifest: a folder with `model.onnx` and `model.toml`, a graph whose own
/// metadata say enough, or a graph in memory and a manifest made in code.
///
/// On the CPU parts of a graph may run as other operators, which are faster there: see
/// [`GraphOptions::rewrite`](crate::GraphOptions::rewrite). Hashes and [`Signature`] are those of the file.
pub struct Model {
    graph: Graph,
    form: InputForm,
    head: Arc<dyn Head>,
    /// Indices of the outputs that the head reads.
    used: Vec<usize>,
    manifest: Manifest,
    manifest_path: PathBuf,
    folder: Option<PathBuf>,
    sha256: Arc<str>,
    manifest_sha256: Arc<str>,
    files: Arc<BTreeMap<String, String>>,
}

impl Model {
    /// Loads a model package: a folder with `model.onnx` and `model.toml`, or an `.onnx` file with a `.toml` of the
    /// same name beside it. An `.onnx` file that Ultralytics exported needs no manifest: its metadata serve as one.
    /// ONNX Runtime is found as [`init_runtime`](crate::init_runtime) says. The graph's hash, inputs and outputs are
    /// checked here against the manifest, not at the first image.
    ///
    /// Names and shapes do not tell everything: rows of two layouts can look alike, boxes can be in pixels or in parts
    /// of the input, scores can be probabilities or not. So the graph runs once, on the package's first golden image or
    /// else on a test picture of the input's size, and what it gives has to be what its format may give: see
    /// [`ModelOptions::untried`].
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) for a missing file, a manifest that cannot be used, a hash that
    /// differs, or a graph that does not fit; [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) when there is no usable
    /// ONNX Runtime.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_with(path, &ModelOptions::default())
    }

    /// As [`load`](Self::load), with options: another precision than the one that the manifest chooses, another
    /// provider than the CPU, a folder for the optimised graph, the program's own formats.
    ///
    /// # Errors
    /// As [`load`](Self::load); [`ErrorKind::Model`](crate::ErrorKind::Model) when the package has no graph of the
    /// precision; [`ErrorKind::Provider`](crate::ErrorKind::Provider) when the provider cannot be used;
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when the cache's folder cannot be written;
    /// [`ErrorKind::Argument`](crate::ErrorKind::Argument) for a device or a cache that the provider cannot have.
    pub fn load_with(path: impl AsRef<Path>, options: &ModelOptions) -> Result<Self> {
        let PackageFiles { graph_path, manifest_path, stated, bytes, sha256 } =
            PackageFiles::read(path.as_ref(), options.precision)?;
        let graph = Graph::open(bytes, &graph_path, &sha256, &options.graph)?;
        let (manifest, text) = match stated {
            Some(stated) => stated,
            None => {
                let read = graph.metadata(|get| ultralytics::manifest(&graph_path, graph.signature(), get))?;
                let manifest = read.map_err(|m| Error::model(&graph_path, m.expected, m.found))?;
                let Some(manifest) = manifest else {
                    return Err(Error::model(
                        &manifest_path,
                        "a manifest, since the graph's own metadata do not say what it is",
                        "no such file (`panelqc init` writes a starter manifest)",
                    ));
                };
                manifest.check(&graph_path)?;
                let text = manifest.to_toml();
                (manifest, text)
            }
        };
        let folder = graph_path.parent().unwrap_or(Path::new("")).to_path_buf();
        Self::join(graph, sha256, (manifest, &text), (manifest_path, Some(folder)), options)
    }

    /// A model from the bytes of an ONNX file, for example from the program itself, and a manifest, which
    /// [`Manifest::new`] makes in code. Messages call it by the manifest's name.
    ///
    /// # Errors
    /// As [`load`](Self::load), for bytes that do not fit the manifest.
    pub fn from_bytes(graph: impl Into<Vec<u8>>, manifest: Manifest) -> Result<Self> {
        Self::from_bytes_with(graph, manifest, &ModelOptions::default())
    }

    /// As [`from_bytes`](Self::from_bytes), with options. The bytes are the graph of the manifest's precision.
    ///
    /// # Errors
    /// As [`load_with`](Self::load_with); [`ErrorKind::Argument`](crate::ErrorKind::Argument) for a precision among the
    /// options.
    pub fn from_bytes_with(graph: impl Into<Vec<u8>>, manifest: Manifest, options: &ModelOptions) -> Result<Self> {
        if let Some(precision) = options.precision {
            let problem = format!("precision: expected none with a graph from memory, found {precision:?}");
            return Err(Error::argument(problem));
        }
        let bytes = graph.into();
        let path = PathBuf::from(format!("{} (in memory)", manifest.name));
        manifest.check(&path)?;
        let sha256 = memory_sha256(&bytes, &path)?;
        let given = match manifest.precision {
            Precision::Fp32 => manifest.sha256.as_deref(),
            Precision::Int8 => manifest.int8.as_deref(),
        };
        check_hash(given, &sha256, &path, &"the manifest")?;
        let graph = Graph::open(bytes, &path, &sha256, &options.graph)?;
        let text = manifest.to_toml();
        Self::join(graph, sha256, (manifest, &text), (path, None), options)
    }

    /// Joins a graph and a manifest, if they fit.
    fn join(
        graph: Graph,
        sha256: String,
        (manifest, text): (Manifest, &str),
        (manifest_path, folder): (PathBuf, Option<PathBuf>),
        options: &ModelOptions,
    ) -> Result<Self> {
        let fit = |m: Mismatch| Error::model(graph.path(), m.expected, m.found);
        let files = step_files(&manifest, &manifest_path, folder.as_deref())?.into();
        let form = graph.input(&manifest.input).map_err(fit)?;
        let head = head::find(manifest.task, &manifest.output, graph.signature(), &options.formats).map_err(fit)?;
        if let Some(batch) = form.batch().filter(|&n| head.single() && n > 1) {
            let expected = "a batch of 1, since the outputs are one frame's";
            return Err(fit(Mismatch::new(expected, format!("a batch of {batch}"))));
        }
        let used = head.outputs();
        let nothing = used.iter().filter_map(|&output| graph.signature().outputs.get(output));
        if let Some(port) = nothing.into_iter().find(|port| port.shape.contains(&Some(0))) {
            return Err(fit(Mismatch::new(
                "outputs that can hold something: every panel would pass",
                port.to_string(),
            )));
        }
        let model = Model {
            used,
            form,
            head,
            manifest_path,
            files,
            folder,
            sha256: sha256.into(),
            manifest_sha256: sha256_hex(text.as_bytes()).into(),
            manifest,
            graph,
        };
        if !options.untried {
            model.trial().run(&options.formats)?;
        }
        Ok(model)
    }

    /// What is tried when it is loaded.
    pub(super) fn trial(&self) -> Trial<'_> {
        let Model { graph, form, head, manifest, folder, .. } = self;
        Trial { graph, form, head, manifest, folder: folder.as_deref() }
    }

    /// The graph's file; of a graph from memory, what messages call it.
    pub fn path(&self) -> &Path {
        self.graph.path()
    }

    /// The manifest's file, which does not exist for a graph whose own metadata are the manifest, and for one from
    /// memory.
    pub fn manifest_path(&self) -> &Path {
        &self.manifest_path
    }

    /// The package's folder; `None` for a model from memory.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// What the manifest says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256, in hexadecimal, of the graph's file followed by the files beside it that it reads, in the order of
    /// their names; where there are several, followed by the lengths of all but the last (8 bytes each, lowest first).
    pub fn sha256(&self) -> &Arc<str> {
        &self.sha256
    }

    /// SHA-256 of the manifest's text, in hexadecimal.
    pub fn manifest_sha256(&self) -> &Arc<str> {
        &self.manifest_sha256
    }

    /// SHA-256, in hexadecimal, of the other files of the package: those that steps of preprocessing own, by their
    /// paths in it. Weights beside the graph count with [`sha256`](Self::sha256).
    pub fn files(&self) -> &Arc<BTreeMap<String, String>> {
        &self.files
    }

    /// What runs the graph.
    pub fn provider(&self) -> Provider {
        self.graph.provider()
    }

    /// Whether parts of the graph run as operators other than those in the file: see
    /// [`GraphOptions::rewrite`](crate::GraphOptions::rewrite).
    pub fn rewritten(&self) -> bool {
        self.graph.rewritten()
    }

    /// Inputs and outputs of the graph.
    pub fn signature(&self) -> &Signature {
        self.graph.signature()
    }

    /// What the graph's outputs mean.
    pub fn head(&self) -> &Arc<dyn Head> {
        &self.head
    }

    /// Its head, with the confidence limits of the manifest.
    pub fn decoder(&self) -> Decoder {
        Decoder::new(Arc::clone(&self.head), Context::new(self.manifest.output.clone()))
    }

    /// The largest batch that the graph takes; `None` when its batch axis is dynamic. A smaller batch is padded. It is
    /// 1 for a graph whose outputs have no batch axis, and with fit `source`.
    pub fn max_batch(&self) -> Option<usize> {
        let single = self.head.single() || self.manifest.input.fit == Fit::Source;
        if single { Some(1) } else { self.form.batch() }
    }

    /// Opens sessions until there are `count`, so that this many threads can run the model at a time.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) when ONNX Runtime cannot open another session, for example for
    /// lack of memory; [`ErrorKind::Provider`](crate::ErrorKind::Provider) when the provider cannot.
    pub fn reserve(&self, count: usize) -> Result<()> {
        self.graph.reserve(count)
    }

    /// Runs the graph on an input `[N, C, H, W]` and copies the outputs that the head reads into `outputs`, whose
    /// memory is reused. A graph of another element type, order of axes or fixed batch gets its input converted;
    /// outputs of any number type become `f32`. Waits for a session when all are in use.
    ///
    /// # Errors
    /// [`ErrorKind::Inference`](crate::ErrorKind::Inference) when ONNX Runtime fails.
    pub fn run(&self, input: ArrayView4<'_, f32>, outputs: &mut Outputs) -> Result<()> {
        self.run_in(input, input.dim().0, outputs)
    }

    /// The same for runs that have `full` slots: a provider that wants runs of one shape gets the rest as zeros.
    pub(crate) fn run_in(&self, input: ArrayView4<'_, f32>, full: usize, outputs: &mut Outputs) -> Result<()> {
        self.graph.run(&self.form, input, full, &self.used, outputs)
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("path", &self.path()).field("sha256", &self.sha256).finish_non_exhaustive()
    }
}
