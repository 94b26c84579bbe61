//! Colour pixels taken apart, and made gray.

use super::pixel::Sample;
use super::simd::vectorised;
use crate::frame::LUMA_HALF;

/// Takes the channels of a row apart, into planes of `stride` values.
pub(super) fn split<T: Sample>(row: &[T], channels: usize, planes: &mut [T], stride: usize) {
    if channels == 1 {
        planes[..row.len()].copy_from_slice(row);
        return;
    }
    let width = row.len() / 3;
    let (red, rest) = planes.split_at_mut(stride);
    let (green, blue) = rest.split_at_mut(stride);
    let (red, green, blue) = (&mut red[..width], &mut green[..width], &mut blue[..width]);
    let done = split_bytes(row, [red, green, blue]);
    let out = red[done..].iter_mut().zip(&mut green[done..]).zip(&mut blue[done..]);
    for (&[r, g, b], ((red, green), blue)) in row[3 * done..].as_chunks::<3>().0.iter().zip(out) {
        (*red, *green, *blue) = (r, g, b);
    }
}

/// Does the first pixels as [`split`] does, and tells how many.
fn split_bytes<T: Sample>(row: &[T], [red, green, blue]: [&mut [T]; 3]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if let (Some(row), Some(red), Some(green), Some(blue)) =
        (T::bytes(row), T::bytes_mut(red), T::bytes_mut(green), T::bytes_mut(blue))
    {
        return avx2::split(row, [red, green, blue]).unwrap_or(0);
    }
    let _ = (row, red, green, blue);
    0
}

/// Luma of colour pixels; `weights` are those of the channels in their order, see [`LUMA`].
pub(super) fn luma<T: Sample>(pixels: &[T], weights: [u32; 3], gray: &mut [T]) {
    let done = luma_bytes(pixels, weights, gray);
    let (pixels, _) = pixels[3 * done..].as_chunks::<3>();
    vectorised(
        #[inline(always)]
        || {
            for (gray, pixel) in gray[done..].iter_mut().zip(pixels) {
                *gray = luma_of(*pixel, weights);
            }
        },
    );
}

/// Does the first pixels as [`luma`] does, and tells how many.
fn luma_bytes<T: Sample>(pixels: &[T], weights: [u32; 3], gray: &mut [T]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if let (Some(pixels), Some(gray)) = (T::bytes(pixels), T::bytes_mut(gray)) {
        return avx2::luma(pixels, weights, gray).unwrap_or(0);
    }
    let _ = (pixels, weights, gray);
    0
}

#[inline(always)]
fn luma_of<T: Sample>(pixel: [T; 3], weights: [u32; 3]) -> T {
    // At most 65,535 * 2^16 + 2^15, which an unsigned number of 32 bits just holds.
    let [a, b, c] = pixel.map(|value| value.whole() as u32);
    T::of_whole(((a * weights[0] + b * weights[1] + c * weights[2] + LUMA_HALF) >> 16) as i32)
}

/// The loops for 8-bit pixels by hand. Each gives what the portable loop gives.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{__m128i, __m256i};

    use pulp::NullaryFnOnce;
    use pulp::cast;
    use pulp::x86::V3;

    use super::LUMA_HALF;
    use crate::tensor::simd::avx2;

    /// Where the bytes of a channel lie in 48: in each of the three parts of 16, what goes to place `i`.
    const fn places(channel: usize) -> [[u8; 16]; 3] {
        // A place with its highest bit set becomes 0.
        let mut all = [[0x80; 16]; 3];
        let mut i = 0;
        while i < 16 {
            let at = 3 * i + channel;
            all[at / 16][i] = (at % 16) as u8;
            i += 1;
        }
        all
    }
    const PLACES: [[[u8; 16]; 3]; 3] = [places(0), places(1), places(2)];

    /// The three channels of 16 pixels.
    #[inline(always)]
    fn channels(V3 { sse2, ssse3, .. }: V3, pixels: &[u8; 48]) -> [__m128i; 3] {
        let part: [__m128i; 3] = cast(*pixels);
        let mut channels = part;
        for (channel, places) in channels.iter_mut().zip(PLACES) {
            let [a, b, c]: [__m128i; 3] = cast(places);
            let (a, b) = (ssse3._mm_shuffle_epi8(part[0], a), ssse3._mm_shuffle_epi8(part[1], b));
            *channel = sse2._mm_or_si128(sse2._mm_or_si128(a, b), ssse3._mm_shuffle_epi8(part[2], c));
        }
        channels
    }

    /// Takes the three channels of a row apart, 16 pixels at a time; gives the number of pixels done.
    pub(super) fn split(row: &[u8], planes: [&mut [u8]; 3]) -> Option<usize> {
        struct Split<'a>(V3, &'a [u8], [&'a mut [u8]; 3]);

        impl NullaryFnOnce for Split<'_> {
            type Output = usize;

            #[inline(always)]
            fn call(self) -> usize {
                let Split(simd, row, [red, green, blue]) = self;
                let (parts, _) = row.as_chunks::<48>();
                let planes = red.as_chunks_mut::<16>().0.iter_mut().zip(green.as_chunks_mut::<16>().0);
                let planes = planes.zip(blue.as_chunks_mut::<16>().0);
                for (part, ((red, green), blue)) in parts.iter().zip(planes) {
                    let [r, g, b] = channels(simd, part);
                    (*red, *green, *blue) = (cast(r), cast(g), cast(b));
                }
                parts.len() * 16
            }
        }

        avx2(|simd| Split(simd, row, planes))
    }

    /// Luma of colour pixels, 16 at a time; gives the number of pixels done. The middle weight is green's, and even.
    pub(super) fn luma(pixels: &[u8], weights: [u32; 3], gray: &mut [u8]) -> Option<usize> {
        struct Luma<'a>(V3, &'a [u8], [u32; 3], &'a mut [u8]);

        impl NullaryFnOnce for Luma<'_> {
            type Output = usize;

            #[inline(always)]
            fn call(self) -> usize {
                let Luma(simd, pixels, weights, gray) = self;
                let V3 { sse2, avx, avx2, .. } = simd;
                // Weights have 15 bits here: half of green's goes with red, the other half with blue.
                let (red, green, blue) = (weights[0] as i16, (weights[1] / 2) as i16, weights[2] as i16);
                let (with_red, with_blue): (__m256i, __m256i) = (cast([[red, green]; 8]), cast([[blue, green]; 8]));
                let half = avx._mm256_set1_epi32(LUMA_HALF as i32);
                let (parts, _) = pixels.as_chunks::<48>();
                for (part, gray) in parts.iter().zip(gray.as_chunks_mut::<16>().0) {
                    let [red, green, blue] = channels(simd, part);
                    // Eight pixels, their bytes beside green's, and the other eight.
                    let pairs = [
                        (sse2._mm_unpacklo_epi8(red, green), sse2._mm_unpacklo_epi8(blue, green)),
                        (sse2._mm_unpackhi_epi8(red, green), sse2._mm_unpackhi_epi8(blue, green)),
                    ];
                    let mut sums = [half; 2];
                    for (sum, (red, blue)) in sums.iter_mut().zip(pairs) {
                        let red = avx2._mm256_madd_epi16(avx2._mm256_cvtepu8_epi16(red), with_red);
                        let blue = avx2._mm256_madd_epi16(avx2._mm256_cvtepu8_epi16(blue), with_blue);
                        *sum =
                            avx2._mm256_srli_epi32::<16>(avx2._mm256_add_epi32(avx2._mm256_add_epi32(red, blue), *sum));
                    }
                    // Packing takes turns between the halves of both: 0 to 3, 8 to 11, 4 to 7, 12 to 15.
                    let words = avx2._mm256_packus_epi32(sums[0], sums[1]);
                    let words = avx2._mm256_permute4x64_epi64::<0b11_01_10_00>(words);
                    let (first, last) = (avx._mm256_castsi256_si128(words), avx2._mm256_extracti128_si256::<1>(words));
                    *gray = cast(sse2._mm_packus_epi16(first, last));
                }
                parts.len() * 16
            }
        }

        avx2(|simd| Luma(simd, pixels, weights, gray))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::LUMA;

    #[test]
    fn every_colour_becomes_the_gray_of_its_formula() {
        // Every value of each channel with every fifth of the others, in rows whose end is no whole block.
        for (a, b, c) in [(1, 5, 5), (5, 1, 5), (5, 5, 1)] {
            let all = |step| (0..=255u8).step_by(step);
            let pixels: Vec<[u8; 3]> =
                all(a).flat_map(|r| all(b).flat_map(move |g| all(c).map(move |b| [r, g, b]))).collect();
            let mut gray = vec![0; pixels.len()];
            let weights = if a == 1 { LUMA } else { [LUMA[2], LUMA[1], LUMA[0]] };
            for part in [0..16, 16..29, 29..pixels.len()] {
                luma(pixels[part.clone()].as_flattened(), weights, &mut gray[part]);
            }
            assert!(
                pixels.len() > 600_000
                    && gray.iter().zip(&pixels).all(|(&gray, &pixel)| gray == luma_of(pixel, weights))
            );
        }
    }
}
