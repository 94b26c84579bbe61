use panelqc::Verdict;
use serde::Serialize;

use super::rate::Rate;

/// What the verdicts are worth on panels whose truth is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct VerdictRates {
    /// Defective panels passed, of all defective ones.
    pub miss: Rate,
    /// Good panels failed, of all good ones.
    pub overkill: Rate,
    /// Panels that a person has to look at, of all.
    pub review: Rate,
    /// Panels decided without a person, of all.
    pub decided: Rate,
    /// Right verdicts, of those decided without a person.
    pub decided_right: Rate,
}

impl VerdictRates {
    /// Counts (defective, verdict) pairs.
    pub fn new(panels: impl IntoIterator<Item = (bool, Verdict)>) -> Self {
        let mut counts = [[0u64; 3]; 2];
        for (defective, verdict) in panels {
            counts[usize::from(defective)][verdict as usize] += 1;
        }
        let [good, bad] = counts;
        let (goods, bads): (u64, u64) = (good.iter().sum(), bad.iter().sum());
        let [pass, review, fail] = [Verdict::Pass, Verdict::Review, Verdict::Fail].map(|v| v as usize);
        let reviewed = good[review] + bad[review];
        let decided = goods + bads - reviewed;
        VerdictRates {
            miss: Rate::new(bad[pass], bads),
            overkill: Rate::new(good[fail], goods),
            review: Rate::new(reviewed, goods + bads),
            decided: Rate::new(decided, goods + bads),
            decided_right: Rate::new(good[pass] + bad[fail], decided),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn review_is_a_column_of_its_own() {
        use Verdict::{Fail, Pass, Review};
        let rates = VerdictRates::new([
            (true, Pass),
            (true, Review),
            (true, Fail),
            (true, Fail),
            (false, Pass),
            (false, Review),
            (false, Fail),
        ]);
        let parts = |r: Rate| (r.count, r.of);
        assert_eq!(parts(rates.miss), (1, 4));
        assert_eq!(parts(rates.overkill), (1, 3));
        assert_eq!(parts(rates.review), (2, 7));
        assert_eq!(parts(rates.decided), (5, 7));
        assert_eq!(parts(rates.decided_right), (3, 5));
    }
}
