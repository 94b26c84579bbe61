//! The inner loops for 8-bit pixels by hand. Each gives what the portable loop in `windows` gives, and `None` where the
//! processor cannot run it.

use std::arch::x86_64::__m256i;

use pulp::NullaryFnOnce;
use pulp::cast;
use pulp::x86::V3;

use super::windows::Narrow;
use crate::tensor::simd::avx2;

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
            // The blocks ask for the same lines again and again: mostly they are few, and found once.
            let mut few: [&[u8]; 16] = [&[]; 16];
            few.iter_mut().zip(0..count).for_each(|(few, k)| *few = line(k));
            let line = |k: usize| few.get(k).copied().unwrap_or_else(|| line(k));
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

    avx2(|simd| Down(simd, table, line, out))
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

    avx2(|simd| Across(simd, table, line, out))
}
