/// The middle of repeated measurements and how far they lie apart.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    /// All of them, in the order in which they were made.
    pub(super) rounds: Vec<f64>,
}

impl Spread {
    /// `None` of nothing, or where a number is not finite.
    pub(super) fn new(rounds: Vec<f64>) -> Option<Self> {
        if rounds.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let mut sorted = rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (*sorted.first()?, *sorted.last()?);
        let half = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 };
        Some(Spread { median, low, high, rounds })
    }

    /// Of the quotients of two measurements that were made side by side, round by round: what slows a whole round down
    /// cancels out. Rounds in which one of them failed (NaN) do not count.
    pub(super) fn of_ratios(over: &[f64], under: &[f64]) -> Option<Self> {
        let both = over.iter().zip(under).filter(|(a, b)| a.is_finite() && b.is_finite());
        Self::new(both.map(|(a, b)| a / b).collect())
    }

    /// Of the rounds that did not fail.
    pub(super) fn of_good(rounds: &[f64]) -> Option<Self> {
        Self::new(rounds.iter().copied().filter(|v| v.is_finite()).collect())
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = if self.median >= 100.0 {
            0
        } else if self.median >= 10.0 {
            1
        } else {
            2
        };
        write!(f, "{:.digits$} ({:.digits$} to {:.digits$})", self.median, self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_and_even_and_nothing() {
        let odd = Spread::new(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!((odd.median, odd.low, odd.high), (2.0, 1.0, 3.0));
        assert_eq!(odd.rounds, [3.0, 1.0, 2.0], "in the order of the rounds");
        assert_eq!(Spread::new(vec![4.0, 1.0, 2.0, 10.0]).unwrap().median, 3.0);
        assert_eq!(Spread::new(vec![]), None);
        assert_eq!(Spread::new(vec![1.0, f64::NAN]), None);
    }

    #[test]
    fn ratios_are_of_one_round_each() {
        // The second round ran on a machine that was twice as slow: the quotient does not see it.
        let ratio = Spread::of_ratios(&[100.0, 50.0, 98.0], &[50.0, 25.0, 49.0]).unwrap();
        assert_eq!((ratio.median, ratio.low, ratio.high), (2.0, 2.0, 2.0));
        assert_eq!(Spread::of_ratios(&[100.0, f64::NAN], &[50.0, 25.0]).unwrap().rounds, [2.0]);
        assert_eq!(Spread::of_ratios(&[f64::NAN], &[1.0]), None);
    }

    #[test]
    fn shown_with_the_digits_that_matter() {
        assert_eq!(Spread::new(vec![0.957, 0.91, 0.99]).unwrap().to_string(), "0.96 (0.91 to 0.99)");
        assert_eq!(Spread::new(vec![123.4]).unwrap().to_string(), "123 (123 to 123)");
    }
}
