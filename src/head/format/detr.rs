//! Format `detr`: a set of `Q` proposals that need no suppression (DETR, Carion et al. 2020; RT-DETR, D-FINE, RF-DETR).
//!
//! * logits `[B, Q, K]`, each kind by itself (logistic function): the `Q` highest of all `Q * K` numbers are the
//!   proposals, so that one box may have two kinds; or `[B, Q, K + 1]`, the last for "nothing" (softmax over all): a
//!   proposal has its highest kind. RF-DETR's own exporter has the last one and each by itself: it is left out;
//! * boxes `[B, Q, 4]`: centre x, centre y, width, height in parts of the model's input.
//!
//! This is `post_process_object_detection` of the transformers library, and `PostProcess` of RF-DETR.

use std::sync::Arc;

use ndarray::Axis;

use super::rows::{in_parts, numbered};
use super::yolo_nas::likely;
use crate::defect::Kind;
use crate::error::Result;
use crate::geometry::PixelBox;
use crate::head::proposals::{Candidate, HeadScratch, Proposals};
use crate::head::{Activation, Context, Format, Head, HeadFormat, Mismatch, Search, Slot, Suppression, Task};
use crate::runtime::{Signature, list};

pub(super) const FORMAT: HeadFormat =
    HeadFormat::new("detr", &[Task::Detect], find).guessed().with_kinds(starter_kinds);

impl Format {
    /// `detr`: DETR, RT-DETR, D-FINE, RF-DETR: logits `[B, Q, K]` or, with a last one for "nothing", `[B, Q, K + 1]`,
    /// and boxes `[B, Q, 4]` (centre, size, in parts of the input's size). With the last one `activation` says whether
    /// it is weighed against the kinds (`softmax`, the default) or left out (`sigmoid`, the default for RF-DETR's own
    /// exports, whose outputs are called `dets` and `labels`).
    pub const DETR: Format = Format::named("detr");
}

#[derive(Debug)]
struct Detr {
    logits: usize,
    boxes: usize,
    activation: Activation,
    /// Whether there is a last number for "nothing".
    nothing: bool,
}

fn find(search: &Search<'_>) -> Result<Arc<dyn Head>, Mismatch> {
    let (output, kinds) = (search.output(), search.kinds());
    let boxes_name = output.boxes.as_deref().or_else(|| search.called(&["pred_boxes", "boxes", "dets"]));
    let scores_name = output.scores.as_deref().or_else(|| search.called(&["logits", "pred_logits", "labels"]));
    let boxes = search.shaped(boxes_name, "boxes", &[None, None, Some(4)])?;
    // With a last logit for "nothing" the kinds are weighed against each other, without one each by itself. RF-DETR's
    // exporter has the last logit, which it never trains, and each by itself; it alone calls its outputs so.
    let together = match output.activation {
        Activation::None if (boxes_name, scores_name) == (Some("dets"), Some("labels")) => Activation::Sigmoid,
        Activation::None => Activation::Softmax,
        stated => stated,
    };
    let logits = |more: usize| search.shaped(scores_name, "logits", &[None, None, Some(kinds + more)]);
    let (logits, activation, nothing) = match (logits(0), logits(1)) {
        (Ok(i), _) if i != boxes => (i, Activation::Sigmoid, false),
        (_, Ok(i)) if i != boxes => (i, together, true),
        (Err(e), _) | (Ok(_), Err(e)) => return Err(e),
        (Ok(_), Ok(_)) => return Err(Mismatch::new("logits beside the boxes", list(search.ports()))),
    };
    if search.guessing() && likely(search, logits) {
        return Err(Mismatch::new("logits beside the boxes", list(search.ports())));
    }
    Ok(Arc::new(Detr { logits, boxes, activation, nothing }))
}

fn starter_kinds(signature: &Signature) -> Option<Vec<Kind>> {
    let of_rank = || signature.outputs.iter().filter(|port| port.shape.len() == 3);
    // RF-DETR's exporter has a last number that is no kind.
    if let Some(labels) = of_rank().find(|port| port.name == "labels") {
        return numbered(labels.shape[2]?.checked_sub(1)?);
    }
    let named = of_rank().find(|port| matches!(&*port.name, "logits" | "pred_logits"));
    let logits = named.or_else(|| of_rank().find(|port| port.shape[2].is_some_and(|n| n != 4)))?;
    numbered(logits.shape[2]?)
}

impl Head for Detr {
    fn outputs(&self) -> Vec<usize> {
        vec![self.logits, self.boxes]
    }

    fn suppression(&self) -> Suppression {
        Suppression::InGraph
    }

    fn propose(&self, context: &Context, slot: &Slot<'_>, found: &mut Proposals) -> Result<()> {
        let numbers = slot.array(self.logits, 2)?;
        let sides = slot.array(self.boxes, 2)?;
        slot.finite(self.logits, &numbers)?;
        slot.finite(self.boxes, &sides)?;
        let (queries, kinds) = (numbers.shape()[0], context.kinds());
        if sides.shape() != [queries, 4] {
            return Err(slot.misshapen(self.boxes, format!("{queries} boxes of 4 numbers"), sides.shape()));
        }
        let more = usize::from(self.nothing);
        if numbers.shape()[1] != kinds + more {
            return Err(slot.misshapen(self.logits, format!("{} logits", kinds + more), numbers.shape()));
        }
        // Those of a softmax or a logistic function: it would be applied twice, and everything be a defect.
        if numbers.iter().all(|number| (0.0..=1.0).contains(number)) {
            let expected = "logits (from an export without its last softmax or logistic function, or another format)";
            let highest = numbers.iter().copied().fold(0.0, f32::max);
            return Err(slot.unusual(self.logits, expected, format!("numbers from 0 to {highest} alone")));
        }
        in_parts(slot, self.boxes, sides.outer_iter().map(|row| [0, 1, 2, 3].map(|side| row[side])))?;
        let Proposals { views, candidates, notes, scratch, .. } = found;
        let HeadScratch { ranked, numbers: probabilities, .. } = scratch;
        ranked.clear();
        for (query, row) in numbers.axis_iter(Axis(0)).enumerate() {
            self.activation.apply(row.iter().copied(), probabilities);
            let kinds = probabilities.iter().take(kinds).copied().enumerate();
            match self.activation {
                Activation::Softmax => {
                    let best =
                        kinds.fold((0, f32::NEG_INFINITY), |best, (k, p)| if p > best.1 { (k, p) } else { best });
                    ranked.push((query, best.0, best.1));
                }
                _ => ranked.extend(kinds.map(|(k, p)| (query, k, p))),
            }
        }
        ranked.sort_unstable_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)).then(a.1.cmp(&b.1)));
        ranked.truncate(queries);
        let placement = slot.placement();
        let view = views.len().saturating_sub(1);
        let (width, height) = (placement.model().width as f32, placement.model().height as f32);
        for &(query, kind, confidence) in ranked.iter() {
            if context.passes_over(kind, confidence, notes) {
                continue;
            }
            let [x, y, w, h] = [0, 1, 2, 3].map(|i| sides[[query, i]]);
            let bbox = PixelBox::new(
                (x - w / 2.0) * width,
                (y - h / 2.0) * height,
                (x + w / 2.0) * width,
                (y + h / 2.0) * height,
            );
            let candidate = Candidate::new(kind, confidence, bbox).with_rank(query * kinds + kind);
            if context.placed(&candidate, placement, notes).is_some() {
                candidates.push(Candidate { view, ..candidate });
            }
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

    fn decode(activation: Activation, logits: (usize, &[f32])) -> Vec<(String, f32, [f32; 4])> {
        let output = OutputConfig { confidence: 0.5, ..OutputConfig::new(vec!["a".into(), "b".into()]) };
        let boxes = vec![0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.5, 0.5];
        let tensors = [(vec![1, 2, logits.0], logits.1.to_vec()), (vec![1, 2, 4], boxes)];
        let placement =
            Preprocess { fit: Fit::Stretch, ..Preprocess::new(Size::new(32, 32)) }.placement(Size::new(80, 40));
        let head = Detr { logits: 0, boxes: 1, activation, nothing: logits.0 == 3 };
        let decoded = testing::decode(head, output, &tensors, (0, &placement)).unwrap();
        decoded.defects.iter().map(|d| (d.kind.to_string(), d.confidence.get(), d.bbox.into())).collect()
    }

    #[test]
    fn as_many_as_queries_and_one_box_may_have_two_kinds() {
        // All four numbers are above one half; the two highest belong to the first query.
        let found = decode(Activation::Sigmoid, (2, &[3.0, 4.0, 1.0, 2.0]));
        let kinds: Vec<_> = found.iter().map(|(kind, ..)| kind.as_str()).collect();
        assert_eq!(kinds, ["b", "a"]);
        assert!((found[0].1 - 0.982_013_8).abs() < 1e-6);
        assert!(found.iter().all(|(_, _, sides)| *sides == [20.0, 10.0, 60.0, 30.0]), "{found:?}");
    }

    #[test]
    fn nothing_takes_part_in_the_softmax_and_is_no_kind() {
        // softmax([2, 0, 0]) = 0.78699 and softmax([0, 0, 3]) = 0.90944 for "nothing".
        let found = decode(Activation::Softmax, (3, &[2.0, 0.0, 0.0, 0.0, 0.0, 3.0]));
        assert_eq!(found.len(), 1);
        assert!(found[0].0 == "a" && (found[0].1 - 0.786_986).abs() < 1e-5, "{found:?}");
    }
}
