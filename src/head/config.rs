use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::activation::Activation;
use super::registry::Format;
use crate::defect::Kind;
use crate::names::named;

/// What a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Task {
    /// Boxes of defects.
    Detect,
    /// Boxes of defects, each with its shape.
    Instance,
    /// A kind for each pixel; connected pixels of a kind are one defect.
    Segment,
    /// One judgement for the whole frame.
    Classify,
    /// How unusual the frame is, and where.
    Anomaly,
}

named!(Task, "task",
    Detect => "detect", Instance => "instance", Segment => "segment", Classify => "classify", Anomaly => "anomaly",
);

/// The `[output]` table of a manifest. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OutputConfig {
    /// How the outputs are laid out. Default `auto`.
    #[serde(default)]
    pub format: Format,
    /// The kinds, in the order of the graph's channels (for `boxes`, of its label numbers).
    pub kinds: Vec<Kind>,
    /// The kinds that mean "no defect". They are never reported. Default none.
    #[serde(default)]
    pub good: Vec<Kind>,
    /// Defects below this confidence are not reported, 0 to 1. A policy with lower limits lowers it. Default 0.25.
    #[serde(default = "quarter")]
    pub confidence: f32,
    /// The same for single kinds, in place of `confidence`. Default none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub confidences: BTreeMap<Kind, f32>,
    /// Of two boxes of the same kind that overlap more than this (IoU), the less confident one is dropped. Default 0.5.
    #[serde(default = "half")]
    pub iou: f32,
    /// The same for boxes of different kinds. Default: kinds do not suppress each other.
    pub iou_across: Option<f32>,
    /// Maximum number of defects that a detector reports for one frame, most confident first. Default 300.
    #[serde(default = "three_hundred")]
    pub max_defects: usize,
    /// How numbers become probabilities, where the format does not say so. Default `none`: they already are.
    #[serde(default)]
    pub activation: Activation,
    /// Name of the graph's output with scores. Default: detected from names and shapes.
    pub scores: Option<String>,
    /// Name of the graph's output with boxes. Default: detected from names and shapes.
    pub boxes: Option<String>,
    /// `anomaly`: name of the graph's output with the map. Default: detected from names and shapes.
    pub map: Option<String>,
    /// `scores`: name of the graph's output with the class-activation map. Default: there is none, and a defect
    /// covers the frame.
    pub cam: Option<String>,
    /// `scores`: the region of a defect is where the map is above this part of its range, 0 to 1. Default 0.5.
    #[serde(default = "half")]
    pub cam_threshold: f32,
    /// Pixels belong to a defect from this probability (`mask`, masks of `instance`) or this normalised anomaly on,
    /// 0 to 1. Default 0.5.
    #[serde(default = "half")]
    pub pixel_threshold: f32,
    /// `mask` and `anomaly`: regions of fewer source pixels are not reported. Default 1.
    #[serde(default = "one")]
    pub min_area: u64,
    /// `anomaly`: maps numbers of any scale to 0 to 1. Default: they are on that scale already.
    pub normalize: Option<Normalize>,
}

/// How anomaly numbers of any scale are mapped to 0 to 1, so that the limit between normal and anomalous lies at 0.5:
/// `(x - threshold) / (max - min) + 0.5`, cut off at 0 and 1. This is anomalib's min-max normalisation
/// (`anomalib.post_processing`); its exports from version 2 on have it in the graph.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Normalize {
    /// The number from which a frame or pixel is anomalous.
    pub threshold: f32,
    /// The lowest number seen on validation data.
    pub min: f32,
    /// The highest number seen on validation data.
    pub max: f32,
}

impl Normalize {
    /// The number on the scale 0 to 1. NaN stays NaN.
    pub fn apply(&self, x: f32) -> f32 {
        ((x - self.threshold) / (self.max - self.min) + 0.5).clamp(0.0, 1.0)
    }
}

fn quarter() -> f32 {
    0.25
}

fn half() -> f32 {
    0.5
}

fn one() -> u64 {
    1
}

fn three_hundred() -> usize {
    300
}

impl OutputConfig {
    /// The defaults for `kinds`.
    pub fn new(kinds: Vec<Kind>) -> Self {
        OutputConfig {
            format: Format::default(),
            kinds,
            good: Vec::new(),
            confidence: quarter(),
            confidences: BTreeMap::new(),
            iou: half(),
            iou_across: None,
            max_defects: three_hundred(),
            activation: Activation::default(),
            scores: None,
            boxes: None,
            map: None,
            cam: None,
            cam_threshold: half(),
            pixel_threshold: half(),
            min_area: one(),
            normalize: None,
        }
    }

    /// The confidence from which on defects of `kind` are reported.
    pub fn confidence_of(&self, kind: &Kind) -> f32 {
        self.confidences.get(kind).copied().unwrap_or(self.confidence)
    }
}
