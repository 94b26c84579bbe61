//! From frames to a model's input tensor: `[N, C, H, W]`, `f32`, rows from the top.
//!
//! From the bottom up: `simd` and `pixel` (samples, levels, who takes rows), `channels` (colours taken apart), `kernel`
//! (one resampling kernel per file), `step` (one step before resizing per file), `preprocess` and `fit` (what a
//! manifest says, and where a frame lies in the input), `norm` and `planes` (numbers of the tensor), `write` (a part of
//! a frame through all of it), `batch`.
//!
//! A new kernel is one file in `kernel/` and its registration in `kernel/mod.rs`; a new step is one file in `step/` and
//! its registration in `step/mod.rs`. Both say how.

mod batch;
mod channels;
mod fit;
mod kernel;
mod norm;
mod pixel;
mod planes;
mod preprocess;
mod simd;
mod step;
mod write;

pub use batch::Batch;
pub use fit::Fit;
pub use kernel::Kernel;
pub use preprocess::{Channels, Preprocess, SizeOrder};
pub(crate) use simd::vectorised;
pub use step::{Step, White};
