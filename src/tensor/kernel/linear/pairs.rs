use std::ops::Range;

use super::Tap;
use crate::tensor::pixel::Sample;

/// Pixels that a shuffle takes at a time, and the most shuffles for one block.
const PART: usize = 16;
const PARTS: usize = 4;

/// Behind a line there have to be so many values that are any.
pub(super) const SPARE: usize = PART * PARTS;

/// Pixels of the result in a block.
const BLOCK: usize = 8;

/// The columns in whole numbers: two pixels side by side, the first of which is given, and their weights.
#[derive(Default)]
pub(super) struct Pairs {
    firsts: Vec<usize>,
    weights: Vec<[i16; 2]>,
    /// For each block of the result where its pixels begin, if they lie close enough, and which shuffles pick them.
    blocks: Vec<(usize, Range<usize>)>,
    /// Which of the 16 pixels of a part goes to which place; 128 for none of them.
    shuffles: Vec<[u8; PART]>,
}

impl Pairs {
    pub(super) fn fill(&mut self, columns: &[Tap], from: usize) {
        self.firsts.clear();
        self.firsts.extend(columns.iter().map(|tap| tap.first.min(from.saturating_sub(2))));
        self.weights.clear();
        // Where both neighbours are the last pixel, that one is the second of its pair.
        let pair = |(tap, &first): (&Tap, _)| if tap.first == first { tap.weights() } else { [0, 2048] };
        self.weights.extend(columns.iter().zip(&self.firsts).map(pair));
        self.blocks.clear();
        self.shuffles.clear();
        for firsts in self.firsts.as_chunks::<BLOCK>().0 {
            let start = firsts[0];
            let parts = (firsts[BLOCK - 1] + 2 - start).div_ceil(PART);
            if parts > PARTS {
                // The blocks that follow are left to the loop as well.
                break;
            }
            let shuffles = self.shuffles.len();
            self.shuffles.extend((0..parts).map(|part| {
                let place = |i: usize| (firsts[i / 2] + i % 2 - start).wrapping_sub(part * PART);
                std::array::from_fn(|i| if place(i) < PART { place(i) as u8 } else { 128 })
            }));
            self.blocks.push((start, shuffles..shuffles + parts));
        }
    }

    /// For each pixel the sum of its pair times the weights, without the four last bits, which OpenCV does not look at.
    pub(super) fn across<T: Sample>(&self, line: &[T], out: &mut [i16]) {
        let done = self.across_bytes(line, out);
        let taps = self.firsts[done..].iter().zip(&self.weights[done..]);
        for (out, (&first, weights)) in out[done..].iter_mut().zip(taps) {
            let terms = line[first..].iter().zip(weights);
            *out = (terms.map(|(value, &weight)| value.whole() * i32::from(weight)).sum::<i32>() >> 4) as i16;
        }
    }
    /// Does the first pixels of `out` as [`Pairs::across`] does, and tells how many.
    fn across_bytes<T: Sample>(&self, line: &[T], out: &mut [i16]) -> usize {
        #[cfg(target_arch = "x86_64")]
        if let Some(line) = T::bytes(line) {
            return avx2::across(line, self, out).unwrap_or(0);
        }
        let _ = (line, out);
        0
    }
}

/// The loop for 8-bit pixels by hand: what the portable loop gives.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use pulp::NullaryFnOnce;
    use pulp::cast;
    use pulp::x86::V3;

    use super::{BLOCK, PART, Pairs};
    use crate::tensor::simd::avx2;

    /// The sums of two neighbours times their weights, without the last four bits, eight pixels at a time; gives the
    /// number of pixels done. Behind the line there have to be values that are any.
    pub(super) fn across(line: &[u8], pairs: &Pairs, out: &mut [i16]) -> Option<usize> {
        struct Run<'a>(V3, &'a [u8], &'a Pairs, &'a mut [i16]);

        impl NullaryFnOnce for Run<'_> {
            type Output = usize;

            #[inline(always)]
            fn call(self) -> usize {
                let Run(V3 { sse2, ssse3, avx, avx2, .. }, line, pairs, out) = self;
                let Pairs { weights, blocks, shuffles, .. } = pairs;
                let weights = weights.as_chunks::<BLOCK>().0;
                for ((out, weights), (start, part)) in
                    out.as_chunks_mut::<BLOCK>().0.iter_mut().zip(weights).zip(blocks)
                {
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

        avx2(|simd| Run(simd, line, pairs, out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::kernel::linear::{Shares, taps};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pairs_are_picked_as_the_taps_say(from in 1usize..300, to in 1usize..300, seed: u8) {
            let mut columns = Vec::new();
            taps(from, to, Shares::Opencv, true, &mut columns);
            let mut pairs = Pairs::default();
            pairs.fill(&columns, from);
            let line: Vec<u8> = (0..from + SPARE).map(|i| (i * 97 + usize::from(seed)) as u8).collect();
            let mut out = vec![0; to];
            pairs.across(&line, &mut out);
            for (tap, &got) in columns.iter().zip(&out) {
                let [a, b] = tap.weights().map(i32::from);
                let sum = i32::from(line[tap.first]) * a + i32::from(line[tap.second]) * b;
                prop_assert_eq!(i32::from(got), sum >> 4);
            }
        }
    }
}
