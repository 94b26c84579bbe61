use serde::{Deserialize, Serialize};

use super::Size;

/// An axis-aligned box in pixels: `x0 <= x < x1`, `y0 <= y < y1`, floating point. Written as `[x0, y0, x1, y1]`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "[f32; 4]", into = "[f32; 4]")]
pub struct PixelBox {
    /// Left side.
    pub x0: f32,
    /// Top side.
    pub y0: f32,
    /// Right side, not included.
    pub x1: f32,
    /// Bottom side, not included.
    pub y1: f32,
}

impl PixelBox {
    /// A box from its sides.
    pub const fn new(x0: f32, y0: f32, x1: f32, y1: f32) -> Self {
        PixelBox { x0, y0, x1, y1 }
    }

    /// Width in pixels, 0 for a box turned inside out.
    pub fn width(&self) -> f32 {
        (self.x1 - self.x0).max(0.0)
    }

    /// Height in pixels, 0 for a box turned inside out.
    pub fn height(&self) -> f32 {
        (self.y1 - self.y0).max(0.0)
    }

    /// Area in square pixels.
    pub fn area(&self) -> f32 {
        self.width() * self.height()
    }

    /// The part of this box that lies in an image of `size`.
    pub fn clip(&self, size: Size) -> Self {
        let (w, h) = (size.width as f32, size.height as f32);
        PixelBox::new(self.x0.clamp(0.0, w), self.y0.clamp(0.0, h), self.x1.clamp(0.0, w), self.y1.clamp(0.0, h))
    }

    /// Intersection over union, in `0..=1`; 0 where both are empty.
    pub fn iou(&self, other: &Self) -> f32 {
        let common =
            PixelBox::new(self.x0.max(other.x0), self.y0.max(other.y0), self.x1.min(other.x1), self.y1.min(other.y1))
                .area();
        let union = self.area() + other.area() - common;
        if union > 0.0 { (common / union).clamp(0.0, 1.0) } else { 0.0 }
    }
}

impl From<[f32; 4]> for PixelBox {
    fn from([x0, y0, x1, y1]: [f32; 4]) -> Self {
        PixelBox { x0, y0, x1, y1 }
    }
}

impl From<PixelBox> for [f32; 4] {
    fn from(b: PixelBox) -> Self {
        [b.x0, b.y0, b.x1, b.y1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_box() -> impl Strategy<Value = PixelBox> {
        (0f32..500.0, 0f32..500.0, 0f32..200.0, 0f32..200.0).prop_map(|(x, y, w, h)| PixelBox::new(x, y, x + w, y + h))
    }

    proptest! {
        #[test]
        fn iou_is_symmetric_and_bounded(a in any_box(), b in any_box()) {
            let iou = a.iou(&b);
            prop_assert!((0.0..=1.0).contains(&iou));
            prop_assert_eq!(iou, b.iou(&a));
        }

        #[test]
        fn iou_with_itself_is_one(a in any_box()) {
            prop_assume!(a.area() > 0.0);
            prop_assert!((a.iou(&a) - 1.0).abs() < 1e-6);
        }

        #[test]
        fn a_clipped_box_lies_in_the_image(a in any_box(), w in 1u32..600, h in 1u32..600) {
            let c = a.clip(Size::new(w, h));
            prop_assert!(c.x0 >= 0.0 && c.y0 >= 0.0 && c.x1 <= w as f32 && c.y1 <= h as f32);
            prop_assert!(c.x0 <= c.x1 && c.y0 <= c.y1);
        }
    }

    #[test]
    fn iou_of_known_boxes() {
        let a = PixelBox::new(0.0, 0.0, 10.0, 10.0);
        assert_eq!(a.iou(&PixelBox::new(5.0, 0.0, 15.0, 10.0)), 1.0 / 3.0);
        assert_eq!(a.iou(&PixelBox::new(10.0, 0.0, 20.0, 10.0)), 0.0, "half-open boxes that touch do not overlap");
        assert_eq!(PixelBox::default().iou(&PixelBox::default()), 0.0);
    }
}
