use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::defect::Kind;
use crate::error::{Error, Result};
use crate::tensor::{Batch, Preprocess, Step};

/// `model.toml`: what the graph is fed and what its outputs mean. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Manifest {
    /// Version of this format: 1.
    pub schema: u32,
    /// Name of the model, for reports.
    pub name: String,
    /// What the model does.
    pub task: Task,
    /// SHA-256 of the `.onnx` file (followed by its `.onnx.data`, where the weights lie in one), in hexadecimal. Checked
    /// when it is there.
    pub sha256: Option<String>,
    /// SHA-256 of `model.int8.onnx`, the same model in 8-bit integers (QDQ). Default: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub int8: Option<String>,
    /// Which of the two is used unless the user says otherwise. Default: `fp32`.
    #[serde(default, skip_serializing_if = "Precision::is_default")]
    pub precision: Precision,
    /// Steps that frames go through before they are resized, in this order. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepare: Vec<Step>,
    /// How frames become the input tensor.
    pub input: Preprocess,
    /// What the outputs mean.
    pub output: OutputConfig,
    /// Images with the results that belong to them. Default: there are none.
    pub golden: Option<GoldenConfig>,
}

/// The `[golden]` table of a manifest: see [`Golden`](crate::Golden).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GoldenConfig {
    /// Folder beside the manifest, or below.
    pub folder: String,
}

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

impl Precision {
    /// The graph of this precision in the package whose graph in floating point is `path`.
    pub fn graph(self, path: &Path) -> PathBuf {
        match self {
            Precision::Fp32 => path.to_path_buf(),
            Precision::Int8 => path.with_extension("int8.onnx"),
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

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

/// How the outputs are laid out. Each format is described in the module of its decoder and in `docs/FORMATS.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Format {
    /// Told from the graph's metadata, or from the names, ranks and shapes of its outputs; an error where they fit
    /// several formats or none.
    #[default]
    Auto,
    /// Classification: `[B, K]` scores and, if wanted, a class-activation map `[B, K or 1, h, w]`.
    Scores,
    /// Anchor-free detection: probabilities `[B, K, h, w]` and distances `[B, 4, h, w]`.
    Grid,
    /// YOLOv8, YOLO11, YOLO12: `[B, 4 + K, N]` (centre, size, probabilities). With task `instance`, 32 or so mask
    /// coefficients follow, and prototypes `[B, 32, h, w]` are a second output.
    Yolo,
    /// YOLOv5, YOLOv7: `[B, N, 5 + K]` (centre, size, objectness, probabilities). Masks as for `yolo`.
    #[serde(rename = "yolo-v5")]
    YoloV5,
    /// Oriented boxes of YOLOv8, YOLO11: `[B, 4 + K + 1, N]`, the angle in radians last.
    YoloObb,
    /// Oriented boxes with suppression in the graph: `[B, N, 7]`, the angle in radians last.
    #[serde(rename = "end2end-obb")]
    End2endObb,
    /// YOLOv10, YOLO26, or suppression in the graph: `[B, N, 6]` (corners, confidence, kind). Masks as for `yolo`.
    End2end,
    /// DETR, RT-DETR, D-FINE, RF-DETR: logits `[B, Q, K]` or, with a last one for "nothing", `[B, Q, K + 1]`, and
    /// boxes `[B, Q, 4]` (centre, size, in parts of the input's size). With the last one `activation` says whether it
    /// is weighed against the kinds (`softmax`, the default) or left out (`sigmoid`, the default for RF-DETR's own
    /// exports, whose outputs are called `dets` and `labels`).
    Detr,
    /// Ultralytics' RT-DETR: `[B, N, 6]` (centre and size in parts of the input's size, confidence, kind).
    Rtdetr,
    /// torchvision's detectors, for one frame: boxes `[N, 4]` (corners), labels `[N]`, scores `[N]`, and with task
    /// `instance` masks `[N, 1, H, W]`.
    Boxes,
    /// Semantic segmentation: `[B, K, h, w]` (or `[B, 1, h, w]` for one kind), as `activation` says.
    Mask,
    /// Anomaly: a map `[B, 1, h, w]`, a score `[B]`, or both.
    Anomaly,
}

/// How scores become probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Activation {
    /// They are probabilities already.
    #[default]
    None,
    /// Each by itself: `1 / (1 + exp(-x))`.
    Sigmoid,
    /// Together: `exp(x_k) / sum(exp(x))`.
    Softmax,
}

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
    /// Those of the kinds that mean "no defect". They are never reported. Default none.
    #[serde(default)]
    pub good: Vec<Kind>,
    /// Defects below this confidence are not reported, 0 to 1. A policy with lower limits lowers it. Default 0.25.
    #[serde(default = "quarter")]
    pub confidence: f32,
    /// The same for single kinds, in place of `confidence`. Default none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub confidences: BTreeMap<Kind, f32>,
    /// Of two boxes of the same kind that overlap more than this (IoU), the less sure is dropped. Default 0.5.
    #[serde(default = "half")]
    pub iou: f32,
    /// The same for boxes of different kinds. Default: kinds do not drop each other.
    pub iou_across: Option<f32>,
    /// Most defects that a detector reports for one frame, the surest first. Default 300.
    #[serde(default = "three_hundred")]
    pub max_defects: usize,
    /// How numbers become probabilities, where the format does not say it. Default `none`: they are.
    #[serde(default)]
    pub activation: Activation,
    /// Name of the graph's output with scores. Default: told from names and shapes.
    pub scores: Option<String>,
    /// Name of the graph's output with boxes. Default: told from names and shapes.
    pub boxes: Option<String>,
    /// `anomaly`: name of the graph's output with the map. Default: told from names and shapes.
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
    /// `anomaly`: puts numbers of any scale on 0 to 1. Default: they are on it already.
    pub normalize: Option<Normalize>,
}

/// How anomaly numbers of any scale come to 0 to 1, so that the limit between normal and anomalous lies at 0.5:
/// `(x - threshold) / (max - min) + 0.5`, cut off at 0 and 1. This is anomalib's min-max normalisation
/// (`anomalib.post_processing`); its exports from version 2 on have it in the graph.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Normalize {
    /// The number from which on a frame or pixel is anomalous.
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

impl Manifest {
    /// Reads a manifest from the text of the file `path`.
    ///
    /// # Errors
    /// [`Error::Model`] that names the key and the line.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let manifest: Manifest = toml::from_str(text).map_err(|e| Error::Model {
            path: path.to_path_buf(),
            expected: "a manifest of schema 1".to_owned(),
            found: e.to_string().trim_end().to_owned(),
            source: Some(Box::new(e)),
        })?;
        match manifest.problem() {
            Some((expected, found)) => Err(Error::model(path, expected, found)),
            None => Ok(manifest),
        }
    }

    /// A manifest that was not written by hand, named after the graph at `path`.
    pub(super) fn derived(path: &Path, task: Task, input: Preprocess, output: OutputConfig) -> Self {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Manifest {
            schema: 1,
            name,
            task,
            sha256: None,
            int8: None,
            precision: Precision::default(),
            prepare: Vec::new(),
            input,
            output,
            golden: None,
        }
    }

    /// A batch of `capacity` frames as this manifest wants them: it prepares and resizes what is pushed.
    pub fn batch(&self, capacity: usize) -> Batch {
        Batch::new(&self.input, capacity).with_steps(&self.prepare)
    }

    /// The value of white that it states for the samples of frames, in `[input]` or as a step; `None` where each frame
    /// has its own.
    pub fn white(&self) -> Option<u16> {
        self.input.white.or_else(|| self.prepare.iter().find_map(Step::white))
    }

    /// The manifest as text; what is on its default is left out where it can be.
    pub fn to_toml(&self) -> String {
        // Every field has a form in TOML: a text that cannot be written would be a defect of this type.
        toml::to_string(self).unwrap_or_default()
    }

    /// What is wrong with the values, as expected and found.
    fn problem(&self) -> Option<(String, String)> {
        if self.schema != 1 {
            return Some(("schema = 1".to_owned(), format!("schema = {}", self.schema)));
        }
        if self.precision == Precision::Int8 && self.int8.is_none() {
            return Some(("int8, the hash of model.int8.onnx, for precision = \"int8\"".to_owned(), "none".to_owned()));
        }
        if let Some(problem) = self.input.problem() {
            return Some(("a usable [input] table".to_owned(), problem));
        }
        if let Some(problem) = self.prepare.iter().find_map(Step::problem) {
            return Some(("usable steps in [[prepare]]".to_owned(), problem));
        }
        if let Some(found) = Step::contradiction(&self.prepare, self.input.white) {
            return Some(("one white in [input] and the steps of [[prepare]]".to_owned(), found));
        }
        let below = |folder: &str| {
            let mut parts = Path::new(folder).components().peekable();
            parts.peek().is_some() && parts.all(|part| matches!(part, std::path::Component::Normal(_)))
        };
        if let Some(golden) = self.golden.as_ref().filter(|golden| !below(&golden.folder)) {
            return Some(("[golden] folder below the package".to_owned(), format!("`{}`", golden.folder)));
        }
        let output = &self.output;
        if output.kinds.is_empty() {
            return Some(("at least one of [output] kinds".to_owned(), "none".to_owned()));
        }
        for (i, kind) in output.kinds.iter().enumerate() {
            if kind.as_str().trim().is_empty() || output.kinds[..i].contains(kind) {
                return Some(("[output] kinds with names of their own".to_owned(), format!("`{kind}` twice or empty")));
            }
        }
        if let Some(unknown) = output.good.iter().find(|kind| !output.kinds.contains(kind)) {
            return Some(("[output] good out of the kinds".to_owned(), format!("`{unknown}`")));
        }
        if let Some(unknown) = output.confidences.keys().find(|kind| !output.kinds.contains(kind)) {
            return Some(("[output] confidences of the kinds".to_owned(), format!("`{unknown}`")));
        }
        if let Some(n) = output.normalize.filter(|n| !(n.max > n.min && n.threshold.is_finite())) {
            return Some(("[output] normalize with min below max".to_owned(), format!("{n:?}")));
        }
        let confidences = output.confidences.values().map(|&value| ("confidences", Some(value)));
        let fractions = [
            ("confidence", Some(output.confidence)),
            ("iou", Some(output.iou)),
            ("iou_across", output.iou_across),
            ("cam_threshold", Some(output.cam_threshold)),
            ("pixel_threshold", Some(output.pixel_threshold)),
        ];
        fractions.into_iter().chain(confidences).find_map(|(key, value)| {
            let value = value?;
            (!(0.0..=1.0).contains(&value)).then(|| (format!("[output] {key} of 0 to 1"), value.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;
    use crate::tensor::White;

    const MINIMAL: &str =
        "schema = 1\nname = \"m\"\ntask = \"detect\"\n[input]\nsize = [8, 16]\n[output]\nkinds = [\"a\", \"b\"]\n";

    fn parse(text: &str) -> Result<Manifest> {
        Manifest::parse(text, Path::new("m/model.toml"))
    }

    #[test]
    fn defaults_are_as_documented() {
        let m = parse(MINIMAL).unwrap();
        assert_eq!(m.input, Preprocess::new(Size::new(16, 8)));
        assert_eq!((m.output.confidence, m.output.iou, m.output.iou_across), (0.25, 0.5, None));
        assert_eq!((m.output.format, m.output.activation), (Format::Auto, Activation::None));
        assert_eq!(m.input.pad, 114);
        assert!(m.prepare.is_empty() && !m.to_toml().contains("prepare") && !m.to_toml().contains("white"));
    }

    #[test]
    fn steps_are_read_and_written() {
        let text = MINIMAL.replacen("[input]", "[[prepare]]\nstep = \"white\"\nvalue = 4095\n[input]\nwhite = 4095", 1);
        let manifest = parse(&text).unwrap();
        assert_eq!(manifest.prepare, [Step::White(White::new(4095))]);
        assert!(manifest.prepare[0].files().is_empty() && manifest.white() == Some(4095));
        assert_eq!(parse(&manifest.to_toml()).unwrap(), manifest);
    }

    #[test]
    fn each_mistake_is_named() {
        for (change, with, says) in [
            ("name", "nmae", "line 2"),
            ("kinds = [\"a\", \"b\"]", "kinds = [\"a\", \"b\"]\nfrobnicate = 1", "unknown field `frobnicate`"),
            ("schema = 1", "schema = 2", "found schema = 2"),
            ("\"b\"", "\"a\"", "`a` twice"),
            ("[8, 16]", "[8, 0]", "size"),
            ("[8, 16]", "[8, -1]", "line 5"),
            ("\"detect\"", "\"guess\"", "unknown variant `guess`"),
            ("kinds =", "confidence = 1.5\nkinds =", "found 1.5"),
            ("kinds =", "confidence = nan\nkinds =", "found NaN"),
            ("kinds =", "good = [\"c\"]\nkinds =", "`c`"),
            ("size =", "mean = [0.0, 0.0]\nsize =", "1 or 3 numbers, found 2"),
            ("size =", "stride = 16\nsize =", "a divisor of the size [8, 16], found 16"),
            ("size =", "stride = 8\nfit = \"crop\"\nsize =", "fit `letterbox` with it"),
            ("size =", "white = 0\nsize =", "white: expected 1 to 65535, found 0"),
            ("size =", "white = 70000\nsize =", "line 5"),
            ("[input]", "[[prepare]]\nstep = \"whiet\"\n[input]", "unknown variant `whiet`, expected"),
            ("[input]", "[[prepare]]\nvalue = 1\n[input]", "missing field `step`"),
            ("[input]", "[[prepare]]\nstep = \"white\"\nvlue = 9\n[input]", "unknown field `vlue`, expected `value`"),
            ("[input]", "[[prepare]]\nstep = \"white\"\nvalue = 0\n[input]", "a value of 1 to 65535, found 0"),
            (
                "[input]",
                "[[prepare]]\nstep = \"white\"\nvalue = 4095\n[input]\nwhite = 1023",
                "expected one white in [input] and the steps of [[prepare]], found white 1023 and 4095",
            ),
        ] {
            let message = parse(&MINIMAL.replacen(change, with, 1)).unwrap_err().to_string();
            assert!(message.starts_with("model m/model.toml: expected"), "{message}");
            assert!(message.contains(says), "{with}: {message}");
        }
    }
}
