//! Panels in, reports out: views of their frames in batches, on threads, in input order. `rayon` is used here and
//! nowhere else.

mod batch;
mod cancel;
mod inspector;
mod plan;
mod station;
mod work;

pub use batch::{InspectBatch, InspectBatchWith, Progress};
pub use cancel::CancelToken;
pub use inspector::{Inspector, InspectorBuilder};
pub use station::{Station, StationOptions, Ticket};
