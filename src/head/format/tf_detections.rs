//! Format `tf-detections`: TensorFlow's Object Detection API (`tf2onnx`), which selects detections in the graph:
//!
//! * `detection_boxes` `[B, N, 4]`: y0, x0, y1, x1 in parts of the model's input;
//! * `detection_classes` `[B, N]`: numbers of kinds from 1; `detection_scores` `[B, N]`; `num_detections` `[B]`.
//!
//! Label 0 is the background: name it first among the kinds, and in `good`.

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
    Ok(Arc::new(Detections { boxes, labels, scores, count: count.transpose()?, unit: Unit::Parts }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;
    use crate::head::{OutputConfig, testing};
    use crate::tensor::{Fit, Preprocess};

    #[test]
    fn boxes_are_rows_first_and_in_parts() {
        let head = Detections { boxes: 0, labels: 1, scores: 2, count: None, unit: Unit::Parts };
        let tensors = [(vec![1, 1, 4], vec![0.25, 0.5, 0.75, 1.0]), (vec![1, 1], vec![1.0]), (vec![1, 1], vec![0.9])];
        let size = Size::new(64, 48);
        let placement = Preprocess { fit: Fit::Stretch, ..Preprocess::new(size) }.placement(size);
        let output = OutputConfig::new(vec!["background".into(), "a".into()]);
        let decoded = testing::decode(head, output, &tensors, (0, &placement)).unwrap();
        assert_eq!(<[f32; 4]>::from(decoded.defects[0].bbox), [32.0, 12.0, 64.0, 36.0]);
        assert_eq!(decoded.defects[0].kind.as_str(), "a");
    }
}
