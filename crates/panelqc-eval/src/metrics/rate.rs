use std::fmt;

use serde::Serialize;

use crate::binomial;

/// A share with its numerator, its denominator and a 95 % interval (Wilson 1927).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Rate {
    /// Numerator.
    pub count: u64,
    /// Denominator.
    pub of: u64,
    /// `count / of`; absent when `of` is 0.
    pub value: Option<f64>,
    /// Lower end of the interval, 0 when `of` is 0.
    pub low: f64,
    /// Upper end of the interval, 1 when `of` is 0.
    pub high: f64,
}

impl Rate {
    /// `count` of `of`.
    pub fn new(count: u64, of: u64) -> Self {
        if of == 0 {
            return Rate { count, of, value: None, low: 0.0, high: 1.0 };
        }
        const Z: f64 = 1.959_963_984_540_054; // 97.5 % quantile of the normal distribution
        let (n, p) = (of as f64, count as f64 / of as f64);
        let scale = 1.0 / (1.0 + Z * Z / n);
        let centre = scale * (p + Z * Z / (2.0 * n));
        let half = scale * Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        // At the ends the formula gives 0 and 1, but for rounding.
        let low = if count == 0 { 0.0 } else { centre - half };
        let high = if count >= of { 1.0 } else { centre + half };
        Rate { count, of, value: Some(p), low, high }
    }

    /// The exact 95 % interval (Clopper and Pearson 1934): wider than Wilson's, and never below its confidence, also
    /// where few or none were seen. 0 to 1 when `of` is 0.
    pub fn exact(&self) -> (f64, f64) {
        binomial::limits(self.count, self.of, 0.025)
    }

    /// Whether so few were seen, or so few of the others, that Wilson's interval is too narrow.
    pub fn is_scarce(&self) -> bool {
        self.of > 0 && self.count.min(self.of - self.count) < 5
    }
}

impl fmt::Display for Rate {
    /// `93.50 % (87 of 93; 95 % interval 86.5 to 97.0)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            None => write!(f, "none (0 of 0)"),
            Some(value) => write!(
                f,
                "{:.2} % ({} of {}; 95 % interval {:.1} to {:.1})",
                value * 100.0,
                self.count,
                self.of,
                self.low * 100.0,
                self.high * 100.0
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_interval_of_known_counts() {
        // scipy.stats.binomtest(87, 93).proportion_ci(method="wilson") = (0.866320, 0.970099)
        let rate = Rate::new(87, 93);
        assert!((rate.low - 0.866_320).abs() < 1e-5 && (rate.high - 0.970_099).abs() < 1e-5, "{rate:?}");
        let none = Rate::new(0, 10);
        assert!(none.low == 0.0 && (none.high - 0.277_533).abs() < 1e-5, "{none:?}");
        // scipy.stats.binomtest(k, n).proportion_ci(method="exact")
        for (count, of, low, high) in [
            (0, 10, 0.0, 0.308_497_1),
            (87, 93, 0.864_849_6, 0.975_957_7),
            (10, 10, 0.691_502_9, 1.0),
            (1, 300, 0.000_084_4, 0.018_431_3),
        ] {
            let (l, h) = Rate::new(count, of).exact();
            assert!((l - low).abs() < 1e-6 && (h - high).abs() < 1e-6, "{count} of {of}: {l} to {h}");
        }
        assert_eq!(Rate::new(0, 0).exact(), (0.0, 1.0));
        assert_eq!(Rate::new(0, 0).to_string(), "none (0 of 0)");
    }
}
