//! ONNX Runtime: finding it, opening graphs, running them. `ort` is used in this module and nowhere else, and none of
//! its types shows. What a graph's numbers mean is [`head`](crate::head)'s.

mod cache;
mod contents;
mod graph;
mod input;
mod library;
mod onnx;
mod options;
mod outputs;
mod pool;
mod provider;
mod rewrite;
mod session;
mod signature;
mod sizes;
mod wire;

pub(crate) use contents::external_files;
pub(crate) use graph::Graph;
pub(crate) use input::InputForm;
pub use library::{RuntimeInfo, init_runtime};
pub use options::GraphOptions;
pub use outputs::Outputs;
pub use provider::Provider;
pub(crate) use signature::list;
pub use signature::{Mismatch, Port, Signature};
