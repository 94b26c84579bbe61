use panelqc::Timings;
use serde::Serialize;

/// What a person needs for an image, in milliseconds: what every time is compared with.
pub const PERSON_MS: f64 = 2_000.0;

/// Percentiles of a time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Percentiles {
    /// Median.
    pub p50: f64,
    /// 95 % are no slower.
    pub p95: f64,
    /// 99 % are no slower.
    pub p99: f64,
}

impl Percentiles {
    /// Nearest-rank percentiles; `None` of nothing.
    pub fn new(times: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut times: Vec<f64> = times.into_iter().collect();
        times.sort_by(f64::total_cmp);
        let at = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).max(1);
            times.get(rank - 1).copied()
        };
        Some(Percentiles { p50: at(50)?, p95: at(95)?, p99: at(99)? })
    }
}

/// Percentiles for each stage and for their sum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StageTimes {
    /// Reading and decoding image files.
    pub decode: Percentiles,
    /// From pixels to the input tensor.
    pub preprocess: Percentiles,
    /// The model.
    pub infer: Percentiles,
    /// From outputs to verdict.
    pub postprocess: Percentiles,
    /// All of it for one panel.
    pub total: Percentiles,
}

impl StageTimes {
    /// Percentiles of the timings of many panels; `None` of nothing.
    pub fn new(timings: &[Timings]) -> Option<Self> {
        let of = |stage: fn(&Timings) -> f64| Percentiles::new(timings.iter().map(stage));
        Some(StageTimes {
            decode: of(|t| t.decode)?,
            preprocess: of(|t| t.preprocess)?,
            infer: of(|t| t.infer)?,
            postprocess: of(|t| t.postprocess)?,
            total: of(Timings::total)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank() {
        let p = Percentiles::new((1..=200).rev().map(f64::from)).unwrap();
        assert_eq!((p.p50, p.p95, p.p99), (100.0, 190.0, 198.0));
        assert_eq!(Percentiles::new([7.0]).map(|p| p.p99), Some(7.0));
        assert_eq!(Percentiles::new([]), None);
    }
}
