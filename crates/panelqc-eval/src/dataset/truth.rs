use panelqc::{Kind, Mask, PixelBox, Size};

/// How far a side may lie outside of the image, in pixels: what counting from another pixel, or rounding, in a labelling
/// tool comes to. It is cut off.
const SLACK: f64 = 1.0;
/// How much of that is worth no note: the digits of a file.
const ROUNDING: f64 = 0.05;

/// A defect that a person marked.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Truth {
    /// What it is.
    pub kind: Kind,
    /// Where it is, in pixels of the image.
    pub bbox: PixelBox,
    /// Its shape, where it was marked.
    pub mask: Option<Mask>,
    /// Its area in square pixels as the labels state it (COCO); otherwise it is that of the mask or the box.
    pub area: Option<f64>,
    /// Neither finding nor missing it counts (VOC's `difficult`, and every `crowd`).
    pub ignore: bool,
    /// It stands for many defects, so that any number of detections may lie in it (COCO's `iscrowd`).
    pub crowd: bool,
}

impl Truth {
    /// A box.
    pub fn new(kind: Kind, bbox: PixelBox) -> Self {
        Truth { kind, bbox, mask: None, area: None, ignore: false, crowd: false }
    }

    /// A shape; the box is the one around it. `None` for an empty one.
    pub fn of_mask(kind: Kind, mask: Mask) -> Option<Self> {
        let bbox = mask.bounds()?;
        Some(Truth { mask: Some(mask), ..Truth::new(kind, bbox) })
    }

    /// Its area in square pixels.
    pub fn area(&self) -> f64 {
        let own = || self.mask.as_ref().map_or_else(|| f64::from(self.bbox.area()), |mask| mask.area() as f64);
        self.area.unwrap_or_else(own)
    }

    /// A box with the sides (x0, y0, x1, y1) in an image of `size` (width, height), and whether it was clipped there;
    /// what is wrong with it otherwise: expected, found.
    pub(super) fn checked(
        kind: Kind,
        [x0, y0, x1, y1]: [f64; 4],
        (width, height): (u32, u32),
    ) -> Result<(Self, bool), (String, String)> {
        let found = || format!("x {x0} to {x1}, y {y0} to {y1}");
        if !(x0 < x1 && y0 < y1) {
            return Err(("a box with x0 < x1 and y0 < y1".to_owned(), found()));
        }
        let inside = |from: f64, to: f64, end: u32| from >= -SLACK && to <= f64::from(end) + SLACK;
        if !(inside(x0, x1, width) && inside(y0, y1, height)) {
            return Err((format!("a box inside the image of {width}x{height}"), found()));
        }
        let bbox = PixelBox::new(x0 as f32, y0 as f32, x1 as f32, y1 as f32).clip(Size::new(width, height));
        // It may lie in the slack and nowhere else.
        if !(bbox.x0 < bbox.x1 && bbox.y0 < bbox.y1) {
            return Err((format!("a box inside the image of {width}x{height}"), found()));
        }
        let over = (-x0).max(-y0).max(x1 - f64::from(width)).max(y1 - f64::from(height));
        Ok((Truth::new(kind, bbox), over > ROUNDING))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_have_to_lie_in_the_image() {
        let checked = |sides| Truth::checked("a".into(), sides, (10, 20));
        let whole = PixelBox::new(0.0, 0.0, 10.0, 20.0);
        for (sides, clipped) in
            [([-0.04, 0.0, 10.0, 20.01], false), ([-1.0, 0.0, 10.3, 20.0], true), ([0.0, 0.0, 10.0, 21.0], true)]
        {
            let (truth, was) = checked(sides).unwrap();
            assert_eq!((truth.bbox, was), (whole, clipped), "{sides:?}");
        }
        for bad in [
            [1.0, 1.0, 1.0, 2.0],
            [3.0, 1.0, 2.0, 2.0],
            [-1.1, 0.0, 2.0, 2.0],
            [0.0, 0.0, 2.0, 21.1],
            [10.0, 0.0, 11.0, 2.0],
        ] {
            assert!(checked(bad).is_err(), "{bad:?}");
        }
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(checked([bad, 0.0, 2.0, 2.0]).is_err() && checked([0.0, 0.0, 2.0, bad]).is_err());
        }
    }
}
