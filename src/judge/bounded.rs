use serde::{Deserialize, Serialize};

/// A rate that a calibration bounds, with the counts behind it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Bounded {
    /// Panels on the wrong side of the limit in the calibration data.
    pub count: u64,
    /// Panels that could have been.
    pub of: u64,
    /// Upper end of what the counts allow: the exact one-sided limit, or for conformal risk control the bound on the
    /// expectation. At most the level that was asked for.
    pub bound: f64,
}

impl Bounded {
    /// `count` of `of` panels on the wrong side, which bounds the rate by `bound`.
    pub fn new(count: u64, of: u64, bound: f64) -> Self {
        Bounded { count, of, bound }
    }
}
