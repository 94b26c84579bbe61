//! The inner loops for 8-bit pixels that the compiler makes slow code of, by hand, in the safe wrappers of `pulp`. Each
//! gives what the portable loop beside its caller gives, and `false` where the processor cannot run it.

use std::arch::x86_64::{__m128i, __m256i};

use pulp::NullaryFnOnce;
use pulp::cast;
use pulp::x86::V3;

use super::convolve::Narrow;
use super::linear::{BLOCK, PART, Pairs};
use super::value::{LUMA, LUMA_HALF};

/// Runs `op` with AVX2 switched on, if there is AVX2.
fn run<Op: NullaryFnOnce>(op: impl FnOnce(V3) -> Op) -> Option<Op::Output> {
    let simd = V3::try_new()?;
    Some(simd.vectorize(op(simd)))
}

/// The sums of rows times weights, 64 pixels at a time; gives the number of pixels done.
pub(super) fn down<'l>(table: Narrow<'_>, line: impl Fn(usize) -> &'l [u8], out: &mut [u8]) -> Option<usize> {
    struct Down<'a, L>(V3, Narrow<'a>, L, &'a mut [u8]);

    impl<'l, L: Fn(usize) -> &'l [u8]> NullaryFnOnce for Down<'_, L> {
        type Output = usize;

        #[inline(always)]
        fn call(self) -> usize {
            let Down(V3 { avx, avx2, sse2, .. }, Narrow { weights, count, bits, .. }, line, out) = self;
            let zero = avx._mm256_setzero_si256();
            let half = avx._mm256_set1_epi32(1 << (bits - 1));
            let shift = sse2._mm_cvtsi32_si128(bits as i32);
            let (blocks, _) = out.as_chunks_mut::<64>();
            let done = blocks.len() * 64;
            for (i, block) in blocks.iter_mut().enumerate() {
                let mut sums = [half; 8];
                for (pair, weights) in weights.as_chunks::<2>().0[..count.div_ceil(2)].iter().enumerate() {
                    let pixels = |k: usize| line(k.min(count - 1))[i * 64..].first_chunk::<64>();
                    // The rows are as long as the result.
                    let (Some(upper), Some(lower)) = (pixels(2 * pair), pixels(2 * pair + 1)) else { continue };
                    let (upper, lower): ([__m256i; 2], [__m256i; 2]) = (cast(*upper), cast(*lower));
                    let weights = avx._mm256_set1_epi32(cast(*weights));
                    for half in 0..2 {
                        let low = avx2._mm256_unpacklo_epi8(upper[half], lower[half]);
                        let high = avx2._mm256_unpackhi_epi8(upper[half], lower[half]);
                        let wide = [
                            avx2._mm256_unpacklo_epi8(low, zero),
                            avx2._mm256_unpackhi_epi8(low, zero),
                            avx2._mm256_unpacklo_epi8(high, zero),
                            avx2._mm256_unpackhi_epi8(high, zero),
                        ];
                        for (sum, pixels) in sums[half * 4..].iter_mut().zip(wide) {
                            *sum = avx2._mm256_add_epi32(*sum, avx2._mm256_madd_epi16(pixels, weights));
                        }
                    }
                }
                let sums = sums.map(|sum| avx2._mm256_sra_epi32(sum, shift));
                let halves: [__m256i; 2] = std::array::from_fn(|half| {
                    let (left, right) = (half * 4, half * 4 + 2);
                    let left = avx2._mm256_packs_epi32(sums[left], sums[left + 1]);
                    let right = avx2._mm256_packs_epi32(sums[right], sums[right + 1]);
                    avx2._mm256_packus_epi16(left, right)
                });
                *block = cast(halves);
            }
            done
        }
    }

    run(|simd| Down(simd, table, line, out))
}

/// The sums of a line's windows times their weights, four windows at a time; gives the number of windows done.
pub(super) fn across(table: Narrow<'_>, line: &[u8], out: &mut [u8]) -> Option<usize> {
    struct Across<'a>(V3, Narrow<'a>, &'a [u8], &'a mut [u8]);

    impl NullaryFnOnce for Across<'_> {
        type Output = usize;

        #[inline(always)]
        fn call(self) -> usize {
            let Across(V3 { sse2, ssse3, sse4_1, .. }, Narrow { weights, spans, stride, bits, .. }, line, out) = self;
            let half = sse2._mm_set1_epi32(1 << (bits - 1));
            let shift = sse2._mm_cvtsi32_si128(bits as i32);
            let (blocks, _) = out.as_chunks_mut::<4>();
            let done = blocks.len() * 4;
            let products = |values: &[u8; 8], weights: &[i16; 8]| {
                let values = sse4_1._mm_cvtepu8_epi16(sse2._mm_set_epi64x(0, cast(*values)));
                sse2._mm_madd_epi16(values, cast(*weights))
            };
            // Steps of 8 weights, `steps` for each window.
            let (weights, steps) = (weights.as_chunks::<8>().0, stride / 8);
            let windows = weights.chunks_exact(4 * steps).zip(spans.as_chunks::<4>().0);
            for (block, (weights, spans)) in blocks.iter_mut().zip(windows) {
                let mut sums = [sse2._mm_setzero_si128(); 4];
                if let Ok(weights) = <&[_; 4]>::try_from(weights) {
                    // Most often one step is enough, and then nothing has to be counted.
                    for ((sum, weights), span) in sums.iter_mut().zip(weights).zip(spans) {
                        let Some(values) = line[span.0..].first_chunk() else { continue };
                        *sum = products(values, weights);
                    }
                } else {
                    for ((sum, weights), span) in sums.iter_mut().zip(weights.chunks_exact(steps)).zip(spans) {
                        for (weights, values) in weights.iter().zip(line[span.0..].as_chunks().0) {
                            *sum = sse2._mm_add_epi32(*sum, products(values, weights));
                        }
                    }
                }
                let [a, b, c, d] = sums;
                let sums = ssse3._mm_hadd_epi32(ssse3._mm_hadd_epi32(a, b), ssse3._mm_hadd_epi32(c, d));
                let whole = sse2._mm_sra_epi32(sse2._mm_add_epi32(sums, half), shift);
                let short = sse2._mm_packs_epi32(whole, whole);
                *block = cast(sse2._mm_cvtsi128_si32(sse2._mm_packus_epi16(short, short)));
            }
            done
        }
    }

    run(|simd| Across(simd, table, line, out))
}

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

    run(|simd| Split(simd, row, planes))
}

/// Luma of colour pixels, 16 at a time; gives the number of pixels done.
pub(super) fn luma(rgb: &[u8], gray: &mut [u8]) -> Option<usize> {
    struct Luma<'a>(V3, &'a [u8], &'a mut [u8]);

    impl NullaryFnOnce for Luma<'_> {
        type Output = usize;

        #[inline(always)]
        fn call(self) -> usize {
            let Luma(simd, rgb, gray) = self;
            let V3 { sse2, avx, avx2, .. } = simd;
            // Weights have 15 bits here: half of green's goes with red, the other half with blue.
            let (red, green, blue) = (LUMA[0] as i16, (LUMA[1] / 2) as i16, LUMA[2] as i16);
            let (with_red, with_blue): (__m256i, __m256i) = (cast([[red, green]; 8]), cast([[blue, green]; 8]));
            let half = avx._mm256_set1_epi32(LUMA_HALF as i32);
            let (parts, _) = rgb.as_chunks::<48>();
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
                    *sum = avx2._mm256_srli_epi32::<16>(avx2._mm256_add_epi32(avx2._mm256_add_epi32(red, blue), *sum));
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

    run(|simd| Luma(simd, rgb, gray))
}

/// The sums of two neighbours times their weights, without the last four bits, eight pixels at a time; gives the number
/// of pixels done. Behind the line there have to be values that are any.
pub(super) fn pairs(line: &[u8], pairs: &Pairs, out: &mut [i16]) -> Option<usize> {
    struct Run<'a>(V3, &'a [u8], &'a Pairs, &'a mut [i16]);

    impl NullaryFnOnce for Run<'_> {
        type Output = usize;

        #[inline(always)]
        fn call(self) -> usize {
            let Run(V3 { sse2, ssse3, avx, avx2, .. }, line, pairs, out) = self;
            let Pairs { weights, blocks, shuffles, .. } = pairs;
            let weights = weights.as_chunks::<BLOCK>().0;
            for ((out, weights), (start, part)) in out.as_chunks_mut::<BLOCK>().0.iter_mut().zip(weights).zip(blocks) {
                let mut both = sse2._mm_setzero_si128();
                for (pixels, places) in line[*start..].as_chunks::<PART>().0.iter().zip(&shuffles[part.clone()]) {
                    both = sse2._mm_or_si128(both, ssse3._mm_shuffle_epi8(cast(*pixels), cast(*places)));
                }
                let sums = avx2._mm256_madd_epi16(avx2._mm256_cvtepu8_epi16(both), cast(*weights));
                let sums = avx2._mm256_srai_epi32::<4>(sums);
                let (low, high) = (avx._mm256_castsi256_si128(sums), avx2._mm256_extracti128_si256::<1>(sums));
                *out = cast(sse2._mm_packs_epi32(low, high));
            }
            blocks.len() * BLOCK
        }
    }

    run(|simd| Run(simd, line, pairs, out))
}
