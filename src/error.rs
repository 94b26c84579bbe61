use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};

/// What a function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// Who has to act on an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The caller: an argument, a policy or labels that cannot be used.
    Caller,
    /// One image: the others of the batch are not concerned.
    Image,
    /// The model package: its files, its graph or what the graph returned.
    Model,
    /// ONNX Runtime: not found, too old, or failing.
    Runtime,
    /// The operating system: a file that cannot be read or written.
    System,
    /// Nobody: the run was cancelled.
    Cancelled,
}

/// Everything that can go wrong. Each message names the file or the panel, what was expected and what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument that cannot be used.
    #[error("{0}")]
    Argument(String),

    /// A policy file that cannot be used.
    #[error("policy {}: {problem}", .path.display())]
    Policy {
        /// The file, or a name for a policy that did not come from a file.
        path: PathBuf,
        /// What is wrong, with the line where the file gives one.
        problem: String,
    },

    /// Too few labelled panels for the guarantee that was asked for.
    #[error(
        "calibration: expected at least {needed} {what} of at most {} %, found {found}{}",
        percent(*.level), .smallest.map(|rate| format!(", which can show {:.2} % at best", rate * 100.0)).unwrap_or_default()
    )]
    TooFew {
        /// Which panels, and for which rate.
        what: String,
        /// The rate that was asked for, in `0..1`.
        level: f64,
        /// Fewest panels that can show it.
        needed: u64,
        /// Panels there are.
        found: u64,
        /// The smallest rate that they can show; `None` without any.
        smallest: Option<f64>,
    },

    /// No limit on the model's confidence gives the guarantee that was asked for.
    #[error("calibration: {0}")]
    Calibration(String),

    /// Labelled data that cannot be used.
    #[error("labels {}{}: expected {expected}, found {found}", .path.display(), .line.map(|n| format!(":{n}")).unwrap_or_default())]
    Labels {
        /// The file or folder.
        path: PathBuf,
        /// The line, from 1, of a label that is none.
        line: Option<usize>,
        /// What belongs there.
        expected: String,
        /// What is there.
        found: String,
    },

    /// An image that cannot be inspected.
    #[error("image {name}: expected {expected}, found {found}")]
    Image {
        /// The file, or the panel's id for an image that came from memory.
        name: String,
        /// What an inspectable image has.
        expected: String,
        /// What this one has.
        found: String,
        /// The decoder's own error, if any.
        #[source]
        source: Option<Source>,
    },

    /// A model package that cannot be used: its files, its manifest, or a graph that does not fit the manifest.
    #[error("model {}: expected {expected}, found {found}", .path.display())]
    Model {
        /// The file at fault.
        path: PathBuf,
        /// What the manifest or this library expects.
        expected: String,
        /// What is there.
        found: String,
        /// The underlying error, if any.
        #[source]
        source: Option<Source>,
    },

    /// The model gave numbers that are none (NaN or infinite), or a tensor of another shape than its format says.
    #[error("model output `{output}`: expected {expected}, found {found}")]
    Output {
        /// Name of the graph's output.
        output: String,
        /// What the format says.
        expected: String,
        /// The number found and where, or the shape.
        found: String,
    },

    /// ONNX Runtime is missing or cannot be used.
    #[error("{0}")]
    Runtime(RuntimeError),

    /// An execution provider that was asked for and cannot be used. The CPU does not take its place.
    #[error("provider {provider}: expected {expected}, found {found}")]
    Provider {
        /// Its name, for example `cuda`.
        provider: &'static str,
        /// What it needs, and what gives it that.
        expected: String,
        /// What is there.
        found: String,
        /// The runtime's own error, if any.
        #[source]
        source: Option<Source>,
    },

    /// ONNX Runtime failed while it ran a model.
    #[error("ONNX Runtime failed on model {}: {message}", .path.display())]
    Inference {
        /// The model's file.
        path: PathBuf,
        /// What the runtime says.
        message: String,
    },

    /// A file that cannot be read or written.
    #[error("{action} {}: {source}", .path.display())]
    Io {
        /// What was being done, for example `reading`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },

    /// The run was cancelled before this panel was inspected.
    #[error("cancelled before it was inspected")]
    Cancelled,

    /// A defect of this library: a worker panicked on this panel. The other panels are not concerned.
    #[error("internal error in a worker: {0}")]
    Internal(String),
}

impl Error {
    /// Who has to act.
    pub fn fault(&self) -> Fault {
        match self {
            Error::Argument(_) | Error::Policy { .. } | Error::Labels { .. } | Error::TooFew { .. } => Fault::Caller,
            Error::Image { .. } => Fault::Image,
            Error::Model { .. } | Error::Output { .. } | Error::Calibration(_) | Error::Internal(_) => Fault::Model,
            Error::Runtime(_) | Error::Provider { .. } | Error::Inference { .. } => Fault::Runtime,
            Error::Io { .. } => Fault::System,
            Error::Cancelled => Fault::Cancelled,
        }
    }

    /// An [`Error::Image`] without a decoder's error: `name` is the file, or the panel's id for an image from memory.
    pub fn image(name: impl fmt::Display, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Error::Image { name: name.to_string(), expected: expected.into(), found: found.into(), source: None }
    }

    /// An [`Error::Model`] of the file `path`, without an underlying error.
    pub fn model(path: &Path, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Error::Model { path: path.to_path_buf(), expected: expected.into(), found: found.into(), source: None }
    }

    /// An [`Error::Labels`] of the file or folder `path`; `line` counts from 1.
    pub fn labels(path: &Path, line: Option<usize>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Error::Labels { path: path.to_path_buf(), line, expected: expected.into(), found: found.into() }
    }

    /// For `map_err`: an [`Error::Io`] of what was being done (`reading`, `writing`, `creating`) to the file `path`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Error::Io { action, path, source }
    }
}

/// The line, from 1, of the byte at `at` in `text`.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1
}

/// A share in percent, without the digits that binary fractions leave behind.
pub(crate) fn percent(share: f64) -> f64 {
    (share * 1e8).round() / 1e6
}

/// Why ONNX Runtime could not be used, with every place that was tried.
#[derive(Debug)]
#[non_exhaustive]
pub struct RuntimeError {
    /// One line each: a place and what was wrong with it, in the order tried.
    pub tried: Vec<(String, String)>,
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "no usable ONNX Runtime (1.24 or newer) was found. Tried:")?;
        for (place, problem) in &self.tried {
            writeln!(f, "  {place}: {problem}")?;
        }
        write!(
            f,
            "Get it with `python3 -m pip install --no-deps --target DIR onnxruntime==1.32.0` and set ORT_DYLIB_PATH to \
             the shared library in DIR/onnxruntime/capi"
        )
    }
}
