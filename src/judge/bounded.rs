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

    /// Why no calibration gives these numbers, if so: `tail` is one minus the confidence of an exact limit, `None` for
    /// the bound of conformal risk control; `most` is the rate that was asked for.
    pub(super) fn problem(&self, tail: Option<f64>, most: Option<f64>) -> Option<String> {
        let Bounded { count, of, bound } = *self;
        if count > of || of > MOST_PANELS {
            return Some(format!(
                "expected a count of at most `of`, and that of at most {MOST_PANELS}, found {count} of {of}"
            ));
        }
        let follows = match tail {
            None => close(bound, (count + 1) as f64 / (of + 1) as f64),
            Some(_) if count == of => bound == 1.0,
            Some(tail) => bound > 0.0 && bound < 1.0 && close(at_most(count, of, bound), tail),
        };
        if !follows {
            return Some(format!("expected the bound that follows from {count} of {of} panels, found {bound}"));
        }
        let most = most.filter(|&most| bound > most * (1.0 + ROUNDING))?;
        Some(format!("expected a bound of at most {most}, the rate that is promised, found {bound}"))
    }
}

/// More panels than any calibration has; it bounds the work of checking one.
const MOST_PANELS: u64 = 10_000_000;

/// By how much numbers may differ that are the same: a share of them.
const ROUNDING: f64 = 1e-6;

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= ROUNDING * b.abs()
}

/// Chance of at most `count` of `of`, fewer than all, at a rate inside `0..1`: the sum of the binomial's terms.
fn at_most(count: u64, of: u64, rate: f64) -> f64 {
    let (odds, mut log) = ((rate / (1.0 - rate)).ln(), of as f64 * (-rate).ln_1p());
    let mut sum = log.exp();
    for k in 0..count {
        log += ((of - k) as f64 / (k + 1) as f64).ln() + odds;
        sum += log.exp();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_follows_from_its_counts() {
        // 1 - 0.05^(1/341), and the limit of 10 of 10.
        for (count, of, bound) in [(0, 341, 0.008_746_662_058_181_92), (10, 10, 1.0)] {
            assert_eq!(Bounded::new(count, of, bound).problem(Some(0.05), None), None, "{count} of {of}");
        }
        // Of one success in two trials the chance is 1 - p^2.
        let one = 0.95f64.sqrt();
        assert_eq!(Bounded::new(1, 2, one).problem(Some(0.05), None), None);
        assert!(Bounded::new(1, 2, one + 1e-4).problem(Some(0.05), None).is_some());
        assert_eq!(Bounded::new(1, 99, 0.02).problem(None, Some(0.02)), None);
        for (count, of, bound) in
            [(9, 3, 0.5), (0, 341, f64::NAN), (0, 341, 0.004), (0, 341, 1.0), (0, 342, 0.008_746_662_058_181_92)]
        {
            assert!(Bounded::new(count, of, bound).problem(Some(0.05), None).is_some(), "{count} of {of}, {bound}");
        }
        assert!(Bounded::new(0, u64::MAX, 0.5).problem(None, None).is_some());
        let beyond = Bounded::new(0, 341, 0.008_746_662_058_181_92).problem(Some(0.05), Some(0.0001)).unwrap();
        assert!(beyond.contains("at most 0.0001, the rate that is promised"), "{beyond}");
    }
}
