use super::activation::sigmoid;
use super::config::OutputConfig;
use super::decoder::Decoded;
use super::lost::{Loss, Losses, Notes};
use super::proposals::{Candidate, Proposals};
use super::slot::{LOGITS, probable};
use super::suppression::{Suppression, suppress};
use super::surface::{Blob, SurfaceScratch};
use super::{Activation, Slot, oriented};
use crate::defect::{Confidence, Defect, Kind};
use crate::error::{Error, Result};
use crate::geometry::{PixelBox, Placement, Size};

/// What every head works with: the manifest's `[output]` table and the floor of each kind. It knows no format.
#[derive(Debug, Clone)]
pub struct Context {
    output: OutputConfig,
    /// For each kind, the lowest confidence to report; `None` for a kind that is not a defect.
    floors: Vec<Option<f32>>,
    /// For each kind, the lowest confidence at which a detection must not be lost.
    sure: Vec<f32>,
    /// The lowest of them, for detections whose kind is not known.
    least_sure: f32,
}

impl Context {
    /// With the confidence limits of the manifest.
    pub fn new(output: OutputConfig) -> Self {
        let good: std::collections::BTreeSet<&Kind> = output.good.iter().collect();
        let floor = |kind| (!good.contains(kind)).then(|| output.confidence_of(kind));
        let floors: Vec<Option<f32>> = output.kinds.iter().map(floor).collect();
        let mut context = Context { floors, output, sure: Vec::new(), least_sure: 1.0 };
        context.be_sure_from(|output, kind| output.confidence_of(kind));
        context
    }

    /// Reports defects of each kind from the confidence that `floor` gives for it.
    #[must_use]
    pub fn with_floors(mut self, floor: impl Fn(&Kind) -> f32) -> Self {
        for (kind, slot) in self.output.kinds.iter().zip(&mut self.floors) {
            *slot = slot.map(|_| floor(kind));
        }
        self
    }

    /// Loses no detection of a kind without a word from the confidence on that `sure` gives for it: see
    /// [`Decoded::lost`]. That is where a verdict can depend on it, which may be above the confidence that it is
    /// reported from. Default: the manifest's confidence.
    #[must_use]
    pub fn with_sure(mut self, sure: impl Fn(&Kind) -> f32) -> Self {
        self.be_sure_from(|_, kind| sure(kind));
        self
    }

    fn be_sure_from(&mut self, sure: impl Fn(&OutputConfig, &Kind) -> f32) {
        self.sure = self.output.kinds.iter().map(|kind| sure(&self.output, kind)).collect();
        let defects = self.sure.iter().zip(&self.floors).filter(|(_, floor)| floor.is_some());
        self.least_sure = defects.map(|(&sure, _)| sure).fold(1.0, f32::min);
    }

    /// The manifest's `[output]` table.
    pub fn output(&self) -> &OutputConfig {
        &self.output
    }

    /// Number of kinds, including those that are not defects.
    pub fn kinds(&self) -> usize {
        self.floors.len()
    }

    /// The lowest confidence to report of each kind; `None` for a kind that is not a defect.
    pub fn floors(&self) -> &[Option<f32>] {
        &self.floors
    }

    /// Adds a candidate of the slot's view if it reaches the floor of its kind, and takes note of its confidence, which
    /// is from the graph's output `output`. Nothing happens for a kind that is not a defect. A candidate that cannot
    /// become a defect, because its kind does not exist or its box has no place in the frame, is [lost](Decoded::lost).
    ///
    /// # Errors
    /// [`ErrorKind::Output`](crate::ErrorKind::Output) for a confidence outside `0..=1` by more than rounding.
    pub fn propose(&self, slot: &Slot<'_>, output: usize, candidate: Candidate, found: &mut Proposals) -> Result<()> {
        let confidence = candidate.confidence;
        if !probable(confidence) {
            return Err(slot.improbable(output, confidence, LOGITS));
        }
        self.take(candidate, found);
        Ok(())
    }

    /// As [`propose`](Self::propose), for a confidence that is known to be a probability.
    pub(super) fn take(&self, candidate: Candidate, found: &mut Proposals) {
        let Some(view) = found.views.last() else { return };
        if self.placed(&candidate, view, &mut found.notes).is_some() {
            found.push(Candidate { confidence: candidate.confidence.clamp(0.0, 1.0), ..candidate });
        }
    }

    /// The probability that a score of the graph's output `output` is: as `activation` says of scores that are one each
    /// by itself.
    ///
    /// # Errors
    /// [`ErrorKind::Output`](crate::ErrorKind::Output) for a number outside `0..=1` by more than rounding where they
    /// are said to be probabilities.
    #[inline]
    pub(super) fn probability(&self, slot: &Slot<'_>, output: usize, score: f32) -> Result<f32> {
        if self.output.activation == Activation::Sigmoid {
            return Ok(sigmoid(score));
        }
        match probable(score) {
            true => Ok(score),
            false => Err(slot.improbable(output, score, LOGITS)),
        }
    }

    /// Refuses a frame with fewer pixels than a region has to have: it would pass whatever is on it.
    pub(super) fn can_hold_regions(&self, frame: Size) -> Result<()> {
        let least = self.output.min_area;
        if least <= frame.area() {
            return Ok(());
        }
        let expected = format!("a frame of at least {least} pixels ([output] min_area)");
        Err(Error::image("frame", expected, frame.to_string()))
    }

    /// Whether nothing needs to be known of a proposal but its confidence, which is taken note of.
    #[inline]
    pub(super) fn passes_over(&self, kind: usize, confidence: f32, notes: &mut Notes) -> bool {
        match self.floors.get(kind) {
            Some(Some(floor)) => {
                notes.notice(confidence);
                confidence < *floor
            }
            Some(None) => true,
            None => false,
        }
    }

    /// Where in the frame a candidate lies that is to be reported; takes note of its confidence, and of its loss where
    /// it cannot become a defect. This is the one place where a head's candidate goes on or ends.
    #[inline]
    pub(super) fn placed(&self, candidate: &Candidate, view: &Placement, notes: &mut Notes) -> Option<PixelBox> {
        let confidence = candidate.confidence;
        let Some(floor) = self.floors.get(candidate.kind) else {
            self.unknown(candidate.kind as f32, confidence, notes);
            return None;
        };
        let floor = (*floor)?;
        notes.notice(confidence);
        if confidence < floor {
            return None;
        }
        place(candidate, view).map_err(|why| self.lose(why, candidate, &mut notes.lost)).ok()
    }

    /// Which kind a graph means by a number: a whole one. `None` for a kind that does not exist.
    ///
    /// # Errors
    /// [`ErrorKind::Output`](crate::ErrorKind::Output) for any other number.
    pub(super) fn kind_of(&self, slot: &Slot<'_>, output: usize, number: f32) -> Result<Option<usize>> {
        if number.fract() != 0.0 {
            let expected = "whole numbers of kinds (is this another format, or are its axes transposed?)";
            return Err(slot.unusual(output, expected, format!("{number}")));
        }
        Ok((number >= 0.0 && number < self.kinds() as f32).then_some(number as usize))
    }

    /// Takes note of a detection whose kind has a number that does not exist.
    pub(super) fn unknown(&self, number: f32, confidence: f32, notes: &mut Notes) {
        // Rows that are left over have no confidence, and any number.
        if confidence > 0.0 {
            notes.notice(confidence);
            if confidence >= self.least_sure {
                notes.lost.add(Loss::UnknownKind, number, confidence);
            }
        }
    }

    /// Takes note of a candidate that is to be reported and will not be.
    pub(super) fn lose(&self, why: Loss, candidate: &Candidate, lost: &mut Losses) {
        if self.sure.get(candidate.kind).is_some_and(|&sure| candidate.confidence >= sure) {
            lost.add(why, candidate.kind as f32, candidate.confidence);
        }
    }

    /// The same of those beyond the first `max_defects`, which are dropped.
    pub(super) fn truncate(&self, candidates: &mut Vec<Candidate>, lost: &mut Losses) {
        let most = self.output.max_defects;
        candidates.iter().skip(most).for_each(|candidate| self.lose(Loss::TooMany, candidate, lost));
        candidates.truncate(most);
    }

    /// Whether a verdict could depend on what was proposed.
    pub(super) fn is_sure(&self, candidate: &Candidate) -> bool {
        let reported = self.floors.get(candidate.kind).copied().flatten();
        reported.is_some() && candidate.confidence >= self.sure[candidate.kind]
    }

    /// Makes the defects of a frame whose candidates are boxes: suppresses them, keeps the most confident, and draws
    /// the masks that they have.
    pub fn assemble_boxes(&self, found: &mut Proposals, how: Suppression) -> Decoded {
        let output = &self.output;
        let Proposals { views, candidates, maps, scratch, notes, .. } = found;
        suppress(candidates, how, views.len() > 1, output.iou, output.iou_across);
        self.truncate(candidates, &mut notes.lost);
        let mut defects = Vec::with_capacity(candidates.len());
        for candidate in candidates.iter() {
            let Some(view) = views.get(candidate.view) else { continue };
            let defect = self.defect(candidate, view).and_then(|defect| match candidate.part {
                None => Ok(defect),
                Some(part) => {
                    let mask = maps.mask(part, &mut scratch.surface).ok_or(Loss::NoMask)?;
                    Ok(defect.with_mask(mask))
                }
            });
            match defect {
                Ok(defect) => defects.push(defect),
                Err(why) => self.lose(why, candidate, &mut notes.lost),
            }
        }
        Decoded::new(defects, notes.score.clamp(0.0, 1.0))
    }

    /// The defect that a candidate is, in frame pixels.
    pub(super) fn defect(&self, candidate: &Candidate, view: &Placement) -> Result<Defect, Loss> {
        let bbox = place(candidate, view)?;
        let kind = self.output.kinds.get(candidate.kind).ok_or(Loss::UnknownKind)?.clone();
        let confidence = Confidence::new(candidate.confidence).ok_or(Loss::NotFinite)?;
        let mut defect = Defect::new(kind, confidence, bbox);
        if let Some(corners) = corners(candidate, view) {
            let length = |[ax, ay]: [f32; 2], [bx, by]: [f32; 2]| (ax - bx).hypot(ay - by);
            defect.area_px = (length(corners[0], corners[1]) * length(corners[1], corners[2])).round() as u64;
            defect.corners = Some(corners);
        }
        Ok(defect)
    }

    /// The defect that a region of a map is, in an image of `size`.
    pub(super) fn blob(&self, kind: usize, blob: &Blob, size: Size, scratch: &mut SurfaceScratch) -> Option<Defect> {
        let kind = self.output.kinds.get(kind)?.clone();
        let peak = Confidence::new(blob.peak.clamp(0.0, 1.0))?;
        let mut defect = Defect::new(kind, peak, blob.bounds()).with_mask(scratch.mask(blob, size));
        defect.mean_confidence = Confidence::new(blob.mean.clamp(0.0, 1.0));
        Some(defect)
    }
}

/// The part of the frame that a candidate covers: its box, or the upright one around its turned box.
fn place(candidate: &Candidate, view: &Placement) -> Result<PixelBox, Loss> {
    let PixelBox { x0, y0, x1, y1 } = candidate.bbox;
    if ![x0, y0, x1, y1].iter().all(|side| side.is_finite()) {
        return Err(Loss::NotFinite);
    }
    if x1 < x0 || y1 < y0 {
        return Err(Loss::TurnedOver);
    }
    if x1 == x0 || y1 == y0 {
        return Err(Loss::Flat);
    }
    let around = match corners(candidate, view) {
        Some(corners) => {
            if !corners.as_flattened().iter().all(|side| side.is_finite()) {
                return Err(Loss::NotFinite);
            }
            let side =
                |pick: fn(f32, f32) -> f32, axis: usize| corners.iter().map(|c| c[axis]).fold(corners[0][axis], pick);
            PixelBox::new(side(f32::min, 0), side(f32::min, 1), side(f32::max, 0), side(f32::max, 1))
        }
        None if candidate.in_frame => candidate.bbox,
        None => {
            let ((x0, y0), (x1, y1)) =
                (view.to_frame(f64::from(x0), f64::from(y0)), view.to_frame(f64::from(x1), f64::from(y1)));
            PixelBox::new(x0 as f32, y0 as f32, x1 as f32, y1 as f32)
        }
    };
    let frame = view.frame();
    let bbox = around.clip(frame);
    if bbox.area() > 0.0 {
        return Ok(bbox);
    }
    let (width, height) = (frame.width as f32, frame.height as f32);
    let beyond = around.x1 <= 0.0 || around.y1 <= 0.0 || around.x0 >= width || around.y0 >= height;
    Err(if beyond { Loss::Outside } else { Loss::Flat })
}

/// The corners of a turned box in frame pixels.
fn corners(candidate: &Candidate, view: &Placement) -> Option<[[f32; 2]; 4]> {
    let corners = oriented::corners(&candidate.bbox, candidate.angle?);
    Some(corners.map(|[x, y]| match candidate.in_frame {
        true => [x, y],
        false => {
            let (x, y) = view.to_frame(f64::from(x), f64::from(y));
            [x as f32, y as f32]
        }
    }))
}

/// Sorts by confidence, most confident first; what is equal keeps its order.
pub(super) fn most_confident_first(defects: &mut [Defect]) {
    defects.sort_by(|a, b| b.confidence.get().total_cmp(&a.confidence.get()));
}
