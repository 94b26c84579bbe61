//! Frames as 8-bit pictures, to be drawn or stored.

use image::{GrayImage, RgbImage};

use super::picture::Frame;
use super::view::{PixelView, View};

/// ITU-R BT.601 weights of red, green and blue in 16-bit fixed point, as PIL's `convert("L")` has them; together 2^16.
pub(crate) const LUMA: [u32; 3] = [19_595, 38_470, 7_471];
/// What rounds their sum.
pub(crate) const LUMA_HALF: u32 = 0x8000;

/// A sample as a level of 0 to 255, where `white` is 255; rounded. Above white it is 255.
pub fn level8(value: u16, white: u16) -> u8 {
    let (value, white) = (u32::from(value.min(white)), u32::from(white.max(1)));
    ((value * 255 + white / 2) / white) as u8
}

impl Frame<'_> {
    /// The value that is white for a person: the frame's [white](Self::white). A frame of 16 bits whose white nobody
    /// stated and whose brightest sample is below an eighth of it would be black for a person, so it is the largest
    /// value of as many bits as its samples need: 4095 where the brightest is above 2047.
    pub fn shown_white(&self) -> u16 {
        self.too_dark().map_or(self.white(), |brightest| u16::MAX >> brightest.max(1).leading_zeros())
    }

    /// The frame in gray of 8 bits, [white](Self::shown_white) at 255: for a person to look at. Colour becomes gray by
    /// ITU-R BT.601.
    pub fn to_gray8(&self) -> GrayImage {
        let mut out = GrayImage::new(self.width(), self.height());
        let mut rgb = vec![0; 3 * self.width() as usize];
        for (y, gray) in out.chunks_exact_mut(self.width() as usize).enumerate() {
            self.rgb8_row(y, &mut rgb);
            for (gray, &[r, g, b]) in gray.iter_mut().zip(rgb.as_chunks::<3>().0) {
                let terms = [r, g, b].map(u32::from).into_iter().zip(LUMA);
                *gray = ((terms.map(|(value, weight)| value * weight).sum::<u32>() + LUMA_HALF) >> 16) as u8;
            }
        }
        out
    }

    /// The frame in red, green and blue of 8 bits, [white](Self::shown_white) at 255: for a person to look at.
    pub fn to_rgb8(&self) -> RgbImage {
        let mut out = RgbImage::new(self.width(), self.height());
        for (y, row) in out.chunks_exact_mut(3 * self.width() as usize).enumerate() {
            self.rgb8_row(y, row);
        }
        out
    }

    /// Row `y` of the frame in red, green and blue of 8 bits, [white](Self::shown_white) at 255, into the first values
    /// of `out`.
    pub fn rgb8_row(&self, y: usize, out: &mut [u8]) {
        match self.pixels() {
            PixelView::Eight(view) if view.white() == 255 => row(&view, y, out, |v| v),
            PixelView::Eight(view) => row(&view, y, out, |v| level8(u16::from(v), view.white())),
            PixelView::Sixteen(view) => {
                let white = self.shown_white();
                row(&view, y, out, |v| level8(v, white));
            }
        }
    }
}

fn row<T: Copy>(view: &View<'_, T>, y: usize, out: &mut [u8], level: impl Fn(T) -> u8) {
    let (values, (out, _)) = (view.row(y), out.as_chunks_mut::<3>());
    match (view.channels(), view.format().is_reversed()) {
        (1, _) => out.iter_mut().zip(values).for_each(|(out, &value)| *out = [level(value); 3]),
        (_, reversed) => {
            for (out, &pixel) in out.iter_mut().zip(values.as_chunks::<3>().0) {
                let pixel = pixel.map(&level);
                *out = if reversed { [pixel[2], pixel[1], pixel[0]] } else { pixel };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;
    use crate::geometry::Size;

    #[test]
    fn white_is_255_at_every_depth() {
        for format in [PixelFormat::Mono10, PixelFormat::Mono12, PixelFormat::Mono14, PixelFormat::Mono16] {
            let white = format.white();
            let samples = vec![0, white / 2, white, 0xFFFF, white, 0xFFFF];
            let frame = Frame::strided(Size::new(3, 2), format, samples, 3).unwrap();
            let gray = frame.to_gray8();
            assert_eq!((gray.as_raw()[0], gray.as_raw()[2]), (0, 255), "{format}");
            assert!((127..=128).contains(&gray.as_raw()[1]), "{format}: {}", gray.as_raw()[1]);
            assert_eq!(gray.as_raw()[3], 255, "above white");
            assert_eq!(frame.to_rgb8().as_raw()[6..9], [255; 3]);
        }
        for value in 0..=65_535u16 {
            let rounded = (f64::from(value) * 255.0 / 65_535.0).round();
            assert_eq!(f64::from(level8(value, 65_535)), rounded, "{value}");
        }
    }

    #[test]
    fn twelve_bits_in_sixteen_can_be_seen() {
        let frame = |values: [u16; 2]| Frame::new(Size::new(2, 1), PixelFormat::Mono16, values.to_vec()).unwrap();
        assert_eq!(frame([2048, 4095]).to_gray8().as_raw(), &[128, 255]);
        assert_eq!(frame([2048, 3000]).to_rgb8().as_raw()[3], 187, "3000 of 4095");
        assert_eq!(frame([0, 0]).to_gray8().as_raw(), &[0, 0]);
        assert_eq!(frame([4095, 8192]).to_gray8().as_raw(), &[16, 32], "no darker than it is");
        assert_eq!(frame([2048, 4095]).with_white(65_535).unwrap().to_gray8().as_raw(), &[8, 16], "it is stated");
    }

    #[test]
    fn blue_comes_last() {
        let bgr = Frame::strided(Size::new(1, 2), PixelFormat::Bgr8, vec![30u8, 20, 10, 0, 60, 50, 40], 4).unwrap();
        assert_eq!(bgr.to_rgb8().as_raw(), &[10, 20, 30, 40, 50, 60]);
        let rgb = Frame::new(Size::new(1, 2), PixelFormat::Rgb8, vec![10u8, 20, 30, 40, 50, 60]).unwrap();
        assert_eq!((bgr.to_rgb8(), bgr.to_gray8()), (rgb.to_rgb8(), rgb.to_gray8()));
        // PIL 11: Image.fromarray([[[10, 200, 30]]]).convert("L") is 124.
        let pil = Frame::new(Size::new(1, 1), PixelFormat::Rgb8, vec![10u8, 200, 30]).unwrap();
        assert_eq!(pil.to_gray8().as_raw(), &[124]);
    }
}
