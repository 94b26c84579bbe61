//! Format `grid`: an anchor-free detector (in the manner of FCOS, Tian et al. 2019) with two outputs.
//!
//! * scores `[B, K, h, w]`: probability of each kind in each cell;
//! * boxes `[B, 4, h, w]`: distances, in model pixels and not negative, from the cell's centre to the left, top, right
//!   and bottom side of the box.
//!
//! The centre of cell (x, y) is `((x + 0.5) * W / w, (y + 0.5) * H / h)` for a model input of `W` x `H` pixels.

use super::decoder::{Decoded, Decoder};
use super::nms::{Candidate, suppress};
use super::scan;
use super::scratch::DecodeScratch;
use crate::defect::{Confidence, Defect};
use crate::error::Result;
use crate::geometry::{PixelBox, Placement};
use crate::model::Outputs;

pub(super) fn decode(
    decoder: &Decoder,
    outputs: &Outputs,
    (scores, boxes): (usize, usize),
    index: usize,
    placement: &Placement,
    scratch: &mut DecodeScratch,
) -> Result<Decoded> {
    let probabilities = decoder.frame(outputs, scores, index, 3)?;
    let distances = decoder.frame(outputs, boxes, index, 3)?;
    let (rows, columns) = (probabilities.shape()[1], probabilities.shape()[2]);
    let step_x = f64::from(placement.model().width) / columns as f64;
    let step_y = f64::from(placement.model().height) / rows as f64;
    decoder.finite(scores, &probabilities)?;
    let DecodeScratch { candidates, peaks, .. } = scratch;
    candidates.clear();
    let mut score = 0.0f32;
    for (kind, (plane, floor)) in probabilities.outer_iter().zip(&decoder.floors).enumerate() {
        let Some(floor) = *floor else { continue };
        let plane = decoder.slice(&plane)?;
        scan::peaks(plane, peaks);
        for (block, &peak) in peaks.iter().enumerate() {
            score = score.max(peak);
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
                    return Err(decoder.not_finite(boxes, *bad, format_args!("cell {cell}")));
                }
                let side = |i: usize| f64::from(sides[i]);
                let bbox = PixelBox::new(
                    (cx - side(0)) as f32,
                    (cy - side(1)) as f32,
                    (cx + side(2)) as f32,
                    (cy + side(3)) as f32,
                );
                let bbox = placement.box_to_frame(&bbox);
                // A box in the padding alone has nothing left after clipping.
                if bbox.area() > 0.0 {
                    candidates.push(Candidate { confidence: confidence.clamp(0.0, 1.0), kind, cell, bbox });
                }
            }
        }
    }
    suppress(candidates, decoder.output.iou, decoder.output.iou_across);
    candidates.truncate(decoder.output.max_defects);
    let mut defects = Vec::with_capacity(candidates.len());
    defects.extend(candidates.iter().filter_map(|c| {
        Some(Defect::new(decoder.output.kinds[c.kind].clone(), Confidence::new(c.confidence)?, c.bbox))
    }));
    Ok(Decoded { defects, score: score.clamp(0.0, 1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::geometry::Size;
    use crate::model::{Layout, OutputConfig};
    use crate::tensor::{Fit, Preprocess};
    use proptest::prelude::*;

    fn decoder() -> Decoder {
        let output = OutputConfig { confidence: 0.5, ..OutputConfig::new(vec!["a".into(), "b".into()]) };
        Decoder::of(Layout::Grid { scores: 0, boxes: 1 }, output, vec!["scores".into(), "boxes".into()])
    }

    fn placement(width: u32, height: u32) -> Placement {
        Preprocess { fit: Fit::Letterbox, ..Preprocess::new(Size::new(32, 32)) }.placement(Size::new(width, height))
    }

    /// A 4x4 grid for two frames, with the given scores of the second.
    fn outputs(cells: &[(usize, usize, f32)], distances: [f32; 4]) -> Outputs {
        let mut scores = vec![0.0; 2 * 2 * 16];
        for &(kind, cell, value) in cells {
            scores[32 + kind * 16 + cell] = value;
        }
        let boxes = (0..2).flat_map(|_| distances.iter().flat_map(|&d| [d; 16])).collect();
        Outputs::from_tensors([(vec![2, 2, 4, 4], scores), (vec![2, 4, 4, 4], boxes)])
    }

    #[test]
    fn a_box_comes_back_in_source_pixels() {
        // 64x32 is letterboxed to 32x16 at rows 8..24; cell 5 has its centre at (12, 12).
        let decoded = decoder().decode(&outputs(&[(1, 5, 0.9)], [4.0, 2.0, 4.0, 2.0]), 1, &placement(64, 32)).unwrap();
        assert_eq!(decoded.score, 0.9);
        let [defect] = &decoded.defects[..] else { panic!("one defect") };
        assert_eq!(defect.kind.as_str(), "b");
        assert_eq!(defect.bbox, PixelBox::new(16.0, 4.0, 32.0, 12.0));
        assert_eq!(defect.area_px, 128);
        let first = decoder().decode(&outputs(&[(1, 5, 0.9)], [4.0; 4]), 0, &placement(64, 32)).unwrap();
        assert!(first.defects.is_empty(), "frames of a batch are kept apart");
    }

    #[test]
    fn the_score_is_known_below_the_limit() {
        let decoded = decoder().decode(&outputs(&[(0, 3, 0.4)], [4.0; 4]), 1, &placement(32, 32)).unwrap();
        assert_eq!((decoded.score, decoded.defects.len()), (0.4, 0));
    }

    #[test]
    fn a_box_in_the_padding_is_dropped() {
        let decoded = decoder().decode(&outputs(&[(0, 1, 0.9)], [1.0; 4]), 1, &placement(64, 32)).unwrap();
        assert!(decoded.defects.is_empty());
    }

    #[test]
    fn numbers_that_are_none_name_the_output() {
        let bad = decoder().decode(&outputs(&[(0, 1, f32::NAN)], [1.0; 4]), 1, &placement(32, 32)).unwrap_err();
        assert!(matches!(&bad, Error::Output { output, .. } if output == "scores"), "{bad}");
        let bad = decoder().decode(&outputs(&[(0, 1, 0.9)], [f32::INFINITY; 4]), 1, &placement(32, 32)).unwrap_err();
        assert!(matches!(&bad, Error::Output { output, .. } if output == "boxes"), "{bad}");
    }

    proptest! {
        #[test]
        fn any_finite_output_gives_boxes_inside_the_image(
            scores in proptest::collection::vec(-1e3f32..1e3, 32),
            boxes in proptest::collection::vec(-1e6f32..1e6, 64),
            width in 1u32..200, height in 1u32..200,
        ) {
            let outputs = Outputs::from_tensors([(vec![1, 2, 4, 4], scores), (vec![1, 4, 4, 4], boxes)]);
            let decoded = decoder().decode(&outputs, 0, &placement(width, height)).unwrap();
            prop_assert!((0.0..=1.0).contains(&decoded.score));
            for d in &decoded.defects {
                let b = d.bbox;
                prop_assert!(b.x0 >= 0.0 && b.y0 >= 0.0 && b.x1 <= width as f32 && b.y1 <= height as f32);
                prop_assert!(b.area() > 0.0);
            }
        }
    }
}
