//! From defects to a verdict: rules as data, and the rule that decided is named.

mod judge;
mod policy;

pub use judge::{Judgement, Verdict};
pub use policy::{Limits, Policy};
