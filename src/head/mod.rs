//! What the outputs of a graph mean: from numbers to defects in frame pixels.
//!
//! A [`Head`] is one format. `propose` reads one view (a whole frame, or a part of it) into candidates or maps;
//! `assemble` takes what all views of a frame gave and makes its defects: suppression, limits, regions, masks. Each
//! format is a file in `format/`, and one line in the list there. From the lowest file up: `activation`, `config`,
//! `lost`, `suppression`, `surface`, `maps`, `proposals`, `slot`, `context`, this trait, `search`, `registry`,
//! `format/`, `decoder`; `conformance` checks every head, also those of other crates.

mod activation;
mod config;
pub mod conformance;
mod context;
mod decoder;
mod format;
mod lost;
mod maps;
mod oriented;
mod proposals;
mod registry;
mod scan;
mod search;
mod slot;
mod suppression;
mod surface;
#[cfg(test)]
mod testing;

use std::fmt;

use ndarray::Array2;

use crate::error::Result;

use crate::runtime::Mismatch;
pub use activation::Activation;
pub use config::{Normalize, OutputConfig, Task};
pub use context::Context;
pub use decoder::{Decoded, Decoder};
pub use lost::{Loss, Lost};
pub use proposals::{Candidate, Proposals};
pub use registry::{Format, HeadFormat};
pub(crate) use registry::{find, fitting, formats, names, starter_kinds};
pub use search::Search;
pub use slot::Slot;
pub use suppression::Suppression;

/// What a graph's outputs mean. Made for one graph by the [`HeadFormat`] that the manifest names.
///
/// Your own head implements [`outputs`](Self::outputs) and [`propose`](Self::propose) and, if its candidates are not
/// boxes, [`assemble`](Self::assemble); [`conformance`] checks what every head must satisfy.
pub trait Head: fmt::Debug + Send + Sync {
    /// Indices of the graph's outputs that it reads. The others are not copied.
    fn outputs(&self) -> Vec<usize>;

    /// Whether the outputs have no batch axis: such a graph takes one view at a time. Default `false`.
    fn single(&self) -> bool {
        false
    }

    /// Reads what the graph gave for one view: candidates that reach their kind's floor, in model or frame pixels, and
    /// the highest confidence of any defect, reported or not. Nothing is suppressed yet, unless a mask would have to be
    /// drawn for each candidate. Every candidate goes through [`Context::propose`], which loses none without a word.
    ///
    /// # Errors
    /// [`ErrorKind::Output`](crate::ErrorKind::Output) for non-finite values, for scores that are no probabilities, and
    /// for outputs of another shape than the format's.
    fn propose(&self, context: &Context, slot: &Slot<'_>, found: &mut Proposals) -> Result<()>;

    /// How candidates suppress each other when a frame is assembled. Default: greedy non-maximum suppression.
    fn suppression(&self) -> Suppression {
        Suppression::Greedy
    }

    /// Makes the defects of a frame from what its views gave. Default: suppresses the candidates, keeps the most
    /// confident, and draws their masks.
    ///
    /// # Errors
    /// As [`propose`](Self::propose).
    fn assemble(&self, context: &Context, found: &mut Proposals) -> Result<Decoded> {
        Ok(context.assemble_boxes(found, self.suppression()))
    }

    /// How anomalous each pixel (height, width) of the frame is, in `0..=1`. Default: `None`, the format has no such
    /// map.
    fn anomaly_map(&self, found: &mut Proposals) -> Option<Array2<f32>> {
        let _ = found;
        None
    }
}
