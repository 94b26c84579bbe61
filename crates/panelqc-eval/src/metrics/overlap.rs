use panelqc::{Defect, PixelBox};

use crate::dataset::Truth;

/// The truth of one image beside what was found on it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Truths<'a> {
    /// What a person marked.
    pub truth: &'a [Truth],
    /// What the model found, in any order.
    pub found: &'a [Defect],
}

impl<'a> Truths<'a> {
    /// Some of the detections, most confident first; of equal confidence as they come.
    pub(super) fn most_confident(&self, wanted: impl Fn(&Defect) -> bool) -> Vec<&'a Defect> {
        let mut found: Vec<&Defect> = self.found.iter().filter(|d| wanted(d)).collect();
        found.sort_by(|a, b| b.confidence.get().total_cmp(&a.confidence.get()));
        found
    }
}

/// What overlaps: boxes or masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The boxes.
    Box,
    /// The masks; without one nothing overlaps.
    Mask,
}

impl Shape {
    /// Intersection over union of a detection and a truth, in `0..=1`. Over a crowd it is the share of the detection
    /// that lies in it.
    pub(super) fn overlap(self, truth: &Truth, found: &Defect) -> f64 {
        let (common, own, other) = match self {
            Shape::Box => (common(&truth.bbox, &found.bbox), area(&found.bbox), area(&truth.bbox)),
            Shape::Mask => match (&truth.mask, &found.mask) {
                (Some(a), Some(b)) if a.size() == b.size() => (a.common(b) as f64, b.area() as f64, a.area() as f64),
                _ => return 0.0,
            },
        };
        let whole = if truth.crowd { own } else { own + other - common };
        if whole > 0.0 { common / whole } else { 0.0 }
    }

    /// Area of a detection in square pixels.
    pub(super) fn area(self, found: &Defect) -> f64 {
        match (self, &found.mask) {
            (Shape::Mask, Some(mask)) => mask.area() as f64,
            _ => area(&found.bbox),
        }
    }
}

// In double precision, as the reference implementations have it: an IoU that lies on the limit must not be rounded.
fn area(b: &PixelBox) -> f64 {
    (f64::from(b.x1) - f64::from(b.x0)).max(0.0) * (f64::from(b.y1) - f64::from(b.y0)).max(0.0)
}

fn common(a: &PixelBox, b: &PixelBox) -> f64 {
    let side = |a0: f32, a1: f32, b0: f32, b1: f32| (f64::from(a1.min(b1)) - f64::from(a0.max(b0))).max(0.0);
    side(a.x0, a.x1, b.x0, b.x1) * side(a.y0, a.y1, b.y0, b.y1)
}
