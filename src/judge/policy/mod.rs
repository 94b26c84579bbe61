//! A policy: a verdict by rules that are data. From the bottom up: quantities, rules and zones; the policy that has
//! them; judging by it; what it may say; its file and its builder.

mod quantity;
mod rule;
mod zone;

// The type is what the folder is about.
#[allow(clippy::module_inception)]
mod policy;
mod shape;

mod judging;
mod scene;
mod scored;

mod check;
mod region;

mod proof;
mod reach;

mod text;

mod builder;
mod file;

pub use builder::PolicyBuilder;
pub use policy::Policy;
pub use quantity::Bounds;
pub use rule::{Rule, Severity};
pub use zone::Zone;

#[cfg(test)]
mod tests;
