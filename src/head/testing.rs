//! What the tests of single formats share.

use std::sync::Arc;

use super::{Context, Decoded, Decoder, Head, OutputConfig, Proposals};
use crate::error::Result;
use crate::geometry::Placement;
use crate::runtime::Outputs;

/// What a head makes of tensors, shape and numbers each, for the frame at `index` of the batch.
pub(super) fn decode(
    head: impl Head + 'static,
    output: OutputConfig,
    tensors: &[(Vec<usize>, Vec<f32>)],
    (index, placement): (usize, &Placement),
) -> Result<Decoded> {
    decode_with(Arc::new(head), output, tensors, (index, placement))
}

/// The same of a head that was made for a graph.
pub(super) fn decode_with(
    head: Arc<dyn Head>,
    output: OutputConfig,
    tensors: &[(Vec<usize>, Vec<f32>)],
    (index, placement): (usize, &Placement),
) -> Result<Decoded> {
    let named = (0..).map(|i| format!("output{i}")).zip(tensors.iter().cloned());
    let outputs = Outputs::from_tensors(named.map(|(name, (shape, data))| (name, shape, data)));
    Decoder::new(head, Context::new(output)).decode(&outputs, index, placement, &mut Proposals::default())
}
