use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::head::HeadFormat;
use crate::names::named;
use crate::runtime::{GraphOptions, Provider};

/// The numbers that a graph computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Precision {
    /// Those of `model.onnx`: 32-bit floating point, or what it was exported with.
    #[default]
    Fp32,
    /// 8-bit integers: `model.int8.onnx`.
    Int8,
}

named!(Precision, "precision", Fp32 => "fp32", Int8 => "int8");

impl Precision {
    /// The graph of this precision in the package whose graph in floating point is `path`.
    pub fn graph(self, path: &Path) -> PathBuf {
        match self {
            Precision::Fp32 => path.to_path_buf(),
            Precision::Int8 => path.with_extension("int8.onnx"),
        }
    }

    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How a model package is loaded; see [`Model::load_with`](crate::Model::load_with).
///
/// ```
/// use panelqc::{ModelOptions, Precision};
///
/// let options = ModelOptions::default().with_precision(Precision::Int8).with_cache("cache");
/// # assert_eq!(options.precision, Some(Precision::Int8));
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ModelOptions {
    /// Which graph of a package with two to use. Default: the one that the manifest chooses.
    pub precision: Option<Precision>,
    /// How the graph is opened and run.
    pub graph: GraphOptions,
    /// The program's own formats, which a manifest may name. Default: none.
    pub formats: Vec<HeadFormat>,
    /// Whether the model is loaded without the inference that tries its outputs: see
    /// [`Model::load`](crate::Model::load). Default `false`.
    pub untried: bool,
}

impl ModelOptions {
    /// The same with this precision instead of the one that the manifest chooses.
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.precision = Some(precision);
        self
    }

    /// The same with a provider: see [`GraphOptions::provider`].
    #[must_use]
    pub fn with_provider(mut self, provider: Provider) -> Self {
        self.graph.provider = provider;
        self
    }

    /// The same with a device of the provider: see [`GraphOptions::device`].
    #[must_use]
    pub fn with_device(mut self, device: u32) -> Self {
        self.graph.device = device;
        self
    }

    /// The same, leaving operators that the provider lacks to the CPU or not: see [`GraphOptions::share_with_cpu`].
    #[must_use]
    pub fn with_shared_cpu(mut self, share: bool) -> Self {
        self.graph.share_with_cpu = share;
        self
    }

    /// The same with a folder that keeps the optimised graph: see [`GraphOptions::cache`].
    #[must_use]
    pub fn with_cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.graph.cache = Some(folder.into());
        self
    }

    /// The same, with parts of the graph rewritten for the CPU or not: see [`GraphOptions::rewrite`].
    #[must_use]
    pub fn with_rewrite(mut self, rewrite: bool) -> Self {
        self.graph.rewrite = rewrite;
        self
    }

    /// The same, with or without an inference that tries the model when it is loaded. Without it a format whose numbers
    /// do not fit shows with the first panel, as its error. That is for a program that loads a model again that it has
    /// loaded before, or that must not wait for an inference.
    #[must_use]
    pub fn with_untried(mut self, untried: bool) -> Self {
        self.untried = untried;
        self
    }

    /// The same with one of the program's own formats, which a manifest may name as its `[output] format`.
    #[must_use]
    pub fn with_format(mut self, format: HeadFormat) -> Self {
        self.formats.push(format);
        self
    }
}
