//! Accuracy and time against labelled data. Every rate carries its denominator and a 95 % interval. The definitions are
//! in `docs/METRICS.md`.

mod classification;
mod coco;
mod comparison;
mod detection;
mod evaluation;
mod kinds;
mod latency;
mod options;
mod outcome;
mod overlap;
mod pixels;
mod rate;
mod reliability;
mod segments;
mod thin;
mod verdicts;

pub use classification::{Confusion, auroc, average_precision};
pub use coco::{AverageRecall, BySize, CocoScores};
pub use comparison::{Comparison, Difference, Results};
pub use detection::{Counts, CurvePoint, DetectionScores, KindScores, Protocol, detection_scores};
pub use evaluation::{Curves, Evaluation, Evaluator};
pub use kinds::KindConfusion;
pub use latency::{PERSON_MS, Percentiles, StageTimes};
pub use options::EvaluationOptions;
pub use outcome::PanelOutcome;
pub use overlap::{Shape, Truths};
pub use pixels::PixelScores;
pub use rate::Rate;
pub use reliability::{RiskCoverage, RiskPoint, calibration_error};
pub use segments::{PixelOverlap, SegmentScores};
pub use verdicts::VerdictRates;
