//! How good a model is, and how good it is guaranteed to be: labelled data, accuracy, limits with a promised miss rate,
//! and golden images for [`panelqc`].
//!
//! * [`dataset`] reads labelled panels (COCO, VOC, YOLO, DeepPCB, ELPV, MVTec, class folders) and decisions made on a
//!   report's page; a [`Sample`](dataset::Sample) is a panel with its [`Label`](dataset::Label), a
//!   [`Dataset`](dataset::Dataset) what was read, with [`Note`](dataset::Note)s on what was mended or left out;
//! * [`metrics`] measures results against labels: [`Evaluation`](metrics::Evaluation) for a whole run,
//!   [`Comparison`](metrics::Comparison) for two models, and each number by itself ([`auroc`](metrics::auroc),
//!   [`CocoScores`](metrics::CocoScores), [`Rate`](metrics::Rate) ...);
//! * [`calibrate`] inspects labelled panels and makes a policy whose miss rate is guaranteed, in one call;
//!   [`Calibration`] chooses the limits from [`ScoredPanel`]s, and what it gives, [`Calibrated`], becomes a
//!   [`Guarantee`](panelqc::Guarantee); a [`Monitor`] tells on newly labelled panels whether it holds;
//! * [`Golden`] records images of a model package with what is found on them, and replays them where it is deployed.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let (folder, image) = (dir.path(), panelqc::image::GrayImage::from_pixel(300, 300, panelqc::image::Luma([120])));
//! # for class in ["good", "crack"] {
//! #     std::fs::create_dir(folder.join(class))?;
//! #     image.save(folder.join(class).join(format!("{class}1.png")))?;
//! # }
//! # let package = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/solar-cell");
//! use panelqc::{Inspector, Model, PanelRecord};
//! use panelqc_eval::dataset::{DataFormat, ReadOptions, read};
//! use panelqc_eval::metrics::{Evaluation, EvaluationOptions};
//!
//! let inspector = Inspector::builder(Model::load(package)?).build()?;
//! let samples = read(DataFormat::Folders, folder, &ReadOptions::default())?.samples;
//! let start = std::time::Instant::now();
//! let records: Vec<_> = inspector
//!     .inspect_batch(samples.iter().map(|sample| sample.files.clone()))
//!     .map(PanelRecord::from)
//!     .collect();
//! let seconds = start.elapsed().as_secs_f64();
//! let evaluation = Evaluation::new(EvaluationOptions::from(&inspector), &samples, &records, seconds);
//! println!("missed {}, falsely rejected {}", evaluation.miss, evaluation.overkill);
//! # assert_eq!((evaluation.miss.of, evaluation.overkill.of), (1, 1));
//! # Ok(())
//! # }
//! ```

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod binomial;
mod calibrate;
mod calibration;
mod golden;
mod monitor;

pub mod dataset;
pub mod metrics;

pub use calibrate::{CalibrateOptions, CalibratedPolicy, calibrate};
pub use calibration::{Calibrated, Calibration, ScoredPanel};
pub use golden::{Golden, Replay};
pub use monitor::Monitor;
