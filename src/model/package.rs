use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{ArrayView4, ArrayViewD, IxDyn};
use ort::session::Session;
use ort::value::{DynValue, PrimitiveTensorElementType, Shape, TensorElementType as Type, ValueType};

use super::cache::Cache;
use super::form::{InputForm, Staging};
use super::layout::Layout;
use super::manifest::{Manifest, Precision};
use super::options::ModelOptions;
use super::pool::{self, Optimise, Pool};
use super::provider::Provider;
use super::rewrite;
use super::signature::{Port, Signature};
use super::ultralytics;
use crate::error::{Error, Result};
use crate::hash::{sha256_hex, sha256_of};
use crate::tensor::Fit;

/// A model package that is loaded and fits its manifest: a folder with `model.onnx` and `model.toml`, or a graph whose
/// own metadata say enough.
///
/// On the CPU, `Softmax` over channels and `Split` of a 1x1 convolution's channels run as other operators, which are
/// faster there and give the same up to rounding; hashes and [`Signature`] are those of the file.
pub struct Model {
    path: PathBuf,
    manifest_path: PathBuf,
    /// What further sessions are opened with: the graph, and whether it is optimised already.
    graph: Vec<u8>,
    optimised: bool,
    options: ModelOptions,
    provider_folder: Option<PathBuf>,
    manifest: Manifest,
    sha256: Arc<str>,
    manifest_sha256: Arc<str>,
    signature: Signature,
    layout: Layout,
    form: InputForm,
    pool: Pool,
    sessions: Mutex<usize>,
}

impl Model {
    /// Loads a model package: a folder with `model.onnx` and `model.toml`, or an `.onnx` file with a `.toml` of the
    /// same name beside it. An `.onnx` file that Ultralytics exported needs no manifest: its metadata are one. ONNX
    /// Runtime is found as [`init_runtime`](crate::init_runtime) says. The graph's hash, inputs and outputs are checked
    /// here against the manifest, not at the first image.
    ///
    /// # Errors
    /// [`Error::Model`] for a missing file, a manifest that cannot be used, a hash that differs, or a graph that does
    /// not fit; [`Error::Runtime`] when there is no usable ONNX Runtime.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_with(path, &ModelOptions::default())
    }

    /// As [`load`](Self::load), with options: another precision than the one that the manifest chooses, another provider
    /// than the CPU, a folder for the optimised graph.
    ///
    /// # Errors
    /// As [`load`](Self::load); [`Error::Model`] when the package has no graph of the precision; [`Error::Provider`] when
    /// the provider cannot be used; [`Error::Io`] when the cache's folder cannot be written; [`Error::Argument`] for a
    /// device or a cache that the provider cannot have.
    pub fn load_with(path: impl AsRef<Path>, options: &ModelOptions) -> Result<Self> {
        let path = path.as_ref();
        options.check()?;
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
        let precision = options.precision.or(chosen).unwrap_or_default();
        let mut given = manifest.and_then(|m| m.sha256.as_ref());
        if precision == Precision::Int8 {
            given = manifest.and_then(|m| m.int8.as_ref());
            if given.is_none() {
                let expected = "int8 = \"...\", the SHA-256 of model.int8.onnx";
                return Err(Error::model(&manifest_path, expected, "a package without that precision"));
            }
        }
        let graph_path = precision.graph(&graph_path);
        let graph = read(&graph_path)?;
        let sha256 = graph_sha256(&graph, &graph_path)?;
        if let Some(given) = given.filter(|s| !s.eq_ignore_ascii_case(&sha256)) {
            return Err(Error::model(
                &graph_path,
                format!("the SHA-256 {given} that {} states", manifest_path.display()),
                sha256,
            ));
        }
        let cache = options.cache.as_ref().map(|folder| Cache::new(folder, &sha256, options)).transpose()?;
        let own = cache.as_ref().filter(|_| options.provider.keeps_own_files());
        let provider_folder = own.map(Cache::provider_folder).transpose()?;
        let cache = cache.filter(|_| options.provider.optimises_to_onnx());
        let open = |graph: Vec<u8>| match &cache {
            Some(cache) => cache.make(&graph, &graph_path, options),
            None => {
                let session = pool::open(&graph, &graph_path, options, Optimise::Now, provider_folder.as_deref())?;
                Ok((session, graph))
            }
        };
        let kept = cache.as_ref().and_then(|cache| cache.kept(&graph_path, options));
        let (session, graph) = match kept {
            Some(opened) => opened,
            None => open_fastest(graph, &graph_path, options.provider, open)?,
        };
        let signature = signature(&session);
        let fit = |(expected, found)| Error::model(&graph_path, expected, found);
        let (manifest, text) = match stated {
            Some(stated) => stated,
            None => {
                let metadata = session.metadata().map_err(|e| fit(("metadata".to_owned(), e.to_string())))?;
                let manifest =
                    ultralytics::manifest(&graph_path, &signature, |key| metadata.custom(key)).map_err(fit)?;
                let Some(manifest) = manifest else {
                    return Err(Error::model(
                        &manifest_path,
                        "a manifest, since the graph's own metadata do not say what it is",
                        "no such file (`panelqc init` writes one to begin with)",
                    ));
                };
                let text = manifest.to_toml();
                (manifest, text)
            }
        };
        let form = InputForm::find(&manifest, &signature).map_err(fit)?;
        let layout = Layout::find(&manifest, &signature).map_err(fit)?;
        if let Some(batch) = form.batch.filter(|&n| layout.single() && n > 1) {
            return Err(fit((
                "a batch of 1, since the outputs are one frame's".to_owned(),
                format!("a batch of {batch}"),
            )));
        }
        Ok(Model {
            path: graph_path,
            manifest_path,
            graph,
            optimised: cache.is_some(),
            options: options.clone(),
            provider_folder,
            manifest,
            sha256: sha256.into(),
            manifest_sha256: sha256_hex(text.as_bytes()).into(),
            signature,
            layout,
            form,
            pool: Pool::new(session),
            sessions: Mutex::new(1),
        })
    }

    /// The graph's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The manifest's file, which is not there for a graph whose own metadata are the manifest.
    pub fn manifest_path(&self) -> &Path {
        &self.manifest_path
    }

    /// The package's folder.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// What the manifest says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the graph's file, in hexadecimal.
    pub fn sha256(&self) -> &Arc<str> {
        &self.sha256
    }

    /// SHA-256 of the manifest's file, in hexadecimal.
    pub fn manifest_sha256(&self) -> &Arc<str> {
        &self.manifest_sha256
    }

    /// What runs the graph.
    pub fn provider(&self) -> Provider {
        self.options.provider
    }

    /// Inputs and outputs of the graph.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The largest batch that the graph takes; `None` when its batch axis is dynamic. A smaller batch is filled up. It
    /// is 1 for a graph whose outputs have no batch axis, and with fit `source`.
    pub fn max_batch(&self) -> Option<usize> {
        let single = self.layout.single() || self.manifest.input.fit == Fit::Source;
        if single { Some(1) } else { self.form.batch }
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// Opens sessions until there are `count`, so that so many threads can run the model at a time.
    ///
    /// # Errors
    /// [`Error::Model`] when ONNX Runtime cannot open another session, for example for lack of memory;
    /// [`Error::Provider`] when the provider cannot.
    pub fn reserve(&self, count: usize) -> Result<()> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        while *sessions < count {
            let optimise = if self.optimised { Optimise::Done } else { Optimise::Now };
            let files = self.provider_folder.as_deref();
            self.pool.add(pool::open(&self.graph, &self.path, &self.options, optimise, files)?);
            *sessions += 1;
        }
        Ok(())
    }

    /// Runs the graph on an input `[N, C, H, W]` and copies its outputs into `outputs`, whose memory is used again.
    /// A graph of another element type, order of axes or fixed batch gets its input turned into that; outputs of any
    /// number type become `f32`. Waits for a session when all are in use.
    ///
    /// # Errors
    /// [`Error::Inference`] when ONNX Runtime fails.
    pub fn run(&self, input: ArrayView4<'_, f32>, outputs: &mut Outputs) -> Result<()> {
        let failed = |message: String| Error::Inference { path: self.path.clone(), message };
        let mut lent = self.pool.lend();
        let Some(session) = lent.get() else { return Err(failed("a session is gone".to_owned())) };
        let Outputs { tensors, staging } = outputs;
        let value = self.form.value(input, staging).map_err(|e| failed(e.to_string()))?;
        let results = session.run([value]).map_err(|e| failed(e.to_string()))?;
        tensors.resize_with(self.signature.outputs.len(), Tensor::default);
        for index in self.layout.used() {
            let port = &self.signature.outputs[index];
            let value = results.get(&port.name).ok_or_else(|| failed(format!("no output `{}`", port.name)))?;
            tensors[index].copy(value).map_err(|e| failed(format!("output `{}`: {e}", port.name)))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("path", &self.path).field("sha256", &self.sha256).finish_non_exhaustive()
    }
}

/// What a graph returned, in memory that is used again from run to run.
#[derive(Debug, Default)]
pub struct Outputs {
    tensors: Vec<Tensor>,
    staging: Staging,
}

#[derive(Debug, Default)]
struct Tensor {
    shape: Vec<usize>,
    data: Vec<f32>,
}

impl Tensor {
    /// Takes over the numbers of an output, as `f32`.
    fn copy(&mut self, value: &DynValue) -> Result<(), ort::Error> {
        let shape = match value.dtype() {
            ValueType::Tensor { ty: Type::Float16, .. } => self.convert::<half::f16>(value, half::f16::to_f32)?,
            ValueType::Tensor { ty: Type::Int64, .. } => self.convert::<i64>(value, |v| v as f32)?,
            ValueType::Tensor { ty: Type::Int32, .. } => self.convert::<i32>(value, |v| v as f32)?,
            _ => {
                let (shape, data) = value.try_extract_tensor::<f32>()?;
                self.data.clear();
                self.data.extend_from_slice(data);
                shape
            }
        };
        self.shape.clear();
        self.shape.extend(shape.iter().map(|&d| usize::try_from(d).unwrap_or(0)));
        Ok(())
    }

    fn convert<'v, T: PrimitiveTensorElementType + Copy + 'v>(
        &mut self,
        value: &'v DynValue,
        to_f32: impl Fn(T) -> f32,
    ) -> Result<&'v Shape, ort::Error> {
        let (shape, data) = value.try_extract_tensor::<T>()?;
        self.data.clear();
        self.data.extend(data.iter().map(|&v| to_f32(v)));
        Ok(shape)
    }
}

impl Outputs {
    /// The output at `index` among the graph's outputs; `None` when it was not read.
    pub fn get(&self, index: usize) -> Option<ArrayViewD<'_, f32>> {
        let tensor = self.tensors.get(index)?;
        ArrayViewD::from_shape(IxDyn(&tensor.shape), &tensor.data).ok()
    }

    #[cfg(test)]
    pub(crate) fn from_tensors(tensors: impl IntoIterator<Item = (Vec<usize>, Vec<f32>)>) -> Self {
        Outputs {
            tensors: tensors.into_iter().map(|(shape, data)| Tensor { shape, data }).collect(),
            staging: Staging::default(),
        }
    }
}

/// Opens a graph as the provider runs it fastest, or else as it is.
fn open_fastest<T>(graph: Vec<u8>, path: &Path, provider: Provider, open: impl Fn(Vec<u8>) -> Result<T>) -> Result<T> {
    let rewritten = if provider == Provider::Cpu { rewrite::for_cpu(&graph) } else { None };
    match rewritten.map(&open) {
        Some(Ok(opened)) => Ok(opened),
        Some(Err(problem)) => {
            let opened = open(graph)?;
            tracing::warn!(graph = %path.display(), %problem, "the graph runs as it is, a faster form does not");
            Ok(opened)
        }
        None => open(graph),
    }
}

/// The bytes of a file of the package.
pub(super) fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(|e| Error::Model {
        path: file.to_path_buf(),
        expected: "a file that can be read".to_owned(),
        found: e.to_string(),
        source: Some(Box::new(e)),
    })
}

/// SHA-256 of a graph, followed by the weights that lie in a file beside it, `NAME.onnx.data`, where there is one.
pub(super) fn graph_sha256(graph: &[u8], path: &Path) -> Result<String> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".data");
    let beside = Path::new(&beside);
    Ok(if beside.is_file() { sha256_of([graph, &read(beside)?]) } else { sha256_hex(graph) })
}

pub(super) fn signature(session: &Session) -> Signature {
    let port = |name: &str, dtype: &ValueType| {
        let (element, shape) = match dtype {
            ValueType::Tensor { ty, shape, .. } => {
                (ty.to_string(), shape.iter().map(|&d| usize::try_from(d).ok()).collect())
            }
            other => (format!("{other:?}"), Vec::new()),
        };
        Port { name: name.to_owned(), element, shape }
    };
    Signature {
        inputs: session.inputs().iter().map(|o| port(o.name(), o.dtype())).collect(),
        outputs: session.outputs().iter().map(|o| port(o.name(), o.dtype())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_whose_faster_form_does_not_open_is_opened_as_it_is() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/yolov8-detect/model.onnx");
        let graph = read(&path).unwrap();
        let open = |provider: Provider, refuse: &dyn Fn(&[u8]) -> bool| {
            let given = |bytes: Vec<u8>| match refuse(&bytes) {
                true => Err(Error::Internal("refused".to_owned())),
                false => Ok(bytes),
            };
            open_fastest(graph.clone(), &path, provider, given)
        };
        assert!(open(Provider::Cpu, &|_| false).unwrap() != graph);
        assert!(open(Provider::Cpu, &|bytes| bytes != graph).unwrap() == graph);
        assert!(open(Provider::Cuda, &|_| false).unwrap() == graph, "for the CPU alone");
        assert!(open(Provider::Cpu, &|_| true).is_err());
    }
}
