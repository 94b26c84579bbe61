use std::collections::BTreeMap;

use panelqc::{Defect, Kind};
use serde::{Deserialize, Serialize};

use super::overlap::{Shape, Truths};
use super::thin::thin;
use crate::dataset::{DataFormat, Truth};

/// When a detection is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// As DeepPCB defines it (Tang et al. 2019, after the ICDAR 2015 script): IoU above 0.33; each truth, in the order
    /// of the labels, takes the most confident detection of its kind that is still free.
    Deeppcb,
    /// IoU of at least 0.5; each detection, most confident first, takes the free truth of its kind that it overlaps
    /// most. What finds only a truth that is to be ignored counts neither way.
    Coco,
}

impl From<DataFormat> for Protocol {
    fn from(format: DataFormat) -> Self {
        if format == DataFormat::Deeppcb { Protocol::Deeppcb } else { Protocol::Coco }
    }
}

impl Protocol {
    /// The IoU that is needed.
    pub fn iou(self) -> f64 {
        match self {
            Protocol::Deeppcb => 0.33,
            Protocol::Coco => 0.5,
        }
    }

    /// Whether an overlap is enough.
    pub(super) fn accepts(self, overlap: f64) -> bool {
        match self {
            Protocol::Deeppcb => overlap > self.iou(),
            Protocol::Coco => overlap >= self.iou(),
        }
    }

    /// For each of `found` (of one kind, most confident first) whether it is right; `None` for one that does not count.
    fn right(self, truths: &[&Truth], found: &[&Defect]) -> Vec<Option<bool>> {
        let mut right = vec![Some(false); found.len()];
        let overlap = |t: &Truth, d: &Defect| Some(Shape::Box.overlap(t, d)).filter(|&overlap| self.accepts(overlap));
        match self {
            Protocol::Deeppcb => {
                for truth in truths {
                    let free =
                        (0..found.len()).find(|&d| right[d] == Some(false) && overlap(truth, found[d]).is_some());
                    if let Some(d) = free {
                        right[d] = Some(true);
                    }
                }
            }
            Protocol::Coco => {
                let mut open: Vec<&Truth> = truths.iter().copied().filter(|t| !t.ignore).collect();
                let ignored: Vec<&Truth> = truths.iter().copied().filter(|t| t.ignore).collect();
                for (d, right) in found.iter().zip(&mut right) {
                    let overlaps = open.iter().enumerate().filter_map(|(i, t)| Some((i, overlap(t, d)?)));
                    if let Some((taken, _)) = overlaps.max_by(|a, b| a.1.total_cmp(&b.1)) {
                        open.remove(taken);
                        *right = Some(true);
                    } else if ignored.iter().any(|t| overlap(t, d).is_some()) {
                        *right = None;
                    }
                }
            }
        }
        right
    }
}

/// Detection accuracy over a set of images.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DetectionScores {
    /// The IoU that a right detection needs.
    pub iou: f64,
    /// Mean of the kinds' average precision.
    pub map: f64,
    /// `2PR / (P + R)` over all kinds at `f_score_confidence`.
    pub f_score: f64,
    /// The confidence from which detections count for F-score, precision and recall.
    pub f_score_confidence: f32,
    /// Right detections of all detections, at that confidence. Those on good images count.
    pub precision: f64,
    /// Right detections of all truths, at that confidence.
    pub recall: f64,
    /// Counts of all kinds at that confidence; `ap` is `map`.
    pub all: KindScores,
    /// Each kind by itself.
    pub per_kind: BTreeMap<Kind, KindScores>,
    /// Counts of each image, of all kinds, at that confidence.
    #[serde(skip)]
    pub per_image: Vec<Counts>,
    /// Precision and recall of each kind from the most confident detection on, at most 200 points.
    #[serde(skip)]
    pub curves: BTreeMap<Kind, Vec<CurvePoint>>,
}

/// Detection accuracy for one kind.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct KindScores {
    /// Average precision: the sum over right detections, most confident first, of the precision so far, divided by the
    /// number of truths.
    pub ap: f64,
    /// Right detections at the F-score's confidence.
    pub right: u64,
    /// Detections at the F-score's confidence.
    pub detections: u64,
    /// Truths.
    pub truths: u64,
}

/// Detections of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Right detections.
    pub right: u64,
    /// Detections.
    pub detections: u64,
    /// Truths.
    pub truths: u64,
}

/// One point of a precision-recall curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Right detections of all truths.
    pub recall: f64,
    /// Right detections of all detections.
    pub precision: f64,
    /// The least confidence that counts.
    pub confidence: f32,
}

/// mAP and F-score. Images without truth count: what is found there is wrong.
pub fn detection_scores(images: &[Truths<'_>], kinds: &[Kind], protocol: Protocol, confidence: f32) -> DetectionScores {
    let mut per_image = vec![Counts::default(); images.len()];
    let mut per_kind = BTreeMap::new();
    let mut curves = BTreeMap::new();
    for kind in kinds {
        // (confidence, right) of each detection; the order of equal confidences is that of the images.
        let mut ranked: Vec<(f32, bool)> = Vec::new();
        let mut scores = KindScores::default();
        for (image, counts) in images.iter().zip(&mut per_image) {
            let truths: Vec<&Truth> = image.truth.iter().filter(|t| t.kind == *kind).collect();
            let found = image.most_confident(|d| d.kind == *kind);
            let right = protocol.right(&truths, &found);
            let judged = found.iter().zip(right).filter_map(|(d, right)| Some((d.confidence.get(), right?)));
            let judged: Vec<(f32, bool)> = judged.collect();
            let counted = judged.iter().filter(|(c, _)| *c >= confidence);
            let here = Counts {
                right: counted.clone().filter(|(_, right)| *right).count() as u64,
                detections: counted.count() as u64,
                truths: truths.iter().filter(|t| !t.ignore).count() as u64,
            };
            counts.add(here);
            scores.right += here.right;
            scores.detections += here.detections;
            scores.truths += here.truths;
            ranked.extend(judged);
        }
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut right, mut precisions) = (0u64, 0.0);
        let mut curve = Vec::with_capacity(ranked.len());
        for (rank, &(confidence, hit)) in ranked.iter().enumerate() {
            let precision = |right: u64| right as f64 / (rank + 1) as f64;
            if hit {
                right += 1;
                precisions += precision(right);
            }
            let recall = if scores.truths > 0 { right as f64 / scores.truths as f64 } else { 0.0 };
            curve.push(CurvePoint { recall, precision: precision(right), confidence });
        }
        scores.ap = if scores.truths > 0 { precisions / scores.truths as f64 } else { 0.0 };
        per_kind.insert(kind.clone(), scores);
        curves.insert(kind.clone(), thin(curve));
    }
    let mut all = Counts::default();
    per_image.iter().for_each(|counts| all.add(*counts));
    // A kind without a truth has no average precision.
    let aps: Vec<f64> = per_kind.values().filter(|k| k.truths > 0).map(|k| k.ap).collect();
    let map = if aps.is_empty() { 0.0 } else { aps.iter().sum::<f64>() / aps.len() as f64 };
    DetectionScores {
        iou: protocol.iou(),
        map,
        f_score: all.f_score(),
        f_score_confidence: confidence,
        precision: all.precision(),
        recall: all.recall(),
        all: KindScores { ap: map, right: all.right, detections: all.detections, truths: all.truths },
        per_kind,
        per_image,
        curves,
    }
}

impl Counts {
    /// Adds those of another image.
    pub fn add(&mut self, other: Counts) {
        self.right += other.right;
        self.detections += other.detections;
        self.truths += other.truths;
    }

    /// Right detections of all detections; 0 of none.
    pub fn precision(&self) -> f64 {
        ratio(self.right, self.detections)
    }

    /// Right detections of all truths; 0 of none.
    pub fn recall(&self) -> f64 {
        ratio(self.right, self.truths)
    }

    /// `2PR / (P + R)`.
    pub fn f_score(&self) -> f64 {
        ratio(2 * self.right, self.detections + self.truths)
    }
}

fn ratio(count: u64, of: u64) -> f64 {
    if of > 0 { count as f64 / of as f64 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use panelqc::{Confidence, PixelBox};

    fn at(x: f32) -> PixelBox {
        PixelBox::new(x, 0.0, x + 10.0, 10.0)
    }

    fn found(kind: &str, confidence: f32, x: f32) -> Defect {
        Defect::new(kind.into(), Confidence::new(confidence).unwrap(), at(x))
    }

    #[test]
    fn a_worked_example() {
        // Truths: a at 0, a at 100, b at 0. Found, most confident first: a right, a on nothing, a again on the first
        // truth (wrong: used), a right, b where an a is (wrong).
        let (a, b): (Kind, Kind) = ("a".into(), "b".into());
        let truth = |kind: &Kind, x| Truth::new(kind.clone(), at(x));
        let marked = [vec![truth(&a, 0.0), truth(&b, 50.0)], vec![truth(&a, 100.0)], vec![]];
        let defects = [
            vec![found("a", 0.7, 2.0), found("a", 0.9, 1.0), found("b", 0.5, 0.0)],
            vec![found("a", 0.6, 101.0)],
            vec![found("a", 0.8, 0.0)],
        ];
        let images: Vec<_> = marked.iter().zip(&defects).map(|(truth, found)| Truths { truth, found }).collect();
        for protocol in [Protocol::Deeppcb, Protocol::Coco] {
            let s = detection_scores(&images, &[a.clone(), b.clone()], protocol, 0.55);
            // a: ranks 1 (right, 1/1), 2 and 3 wrong, 4 (right, 2/4): AP = (1 + 0.5) / 2 = 0.75; b: 0.
            assert_eq!(s.per_kind[&a].ap, 0.75);
            assert_eq!(s.per_kind[&b], KindScores { ap: 0.0, right: 0, detections: 0, truths: 1 });
            assert_eq!(s.map, 0.375);
            assert_eq!((s.all.right, s.all.detections, s.all.truths), (2, 4, 3));
            assert_eq!((s.precision, s.recall), (0.5, 2.0 / 3.0));
            assert!((s.f_score - 4.0 / 7.0).abs() < 1e-12);
            assert_eq!(s.per_image[2], Counts { right: 0, detections: 1, truths: 0 }, "a good image");
            let points: Vec<_> = s.curves[&a].iter().map(|p| (p.recall, p.precision)).collect();
            assert_eq!(points, [(0.5, 1.0), (0.5, 0.5), (0.5, 1.0 / 3.0), (1.0, 0.5)]);
        }
    }

    #[test]
    fn what_finds_an_ignored_truth_counts_neither_way() {
        let mut hard = Truth::new("a".into(), at(0.0));
        hard.ignore = true;
        let images = [Truths { truth: &[hard], found: &[found("a", 0.9, 0.0), found("a", 0.8, 50.0)] }];
        let s = detection_scores(&images, &["a".into()], Protocol::Coco, 0.5);
        assert_eq!((s.all.right, s.all.detections, s.all.truths), (0, 1, 0));
    }
}
