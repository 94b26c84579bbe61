//! Format `detections`: graphs that select their detections, for each frame of a batch:
//!
//! * boxes `[B, N, 4]`: x0, y0, x1, y1 in model pixels; labels `[B, N]`: numbers of kinds from 0; scores `[B, N]`;
//! * where there is one, how many of them count, `[B]` or `[B, 1]`. The others are left over.
//!
//! The official exporters of RT-DETR, D-FINE and DEIM write such graphs. They scale boxes to the sizes that a second
//! input has (`orig_target_sizes`); it is given the size of the model's input, so that boxes are in its pixels.
//! super-gradients writes the same with suppression in the graph (`batch` format), and so do TensorRT's plug-ins.

use std::sync::Arc;

use ndarray::Axis;

use super::rows::{Unit, in_parts, in_pixels};
use crate::defect::Kind;
use crate::error::Result;
use crate::geometry::PixelBox;
use crate::head::proposals::{Candidate, Proposals};
use crate::head::search::{real, whole};
use crate::head::{Context, Format, Head, HeadFormat, Mismatch, Search, Slot, Suppression, Task};
use crate::runtime::list;

pub(super) const FORMAT: HeadFormat =
    HeadFormat::new("detections", &[Task::Detect], find).guessed().with_kinds(|_| Some(vec![Kind::new("kind0")]));

impl Format {
    /// `detections`: the official exports of RT-DETR, D-FINE and DEIM, and suppression in the graph as super-gradients
    /// and TensorRT write it: boxes `[B, N, 4]` (corners in pixels), labels `[B, N]`, scores `[B, N]`, and, where there
    /// is one, their number `[B]` or `[B, 1]`.
    pub const DETECTIONS: Format = Format::named("detections");
}

/// Names of the outputs as exporters choose them.
const BOXES: [&str; 3] = ["boxes", "pred_boxes", "det_boxes"];
const LABELS: [&str; 3] = ["labels", "pred_classes", "det_classes"];
const SCORES: [&str; 3] = ["scores", "pred_scores", "det_scores"];
const COUNTS: [&str; 3] = ["num_predictions", "num_dets", "num_detections"];

/// Selected detections of each frame, whatever the graph calls its outputs.
#[derive(Debug)]
pub(super) struct Detections {
    pub(super) boxes: usize,
    pub(super) labels: usize,
    /// The label of the first kind; lower ones are the background.
    pub(super) first: usize,
    pub(super) scores: usize,
    pub(super) count: Option<usize>,
    /// Pixels for x0, y0, x1, y1; parts for y0, x0, y1, x1.
    pub(super) unit: Unit,
}

fn find(search: &Search<'_>) -> Result<Arc<dyn Head>, Mismatch> {
    let output = search.output();
    let boxes_name = output.boxes.as_deref().or(search.called(&BOXES));
    let scores_name = output.scores.as_deref().or(search.called(&SCORES));
    let (labels_name, count_name) = (search.called(&LABELS), search.called(&COUNTS));
    // Boxes of another meaning have the same shapes: names have to tell.
    if search.guessing() && (boxes_name.is_none() || scores_name.is_none() || labels_name.is_none()) {
        return Err(Mismatch::new("outputs `boxes`, `labels` and `scores`", list(search.ports())));
    }
    let boxes = search.shaped(boxes_name, "boxes", &[None, None, Some(4)])?;
    let scores = search.shaped(scores_name, "scores", &[None, None])?;
    let labels = search.one(labels_name, "labels i64[?, ?]", |port| {
        let fits = whole(port) || labels_name.is_some() && real(port);
        fits && port.fits(&[None, None]) && Some(&*port.name) != count_name
    })?;
    let count = count_name
        .map(|name| {
            search.one(Some(name), "a number of detections i64[?, 1]", |port| {
                port.fits(&[None]) || port.fits(&[None, Some(1)])
            })
        })
        .transpose()?;
    Ok(Arc::new(Detections { boxes, labels, first: 0, scores, count, unit: Unit::Pixels }))
}

impl Head for Detections {
    fn outputs(&self) -> Vec<usize> {
        [self.boxes, self.labels, self.scores].into_iter().chain(self.count).collect()
    }

    fn suppression(&self) -> Suppression {
        Suppression::InGraph
    }

    fn propose(&self, context: &Context, slot: &Slot<'_>, found: &mut Proposals) -> Result<()> {
        // A list of what the graph found: it may be empty.
        let sides = slot.list(self.boxes, 2)?;
        let labels = slot.list(self.labels, 1)?;
        let confidences = slot.list(self.scores, 1)?;
        slot.finite(self.boxes, &sides)?;
        slot.finite(self.labels, &labels)?;
        slot.finite(self.scores, &confidences)?;
        let rows = confidences.len();
        if sides.shape() != [rows, 4] {
            return Err(slot.misshapen(self.boxes, format!("{rows} boxes of 4 numbers"), sides.shape()));
        }
        if labels.len() != rows {
            return Err(slot.misshapen(self.labels, format!("{rows} numbers, one per box"), labels.shape()));
        }
        let rows = match self.count {
            None => rows,
            Some(output) => {
                let count = slot.ranked(output, &[0, 1])?;
                slot.finite(output, &count)?;
                match count.iter().next() {
                    Some(&count) if count >= 0.0 && count.fract() == 0.0 && count <= rows as f32 => count as usize,
                    other => {
                        let found = other.map_or_else(|| "none".to_owned(), f32::to_string);
                        return Err(slot.unusual(output, format!("a number of 0 to {rows} detections"), found));
                    }
                }
            }
        };
        let counted = sides.axis_iter(Axis(0)).take(rows).map(|row| [0, 1, 2, 3].map(|side| row[[side]]));
        match self.unit {
            Unit::Parts => in_parts(slot, self.boxes, counted.clone())?,
            _ => in_pixels(slot, self.boxes, counted.clone())?,
        }
        let model = slot.placement().model();
        for (row, sides) in counted.enumerate() {
            let (label, score) = (labels[[row]], confidences[[row]]);
            let confidence = context.probability(slot, self.scores, score)?;
            if label >= 0.0 && label < self.first as f32 {
                continue;
            }
            let label = label - self.first as f32;
            let bbox = match (self.unit, sides) {
                (Unit::Parts, [y0, x0, y1, x1]) => {
                    let (width, height) = (model.width as f32, model.height as f32);
                    PixelBox::new(x0 * width, y0 * height, x1 * width, y1 * height)
                }
                (_, sides) => PixelBox::from(sides),
            };
            match context.kind_of(slot, self.labels, label)? {
                Some(kind) => context.take(Candidate::new(kind, confidence, bbox).with_rank(row), found),
                None => context.unknown(label, confidence, &mut found.notes),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::geometry::Size;
    use crate::head::{Decoded, OutputConfig, testing};
    use crate::tensor::{Fit, Preprocess};

    fn decode(labels: [f32; 3], scores: [f32; 3], count: f32) -> Result<Decoded> {
        let output = OutputConfig::new(vec!["a".into(), "b".into()]);
        let boxes = vec![4.0, 2.0, 12.0, 10.0, 4.0, 2.0, 12.0, 10.0, 20.0, 20.0, 24.0, 30.0];
        let tensors = [
            (vec![1, 3, 4], boxes),
            (vec![1, 3], labels.to_vec()),
            (vec![1, 3], scores.to_vec()),
            (vec![1, 1], vec![count]),
        ];
        let placement = Preprocess { fit: Fit::Stretch, ..Preprocess::new(Size::new(32, 32)) };
        let placement = placement.placement(Size::new(64, 32));
        let head = Detections { boxes: 0, labels: 1, first: 0, scores: 2, count: Some(3), unit: Unit::Pixels };
        testing::decode(head, output, &tensors, (0, &placement))
    }

    #[test]
    fn detections_are_taken_as_they_are() {
        // Two on the same place stay two: the graph has selected them.
        let decoded = decode([0.0, 0.0, 1.0], [0.9, 0.8, 0.7], 3.0).unwrap();
        let found: Vec<_> = decoded.defects.iter().map(|d| (d.kind.as_str(), <[f32; 4]>::from(d.bbox))).collect();
        let first = [8.0, 2.0, 24.0, 10.0];
        assert_eq!(found, [("a", first), ("a", first), ("b", [40.0, 20.0, 48.0, 30.0])]);
        assert_eq!(decode([0.0, 0.0, 7.0], [0.9, 0.8, 0.7], 2.0).unwrap().defects.len(), 2, "the third does not count");
        assert_eq!(decode([0.0, -1.0, -1.0], [0.9, 0.0, 0.0], 3.0).unwrap().defects.len(), 1, "left over");
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        for (labels, confidence, count) in
            [([0.0, 0.5, 0.0], 0.7, 3.0), ([0.0; 3], 0.7, 4.0), ([0.0; 3], 0.7, -1.0), ([0.0; 3], 7.0, 3.0)]
        {
            let error = decode(labels, [0.9, 0.8, confidence], count).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Output, "{error}");
        }
        for label in [2.0, -1.0] {
            let decoded = decode([0.0, 0.0, label], [0.9, 0.8, 0.7], 3.0).unwrap();
            assert_eq!((decoded.defects.len(), decoded.lost.len()), (2, 1), "a kind that does not exist");
        }
    }
}
