//! Numbers equal those of other people's implementations, which `cargo xtask reference` has stored.

use std::fs;
use std::ops::Range;

use ndarray::Array2;
use panelqc::{Confidence, Defect, Kind, Mask, PixelBox, Size};
use panelqc_eval::dataset::Truth;
use panelqc_eval::metrics::{
    CocoScores, KindConfusion, PixelScores, Protocol, Rate, RiskCoverage, SegmentScores, Shape, Truths, auroc,
    average_precision, calibration_error, detection_scores,
};
use serde_json::Value;

use crate::util::project;

/// How far a number may be from the reference; what they asked for was 1e-6.
const NEAR: f64 = 1e-9;
/// adeval weighs regions in single precision.
const NEAR_F32: f64 = 1e-6;

fn stored() -> Value {
    serde_json::from_str(&fs::read_to_string(project("tests/reference/metrics.json")).unwrap()).unwrap()
}

/// The cases of one sort, at least `least`.
fn cases<'a>(stored: &'a Value, sort: &str, least: usize) -> &'a [Value] {
    let cases = stored[sort].as_array().unwrap();
    assert!(cases.len() >= least, "only {} cases of {sort}", cases.len());
    cases
}

fn list<T>(value: &Value, of: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().unwrap_or_else(|| panic!("a list: {value}")).iter().map(of).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number: {value}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}"))
}

/// Compares with a tolerance; -1 in the reference is a number that does not exist.
fn compare(case: &Value, what: &str, ours: Option<f64>, theirs: &Value, near: f64) {
    let theirs = Some(number(theirs)).filter(|&n| n >= 0.0);
    let same = match (ours, theirs) {
        (None, None) => true,
        (Some(a), Some(b)) => (a - b).abs() <= near,
        _ => false,
    };
    assert!(same, "{}: {what} is {ours:?}, in the reference {theirs:?}", case["name"]);
}

/// Kind and box of `[image, kind, x, y, width, height]`.
fn place(place: &Value) -> (usize, Kind, PixelBox) {
    let side = |i: usize| number(&place[i]) as f32;
    let (x, y) = (side(2), side(3));
    (place[0].as_u64().unwrap() as usize, text(&place[1]).into(), PixelBox::new(x, y, x + side(4), y + side(5)))
}

/// What was marked and found on each image of a case.
fn images(case: &Value, side: u32) -> Vec<(Vec<Truth>, Vec<Defect>)> {
    let mask =
        |entry: &Value| entry["mask"].as_str().map(|text| Mask::from_coco_counts(Size::new(side, side), text).unwrap());
    let mut images = vec![(Vec::new(), Vec::new()); case["images"].as_u64().unwrap() as usize];
    for entry in case["truth"].as_array().unwrap() {
        let (image, kind, bbox) = place(&entry["place"]);
        let mut truth = Truth::new(kind, bbox);
        truth.mask = mask(entry);
        truth.area = entry["area"].as_f64();
        truth.crowd = entry["crowd"] == true;
        images[image].0.push(truth);
    }
    for entry in case["found"].as_array().unwrap() {
        let (image, kind, bbox) = place(&entry["place"]);
        let defect = Defect::new(kind, Confidence::new(number(&entry["score"]) as f32).unwrap(), bbox);
        images[image].1.push(match mask(entry) {
            Some(mask) => defect.with_mask(mask),
            None => defect,
        });
    }
    images
}

fn views(images: &[(Vec<Truth>, Vec<Defect>)]) -> Vec<Truths<'_>> {
    images.iter().map(|(truth, found)| Truths { truth, found }).collect()
}

#[test]
fn average_precision_and_recall_equal_pycocotools() {
    let stored = stored();
    let side = stored["side"].as_u64().unwrap() as u32;
    let kinds = list(&stored["kinds"], |k| Kind::from(text(k)));
    let mut masks = 0;
    for case in cases(&stored, "coco", 13) {
        let images = images(case, side);
        let shape = if case["masks"] == true { Shape::Mask } else { Shape::Box };
        masks += usize::from(shape == Shape::Mask);
        let s = CocoScores::new(&views(&images), &kinds, shape);
        let (ap, ar) = (s.ap_by_size, s.ar.by_size);
        let ours = [
            ("AP", s.map),
            ("AP50", s.map50),
            ("AP75", s.map75),
            ("AP small", ap.small),
            ("AP medium", ap.medium),
            ("AP large", ap.large),
            ("AR 1", s.ar.one),
            ("AR 10", s.ar.ten),
            ("AR 100", s.ar.hundred),
            ("AR small", ar.small),
            ("AR medium", ar.medium),
            ("AR large", ar.large),
        ];
        for (i, (what, number)) in ours.into_iter().enumerate() {
            compare(case, what, number, &case["expected"][i], NEAR);
        }
        assert_eq!(s.per_kind.len(), case["per_kind"].as_object().unwrap().len(), "{}", case["name"]);
        for (kind, ap) in &s.per_kind {
            compare(case, kind.as_str(), Some(*ap), &case["per_kind"][kind.as_str()], NEAR);
        }
    }
    assert!(masks >= 2);
}

#[test]
fn deeppcb_scores_equal_the_method_of_the_set() {
    let stored = stored();
    let kinds = list(&stored["kinds"], |k| Kind::from(text(k)));
    for case in cases(&stored, "deeppcb", 4) {
        let images = images(case, 0);
        let confidence = number(&case["confidence"]) as f32;
        let s = detection_scores(&views(&images), &kinds, Protocol::Deeppcb, confidence);
        for (what, ours) in [("map", s.map), ("f_score", s.f_score), ("precision", s.precision), ("recall", s.recall)] {
            compare(case, what, Some(ours), &case[what], NEAR);
        }
        for (kind, ap) in case["per_kind"].as_object().unwrap() {
            compare(case, kind, Some(s.per_kind[kind.as_str()].ap), ap, NEAR);
        }
    }
}

#[test]
fn scores_of_panels_equal_scikit_learn() {
    let stored = stored();
    for case in cases(&stored, "scores", 4) {
        let truth = list(&case["truth"], |v| v.as_bool().unwrap());
        let scores = list(&case["scores"], |v| number(v) as f32);
        let samples = || scores.iter().copied().zip(truth.iter().copied());
        compare(case, "AUROC", auroc(samples()), &case["auroc"], NEAR);
        compare(case, "AUPR", average_precision(samples()), &case["aupr"], NEAR);
        compare(case, "ECE", calibration_error(samples()), &case["ece"], NEAR);
        compare(case, "AURC", RiskCoverage::new(samples(), 0.5).map(|c| c.aurc), &case["aurc"], NEAR);
    }
}

#[test]
fn classes_equal_scikit_learn() {
    let stored = stored();
    for case in cases(&stored, "classes", 2) {
        let kinds = |key: &str| list(&case[key], |v| Kind::from(text(v)));
        let (truth, found, labels) = (kinds("truth"), kinds("found"), kinds("labels"));
        let matrix = KindConfusion::of_classes(truth.iter().cloned().zip(found));
        assert_eq!(matrix.kinds, labels);
        assert_eq!(matrix.counts, list(&case["confusion"], |row| list(row, |n| n.as_u64().unwrap())));
        compare(case, "accuracy", matrix.accuracy(), &case["accuracy"], NEAR);
        compare(case, "macro F1", matrix.macro_f1(), &case["macro_f1"], NEAR);
        for (i, label) in labels.iter().enumerate() {
            compare(case, label.as_str(), matrix.f1().get(label).copied(), &case["f1"][i], NEAR);
        }
        let areas = labels.iter().enumerate().map(|(column, label)| {
            let scores = list(&case["scores"], |row| number(&row[column]) as f32);
            auroc(scores.into_iter().zip(&truth).map(|(score, truth)| (score, truth == label))).unwrap()
        });
        compare(case, "AUROC of kinds", Some(areas.sum::<f64>() / labels.len() as f64), &case["auroc"], NEAR);
    }
}

/// The mask of a text of `0` and `1`, row by row.
fn mask(text: &str, (height, width): (usize, usize)) -> Mask {
    Mask::from_fn(Size::new(width as u32, height as u32), |x, y| {
        text.as_bytes()[y as usize * width + x as usize] == b'1'
    })
}

fn size(case: &Value) -> (usize, usize) {
    let side = |i: usize| case["size"][i].as_u64().unwrap() as usize;
    (side(0), side(1))
}

#[test]
fn pixels_equal_adeval() {
    let stored = stored();
    for case in cases(&stored, "pixels", 3) {
        let size = size(case);
        let mut scores = PixelScores::new();
        for (map, marked) in case["maps"].as_array().unwrap().iter().zip(case["masks"].as_array().unwrap()) {
            let map = Array2::from_shape_vec(size, list(map, |v| number(v) as f32 / 64.0)).unwrap();
            scores.add(map.view(), [&mask(text(marked), size)]);
        }
        compare(case, "pixel AUROC", scores.auroc(), &case["auroc"], NEAR_F32);
        compare(case, "AU-PRO", scores.aupro(), &case["aupro"], NEAR_F32);
    }
}

#[test]
fn segments_equal_scikit_learn() {
    let stored = stored();
    let kinds = list(&stored["kinds"], |k| Kind::from(text(k)));
    for case in cases(&stored, "segments", 2) {
        let masks = |key: &str| list(&case[key], |image| list(image, |m| mask(text(m), size(case))));
        let truths = masks("truth")
            .into_iter()
            .map(|image| kinds.iter().zip(image).filter_map(|(k, m)| Truth::of_mask(k.clone(), m)).collect::<Vec<_>>());
        let found = masks("found").into_iter().map(|image| {
            let defect = |(kind, mask): (&Kind, Mask)| {
                Defect::new(kind.clone(), Confidence::new(0.9).unwrap(), PixelBox::default()).with_mask(mask)
            };
            kinds.iter().zip(image).map(defect).collect::<Vec<_>>()
        });
        let images: Vec<_> = truths.zip(found).collect();
        let scores = SegmentScores::new(&views(&images), &kinds, |_| 0.5).unwrap();
        let expected = |key: &str, i: usize| number(&case[key][i]);
        let all: Range<usize> = 0..kinds.len();
        for i in all.clone() {
            compare(case, "IoU", Some(scores.per_kind[&kinds[i]].iou), &case["iou"][i], NEAR);
            compare(case, "Dice", Some(scores.per_kind[&kinds[i]].dice), &case["dice"][i], NEAR);
        }
        let mean = |key: &str| all.clone().map(|i| expected(key, i)).sum::<f64>() / kinds.len() as f64;
        assert!((scores.mean_iou - mean("iou")).abs() <= NEAR && (scores.dice - mean("dice")).abs() <= NEAR);
    }
}

#[test]
fn intervals_equal_scipy() {
    let stored = stored();
    for case in cases(&stored, "rates", 7) {
        let rate = Rate::new(case["count"].as_u64().unwrap(), case["of"].as_u64().unwrap());
        let (low, high) = rate.exact();
        for (ours, theirs) in [
            (rate.low, &case["wilson"][0]),
            (rate.high, &case["wilson"][1]),
            (low, &case["exact"][0]),
            (high, &case["exact"][1]),
        ] {
            assert!((ours - number(theirs)).abs() <= NEAR, "{rate:?}: {ours}, in the reference {theirs}");
        }
    }
}
