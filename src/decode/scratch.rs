use super::nms::Candidate;
use super::surface::Memory;

/// Memory that [`Decoder::decode_with`](super::Decoder::decode_with) uses again from frame to frame; one for each
/// thread. What is in it between two frames does not matter.
#[derive(Debug, Default)]
pub struct DecodeScratch {
    pub(super) candidates: Vec<Candidate>,
    /// The highest confidence of each proposal, and its kind.
    pub(super) best: Vec<f32>,
    pub(super) kinds: Vec<u32>,
    /// The highest of each block of numbers.
    pub(super) peaks: Vec<f32>,
    /// Place, kind, confidence.
    pub(super) proposals: Vec<(usize, usize, f32)>,
    pub(super) numbers: Vec<f32>,
    pub(super) enlarged: Vec<f32>,
    /// For each pixel, the kind that is highest.
    pub(super) winners: Vec<u16>,
    pub(super) surface: Memory,
}
