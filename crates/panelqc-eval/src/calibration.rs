use std::collections::{BTreeMap, BTreeSet};

use panelqc::{Bounded, Error, Guarantee, Kind, Limits, Method, Result};

use crate::binomial;

/// A labelled panel as a calibration sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredPanel {
    /// The highest review limit at which it does not pass ([`Policy::review_score`](panelqc::Policy::review_score)):
    /// the highest confidence of any defect found on it, 0 when nothing was found, infinite when a rule decides
    /// whatever the limit. `None` for a panel that could not be inspected: it goes to review, so it is neither passed
    /// nor failed.
    pub score: Option<f32>,
    /// Whether a person calls it defective.
    pub defective: bool,
    /// The kinds of defect that a person marked on it; may be empty when the labels do not say.
    pub kinds: BTreeSet<Kind>,
}

/// What to guarantee. Both methods assume that the panels to come are exchangeable with those of the
/// calibration: the same line, the same camera, drawn without choosing.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Calibration {
    /// Most defective panels passed, of all defective ones, in `0..1` (alpha).
    pub max_miss: f64,
    /// Most good panels failed, of all good ones, in `0..1` (beta). Default: no limit, and the fail limit is the
    /// model's own confidence.
    pub max_overkill: Option<f64>,
    /// Confidence `1 - delta` of each of the two statements, in `0..1`. Default 0.95. Both hold together with
    /// confidence `1 - 2 delta` or more. Not used by [`Method::ConformalRisk`].
    pub confidence: f64,
    /// How. Default: exact binomial.
    pub method: Method,
    /// Hold the miss rate for each kind of defect separately: of the panels that show the kind, at most `max_miss`
    /// pass. All of them together at the same confidence (Bonferroni). Default: no.
    pub per_kind: bool,
}

/// Limits that hold what was asked for.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Calibrated {
    /// A panel passes below `review` and fails from `fail` on.
    pub limits: Limits,
    /// Defective panels passed.
    pub miss: Bounded,
    /// Good panels failed, at `fail`. Its bound is guaranteed only when an overkill rate was asked for.
    pub overkill: Bounded,
    /// Panels with each kind of defect passed; empty unless asked for.
    pub kinds: BTreeMap<Kind, Bounded>,
}

impl Calibration {
    /// A guarantee of the miss rate alone, at 95 % confidence.
    pub fn new(max_miss: f64) -> Self {
        Calibration { max_miss, max_overkill: None, confidence: 0.95, method: Method::default(), per_kind: false }
    }

    /// Fewest panels that can prove a rate of at most `level`, with none on the wrong side: 299 for 1 % at 95 %.
    pub fn needed(&self, level: f64, tests: usize) -> u64 {
        let enough = |of: u64| self.holds(0, of, level, tests);
        let mut high = 1;
        while !enough(high) {
            high *= 2;
        }
        let mut low = high / 2;
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if enough(middle) { high = middle } else { low = middle }
        }
        high
    }

    /// The smallest rate that `of` panels can prove, with none of them on the wrong side.
    pub fn smallest(&self, of: u64, tests: usize) -> f64 {
        self.bound(0, of, tests)
    }

    /// Refuses numbers that are not rates, and too few panels: `defective` and `good` ones, and those with each kind.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`](panelqc::ErrorKind::Argument) for a rate outside of `0..1`,
    /// [`ErrorKind::TooFewPanels`](panelqc::ErrorKind::TooFewPanels) that says how many panels are needed.
    pub fn check(&self, panels: &[ScoredPanel]) -> Result<()> {
        for (name, rate) in [
            ("miss rate", Some(self.max_miss)),
            ("overkill rate", self.max_overkill),
            ("confidence", Some(self.confidence)),
        ] {
            if let Some(rate) = rate.filter(|rate| !(*rate > 0.0 && *rate < 1.0)) {
                return Err(Error::argument(format!("{name}: expected a number between 0 and 1, found {rate}")));
            }
        }
        let enough = |what: String, level: f64, of: u64, tests: usize| {
            let needed = self.needed(level, tests);
            if of >= needed {
                return Ok(());
            }
            let smallest = (of > 0).then(|| self.smallest(of, tests));
            Err(Error::too_few_panels(what, level, needed, of, smallest))
        };
        let count = |defective: bool| panels.iter().filter(|p| p.defective == defective).count() as u64;
        enough("defective panels for the miss rate".to_owned(), self.max_miss, count(true), 1)?;
        if let Some(level) = self.max_overkill {
            enough("good panels for the overkill rate".to_owned(), level, count(false), 1)?;
        }
        let kinds = self.kinds(panels);
        if self.per_kind && kinds.is_empty() {
            return Err(Error::argument("per kind: expected labels that name the kinds of defects, found none"));
        }
        for kind in &kinds {
            let of = panels.iter().filter(|p| p.kinds.contains(kind)).count() as u64;
            enough(format!("panels with `{kind}` for its miss rate"), self.max_miss, of, kinds.len())?;
        }
        Ok(())
    }

    /// Chooses the limits: panels pass below the highest limit that holds the miss rate. Where that is above
    /// `confidence`, the model's own, it is lowered to it as far as no good panel of the calibration stops passing, as
    /// a lower limit misses less. Panels fail from the lowest limit on that holds the overkill rate; without one, from
    /// `confidence` on.
    ///
    /// # Errors
    /// As [`check`](Self::check), and [`ErrorKind::Calibration`](panelqc::ErrorKind::Calibration) when no limit holds
    /// the rates: the model finds nothing at all on too many defective panels, or has full confidence on too many good
    /// ones.
    pub fn run(&self, panels: &[ScoredPanel], confidence: f32) -> Result<Calibrated> {
        self.run_with(panels, confidence, |_| panels.iter().map(|p| p.score).collect())
    }

    /// As [`run`](Self::run), for a policy in which the highest fail limit at which a panel fails
    /// ([`Policy::fail_score`](panelqc::Policy::fail_score)) is not its score: `fail_scores` gives them for all
    /// `panels` in order, at a review limit.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_with(
        &self,
        panels: &[ScoredPanel],
        confidence: f32,
        fail_scores: impl FnOnce(f32) -> Vec<Option<f32>>,
    ) -> Result<Calibrated> {
        self.check(panels)?;
        let scores =
            |chosen: &dyn Fn(&ScoredPanel) -> bool| Scores::new(panels.iter().filter(|p| chosen(p)).map(|p| p.score));
        let defective = scores(&|p| p.defective);
        let good = scores(&|p| !p.defective);
        let kinds = self.kinds(panels);
        let mut review = self.pass_limit(&defective, "defective panels", 1)?;
        for kind in &kinds {
            let limit =
                self.pass_limit(&scores(&|p| p.kinds.contains(kind)), &format!("panels with `{kind}`"), kinds.len())?;
            review = review.min(limit);
        }
        if review > confidence {
            // Any lower limit misses less: no higher than the good panels of the calibration need it.
            review = confidence.max(good.highest_below(review).map_or(0.0, f32::next_up));
        }
        let failing = panels.iter().zip(fail_scores(review)).filter(|(p, _)| !p.defective);
        let good = Scores::new(failing.map(|(_, score)| score));
        let fail = match self.max_overkill {
            Some(level) => self.fail_limit(&good, level)?,
            None => confidence,
        };
        let limits = Limits { review, fail: fail.max(review) };
        let bounded =
            |scores: &Scores, count: u64, tests| Bounded::new(count, scores.of, self.bound(count, scores.of, tests));
        let passed = |scores: &Scores, tests| bounded(scores, scores.below(limits.review), tests);
        Ok(Calibrated {
            miss: passed(&defective, 1),
            overkill: bounded(&good, good.at_least(limits.fail), 1),
            kinds: kinds
                .iter()
                .map(|kind| (kind.clone(), passed(&scores(&|p| p.kinds.contains(kind)), kinds.len())))
                .collect(),
            limits,
        })
    }

    /// The kinds that get a guarantee of their own.
    fn kinds(&self, panels: &[ScoredPanel]) -> BTreeSet<Kind> {
        let defective = panels.iter().filter(|p| self.per_kind && p.defective);
        defective.flat_map(|p| &p.kinds).cloned().collect()
    }

    /// Most panels of `of` that may be on the wrong side; `None` when even none would be too many.
    fn allowed(&self, of: u64, level: f64, tests: usize) -> Option<u64> {
        // The bound grows with the count: the last of the sequence of tests that is passed.
        (0..of).take_while(|&count| self.holds(count, of, level, tests)).last()
    }

    fn holds(&self, count: u64, of: u64, level: f64, tests: usize) -> bool {
        match self.method {
            Method::ExactBinomial => binomial::cdf(count, of, level) <= (1.0 - self.confidence) / tests as f64,
            Method::ConformalRisk => (count + 1) as f64 <= level * (of + 1) as f64,
        }
    }

    fn bound(&self, count: u64, of: u64, tests: usize) -> f64 {
        match self.method {
            Method::ExactBinomial => binomial::limits(count, of, (1.0 - self.confidence) / tests as f64).1,
            Method::ConformalRisk => (count + 1) as f64 / (of + 1) as f64,
        }
    }

    /// The highest limit below which no more panels score than may be missed.
    fn pass_limit(&self, scores: &Scores, what: &str, tests: usize) -> Result<f32> {
        let allowed = self.allowed(scores.of, self.max_miss, tests).unwrap_or(0);
        let nothing = scores.below(f32::MIN_POSITIVE);
        if nothing > allowed {
            return Err(Error::calibration(format!(
                "expected at most {allowed} of {} {what} on which the model finds nothing at all, found {nothing}: no \
                 limit holds a miss rate of {} %",
                scores.of,
                percent(self.max_miss)
            )));
        }
        // The panel that may not be missed any more; where all inspected ones may be, nothing is above 1.
        Ok(scores.rising.get(allowed as usize).map_or(1.0, |score| score.min(1.0)))
    }

    /// The lowest limit that no more good panels reach than may be failed.
    fn fail_limit(&self, scores: &Scores, level: f64) -> Result<f32> {
        let allowed = self.allowed(scores.of, level, 1).unwrap_or(0) as usize;
        // Just above the good panel that may not fail any more.
        let limit = scores.rising.iter().rev().nth(allowed).map_or(0.0, |score| score.next_up());
        if limit > 1.0 {
            return Err(Error::calibration(format!(
                "expected at most {allowed} of {} good panels that fail at any limit, found more: no limit holds an \
                 overkill rate of {} %",
                scores.of,
                percent(level)
            )));
        }
        Ok(limit)
    }
}

impl Calibrated {
    /// The guarantee that these limits give, as a policy holds it: what was `asked` for, on `date` (`2026-11-24`), for
    /// panels whose hash is `data` ([`data_sha256`](crate::dataset::data_sha256)), `errors` of which could not be
    /// inspected, and a model with this `manifest` (its SHA-256). It is not bound to rules yet: see
    /// [`Guarantee::seal`].
    pub fn guarantee(&self, asked: &Calibration, errors: u64, data: &str, manifest: &str, date: &str) -> Guarantee {
        let mut guarantee = Guarantee::new(date, asked.method, asked.max_miss, self.miss, self.overkill)
            .with_errors(errors)
            .with_data(data)
            .with_manifest(manifest)
            .with_kinds(self.kinds.clone());
        if asked.method == Method::ExactBinomial {
            guarantee = guarantee.with_confidence(asked.confidence);
        }
        match asked.max_overkill {
            Some(max_overkill) => guarantee.with_max_overkill(max_overkill),
            None => guarantee,
        }
    }
}

/// The scores of some panels.
struct Scores {
    /// Of the inspected ones, in rising order.
    rising: Vec<f32>,
    /// Number of panels, those that could not be inspected included.
    of: u64,
}

impl Scores {
    fn new(scores: impl Iterator<Item = Option<f32>>) -> Self {
        let scores: Vec<Option<f32>> = scores.collect();
        let mut rising: Vec<f32> = scores.iter().flatten().copied().collect();
        rising.sort_by(f32::total_cmp);
        Scores { rising, of: scores.len() as u64 }
    }

    fn below(&self, limit: f32) -> u64 {
        self.rising.partition_point(|&score| score < limit) as u64
    }

    fn highest_below(&self, limit: f32) -> Option<f32> {
        self.rising[..self.below(limit) as usize].last().copied()
    }

    fn at_least(&self, limit: f32) -> u64 {
        self.rising.len() as u64 - self.below(limit)
    }
}

/// A share in percent, without the digits that binary fractions leave behind.
fn percent(share: f64) -> f64 {
    (share * 1e8).round() / 1e6
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use panelqc::ErrorKind;

    fn panels(defective: &[f32], good: &[f32]) -> Vec<ScoredPanel> {
        let panel = |defective| move |&score| ScoredPanel { score: Some(score), defective, kinds: BTreeSet::new() };
        defective.iter().map(panel(true)).chain(good.iter().map(panel(false))).collect()
    }

    /// `count` different scores in `0..1`, in a mixed order.
    fn spread(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 % count) as f32 + 0.5) / count as f32).collect()
    }

    #[test]
    fn the_needed_numbers_are_the_known_ones() {
        let exact = Calibration::new(0.01);
        assert_eq!(exact.needed(0.01, 1), 299);
        assert_eq!(exact.needed(0.05, 1), 59);
        assert_eq!(exact.needed(0.01, 6), 477, "Bonferroni for six kinds: ln(0.05 / 6) / ln(0.99)");
        let mean = Calibration { method: Method::ConformalRisk, ..exact };
        assert_eq!(mean.needed(0.01, 1), 99);
        assert!((exact.smallest(125, 1) - 0.023_68).abs() < 1e-5);
    }

    #[test]
    fn too_few_panels_are_refused_with_the_number_needed() {
        let error = Calibration::new(0.01).run(&panels(&spread(298), &spread(10)), 0.5).unwrap_err().to_string();
        assert!(error.contains("at least 299 defective panels") && error.contains("found 298"), "{error}");
        assert!(error.contains("1.00 % at best"), "{error}");
        assert!(Calibration::new(0.01).run(&panels(&spread(299), &[]), 0.5).is_ok());
        // 0.07 * 100 is 7.000000000000001.
        let error = Calibration::new(0.07).run(&panels(&spread(4), &[]), 0.5).unwrap_err().to_string();
        assert!(error.contains("of at most 7 %, found 4"), "{error}");
        let both = Calibration { max_overkill: Some(0.05), ..Calibration::new(0.01) };
        let error = both.run(&panels(&spread(299), &spread(58)), 0.5).unwrap_err().to_string();
        assert!(error.contains("at least 59 good panels"), "{error}");
    }

    #[test]
    fn rates_that_are_none_are_refused() {
        for bad in [0.0, 1.0, -0.1, f64::NAN] {
            let all = panels(&spread(400), &spread(400));
            for wrong in [
                Calibration::new(bad),
                Calibration { confidence: bad, ..Calibration::new(0.1) },
                Calibration { max_overkill: Some(bad), ..Calibration::new(0.1) },
            ] {
                assert_eq!(wrong.run(&all, 0.5).unwrap_err().kind(), ErrorKind::Argument, "{wrong:?}");
            }
        }
    }

    #[test]
    fn defective_panels_without_any_finding_cannot_be_guaranteed() {
        let mut defective = spread(299);
        defective[3] = 0.0;
        let error = Calibration::new(0.01).run(&panels(&defective, &[]), 0.5).unwrap_err().to_string();
        assert!(error.contains("at most 0 of 299") && error.contains("found 1"), "{error}");
    }

    #[test]
    fn a_panel_that_could_not_be_inspected_is_neither_passed_nor_failed() {
        let mut all = panels(&spread(298), &spread(100));
        for defective in [true, false] {
            all.push(ScoredPanel { score: None, defective, kinds: BTreeSet::new() });
        }
        let calibrated = Calibration { max_overkill: Some(0.05), ..Calibration::new(0.01) }.run(&all, 0.5).unwrap();
        assert_eq!((calibrated.miss.count, calibrated.miss.of), (0, 299));
        assert_eq!(calibrated.overkill.of, 101);
    }

    #[test]
    fn a_limit_is_no_higher_than_good_panels_need() {
        let defective: Vec<f32> = spread(299).iter().map(|s| 0.8 + s / 10.0).collect();
        let review = |good: &[f32]| Calibration::new(0.01).run(&panels(&defective, good), 0.5).unwrap().limits.review;
        assert_eq!(review(&[0.1, 0.2]), 0.5);
        assert_eq!(review(&[0.1, 0.6]), 0.6f32.next_up());
        assert_eq!(review(&[0.1, 0.95]), 0.5, "a good panel above the limit does not pass anyway");
    }

    #[test]
    fn each_kind_gets_its_own_guarantee() {
        let mut all = panels(&spread(900), &[]);
        for (at, panel) in all.iter_mut().enumerate() {
            let kind = if at % 9 == 0 { "short" } else { "open" };
            panel.kinds.insert(kind.into());
            if kind == "short" {
                panel.score = panel.score.map(|s| s / 10.0);
            }
        }
        let plain = Calibration::new(0.05).run(&all, 0.5).unwrap();
        let each = Calibration { per_kind: true, ..Calibration::new(0.05) }.run(&all, 0.5).unwrap();
        assert!(each.limits.review < plain.limits.review);
        assert_eq!(each.kinds.len(), 2);
        for (kind, bounded) in &each.kinds {
            assert!(bounded.bound <= 0.05, "{kind}: {bounded:?}");
        }
        let few = Calibration { per_kind: true, ..Calibration::new(0.02) }.run(&all, 0.5).unwrap_err().to_string();
        assert!(few.contains("panels with `short`") && few.contains("found 100"), "{few}");
    }

    proptest! {
        /// Against trying every limit there is: the chosen one holds, and the next higher (lower) one does not.
        #[test]
        fn the_limits_are_those_of_enumeration(
            defective in prop::collection::vec(1u16..40, 60..160),
            good in prop::collection::vec(0u16..40, 60..160),
            level in 0.05f64..0.4,
            conformal: bool,
        ) {
            let scale = |scores: &[u16]| scores.iter().map(|&s| f32::from(s) / 40.0).collect::<Vec<_>>();
            let (defective, good) = (scale(&defective), scale(&good));
            let method = if conformal { Method::ConformalRisk } else { Method::ExactBinomial };
            let config = Calibration { max_overkill: Some(level), method, ..Calibration::new(level) };
            let limits = config.run(&panels(&defective, &good), 0.5).unwrap().limits;
            let holds = |wrong: usize, of: usize| {
                if conformal {
                    return (wrong as f64 + 1.0) <= level * (of as f64 + 1.0);
                }
                // The binomial tail by its recurrence.
                let mut term = (1.0 - level).powi(of as i32);
                let mut sum = term;
                for k in 0..wrong {
                    term *= (of - k) as f64 / (k + 1) as f64 * level / (1.0 - level);
                    sum += term;
                }
                sum <= 1.0 - config.confidence
            };
            let passes = |limit: f32| holds(defective.iter().filter(|&&s| s < limit).count(), defective.len());
            let fails = |limit: f32| holds(good.iter().filter(|&&s| s >= limit).count(), good.len());
            prop_assert!(passes(limits.review));
            let lowered = limits.review == 0.5 || (limits.review > 0.5 && good.contains(&limits.review.next_down()));
            prop_assert!(lowered || limits.review == 1.0 || !passes(limits.review.next_up()));
            prop_assert!(fails(limits.fail));
            prop_assert!(limits.fail == limits.review || limits.fail == 0.0 || !fails(limits.fail.next_down()));
        }
    }

    /// SplitMix64 (Steele, Lea and Flood 2014): a number in `0..1`.
    fn random(state: &mut u64) -> f64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// 2,000 calibrations on panels whose scores are evenly spread: the true miss rate is then the limit itself.
    #[test]
    fn the_promise_is_kept_as_often_as_it_says() {
        const DRAWS: u64 = 2000;
        let mut state = 1;
        for (of, level) in [(60, 0.05), (125, 0.05), (341, 0.01), (200, 0.1)] {
            let mut broken = 0;
            let mut total = 0.0;
            for _ in 0..DRAWS {
                let scores: Vec<f32> = (0..of).map(|_| random(&mut state) as f32).collect();
                let all = panels(&scores, &[]);
                let limit = Calibration::new(level).run(&all, 0.5).unwrap().limits.review;
                broken += u64::from(f64::from(limit) > level);
                let mean = Calibration { method: Method::ConformalRisk, ..Calibration::new(level) };
                total += f64::from(mean.run(&all, 0.5).unwrap().limits.review);
            }
            // What the binomial says exactly, which is at most delta.
            let allowed = Calibration::new(level).allowed(of, level, 1).unwrap();
            let expected = binomial::cdf(allowed, of, level);
            assert!(expected <= 0.05);
            let (low, high) = binomial::limits(broken, DRAWS, 0.0005);
            assert!((low..=high).contains(&expected), "{of}, {level}: {broken} of {DRAWS}, expected {expected}");
            // The limit is then an order statistic of the uniform distribution: a beta distribution.
            let (rank, n) = ((level * (of + 1) as f64).floor(), of as f64);
            let expected = rank / (n + 1.0);
            let sd = (expected * (1.0 - expected) / (n + 2.0) / DRAWS as f64).sqrt();
            let mean = total / DRAWS as f64;
            assert!(expected <= level && (mean - expected).abs() < 4.0 * sd, "{of}, {level}: {mean}, not {expected}");
        }
    }
}
