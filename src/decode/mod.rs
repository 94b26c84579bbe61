//! From what a graph returned to defects in source pixels. One file a format; `nms` is shared.

mod decoder;
mod grid;
mod nms;
mod scores;

pub use decoder::{Decoded, Decoder};
