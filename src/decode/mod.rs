//! From what a graph returned to defects in source pixels. One file a format; `nms`, `oriented` and `surface` are shared.

mod anomaly;
mod boxes;
mod decoder;
mod detr;
mod grid;
mod nms;
mod oriented;
mod rows;
mod scan;
mod scores;
mod scratch;
mod segments;
mod surface;

pub use decoder::{Decoded, Decoder};
pub use scratch::DecodeScratch;

#[cfg(test)]
mod conformance;
