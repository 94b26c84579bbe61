use std::collections::BTreeMap;

use panelqc::{Kind, Mask};
use serde::Serialize;

use super::overlap::Truths;

/// How well the pixels of each kind are found, over all images together.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct SegmentScores {
    /// Mean of the kinds' intersection over union (Jaccard 1901).
    pub mean_iou: f64,
    /// Mean of the kinds' Dice coefficient (Dice 1945), which is the pixels' F1.
    pub dice: f64,
    /// Each kind that has a pixel in truth or results.
    pub per_kind: BTreeMap<Kind, PixelOverlap>,
}

/// Overlap of marked and found pixels.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct PixelOverlap {
    /// Intersection over union.
    pub iou: f64,
    /// Twice the intersection over the sum of both areas.
    pub dice: f64,
    /// Pixels that were marked.
    pub marked: u64,
    /// Pixels that were found.
    pub found: u64,
    /// Pixels that were both.
    pub common: u64,
}

impl SegmentScores {
    /// Scores the masks of detections from `confidence(kind)` on. An image without a mask in truth or results has no
    /// size and adds nothing. `None` when no kind has a pixel.
    pub fn new(images: &[Truths<'_>], kinds: &[Kind], confidence: impl Fn(&Kind) -> f32) -> Option<Self> {
        let mut per_kind: BTreeMap<Kind, PixelOverlap> = BTreeMap::new();
        for image in images {
            let truth = image.truth.iter().filter_map(|t| Some((&t.kind, t.mask.as_ref()?)));
            let sure = image.found.iter().filter(|d| d.confidence.get() >= confidence(&d.kind));
            let found: Vec<_> = sure.filter_map(|d| Some((&d.kind, d.mask.as_ref()?))).collect();
            let truth: Vec<_> = truth.collect();
            let Some((_, first)) = truth.first().or(found.first()) else { continue };
            let size = first.size();
            for kind in kinds {
                let all = |masks: &[(&Kind, &Mask)]| {
                    let of_kind = masks.iter().filter(|(k, m)| *k == kind && m.size() == size);
                    Mask::union(size, of_kind.map(|(_, mask)| *mask))
                };
                let (marked, found) = (all(&truth), all(&found));
                if marked.area() + found.area() > 0 {
                    let sums = per_kind.entry(kind.clone()).or_default();
                    sums.marked += marked.area();
                    sums.found += found.area();
                    sums.common += marked.common(&found);
                }
            }
        }
        for sums in per_kind.values_mut() {
            sums.iou = sums.common as f64 / (sums.marked + sums.found - sums.common) as f64;
            sums.dice = 2.0 * sums.common as f64 / (sums.marked + sums.found) as f64;
        }
        if per_kind.is_empty() {
            return None;
        }
        let mean = |part: fn(&PixelOverlap) -> f64| per_kind.values().map(part).sum::<f64>() / per_kind.len() as f64;
        Some(SegmentScores { mean_iou: mean(|p| p.iou), dice: mean(|p| p.dice), per_kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Truth;
    use panelqc::{Confidence, Defect, PixelBox, Size};

    #[test]
    fn pixels_are_counted_once_whatever_the_number_of_masks() {
        let mask = |from: u32, to: u32| Mask::from_fn(Size::new(10, 1), |x, _| (from..to).contains(&x));
        let found = |c: f32, from: u32, to: u32| {
            Defect::new("a".into(), Confidence::new(c).unwrap(), PixelBox::default()).with_mask(mask(from, to))
        };
        let truth = [Truth::of_mask("a".into(), mask(0, 4)).unwrap()];
        let images = [
            Truths { truth: &truth, found: &[found(0.9, 2, 5), found(0.8, 3, 6), found(0.1, 0, 2)] },
            Truths { truth: &[], found: &[found(0.9, 8, 10)] },
        ];
        let scores = SegmentScores::new(&images, &["a".into(), "b".into()], |_| 0.5).unwrap();
        // Marked 4, found 4 + 2, common 2.
        assert_eq!((scores.mean_iou, scores.dice), (2.0 / 8.0, 4.0 / 10.0));
        assert_eq!(scores.per_kind.len(), 1, "a kind without pixels has no number");
        assert_eq!(SegmentScores::new(&[Truths::default()], &["a".into()], |_| 0.5), None);
    }
}
