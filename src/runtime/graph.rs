use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::ArrayView4;

use super::cache::Cache;
use super::input::{InputForm, Inputs};
use super::options::GraphOptions;
use super::outputs::{Outputs, Tensor};
use super::pool::Pool;
use super::provider::Provider;
use super::session::{self, Optimise};
use super::signature::{Mismatch, Signature};
use super::{onnx, rewrite, sizes};
use crate::error::{Error, Result};
use crate::tensor::Preprocess;

/// An ONNX graph that is open: its bytes, what it declares, and sessions to run it.
pub(crate) struct Graph {
    path: PathBuf,
    /// What further sessions are opened with: the graph, and whether it is optimised already.
    bytes: Vec<u8>,
    optimised: bool,
    rewritten: bool,
    options: GraphOptions,
    provider_folder: Option<PathBuf>,
    signature: Signature,
    names: Arc<[String]>,
    pool: Pool,
    sessions: Mutex<usize>,
}

/// What a graph's own metadata say: see [`Graph::metadata`].
pub(crate) type Metadata<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Graph {
    /// Opens the graph `bytes`, whose hash is `sha256`. It is called `path` in messages; weights in files of their own
    /// lie in the folder of `path`.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) for bytes that are not a graph or that ONNX Runtime does not take,
    /// [`ErrorKind::Provider`](crate::ErrorKind::Provider) when the provider cannot be used,
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when the cache's folder cannot be written,
    /// [`ErrorKind::Argument`](crate::ErrorKind::Argument) for options that do not go together.
    pub(crate) fn open(bytes: Vec<u8>, path: &Path, sha256: &str, options: &GraphOptions) -> Result<Self> {
        options.check()?;
        onnx::check(&bytes).map_err(|m| Error::model(path, m.expected, m.found))?;
        let cache = options.cache.as_ref().map(|folder| Cache::new(folder, sha256, options)).transpose()?;
        let own = cache.as_ref().filter(|_| options.provider.keeps_own_files());
        let provider_folder = own.map(Cache::provider_folder).transpose()?;
        let cache = cache.filter(|_| options.provider.optimises_to_onnx());
        let open = |graph: Vec<u8>| match &cache {
            Some(cache) => cache.make(&graph, path, options),
            None => {
                let session = session::open(&graph, path, options, Optimise::Now, provider_folder.as_deref())?;
                Ok((session, graph))
            }
        };
        let kept = cache.as_ref().and_then(|cache| cache.kept(path, options));
        let (rewritten, (session, bytes)) = match kept {
            // What is kept was made of the form that would be made now.
            Some(opened) => (wants_rewriting(options) && rewrite::for_cpu(&bytes).is_some(), opened),
            None => {
                sizes::check(&bytes, path).map_err(|m| Error::model(path, m.expected, m.found))?;
                open_fastest(bytes, path, options, open)?
            }
        };
        let signature = Signature::of(&session);
        Ok(Graph {
            path: path.to_path_buf(),
            bytes,
            optimised: cache.is_some(),
            rewritten,
            options: options.clone(),
            provider_folder,
            names: signature.outputs.iter().map(|port| port.name.clone()).collect(),
            signature,
            pool: Pool::new(session),
            sessions: Mutex::new(1),
        })
    }

    /// The file that it came from, or what it is called.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Inputs and outputs.
    pub(crate) fn signature(&self) -> &Signature {
        &self.signature
    }

    /// What runs it.
    pub(crate) fn provider(&self) -> Provider {
        self.options.provider
    }

    /// Whether parts of it run as operators other than those in the file.
    pub(crate) fn rewritten(&self) -> bool {
        self.rewritten
    }

    /// Calls `read` with the graph's custom metadata.
    pub(crate) fn metadata<R>(&self, read: impl FnOnce(Metadata<'_>) -> R) -> Result<R> {
        let mut lent = self.pool.lend();
        let session = lent.get().ok_or_else(|| self.failed("a session is gone"))?;
        let metadata = session.metadata().map_err(|e| Error::model(&self.path, "metadata", e.to_string()))?;
        Ok(read(&|key| metadata.custom(key)))
    }

    /// How the graph takes the input of a manifest.
    pub(crate) fn input(&self, input: &Preprocess) -> Result<InputForm, Mismatch> {
        InputForm::find(input, &self.signature)
    }

    /// Opens sessions until there are `count`.
    pub(crate) fn reserve(&self, count: usize) -> Result<()> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        while *sessions < count {
            let optimise = if self.optimised { Optimise::Done } else { Optimise::Now };
            let files = self.provider_folder.as_deref();
            self.pool.add(session::open(&self.bytes, &self.path, &self.options, optimise, files)?);
            *sessions += 1;
        }
        Ok(())
    }

    /// Runs it on an input `[N, C, H, W]` and copies the outputs that are `used` into `outputs`. Waits for a session
    /// when all are in use, and gives it back before it returns. `full` is the batch that a smaller one is filled up to
    /// where the provider [wants one shape](Provider::wants_one_shape).
    pub(crate) fn run(
        &self,
        form: &InputForm,
        input: ArrayView4<'_, f32>,
        full: usize,
        used: &[usize],
        outputs: &mut Outputs,
    ) -> Result<()> {
        let mut lent = self.pool.lend();
        let session = lent.get().ok_or_else(|| self.failed("a session is gone"))?;
        if !Arc::ptr_eq(&outputs.names, &self.names) {
            outputs.names = Arc::clone(&self.names);
        }
        let Outputs { tensors, input: scratch, .. } = outputs;
        let full = if self.options.provider.wants_one_shape() { full } else { input.dim().0 };
        let results = match form.values(input, full, scratch).map_err(|e| self.failed(e))? {
            Inputs::Image(value) => session.run(value),
            Inputs::Two(values) => session.run(values),
        };
        let results = results.map_err(|e| self.failed(e))?;
        tensors.resize_with(self.names.len(), Tensor::default);
        for &index in used {
            let name = self.names.get(index).map_or("", String::as_str);
            let value = results.get(name).ok_or_else(|| self.failed(format_args!("no output `{name}`")))?;
            tensors[index].copy(value).map_err(|e| self.failed(format_args!("output `{name}`: {e}")))?;
        }
        Ok(())
    }

    fn failed(&self, message: impl ToString) -> Error {
        Error::inference(&self.path, message.to_string())
    }
}

fn wants_rewriting(options: &GraphOptions) -> bool {
    options.rewrite && options.provider == Provider::Cpu
}

/// Opens a graph as the provider runs it fastest, or else as it is; tells which.
fn open_fastest<T>(
    graph: Vec<u8>,
    path: &Path,
    options: &GraphOptions,
    open: impl Fn(Vec<u8>) -> Result<T>,
) -> Result<(bool, T)> {
    let rewritten = if wants_rewriting(options) { rewrite::for_cpu(&graph) } else { None };
    match rewritten.map(&open) {
        Some(Ok(opened)) => Ok((true, opened)),
        Some(Err(problem)) => {
            let opened = open(graph)?;
            tracing::warn!(graph = %path.display(), %problem, "the graph runs as it is, a faster form does not");
            Ok((false, opened))
        }
        None => Ok((false, open(graph)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_whose_faster_form_does_not_open_is_opened_as_it_is() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/yolov8-detect/model.onnx");
        let graph = std::fs::read(&path).unwrap();
        let open = |options: &GraphOptions, refuse: &dyn Fn(&[u8]) -> bool| {
            let given = |bytes: Vec<u8>| match refuse(&bytes) {
                true => Err(Error::internal("refused".to_owned())),
                false => Ok(bytes),
            };
            open_fastest(graph.clone(), &path, options, given)
        };
        let cpu = GraphOptions::default();
        let (rewritten, bytes) = open(&cpu, &|_| false).unwrap();
        assert!(rewritten && bytes != graph);
        assert_eq!(open(&cpu, &|bytes| bytes != graph).unwrap(), (false, graph.clone()));
        assert!(open(&cpu, &|_| true).is_err());
        let off = GraphOptions { rewrite: false, ..GraphOptions::default() };
        assert_eq!(open(&off, &|_| false).unwrap(), (false, graph.clone()));
        let cuda = GraphOptions { provider: Provider::Cuda, ..GraphOptions::default() };
        assert_eq!(open(&cuda, &|_| false).unwrap(), (false, graph.clone()), "for the CPU alone");
    }
}
