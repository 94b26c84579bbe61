//! From frames to a model's input tensor: `[N, C, H, W]`, `f32`, rows from the top.

mod area;
mod batch;
mod opencv;
mod pillow;
mod preprocess;
mod resize;

pub use batch::Batch;
pub use preprocess::{Channels, Fit, Kernel, Preprocess};
