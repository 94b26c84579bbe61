//! From defects to a verdict: rules as data, and the rule that decided is named.

mod calibration;
mod guarantee;
mod judge;
mod monitor;
mod policy;
mod reach;
mod rule;
mod scene;
mod scored;
mod validate;
mod zone;

pub use calibration::{Bounded, Calibrated, Calibration, Method, ScoredPanel};
pub use guarantee::Guarantee;
pub use judge::{Judgement, Verdict};
pub use monitor::Monitor;
pub use policy::{Limits, Policy};
