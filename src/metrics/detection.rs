use std::collections::BTreeMap;

use serde::Serialize;

use crate::dataset::Truth;
use crate::defect::Kind;
use crate::geometry::PixelBox;

/// The truth of one image beside what was detected on it: kind, confidence, box.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Truths {
    /// What a person marked.
    pub truth: Vec<Truth>,
    /// What the model found.
    pub found: Vec<(Kind, f32, PixelBox)>,
}

/// Detection accuracy over a set of images.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DetectionScores {
    /// A detection is right when its IoU with a truth of its kind is above this.
    pub iou: f64,
    /// Mean of the kinds' average precision.
    pub map: f64,
    /// `2PR / (P + R)` over all kinds at `f_score_confidence`.
    pub f_score: f64,
    /// The confidence from which detections count for F-score, precision and recall.
    pub f_score_confidence: f32,
    /// Right detections of all detections, at that confidence.
    pub precision: f64,
    /// Right detections of all truths, at that confidence.
    pub recall: f64,
    /// Right detections at that confidence.
    pub right: u64,
    /// Detections at that confidence.
    pub detections: u64,
    /// Truths.
    pub truths: u64,
    /// Each kind by itself.
    pub per_kind: BTreeMap<Kind, KindScores>,
}

/// Detection accuracy for one kind.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct KindScores {
    /// Average precision: the sum over right detections, the surest first, of the precision so far, divided by the
    /// number of truths.
    pub ap: f64,
    /// Right detections at the F-score's confidence.
    pub right: u64,
    /// Detections at the F-score's confidence.
    pub detections: u64,
    /// Truths.
    pub truths: u64,
}

/// mAP and F-score as the DeepPCB data set defines them (Tang et al. 2019, after the ICDAR 2015 script): a detection
/// is right when its IoU with a truth of the same kind is above `iou`, each truth is used once, the surest detection
/// first (it takes the truth that it overlaps most). Images without truth count: what is found there is wrong.
pub fn detection_scores(images: &[Truths], kinds: &[Kind], iou: f64, confidence: f32) -> DetectionScores {
    let mut per_kind = BTreeMap::new();
    for kind in kinds {
        // (confidence, right) of each detection; the order of equal confidences is that of the images.
        let mut ranked: Vec<(f32, bool)> = Vec::new();
        let mut truths = 0u64;
        for image in images {
            let mut open: Vec<&PixelBox> = image.truth.iter().filter(|t| t.kind == *kind).map(|t| &t.bbox).collect();
            truths += open.len() as u64;
            let mut found: Vec<_> = image.found.iter().filter(|(k, ..)| k == kind).collect();
            found.sort_by(|a, b| b.1.total_cmp(&a.1));
            for (_, confidence, bbox) in found {
                let best = open
                    .iter()
                    .enumerate()
                    .map(|(i, truth)| (i, f64::from(truth.iou(bbox))))
                    .max_by(|a, b| a.1.total_cmp(&b.1))
                    .filter(|&(_, overlap)| overlap > iou);
                if let Some((taken, _)) = best {
                    open.remove(taken);
                }
                ranked.push((*confidence, best.is_some()));
            }
        }
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut right, mut precisions) = (0u64, 0.0);
        for (rank, (_, hit)) in ranked.iter().enumerate() {
            if *hit {
                right += 1;
                precisions += right as f64 / (rank + 1) as f64;
            }
        }
        let counted = ranked.iter().filter(|(c, _)| *c >= confidence);
        per_kind.insert(
            kind.clone(),
            KindScores {
                ap: if truths > 0 { precisions / truths as f64 } else { 0.0 },
                right: counted.clone().filter(|(_, hit)| *hit).count() as u64,
                detections: counted.count() as u64,
                truths,
            },
        );
    }
    let sum = |part: fn(&KindScores) -> u64| per_kind.values().map(part).sum::<u64>();
    let (right, detections, truths) = (sum(|k| k.right), sum(|k| k.detections), sum(|k| k.truths));
    let ratio = |of: u64| if of > 0 { right as f64 / of as f64 } else { 0.0 };
    let (precision, recall) = (ratio(detections), ratio(truths));
    // A kind without a truth has no average precision.
    let aps: Vec<f64> = per_kind.values().filter(|k| k.truths > 0).map(|k| k.ap).collect();
    DetectionScores {
        iou,
        map: if aps.is_empty() { 0.0 } else { aps.iter().sum::<f64>() / aps.len() as f64 },
        f_score: if right > 0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 },
        f_score_confidence: confidence,
        precision,
        recall,
        right,
        detections,
        truths,
        per_kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: f32) -> PixelBox {
        PixelBox::new(x, 0.0, x + 10.0, 10.0)
    }

    #[test]
    fn a_worked_example() {
        // Truths: a at 0, a at 100, b at 0. Found, surest first: a right, a on nothing, a again on the first truth
        // (wrong: used), a right, b where an a is (wrong).
        let a: Kind = "a".into();
        let b: Kind = "b".into();
        let truth = |kind: &Kind, x| Truth::new(kind.clone(), at(x));
        let images = [
            Truths {
                truth: vec![truth(&a, 0.0), truth(&b, 50.0)],
                found: vec![(a.clone(), 0.7, at(2.0)), (a.clone(), 0.9, at(1.0)), (b.clone(), 0.5, at(0.0))],
            },
            Truths { truth: vec![truth(&a, 100.0)], found: vec![(a.clone(), 0.6, at(101.0))] },
            Truths { truth: vec![], found: vec![(a.clone(), 0.8, at(0.0))] },
        ];
        let s = detection_scores(&images, &[a.clone(), b.clone()], 0.33, 0.55);
        // a: ranks 1 (right, 1/1), 2 and 3 wrong, 4 (right, 2/4): AP = (1 + 0.5) / 2 = 0.75; b: 0.
        assert_eq!(s.per_kind[&a].ap, 0.75);
        assert_eq!(s.per_kind[&b], KindScores { ap: 0.0, right: 0, detections: 0, truths: 1 });
        assert_eq!(s.map, 0.375);
        assert_eq!((s.right, s.detections, s.truths), (2, 4, 3));
        assert_eq!((s.precision, s.recall), (0.5, 2.0 / 3.0));
        assert!((s.f_score - 4.0 / 7.0).abs() < 1e-12);
    }
}
