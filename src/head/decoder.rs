use std::sync::Arc;

use ndarray::Array2;

use super::{Context, Head, Proposals, Slot};
use crate::defect::{Defect, Kind};
use crate::error::Result;
use crate::geometry::{Placement, Size};
use crate::runtime::Outputs;

/// Turns the outputs of one model into defects: its head with its limits.
#[derive(Debug, Clone)]
pub struct Decoder {
    head: Arc<dyn Head>,
    context: Context,
}

/// The result of one frame.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Decoded {
    /// The defects, most confident first.
    pub defects: Vec<Defect>,
    /// The highest confidence that the model gave to any defect, reported or not, in `0..=1`.
    pub score: f32,
}

impl Decoded {
    /// A frame's defects and score.
    pub fn new(defects: Vec<Defect>, score: f32) -> Self {
        Decoded { defects, score }
    }
}

impl Decoder {
    /// A decoder of a head.
    pub fn new(head: Arc<dyn Head>, context: Context) -> Self {
        Decoder { head, context }
    }

    /// Reports defects of each kind from the confidence that `floor` gives for it.
    #[must_use]
    pub fn with_floors(mut self, floor: impl Fn(&Kind) -> f32) -> Self {
        self.context = self.context.with_floors(floor);
        self
    }

    /// Reads what the graph gave for one view of a frame that `found` was [begun](Proposals::begin) for.
    ///
    /// # Errors
    /// [`ErrorKind::Output`](crate::ErrorKind::Output) for non-finite values, and for an output of a shape other than
    /// its format's.
    pub fn propose(&self, slot: &Slot<'_>, found: &mut Proposals) -> Result<()> {
        found.view(*slot.placement());
        self.head.propose(&self.context, slot, found)
    }

    /// The defects of a frame all of whose views were read, in its pixels.
    ///
    /// # Errors
    /// As [`propose`](Self::propose).
    pub fn assemble(&self, found: &mut Proposals) -> Result<Decoded> {
        found.merge();
        self.head.assemble(&self.context, found)
    }

    /// Decodes a frame that is one view, at `index` of a batch; `found` is reused memory: once it has grown, nothing is
    /// allocated but the defects and their masks.
    ///
    /// # Errors
    /// As [`propose`](Self::propose).
    pub fn decode(
        &self,
        outputs: &Outputs,
        index: usize,
        placement: &Placement,
        found: &mut Proposals,
    ) -> Result<Decoded> {
        self.begin(found, placement.frame());
        self.propose(&Slot::new(outputs, index, placement), found)?;
        self.assemble(found)
    }

    /// Begins a frame of `size`.
    pub fn begin(&self, found: &mut Proposals, size: Size) {
        found.begin(size);
    }

    /// How anomalous each pixel (height, width) of a frame is that was just assembled, in `0..=1`; `None` for a model
    /// that gives no such map.
    pub fn anomaly_map(&self, found: &mut Proposals) -> Option<Array2<f32>> {
        self.head.anomaly_map(found)
    }
}
