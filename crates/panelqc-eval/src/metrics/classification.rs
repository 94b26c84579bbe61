use serde::Serialize;

use super::rate::Rate;

/// Counts of a two-way judgement; "positive" is defective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Confusion {
    /// Defective, called defective.
    pub true_positive: u64,
    /// Good, called defective.
    pub false_positive: u64,
    /// Good, called good.
    pub true_negative: u64,
    /// Defective, called good.
    pub false_negative: u64,
}

impl Confusion {
    /// Counts one panel.
    pub fn add(&mut self, defective: bool, called_defective: bool) {
        let cell = match (defective, called_defective) {
            (true, true) => &mut self.true_positive,
            (false, true) => &mut self.false_positive,
            (false, false) => &mut self.true_negative,
            (true, false) => &mut self.false_negative,
        };
        *cell += 1;
    }

    /// Right judgements, of all.
    pub fn accuracy(&self) -> Rate {
        let right = self.true_positive + self.true_negative;
        Rate::new(right, right + self.false_positive + self.false_negative)
    }

    /// Defective panels called good, of all defective ones (escape rate): FN / (FN + TP).
    pub fn miss(&self) -> Rate {
        Rate::new(self.false_negative, self.false_negative + self.true_positive)
    }

    /// Good panels called defective, of all good ones: FP / (FP + TN).
    pub fn overkill(&self) -> Rate {
        Rate::new(self.false_positive, self.false_positive + self.true_negative)
    }
}

/// Area under the receiver operating characteristic: the chance that a defective panel scores higher than a good
/// one, ties counted half (Mann and Whitney 1947). `None` unless there are both.
pub fn auroc(samples: impl IntoIterator<Item = (f32, bool)>) -> Option<f64> {
    let mut samples: Vec<_> = samples.into_iter().collect();
    samples.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = samples.iter().filter(|(_, defective)| *defective).count() as f64;
    let negatives = samples.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let (mut wins, mut below) = (0.0, 0.0);
    for tied in samples.chunk_by(|a, b| a.0 == b.0) {
        let defective = tied.iter().filter(|(_, defective)| *defective).count() as f64;
        let good = tied.len() as f64 - defective;
        wins += defective * (below + good / 2.0);
        below += good;
    }
    Some(wins / (positives * negatives))
}

/// Average precision (area under the precision-recall curve, "AUPR"): the sum over the distinct scores, the highest
/// first, of the precision from that score on times the recall that it adds. `None` without a defective panel.
pub fn average_precision(samples: impl IntoIterator<Item = (f32, bool)>) -> Option<f64> {
    let mut samples: Vec<_> = samples.into_iter().collect();
    samples.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = samples.iter().filter(|(_, defective)| *defective).count() as f64;
    let (mut right, mut all, mut area) = (0.0, 0.0, 0.0);
    for tied in samples.chunk_by(|a, b| a.0 == b.0) {
        let defective = tied.iter().filter(|(_, defective)| *defective).count() as f64;
        right += defective;
        all += tied.len() as f64;
        area += defective * right / all;
    }
    (positives > 0.0).then(|| area / positives)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auroc_counts_ties_half() {
        let t = [(0.1, false), (0.4, false), (0.35, true), (0.8, true)];
        assert_eq!(auroc(t), Some(0.75), "the example of sklearn.metrics.roc_auc_score");
        assert_eq!(auroc([(0.5, false), (0.5, true)]), Some(0.5));
        assert_eq!(auroc([(0.5, true)]), None);
    }

    #[test]
    fn average_precision_takes_ties_together() {
        let t = [(0.1, false), (0.4, false), (0.35, true), (0.8, true)];
        let ap = average_precision(t).unwrap();
        assert!((ap - 0.833_333_333_333).abs() < 1e-9, "the example of sklearn.metrics.average_precision_score: {ap}");
        assert_eq!(average_precision([(0.5, false), (0.5, true)]), Some(0.5));
        assert_eq!(average_precision([(0.5, false)]), None);
    }

    #[test]
    fn rates_have_their_own_denominators() {
        let mut c = Confusion::default();
        for (defective, called) in [(true, true), (true, true), (true, false), (false, true), (false, false)] {
            c.add(defective, called);
        }
        assert_eq!((c.miss().count, c.miss().of), (1, 3));
        assert_eq!((c.overkill().count, c.overkill().of), (1, 2));
        assert_eq!((c.accuracy().count, c.accuracy().of), (3, 5));
    }
}
