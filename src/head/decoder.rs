use std::sync::Arc;

use ndarray::Array2;

use super::lost::{Loss, Lost};
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
    /// Detections that a verdict could depend on and that are not among the defects: a panel that lost one does not
    /// pass. Most often empty. The decoder fills it in, whatever the head does.
    pub lost: Vec<Lost>,
}

impl Decoded {
    /// A frame's defects and score; nothing is lost.
    pub fn new(defects: Vec<Defect>, score: f32) -> Self {
        Decoded { defects, score, lost: Vec::new() }
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

    /// Loses no detection of a kind without a word from the confidence on that `sure` gives for it: see
    /// [`Context::with_sure`].
    #[must_use]
    pub fn with_sure(mut self, sure: impl Fn(&Kind) -> f32) -> Self {
        self.context = self.context.with_sure(sure);
        self
    }

    /// The kinds of its manifest.
    fn kinds(&self) -> &[Kind] {
        &self.context.output().kinds
    }

    /// Reads what the graph gave for one view of a frame that `found` was [begun](Proposals::begin) for.
    ///
    /// # Errors
    /// [`ErrorKind::Output`](crate::ErrorKind::Output) for non-finite values, for scores that are no probabilities, and
    /// for an output of a shape other than its format's.
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
        let sure = found.candidates.iter().filter(|candidate| self.context.is_sure(candidate));
        let surest = sure.copied().reduce(|most, next| if next.confidence > most.confidence { next } else { most });
        let mut decoded = self.head.assemble(&self.context, found)?;
        decoded.lost = found.lost(self.kinds());
        // Whatever a head of the program's own does with its candidates.
        if let Some(most) = surest.filter(|_| decoded.defects.is_empty() && decoded.lost.is_empty()) {
            self.context.lose(Loss::Unreported, &most, &mut found.notes.lost);
            decoded.lost = found.lost(self.kinds());
        }
        Ok(decoded)
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
