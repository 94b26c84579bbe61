use std::cell::OnceCell;

use geo::MultiPolygon;

use super::policy::Entry;
use super::quantity::Quantity;
use super::shape::Shape;
use super::zone::{self, Placed};
use crate::defect::Defect;
use crate::geometry::Size;

/// The defects of one panel on its frames, and what a rule may ask about them. Shapes and zones are worked out when
/// they are asked for: most policies need none.
pub(super) struct Scene<'a> {
    defects: &'a [Defect],
    /// The size of each frame in pixels.
    frames: &'a [Size],
    zones: &'a [Placed],
    shapes: Vec<OnceCell<Shape>>,
    extents: Vec<OnceCell<[f64; 2]>>,
    /// Each zone on each frame, frame by frame.
    parts: Vec<OnceCell<MultiPolygon>>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(defects: &'a [Defect], frames: &'a [Size], zones: &'a [Placed]) -> Self {
        Scene {
            defects,
            frames,
            zones,
            shapes: vec![OnceCell::new(); defects.len()],
            extents: vec![OnceCell::new(); defects.len()],
            parts: vec![OnceCell::new(); frames.len() * zones.len()],
        }
    }

    /// The frame that a defect is on, and its size; `None` when there is no such frame.
    pub(super) fn frame(&self, defect: usize) -> Option<(usize, Size)> {
        let frame = self.defects[defect].frame.unwrap_or(0);
        self.frames.get(frame).map(|&size| (frame, size))
    }

    /// A quantity of one defect, lengths and areas in pixels.
    pub(super) fn measure(&self, defect: usize, quantity: Quantity) -> f64 {
        let extent = || {
            let size = self.frame(defect).map_or(Size::default(), |(_, size)| size);
            self.extents[defect].get_or_init(|| self.shape(defect, size).extent())
        };
        match quantity {
            Quantity::Confidence => f64::from(self.defects[defect].confidence.get()),
            Quantity::Area => self.defects[defect].area_px as f64,
            Quantity::Length => extent()[0],
            Quantity::Width => extent()[1],
            Quantity::Count | Quantity::Density | Quantity::AreaShare | Quantity::Distance => 0.0,
        }
    }

    /// Whether a defect overlaps one of the rule's zones.
    pub(super) fn in_zone(&self, defect: usize, rule: &Entry) -> bool {
        let Some(zones) = &rule.zones else { return true };
        let Some((frame, size)) = self.frame(defect) else { return false };
        zones.iter().any(|&zone| self.shape(defect, size).overlaps(self.part(frame, zone)))
    }

    /// The area in pixels that the rule looks at: its zones on all frames, or all frames.
    pub(super) fn area(&self, rule: &Entry) -> f64 {
        let frames = self.frames.iter().enumerate();
        frames
            .map(|(frame, size)| match &rule.zones {
                Some(zones) => zone::area(zones.iter().map(|&zone| self.part(frame, zone))),
                None => size.area() as f64,
            })
            .sum()
    }

    /// For each defect of `group` the gap in pixels to the nearest other one on its frame, where that is below `limit`.
    pub(super) fn nearest(&self, group: &[usize], limit: f64) -> Vec<Option<f64>> {
        let mut nearest: Vec<Option<f64>> = vec![None; group.len()];
        for (i, &a) in group.iter().enumerate() {
            for (j, &b) in group.iter().enumerate().skip(i + 1) {
                let Some((_, size)) = self.frame(a).filter(|at| self.frame(b) == Some(*at)) else { continue };
                if let Some(gap) = self.shape(a, size).distance(self.shape(b, size), limit) {
                    for k in [i, j] {
                        nearest[k] = Some(nearest[k].map_or(gap, |least| least.min(gap)));
                    }
                }
            }
        }
        nearest
    }

    fn shape(&self, defect: usize, size: Size) -> &Shape {
        self.shapes[defect].get_or_init(|| Shape::of(&self.defects[defect], size))
    }

    fn part(&self, frame: usize, zone: usize) -> &MultiPolygon {
        let cell = &self.parts[frame * self.zones.len() + zone];
        cell.get_or_init(|| self.zones[zone].on(frame, self.frames[frame]))
    }
}
