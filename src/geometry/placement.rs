use super::PixelBox;

/// How a source image lies in a model's input: `model = source * scale + offset` on each axis, in pixels measured
/// from the top left corner of the first pixel. Made by [`Preprocess::placement`](crate::Preprocess::placement).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// Size of the source image: width, height.
    pub source: (u32, u32),
    /// Size of the model's input: width, height.
    pub model: (u32, u32),
    /// Size that the source image is resized to, before padding or cropping: width, height.
    pub resized: (u32, u32),
    /// Where the left top corner of the resized image lies in the model's input; negative where it is cropped.
    pub offset: (i64, i64),
}

impl Placement {
    /// Model pixels a source pixel, for x and y. Exact: the size after rounding over the size before.
    pub fn scale(&self) -> (f64, f64) {
        (f64::from(self.resized.0) / f64::from(self.source.0), f64::from(self.resized.1) / f64::from(self.source.1))
    }

    /// A point of the source image in model pixels.
    pub fn to_model(&self, x: f64, y: f64) -> (f64, f64) {
        let (sx, sy) = self.scale();
        (x * sx + self.offset.0 as f64, y * sy + self.offset.1 as f64)
    }

    /// A point of the model's input in source pixels. It may lie outside the image (padding).
    pub fn to_source(&self, x: f64, y: f64) -> (f64, f64) {
        let (sx, sy) = self.scale();
        ((x - self.offset.0 as f64) / sx, (y - self.offset.1 as f64) / sy)
    }

    /// A box of the model's input in source pixels, clipped to the source image.
    pub fn box_to_source(&self, b: &PixelBox) -> PixelBox {
        let (x0, y0) = self.to_source(f64::from(b.x0), f64::from(b.y0));
        let (x1, y1) = self.to_source(f64::from(b.x1), f64::from(b.y1));
        PixelBox::new(x0 as f32, y0 as f32, x1 as f32, y1 as f32).clip(self.source.0, self.source.1)
    }
}
