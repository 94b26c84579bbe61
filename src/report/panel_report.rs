use std::path::PathBuf;
use std::sync::Arc;

use ndarray::Array2;
use serde::Serialize;

use crate::defect::Defect;
use crate::error::Error;
use crate::frame::Panel;
use crate::judge::Verdict;
use crate::runtime::Provider;

/// The result of one panel. Its JSON form is one line of `results.jsonl`, with the fields in this order.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PanelReport {
    /// Id of the panel.
    pub panel: String,
    /// Its first image file, as it was given (bytes that are not UTF-8 replaced); `None` for a panel from memory.
    pub image: Option<String>,
    /// Whether it was inspected.
    pub status: Status,
    /// The verdict; a panel that could not be inspected is for review.
    pub verdict: Verdict,
    /// The rules that gave the verdict.
    pub reasons: Vec<String>,
    /// What was found, the surest first in each frame.
    pub defects: Vec<Defect>,
    /// The highest confidence that the model gave to any defect, reported or not; `None` when not inspected.
    pub score: Option<f32>,
    /// Width of the first frame in pixels; `None` when not inspected.
    pub width: Option<u32>,
    /// Height of the first frame in pixels; `None` when not inspected.
    pub height: Option<u32>,
    /// Time spent, in milliseconds; `None` when not inspected.
    pub ms: Option<Timings>,
    /// What the result was made with.
    pub trace: Trace,
    /// Why it could not be inspected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How anomalous each pixel (height, width) of each frame is, in `0..=1`, when the inspector
    /// [keeps](crate::InspectorBuilder::keep_maps) it. It is not written.
    #[serde(skip)]
    pub maps: Vec<Array2<f32>>,
}

/// Whether a panel was inspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It was.
    Ok,
    /// It was not.
    Error,
}

/// Milliseconds of work for one panel, of all its frames together. In a batch the time of the model is shared out
/// evenly.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Timings {
    /// Reading, hashing and decoding the image files.
    pub decode: f64,
    /// From pixels to the input tensor.
    pub preprocess: f64,
    /// The model.
    pub infer: f64,
    /// From outputs to defects and verdict.
    pub postprocess: f64,
}

impl Timings {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.decode + self.preprocess + self.infer + self.postprocess
    }
}

/// Hashes (SHA-256, hexadecimal) of everything that a result depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Trace {
    /// The graph's file.
    pub model: Arc<str>,
    /// The manifest's file.
    pub manifest: Arc<str>,
    /// The policy's file; `None` when there was none.
    pub policy: Option<Arc<str>>,
    /// The first image's file; `None` for a panel from memory, or one that could not be read.
    pub image: Option<Arc<str>>,
    /// What ran the graph; `None`, and absent from the JSON form, for the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// Whether parts of the graph ran as other operators than the file has: see
    /// [`GraphOptions::rewrite`](crate::GraphOptions::rewrite). Absent from the JSON form where it is not so.
    #[serde(skip_serializing_if = "is_false")]
    pub rewritten: bool,
    /// Version of this library.
    pub version: &'static str,
}

/// Why one panel could not be inspected.
#[derive(Debug, thiserror::Error)]
#[error("panel {panel}: {error}")]
#[non_exhaustive]
pub struct PanelError {
    /// Id of the panel.
    pub panel: String,
    /// Its first image file; `None` for a panel from memory.
    pub image: Option<PathBuf>,
    /// What went wrong.
    #[source]
    pub error: Error,
    pub(crate) trace: Trace,
    given: Option<Box<Panel<'static>>>,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl PanelError {
    pub(crate) fn new(panel: String, image: Option<PathBuf>, error: Error, trace: Trace) -> Self {
        PanelError { panel, image, error, trace, given: None }
    }

    pub(crate) fn with_panel(mut self, panel: Option<Panel<'static>>) -> Self {
        self.given = panel.map(Box::new);
        self
    }

    /// The panel, where it was given in memory: its frames are not lost with the error.
    pub fn into_panel(self) -> Option<Panel<'static>> {
        self.given.map(|panel| *panel)
    }

    /// The line that the panel keeps in the results: status `error`, verdict `review`.
    pub fn to_report(&self) -> PanelReport {
        PanelReport {
            panel: self.panel.clone(),
            image: self.image.as_ref().map(|path| path.display().to_string()),
            status: Status::Error,
            verdict: Verdict::Review,
            reasons: Vec::new(),
            defects: Vec::new(),
            score: None,
            width: None,
            height: None,
            ms: None,
            trace: self.trace.clone(),
            error: Some(self.error.to_string()),
            maps: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_names_the_provider_unless_it_is_the_cpu() {
        let json = |provider| {
            let (model, manifest) = ("m".into(), "f".into());
            let trace = Trace { model, manifest, policy: None, image: None, provider, rewritten: false, version: "1" };
            serde_json::to_string(&trace).unwrap()
        };
        let same = r#"{"model":"m","manifest":"f","policy":null,"image":null,"#;
        assert_eq!(json(None), format!(r#"{same}"version":"1"}}"#));
        assert_eq!(json(Some(Provider::TensorRt)), format!(r#"{same}"provider":"tensorrt","version":"1"}}"#));
    }
}
