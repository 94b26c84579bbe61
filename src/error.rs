use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::printable::printable;

/// What a function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// What went wrong, for programs that act on it. Each kind has a text that stays the same across versions, for results,
/// logs and other languages: [`code`](Self::code).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument or an option that cannot be used.
    Argument,
    /// A policy that cannot be used.
    Policy,
    /// Labelled data that cannot be used.
    Labels,
    /// Stored results that cannot be read, or that were made with something else.
    Results,
    /// Too few labelled panels for the requested guarantee: see [`Error::too_few`].
    TooFewPanels,
    /// No limit on the model's confidence gives the requested guarantee.
    Calibration,
    /// An image file that is damaged, or not whole.
    Damaged,
    /// An image file in an unsupported form, or a file that is not an image.
    Unsupported,
    /// An image file beyond the limits.
    Limits,
    /// A panel without the reference (golden template) that the model compares it with.
    MissingReference,
    /// A frame that does not fit: its size, its memory, its values, its id, or its reference.
    Frame,
    /// A model package that cannot be used: its files, its manifest, or a graph that does not fit the manifest.
    Model,
    /// Non-finite values in the model's outputs, scores that are no probabilities, or a tensor of a shape other than
    /// its format's.
    Output,
    /// ONNX Runtime is missing or cannot be used: see [`Error::tried`].
    Runtime,
    /// A requested execution provider that cannot be used. The CPU does not take its place.
    Provider,
    /// ONNX Runtime failed while it ran a model.
    Inference,
    /// A file that cannot be read or written.
    Io,
    /// The operating system cannot start a thread.
    Threads,
    /// There was no result in time.
    Timeout,
    /// The run was cancelled before the panel was inspected.
    Cancelled,
    /// A bug in this library: a worker panicked. Other panels are not affected.
    Internal,
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: [ErrorKind; 21] = [
        ErrorKind::Argument,
        ErrorKind::Policy,
        ErrorKind::Labels,
        ErrorKind::Results,
        ErrorKind::TooFewPanels,
        ErrorKind::Calibration,
        ErrorKind::Damaged,
        ErrorKind::Unsupported,
        ErrorKind::Limits,
        ErrorKind::MissingReference,
        ErrorKind::Frame,
        ErrorKind::Model,
        ErrorKind::Output,
        ErrorKind::Runtime,
        ErrorKind::Provider,
        ErrorKind::Inference,
        ErrorKind::Io,
        ErrorKind::Threads,
        ErrorKind::Timeout,
        ErrorKind::Cancelled,
        ErrorKind::Internal,
    ];

    /// A text that stays the same across versions, for example `missing-reference`.
    pub fn code(self) -> &'static str {
        match self {
            ErrorKind::Argument => "argument",
            ErrorKind::Policy => "policy",
            ErrorKind::Labels => "labels",
            ErrorKind::Results => "results",
            ErrorKind::TooFewPanels => "too-few-panels",
            ErrorKind::Calibration => "calibration",
            ErrorKind::Damaged => "damaged",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Limits => "limits",
            ErrorKind::MissingReference => "missing-reference",
            ErrorKind::Frame => "frame",
            ErrorKind::Model => "model",
            ErrorKind::Output => "output",
            ErrorKind::Runtime => "runtime",
            ErrorKind::Provider => "provider",
            ErrorKind::Inference => "inference",
            ErrorKind::Io => "io",
            ErrorKind::Threads => "threads",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::Internal => "internal",
        }
    }

    /// The kind of this [`code`](Self::code).
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Who has to act.
    pub fn fault(self) -> Fault {
        match self {
            ErrorKind::Argument
            | ErrorKind::Policy
            | ErrorKind::Labels
            | ErrorKind::Results
            | ErrorKind::TooFewPanels => Fault::Caller,
            ErrorKind::Damaged
            | ErrorKind::Unsupported
            | ErrorKind::Limits
            | ErrorKind::MissingReference
            | ErrorKind::Frame => Fault::Image,
            ErrorKind::Model | ErrorKind::Output | ErrorKind::Calibration => Fault::Model,
            ErrorKind::Runtime | ErrorKind::Provider | ErrorKind::Inference => Fault::Runtime,
            ErrorKind::Io | ErrorKind::Threads => Fault::System,
            ErrorKind::Timeout | ErrorKind::Cancelled => Fault::Cancelled,
            ErrorKind::Internal => Fault::Library,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

/// Who has to act on an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The caller: an argument, a policy, labels or results that cannot be used.
    Caller,
    /// Whoever makes the image: the rest of the batch is not affected.
    Image,
    /// Whoever made the model package: its files, its graph or what the graph returned.
    Model,
    /// Whoever set ONNX Runtime up: not found, too old, or failing.
    Runtime,
    /// The operating system: a file that cannot be read or written, a thread that cannot start.
    System,
    /// Nobody: the run was cancelled, or there was no result in time.
    Cancelled,
    /// This library.
    Library,
}

/// Everything that can go wrong. The message names the file or the panel, what was expected and what was found.
///
/// ```
/// use panelqc::{ErrorKind, Model};
///
/// let error = Model::load("no such package").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Model);
/// assert_eq!((error.name(), error.found()), (Some("no such package"), Some("nothing there")));
/// assert!(error.to_string().starts_with("model no such package: expected a folder with model.onnx"));
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    /// What the message begins with, and what it is about.
    about: Option<(&'static str, String)>,
    /// The line of a file, from 1.
    line: Option<usize>,
    what: What,
    source: Option<Source>,
}

enum What {
    Text(String),
    Mismatch {
        expected: String,
        found: String,
    },
    TooFew(TooFew),
    /// Places and what was wrong with each.
    Tried(Vec<(String, String)>),
}

/// How many labelled panels a guarantee needs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TooFew {
    /// Which panels, and for which rate.
    pub what: String,
    /// The requested rate, in `0..1`.
    pub level: f64,
    /// Fewest panels that can show it.
    pub needed: u64,
    /// Panels available.
    pub found: u64,
    /// The smallest rate that they can show; `None` without any.
    pub smallest: Option<f64>,
}

impl Error {
    fn of(kind: ErrorKind, about: Option<(&'static str, String)>, what: What) -> Self {
        Error(Box::new(Inner { kind, about, line: None, what, source: None }))
    }

    fn mismatch(
        kind: ErrorKind,
        about: (&'static str, String),
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::of(kind, Some(about), What::Mismatch { expected: expected.into(), found: found.into() })
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Who has to act.
    pub fn fault(&self) -> Fault {
        self.0.kind.fault()
    }

    /// The file, panel, output or provider that it is about, if any.
    pub fn name(&self) -> Option<&str> {
        self.0.about.as_ref().map(|(_, name)| name.as_str())
    }

    /// The line of a file of labels or results, from 1.
    pub fn line(&self) -> Option<usize> {
        self.0.line
    }

    /// What was expected, where the message says so.
    pub fn expected(&self) -> Option<&str> {
        if let What::Mismatch { expected, .. } = &self.0.what { Some(expected) } else { None }
    }

    /// What was found instead.
    pub fn found(&self) -> Option<&str> {
        if let What::Mismatch { found, .. } = &self.0.what { Some(found) } else { None }
    }

    /// How many panels are missing, for [`ErrorKind::TooFewPanels`].
    pub fn too_few(&self) -> Option<&TooFew> {
        if let What::TooFew(few) = &self.0.what { Some(few) } else { None }
    }

    /// Each place where ONNX Runtime was looked for and what was wrong with it, in order, for [`ErrorKind::Runtime`].
    pub fn tried(&self) -> &[(String, String)] {
        if let What::Tried(tried) = &self.0.what { tried } else { &[] }
    }

    /// The same error with its source.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error of another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// An argument that cannot be used.
    pub fn argument(problem: impl Into<String>) -> Self {
        Self::of(ErrorKind::Argument, None, What::Text(problem.into()))
    }

    /// A policy that cannot be used; `path` is its file, or what messages call it.
    pub fn policy(path: &Path, problem: impl Into<String>) -> Self {
        Self::of(ErrorKind::Policy, Some(("policy", path.display().to_string())), What::Text(problem.into()))
    }

    /// Labelled data that cannot be used: the file or folder, and the line, from 1.
    pub fn labels(path: &Path, line: Option<usize>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        let about = ("labels", path.display().to_string());
        let mut error = Self::mismatch(ErrorKind::Labels, about, expected, found);
        error.0.line = line;
        error
    }

    /// Stored results that cannot be used: their file, and the line, from 1.
    pub fn results(path: &Path, line: Option<usize>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        let about = ("results", path.display().to_string());
        let mut error = Self::mismatch(ErrorKind::Results, about, expected, found);
        error.0.line = line;
        error
    }

    /// Too few labelled panels: at least `needed` of `what` show a rate of at most `level`, `found` show `smallest`.
    pub fn too_few_panels(what: String, level: f64, needed: u64, found: u64, smallest: Option<f64>) -> Self {
        let few = TooFew { what, level, needed, found, smallest };
        Self::of(ErrorKind::TooFewPanels, Some(("calibration", String::new())), What::TooFew(few))
    }

    /// No limit gives the requested guarantee.
    pub fn calibration(problem: impl Into<String>) -> Self {
        Self::of(ErrorKind::Calibration, Some(("calibration", String::new())), What::Text(problem.into()))
    }

    /// A frame that cannot be inspected; `name` is its file, or the panel's id for one from memory.
    pub fn image(name: impl fmt::Display, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::mismatch(ErrorKind::Frame, ("image", name.to_string()), expected, found)
    }

    /// A model package that cannot be used: the file at fault.
    pub fn model(path: &Path, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::mismatch(ErrorKind::Model, ("model", path.display().to_string()), expected, found)
    }

    /// An output of a graph that does not match its format.
    pub fn output(name: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::mismatch(ErrorKind::Output, ("model output", name.into()), expected, found)
    }

    /// No usable ONNX Runtime: each place tried and what was wrong with it.
    pub(crate) fn runtime(tried: Vec<(String, String)>) -> Self {
        Self::of(ErrorKind::Runtime, None, What::Tried(tried))
    }

    /// An execution provider that cannot be used.
    pub(crate) fn provider(name: &str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::mismatch(ErrorKind::Provider, ("provider", name.to_owned()), expected, found)
    }

    /// ONNX Runtime failed on a model.
    pub(crate) fn inference(path: &Path, message: impl Into<String>) -> Self {
        let about = ("ONNX Runtime failed on model", path.display().to_string());
        Self::of(ErrorKind::Inference, Some(about), What::Text(message.into()))
    }

    /// Wraps an error of the operating system: `action` is what was being done, for example `reading`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path: PathBuf = path.to_path_buf();
        move |source| {
            let about = (action, path.display().to_string());
            Self::of(ErrorKind::Io, Some(about), What::Text(source.to_string())).with_source(source)
        }
    }

    /// The operating system cannot start a thread.
    pub(crate) fn threads(what: impl fmt::Display, source: impl Into<Source>) -> Self {
        let source = source.into();
        let problem = format!("{what}: {source}");
        Self::of(ErrorKind::Threads, None, What::Text(problem)).with_source(source)
    }

    /// There was no result in time.
    pub fn timeout(after: std::time::Duration) -> Self {
        Self::of(ErrorKind::Timeout, None, What::Text(format!("no result after {} ms", after.as_millis())))
    }

    /// The run was cancelled before the panel was inspected.
    pub fn cancelled() -> Self {
        Self::of(ErrorKind::Cancelled, None, What::Text("cancelled before it was inspected".to_owned()))
    }

    /// A bug in this library.
    pub fn internal(problem: impl Into<String>) -> Self {
        Self::of(ErrorKind::Internal, Some(("internal error in a worker", String::new())), What::Text(problem.into()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, about, line, what, .. } = &*self.0;
        if let Some((word, name)) = about {
            match (name.as_str(), kind) {
                ("", _) => f.write_str(word)?,
                (name, ErrorKind::Output) => write!(f, "{word} `{}`", printable(name))?,
                (name, _) => write!(f, "{word} {}", printable(name))?,
            }
            if let Some(line) = line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        }
        match what {
            What::Text(text) => f.write_str(&shown(text)),
            What::Mismatch { expected, found } => write!(f, "expected {}, found {}", shown(expected), shown(found)),
            What::TooFew(few) => few.fmt(f),
            What::Tried(tried) => {
                writeln!(f, "no usable ONNX Runtime (1.24 or newer) was found. Tried:")?;
                for (place, problem) in tried {
                    writeln!(f, "  {}: {}", printable(place), shown(problem))?;
                }
                write!(
                    f,
                    "Get it with `python3 -m pip install --no-deps --target DIR onnxruntime==1.32.0` and set \
                     ORT_DYLIB_PATH to the shared library in DIR/onnxruntime/capi"
                )
            }
        }
    }
}

impl fmt::Display for TooFew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooFew { what, level, needed, found, smallest } = self;
        write!(f, "expected at least {needed} {what} of at most {} %, found {found}", percent(*level))?;
        match smallest {
            Some(rate) => write!(f, ", which can show {:.2} % at best", rate * 100.0),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}: {self})", self.0.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// Text of a message, which may have several lines, as it is shown: names in it can hold anything.
fn shown(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// A share in percent, without the digits that binary fractions leave behind.
pub(crate) fn percent(share: f64) -> f64 {
    (share * 1e8).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_words_of_their_own_and_lead_back() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_code(kind.code()), Some(kind));
            assert!(kind.code().chars().all(|c| c.is_ascii_lowercase() || c == '-'));
        }
        assert_eq!(ErrorKind::from_code("frobnicated"), None);
    }

    #[test]
    fn a_fault_of_the_library_is_no_fault_of_the_model() {
        assert_eq!(Error::internal("a panic").fault(), Fault::Library);
        assert_eq!(Error::threads("threads: cannot start 4", "no more").fault(), Fault::System);
        assert_eq!(Error::internal("a panic").to_string(), "internal error in a worker: a panic");
    }

    #[test]
    fn a_message_names_place_expected_and_found() {
        let path = Path::new("a/labels.csv");
        let error = Error::labels(path, Some(7), "a number", "`x`");
        assert_eq!(error.to_string(), "labels a/labels.csv:7: expected a number, found `x`");
        assert_eq!((error.line(), error.expected(), error.found()), (Some(7), Some("a number"), Some("`x`")));
        let error = Error::io("reading", path)(std::io::Error::other("gone"));
        assert_eq!(error.to_string(), "reading a/labels.csv: gone");
        assert_eq!(error.source().map(ToString::to_string), Some("gone".to_owned()));
        assert_eq!(
            Error::output("scores", "finite numbers", "NaN").to_string(),
            "model output `scores`: expected finite numbers, found NaN"
        );
        let few = Error::too_few_panels("defective panels for a miss rate".to_owned(), 0.07, 42, 4, Some(0.527));
        assert_eq!(
            few.to_string(),
            "calibration: expected at least 42 defective panels for a miss rate of at most 7 %, found 4, which can show 52.70 % at best"
        );
        assert_eq!(few.too_few().map(|few| few.needed), Some(42));
    }

    #[test]
    fn names_in_messages_are_shown_and_not_acted_on() {
        let error = Error::image("bad\u{1b}[31m\n.png", "one\u{202e}", "two\nlines\u{9b}");
        assert_eq!(error.to_string(), "image bad\\u{1b}[31m\\n.png: expected one\\u{202e}, found two\nlines\\u{9b}");
        assert_eq!(error.name(), Some("bad\u{1b}[31m\n.png"), "programs get the name itself");
    }

    #[test]
    fn an_error_is_small() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
