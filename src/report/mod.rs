//! What comes out: one [`PanelReport`] a panel, as JSON lines, CSV, COCO results, pictures,
//! and a page.

mod coco;
mod csv;
mod html;
mod jsonl;
mod overlay;
mod panel_report;

pub use coco::CocoWriter;
pub use csv::CsvWriter;
pub use html::{HtmlLabel, HtmlOptions, HtmlReport};
pub use jsonl::JsonlWriter;
pub use overlay::Overlay;
pub use panel_report::{PanelError, PanelReport, Status, Timings, Trace};
