//! Tails of the binomial distribution, and the exact limits (Clopper and Pearson 1934) that follow from them.

use statrs::distribution::{Binomial, DiscreteCDF};

/// Chance of at most `count` successes in `of` trials with success rate `rate` in `0..=1`.
pub(crate) fn cdf(count: u64, of: u64, rate: f64) -> f64 {
    // A rate outside of 0..=1 is no distribution: nothing is then claimed to be unlikely.
    Binomial::new(rate, of).map_or(1.0, |binomial| binomial.cdf(count))
}

/// The success rates that `count` of `of` do not contradict, each end with confidence `1 - tail`. 0 and 1 where there
/// is no data.
pub(crate) fn limits(count: u64, of: u64, tail: f64) -> (f64, f64) {
    let low = if count == 0 { 0.0 } else { solve(|rate| 1.0 - cdf(count - 1, of, rate) < tail) };
    let high = if count >= of { 1.0 } else { solve(|rate| cdf(count, of, rate) > tail) };
    (low, high)
}

/// Where `below`, true at 0 and false at 1, changes: bisection down to neighbouring numbers.
fn solve(below: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return high;
        }
        if below(middle) { low = middle } else { high = middle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_known_counts() {
        // The closed forms at the two ends: the "rule of three" made exact.
        let (_, high) = limits(0, 299, 0.05);
        assert!((high - (1.0 - 0.05f64.powf(1.0 / 299.0))).abs() < 1e-12, "{high}");
        let (low, high) = limits(10, 10, 0.025);
        assert!((low - 0.025f64.powf(0.1)).abs() < 1e-12 && high == 1.0, "{low}");
        assert_eq!(limits(0, 0, 0.025), (0.0, 1.0));
        assert_eq!(limits(0, 5, 0.025).0, 0.0);
    }

    #[test]
    fn the_cdf_is_the_sum_of_its_terms() {
        let (of, rate) = (30u64, 0.07f64);
        let mut term = (1.0 - rate).powi(30);
        let mut sum = 0.0;
        for count in 0..of {
            sum += term;
            assert!((cdf(count, of, rate) - sum).abs() < 1e-13, "{count}");
            term *= (of - count) as f64 / (count + 1) as f64 * rate / (1.0 - rate);
        }
    }
}
