use ndarray::ArrayViewD;

use super::{grid, scores};
use crate::defect::{Defect, Kind};
use crate::error::{Error, Result};
use crate::geometry::Placement;
use crate::model::{Layout, Model, Outputs};

/// Turns the outputs of one model into defects.
#[derive(Debug, Clone)]
pub struct Decoder {
    pub(super) layout: Layout,
    /// The kinds in the order of the graph's channels.
    pub(super) kinds: Vec<Kind>,
    /// For each kind, the least confidence to report; `None` for a kind that is no defect.
    pub(super) floors: Vec<Option<f32>>,
    pub(super) activation: crate::model::Activation,
    pub(super) iou: f32,
    pub(super) iou_across: Option<f32>,
    pub(super) cam_threshold: f32,
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
    /// The decoder of a model, with the confidence limit of its manifest.
    pub fn new(model: &Model) -> Self {
        let output = &model.manifest().output;
        let floor = |kind| (!output.good.contains(kind)).then_some(output.confidence);
        Decoder {
            layout: model.layout(),
            floors: output.kinds.iter().map(floor).collect(),
            kinds: output.kinds.clone(),
            activation: output.activation,
            iou: output.iou,
            iou_across: output.iou_across,
            cam_threshold: output.cam_threshold,
            names: model.signature().outputs.iter().map(|port| port.name.clone()).collect(),
        }
    }

    /// Reports defects of each kind from the confidence that `floor` gives for it.
    #[must_use]
    pub fn with_floors(mut self, floor: impl Fn(&Kind) -> f32) -> Self {
        for (kind, slot) in self.kinds.iter().zip(&mut self.floors) {
            *slot = slot.map(|_| floor(kind));
        }
        self
    }

    /// Decodes the frame at `index` of a batch; boxes and masks come in its source pixels, inside the image.
    ///
    /// # Errors
    /// [`Error::Output`] for a number that is none, [`Error::Model`] for an output of another shape than the graph
    /// declared.
    pub fn decode(&self, outputs: &Outputs, index: usize, placement: &Placement) -> Result<Decoded> {
        match self.layout {
            Layout::Scores { scores, cam } => scores::decode(self, outputs, scores, cam, index, placement),
            Layout::Grid { scores, boxes } => grid::decode(self, outputs, scores, boxes, index, placement),
        }
    }

    /// The part of output `output` that belongs to frame `index`, of the declared rank.
    pub(super) fn frame<'a>(
        &self,
        outputs: &'a Outputs,
        output: usize,
        index: usize,
        rank: usize,
    ) -> Result<ArrayViewD<'a, f32>> {
        let shape = |found: String| {
            let name = self.names.get(output).map_or("?", String::as_str);
            Error::model(name.as_ref(), format!("an output of rank {} for frame {index}", rank + 1), found)
        };
        let tensor = outputs.get(output).ok_or_else(|| shape("none".to_owned()))?;
        if tensor.ndim() != rank + 1 || index >= tensor.shape()[0] {
            return Err(shape(format!("{:?}", tensor.shape())));
        }
        Ok(tensor.index_axis_move(ndarray::Axis(0), index))
    }

    pub(super) fn not_finite(&self, output: usize, value: f32, place: impl std::fmt::Display) -> Error {
        let output = self.names.get(output).cloned().unwrap_or_default();
        Error::Output { output, found: format!("{value} at {place}") }
    }
}
