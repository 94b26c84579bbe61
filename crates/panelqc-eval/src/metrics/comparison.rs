use std::collections::HashMap;
use std::fs;
use std::path::Path;

use panelqc::{Error, Result, Verdict};
use serde::{Deserialize, Serialize};

use super::detection::Counts;
use super::outcome::PanelOutcome;

/// Resamples that an interval is made from.
const RESAMPLES: usize = 10_000;
/// Two runs give the same interval.
const SEED: u64 = 20_200_604;

/// The part of a result of `panelqc eval --json` that a comparison needs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Results {
    /// The outcome of each panel.
    pub panels: Vec<PanelOutcome>,
}

impl Results {
    /// Reads a file of `panelqc eval --json`.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](panelqc::ErrorKind::Io), and [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) with the line
    /// for a file that is no such result or has no panel.
    pub fn load(path: &Path) -> Result<Self> {
        let wanted = "a result of `panelqc eval --json` with its `panels`";
        let text = fs::read_to_string(path).map_err(Error::io("reading", path))?;
        let results: Results =
            serde_json::from_str(&text).map_err(|e| Error::labels(path, Some(e.line()), wanted, e.to_string()))?;
        match results.panels.is_empty() {
            true => Err(Error::labels(path, None, wanted, "none")),
            false => Ok(results),
        }
    }
}

/// Whether model B is better than model A on the same panels, and by how much.
///
/// The intervals are those of a paired bootstrap (Efron and Tibshirani 1993): 10,000 times as many panels are drawn
/// with replacement, the same for both models, and the 2.5th and 97.5th percentile of the differences are the ends. The
/// seed is fixed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// Number of panels.
    pub panels: usize,
    /// The numbers that both models have.
    pub differences: Vec<Difference>,
}

/// One number of both models.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// Its name, as in the result of `eval`.
    pub name: &'static str,
    /// That of model A.
    pub a: f64,
    /// That of model B.
    pub b: f64,
    /// How much better B is, in `-1..=1`: `b - a`, and `a - b` for miss, overkill and review, where less is better.
    pub gain: f64,
    /// Lower end of the gain's 95 % interval.
    pub low: f64,
    /// Upper end of the gain's 95 % interval.
    pub high: f64,
}

impl Difference {
    /// B is better, with 95 % confidence.
    pub fn is_better(&self) -> bool {
        self.low > 0.0
    }

    /// B is worse, with 95 % confidence.
    pub fn is_worse(&self) -> bool {
        self.high < 0.0
    }
}

/// Names of the numbers, and whether less of it is better.
const NUMBERS: [(&str, bool); 9] = [
    ("f_score", false),
    ("accuracy", false),
    ("auroc", false),
    ("aupr", false),
    ("precision", false),
    ("recall", false),
    ("miss", true),
    ("overkill", true),
    ("review", true),
];

impl Comparison {
    /// Compares two results over the same panels, in any order.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`](panelqc::ErrorKind::Argument) that names the first panel that only one of them has, has
    /// twice, or that is defective for one and good for the other.
    pub fn new(a: &Results, b: &Results) -> Result<Self> {
        let pairs = paired(&a.panels, &b.panels)?;
        let (a, b) = (Side::new(pairs.iter().map(|p| p.0)), Side::new(pairs.iter().map(|p| p.1)));
        let once = vec![1u32; pairs.len()];
        let (of_a, of_b) = (a.numbers(&once), b.numbers(&once));

        let mut gains: [Vec<f64>; NUMBERS.len()] = Default::default();
        let mut random = fastrand::Rng::with_seed(SEED);
        let mut drawn = vec![0u32; pairs.len()];
        for _ in 0..RESAMPLES {
            drawn.fill(0);
            (0..pairs.len()).for_each(|_| drawn[random.usize(..pairs.len())] += 1);
            let (of_a, of_b) = (a.numbers(&drawn), b.numbers(&drawn));
            for (i, gains) in gains.iter_mut().enumerate() {
                // A resample without a good panel, say, has no overkill.
                if let (Some(a), Some(b)) = (of_a[i], of_b[i]) {
                    gains.push(gain(i, a, b));
                }
            }
        }
        let mut differences = Vec::new();
        for (i, mut gains) in gains.into_iter().enumerate() {
            let (Some(a), Some(b)) = (of_a[i], of_b[i]) else { continue };
            gains.sort_by(f64::total_cmp);
            let at = |share: f64| gains.get(((gains.len() as f64 * share).ceil() as usize).max(1) - 1).copied();
            let (Some(low), Some(high)) = (at(0.025), at(0.975)) else { continue };
            differences.push(Difference { name: NUMBERS[i].0, a, b, gain: gain(i, a, b), low, high });
        }
        Ok(Comparison { panels: pairs.len(), differences })
    }

    /// The difference of that name.
    pub fn get(&self, name: &str) -> Option<&Difference> {
        self.differences.iter().find(|difference| difference.name == name)
    }

    /// The number that decides which model is better: the F-score where both detect, otherwise the accuracy.
    pub fn main(&self) -> Option<&Difference> {
        self.differences.first()
    }
}

fn gain(number: usize, a: f64, b: f64) -> f64 {
    if NUMBERS[number].1 { a - b } else { b - a }
}

fn paired<'a>(a: &'a [PanelOutcome], b: &'a [PanelOutcome]) -> Result<Vec<(&'a PanelOutcome, &'a PanelOutcome)>> {
    let differ = |id: &str, what: &str| {
        Err(Error::argument(format!("expected results over the same panels, found {id} {what}")))
    };
    let mut of_b: HashMap<&str, &PanelOutcome> = HashMap::new();
    for panel in b {
        if of_b.insert(&panel.id, panel).is_some() {
            return differ(&panel.id, "twice in B");
        }
    }
    let mut pairs = Vec::with_capacity(a.len());
    for panel in a {
        match of_b.remove(&*panel.id) {
            None => return differ(&panel.id, "in A only, or twice there"),
            Some(other) if other.defective != panel.defective => {
                return differ(&panel.id, "defective in one and good in the other");
            }
            Some(other) => pairs.push((panel, other)),
        }
    }
    match b.iter().find(|panel| of_b.contains_key(&*panel.id)) {
        Some(panel) => differ(&panel.id, "in B only"),
        None => Ok(pairs),
    }
}

/// One model's panels, ready to be weighted.
struct Side<'a> {
    panels: Vec<&'a PanelOutcome>,
    /// Panels with a score, the highest first.
    ranked: Vec<(f32, usize)>,
    detects: bool,
}

impl<'a> Side<'a> {
    fn new(panels: impl Iterator<Item = &'a PanelOutcome>) -> Self {
        let panels: Vec<_> = panels.collect();
        let mut ranked: Vec<_> = panels.iter().enumerate().filter_map(|(i, p)| Some((p.score?, i))).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        Side { ranked, detects: panels.iter().all(|p| p.counts.is_some()), panels }
    }

    /// The numbers in the order of [`NUMBERS`], where panel `i` is there `times[i]` times.
    fn numbers(&self, times: &[u32]) -> [Option<f64>; NUMBERS.len()] {
        let mut counts = Counts::default();
        let [mut all, mut right, mut bad, mut missed, mut killed, mut reviewed] = [0u64; 6];
        for (panel, &times) in self.panels.iter().zip(times) {
            let times = u64::from(times);
            all += times;
            right += times * u64::from(panel.right);
            bad += times * u64::from(panel.defective);
            missed += times * u64::from(panel.defective && panel.verdict == Verdict::Pass);
            killed += times * u64::from(!panel.defective && panel.verdict == Verdict::Fail);
            reviewed += times * u64::from(panel.verdict == Verdict::Review);
            if let Some(c) = panel.counts {
                let scaled = |n: u64| n * times;
                counts.add(Counts {
                    right: scaled(c.right),
                    detections: scaled(c.detections),
                    truths: scaled(c.truths),
                });
            }
        }
        let share = |count: u64, of: u64| (of > 0).then(|| count as f64 / of as f64);
        let detected = |number: f64| (self.detects && counts.truths > 0).then_some(number);
        let (auroc, aupr) = self.areas(times).unzip();
        [
            detected(counts.f_score()),
            share(right, all),
            auroc,
            aupr,
            detected(counts.precision()),
            detected(counts.recall()),
            share(missed, bad),
            share(killed, all - bad),
            share(reviewed, all),
        ]
    }

    /// AUROC and AUPR, ties taken together as in [`auroc`](super::auroc) and
    /// [`average_precision`](super::average_precision).
    fn areas(&self, times: &[u32]) -> Option<(f64, f64)> {
        let (mut bad, mut good) = (0.0, 0.0);
        let (mut wins, mut precision) = (0.0, 0.0);
        for tied in self.ranked.chunk_by(|a, b| a.0 == b.0) {
            let (mut bad_here, mut good_here) = (0.0, 0.0);
            for &(_, i) in tied {
                let here = if self.panels[i].defective { &mut bad_here } else { &mut good_here };
                *here += f64::from(times[i]);
            }
            wins += good_here * (bad + bad_here / 2.0);
            bad += bad_here;
            good += good_here;
            if bad_here > 0.0 {
                precision += bad_here * bad / (bad + good);
            }
        }
        (bad > 0.0 && good > 0.0).then(|| (wins / (bad * good), precision / bad))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{auroc, average_precision};
    use proptest::prelude::*;

    fn outcome(id: usize, defective: bool, score: f32) -> PanelOutcome {
        let called = score >= 0.5;
        let verdict = if called { Verdict::Fail } else { Verdict::Pass };
        PanelOutcome {
            id: id.to_string(),
            defective,
            score: Some(score),
            verdict,
            right: called == defective,
            counts: None,
        }
    }

    fn results(scores: impl Iterator<Item = f32>) -> Results {
        Results { panels: scores.enumerate().map(|(i, s)| outcome(i, i % 2 == 0, s)).collect() }
    }

    #[test]
    fn a_better_model_is_better_and_itself_is_not() {
        let good = results((0..60).map(|i| if i % 2 == 0 { 0.9 } else { 0.1 }));
        // Every fifth panel is wrong.
        let bad = results((0..60).map(|i| if (i % 2 == 0) != (i % 5 == 0) { 0.9 } else { 0.1 }));
        let comparison = Comparison::new(&bad, &good).unwrap();
        let main = comparison.main().unwrap();
        assert_eq!((main.name, main.a, main.b), ("accuracy", 0.8, 1.0));
        // The normal approximation of a paired difference of 12 in 60: 0.2 +- 1.96 * sqrt(0.2 * 0.8 / 60).
        assert!((main.low - 0.0988).abs() < 0.01 && (main.high - 0.3012).abs() < 0.02, "{main:?}");
        assert!(main.is_better() && !main.is_worse());
        let miss = comparison.get("miss").unwrap();
        assert!(miss.b < miss.a && miss.gain > 0.0, "less is better");
        let back = Comparison::new(&good, &bad).unwrap();
        assert!(back.main().unwrap().is_worse());
        let same = Comparison::new(&good, &good).unwrap();
        assert_eq!(Comparison::new(&good, &good).unwrap(), same, "the seed is fixed");
        assert!(same.differences.iter().all(|d| !d.is_better() && !d.is_worse() && d.gain == 0.0));
    }

    #[test]
    fn other_panels_are_refused_by_name() {
        let a = results([0.9, 0.1, 0.8].into_iter());
        let mut b = a.clone();
        b.panels[1].id = "x".to_owned();
        let says = |a: &Results, b: &Results| Comparison::new(a, b).unwrap_err().to_string();
        assert!(says(&a, &b).contains("1 in A only"), "{}", says(&a, &b));
        b = a.clone();
        b.panels.push(outcome(7, true, 0.5));
        assert!(says(&a, &b).contains("7 in B only"));
        b = a.clone();
        b.panels[2].defective = false;
        assert!(says(&a, &b).contains("2 defective in one"));
        b = a.clone();
        b.panels.push(b.panels[0].clone());
        assert!(says(&a, &b).contains("0 twice in B") && says(&b, &a).contains("0 in A only, or twice"));
        b = a.clone();
        b.panels.reverse();
        assert_eq!(Comparison::new(&a, &b).unwrap().main().unwrap().gain, 0.0, "the order does not matter");
    }

    proptest! {
        #[test]
        fn a_weight_is_a_repetition(panels in proptest::collection::vec((any::<bool>(), 0u8..6, 0u32..4), 1..30)) {
            let outcomes: Vec<_> = panels.iter().enumerate()
                .map(|(i, p)| outcome(i, p.0, f32::from(p.1) / 5.0)).collect();
            let side = Side::new(outcomes.iter());
            let times: Vec<u32> = panels.iter().map(|p| p.2).collect();
            let repeated = || panels.iter()
                .flat_map(|p| std::iter::repeat_n((f32::from(p.1) / 5.0, p.0), p.2 as usize));
            let near = |a: Option<f64>, b: Option<f64>| a.zip(b).is_none_or(|(a, b)| (a - b).abs() < 1e-12);
            let areas = side.areas(&times);
            prop_assert_eq!(areas.is_some(), auroc(repeated()).is_some());
            prop_assert!(near(areas.map(|a| a.0), auroc(repeated())));
            prop_assert!(near(areas.map(|a| a.1), average_precision(repeated())));
        }
    }
}
