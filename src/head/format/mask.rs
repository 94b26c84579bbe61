//! Format `mask`: semantic segmentation, a number for each kind and pixel `[B, K, h, w]`, made a probability as
//! `activation` says (`softmax` over the kinds, `sigmoid` for each).
//!
//! Probabilities are interpolated to the source's pixels. With `softmax` (and `none` with a `good` kind) a pixel has
//! its most probable kind; with `sigmoid`, and for a single kind, every kind that reaches `pixel_threshold`. The
//! connected pixels of a kind (by sides or corners) are one defect, from `min_area` pixels on; its confidence is the
//! highest probability in it, and the mean is kept beside. A frame of fewer pixels than `min_area` is an error: it
//! would pass whatever is on it.

use std::sync::Arc;

use super::rows::numbered;
use crate::defect::Kind;
use crate::error::Result;
use crate::head::context::most_confident_first;
use crate::head::proposals::{HeadScratch, Proposals};
use crate::head::slot::ACTIVATION;
use crate::head::{Activation, Context, Decoded, Format, Head, HeadFormat, Mismatch, Search, Slot, Task};

pub(super) const FORMAT: HeadFormat =
    HeadFormat::new("mask", &[Task::Segment], find).guessed().with_kinds(|signature| {
        match signature.outputs.iter().find(|port| port.shape.len() == 4)?.shape[1] {
            Some(kinds) => numbered(kinds),
            None => Some(vec![Kind::new("kind0")]),
        }
    });

impl Format {
    /// `mask`: semantic segmentation: `[B, K, h, w]` (or `[B, 1, h, w]` for one kind), as `activation` says.
    pub const MASK: Format = Format::named("mask");
}

#[derive(Debug)]
struct Segments {
    map: usize,
}

fn find(search: &Search<'_>) -> Result<Arc<dyn Head>, Mismatch> {
    let (name, shape) = (search.output().scores.as_deref(), [None, Some(search.kinds()), None, None]);
    Ok(Arc::new(Segments { map: search.shaped(name, "a number for each kind and pixel", &shape)? }))
}

impl Head for Segments {
    fn outputs(&self) -> Vec<usize> {
        vec![self.map]
    }

    fn propose(&self, context: &Context, slot: &Slot<'_>, found: &mut Proposals) -> Result<()> {
        let numbers = slot.array(self.map, 3)?;
        match context.output().activation {
            Activation::None => slot.probabilities(self.map, &numbers, ACTIVATION)?,
            _ => slot.finite(self.map, &numbers)?,
        }
        let kinds = context.kinds();
        if numbers.shape()[0] != kinds {
            return Err(slot.misshapen(self.map, format!("{kinds} kinds"), numbers.shape()));
        }
        let cells = (numbers.shape()[1], numbers.shape()[2]);
        let (_, scores) = found.maps.add_layer(slot.placement(), cells, numbers.iter().copied());
        context.output().activation.apply_to_planes(scores, kinds, cells.0 * cells.1);
        Ok(())
    }

    fn assemble(&self, context: &Context, found: &mut Proposals) -> Result<Decoded> {
        let (frame, output) = (found.frame(), context.output());
        context.can_hold_regions(frame)?;
        let exclusive = context.kinds() > 1
            && match output.activation {
                Activation::Softmax => true,
                Activation::Sigmoid => false,
                Activation::None => !output.good.is_empty(),
            };
        let Proposals { maps, scratch, notes, .. } = found;
        let HeadScratch { winners, surface, .. } = scratch;
        if exclusive {
            surface.highest(|plane| maps.merged(frame, plane), winners);
        }
        let width = frame.width as usize;
        let mut defects = Vec::new();
        for (kind, floor) in context.floors().iter().enumerate() {
            let (Some(floor), Some(plane)) = (*floor, maps.merged(frame, kind)) else { continue };
            if exclusive {
                let wins = |_, x: u32, y: u32| winners[y as usize * width + x as usize] as usize == kind;
                surface.find_blobs_where(&plane, wins);
            } else {
                surface.find_blobs(&plane, output.pixel_threshold);
            }
            for number in 0..surface.blobs.len() {
                let blob = surface.blobs[number];
                if blob.area < output.min_area {
                    continue;
                }
                notes.notice(blob.peak.clamp(0.0, 1.0));
                if blob.peak >= floor {
                    defects.extend(context.blob(kind, &blob, frame, surface));
                }
            }
        }
        most_confident_first(&mut defects);
        Ok(Decoded::new(defects, notes.score))
    }
}
