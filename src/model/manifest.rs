use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::options::Precision;
use crate::error::{Error, Result};
use crate::head::{Normalize, OutputConfig, Task};
use crate::tensor::{Batch, Preprocess, Step};

/// How far black and white have to be apart in the input tensor: far below what any model takes.
const LEAST_LEVELS: f32 = 1e-3;

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
    /// SHA-256 of the `.onnx` file (followed by the files that it reads its weights from, see
    /// [`Model::sha256`](crate::Model::sha256)), in hexadecimal. Checked when present.
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
    /// Golden images with their recorded results. Default: none.
    pub golden: Option<GoldenConfig>,
}

/// The `[golden]` table of a manifest: see `panelqc_eval::Golden`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GoldenConfig {
    /// Folder beside the manifest, or below.
    pub folder: String,
}

impl Manifest {
    /// Reads a manifest from the text of the file `path`.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) that names the key and the line.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let manifest: Manifest = toml::from_str(text)
            .map_err(|e| Error::model(path, "a manifest of schema 1", e.to_string().trim_end()).with_source(e))?;
        manifest.check(path).map(|()| manifest)
    }

    /// A manifest made in code: schema 1, one precision, no hash stated, no golden images.
    ///
    /// ```
    /// use panelqc::{Manifest, OutputConfig, Preprocess, Size, Task};
    ///
    /// let input = Preprocess::new(Size::new(640, 640));
    /// let manifest = Manifest::new("boards", Task::Detect, input, OutputConfig::new(vec!["open".into()]));
    /// # assert_eq!(manifest.to_toml().lines().next(), Some("schema = 1"));
    /// ```
    pub fn new(name: impl Into<String>, task: Task, input: Preprocess, output: OutputConfig) -> Self {
        Manifest {
            schema: 1,
            name: name.into(),
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

    /// A manifest that was not written by hand, named after the graph at `path`.
    pub(super) fn derived(path: &Path, task: Task, input: Preprocess, output: OutputConfig) -> Self {
        Self::new(path.file_stem().unwrap_or_default().to_string_lossy(), task, input, output)
    }

    /// Refuses values that cannot be used; `path` is the manifest's file, or what messages call it.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) that names the key, what was expected and what was found.
    pub fn check(&self, path: &Path) -> Result<()> {
        match self.problem() {
            Some((expected, found)) => Err(Error::model(path, expected, found)),
            None => Ok(()),
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

    /// The manifest as text; values at their defaults are left out where possible.
    pub fn to_toml(&self) -> String {
        // Every field has a form in TOML: a text that cannot be written would be a defect of this type.
        toml::to_string(self).unwrap_or_default()
    }

    /// What the graph gets for black and for white, in the channel in which they are closest.
    fn levels(&self) -> (f32, f32) {
        let Preprocess { scale, mean, std, .. } = &self.input;
        let of = |numbers: &[f64], channel: usize| numbers.get(channel).or(numbers.first()).copied();
        let levels = (0..mean.len().max(std.len())).map(|channel| {
            let (mean, std) = (of(mean, channel).unwrap_or(0.0), of(std, channel).unwrap_or(1.0));
            (((0.0 - mean) / std) as f32, ((255.0 * scale - mean) / std) as f32)
        });
        levels.min_by(|a, b| (a.1 - a.0).abs().total_cmp(&(b.1 - b.0).abs())).unwrap_or((0.0, 1.0))
    }

    /// What can be used, but may let panels pass that should not, one sentence each: limits that hardly anything
    /// reaches, and an input in which the graph sees hardly anything. `panelqc check` says them.
    ///
    /// ```
    /// use panelqc::{Manifest, OutputConfig, Preprocess, Size, Task};
    ///
    /// let mut output = OutputConfig::new(vec!["stain".into()]);
    /// output.min_area = 5000;
    /// let manifest = Manifest::new("glass", Task::Segment, Preprocess::new(Size::new(64, 64)), output);
    /// assert!(manifest.doubts()[0].starts_with("min_area = 5000 is more than the 64 x 64 pixels of the model"));
    /// ```
    pub fn doubts(&self) -> Vec<String> {
        let (output, size) = (&self.output, self.input.size);
        let mut doubts = Vec::new();
        let (black, white) = self.levels();
        if !(0.1..=1000.0).contains(&(white - black).abs()) {
            doubts.push(format!(
                "scale: the graph gets {black} for black and {white} for white; most take 0 and 1, 0 and 255, or about -2 \
                 and 2"
            ));
        }
        let regions = matches!(self.task, Task::Segment | Task::Anomaly);
        if regions && output.min_area > size.area() {
            doubts.push(format!(
                "min_area = {} is more than the {size} pixels of the model's input: regions that are smaller are not \
                 reported, and frames that are smaller cannot be inspected",
                output.min_area
            ));
        }
        if (regions || self.task == Task::Instance) && output.pixel_threshold >= 1.0 {
            doubts.push("pixel_threshold = 1: no pixel is above it".to_owned());
        }
        for kind in output.kinds.iter().filter(|kind| !output.good.contains(kind)) {
            if output.confidence_of(kind) >= 1.0 {
                doubts.push(format!("confidence = 1 for `{kind}`: hardly any defect reaches it"));
            }
        }
        doubts
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
        let (black, white) = self.levels();
        if !(white - black).is_finite() || (white - black).abs() < LEAST_LEVELS {
            let expected = "[input] scale, mean and std that tell black from white";
            return Some((expected.to_owned(), format!("{black} for black and {white} for white")));
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
        let mut kinds = BTreeSet::new();
        for kind in &output.kinds {
            if kind.as_str().trim().is_empty() || !kinds.insert(kind) {
                return Some(("[output] kinds with names of their own".to_owned(), format!("`{kind}` twice or empty")));
            }
        }
        if let Some(unknown) = output.good.iter().find(|kind| !kinds.contains(kind)) {
            return Some(("[output] good out of the kinds".to_owned(), format!("`{unknown}`")));
        }
        if output.good.iter().collect::<BTreeSet<_>>().len() == kinds.len() {
            let expected = "a kind that is a defect, one that is not in [output] good";
            return Some((expected.to_owned(), "none: every panel would pass".to_owned()));
        }
        if let Some(unknown) = output.confidences.keys().find(|kind| !kinds.contains(kind)) {
            return Some(("[output] confidences of the kinds".to_owned(), format!("`{unknown}`")));
        }
        if output.max_defects == 0 {
            return Some(("[output] max_defects of at least 1".to_owned(), "0: every panel would pass".to_owned()));
        }
        let usable = |n: &Normalize| n.max > n.min && (n.max - n.min).is_finite() && n.threshold.is_finite();
        if let Some(n) = output.normalize.filter(|n| !usable(n)) {
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
            (!(0.0..=1.0).contains(&value)).then(|| (format!("[output] {key} from 0 to 1"), value.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;
    use crate::head::{Activation, Format};
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
        assert_eq!((&m.output.format, m.output.activation), (&Format::AUTO, Activation::None));
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
            ("kinds =", "max_defects = 0\nkinds =", "max_defects of at least 1, found 0: every panel would pass"),
            ("kinds =", "good = [\"b\", \"a\"]\nkinds =", "a kind that is a defect"),
            ("size =", "scale = 1e-9\nsize =", "tell black from white, found 0 for black"),
            ("size =", "mean = [0.0, 1e30, 0.0]\nsize =", "tell black from white"),
            ("size =", "stride = 16\nsize =", "a divisor of the size [8, 16], found 16"),
            ("size =", "stride = 8\nfit = \"crop\"\nsize =", "fit `letterbox` with it"),
            (
                "size =",
                "resize = \"pillow-bilinear\"\nantialias = false\nsize =",
                "antialias: expected true, or a kernel that can do without",
            ),
            ("size =", "white = 0\nsize =", "white: expected 1 to 65535, found 0"),
            ("size =", "white = 70000\nsize =", "line 5"),
            ("[input]", "[[prepare]]\nstep = \"whiet\"\n[input]", "unknown variant `whiet`, expected"),
            ("[input]", "[[prepare]]\nvalue = 1\n[input]", "missing field `step`"),
            (
                "[input]",
                "[[prepare]]\nstep = \"white\"\nfrobnicate = 9\n[input]",
                "unknown field `frobnicate`, expected `value`",
            ),
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
