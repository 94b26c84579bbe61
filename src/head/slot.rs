use std::fmt;

use ndarray::{ArrayView, ArrayView2, ArrayViewD, Axis, Dimension, Ix2};

use super::scan;
use crate::error::{Error, Result};
use crate::geometry::Placement;
use crate::runtime::Outputs;

/// What a graph gave for one view: its outputs, the view's place in the batch, and where the view lies in its frame.
#[derive(Debug, Clone, Copy)]
pub struct Slot<'a> {
    outputs: &'a Outputs,
    index: usize,
    placement: &'a Placement,
}

impl<'a> Slot<'a> {
    /// The view at `index` of the batch.
    pub fn new(outputs: &'a Outputs, index: usize, placement: &'a Placement) -> Self {
        Slot { outputs, index, placement }
    }

    /// How the view lies in the model's input.
    pub fn placement(&self) -> &'a Placement {
        self.placement
    }

    /// The part of output `output` that belongs to this view, of rank `rank` without the batch axis, and with at least
    /// one number.
    ///
    /// # Errors
    /// [`ErrorKind::Output`](crate::ErrorKind::Output) for an output of another rank, or without a number: a map of no
    /// cells would pass every panel.
    pub fn array(&self, output: usize, rank: usize) -> Result<ArrayViewD<'a, f32>> {
        self.ranked(output, &[rank])
    }

    /// The same of one of several ranks.
    pub(super) fn ranked(&self, output: usize, ranks: &[usize]) -> Result<ArrayViewD<'a, f32>> {
        let array = self.of_rank(output, ranks)?;
        if array.is_empty() {
            return Err(self.misshapen(output, "at least one number for each view", array.shape()));
        }
        Ok(array)
    }

    /// As [`array`](Self::array), for a list of what the graph found: it may have no entries.
    ///
    /// # Errors
    /// [`ErrorKind::Output`](crate::ErrorKind::Output) for an output of another rank.
    pub fn list(&self, output: usize, rank: usize) -> Result<ArrayViewD<'a, f32>> {
        self.of_rank(output, &[rank])
    }

    fn of_rank(&self, output: usize, ranks: &[usize]) -> Result<ArrayViewD<'a, f32>> {
        let wanted = || {
            let ranks: Vec<String> = ranks.iter().map(|rank| (rank + 1).to_string()).collect();
            format!("rank {} with a frame {}", ranks.join(" or "), self.index)
        };
        let tensor = self.tensor(output)?;
        if !ranks.iter().any(|rank| tensor.ndim() == rank + 1) || self.index >= tensor.shape()[0] {
            return Err(self.misshapen(output, wanted(), tensor.shape()));
        }
        Ok(tensor.index_axis_move(Axis(0), self.index))
    }

    /// The whole of an output without a batch axis, of rank `rank`. It may have no entries.
    ///
    /// # Errors
    /// [`ErrorKind::Output`](crate::ErrorKind::Output) for an output of another rank.
    pub fn whole(&self, output: usize, rank: usize) -> Result<ArrayViewD<'a, f32>> {
        let tensor = self.tensor(output)?;
        if tensor.ndim() == rank {
            Ok(tensor)
        } else {
            Err(self.misshapen(output, format!("rank {rank}"), tensor.shape()))
        }
    }

    fn tensor(&self, output: usize) -> Result<ArrayViewD<'a, f32>> {
        self.outputs.get(output).ok_or_else(|| self.misshapen(output, "a tensor".to_owned(), &[]))
    }

    /// The error for an output of a shape other than its format's.
    pub fn misshapen(&self, output: usize, expected: impl Into<String>, found: &[usize]) -> Error {
        let output = self.outputs.name(output).to_owned();
        Error::output(output, expected, format!("{found:?}"))
    }

    /// The error for numbers that the format cannot have.
    pub(super) fn unusual(&self, output: usize, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::output(self.outputs.name(output).to_owned(), expected, found)
    }

    /// The error for a score that is no probability. `remedy` is what makes such scores ones.
    pub(super) fn improbable(&self, output: usize, value: f32, remedy: &str) -> Error {
        let expected = format!("probabilities from 0 to 1 ({remedy})");
        self.unusual(output, expected, format!("{value}"))
    }

    /// The error for a non-finite value.
    pub(super) fn not_finite(&self, output: usize, value: f32, place: impl fmt::Display) -> Error {
        let output = self.outputs.name(output).to_owned();
        Error::output(output, "finite numbers", format!("{value} at {place}"))
    }

    /// Refuses non-finite values.
    ///
    /// # Errors
    /// [`ErrorKind::Output`](crate::ErrorKind::Output) that names the first of them.
    pub fn finite<D: Dimension>(&self, output: usize, values: &ArrayView<'_, f32, D>) -> Result<()> {
        if values.as_slice().is_some_and(scan::finite) {
            return Ok(());
        }
        match values.iter().enumerate().find(|(_, v)| !v.is_finite()) {
            Some((place, value)) => Err(self.not_finite(output, *value, format_args!("place {place}"))),
            None => Ok(()),
        }
    }

    /// Refuses what is no probability: numbers outside `0..=1` by more than rounding, and non-finite ones. `remedy`
    /// tells a person what makes such scores ones, for example `[output] activation = "sigmoid" for logits`.
    ///
    /// # Errors
    /// [`ErrorKind::Output`](crate::ErrorKind::Output) that names the output, the remedy and the number that is
    /// furthest off.
    pub fn probabilities<D: Dimension>(
        &self,
        output: usize,
        values: &ArrayView<'_, f32, D>,
        remedy: &str,
    ) -> Result<()> {
        if values.as_slice().is_some_and(scan::probable) {
            return Ok(());
        }
        self.finite(output, values)?;
        let off = |value: f32| (value - 0.5).abs();
        let furthest = values.iter().copied().reduce(|most, next| if off(next) > off(most) { next } else { most });
        match furthest.filter(|&value| !probable(value)) {
            Some(value) => Err(self.improbable(output, value, remedy)),
            None => Ok(()),
        }
    }
}

/// What makes probabilities of logits, each by itself or together.
pub(super) const ACTIVATION: &str = "[output] activation = \"softmax\" or \"sigmoid\" for logits";

/// The same where each is one by itself.
pub(super) const LOGITS: &str = "[output] activation = \"sigmoid\" for logits";

/// Whether a number is a probability, but for rounding.
pub(super) fn probable(value: f32) -> bool {
    (-scan::ROUNDING..=1.0 + scan::ROUNDING).contains(&value)
}

/// A view as one slice: outputs are copied out in standard order.
pub(super) fn slice<'a, D: Dimension>(view: &ArrayView<'a, f32, D>) -> Result<&'a [f32]> {
    view.to_slice().ok_or_else(|| Error::internal("an output is not in standard order".to_owned()))
}

/// A view of rank 2.
pub(super) fn plane(view: ArrayViewD<'_, f32>) -> Result<ArrayView2<'_, f32>> {
    view.into_dimensionality::<Ix2>().map_err(|e| Error::internal(e.to_string()))
}
