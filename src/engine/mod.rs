//! Panels in, reports out: views of their frames in batches, on threads, in input order; and the reports' form as JSON
//! lines, written and read. `rayon` is used here and nowhere else.

mod batch;
mod cancel;
mod frame_info;
mod inspector;
mod jsonl;
mod line;
mod panel_error;
mod plan;
mod record;
mod report;
mod station;
mod timings;
mod trace;
mod work;

pub use batch::{InspectBatch, InspectBatchWith, Progress};
pub use cancel::CancelToken;
pub use frame_info::FrameInfo;
pub use inspector::{Inspector, InspectorBuilder};
pub use jsonl::{JsonlReader, JsonlWriter};
pub use panel_error::PanelError;
pub use record::{FailedPanel, PanelRecord};
pub use report::PanelReport;
pub use station::{Station, StationOptions, Ticket};
pub use timings::Timings;
pub use trace::Trace;
