use super::manifest::{Activation, Format, Manifest, Task};
use super::signature::{Port, Signature, list};

/// Which outputs of a graph hold what, settled when the model is loaded. Numbers are places among the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Scores `[B, K]`, and a class-activation map `[B, K or 1, h, w]`.
    Scores { scores: usize, cam: Option<usize> },
    /// Probabilities `[B, K, h, w]` and distances `[B, 4, h, w]`.
    Grid { scores: usize, boxes: usize },
    /// One row or column a proposal; with mask coefficients, the prototypes `[B, M, h, w]`.
    Rows { rows: usize, form: Rows, prototypes: Option<usize> },
    /// Logits `[B, Q, K]` (each kind by itself) or `[B, Q, K + 1]` (the last for "nothing"; together, or by themselves),
    /// and boxes `[B, Q, 4]`.
    Detr { logits: usize, boxes: usize, activation: Activation },
    /// One frame's boxes `[N, 4]`, labels `[N]`, scores `[N]`, and masks `[N, 1, H, W]`.
    Boxes { boxes: usize, labels: usize, scores: usize, masks: Option<usize> },
    /// A number for each kind and pixel `[B, K, h, w]`.
    Mask { map: usize },
    /// An anomaly map `[B, 1, h, w]` or `[B, h, w]`, an anomaly score `[B]` or `[B, 1]`.
    Anomaly { map: Option<usize>, score: Option<usize> },
}

/// How the numbers of one proposal lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// `[B, 4 + K + M, N]`.
    Yolo,
    /// `[B, N, 5 + K + M]`.
    YoloV5,
    /// `[B, 4 + K + 1, N]`.
    Oriented,
    /// `[B, N, 6 + M]`.
    EndToEnd,
    /// `[B, N, 7]`.
    EndToEndOriented,
    /// `[B, N, 6]`, centre and size in parts of the input's.
    Relative,
}

/// What was expected of the graph and what it has.
pub(super) type Mismatch = (String, String);

impl Layout {
    /// Finds the outputs that the manifest speaks of.
    pub(super) fn find(manifest: &Manifest, signature: &Signature) -> Result<Self, Mismatch> {
        let outputs = Outputs { ports: &signature.outputs, manifest, kinds: manifest.output.kinds.len() };
        let fitting = formats(manifest.task);
        let format = manifest.output.format;
        if format != Format::Auto {
            if !fitting.contains(&format) {
                return Err((
                    format!("a format for task {} ({})", name(&manifest.task), names(fitting)),
                    format!("`{}`", name(&format)),
                ));
            }
            return outputs.find(format, false);
        }
        let found: Vec<(Format, Layout)> =
            fitting.iter().filter_map(|&f| Some((f, outputs.find(f, true).ok()?))).collect();
        match found[..] {
            [(_, only)] => Ok(only),
            [] => Err((
                format!("outputs of one of the formats {} with {} kinds", names(fitting), outputs.kinds),
                list(&signature.outputs),
            )),
            _ => {
                let candidates: Vec<Format> = found.into_iter().map(|(f, _)| f).collect();
                Err((
                    "[output] format, since the outputs do not tell it".to_owned(),
                    format!("{}, which fit {}", list(&signature.outputs), names(&candidates)),
                ))
            }
        }
    }

    /// Indices of the outputs that are read.
    pub(super) fn used(self) -> impl Iterator<Item = usize> {
        let used = match self {
            Layout::Scores { scores, cam } => [Some(scores), cam, None, None],
            Layout::Grid { scores, boxes } => [Some(scores), Some(boxes), None, None],
            Layout::Rows { rows, prototypes, .. } => [Some(rows), prototypes, None, None],
            Layout::Detr { logits, boxes, .. } => [Some(logits), Some(boxes), None, None],
            Layout::Boxes { boxes, labels, scores, masks } => [Some(boxes), Some(labels), Some(scores), masks],
            Layout::Mask { map } => [Some(map), None, None, None],
            Layout::Anomaly { map, score } => [map, score, None, None],
        };
        used.into_iter().flatten()
    }

    /// Whether the outputs have no batch axis: such a graph takes one frame at a time.
    pub(crate) fn single(self) -> bool {
        matches!(self, Layout::Boxes { .. })
    }
}

/// The formats that a task can have.
pub(super) fn formats(task: Task) -> &'static [Format] {
    match task {
        Task::Detect => {
            use Format::{Boxes, Detr, End2end, End2endObb, Grid, Rtdetr, Yolo, YoloObb, YoloV5};
            &[Grid, Yolo, YoloV5, YoloObb, End2end, End2endObb, Rtdetr, Detr, Boxes]
        }
        Task::Instance => &[Format::Yolo, Format::YoloV5, Format::End2end, Format::Boxes],
        Task::Segment => &[Format::Mask],
        Task::Classify => &[Format::Scores],
        Task::Anomaly => &[Format::Anomaly],
    }
}

/// A key as it is written in a manifest.
pub(super) fn name(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(super) fn names(formats: &[Format]) -> String {
    formats.iter().map(name).collect::<Vec<_>>().join(", ")
}

struct Outputs<'a> {
    ports: &'a [Port],
    manifest: &'a Manifest,
    kinds: usize,
}

/// Element types that hold real numbers.
const REAL: [&str; 2] = ["f32", "f16"];

impl Outputs<'_> {
    /// The layout of `format`. With `strict`, a dynamic dimension does not count as the one that tells formats apart.
    fn find(&self, format: Format, strict: bool) -> Result<Layout, Mismatch> {
        let k = self.kinds;
        let instance = self.manifest.task == Task::Instance;
        match format {
            Format::Auto => Err(("a format".to_owned(), "`auto`".to_owned())),
            Format::Scores => self.scores(),
            Format::Grid => self.grid(),
            Format::Yolo => self.rows(Rows::Yolo, 1, 4 + k, instance, strict),
            Format::YoloV5 => self.rows(Rows::YoloV5, 2, 5 + k, instance, strict),
            // One number more than `yolo` is as well a kind that the manifest forgot, and `rtdetr` looks like `end2end`:
            // never guessed.
            Format::YoloObb | Format::End2endObb | Format::Rtdetr if strict => {
                Err(("the format's name".to_owned(), "`auto`".to_owned()))
            }
            Format::YoloObb => self.rows(Rows::Oriented, 1, 4 + k + 1, false, strict),
            Format::End2end => self.rows(Rows::EndToEnd, 2, 6, instance, strict),
            Format::End2endObb => self.rows(Rows::EndToEndOriented, 2, 7, false, strict),
            Format::Rtdetr => self.rows(Rows::Relative, 2, 6, false, strict),
            Format::Detr => self.detr(),
            Format::Boxes => self.boxes(instance),
            Format::Mask => self.mask(),
            Format::Anomaly => self.anomaly(),
        }
    }

    /// The output of a given name, or the only one that fits.
    fn one(&self, given: Option<&str>, what: &str, fits: impl Fn(&Port) -> bool) -> Result<usize, Mismatch> {
        let fitting: Vec<usize> = match given {
            Some(name) => {
                (0..self.ports.len()).filter(|&i| self.ports[i].name == name && fits(&self.ports[i])).collect()
            }
            None => (0..self.ports.len()).filter(|&i| fits(&self.ports[i])).collect(),
        };
        match (&fitting[..], given) {
            (&[only], _) => Ok(only),
            (_, Some(name)) => Err((format!("an output `{name}` with {what}"), list(self.ports))),
            ([], None) => Err((format!("an output with {what}"), list(self.ports))),
            (_, None) => Err((format!("one output with {what}, or its name in the [output] table"), list(self.ports))),
        }
    }

    fn shaped(&self, given: Option<&str>, what: &str, shape: &[Option<usize>]) -> Result<usize, Mismatch> {
        let text: Vec<String> = shape.iter().map(|d| d.map_or_else(|| "?".to_owned(), |d| d.to_string())).collect();
        self.one(given, &format!("{what} f32[{}]", text.join(", ")), |port| port.fits(shape) && is(port, &REAL))
    }

    fn scores(&self) -> Result<Layout, Mismatch> {
        let output = &self.manifest.output;
        let cam = match output.cam.as_deref() {
            None => None,
            Some(name) => Some(
                self.shaped(Some(name), "a map", &[None, Some(1), None, None])
                    .or_else(|_| self.shaped(Some(name), "a map", &[None, Some(self.kinds), None, None]))?,
            ),
        };
        Ok(Layout::Scores { scores: self.shaped(output.scores.as_deref(), "scores", &[None, Some(self.kinds)])?, cam })
    }

    fn grid(&self) -> Result<Layout, Mismatch> {
        let output = &self.manifest.output;
        let scores = output.scores.as_deref().or(Some("scores"));
        let scores = self.shaped(scores, "probabilities", &[None, Some(self.kinds), None, None])?;
        let boxes = output.boxes.as_deref().or(Some("boxes"));
        let boxes = self.shaped(boxes, "distances", &[None, Some(4), None, None])?;
        let cells = |i: usize| &self.ports[i].shape[2..];
        if !self.ports[boxes].fits(&[&[None, None], cells(scores)].concat()) {
            return Err((
                "scores and boxes on the same grid".to_owned(),
                format!("{} and {}", self.ports[scores], self.ports[boxes]),
            ));
        }
        Ok(Layout::Grid { scores, boxes })
    }

    /// An output of rank 3 with `numbers` a proposal along `axis`, and so many more as there are prototypes.
    fn rows(&self, form: Rows, axis: usize, numbers: usize, masks: bool, strict: bool) -> Result<Layout, Mismatch> {
        let prototypes = match masks {
            true => Some(self.one(None, "prototypes f32[?, M, ?, ?]", |p| p.shape.len() == 4 && is(p, &REAL))?),
            false => None,
        };
        let more = match prototypes {
            None => 0,
            Some(i) => self.ports[i].shape[1]
                .ok_or_else(|| ("prototypes of a number that is fixed".to_owned(), self.ports[i].to_string()))?,
        };
        let mut shape = [None; 3];
        shape[axis] = Some(numbers + more);
        let rows = self.shaped(self.manifest.output.boxes.as_deref(), "proposals", &shape)?;
        if strict && self.ports[rows].shape[axis].is_none() {
            return Err(("a fixed number of values a proposal".to_owned(), self.ports[rows].to_string()));
        }
        Ok(Layout::Rows { rows, form, prototypes })
    }

    fn detr(&self) -> Result<Layout, Mismatch> {
        let output = &self.manifest.output;
        let boxes_name = output.boxes.as_deref().or_else(|| self.called(&["pred_boxes", "boxes", "dets"]));
        let scores_name = output.scores.as_deref().or_else(|| self.called(&["logits", "pred_logits", "labels"]));
        let boxes = self.shaped(boxes_name, "boxes", &[None, None, Some(4)])?;
        // With a last logit for "nothing" the kinds are weighed against each other, without one each by itself. RF-DETR's
        // exporter has the last logit, which it never trains, and each by itself; it alone calls its outputs so.
        let together = match output.activation {
            Activation::None if (boxes_name, scores_name) == (Some("dets"), Some("labels")) => Activation::Sigmoid,
            Activation::None => Activation::Softmax,
            stated => stated,
        };
        let logits = |more: usize| self.shaped(scores_name, "logits", &[None, None, Some(self.kinds + more)]);
        let (logits, activation) = match (logits(0), logits(1)) {
            (Ok(i), _) if i != boxes => (i, Activation::Sigmoid),
            (_, Ok(i)) if i != boxes => (i, together),
            (Err(e), _) | (Ok(_), Err(e)) => return Err(e),
            (Ok(_), Ok(_)) => return Err(("logits beside the boxes".to_owned(), list(self.ports))),
        };
        Ok(Layout::Detr { logits, boxes, activation })
    }

    /// The first of the names that an output has.
    fn called<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        names.iter().copied().find(|name| self.ports.iter().any(|port| port.name == *name))
    }

    fn boxes(&self, masks: bool) -> Result<Layout, Mismatch> {
        let output = &self.manifest.output;
        let boxes = self.shaped(output.boxes.as_deref(), "boxes", &[None, Some(4)])?;
        let scores = self.shaped(output.scores.as_deref(), "scores", &[None])?;
        let labels = self.one(None, "labels i64[?]", |p| p.shape.len() == 1 && matches!(&*p.element, "i64" | "i32"))?;
        let masks = match masks {
            true => Some(self.shaped(None, "masks", &[None, Some(1), None, None])?),
            false => None,
        };
        Ok(Layout::Boxes { boxes, labels, scores, masks })
    }

    fn mask(&self) -> Result<Layout, Mismatch> {
        let name = self.manifest.output.scores.as_deref();
        Ok(Layout::Mask {
            map: self.shaped(name, "a number for each kind and pixel", &[None, Some(self.kinds), None, None])?,
        })
    }

    fn anomaly(&self) -> Result<Layout, Mismatch> {
        let output = &self.manifest.output;
        let map_name = output.map.as_deref().or_else(|| self.called(&["anomaly_map"]));
        let score_name = output.scores.as_deref().or_else(|| self.called(&["pred_score"]));
        let map = self.one(map_name, "an anomaly map f32[?, 1, ?, ?]", |p| {
            is(p, &REAL) && (p.fits(&[None, Some(1), None, None]) || p.fits(&[None, None, None]))
        });
        let score = self.one(score_name, "an anomaly score f32[?]", |p| {
            is(p, &REAL) && (p.fits(&[None]) || p.fits(&[None, Some(1)]) || p.shape.is_empty())
        });
        match (map, score) {
            (Err(e), _) if output.map.is_some() => Err(e),
            (_, Err(e)) if output.scores.is_some() => Err(e),
            (Err(e), Err(_)) => Err(e),
            (map, score) => Ok(Layout::Anomaly { map: map.ok(), score: score.ok() }),
        }
    }
}

fn is(port: &Port, elements: &[&str]) -> bool {
    elements.contains(&&*port.element)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn port(name: &str, element: &str, shape: &[i64]) -> Port {
        let shape = shape.iter().map(|&d| usize::try_from(d).ok()).collect();
        Port { name: name.to_owned(), element: element.to_owned(), shape }
    }

    fn find(task: &str, format: &str, kinds: usize, outputs: &[Port]) -> Result<Layout, Mismatch> {
        let kinds: Vec<String> = (0..kinds).map(|k| format!("\"k{k}\"")).collect();
        let text = format!(
            "schema = 1\nname = \"m\"\ntask = \"{task}\"\n[input]\nsize = [64, 64]\n[output]\nformat = \"{format}\"\n\
             kinds = [{}]\n",
            kinds.join(", ")
        );
        let manifest = Manifest::parse(&text, Path::new("m.toml")).unwrap();
        Layout::find(&manifest, &Signature { inputs: Vec::new(), outputs: outputs.to_vec() })
    }

    #[test]
    fn auto_tells_the_formats_apart() {
        let f32 = |shape: &[i64]| port("output0", "f32", shape);
        let rows = |form, prototypes| Layout::Rows { rows: 0, form, prototypes };
        let proto = port("output1", "f32", &[1, 32, 16, 16]);
        let detr = [port("logits", "f32", &[-1, 100, 3]), port("pred_boxes", "f32", &[-1, 100, 4])];
        let rf_detr = [port("dets", "f32", &[1, 300, 4]), port("labels", "f32", &[1, 300, 3])];
        let boxes = [
            port("7", "f32", &[-1, 4]),
            port("9", "i64", &[-1]),
            port("8", "f32", &[-1]),
            port("m", "f32", &[-1, 1, 8, 8]),
        ];
        let cases = [
            ("detect", 2, vec![f32(&[1, 6, 8400])], rows(Rows::Yolo, None)),
            ("detect", 2, vec![f32(&[-1, 6, -1])], rows(Rows::Yolo, None)),
            ("detect", 2, vec![port("o", "f16", &[1, 8400, 7])], rows(Rows::YoloV5, None)),
            ("detect", 3, vec![f32(&[1, 300, 6])], rows(Rows::EndToEnd, None)),
            ("instance", 2, vec![f32(&[1, 38, 8400]), proto.clone()], rows(Rows::Yolo, Some(1))),
            ("instance", 2, vec![f32(&[1, 300, 38]), proto], rows(Rows::EndToEnd, Some(1))),
            ("detect", 3, detr.to_vec(), Layout::Detr { logits: 0, boxes: 1, activation: Activation::Sigmoid }),
            ("detect", 2, detr.to_vec(), Layout::Detr { logits: 0, boxes: 1, activation: Activation::Softmax }),
            ("detect", 2, rf_detr.to_vec(), Layout::Detr { logits: 1, boxes: 0, activation: Activation::Sigmoid }),
            ("detect", 3, boxes[..3].to_vec(), Layout::Boxes { boxes: 0, labels: 1, scores: 2, masks: None }),
            ("instance", 3, boxes.to_vec(), Layout::Boxes { boxes: 0, labels: 1, scores: 2, masks: Some(3) }),
            ("segment", 3, vec![f32(&[1, 3, 64, 64])], Layout::Mask { map: 0 }),
            ("anomaly", 1, vec![f32(&[1, 1, 64, 64])], Layout::Anomaly { map: Some(0), score: None }),
            (
                "anomaly",
                1,
                vec![port("pred_score", "f32", &[-1]), port("anomaly_map", "f32", &[-1, 1, 8, 8])],
                Layout::Anomaly { map: Some(1), score: Some(0) },
            ),
        ];
        for (task, kinds, outputs, want) in cases {
            assert_eq!(find(task, "auto", kinds, &outputs), Ok(want), "{task} {}", list(&outputs));
        }
    }

    #[test]
    fn what_fits_several_formats_is_not_guessed() {
        // One kind: objectness and a probability, or a confidence and a kind.
        let outputs = [port("output0", "f32", &[1, 300, 6])];
        let (expected, found) = find("detect", "auto", 1, &outputs).unwrap_err();
        assert!(expected.contains("format") && found.contains("yolo-v5, end2end"), "{expected}, {found}");
        for (format, form) in [("yolo-v5", Rows::YoloV5), ("end2end", Rows::EndToEnd)] {
            let want = Layout::Rows { rows: 0, form, prototypes: None };
            assert_eq!(find("detect", format, 1, &outputs), Ok(want));
        }
        // One number more than kinds and sides may be an angle or a forgotten kind.
        let outputs = [port("output0", "f32", &[1, 7, 8400])];
        let (expected, found) = find("detect", "auto", 2, &outputs).unwrap_err();
        assert!(expected.contains("yolo-obb") && found.contains("f32[1, 7, 8400]"), "{expected}, {found}");
        assert!(find("detect", "yolo-obb", 2, &outputs).is_ok());
        // Maps that are both ambiguous and unnamed.
        let outputs = [port("a", "f32", &[1, 2, 8, 8]), port("b", "f32", &[1, 2, 8, 8])];
        assert!(find("segment", "auto", 2, &outputs).is_err());
        let (expected, _) = find("classify", "mask", 2, &outputs).unwrap_err();
        assert_eq!(expected, "a format for task classify (scores)");
    }
}
