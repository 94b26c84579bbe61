use std::fmt;

use ndarray::{Array2, ArrayView, ArrayView2, ArrayViewD, Axis, Dimension, Ix2};

use super::nms::Candidate;
use super::scratch::DecodeScratch;
use super::surface::{Memory, Region};
use super::{anomaly, boxes, detr, grid, oriented, rows, scan, scores, segments};
use crate::defect::{Confidence, Defect, Kind};
use crate::error::{Error, Result};
use crate::geometry::{PixelBox, Placement};
use crate::model::{Layout, Model, OutputConfig, Outputs};

/// Turns the outputs of one model into defects.
#[derive(Debug, Clone)]
pub struct Decoder {
    pub(super) layout: Layout,
    pub(super) output: OutputConfig,
    /// For each kind, the least confidence to report; `None` for a kind that is no defect.
    pub(super) floors: Vec<Option<f32>>,
    /// Names of the graph's outputs, for messages.
    pub(super) names: Vec<String>,
}

/// What one frame came to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Decoded {
    /// The defects, the surest first.
    pub defects: Vec<Defect>,
    /// The highest confidence that the model gave to any defect, reported or not, in `0..=1`.
    pub score: f32,
}

impl Decoder {
    /// The decoder of a model, with the confidence limits of its manifest.
    pub fn new(model: &Model) -> Self {
        let names = model.signature().outputs.iter().map(|port| port.name.clone()).collect();
        Self::of(model.layout(), model.manifest().output.clone(), names)
    }

    pub(super) fn of(layout: Layout, output: OutputConfig, names: Vec<String>) -> Self {
        let floor = |kind| (!output.good.contains(kind)).then(|| output.confidence_of(kind));
        Decoder { layout, floors: output.kinds.iter().map(floor).collect(), output, names }
    }

    /// Reports defects of each kind from the confidence that `floor` gives for it.
    #[must_use]
    pub fn with_floors(mut self, floor: impl Fn(&Kind) -> f32) -> Self {
        for (kind, slot) in self.output.kinds.iter().zip(&mut self.floors) {
            *slot = slot.map(|_| floor(kind));
        }
        self
    }

    /// Decodes the frame at `index` of a batch; boxes and masks come in its source pixels, inside the image. For one
    /// frame after the other [`decode_with`](Self::decode_with) is faster.
    ///
    /// # Errors
    /// [`Error::Output`] for a number that is none, and for an output of another shape than its format says.
    pub fn decode(&self, outputs: &Outputs, index: usize, placement: &Placement) -> Result<Decoded> {
        self.decode_with(outputs, index, placement, &mut DecodeScratch::default())
    }

    /// The same with memory that is used again: once it has grown, nothing is allocated but the defects and their masks.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_with(
        &self,
        outputs: &Outputs,
        index: usize,
        placement: &Placement,
        scratch: &mut DecodeScratch,
    ) -> Result<Decoded> {
        match self.layout {
            Layout::Scores { scores, cam } => scores::decode(self, outputs, (scores, cam), index, placement, scratch),
            Layout::Grid { scores, boxes } => grid::decode(self, outputs, (scores, boxes), index, placement, scratch),
            Layout::Rows { rows, form, prototypes } => {
                rows::decode(self, outputs, (rows, form, prototypes), index, placement, scratch)
            }
            Layout::Detr { logits, boxes, activation } => {
                detr::decode(self, outputs, (logits, boxes, activation), index, placement, scratch)
            }
            Layout::Boxes { boxes, labels, scores, masks } => {
                boxes::decode(self, outputs, (boxes, labels, scores, masks), placement, scratch)
            }
            Layout::Mask { map } => segments::decode(self, outputs, map, index, placement, scratch),
            Layout::Anomaly { map, score } => anomaly::decode(self, outputs, (map, score), index, placement, scratch),
        }
    }

    /// How anomalous each source pixel (height, width) of the frame at `index` is, in `0..=1`; `None` for a model that
    /// gives no such map.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn anomaly_map(&self, outputs: &Outputs, index: usize, placement: &Placement) -> Result<Option<Array2<f32>>> {
        match self.layout {
            Layout::Anomaly { map: Some(map), .. } => anomaly::surface(self, outputs, map, index, placement).map(Some),
            _ => Ok(None),
        }
    }

    /// The part of output `output` that belongs to frame `index`, of rank `rank`.
    pub(super) fn frame<'a>(
        &self,
        outputs: &'a Outputs,
        output: usize,
        index: usize,
        rank: usize,
    ) -> Result<ArrayViewD<'a, f32>> {
        self.ranked(outputs, output, index, &[rank])
    }

    /// The same, of one of several ranks.
    pub(super) fn ranked<'a>(
        &self,
        outputs: &'a Outputs,
        output: usize,
        index: usize,
        ranks: &[usize],
    ) -> Result<ArrayViewD<'a, f32>> {
        let wanted = || {
            let ranks: Vec<String> = ranks.iter().map(|rank| (rank + 1).to_string()).collect();
            format!("rank {} with a frame {index}", ranks.join(" or "))
        };
        let tensor = self.tensor(outputs, output)?;
        if !ranks.iter().any(|rank| tensor.ndim() == rank + 1) || index >= tensor.shape()[0] {
            return Err(self.misshapen(output, wanted(), tensor.shape()));
        }
        Ok(tensor.index_axis_move(Axis(0), index))
    }

    /// The whole of an output without a batch axis.
    pub(super) fn whole<'a>(&self, outputs: &'a Outputs, output: usize, rank: usize) -> Result<ArrayViewD<'a, f32>> {
        let tensor = self.tensor(outputs, output)?;
        if tensor.ndim() == rank {
            Ok(tensor)
        } else {
            Err(self.misshapen(output, format!("rank {rank}"), tensor.shape()))
        }
    }

    fn tensor<'a>(&self, outputs: &'a Outputs, output: usize) -> Result<ArrayViewD<'a, f32>> {
        outputs.get(output).ok_or_else(|| self.misshapen(output, "a tensor".to_owned(), &[]))
    }

    fn name(&self, output: usize) -> &str {
        self.names.get(output).map_or("?", String::as_str)
    }

    /// The error for an output of another shape than its format says.
    pub(super) fn misshapen(&self, output: usize, expected: String, found: &[usize]) -> Error {
        Error::Output { output: self.name(output).to_owned(), expected, found: format!("{found:?}") }
    }

    pub(super) fn not_finite(&self, output: usize, value: f32, place: impl fmt::Display) -> Error {
        let expected = "finite numbers".to_owned();
        Error::Output { output: self.name(output).to_owned(), expected, found: format!("{value} at {place}") }
    }

    /// A view as one slice: outputs are copied out in standard order.
    pub(super) fn slice<'a, D: Dimension>(&self, view: &ArrayView<'a, f32, D>) -> Result<&'a [f32]> {
        view.to_slice().ok_or_else(|| Error::Internal("an output is not in standard order".to_owned()))
    }

    /// Refuses numbers that are none.
    pub(super) fn finite<D: Dimension>(&self, output: usize, values: &ArrayView<'_, f32, D>) -> Result<()> {
        if values.as_slice().is_some_and(scan::finite) {
            return Ok(());
        }
        match values.iter().enumerate().find(|(_, v)| !v.is_finite()) {
            Some((place, value)) => Err(self.not_finite(output, *value, format_args!("place {place}"))),
            None => Ok(()),
        }
    }

    /// The defect that a box in model pixels is. `None` for a box in the padding: nothing is left after clipping.
    pub(super) fn boxed(&self, candidate: &Candidate, placement: &Placement) -> Option<Defect> {
        let bbox = placement.box_to_frame(&candidate.bbox);
        let confidence = Confidence::new(candidate.confidence)?;
        (bbox.area() > 0.0).then(|| Defect::new(self.output.kinds[candidate.kind].clone(), confidence, bbox))
    }

    /// The defect that a turned box in model pixels is; `angle` in radians from x towards y.
    pub(super) fn turned(&self, candidate: &Candidate, angle: f32, placement: &Placement) -> Option<Defect> {
        let corners = oriented::corners(&candidate.bbox, angle).map(|[x, y]| {
            let (x, y) = placement.to_frame(f64::from(x), f64::from(y));
            [x as f32, y as f32]
        });
        let side =
            |pick: fn(f32, f32) -> f32, axis: usize| corners.iter().map(|c| c[axis]).fold(corners[0][axis], pick);
        let around = PixelBox::new(side(f32::min, 0), side(f32::min, 1), side(f32::max, 0), side(f32::max, 1));
        let bbox = around.clip(placement.frame());
        let mut defect =
            Defect::new(self.output.kinds[candidate.kind].clone(), Confidence::new(candidate.confidence)?, bbox);
        let length = |[ax, ay]: [f32; 2], [bx, by]: [f32; 2]| (ax - bx).hypot(ay - by);
        defect.area_px = (length(corners[0], corners[1]) * length(corners[1], corners[2])).round() as u64;
        defect.corners = Some(corners);
        (bbox.area() > 0.0).then_some(defect)
    }

    /// The defect that a region is.
    pub(super) fn region(
        &self,
        kind: usize,
        region: &Region,
        placement: &Placement,
        memory: &mut Memory,
    ) -> Option<Defect> {
        let peak = Confidence::new(region.peak.clamp(0.0, 1.0))?;
        let mask = memory.mask(region, placement.frame());
        let mut defect = Defect::new(self.output.kinds[kind].clone(), peak, region.bounds()).with_mask(mask);
        defect.mean_confidence = Confidence::new(region.mean.clamp(0.0, 1.0));
        Some(defect)
    }

    /// A view of rank 2.
    pub(super) fn plane<'a>(&self, view: ArrayViewD<'a, f32>) -> Result<ArrayView2<'a, f32>> {
        view.into_dimensionality::<Ix2>().map_err(|e| Error::Internal(e.to_string()))
    }

    /// Sorts by confidence; what is equal keeps its order.
    pub(super) fn surest_first(defects: &mut [Defect]) {
        defects.sort_by(|a, b| b.confidence.get().total_cmp(&a.confidence.get()));
    }
}
