#[cfg(target_arch = "x86_64")]
use super::avx2;
use crate::tensor::pixel::Sample;
use crate::tensor::simd::vectorised;

/// What is computed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recipe {
    pub(crate) filter: Filter,
    pub(crate) style: Style,
    /// Whether the filter widens when it shrinks an image.
    pub(crate) antialias: bool,
}

/// Which library's rounding to reproduce.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Own,
    Pillow,
    Torchvision,
}

/// A filter's half width and its value at a distance from the centre, in source pixels when nothing shrinks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    Bilinear,
    Bicubic,
}

impl Filter {
    fn support(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
        }
    }

    /// Whether its weights go below 0, so that results lie outside the range of their pixels.
    pub(super) fn overshoots(self) -> bool {
        self == Filter::Bicubic
    }

    fn at(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Filter::Bilinear => (1.0 - x).max(0.0),
            Filter::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Filter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Filter::Bicubic => 0.0,
        }
    }
}

/// So many weights are taken at a time.
const STEP: usize = 8;

/// For each target pixel, its first source pixel and the weights from there on.
#[derive(Default)]
pub(super) struct Windows {
    /// What the table was made for.
    made_for: Option<(usize, usize, Recipe)>,
    /// First source pixel and number of weights.
    pub(super) spans: Vec<(usize, usize)>,
    shares: Vec<f64>,
    /// `stride` weights for each target pixel, those that are not used are 0.
    weights: Vec<i32>,
    /// The same in 16 bits, where the weights have no more.
    narrow: Vec<i16>,
    pub(super) stride: usize,
    bits: u32,
}

/// Windows whose weights have 16 bits or less.
#[derive(Clone, Copy)]
pub(super) struct Narrow<'a> {
    /// `stride` for each target pixel, or those of one.
    pub(super) weights: &'a [i16],
    pub(super) spans: &'a [(usize, usize)],
    /// How many of one target pixel count.
    pub(super) count: usize,
    pub(super) stride: usize,
    /// Sums are this much longer than pixels.
    pub(super) bits: u32,
}

impl Windows {
    pub(super) fn fill<T: Sample>(&mut self, from: usize, to: usize, recipe: Recipe) {
        let wanted = Some((from, to, recipe));
        if self.made_for == wanted {
            return;
        }
        self.made_for = wanted;
        let Recipe { filter, style, antialias } = recipe;
        self.spans.clear();
        self.shares.clear();
        let scale = from as f64 / to as f64;
        let wide = if antialias { scale.max(1.0) } else { 1.0 };
        let support = filter.support() * wide;
        let narrow = 1.0 / wide;
        for i in 0..to {
            let centre = (i as f64 + 0.5) * scale;
            let (mut start, mut end) = match style {
                Style::Own => {
                    ((centre - support).floor().max(0.0) as usize, (centre + support).ceil().min(from as f64) as usize)
                }
                _ => ((centre - support + 0.5).max(0.0) as usize, ((centre + support + 0.5) as usize).min(from)),
            };
            let weight = |x: usize| match style {
                Style::Own => filter.at((x as f64 - (centre - 0.5)) * narrow),
                _ => filter.at((x as f64 - centre + 0.5) / wide),
            };
            let sum: f64 = (start..end).map(weight).sum();
            if style == Style::Own {
                while start < end && weight(start) == 0.0 {
                    start += 1;
                }
                while start < end && weight(end - 1) == 0.0 {
                    end -= 1;
                }
            }
            self.spans.push((start, end - start));
            self.shares.extend((start..end).map(|x| weight(x) / sum));
        }
        let top = self.shares.iter().copied().fold(0.0, f64::max);
        // The largest weight has to stay below 2^room.
        let most = |room: u32, last: u32| {
            let full = |bits: &u32| (0.5 + top * (1u64 << (bits + 1)) as f64) as i64 >= 1 << room;
            (0..last).find(full).unwrap_or(last)
        };
        self.bits = match style {
            Style::Pillow => 22,
            Style::Torchvision => most(15, 22),
            Style::Own if T::EIGHT_BITS => most(15, 21),
            Style::Own => most(31, 45),
        };
        let one = (1u64 << self.bits) as f64;
        self.stride = self.spans.iter().map(|span| span.1).max().unwrap_or(0).next_multiple_of(STEP);
        self.weights.clear();
        self.weights.resize(to * self.stride, 0);
        let mut shares = &self.shares[..];
        for (weights, &(_, count)) in self.weights.chunks_exact_mut(self.stride.max(1)).zip(&self.spans) {
            let (mine, rest) = shares.split_at(count);
            shares = rest;
            for (weight, &share) in weights.iter_mut().zip(mine) {
                // Away from zero at one half, as C's cast of the shifted number.
                *weight = (share * one).round() as i32;
            }
        }
        self.narrow.clear();
        if self.weights.iter().all(|&weight| i16::try_from(weight).is_ok()) {
            self.narrow.extend(self.weights.iter().map(|&weight| weight as i16));
        }
    }

    /// First source pixel and weights of target pixel `i`.
    pub(super) fn of(&self, i: usize) -> (usize, &[i32]) {
        let (first, count) = self.spans[i];
        (first, &self.weights[i * self.stride..][..count])
    }

    /// Resizes a line. Behind it there have to be `stride` values that are any.
    pub(super) fn across<T: Sample>(&self, line: &[T], out: &mut [T]) {
        let Windows { spans, weights, narrow, stride, bits, .. } = self;
        let (bits, stride) = (*bits, *stride);
        let mut done = 0;
        if !narrow.is_empty() {
            done = across_bytes(Narrow { weights: narrow, spans, count: stride, stride, bits }, line, out);
        }
        let windows = weights.chunks_exact(stride.max(1)).zip(spans).skip(done);
        for (out, (weights, &(first, _))) in out[done..].iter_mut().zip(windows) {
            let terms = weights.iter().zip(&line[first..]);
            *out = T::cut(terms.fold(T::half(bits), |sum, (&weight, &value)| T::add(sum, weight, value)), bits);
        }
    }

    /// The row of the result at `y`, from rows of the source.
    pub(super) fn down<'l, T: Sample + 'l>(&self, y: usize, line: impl Fn(usize) -> &'l [T], out: &mut [T]) {
        const BLOCK: usize = 64;
        let (first, weights) = self.of(y);
        let (bits, stride) = (self.bits, self.stride);
        let line = |k: usize| line(first + k);
        let mut done = 0;
        if let Some(narrow) = self.narrow.get(y * stride..(y + 1) * stride) {
            let table = Narrow { weights: narrow, spans: &[], count: weights.len(), stride, bits };
            done = down_bytes(table, line, out);
        }
        let (blocks, rest) = out[done..].as_chunks_mut::<BLOCK>();
        vectorised(
            #[inline(always)]
            || {
                for block in blocks {
                    let mut sums = [T::half(bits); BLOCK];
                    for (k, &weight) in weights.iter().enumerate() {
                        let Some(values) = line(k)[done..].first_chunk::<BLOCK>() else { continue };
                        for (sum, &value) in sums.iter_mut().zip(values) {
                            *sum = T::add(*sum, weight, value);
                        }
                    }
                    for (out, &sum) in block.iter_mut().zip(&sums) {
                        *out = T::cut(sum, bits);
                    }
                    done += BLOCK;
                }
            },
        );
        for (x, out) in rest.iter_mut().enumerate() {
            let terms = weights.iter().enumerate();
            let add = |sum, (k, &weight)| T::add(sum, weight, line(k)[done + x]);
            *out = T::cut(terms.fold(T::half(bits), add), bits);
        }
    }
}

/// Does the first pixels of `out` as [`Windows::across`] does, and tells how many.
fn across_bytes<T: Sample>(table: Narrow<'_>, line: &[T], out: &mut [T]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if let (Some(line), Some(out)) = (T::bytes(line), T::bytes_mut(out)) {
        return avx2::across(table, line, out).unwrap_or(0);
    }
    let _ = (table, line, out);
    0
}

/// Does the first pixels of `out` as [`Windows::down`] does, and tells how many.
fn down_bytes<'l, T: Sample + 'l>(table: Narrow<'_>, line: impl Fn(usize) -> &'l [T], out: &mut [T]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if let Some(out) = T::bytes_mut(out) {
        return avx2::down(table, |k| T::bytes(line(k)).unwrap_or_default(), out).unwrap_or(0);
    }
    let _ = (table, line, out);
    0
}
