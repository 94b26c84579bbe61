use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{ArrayView4, ArrayViewD, IxDyn};
use ort::session::Session;
use ort::value::{TensorRef, ValueType};

use super::layout::Layout;
use super::manifest::Manifest;
use super::pool::{self, Pool};
use super::signature::{Port, Signature, list};
use crate::error::{Error, Result};
use crate::hash::sha256_hex;

/// A model package that is loaded and fits its manifest: a folder with `model.onnx` and `model.toml`.
pub struct Model {
    path: PathBuf,
    graph: Vec<u8>,
    manifest: Manifest,
    sha256: Arc<str>,
    manifest_sha256: Arc<str>,
    signature: Signature,
    layout: Layout,
    max_batch: Option<usize>,
    pool: Pool,
    sessions: Mutex<usize>,
}

impl Model {
    /// Loads a model package: a folder with `model.onnx` and `model.toml`, or an `.onnx` file with a `.toml` of the
    /// same name beside it. ONNX Runtime is found as [`init_runtime`](crate::init_runtime) says. The graph's hash,
    /// inputs and outputs are checked here against the manifest, not at the first image.
    ///
    /// # Errors
    /// [`Error::Model`] for a missing file, a manifest that cannot be used, a hash that differs, or a graph that does
    /// not fit; [`Error::Runtime`] when there is no usable ONNX Runtime.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (graph_path, manifest_path) = if path.is_dir() {
            (path.join("model.onnx"), path.join("model.toml"))
        } else if path.exists() {
            (path.to_path_buf(), path.with_extension("toml"))
        } else {
            return Err(Error::model(path, "a folder with model.onnx and model.toml", "nothing there"));
        };
        let read = |file: &Path| {
            fs::read(file).map_err(|e| Error::Model {
                path: file.to_path_buf(),
                expected: "a file that can be read".to_owned(),
                found: e.to_string(),
                source: Some(Box::new(e)),
            })
        };
        let text = String::from_utf8(read(&manifest_path)?)
            .map_err(|e| Error::model(&manifest_path, "a manifest in UTF-8", e.to_string()))?;
        let manifest = Manifest::parse(&text, &manifest_path)?;
        let graph = read(&graph_path)?;
        let sha256 = sha256_hex(&graph);
        if let Some(stated) = manifest.sha256.as_ref().filter(|stated| !stated.eq_ignore_ascii_case(&sha256)) {
            return Err(Error::model(
                &graph_path,
                format!("the SHA-256 {stated} that {} states", manifest_path.display()),
                sha256,
            ));
        }
        let session = pool::open(&graph, &graph_path)?;
        let signature = signature(&session);
        let fit = |(expected, found)| Error::model(&graph_path, expected, found);
        let max_batch = check_input(&manifest, &signature).map_err(fit)?;
        let layout = Layout::find(&manifest, &signature).map_err(fit)?;
        Ok(Model {
            path: graph_path,
            graph,
            manifest,
            sha256: sha256.into(),
            manifest_sha256: sha256_hex(text.as_bytes()).into(),
            signature,
            layout,
            max_batch,
            pool: Pool::new(session),
            sessions: Mutex::new(1),
        })
    }

    /// The graph's file.
    pub fn path(&self) -> &Path {
        &self.path
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

    /// Inputs and outputs of the graph.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The largest batch that the graph takes; `None` when its batch axis is dynamic.
    pub fn max_batch(&self) -> Option<usize> {
        self.max_batch
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// Opens sessions until there are `count`, so that so many threads can run the model at a time.
    ///
    /// # Errors
    /// [`Error::Model`] when ONNX Runtime cannot open another session, for example for lack of memory.
    pub fn reserve(&self, count: usize) -> Result<()> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        while *sessions < count {
            self.pool.add(pool::open(&self.graph, &self.path)?);
            *sessions += 1;
        }
        Ok(())
    }

    /// Runs the graph on an input `[N, C, H, W]` and copies its outputs into `outputs`, whose memory is used again.
    /// Waits for a session when all are in use.
    ///
    /// # Errors
    /// [`Error::Inference`] when ONNX Runtime fails.
    pub fn run(&self, input: ArrayView4<'_, f32>, outputs: &mut Outputs) -> Result<()> {
        let failed = |message: String| Error::Inference { path: self.path.clone(), message };
        let mut lent = self.pool.lend();
        let Some(session) = lent.get() else { return Err(failed("a session is gone".to_owned())) };
        let tensor = TensorRef::from_array_view(input).map_err(|e| failed(e.to_string()))?;
        let results = session.run(ort::inputs![tensor]).map_err(|e| failed(e.to_string()))?;
        outputs.tensors.resize_with(self.signature.outputs.len(), Tensor::default);
        for index in self.layout.used() {
            let port = &self.signature.outputs[index];
            let value = results.get(&port.name).ok_or_else(|| failed(format!("no output `{}`", port.name)))?;
            let (shape, data) = value.try_extract_tensor::<f32>().map_err(|e| failed(e.to_string()))?;
            let target = &mut outputs.tensors[index];
            target.shape.clear();
            target.shape.extend(shape.iter().map(|&d| usize::try_from(d).unwrap_or(0)));
            target.data.clear();
            target.data.extend_from_slice(data);
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
}

#[derive(Debug, Default)]
struct Tensor {
    shape: Vec<usize>,
    data: Vec<f32>,
}

impl Outputs {
    /// The output at `index` among the graph's outputs; `None` when it was not read.
    pub fn get(&self, index: usize) -> Option<ArrayViewD<'_, f32>> {
        let tensor = self.tensors.get(index)?;
        ArrayViewD::from_shape(IxDyn(&tensor.shape), &tensor.data).ok()
    }

    #[cfg(test)]
    pub(crate) fn from_tensors(tensors: impl IntoIterator<Item = (Vec<usize>, Vec<f32>)>) -> Self {
        Outputs { tensors: tensors.into_iter().map(|(shape, data)| Tensor { shape, data }).collect() }
    }
}

fn signature(session: &Session) -> Signature {
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

/// Checks the graph's input and gives the largest batch, `None` for a dynamic one.
fn check_input(manifest: &Manifest, signature: &Signature) -> Result<Option<usize>, (String, String)> {
    let [height, width] = manifest.input.size.map(|side| Some(side as usize));
    let shape = [None, Some(manifest.input.tensor_channels()), height, width];
    let wanted = Port { name: "any".to_owned(), element: "f32".to_owned(), shape: shape.to_vec() };
    match &signature.inputs[..] {
        [input] if input.element == "f32" && input.fits(&shape) => match input.shape[0] {
            None => Ok(None),
            Some(1) => Ok(Some(1)),
            Some(n) => Err(("a batch axis that is dynamic or 1".to_owned(), format!("a fixed batch of {n}"))),
        },
        inputs => Err((format!("one input {wanted}"), list(inputs))),
    }
}
