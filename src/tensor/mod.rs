//! From frames to a model's input tensor: `[N, C, H, W]`, `f32`, rows from the top.

mod area;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod batch;
mod convolve;
mod linear;
mod preprocess;
mod resize;
mod value;

pub use batch::Batch;
pub use preprocess::{Channels, Fit, Kernel, Preprocess};
pub(crate) use value::vectorised;
