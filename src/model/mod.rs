//! The model package: manifest, graph, sessions. ONNX Runtime is used in this module and nowhere else.

mod cache;
mod form;
mod layout;
mod manifest;
mod options;
mod package;
mod pool;
mod proposal;
mod provider;
mod python;
mod rewrite;
mod runtime;
mod signature;
mod ultralytics;

pub(crate) use layout::{Layout, Rows};
pub use manifest::{Activation, Format, GoldenConfig, Manifest, Normalize, OutputConfig, Precision, Task};
pub use options::ModelOptions;
pub use package::{Model, Outputs};
pub use provider::Provider;
pub use runtime::{RuntimeInfo, init_runtime};
pub use signature::{Port, Signature};
