//! From defects to a verdict: rules as data, and the rule that decided is named.

mod judge;
mod policy;
mod reach;
mod rule;
mod scene;
mod validate;
mod zone;

pub use judge::{Judgement, Verdict};
pub use policy::{Limits, Policy};
