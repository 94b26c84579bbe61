use std::borrow::Cow;

use super::format::PixelFormat;
use crate::geometry::{Region, Size};

/// The pixels of a frame, or of a part of it, by the memory that a sample takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PixelView<'a> {
    /// Formats of 8 bits.
    Eight(View<'a, u8>),
    /// Formats of 10 to 16 bits.
    Sixteen(View<'a, u16>),
}

/// Rows of samples that lie somewhere in memory, with or without padding between them. Nothing is copied.
#[derive(Debug, Clone, Copy)]
pub struct View<'a, T> {
    /// From the first sample of the first row to the last of the last row.
    samples: &'a [T],
    stride: usize,
    /// Samples of a row.
    row: usize,
    format: PixelFormat,
    white: u16,
    frame: Size,
    region: Region,
}

/// Does the same with a view of either kind, and gives the result.
macro_rules! either {
    ($view:expr, $pixels:ident => $result:expr) => {
        match $view {
            $crate::frame::PixelView::Eight($pixels) => $result,
            $crate::frame::PixelView::Sixteen($pixels) => $result,
        }
    };
}
pub(crate) use either;

impl<'a> PixelView<'a> {
    /// How a pixel is stored.
    pub fn format(&self) -> PixelFormat {
        either!(self, view => view.format)
    }

    /// The value of white.
    pub fn white(&self) -> u16 {
        either!(self, view => view.white)
    }

    /// Width and height of what is seen.
    pub fn size(&self) -> Size {
        self.region().size
    }

    /// Size of the whole frame.
    pub fn frame(&self) -> Size {
        either!(self, view => view.frame)
    }

    /// Which part of the frame is seen.
    pub fn region(&self) -> Region {
        either!(self, view => view.region)
    }

    /// The part `region` of the frame, as far as this view shows it: `None` where it does not.
    pub fn part(&self, region: Region) -> Option<PixelView<'a>> {
        Some(match self {
            PixelView::Eight(view) => PixelView::Eight(view.part(region)?),
            PixelView::Sixteen(view) => PixelView::Sixteen(view.part(region)?),
        })
    }

    /// The same pixels with another white, which the format can hold.
    pub(crate) fn with_white(self, white: u16) -> Self {
        match self {
            PixelView::Eight(view) => PixelView::Eight(View { white, ..view }),
            PixelView::Sixteen(view) => PixelView::Sixteen(View { white, ..view }),
        }
    }
}

impl<'a, T> View<'a, T> {
    /// A whole frame. A buffer that is too short, as it may be where another thread owns it, has no pixel.
    pub(crate) fn new(samples: &'a [T], stride: usize, format: PixelFormat, white: u16, size: Size) -> Self {
        let needed = needed(size, format, stride).and_then(|needed| samples.get(..needed));
        let (samples, size) = needed.map_or((&[][..], Size::default()), |samples| (samples, size));
        let row = size.width as usize * format.channels();
        View { samples, stride, row, format, white, frame: size, region: Region::whole(size) }
    }

    /// Other samples in place of these, row after row without padding, in `format`: what was made of them.
    pub(crate) fn replaced(&self, samples: &'a [T], format: PixelFormat) -> Self {
        let stride = self.width() * format.channels();
        let View { frame, region, .. } = *self;
        View { frame, region, ..View::new(samples, stride, format, self.white, self.region.size) }
    }

    /// How a pixel is stored.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Samples of a pixel: 1 or 3.
    pub fn channels(&self) -> usize {
        self.format.channels()
    }

    /// The value of white.
    pub fn white(&self) -> u16 {
        self.white
    }

    /// Size of the whole frame.
    pub fn frame(&self) -> Size {
        self.frame
    }

    /// Which part of the frame is seen.
    pub fn region(&self) -> Region {
        self.region
    }

    /// Width and height of what is seen.
    pub fn size(&self) -> Size {
        self.region.size
    }

    pub(crate) fn width(&self) -> usize {
        self.region.size.width as usize
    }

    pub(crate) fn height(&self) -> usize {
        self.region.size.height as usize
    }

    /// The samples of row `y`, from the top, channels interleaved; none beyond the last row.
    #[inline]
    pub fn row(&self, y: usize) -> &'a [T] {
        let start = y * self.stride;
        match y < self.height() {
            true => self.samples.get(start..start + self.row).unwrap_or_default(),
            false => &[],
        }
    }

    /// Row `y` for a kernel's inner loop, which asks for rows that there are.
    #[inline(always)]
    pub(crate) fn line(&self, y: usize) -> &'a [T] {
        &self.samples[y * self.stride..][..self.row]
    }

    /// All rows, from the top.
    pub fn rows(&self) -> impl Iterator<Item = &'a [T]> + use<'a, T> {
        let (samples, stride, row, height) = (self.samples, self.stride, self.row, self.height());
        (0..height).map(move |y| samples.get(y * stride..y * stride + row).unwrap_or_default())
    }

    /// All samples as one slice, where there is no padding between the rows.
    pub fn as_slice(&self) -> Option<&'a [T]> {
        (self.stride == self.row).then_some(self.samples)
    }

    /// All samples without padding, copied where there is some.
    pub fn to_tight(&self) -> Cow<'a, [T]>
    where
        T: Clone,
    {
        match self.as_slice() {
            Some(samples) => Cow::Borrowed(samples),
            None => Cow::Owned(self.rows().flatten().cloned().collect()),
        }
    }

    /// The part `region` of the frame, as far as this view shows it: `None` where it does not.
    pub fn part(&self, region: Region) -> Option<Self> {
        let (x, y) = (region.x.checked_sub(self.region.x)?, region.y.checked_sub(self.region.y)?);
        if !Region::new(x, y, region.size).is_in(self.region.size) {
            return None;
        }
        let start = y as usize * self.stride + x as usize * self.channels();
        let needed = needed(region.size, self.format, self.stride)?;
        let row = region.size.width as usize * self.channels();
        Some(View { samples: self.samples.get(start..start.checked_add(needed)?)?, row, region, ..*self })
    }
}

impl<T: PartialEq> PartialEq for View<'_, T> {
    /// Whether both show the same pixels; padding does not count, and neither does the place in the frame.
    fn eq(&self, other: &Self) -> bool {
        let head = |view: &Self| (view.format, view.white, view.region.size);
        head(self) == head(other) && self.rows().eq(other.rows())
    }
}

/// How many samples a frame takes, the last row without padding; `None` for more than memory can hold.
pub(super) fn needed(size: Size, format: PixelFormat, stride: usize) -> Option<usize> {
    let row = (size.width as usize).checked_mul(format.channels())?;
    match (size.height as usize).checked_sub(1) {
        Some(above) => above.checked_mul(stride)?.checked_add(row),
        None => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_a_view_of_the_same_memory() {
        // 4 x 3 pixels of three samples, two samples of padding.
        let samples: Vec<u8> = (0..3 * 14).collect();
        let view = View::new(&samples, 14, PixelFormat::Rgb8, 255, Size::new(4, 3));
        let part = view.part(Region::new(1, 1, Size::new(2, 2))).unwrap();
        assert_eq!(part.rows().collect::<Vec<_>>(), [&[17, 18, 19, 20, 21, 22], &[31, 32, 33, 34, 35, 36]]);
        assert_eq!(part.row(0).as_ptr(), samples[17..].as_ptr());
        assert!(part.row(2).is_empty(), "no row below the part");
        // Regions are the frame's, also of a part.
        let corner = Region::new(2, 2, Size::new(1, 1));
        assert_eq!(part.part(corner), view.part(corner));
        assert_eq!(part.part(corner).unwrap().region(), corner);
        assert!(part.part(Region::new(0, 1, Size::new(2, 2))).is_none(), "outside of the part");
        assert!(view.part(Region::new(3, 0, Size::new(2, 1))).is_none());
        assert_eq!(*part.to_tight(), [17, 18, 19, 20, 21, 22, 31, 32, 33, 34, 35, 36]);
    }
}
