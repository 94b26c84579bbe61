//! Format `detr`: a set of `Q` proposals that need no suppression (DETR, Carion et al. 2020; RT-DETR, D-FINE, RF-DETR).
//!
//! * logits `[B, Q, K]`, each kind by itself (logistic function): the `Q` highest of all `Q * K` numbers are the
//!   proposals, so that one box may have two kinds; or `[B, Q, K + 1]`, the last for "nothing" (softmax over all): a
//!   proposal has its highest kind. RF-DETR's own exporter has the last one and each by itself: it is left out;
//! * boxes `[B, Q, 4]`: centre x, centre y, width, height in parts of the model's input.
//!
//! This is `post_process_object_detection` of the transformers library, and `PostProcess` of RF-DETR.

use ndarray::Axis;

use super::decoder::{Decoded, Decoder};
use super::nms::Candidate;
use super::scores::activate;
use super::scratch::DecodeScratch;
use crate::error::Result;
use crate::geometry::{PixelBox, Placement};
use crate::model::{Activation, Outputs};

pub(super) fn decode(
    decoder: &Decoder,
    outputs: &Outputs,
    (logits, boxes, activation): (usize, usize, Activation),
    index: usize,
    placement: &Placement,
    scratch: &mut DecodeScratch,
) -> Result<Decoded> {
    let numbers = decoder.frame(outputs, logits, index, 2)?;
    let sides = decoder.frame(outputs, boxes, index, 2)?;
    decoder.finite(logits, &numbers)?;
    decoder.finite(boxes, &sides)?;
    let (queries, kinds) = (numbers.shape()[0], decoder.floors.len());
    if sides.shape() != [queries, 4] {
        return Err(decoder.misshapen(boxes, format!("{queries} boxes of 4 numbers"), sides.shape()));
    }
    let DecodeScratch { proposals: found, numbers: probabilities, .. } = scratch;
    found.clear();
    for (query, row) in numbers.axis_iter(Axis(0)).enumerate() {
        activate(activation, row.iter().copied(), probabilities);
        let kinds = probabilities.iter().take(kinds).copied().enumerate();
        match activation {
            Activation::Softmax => {
                let best = kinds.fold((0, f32::NEG_INFINITY), |best, (k, p)| if p > best.1 { (k, p) } else { best });
                found.push((query, best.0, best.1));
            }
            _ => found.extend(kinds.map(|(k, p)| (query, k, p))),
        }
    }
    found.sort_unstable_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)).then(a.1.cmp(&b.1)));
    found.truncate(queries);
    let (width, height) = (placement.model().width as f32, placement.model().height as f32);
    let mut score = 0.0f32;
    let mut defects = Vec::new();
    for &(query, kind, confidence) in found.iter() {
        let Some(floor) = decoder.floors[kind] else { continue };
        score = score.max(confidence);
        if confidence < floor || defects.len() >= decoder.output.max_defects {
            continue;
        }
        let [x, y, w, h] = [0, 1, 2, 3].map(|i| sides[[query, i]]);
        let bbox =
            PixelBox::new((x - w / 2.0) * width, (y - h / 2.0) * height, (x + w / 2.0) * width, (y + h / 2.0) * height);
        let candidate = Candidate { confidence: confidence.clamp(0.0, 1.0), kind, cell: query, bbox };
        defects.extend(decoder.boxed(&candidate, placement));
    }
    Ok(Decoded { defects, score: score.clamp(0.0, 1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;
    use crate::model::{Layout, OutputConfig};
    use crate::tensor::{Fit, Preprocess};

    fn decode(activation: Activation, logits: (usize, &[f32])) -> Vec<(String, f32, [f32; 4])> {
        let output = OutputConfig { confidence: 0.5, ..OutputConfig::new(vec!["a".into(), "b".into()]) };
        let layout = Layout::Detr { logits: 0, boxes: 1, activation };
        let decoder = Decoder::of(layout, output, vec!["logits".into(), "boxes".into()]);
        let boxes = vec![0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.5, 0.5];
        let outputs = Outputs::from_tensors([(vec![1, 2, logits.0], logits.1.to_vec()), (vec![1, 2, 4], boxes)]);
        let placement =
            Preprocess { fit: Fit::Stretch, ..Preprocess::new(Size::new(32, 32)) }.placement(Size::new(80, 40));
        let decoded = decoder.decode(&outputs, 0, &placement).unwrap();
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
