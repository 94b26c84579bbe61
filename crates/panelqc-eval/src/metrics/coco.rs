use std::collections::BTreeMap;

use panelqc::Kind;
use serde::Serialize;

use super::overlap::{Shape, Truths};

/// Number of IoU limits, 0.50 to 0.95 in steps of 0.05.
const LIMITS: usize = 10;
/// Number of recalls at which precision is read, 0 to 1.
const RECALLS: usize = 101;
/// Most detections of a kind on one image that count.
const MOST: usize = 100;
/// Areas in square pixels that count: all, small, medium, large. Both ends belong to a range.
const AREAS: [(f64, f64); 4] = [(0.0, 1e10), (0.0, 1024.0), (1024.0, 9216.0), (9216.0, 1e10)];

/// Average precision and recall as COCO defines them (Lin et al. 2014; `cocoeval.py`). A number is absent when no truth
/// of its size exists.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct CocoScores {
    /// Mean over the kinds and the IoU limits 0.50 to 0.95 of the average precision at 101 recalls.
    pub map: Option<f64>,
    /// The same at IoU 0.50 alone.
    pub map50: Option<f64>,
    /// The same at IoU 0.75 alone.
    pub map75: Option<f64>,
    /// `map` by size of the truths.
    pub ap_by_size: BySize,
    /// Mean over the kinds and IoU limits of the highest recall.
    pub ar: AverageRecall,
    /// `map` of each kind that has truths.
    pub per_kind: BTreeMap<Kind, f64>,
}

/// A number for small (up to 32 x 32 square pixels), medium and large (from 96 x 96) defects.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct BySize {
    /// Up to 1,024 square pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub small: Option<f64>,
    /// From 1,024 to 9,216 square pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<f64>,
    /// From 9,216 square pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub large: Option<f64>,
}

/// Average recall, with so many detections of each kind on an image at most.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct AverageRecall {
    /// With the most confident one.
    #[serde(rename = "1", skip_serializing_if = "Option::is_none")]
    pub one: Option<f64>,
    /// With ten.
    #[serde(rename = "10", skip_serializing_if = "Option::is_none")]
    pub ten: Option<f64>,
    /// With a hundred.
    #[serde(rename = "100", skip_serializing_if = "Option::is_none")]
    pub hundred: Option<f64>,
    /// With a hundred, by size of the truths.
    #[serde(flatten)]
    pub by_size: BySize,
}

/// One detection: bit `i` of `hit` and `out` is for IoU limit `i`.
struct Ranked {
    confidence: f32,
    /// Place among the detections of its kind on its image, most confident first.
    rank: usize,
    hit: u16,
    /// It does not count: it found what is to be ignored, or nothing and is of another size.
    out: u16,
}

/// The detections of one kind over all images, most confident first, and the number of truths that count.
struct Ranking {
    found: Vec<Ranked>,
    truths: usize,
}

impl CocoScores {
    /// Scores the detections of `kinds` on `images`. Of equal confidences the one of the earlier image comes first.
    pub fn new(images: &[Truths<'_>], kinds: &[Kind], shape: Shape) -> Self {
        let all: Vec<(&Kind, [Ranking; 4])> = kinds.iter().map(|kind| (kind, rankings(images, kind, shape))).collect();
        // Over the kinds that have truths of that size; `limits` are IoU limits.
        let precision = |area: usize, limits: std::ops::Range<usize>| {
            let of = |r: &[Ranking; 4]| limits.clone().filter_map(|i| r[area].average_precision(i)).collect::<Vec<_>>();
            mean(all.iter().flat_map(|(_, r)| of(r)))
        };
        let recall = |area: usize, most: usize| {
            let of = |r: &[Ranking; 4]| (0..LIMITS).filter_map(|i| r[area].recall(i, most)).collect::<Vec<_>>();
            mean(all.iter().flat_map(|(_, r)| of(r)))
        };
        let by_size =
            |number: &dyn Fn(usize) -> Option<f64>| BySize { small: number(1), medium: number(2), large: number(3) };
        let of_kind = |r: &[Ranking; 4]| mean((0..LIMITS).filter_map(|i| r[0].average_precision(i)));
        CocoScores {
            map: precision(0, 0..LIMITS),
            map50: precision(0, 0..1),
            map75: precision(0, 5..6),
            ap_by_size: by_size(&|area| precision(area, 0..LIMITS)),
            ar: AverageRecall {
                one: recall(0, 1),
                ten: recall(0, 10),
                hundred: recall(0, MOST),
                by_size: by_size(&|area| recall(area, MOST)),
            },
            per_kind: all.iter().filter_map(|(kind, r)| Some(((*kind).clone(), of_kind(r)?))).collect(),
        }
    }
}

fn mean(numbers: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, count) = numbers.into_iter().fold((0.0, 0u32), |(sum, count), n| (sum + n, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// The IoU limits, with the rounding of `numpy.linspace`.
fn limit(i: usize) -> f64 {
    if i + 1 == LIMITS { 0.95 } else { 0.5 + i as f64 * ((0.95 - 0.5) / 9.0) }
}

/// One ranking for each range of areas.
fn rankings(images: &[Truths<'_>], kind: &Kind, shape: Shape) -> [Ranking; 4] {
    let mut rankings = AREAS.map(|_| Ranking { found: Vec::new(), truths: 0 });
    for image in images {
        let truths: Vec<_> = image.truth.iter().filter(|t| t.kind == *kind).collect();
        let mut found = image.most_confident(|d| d.kind == *kind);
        found.truncate(MOST);
        if truths.is_empty() && found.is_empty() {
            continue;
        }
        let overlaps: Vec<Vec<f64>> =
            found.iter().map(|d| truths.iter().map(|t| shape.overlap(t, d)).collect()).collect();
        for (ranking, (low, high)) in rankings.iter_mut().zip(AREAS) {
            let sized = |area: f64| (low..=high).contains(&area);
            let ignored: Vec<bool> = truths.iter().map(|t| t.ignore || t.crowd || !sized(t.area())).collect();
            // Those that count come first.
            let mut order: Vec<usize> = (0..truths.len()).collect();
            order.sort_by_key(|&g| ignored[g]);
            let mut ranked: Vec<Ranked> = found
                .iter()
                .enumerate()
                .map(|(rank, d)| Ranked { confidence: d.confidence.get(), rank, hit: 0, out: 0 })
                .collect();
            for i in 0..LIMITS {
                let mut taken = vec![false; truths.len()];
                for (d, entry) in ranked.iter_mut().enumerate() {
                    let mut best = limit(i).min(1.0 - 1e-10);
                    let mut chosen: Option<usize> = None;
                    for &g in &order {
                        if taken[g] && !truths[g].crowd {
                            continue;
                        }
                        // What counts was found already: what is ignored cannot take it away.
                        if chosen.is_some_and(|c| !ignored[c]) && ignored[g] {
                            break;
                        }
                        if overlaps[d][g] >= best {
                            (best, chosen) = (overlaps[d][g], Some(g));
                        }
                    }
                    let out = match chosen {
                        Some(g) => {
                            taken[g] = true;
                            entry.hit |= 1 << i;
                            ignored[g]
                        }
                        None => !sized(shape.area(found[d])),
                    };
                    entry.out |= u16::from(out) << i;
                }
            }
            ranking.truths += ignored.iter().filter(|ignored| !**ignored).count();
            ranking.found.extend(ranked);
        }
    }
    for ranking in &mut rankings {
        ranking.found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    }
    rankings
}

impl Ranking {
    /// Mean precision over 101 recalls at IoU limit `i`; `None` without truths.
    fn average_precision(&self, i: usize) -> Option<f64> {
        if self.truths == 0 {
            return None;
        }
        let (mut right, mut wrong) = (0u64, 0u64);
        let mut curve: Vec<(f64, f64)> = Vec::new();
        for entry in self.found.iter().filter(|entry| entry.out >> i & 1 == 0) {
            if entry.hit >> i & 1 == 1 {
                right += 1;
            } else {
                wrong += 1;
            }
            curve.push((right as f64 / self.truths as f64, right as f64 / ((right + wrong) as f64 + f64::EPSILON)));
        }
        // Precision never rises with recall: each point has the best of those after it.
        let mut best = 0.0f64;
        for point in curve.iter_mut().rev() {
            best = best.max(point.1);
            point.1 = best;
        }
        let mut at = 0;
        let mut sum = 0.0;
        for step in 0..RECALLS {
            let recall = if step + 1 == RECALLS { 1.0 } else { step as f64 * 0.01 };
            while at < curve.len() && curve[at].0 < recall {
                at += 1;
            }
            sum += curve.get(at).map_or(0.0, |point| point.1);
        }
        Some(sum / RECALLS as f64)
    }

    /// Highest recall at IoU limit `i` with the `most` most confident detections of each image.
    fn recall(&self, i: usize, most: usize) -> Option<f64> {
        let counted = |entry: &&Ranked| entry.rank < most && entry.out >> i & 1 == 0 && entry.hit >> i & 1 == 1;
        (self.truths > 0).then(|| self.found.iter().filter(counted).count() as f64 / self.truths as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Truth;
    use panelqc::{Confidence, Defect, PixelBox};
    use proptest::prelude::*;

    fn defect(confidence: f32, x: f32) -> Defect {
        Defect::new("a".into(), Confidence::new(confidence).unwrap(), PixelBox::new(x, 0.0, x + 10.0, 10.0))
    }

    fn truth(x: f32) -> Truth {
        Truth::new("a".into(), PixelBox::new(x, 0.0, x + 10.0, 10.0))
    }

    #[test]
    fn good_images_are_counted_in_precision() {
        let (marked, found, false_alarm) = ([truth(0.0)], [defect(0.8, 0.0)], [defect(0.9, 50.0)]);
        let with = Truths { truth: &marked, found: &found };
        let good = Truths { truth: &[], found: &false_alarm };
        let kinds = ["a".into()];
        let map = |images: &[Truths]| CocoScores::new(images, &kinds, Shape::Box).map50.unwrap();
        assert!((map(&[with]) - 1.0).abs() < 1e-12);
        assert!((map(&[with, good]) - 0.5).abs() < 1e-12, "a false alarm on a good image halves the precision");
        assert_eq!(CocoScores::new(&[good], &kinds, Shape::Box), CocoScores::default(), "no truth, no number");
    }

    proptest! {
        #[test]
        fn numbers_are_shares_and_do_not_depend_on_the_order(
            marked in proptest::collection::vec((0usize..4, 0f32..60.0), 0..12),
            found in proptest::collection::vec((0usize..4, 0f32..60.0), 0..20),
        ) {
            let truths: Vec<Vec<Truth>> = (0..4)
                .map(|i| marked.iter().filter(|m| m.0 == i).map(|m| truth(m.1)).collect()).collect();
            // No two confidences are equal: between equals the order of the images decides.
            let defects: Vec<Vec<Defect>> = (0..4)
                .map(|i| found.iter().enumerate().filter(|(_, f)| f.0 == i)
                    .map(|(n, f)| defect(0.9 - n as f32 * 0.01, f.1)).collect()).collect();
            let mut images: Vec<Truths> = truths.iter().zip(&defects)
                .map(|(truth, found)| Truths { truth, found }).collect();
            let scores = CocoScores::new(&images, &["a".into()], Shape::Box);
            for number in [scores.map, scores.map50, scores.map75, scores.ar.one, scores.ar.hundred] {
                prop_assert!(number.is_none_or(|n| (0.0..=1.0).contains(&n)));
                prop_assert_eq!(number.is_some(), !marked.is_empty());
            }
            prop_assert!(scores.map50 >= scores.map75);
            images.reverse();
            prop_assert_eq!(CocoScores::new(&images, &["a".into()], Shape::Box), scores);
        }
    }
}
