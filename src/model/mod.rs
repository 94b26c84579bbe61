//! The model package: a manifest, a graph ([`runtime`](crate::runtime)) and a head ([`head`](crate::head)), and what
//! they have to agree on.

mod files;
mod manifest;
mod options;
mod package;
mod proposal;
mod python;
mod trial;
mod ultralytics;

pub use files::ModelInfo;
pub use manifest::{GoldenConfig, Manifest};
pub use options::{ModelOptions, Precision};
pub use package::Model;
