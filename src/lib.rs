//! Automatic visual inspection of industrial panels: display glass, solar cells, bare boards.
//!
//! Panel images become tensors ([`ndarray`]), run through an ONNX defect model in parallel, and come out as defects
//! with confidence and a verdict for each panel.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let image = dir.path().join("cell.png");
//! # image::GrayImage::from_pixel(300, 300, image::Luma([120])).save(&image)?;
//! use panelqc::{Inspector, Model};
//!
//! let model = Model::load("models/solar-cell")?;
//! let inspector = Inspector::builder(model).build()?;
//! let report = inspector.inspect_file(&image)?;
//! println!("{}: {}", report.panel, report.verdict);
//! for defect in &report.defects {
//!     println!("  {} {:.2} at {:?}", defect.kind, defect.confidence, defect.bbox);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Where to look:
//!
//! * [`Frame`] is the pixels of one image, [`Panel`] what gets one verdict, [`find_panels`] a folder of them;
//! * [`Model`] is a model package: an ONNX graph and its [`Manifest`], which declares the preprocessing
//!   ([`Preprocess`]) and what the outputs mean; [`init_runtime`] finds ONNX Runtime,
//!   [`ModelOptions`] choose the [`Provider`] that runs it;
//! * [`Inspector`] runs it all: [`inspect`](Inspector::inspect) for one panel,
//!   [`inspect_batch`](Inspector::inspect_batch) for a stream of them; several camera threads share a [`Station`];
//! * [`PanelReport`] holds [`Defect`]s and the [`Verdict`] that the [`Policy`], or a [`Judge`] of your own, gave,
//!   [`PanelError`] why there is none; both become a [`PanelRecord`], which is written as a JSON line ([`JsonlWriter`])
//!   and read back ([`JsonlReader`]);
//! * [`Error`] says what was expected and what was found, and [`Error::fault`] who has to act.
//!
//! Alongside this crate, with dependencies of their own:
//!
//! * `panelqc-report` writes CSV and COCO results, draws defects into pictures, and makes one HTML page of a run;
//! * `panelqc-eval` reads labelled data, measures against it, chooses limits that guarantee a miss rate, watches
//!   whether they hold, and replays golden images;
//! * `panelqc-cli` is the program `panelqc`.
//!
//! [`ndarray`] and [`image`], whose types are in this interface, are re-exported, so that a caller uses the same
//! versions.
//!
//! Nothing here panics on any input, and a panel that could not be inspected is never [`Verdict::Pass`].

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod defect;
mod engine;
mod error;
mod frame;
mod geometry;
mod hash;
mod head;
mod idle;
mod judge;
mod model;
mod names;
mod printable;
mod replace;
mod runtime;
mod tensor;

pub use defect::{Confidence, Defect, Kind};
pub use engine::{
    CancelToken, FailedPanel, FrameInfo, InspectBatch, InspectBatchWith, Inspector, InspectorBuilder, JsonlReader,
    JsonlWriter, PanelError, PanelRecord, PanelReport, Progress, Station, StationOptions, Ticket, Timings, Trace,
};
pub use error::{Error, ErrorKind, Fault, Result, TooFew};
pub use frame::{
    FoundPanels, Frame, FrameLimits, ImageFile, LeftOut, Named, PICTURE_HEAD, Panel, PanelFiles, PanelInput,
    PixelFormat, PixelView, Samples, View, find_images, find_panels, is_picture, level8,
};
pub use geometry::{Mask, PixelBox, Placement, Polygon, Region, Size};
pub use hash::sha256_hex;
pub use head::{
    Activation, Candidate, Context, Decoded, Decoder, Format, Head, HeadFormat, Loss, Lost, Normalize, OutputConfig,
    Proposals, Search, Slot, Suppression, Task, conformance,
};
pub use judge::{
    Bounded, Bounds, Guarantee, Judge, Judgement, Limits, Method, Policy, PolicyBuilder, Rule, Severity, Verdict, Zone,
};
pub use model::{GoldenConfig, Manifest, Model, ModelInfo, ModelOptions, Precision};
pub use printable::{printable, printable_json};
pub use replace::{replace_file, replace_file_quickly};
pub use runtime::{GraphOptions, Mismatch, Outputs, Port, Provider, RuntimeInfo, Signature, init_runtime};
pub use tensor::{Batch, Channels, Fit, Kernel, Preprocess, SizeOrder, Step, White};
pub use {image, ndarray};
