use super::{PixelBox, Region, Size};

/// How a part of a frame, most often the whole of it, lies in a model's input. On each axis
/// `model = (frame - region's start) * scale + offset`, in pixels measured from the top left corner of the first pixel.
/// Made by [`Preprocess::placement`](crate::Preprocess::placement).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    frame: Size,
    region: Region,
    model: Size,
    resized: Size,
    offset: (i64, i64),
}

impl Placement {
    /// A part `region` of a frame of size `frame` that is resized to `resized` pixels and laid into a model's input of
    /// size `model`, its top left corner at `offset` (x, y), which is negative where it is cropped.
    pub const fn new(frame: Size, region: Region, model: Size, resized: Size, offset: (i64, i64)) -> Self {
        Placement { frame, region, model, resized, offset }
    }

    /// Size of the whole frame.
    pub fn frame(&self) -> Size {
        self.frame
    }

    /// The part of the frame that the model sees, as far as it is not cropped.
    pub fn region(&self) -> Region {
        self.region
    }

    /// Size of the model's input.
    pub fn model(&self) -> Size {
        self.model
    }

    /// Size that the part is resized to, before padding or cropping.
    pub fn resized(&self) -> Size {
        self.resized
    }

    /// Where the top left corner (x, y) of the resized part lies in the model's input; negative where it is cropped.
    pub fn offset(&self) -> (i64, i64) {
        self.offset
    }

    /// Model pixels per frame pixel, for x and y. Exact: the size after rounding over the size before.
    pub fn scale(&self) -> (f64, f64) {
        let Size { width, height } = self.region.size;
        (f64::from(self.resized.width) / f64::from(width), f64::from(self.resized.height) / f64::from(height))
    }

    /// A point of the frame in model pixels.
    pub fn to_model(&self, x: f64, y: f64) -> (f64, f64) {
        let (sx, sy) = self.scale();
        let (x, y) = (x - f64::from(self.region.x), y - f64::from(self.region.y));
        (x * sx + self.offset.0 as f64, y * sy + self.offset.1 as f64)
    }

    /// A point of the model's input in frame pixels. It may lie outside the part, and outside the frame (padding).
    pub fn to_frame(&self, x: f64, y: f64) -> (f64, f64) {
        let (sx, sy) = self.scale();
        let (x, y) = ((x - self.offset.0 as f64) / sx, (y - self.offset.1 as f64) / sy);
        (x + f64::from(self.region.x), y + f64::from(self.region.y))
    }

    /// A box of the model's input in frame pixels, clipped to the frame.
    pub fn box_to_frame(&self, b: &PixelBox) -> PixelBox {
        let (x0, y0) = self.to_frame(f64::from(b.x0), f64::from(b.y0));
        let (x1, y1) = self.to_frame(f64::from(b.x1), f64::from(b.y1));
        PixelBox::new(x0 as f32, y0 as f32, x1 as f32, y1 as f32).clip(self.frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_placed_where_it_lies_in_the_frame() {
        // The right half of a frame of 40 x 20, enlarged twice, with 4 rows of padding above.
        let region = Region::new(20, 0, Size::new(20, 20));
        let placement = Placement::new(Size::new(40, 20), region, Size::new(40, 48), Size::new(40, 40), (0, 4));
        assert_eq!(placement.scale(), (2.0, 2.0));
        assert_eq!(placement.to_model(25.0, 10.0), (10.0, 24.0));
        assert_eq!(placement.to_frame(10.0, 24.0), (25.0, 10.0));
        let inside = placement.box_to_frame(&PixelBox::new(-10.0, 4.0, 80.0, 24.0));
        assert_eq!(inside, PixelBox::new(15.0, 0.0, 40.0, 10.0), "clipped to the frame, not to the part");
    }
}
