use super::directory::{Directory, Numbers, tag};
use crate::frame::flaw::Flaw;
use crate::frame::pixels::reserve;

/// A sample in memory: `u8` for up to 8 bits, `u16` for more.
pub(super) trait Sample: Copy + Default + PartialEq + 'static {
    const LARGEST: Self;

    /// The samples of a packed row; as many as `out` has room for.
    fn unpack(row: &[u8], bits: u32, big_endian: bool, out: &mut [Self]);

    /// The sum, around at the end of its bits.
    fn plus(self, other: Self) -> Self;

    /// What is left of this when `other` is taken away.
    fn without(self, other: Self) -> Self;

    fn index(self) -> usize;

    /// A part of a colour that is stated in 16 bits.
    fn of_colour(colour: u16) -> Self;

    fn of_eight(value: u8) -> Self;
}

impl Sample for u8 {
    const LARGEST: Self = u8::MAX;

    fn unpack(row: &[u8], bits: u32, _: bool, out: &mut [Self]) {
        match bits {
            8 => out.copy_from_slice(&row[..out.len()]),
            _ => packed(row, bits, out, |value| value as u8),
        }
    }

    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    fn without(self, other: Self) -> Self {
        self.saturating_sub(other)
    }

    fn index(self) -> usize {
        self.into()
    }

    fn of_colour(colour: u16) -> Self {
        (colour >> 8) as u8
    }

    fn of_eight(value: u8) -> Self {
        value
    }
}

impl Sample for u16 {
    const LARGEST: Self = u16::MAX;

    fn unpack(row: &[u8], bits: u32, big_endian: bool, out: &mut [Self]) {
        let pairs = row.as_chunks::<2>().0;
        match (bits, big_endian) {
            (16, false) => out.iter_mut().zip(pairs).for_each(|(out, pair)| *out = u16::from_le_bytes(*pair)),
            (16, true) => out.iter_mut().zip(pairs).for_each(|(out, pair)| *out = u16::from_be_bytes(*pair)),
            _ => packed(row, bits, out, |value| value as u16),
        }
    }

    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    fn without(self, other: Self) -> Self {
        self.saturating_sub(other)
    }

    fn index(self) -> usize {
        self.into()
    }

    fn of_colour(colour: u16) -> Self {
        colour
    }

    fn of_eight(value: u8) -> Self {
        value.into()
    }
}

/// Samples that follow on one another without regard to bytes, the highest bit first.
fn packed<T>(row: &[u8], bits: u32, out: &mut [T], of: impl Fn(u32) -> T) {
    let (mut held, mut left) = (0u32, 0);
    let mut bytes = row.iter();
    for out in out {
        while left < bits {
            held = held << 8 | u32::from(bytes.next().copied().unwrap_or(0));
            left += 8;
        }
        left -= bits;
        *out = of(held >> left & ((1 << bits) - 1));
    }
}

/// The colours of a palette, which holds all reds, then all greens, then all blues.
pub(super) fn from_palette<T: Sample>(values: &[T], palette: Numbers<'_>, bits: u32) -> Result<Vec<T>, Flaw> {
    let count = 1usize << bits;
    if palette.len() < 3 * count {
        return Err(Flaw::damaged(format!("a palette of {} colours where {count} belong", palette.len() / 3)));
    }
    // Some writers state 8 bits.
    let by = if palette.iter().all(|part| part < 256) { 257 } else { 1 };
    let colours: Vec<[T; 3]> = (0..count)
        .map(|index| [0, 1, 2].map(|part| palette.get(part * count + index).unwrap_or(0).saturating_mul(by)))
        .map(|colour| colour.map(|part| T::of_colour(part.min(65_535) as u16)))
        .collect();
    let mut pixels = Vec::new();
    reserve(&mut pixels, 3 * values.len())?;
    pixels.extend(values.iter().flat_map(|value| colours[value.index()]));
    Ok(pixels)
}

/// Turns brightness and two differences of colour into red, green and blue.
pub(super) fn from_ycbcr<T: Sample>(values: &mut [T], directory: &Directory<'_>) {
    let stated = |tag, count| directory.fractions(tag).filter(|fractions| fractions.len() == count);
    // ITU-R BT.601, in the full range.
    let luma = stated(tag::LUMA, 3).unwrap_or_else(|| vec![0.299, 0.587, 0.114]);
    let range = stated(tag::BLACK_WHITE, 6).unwrap_or_else(|| vec![0.0, 255.0, 128.0, 255.0, 128.0, 255.0]);
    let part = |value: T, at: usize, full: f64| {
        let (black, white) = (range[2 * at], range[2 * at + 1]);
        (value.index() as f64 - black) * full / if white == black { 1.0 } else { white - black }
    };
    let eight = |value: f64| T::of_eight(value.round().clamp(0.0, 255.0) as u8);
    for pixel in values.as_chunks_mut::<3>().0 {
        let (y, cb, cr) = (part(pixel[0], 0, 255.0), part(pixel[1], 1, 127.0), part(pixel[2], 2, 127.0));
        let red = y + cr * (2.0 - 2.0 * luma[0]);
        let blue = y + cb * (2.0 - 2.0 * luma[2]);
        let green = (y - luma[0] * red - luma[2] * blue) / luma[1];
        *pixel = [eight(red), eight(green), eight(blue)];
    }
}
