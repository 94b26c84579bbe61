//! Format `yolo-nas`: YOLO-NAS and PP-YOLOE as super-gradients exports them without suppression.
//!
//! * boxes `[B, N, 4]`: x0, y0, x1, y1 in model pixels;
//! * scores `[B, N, K]`: a probability for each kind. One box may be a defect of several kinds.
//!
//! `auto` knows it by an output with `scores` in its name, or by one proposal for each cell of 8, 16 and 32 pixels:
//! those of `detr` have the same shapes.

use std::sync::Arc;

use super::cells::Cells;
use super::rows::{in_pixels, numbered};
use crate::error::Result;
use crate::geometry::PixelBox;
use crate::head::activation::sigmoid;
use crate::head::proposals::{Candidate, Proposals};
use crate::head::slot::LOGITS;
use crate::head::{Activation, Context, Format, Head, HeadFormat, Mismatch, Search, Slot, Task};
use crate::runtime::{Signature, list};

pub(super) const FORMAT: HeadFormat =
    HeadFormat::new("yolo-nas", &[Task::Detect], find).guessed().with_kinds(|signature: &Signature| {
        let scores = signature.outputs.iter().find(|port| port.shape.len() == 3 && port.name.contains("scores"))?;
        numbered(scores.shape[2]?)
    });

impl Format {
    /// `yolo-nas`: YOLO-NAS, PP-YOLOE without suppression in the graph: boxes `[B, N, 4]` (corners in pixels) and
    /// probabilities `[B, N, K]`.
    pub const YOLO_NAS: Format = Format::named("yolo-nas");
}

#[derive(Debug)]
struct YoloNas {
    boxes: usize,
    scores: usize,
}

fn find(search: &Search<'_>) -> Result<Arc<dyn Head>, Mismatch> {
    let output = search.output();
    let boxes = search.shaped(output.boxes.as_deref().or(search.named("boxes")), "boxes", &[None, None, Some(4)])?;
    let shape = [None, None, Some(search.kinds())];
    let scores = search.shaped(output.scores.as_deref().or(search.named("scores")), "probabilities", &shape)?;
    if boxes == scores || search.guessing() && !likely(search, scores) {
        return Err(Mismatch::new("probabilities beside the boxes", list(search.ports())));
    }
    Ok(Arc::new(YoloNas { boxes, scores }))
}

/// Whether an output of a number for each proposal and kind holds probabilities of cells, not the logits of a set of
/// proposals as [`detr`](super::detr) has them.
pub(super) fn likely(search: &Search<'_>, scores: usize) -> bool {
    let port = &search.ports()[scores];
    let one_a_cell = || {
        let cells = search.input_size().zip(port.shape[1]);
        cells.is_some_and(|(model, count)| Cells::of(model, count).is_some())
    };
    port.name.contains("scores") || (!port.name.contains("logits") && one_a_cell())
}

impl Head for YoloNas {
    fn outputs(&self) -> Vec<usize> {
        vec![self.boxes, self.scores]
    }

    fn propose(&self, context: &Context, slot: &Slot<'_>, found: &mut Proposals) -> Result<()> {
        let sides = slot.array(self.boxes, 2)?;
        let probabilities = slot.array(self.scores, 2)?;
        slot.finite(self.boxes, &sides)?;
        match context.output().activation {
            Activation::Sigmoid => slot.finite(self.scores, &probabilities)?,
            _ => slot.probabilities(self.scores, &probabilities, LOGITS)?,
        }
        let (proposals, kinds) = (probabilities.shape()[0], context.kinds());
        if sides.shape() != [proposals, 4] {
            return Err(slot.misshapen(self.boxes, format!("{proposals} boxes of 4 numbers"), sides.shape()));
        }
        if probabilities.shape()[1] != kinds {
            return Err(slot.misshapen(self.scores, format!("{kinds} kinds"), probabilities.shape()));
        }
        in_pixels(slot, self.boxes, sides.outer_iter().map(|row| [0, 1, 2, 3].map(|side| row[side])))?;
        let logits = context.output().activation == Activation::Sigmoid;
        for ((proposal, kind), &score) in probabilities.indexed_iter().map(|(at, p)| ((at[0], at[1]), p)) {
            let bbox = PixelBox::from([0, 1, 2, 3].map(|side| sides[[proposal, side]]));
            let confidence = if logits { sigmoid(score) } else { score };
            context.take(Candidate::new(kind, confidence, bbox).with_rank(kind * proposals + proposal), found);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;
    use crate::head::{OutputConfig, testing};
    use crate::tensor::{Fit, Preprocess};

    #[test]
    fn each_kind_of_a_proposal_is_one_and_overlaps_are_suppressed() {
        let output = OutputConfig { confidence: 0.3, ..OutputConfig::new(vec!["a".into(), "b".into()]) };
        // The second box lies on the first; the third is a defect of both kinds.
        let boxes = vec![4.0, 2.0, 12.0, 10.0, 5.0, 2.0, 12.0, 10.0, 20.0, 20.0, 24.0, 30.0];
        let scores = vec![0.9, 0.1, 0.8, 0.0, 0.4, 0.7];
        let placement = Preprocess { fit: Fit::Stretch, ..Preprocess::new(Size::new(32, 32)) };
        let placement = placement.placement(Size::new(64, 32));
        let tensors = [(vec![1, 3, 4], boxes), (vec![1, 3, 2], scores)];
        let head = YoloNas { boxes: 0, scores: 1 };
        let decoded = testing::decode(head, output, &tensors, (0, &placement)).unwrap();
        let found: Vec<_> =
            decoded.defects.iter().map(|d| (d.kind.as_str(), d.confidence.get(), <[f32; 4]>::from(d.bbox))).collect();
        let (first, third) = ([8.0, 2.0, 24.0, 10.0], [40.0, 20.0, 48.0, 30.0]);
        assert_eq!(found, [("a", 0.9, first), ("b", 0.7, third), ("a", 0.4, third)]);
    }
}
