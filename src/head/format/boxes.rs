//! Format `boxes`: torchvision's detectors (Faster R-CNN, Mask R-CNN, RetinaNet, SSD), whose graphs suppress and return
//! one frame's detections:
//!
//! * boxes `[N, 4]`: x0, y0, x1, y1 in model pixels; labels `[N]`: numbers of kinds; scores `[N]`: confidences (with
//!   `activation = "sigmoid"`, logits);
//! * masks `[N, 1, H, W]`: probability of each model pixel; a defect is where it is above `pixel_threshold`.
//!
//! torchvision's label 0 is the background: name it first among the kinds, and in `good`.

use std::sync::Arc;

use ndarray::Axis;

use super::rows::in_pixels;
use crate::defect::Kind;
use crate::error::Result;
use crate::geometry::PixelBox;
use crate::head::activation::sigmoid;
use crate::head::lost::Loss;
use crate::head::maps::PartOf;
use crate::head::proposals::{Candidate, Proposals};
use crate::head::slot::{LOGITS, plane};
use crate::head::suppression::most_confident_first;
use crate::head::surface::{Surface, Window};
use crate::head::{Activation, Context, Format, Head, HeadFormat, Mismatch, Search, Slot, Suppression, Task};

pub(super) const FORMAT: HeadFormat = HeadFormat::new("boxes", &[Task::Detect, Task::Instance], find)
    .guessed()
    .with_kinds(|_| Some(vec![Kind::new("background"), Kind::new("kind1")]));

impl Format {
    /// `boxes`: torchvision's detectors, for one frame: boxes `[N, 4]` (corners), labels `[N]`, scores `[N]`, and with
    /// task `instance` masks `[N, 1, H, W]`.
    pub const BOXES: Format = Format::named("boxes");
}

#[derive(Debug)]
struct Boxes {
    boxes: usize,
    labels: usize,
    scores: usize,
    masks: Option<usize>,
}

fn find(search: &Search<'_>) -> Result<Arc<dyn Head>, Mismatch> {
    let output = search.output();
    let boxes = search.shaped(output.boxes.as_deref(), "boxes", &[None, Some(4)])?;
    let scores = search.shaped(output.scores.as_deref(), "scores", &[None])?;
    let labels =
        search.one(None, "labels i64[?]", |port| port.shape.len() == 1 && matches!(&*port.element, "i64" | "i32"))?;
    let masks = match search.task() {
        Task::Instance => Some(search.shaped(None, "masks", &[None, Some(1), None, None])?),
        _ => None,
    };
    Ok(Arc::new(Boxes { boxes, labels, scores, masks }))
}

impl Head for Boxes {
    fn outputs(&self) -> Vec<usize> {
        [self.boxes, self.labels, self.scores].into_iter().chain(self.masks).collect()
    }

    fn single(&self) -> bool {
        true
    }

    fn suppression(&self) -> Suppression {
        Suppression::InGraph
    }

    fn propose(&self, context: &Context, slot: &Slot<'_>, found: &mut Proposals) -> Result<()> {
        let sides = slot.whole(self.boxes, 2)?;
        let numbers = slot.whole(self.labels, 1)?;
        let confidences = slot.whole(self.scores, 1)?;
        let masks = match self.masks {
            Some(output) => Some((output, slot.whole(output, 4)?)),
            None => None,
        };
        let count = sides.shape()[0];
        slot.finite(self.boxes, &sides)?;
        slot.finite(self.labels, &numbers)?;
        let logits = context.output().activation == Activation::Sigmoid;
        match logits {
            true => slot.finite(self.scores, &confidences)?,
            false => slot.probabilities(self.scores, &confidences, LOGITS)?,
        }
        for (output, found) in [(self.labels, numbers.len()), (self.scores, confidences.len())] {
            if found != count {
                return Err(slot.misshapen(output, format!("{count} numbers, one per box"), &[found]));
            }
        }
        if let Some((output, masks)) = &masks {
            slot.probabilities(*output, masks, "the graph has to make them: no key of [output] does")?;
            if masks.shape()[0] != count {
                return Err(slot.misshapen(*output, format!("{count} masks, one per box"), masks.shape()));
            }
            if count > 0 && masks.is_empty() {
                return Err(slot.misshapen(*output, "masks of at least one pixel", masks.shape()));
            }
        }
        let placement = slot.placement();
        in_pixels(slot, self.boxes, sides.outer_iter().map(|row| [0, 1, 2, 3].map(|side| row[side])))?;
        let Proposals { views, candidates, notes, maps, scratch, .. } = found;
        let view = views.len().saturating_sub(1);
        let own = &mut scratch.own;
        own.clear();
        for i in 0..count {
            let confidence = if logits { sigmoid(confidences[[i]]) } else { confidences[[i]].clamp(0.0, 1.0) };
            let Some(kind) = context.kind_of(slot, self.labels, numbers[[i]])? else {
                context.unknown(numbers[[i]], confidence, notes);
                continue;
            };
            let [x0, y0, x1, y1] = [0, 1, 2, 3].map(|side| sides[[i, side]]);
            let candidate = Candidate::new(kind, confidence, PixelBox::new(x0, y0, x1, y1));
            if context.placed(&candidate, placement, notes).is_some() {
                own.push(Candidate { view, row: i, ..candidate.with_rank(i) });
            }
        }
        let Some((_, masks)) = &masks else {
            candidates.append(own);
            return Ok(());
        };
        // Masks are copied of what may be reported of the view only.
        most_confident_first(own);
        context.truncate(own, &mut notes.lost);
        for candidate in own.iter() {
            let bbox = placement.box_to_frame(&candidate.bbox);
            // torchvision pastes a mask a pixel beyond its box, which it has rounded outwards.
            let reach = PixelBox::new(bbox.x0 - 2.0, bbox.y0 - 2.0, bbox.x1 + 2.0, bbox.y1 + 2.0);
            let frame = placement.frame();
            let window = Window::of(&reach.clip(frame), frame).within(placement.region());
            if window.is_empty() {
                context.lose(Loss::NoMask, candidate, &mut notes.lost);
                continue;
            }
            let cells = plane(masks.index_axis(Axis(0), candidate.row).index_axis_move(Axis(0), 0))?;
            let whole = cells.dim();
            let (rows, columns) = Surface::read(whole, &window, placement);
            let origin = (rows.start, columns.start);
            let cells = cells.slice_axis_move(Axis(0), rows.into()).slice_axis_move(Axis(1), columns.into());
            let part = PartOf { placement, window: &window, whole, origin };
            let part = maps.add_part(&part, cells, context.output().pixel_threshold, true);
            candidates.push(Candidate { part: Some(part), ..*candidate });
        }
        Ok(())
    }
}
