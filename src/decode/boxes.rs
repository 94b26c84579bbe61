//! Format `boxes`: torchvision's detectors (Faster R-CNN, Mask R-CNN, RetinaNet, SSD), whose graphs suppress and return
//! one frame's detections:
//!
//! * boxes `[N, 4]`: x0, y0, x1, y1 in model pixels; labels `[N]`: numbers of kinds; scores `[N]`: confidences;
//! * masks `[N, 1, H, W]`: probability of each model pixel; a defect is where it is above `pixel_threshold`.
//!
//! torchvision's label 0 is the background: name it first among the kinds, and in `good`.

use ndarray::Axis;

use super::decoder::{Decoded, Decoder};
use super::nms::Candidate;
use super::scratch::DecodeScratch;
use super::surface::{Surface, Window};
use crate::error::Result;
use crate::geometry::{PixelBox, Placement};
use crate::model::Outputs;

pub(super) fn decode(
    decoder: &Decoder,
    outputs: &Outputs,
    (boxes, labels, scores, masks): (usize, usize, usize, Option<usize>),
    placement: &Placement,
    scratch: &mut DecodeScratch,
) -> Result<Decoded> {
    let sides = decoder.whole(outputs, boxes, 2)?;
    let numbers = decoder.whole(outputs, labels, 1)?;
    let confidences = decoder.whole(outputs, scores, 1)?;
    let masks = match masks {
        Some(output) => Some((output, decoder.whole(outputs, output, 4)?)),
        None => None,
    };
    let count = sides.shape()[0];
    decoder.finite(boxes, &sides)?;
    decoder.finite(scores, &confidences)?;
    for (output, found) in [(labels, numbers.len()), (scores, confidences.len())] {
        if found != count {
            return Err(decoder.misshapen(output, format!("{count} numbers, one a box"), &[found]));
        }
    }
    if let Some((output, masks)) = &masks {
        decoder.finite(*output, masks)?;
        if masks.shape()[0] != count {
            return Err(decoder.misshapen(*output, format!("{count} masks, one a box"), masks.shape()));
        }
    }
    let mut score = 0.0f32;
    let DecodeScratch { candidates: found, surface: memory, .. } = scratch;
    found.clear();
    for i in 0..count {
        let (kind, confidence) = (numbers[[i]] as usize, confidences[[i]].clamp(0.0, 1.0));
        let Some(floor) = decoder.floors.get(kind) else {
            return Err(decoder.misshapen(labels, format!("kinds below {}", decoder.floors.len()), &[kind]));
        };
        let Some(floor) = *floor else { continue };
        score = score.max(confidence);
        if confidence >= floor {
            let [x0, y0, x1, y1] = [0, 1, 2, 3].map(|side| sides[[i, side]]);
            found.push(Candidate { confidence, kind, cell: i, bbox: PixelBox::new(x0, y0, x1, y1) });
        }
    }
    found.sort_unstable_by(|a, b| b.confidence.total_cmp(&a.confidence).then(a.cell.cmp(&b.cell)));
    found.truncate(decoder.output.max_defects);
    let mut defects = Vec::with_capacity(found.len());
    for candidate in found.iter() {
        let Some(defect) = decoder.boxed(candidate, placement) else { continue };
        defects.push(match &masks {
            None => defect,
            Some((_, masks)) => {
                let cells = masks.index_axis(Axis(0), candidate.cell).index_axis_move(Axis(0), 0);
                // torchvision pastes a mask a pixel beyond its box, which it has rounded outwards.
                let reach = PixelBox::new(
                    defect.bbox.x0 - 2.0,
                    defect.bbox.y0 - 2.0,
                    defect.bbox.x1 + 2.0,
                    defect.bbox.y1 + 2.0,
                );
                let surface = Surface::new(decoder.plane(cells)?);
                let window = Window::of(&reach.clip(placement.frame()), placement.frame());
                defect.with_mask(surface.above(decoder.output.pixel_threshold, &window, placement, memory))
            }
        });
    }
    Ok(Decoded { defects, score })
}
