//! From defects to a verdict: rules as data, and the rule that decided is named.

mod bounded;
mod guarantee;
mod judge;
mod method;
mod policy;
mod reach;
mod rule;
mod scene;
mod scored;
mod validate;
mod zone;

pub use bounded::Bounded;
pub use guarantee::Guarantee;
pub use judge::{Judgement, Verdict};
pub use method::Method;
pub use policy::{Limits, Policy};
