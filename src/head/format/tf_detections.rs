//! Format `tf-detections`: TensorFlow's Object Detection API (`tf2onnx`), which selects detections in the graph:
//!
//! * `detection_boxes` `[B, N, 4]`: y0, x0, y1, x1 in parts of the model's input;
//! * `detection_classes` `[B, N]`: numbers of kinds from 1; `detection_scores` `[B, N]`; `num_detections` `[B]`.
//!
//! Label 0 is the background. It is the first of the kinds where that is in `good` or called `background`, or where
//! `raw_detection_scores` has as many numbers as there are kinds; with one more number it is none of them.

use std::sync::Arc;

use super::detections::Detections;
use super::rows::Unit;
use crate::defect::Kind;
use crate::head::{Format, Head, HeadFormat, Mismatch, Search, Task};

pub(super) const FORMAT: HeadFormat = HeadFormat::new("tf-detections", &[Task::Detect], find)
    .guessed()
    .with_kinds(|_| Some(vec![Kind::new("background"), Kind::new("kind1")]));

impl Format {
    /// `tf-detections`: TensorFlow's Object Detection API: boxes `[B, N, 4]` (y0, x0, y1, x1 in parts of the input's
    /// size), classes `[B, N]` from 1, scores `[B, N]`, and their number `[B]`.
    pub const TF_DETECTIONS: Format = Format::named("tf-detections");
}

fn find(search: &Search<'_>) -> Result<Arc<dyn Head>, Mismatch> {
    let output = search.output();
    // Frozen graphs have the number of the operator's output in the name.
    let name = |plain: &'static str, numbered: &'static str| search.called(&[numbered]).unwrap_or(plain);
    let boxes = output.boxes.as_deref().unwrap_or(name("detection_boxes", "detection_boxes:0"));
    let boxes = search.shaped(Some(boxes), "boxes", &[None, None, Some(4)])?;
    let labels = name("detection_classes", "detection_classes:0");
    let labels = search.one(Some(labels), "classes f32[?, ?]", |port| port.fits(&[None, None]))?;
    let scores = output.scores.as_deref().unwrap_or(name("detection_scores", "detection_scores:0"));
    let scores = search.shaped(Some(scores), "scores", &[None, None])?;
    let count = search.called(&["num_detections", "num_detections:0"]);
    let count = count.map(|name| search.one(Some(name), "a number of detections f32[?]", |port| port.fits(&[None])));
    let first = first_label(search)?;
    Ok(Arc::new(Detections { boxes, labels, first, scores, count: count.transpose()?, unit: Unit::Parts }))
}

/// The label of the first of the kinds: 0 where that is the background, else 1.
fn first_label(search: &Search<'_>) -> Result<usize, Mismatch> {
    let kinds = &search.output().kinds;
    let first = kinds.first().filter(|kind| search.output().good.contains(kind) || kind.as_str() == "background");
    let raw = search.ports().iter().find(|port| port.name.starts_with("raw_detection_scores"));
    let labels = raw.and_then(|port| port.shape.get(2).copied().flatten());
    match (first, labels) {
        (Some(_), _) => Ok(0),
        (None, Some(labels)) if labels == kinds.len() => Ok(0),
        (None, Some(labels)) if labels == kinds.len() + 1 => Ok(1),
        _ => {
            let expected = "the background as the first of [output] kinds, and in `good`, since labels count from 1";
            let found: Vec<&str> = kinds.iter().map(Kind::as_str).collect();
            Err(Mismatch::new(expected, format!("the kinds {}", found.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;
    use crate::head::{OutputConfig, testing};
    use crate::runtime::{Port, Signature};
    use crate::tensor::{Fit, Preprocess};

    #[test]
    fn labels_count_from_the_background() {
        let of = |kinds: &[&str], good: &[&str], raw: Option<usize>| {
            let list = |names: &[&str]| names.iter().map(|&name| Kind::new(name)).collect::<Vec<_>>();
            let output = OutputConfig { good: list(good), ..OutputConfig::new(list(kinds)) };
            let shape = vec![Some(1), Some(30), raw];
            let port = Port { name: "raw_detection_scores".to_owned(), element: "f32".to_owned(), shape };
            let signature = Signature { inputs: Vec::new(), outputs: vec![port] };
            first_label(&Search::new(Task::Detect, &output, &signature, true)).ok()
        };
        assert_eq!(of(&["bg", "a"], &["bg"], None), Some(0));
        assert_eq!(of(&["background", "a"], &[], None), Some(0));
        assert_eq!(of(&["bg", "a"], &[], Some(2)), Some(0));
        assert_eq!(of(&["a", "b"], &[], Some(3)), Some(1));
        assert_eq!(of(&["a", "b"], &[], None), None);
        assert_eq!(of(&["a", "b"], &[], Some(91)), None);
    }

    #[test]
    fn boxes_are_rows_first_and_in_parts() {
        let head = Detections { boxes: 0, labels: 1, first: 0, scores: 2, count: None, unit: Unit::Parts };
        let tensors = [(vec![1, 1, 4], vec![0.25, 0.5, 0.75, 1.0]), (vec![1, 1], vec![1.0]), (vec![1, 1], vec![0.9])];
        let size = Size::new(64, 48);
        let placement = Preprocess { fit: Fit::Stretch, ..Preprocess::new(size) }.placement(size);
        let output = OutputConfig::new(vec!["background".into(), "a".into()]);
        let decoded = testing::decode(head, output, &tensors, (0, &placement)).unwrap();
        assert_eq!(<[f32; 4]>::from(decoded.defects[0].bbox), [32.0, 12.0, 64.0, 36.0]);
        assert_eq!(decoded.defects[0].kind.as_str(), "a");
    }
}
