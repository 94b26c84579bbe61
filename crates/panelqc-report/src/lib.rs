//! Results of [`panelqc`] for people and for other programs: tables, COCO results, pictures with boxes, and one HTML
//! page of a whole run.
//!
//! * [`ReportWriter`] is what writes results one panel at a time: [`CsvWriter`], [`CocoWriter`], the library's own
//!   [`JsonlWriter`](panelqc::JsonlWriter), or one of yours;
//! * [`Overlay`] draws verdict, boxes and masks into a copy of the frame; [`OverlayPaths`] says where it lies;
//! * [`HtmlReport`] collects panels, pictures ([`HtmlPicture`]) and labels ([`HtmlLabel`]) on one page that loads
//!   nothing from anywhere, with [`HtmlOptions`] for its size and for what is hidden at first.
//!
//! Pictures are drawn and made small from the frames that were inspected, on the workers and without a second read, in
//! the hook of [`InspectBatch::with_panels`](panelqc::InspectBatch::with_panels).
//!
//! With the feature `eval` an [`HtmlLabel`] is made from a label of `panelqc-eval`.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let (image, out) = (dir.path().join("cell.png"), dir.path());
//! # panelqc::image::GrayImage::from_pixel(300, 300, panelqc::image::Luma([120])).save(&image)?;
//! # let package = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/solar-cell");
//! use panelqc::{Frame, FrameLimits, Inspector, Model, Panel, PanelRecord};
//! use panelqc_report::{CsvWriter, HtmlOptions, HtmlPicture, HtmlReport, Overlay};
//!
//! let inspector = Inspector::builder(Model::load(package)?).build()?;
//! let frame = Frame::load(&image, &FrameLimits::default())?;
//! let report = inspector.inspect(&Panel::new("cell", frame.clone()))?;
//! Overlay::new()?.save(&frame, 0, &report, &out.join("cell-result.png"))?;
//!
//! let record = PanelRecord::from(report);
//! let mut table = CsvWriter::new(std::fs::File::create(out.join("results.csv"))?)?;
//! table.write(&record)?;
//! table.finish()?;
//!
//! let options = HtmlOptions::new(&inspector.model().manifest().output, inspector.policy());
//! let mut page = HtmlReport::new("night shift", options);
//! let picture = HtmlPicture::new(&frame, page.picture_edge().get())?;
//! page.add(&record, None, vec![picture])?;
//! page.save(out.join("report.html"))?;
//! # assert!(out.join("report.html").is_file() && out.join("cell-result.png").is_file());
//! # Ok(())
//! # }
//! ```

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod coco;
mod csv;
mod html;
mod overlay;
mod overlay_paths;
mod writer;

pub use coco::CocoWriter;
pub use csv::CsvWriter;
pub use html::{HtmlLabel, HtmlOptions, HtmlPicture, HtmlReport, PictureEdge};
pub use overlay::Overlay;
pub use overlay_paths::OverlayPaths;
pub use writer::ReportWriter;
