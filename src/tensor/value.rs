use pulp::Arch;

#[cfg(target_arch = "x86_64")]
use super::avx2;
use super::convolve::Narrow;
use super::linear::Pairs;

/// A pixel value as it is stored: 8 or 16 bits.
pub(super) trait Value: Level + Default + Into<f32> {
    /// Whether it is 8 bits.
    const EIGHT_BITS: bool;

    /// What a sum of values times whole weights fits into.
    type Sum: Copy;

    /// One half of a sum that is `bits` bits longer than a value.
    fn half(bits: u32) -> Self::Sum;

    fn add(sum: Self::Sum, weight: i32, value: Self) -> Self::Sum;

    /// A sum without its last `bits` bits, cut to the range of a value.
    fn cut(sum: Self::Sum, bits: u32) -> Self;

    /// As a whole number, and a whole number in the range as a value.
    fn whole(self) -> i32;

    fn of_whole(value: i32) -> Self;

    fn round(value: f32) -> Self;

    /// Does the first pixels of `out` as [`Windows::down`](super::convolve) does, and tells how many.
    fn down_fast<'l>(_table: Narrow<'_>, _line: impl Fn(usize) -> &'l [Self], _out: &mut [Self]) -> usize
    where
        Self: 'l,
    {
        0
    }

    /// Does the first pixels of `out` as [`Windows::across`](super::convolve) does, and tells how many.
    fn across_fast(_table: Narrow<'_>, _line: &[Self], _out: &mut [Self]) -> usize {
        0
    }

    /// Does the first pixels of `out` as [`Pairs`] says does, and tells how many.
    fn pairs_fast(_line: &[Self], _pairs: &Pairs, _out: &mut [i16]) -> usize {
        0
    }

    /// Does the first pixels as [`split`] does, and tells how many.
    fn split_fast(_row: &[Self], _planes: [&mut [Self]; 3]) -> usize {
        0
    }

    /// Does the first pixels as [`luma`] does, and tells how many.
    fn luma_fast(_rgb: &[Self], _gray: &mut [Self]) -> usize {
        0
    }
}

impl Value for u8 {
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

    #[cfg(target_arch = "x86_64")]
    fn down_fast<'l>(table: Narrow<'_>, line: impl Fn(usize) -> &'l [u8], out: &mut [u8]) -> usize {
        avx2::down(table, line, out).unwrap_or(0)
    }

    #[cfg(target_arch = "x86_64")]
    fn across_fast(table: Narrow<'_>, line: &[u8], out: &mut [u8]) -> usize {
        avx2::across(table, line, out).unwrap_or(0)
    }

    #[cfg(target_arch = "x86_64")]
    fn pairs_fast(line: &[u8], pairs: &Pairs, out: &mut [i16]) -> usize {
        avx2::pairs(line, pairs, out).unwrap_or(0)
    }

    #[cfg(target_arch = "x86_64")]
    fn split_fast(row: &[u8], planes: [&mut [u8]; 3]) -> usize {
        avx2::split(row, planes).unwrap_or(0)
    }

    #[cfg(target_arch = "x86_64")]
    fn luma_fast(rgb: &[u8], gray: &mut [u8]) -> usize {
        avx2::luma(rgb, gray).unwrap_or(0)
    }
}

impl Value for u16 {
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
}

/// A value that goes into a tensor: a stored one, or one that a kernel has not rounded.
pub(super) trait Level: Copy {
    /// On the scale 0 to 255.
    fn level(self) -> f32;
}

impl Level for u8 {
    #[inline(always)]
    fn level(self) -> f32 {
        f32::from(self)
    }
}

impl Level for u16 {
    #[inline(always)]
    fn level(self) -> f32 {
        f32::from(self) / 257.0
    }
}

impl Level for f32 {
    #[inline(always)]
    fn level(self) -> f32 {
        self
    }
}

/// Takes the rows of a resized picture.
pub(super) trait Sink {
    /// Rows of one channel, from row `y` on, one after the other; most often a single one.
    fn rows<V: Level>(&mut self, y: usize, channel: usize, values: &[V]);
}

/// Runs a loop that the compiler has turned into vector instructions, in the version for this processor. The results
/// are the same on all of them: nothing here sums in another order or fuses a product with a sum.
#[inline(always)]
pub(crate) fn vectorised<R>(run: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(run)
}

/// Takes the channels of a row apart, into planes of `stride` values.
pub(super) fn split<T: Value>(row: &[T], channels: usize, planes: &mut [T], stride: usize) {
    if channels == 1 {
        planes[..row.len()].copy_from_slice(row);
        return;
    }
    let width = row.len() / 3;
    let (red, rest) = planes.split_at_mut(stride);
    let (green, blue) = rest.split_at_mut(stride);
    let (red, green, blue) = (&mut red[..width], &mut green[..width], &mut blue[..width]);
    let done = T::split_fast(row, [red, green, blue]);
    let out = red[done..].iter_mut().zip(&mut green[done..]).zip(&mut blue[done..]);
    for (&[r, g, b], ((red, green), blue)) in row[3 * done..].as_chunks::<3>().0.iter().zip(out) {
        (*red, *green, *blue) = (r, g, b);
    }
}

/// ITU-R BT.601 weights of red, green and blue in 16-bit fixed point, as PIL's `convert("L")` has them; together 2^16.
pub(super) const LUMA: [u32; 3] = [19_595, 38_470, 7_471];
/// What rounds their sum.
pub(super) const LUMA_HALF: u32 = 0x8000;

/// Luma of colour pixels.
pub(super) fn luma<T: Value>(rgb: &[T], gray: &mut [T]) {
    let done = T::luma_fast(rgb, gray);
    let (pixels, _) = rgb[3 * done..].as_chunks::<3>();
    vectorised(
        #[inline(always)]
        || {
            for (gray, pixel) in gray[done..].iter_mut().zip(pixels) {
                *gray = luma_of(*pixel);
            }
        },
    );
}

#[inline(always)]
fn luma_of<T: Value>(pixel: [T; 3]) -> T {
    // At most 65,535 * 2^16 + 2^15, which an unsigned number of 32 bits just holds.
    let (r, g, b) = (pixel[0].whole() as u32, pixel[1].whole() as u32, pixel[2].whole() as u32);
    T::of_whole(((r * LUMA[0] + g * LUMA[1] + b * LUMA[2] + LUMA_HALF) >> 16) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_becomes_the_gray_of_its_formula() {
        // Every value of each channel with every fifth of the others, in rows whose end is no whole block.
        for (a, b, c) in [(1, 5, 5), (5, 1, 5), (5, 5, 1)] {
            let all = |step| (0..=255u8).step_by(step);
            let pixels: Vec<[u8; 3]> =
                all(a).flat_map(|r| all(b).flat_map(move |g| all(c).map(move |b| [r, g, b]))).collect();
            let mut gray = vec![0; pixels.len()];
            for part in [0..16, 16..29, 29..pixels.len()] {
                luma(pixels[part.clone()].as_flattened(), &mut gray[part]);
            }
            assert!(pixels.len() > 600_000 && gray.iter().zip(&pixels).all(|(&gray, &pixel)| gray == luma_of(pixel)));
        }
    }
}
