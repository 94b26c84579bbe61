//! The model package: manifest, graph, sessions. ONNX Runtime is used in this module and nowhere else.

mod layout;
mod manifest;
mod package;
mod pool;
mod runtime;
mod signature;

pub(crate) use layout::Layout;
pub use manifest::{Activation, Format, Manifest, OutputConfig, Task};
pub use package::{Model, Outputs};
pub use runtime::{RuntimeInfo, init_runtime};
pub use signature::{Port, Signature};
