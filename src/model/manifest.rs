use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::defect::Kind;
use crate::error::{Error, Result};
use crate::tensor::Preprocess;

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
    /// SHA-256 of the `.onnx` file, in hexadecimal. Checked when it is there.
    pub sha256: Option<String>,
    /// How frames become the input tensor.
    pub input: Preprocess,
    /// What the outputs mean.
    pub output: OutputConfig,
}

/// What a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Task {
    /// Boxes of defects.
    Detect,
    /// One judgement for the whole frame.
    Classify,
}

/// How the outputs are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Format {
    /// Told from task, names and shapes; an error where they do not tell.
    #[default]
    Auto,
    /// Classification: `[B, K]` scores and, if wanted, a class-activation map `[B, K or 1, h, w]`.
    Scores,
    /// Anchor-free detection: probabilities `[B, K, h, w]` and distances `[B, 4, h, w]`.
    Grid,
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
    /// The kinds, in the order of the graph's channels.
    pub kinds: Vec<Kind>,
    /// Those of the kinds that mean "no defect". They are never reported. Default none.
    #[serde(default)]
    pub good: Vec<Kind>,
    /// Defects below this confidence are not reported, 0 to 1. A policy with lower limits lowers it. Default 0.25.
    #[serde(default = "quarter")]
    pub confidence: f32,
    /// Of two boxes of the same kind that overlap more than this (IoU), the less sure is dropped. Default 0.5.
    #[serde(default = "half")]
    pub iou: f32,
    /// The same for boxes of different kinds. Default: kinds do not drop each other.
    pub iou_across: Option<f32>,
    /// `scores`: how the numbers become probabilities. Default `none`: they are.
    #[serde(default)]
    pub activation: Activation,
    /// Name of the graph's output with scores. Default: told from names and shapes.
    pub scores: Option<String>,
    /// `grid`: name of the graph's output with boxes. Default `boxes`.
    pub boxes: Option<String>,
    /// `scores`: name of the graph's output with the class-activation map. Default: there is none, and a defect
    /// covers the frame.
    pub cam: Option<String>,
    /// `scores`: the region of a defect is where the map is above this part of its range, 0 to 1. Default 0.5.
    #[serde(default = "half")]
    pub cam_threshold: f32,
}

fn quarter() -> f32 {
    0.25
}

fn half() -> f32 {
    0.5
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

    /// What is wrong with the values, as expected and found.
    fn problem(&self) -> Option<(String, String)> {
        if self.schema != 1 {
            return Some(("schema = 1".to_owned(), format!("schema = {}", self.schema)));
        }
        if let Some(problem) = self.input.problem() {
            return Some(("a usable [input] table".to_owned(), problem));
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
        let fractions = [
            ("confidence", Some(output.confidence)),
            ("iou", Some(output.iou)),
            ("iou_across", output.iou_across),
            ("cam_threshold", Some(output.cam_threshold)),
        ];
        fractions.into_iter().find_map(|(key, value)| {
            let value = value?;
            (!(0.0..=1.0).contains(&value)).then(|| (format!("[output] {key} of 0 to 1"), value.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str =
        "schema = 1\nname = \"m\"\ntask = \"detect\"\n[input]\nsize = [8, 16]\n[output]\nkinds = [\"a\", \"b\"]\n";

    fn parse(text: &str) -> Result<Manifest> {
        Manifest::parse(text, Path::new("m/model.toml"))
    }

    #[test]
    fn defaults_are_as_documented() {
        let m = parse(MINIMAL).unwrap();
        assert_eq!(m.input, Preprocess::new(8, 16));
        assert_eq!((m.output.confidence, m.output.iou, m.output.iou_across), (0.25, 0.5, None));
        assert_eq!((m.output.format, m.output.activation), (Format::Auto, Activation::None));
        assert_eq!(m.input.pad, 114);
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
        ] {
            let message = parse(&MINIMAL.replacen(change, with, 1)).unwrap_err().to_string();
            assert!(message.starts_with("model m/model.toml: expected"), "{message}");
            assert!(message.contains(says), "{with}: {message}");
        }
    }
}
