use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of promise a calibration makes. Exhaustive: who works with a promise has to know how each one is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// With confidence `1 - delta` over the draw of the calibration panels, the rate is at most the level: Learn then
    /// Test (Angelopoulos et al. 2021, arXiv 2110.01052) with the exact binomial p-value (Clopper and Pearson 1934),
    /// tested along the fixed sequence of all limits from the strictest on, so that no correction for many tests is
    /// needed.
    #[default]
    ExactBinomial,
    /// On average over the draw of the calibration panels, the rate is at most the level: conformal risk control
    /// (Angelopoulos et al. 2022, arXiv 2208.02814). Weaker, and needs fewer panels; there is no confidence.
    ConformalRisk,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Method::ExactBinomial => "exact-binomial",
            Method::ConformalRisk => "conformal-risk",
        })
    }
}
