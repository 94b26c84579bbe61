use super::{PixelBox, Size};

/// A part of an image in whole pixels: its top left corner and its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Region {
    /// Column of its first pixel, from the left.
    pub x: u32,
    /// Row of its first pixel, from the top.
    pub y: u32,
    /// Its width and height.
    pub size: Size,
}

impl Region {
    /// A part of `size` whose top left pixel is (`x`, `y`).
    pub const fn new(x: u32, y: u32, size: Size) -> Self {
        Region { x, y, size }
    }

    /// A whole image of `size`.
    pub const fn whole(size: Size) -> Self {
        Region { x: 0, y: 0, size }
    }

    /// Column after its last pixel.
    pub fn right(&self) -> u32 {
        self.x.saturating_add(self.size.width)
    }

    /// Row after its last pixel.
    pub fn bottom(&self) -> u32 {
        self.y.saturating_add(self.size.height)
    }

    /// Whether it has a pixel and lies in an image of `size`.
    pub fn is_in(&self, size: Size) -> bool {
        let fits = |start: u32, len: u32, end: u32| start.checked_add(len).is_some_and(|stop| stop <= end);
        !self.size.is_empty()
            && fits(self.x, self.size.width, size.width)
            && fits(self.y, self.size.height, size.height)
    }
}

impl From<Region> for PixelBox {
    fn from(region: Region) -> Self {
        PixelBox::new(region.x as f32, region.y as f32, region.right() as f32, region.bottom() as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_lies_in_an_image_or_not() {
        let image = Size::new(10, 6);
        assert!(Region::whole(image).is_in(image));
        assert!(Region::new(4, 2, Size::new(6, 4)).is_in(image));
        assert!(!Region::new(5, 2, Size::new(6, 4)).is_in(image));
        assert!(!Region::new(4, 3, Size::new(6, 4)).is_in(image));
        assert!(!Region::new(4, 2, Size::new(0, 4)).is_in(image), "no pixel");
        assert!(!Region::new(u32::MAX, 0, Size::new(2, 1)).is_in(image), "no overflow");
    }
}
