use super::config::OutputConfig;
use super::decoder::Decoded;
use super::proposals::{Candidate, Proposals};
use super::suppression::{Suppression, suppress};
use super::surface::{Blob, SurfaceScratch};
use super::{Slot, oriented};
use crate::defect::{Confidence, Defect, Kind};
use crate::geometry::{PixelBox, Placement, Size};

/// What every head works with: the manifest's `[output]` table and the floor of each kind. It knows no format.
#[derive(Debug, Clone)]
pub struct Context {
    output: OutputConfig,
    /// For each kind, the lowest confidence to report; `None` for a kind that is not a defect.
    floors: Vec<Option<f32>>,
}

impl Context {
    /// With the confidence limits of the manifest.
    pub fn new(output: OutputConfig) -> Self {
        let floor = |kind| (!output.good.contains(kind)).then(|| output.confidence_of(kind));
        Context { floors: output.kinds.iter().map(floor).collect(), output }
    }

    /// Reports defects of each kind from the confidence that `floor` gives for it.
    #[must_use]
    pub fn with_floors(mut self, floor: impl Fn(&Kind) -> f32) -> Self {
        for (kind, slot) in self.output.kinds.iter().zip(&mut self.floors) {
            *slot = slot.map(|_| floor(kind));
        }
        self
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

    /// Adds a candidate of the slot's view if it reaches the floor of its kind, with its confidence cut to `0..=1`, and
    /// takes note of its confidence. Nothing happens for a kind that is not a defect, or that does not exist.
    pub fn propose(&self, candidate: Candidate, found: &mut Proposals) {
        let Some(floor) = self.floors.get(candidate.kind).copied().flatten() else { return };
        found.notice(candidate.confidence);
        if candidate.confidence >= floor {
            found.push(Candidate { confidence: candidate.confidence.clamp(0.0, 1.0), ..candidate });
        }
    }

    /// Makes the defects of a frame whose candidates are boxes: suppresses them, keeps the most confident, and draws
    /// the masks that they have.
    pub fn assemble_boxes(&self, found: &mut Proposals, how: Suppression) -> Decoded {
        let output = &self.output;
        let Proposals { views, candidates, maps, scratch, .. } = found;
        suppress(candidates, how, views.len() > 1, output.iou, output.iou_across);
        candidates.truncate(output.max_defects);
        let mut defects = Vec::with_capacity(candidates.len());
        for candidate in candidates.iter() {
            let Some(view) = views.get(candidate.view) else { continue };
            let Some(defect) = self.defect(candidate, view) else { continue };
            match candidate.part {
                None => defects.push(defect),
                Some(part) => {
                    let mask = maps.mask(part, &mut scratch.surface);
                    defects.extend(mask.map(|mask| defect.with_mask(mask)));
                }
            }
        }
        Decoded::new(defects, found.score.clamp(0.0, 1.0))
    }

    /// The defect that a candidate is, in frame pixels. `None` for a box in the padding: nothing is left of it.
    pub(super) fn defect(&self, candidate: &Candidate, view: &Placement) -> Option<Defect> {
        let kind = self.output.kinds.get(candidate.kind)?.clone();
        let confidence = Confidence::new(candidate.confidence)?;
        let Some(angle) = candidate.angle else {
            let bbox = match candidate.in_frame {
                true => candidate.bbox.clip(view.frame()),
                false => view.box_to_frame(&candidate.bbox),
            };
            return (bbox.area() > 0.0).then(|| Defect::new(kind, confidence, bbox));
        };
        let corners = oriented::corners(&candidate.bbox, angle).map(|[x, y]| match candidate.in_frame {
            true => [x, y],
            false => {
                let (x, y) = view.to_frame(f64::from(x), f64::from(y));
                [x as f32, y as f32]
            }
        });
        let side =
            |pick: fn(f32, f32) -> f32, axis: usize| corners.iter().map(|c| c[axis]).fold(corners[0][axis], pick);
        let around = PixelBox::new(side(f32::min, 0), side(f32::min, 1), side(f32::max, 0), side(f32::max, 1));
        let bbox = around.clip(view.frame());
        let mut defect = Defect::new(kind, confidence, bbox);
        let length = |[ax, ay]: [f32; 2], [bx, by]: [f32; 2]| (ax - bx).hypot(ay - by);
        defect.area_px = (length(corners[0], corners[1]) * length(corners[1], corners[2])).round() as u64;
        defect.corners = Some(corners);
        (bbox.area() > 0.0).then_some(defect)
    }

    /// The defect that a region of a map is, in an image of `size`.
    pub(super) fn blob(&self, kind: usize, blob: &Blob, size: Size, scratch: &mut SurfaceScratch) -> Option<Defect> {
        let kind = self.output.kinds.get(kind)?.clone();
        let peak = Confidence::new(blob.peak.clamp(0.0, 1.0))?;
        let mut defect = Defect::new(kind, peak, blob.bounds()).with_mask(scratch.mask(blob, size));
        defect.mean_confidence = Confidence::new(blob.mean.clamp(0.0, 1.0));
        Some(defect)
    }

    /// The error for a kind number that does not exist.
    pub(super) fn unknown_kind(&self, slot: &Slot<'_>, output: usize, kind: f32) -> crate::error::Error {
        slot.misshapen(output, format!("kinds below {}", self.kinds()), &[kind as usize])
    }
}

/// Sorts by confidence, most confident first; what is equal keeps its order.
pub(super) fn most_confident_first(defects: &mut [Defect]) {
    defects.sort_by(|a, b| b.confidence.get().total_cmp(&a.confidence.get()));
}
