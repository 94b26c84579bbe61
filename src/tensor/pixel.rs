//! What a kernel computes with, whichever kernel it is: samples, levels, and who takes the rows of a result. The source
//! is a frame's [`View`](crate::frame::View).

/// A number of a pixel as it is stored: 8 or 16 bits.
pub(super) trait Sample: Level + Default + Ord {
    /// Whether it is 8 bits.
    const EIGHT_BITS: bool;

    /// What a sum of values times whole weights fits into.
    type Sum: Copy;

    /// One half of a sum that is `bits` bits longer than a sample.
    fn half(bits: u32) -> Self::Sum;

    fn add(sum: Self::Sum, weight: i32, value: Self) -> Self::Sum;

    /// A sum without its last `bits` bits, cut to the range of its memory.
    fn cut(sum: Self::Sum, bits: u32) -> Self;

    /// As a whole number, and a whole number in the range as a sample.
    fn whole(self) -> i32;

    fn of_whole(value: i32) -> Self;

    fn round(value: f32) -> Self;

    /// The same memory as bytes, where a sample is one: what a loop written by hand for 8 bits takes.
    fn bytes(values: &[Self]) -> Option<&[u8]>;

    fn bytes_mut(values: &mut [Self]) -> Option<&mut [u8]>;
}

impl Sample for u8 {
    const EIGHT_BITS: bool = true;

    type Sum = i32;

    #[inline(always)]
    fn half(bits: u32) -> i32 {
        1 << (bits - 1)
    }

    #[inline(always)]
    fn add(sum: i32, weight: i32, value: u8) -> i32 {
        sum + weight * i32::from(value)
    }

    #[inline(always)]
    fn cut(sum: i32, bits: u32) -> u8 {
        (sum >> bits).clamp(0, 255) as u8
    }

    #[inline(always)]
    fn whole(self) -> i32 {
        i32::from(self)
    }

    #[inline(always)]
    fn of_whole(value: i32) -> Self {
        value as u8
    }

    #[inline(always)]
    fn round(value: f32) -> Self {
        (value + 0.5) as u8
    }

    #[inline(always)]
    fn bytes(values: &[u8]) -> Option<&[u8]> {
        Some(values)
    }

    #[inline(always)]
    fn bytes_mut(values: &mut [u8]) -> Option<&mut [u8]> {
        Some(values)
    }
}

impl Sample for u16 {
    const EIGHT_BITS: bool = false;

    type Sum = i64;

    #[inline(always)]
    fn half(bits: u32) -> i64 {
        1 << (bits - 1)
    }

    #[inline(always)]
    fn add(sum: i64, weight: i32, value: u16) -> i64 {
        sum + i64::from(weight) * i64::from(value)
    }

    #[inline(always)]
    fn cut(sum: i64, bits: u32) -> u16 {
        (sum >> bits).clamp(0, 65_535) as u16
    }

    #[inline(always)]
    fn whole(self) -> i32 {
        i32::from(self)
    }

    #[inline(always)]
    fn of_whole(value: i32) -> Self {
        value as u16
    }

    #[inline(always)]
    fn round(value: f32) -> Self {
        (value + 0.5) as u16
    }
    #[inline(always)]
    fn bytes(_: &[u16]) -> Option<&[u8]> {
        None
    }

    #[inline(always)]
    fn bytes_mut(_: &mut [u16]) -> Option<&mut [u8]> {
        None
    }
}

/// A number that goes into a tensor: a sample, or what a kernel has not rounded and put on the scale 0 to 255 already.
pub(super) trait Level: Copy + Into<f32> {
    /// Whether it is on the scale already.
    const ON_SCALE: bool;

    /// On the scale 0 to 255, where white is 255. Of a sample it is rounded once: 255 times a sample has 24 bits.
    fn level(self, white: f32) -> f32;
}

impl Level for u8 {
    const ON_SCALE: bool = false;

    #[inline(always)]
    fn level(self, white: f32) -> f32 {
        f32::from(self) * 255.0 / white
    }
}

impl Level for u16 {
    const ON_SCALE: bool = false;

    #[inline(always)]
    fn level(self, white: f32) -> f32 {
        f32::from(self) * 255.0 / white
    }
}

impl Level for f32 {
    const ON_SCALE: bool = true;

    #[inline(always)]
    fn level(self, _: f32) -> f32 {
        self
    }
}

/// Takes the rows of a resized image.
pub(super) trait Sink {
    /// Rows of one channel, from row `y` on, one after the other; most often a single one.
    fn rows<V: Level>(&mut self, y: usize, channel: usize, values: &[V]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_the_quotient_rounded_once() {
        for value in 0..=u16::MAX {
            let level = value.level(65_535.0);
            assert_eq!(level.to_bits(), (f32::from(value) / 257.0).to_bits(), "{value}: 65,535 is 255 times 257");
            for white in [255u16, 1023, 4095, 4000, 16_383, 65_520] {
                let exact = f64::from(value) * 255.0 / f64::from(white);
                assert_eq!(value.level(f32::from(white)).to_bits(), (exact as f32).to_bits(), "{value} of {white}");
            }
        }
        for value in 0..=u8::MAX {
            assert_eq!(value.level(255.0), f32::from(value));
        }
    }
}
