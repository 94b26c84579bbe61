//! Format `grid`: an anchor-free detector (in the manner of FCOS, Tian et al. 2019) with two outputs.
//!
//! * scores `[B, K, h, w]`: probability of each kind in each cell (with `activation = "sigmoid"`, its logit);
//! * boxes `[B, 4, h, w]`: distances, in model pixels and not negative, from the cell's centre to the left, top, right
//!   and bottom side of the box.
//!
//! The centre of cell (x, y) is `((x + 0.5) * W / w, (y + 0.5) * H / h)` for a model input of `W` x `H` pixels.

use std::sync::Arc;

use crate::error::Result;
use crate::geometry::PixelBox;
use crate::head::activation::sigmoid;
use crate::head::proposals::{Candidate, HeadScratch, Proposals};
use crate::head::slot::{LOGITS, slice};
use crate::head::{Activation, Context, Format, Head, HeadFormat, Mismatch, Search, Slot, Task, scan};
use crate::runtime::Signature;

use super::rows::numbered;

pub(super) const FORMAT: HeadFormat =
    HeadFormat::new("grid", &[Task::Detect], find).guessed().with_kinds(|signature: &Signature| {
        let scores = signature.outputs.iter().find(|port| port.name == "scores" && port.shape.len() == 4)?;
        numbered(scores.shape[1]?)
    });

impl Format {
    /// `grid`: anchor-free detection: probabilities `[B, K, h, w]` and distances `[B, 4, h, w]`.
    pub const GRID: Format = Format::named("grid");
}

#[derive(Debug)]
struct Grid {
    scores: usize,
    boxes: usize,
}

fn find(search: &Search<'_>) -> Result<Arc<dyn Head>, Mismatch> {
    let (output, kinds, ports) = (search.output(), search.kinds(), search.ports());
    let scores = output.scores.as_deref().or(Some("scores"));
    let scores = search.shaped(scores, "probabilities", &[None, Some(kinds), None, None])?;
    let boxes = output.boxes.as_deref().or(Some("boxes"));
    let boxes = search.shaped(boxes, "distances", &[None, Some(4), None, None])?;
    let cells = |i: usize| &ports[i].shape[2..];
    if !ports[boxes].fits(&[&[None, None], cells(scores)].concat()) {
        let found = format!("{} and {}", ports[scores], ports[boxes]);
        return Err(Mismatch::new("scores and boxes on the same grid", found));
    }
    Ok(Arc::new(Grid { scores, boxes }))
}

impl Head for Grid {
    fn outputs(&self) -> Vec<usize> {
        vec![self.scores, self.boxes]
    }

    fn propose(&self, context: &Context, slot: &Slot<'_>, found: &mut Proposals) -> Result<()> {
        let probabilities = slot.array(self.scores, 3)?;
        let distances = slot.array(self.boxes, 3)?;
        let placement = slot.placement();
        let (rows, columns) = (probabilities.shape()[1], probabilities.shape()[2]);
        let step_x = f64::from(placement.model().width) / columns as f64;
        let step_y = f64::from(placement.model().height) / rows as f64;
        if probabilities.shape()[0] != context.kinds() {
            return Err(slot.misshapen(self.scores, format!("{} kinds", context.kinds()), probabilities.shape()));
        }
        if distances.shape() != [4, rows, columns] {
            return Err(slot.misshapen(
                self.boxes,
                format!("[4, {rows}, {columns}], as the scores"),
                distances.shape(),
            ));
        }
        let logits = context.output().activation == Activation::Sigmoid;
        match logits {
            true => slot.finite(self.scores, &probabilities)?,
            false => slot.probabilities(self.scores, &probabilities, LOGITS)?,
        }
        let Proposals { views, candidates, notes, scratch, .. } = found;
        let HeadScratch { peaks, numbers, .. } = scratch;
        let view = views.len().saturating_sub(1);
        for (kind, (plane, floor)) in probabilities.outer_iter().zip(context.floors()).enumerate() {
            let Some(floor) = *floor else { continue };
            let mut plane = slice(&plane)?;
            if logits {
                numbers.clear();
                numbers.extend(plane.iter().map(|&logit| sigmoid(logit)));
                plane = numbers;
            }
            scan::peaks(plane, peaks);
            for (block, &peak) in peaks.iter().enumerate() {
                notes.notice(peak);
                // Few blocks hold a defect.
                if peak < floor {
                    continue;
                }
                for (cell, &confidence) in plane.iter().enumerate().skip(block * scan::BLOCK).take(scan::BLOCK) {
                    if confidence < floor {
                        continue;
                    }
                    let (x, y) = (cell % columns, cell / columns);
                    let (cx, cy) = ((x as f64 + 0.5) * step_x, (y as f64 + 0.5) * step_y);
                    let sides: [f32; 4] = std::array::from_fn(|i| distances[[i, y, x]]);
                    if let Some(bad) = sides.iter().find(|v| !v.is_finite()) {
                        return Err(slot.not_finite(self.boxes, *bad, format_args!("cell {cell}")));
                    }
                    let side = |i: usize| f64::from(sides[i]);
                    let bbox = PixelBox::new(
                        (cx - side(0)) as f32,
                        (cy - side(1)) as f32,
                        (cx + side(2)) as f32,
                        (cy + side(3)) as f32,
                    );
                    let rank = kind * plane.len() + cell;
                    let candidate = Candidate::new(kind, confidence.clamp(0.0, 1.0), bbox).with_rank(rank);
                    // What overlaps is what is seen of the boxes in the frame.
                    let bbox = context.placed(&candidate, placement, notes);
                    candidates.extend(bbox.map(|bbox| Candidate { view, bbox, ..candidate.placed() }));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::geometry::{Placement, Size};
    use crate::head::{Decoded, Loss, Lost, OutputConfig, testing};
    use crate::tensor::{Fit, Preprocess};

    fn decode(tensors: &[(Vec<usize>, Vec<f32>)], index: usize, placement: &Placement) -> Result<Decoded> {
        let output = OutputConfig { confidence: 0.5, ..OutputConfig::new(vec!["a".into(), "b".into()]) };
        testing::decode(Grid { scores: 0, boxes: 1 }, output, tensors, (index, placement))
    }

    fn placement(width: u32, height: u32) -> Placement {
        Preprocess { fit: Fit::Letterbox, ..Preprocess::new(Size::new(32, 32)) }.placement(Size::new(width, height))
    }

    /// A 4x4 grid for two frames, with the given scores of the second.
    fn outputs(cells: &[(usize, usize, f32)], distances: [f32; 4]) -> Vec<(Vec<usize>, Vec<f32>)> {
        let mut scores = vec![0.0; 2 * 2 * 16];
        for &(kind, cell, value) in cells {
            scores[32 + kind * 16 + cell] = value;
        }
        let boxes = (0..2).flat_map(|_| distances.iter().flat_map(|&d| [d; 16])).collect();
        vec![(vec![2, 2, 4, 4], scores), (vec![2, 4, 4, 4], boxes)]
    }

    #[test]
    fn a_box_comes_back_in_frame_pixels() {
        // 64x32 is letterboxed to 32x16 at rows 8..24; cell 5 has its centre at (12, 12).
        let decoded = decode(&outputs(&[(1, 5, 0.9)], [4.0, 2.0, 4.0, 2.0]), 1, &placement(64, 32)).unwrap();
        assert_eq!(decoded.score, 0.9);
        let [defect] = &decoded.defects[..] else { panic!("one defect") };
        assert_eq!(defect.kind.as_str(), "b");
        assert_eq!(defect.bbox, PixelBox::new(16.0, 4.0, 32.0, 12.0));
        assert_eq!(defect.area_px, 128);
        let first = decode(&outputs(&[(1, 5, 0.9)], [4.0; 4]), 0, &placement(64, 32)).unwrap();
        assert!(first.defects.is_empty(), "frames of a batch are kept apart");
    }

    #[test]
    fn the_score_is_known_below_the_limit() {
        let decoded = decode(&outputs(&[(0, 3, 0.4)], [4.0; 4]), 1, &placement(32, 32)).unwrap();
        assert_eq!((decoded.score, decoded.defects.len()), (0.4, 0));
    }

    #[test]
    fn a_box_in_the_padding_is_lost() {
        let decoded = decode(&outputs(&[(0, 1, 0.9)], [1.0; 4]), 1, &placement(64, 32)).unwrap();
        assert!(decoded.defects.is_empty());
        assert_eq!(decoded.lost, [Lost::new(Loss::Outside, "a", 0.9)]);
    }

    #[test]
    fn non_finite_values_name_the_output() {
        let bad = decode(&outputs(&[(0, 1, f32::NAN)], [1.0; 4]), 1, &placement(32, 32)).unwrap_err();
        assert!(bad.kind() == ErrorKind::Output && bad.name() == Some("output0"), "{bad}");
        let bad = decode(&outputs(&[(0, 1, 0.9)], [f32::INFINITY; 4]), 1, &placement(32, 32)).unwrap_err();
        assert!(bad.kind() == ErrorKind::Output && bad.name() == Some("output1"), "{bad}");
    }
}
