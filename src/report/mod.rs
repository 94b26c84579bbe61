//! What comes out: one [`PanelReport`] a panel, and its JSON form, a line each.

mod jsonl;
mod panel_report;

pub use jsonl::JsonlWriter;
pub use panel_report::{PanelError, PanelReport, Status, Timings, Trace};
