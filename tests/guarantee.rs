//! Guarantees against mapie and scipy (`tests/reference/guarantee_cases.py` made the numbers).

use std::collections::BTreeSet;

use panelqc::{ErrorKind, Method};
use panelqc_eval::metrics::Rate;
use panelqc_eval::{Calibration, Monitor, ScoredPanel};
use serde::Deserialize;

use crate::util;

#[derive(Deserialize)]
struct Reference {
    calibrations: Vec<Case>,
    limits: Vec<Limit>,
    evidence: Vec<Evidence>,
}

#[derive(Deserialize)]
struct Case {
    method: Method,
    level: f64,
    confidence: f64,
    defective: Vec<f32>,
    good: Vec<f32>,
    review: Option<f32>,
    fail: Option<f32>,
}

#[derive(Deserialize)]
struct Limit {
    count: u64,
    of: u64,
    low: f64,
    high: f64,
}

#[derive(Deserialize)]
struct Evidence {
    count: u64,
    of: u64,
    level: f64,
    log: f64,
}

fn reference() -> Reference {
    let path = util::project("tests/reference/guarantee.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn limits_are_those_of_mapie() {
    let (mut compared, mut refused) = (0, 0);
    for case in reference().calibrations {
        let panel = |defective| move |&score| ScoredPanel { score: Some(score), defective, kinds: BTreeSet::new() };
        let panels: Vec<_> = case.defective.iter().map(panel(true)).chain(case.good.iter().map(panel(false))).collect();
        let mut asked = Calibration::new(case.level);
        asked.method = case.method;
        asked.confidence = case.confidence;
        // The miss rate alone, with a model's confidence that does not lower the limit.
        let defective: Vec<_> = panels.iter().filter(|p| p.defective).cloned().collect();
        let what = format!("{} at {}, {} panels", case.method, case.level, defective.len());
        match (asked.run(&defective, 1.0), case.review) {
            (Ok(calibrated), Some(review)) => assert_eq!(calibrated.limits.review, review, "{what}"),
            (Err(e), None) if e.kind() == ErrorKind::TooFewPanels => refused += 1,
            (found, expected) => panic!("{what}: expected {expected:?}, found {found:?}"),
        }
        asked.max_overkill = Some(case.level);
        match (asked.run(&panels, 1.0), case.fail) {
            // No confidence is above 1: too many good panels are as sure as a defect can be.
            (Err(e), Some(fail)) if e.kind() == ErrorKind::Calibration && fail > 1.0 => {}
            (Ok(calibrated), Some(fail)) => {
                assert_eq!(calibrated.limits.fail, fail.max(calibrated.limits.review), "{what}")
            }
            (Err(e), None) if e.kind() == ErrorKind::TooFewPanels => {}
            (found, expected) => panic!("{what}: expected {expected:?}, found {found:?}"),
        }
        compared += 1;
    }
    assert_eq!((compared, refused), (80, 18), "compared, refused");
}

#[test]
fn intervals_are_those_of_scipy() {
    for Limit { count, of, low, high } in reference().limits {
        let found = Rate::new(count, of).exact();
        assert!((found.0 - low).abs() < 1e-10 && (found.1 - high).abs() < 1e-10, "{count} of {of}: {found:?}");
    }
}

#[test]
fn the_evidence_of_a_monitor_is_the_integral() {
    for Evidence { count, of, level, log } in reference().evidence {
        let mut monitor = Monitor::new(level, 0.95).unwrap();
        monitor.add(count, of).unwrap();
        assert!((monitor.log_evidence() - log).abs() < 1e-8 * log.abs().max(1.0), "{count} of {of} at {level}");
    }
}
