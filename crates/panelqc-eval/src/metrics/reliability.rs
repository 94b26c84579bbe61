use serde::Serialize;

use super::thin::thin;

/// Bins of the calibration error, of equal width over 0 to 1.
const BINS: usize = 15;

/// Expected calibration error (Guo et al. 2017, with the 15 bins of their paper) of the scores of panels: the mean,
/// over the panels, of how far the mean score of a panel's bin is from the share of defective panels in it. A bin holds
/// its upper end, the first one 0 too. `None` of nothing.
pub fn calibration_error(samples: impl IntoIterator<Item = (f32, bool)>) -> Option<f64> {
    let mut bins = [(0u64, 0.0f64, 0u64); BINS];
    let mut all = 0u64;
    for (score, defective) in samples {
        let bin = ((f64::from(score) * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        let (count, sum, bad) = &mut bins[bin];
        *count += 1;
        *sum += f64::from(score);
        *bad += u64::from(defective);
        all += 1;
    }
    let error = bins.iter().map(|(_, sum, bad)| (sum - *bad as f64).abs()).sum::<f64>();
    (all > 0).then(|| error / all as f64)
}

/// What the wrong judgements come to when the least confident panels are left to a person (Geifman and El-Yaniv 2017).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RiskCoverage {
    /// Area under the curve: the mean, over the panels, of the risk at the coverage that just includes each.
    pub aurc: f64,
    /// At most 200 points, most confident panels first.
    pub points: Vec<RiskPoint>,
}

/// One point of a risk-coverage curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RiskPoint {
    /// Share of the panels that are judged.
    pub coverage: f64,
    /// Share of wrong judgements among those.
    pub risk: f64,
}

impl RiskCoverage {
    /// Of (score, defective) panels, called defective from `limit` on (above 0). A panel is as sure as its score is far
    /// from the limit, in shares of the way to 0 or to 1. Panels that are equally sure come together. `None` of
    /// nothing.
    pub fn new(samples: impl IntoIterator<Item = (f32, bool)>, limit: f32) -> Option<Self> {
        let limit = f64::from(limit);
        let judged = samples.into_iter().map(|(score, defective)| {
            let score = f64::from(score);
            let called = score >= limit;
            let way = if called { 1.0 - limit } else { limit };
            let sure = if way > 0.0 { (score - limit).abs() / way } else { 1.0 };
            (sure, called != defective)
        });
        let mut judged: Vec<(f64, bool)> = judged.collect();
        judged.sort_by(|a, b| b.0.total_cmp(&a.0));
        let all = judged.len() as f64;
        let (mut covered, mut wrong, mut area) = (0usize, 0usize, 0.0);
        let mut points = Vec::new();
        for tied in judged.chunk_by(|a, b| a.0 == b.0) {
            covered += tied.len();
            wrong += tied.iter().filter(|(_, wrong)| *wrong).count();
            let risk = wrong as f64 / covered as f64;
            area += tied.len() as f64 * risk;
            points.push(RiskPoint { coverage: covered as f64 / all, risk });
        }
        (all > 0.0).then(|| RiskCoverage { aurc: area / all, points: thin(points) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_score_that_is_the_share_has_no_error() {
        let half = [(0.5, true), (0.5, false)];
        assert_eq!(calibration_error(half), Some(0.0));
        assert_eq!(calibration_error([(1.0, false), (0.0, false)]), Some(0.5));
        assert_eq!(calibration_error([]), None);
    }

    #[test]
    fn the_most_confident_come_first() {
        // Sure: 1.0 (right), 0.8 (wrong), 0.6 (right), 0.5 twice (one wrong).
        let panels = [(1.0, true), (0.1, true), (0.8, true), (0.25, false), (0.75, false)];
        let curve = RiskCoverage::new(panels, 0.5).unwrap();
        let risks: Vec<_> = curve.points.iter().map(|p| (p.coverage, p.risk)).collect();
        assert_eq!(risks, [(0.2, 0.0), (0.4, 0.5), (0.6, 1.0 / 3.0), (1.0, 0.4)]);
        assert!((curve.aurc - (0.5 + 1.0 / 3.0 + 0.4 + 0.4) / 5.0).abs() < 1e-12);
        let tied = RiskCoverage::new([(0.5, true), (0.5, false)], 0.5).unwrap();
        assert_eq!((tied.points.len(), tied.aurc), (1, 0.5));
        assert_eq!(RiskCoverage::new([], 0.5), None);
        assert!(RiskCoverage::new([(1.0, true), (0.3, false)], 1.0).is_some_and(|c| c.aurc == 0.0));
    }

    proptest! {
        #[test]
        fn the_curve_ends_at_the_error_rate(panels in proptest::collection::vec((0f32..=1.0, any::<bool>()), 1..60)) {
            let curve = RiskCoverage::new(panels.clone(), 0.5).unwrap();
            let wrong = panels.iter().filter(|(score, defective)| (*score >= 0.5) != *defective).count();
            let last = curve.points.last().unwrap();
            prop_assert_eq!((last.coverage, last.risk), (1.0, wrong as f64 / panels.len() as f64));
            prop_assert!((0.0..=1.0).contains(&curve.aurc));
            prop_assert!(calibration_error(panels).is_some_and(|error| (0.0..=1.0).contains(&error)));
        }
    }
}
