//! Accuracy and time against labelled data. Every rate carries its denominator and a 95 % interval.

mod classification;
mod detection;
mod evaluation;
mod latency;
mod rate;
mod verdicts;

pub use classification::{Confusion, auroc};
pub use detection::{DetectionScores, KindScores, Truths, detection_scores};
pub use evaluation::Evaluation;
pub use latency::{Percentiles, StageTimes};
pub use rate::{Rate, exact_interval};
pub use verdicts::VerdictRates;
