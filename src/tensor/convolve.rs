//! Resampling by a filter, one direction after the other, rounded to whole steps between, with whole-numbered weights:
//!
//! * the kernels `bilinear` and `bicubic` of this crate, to the step what the crate `fast_image_resize` computes: 8-bit
//!   pixels down the columns first with weights of 15 bits, 16-bit pixels along the rows first with weights of 31, or
//!   a little less, as many as the largest weight leaves room for;
//! * PIL's `Image.resize` (`Resample.c`): weights of 22 bits. Along the rows first, but for a picture whose height
//!   shrinks by more than twice as many pixels as its width: there Pillow 13 goes down the columns first (older
//!   versions do not). Compared in `tests/parity`;
//! * torchvision's `resize` of 8-bit tensors with `antialias=True` (`UpSampleKernel.cpp` of PyTorch): along the rows
//!   first; weights of 15 bits or a little less. Compared in `tests/parity`.

use std::ops::Range;

use super::resize::Source;
use super::value::{Sink, Value, split, vectorised};

/// Tables and lines that are used again from picture to picture.
#[derive(Default)]
pub(super) struct Convolve<T> {
    across: Windows,
    down: Windows,
    /// A row of the source, or a mean of some, as wide as the source.
    wide: Vec<T>,
    /// Its channels, one after the other.
    planes: Vec<T>,
    /// Rows of the source that are resized across, each channel by itself; row `y` lies in place `y % held.len()`.
    lines: Vec<T>,
    held: Vec<Option<usize>>,
    /// A row of the result.
    out: Vec<T>,
}

/// What is computed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Recipe {
    pub(super) filter: Filter,
    pub(super) style: Style,
    /// Whether the filter widens when it shrinks a picture.
    pub(super) antialias: bool,
}

/// Whose way of computing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Own,
    Pillow,
    Torchvision,
}

/// A filter's half width and its value at a distance from the centre, in source pixels when nothing shrinks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
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

/// Weights are taken by so many at a time.
const STEP: usize = 8;

/// For each target pixel, its first source pixel and the weights from there on.
#[derive(Default)]
struct Windows {
    /// What the table was made for.
    made_for: Option<(usize, usize, Recipe)>,
    /// First source pixel and number of weights.
    spans: Vec<(usize, usize)>,
    shares: Vec<f64>,
    /// `stride` weights for each target pixel, those that are not used are 0.
    weights: Vec<i32>,
    /// The same in 16 bits, where the weights have no more.
    narrow: Vec<i16>,
    stride: usize,
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
    fn fill<T: Value>(&mut self, from: usize, to: usize, recipe: Recipe) {
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
    fn of(&self, i: usize) -> (usize, &[i32]) {
        let (first, count) = self.spans[i];
        (first, &self.weights[i * self.stride..][..count])
    }

    /// Resizes a line. Behind it there have to be `stride` values that are any.
    fn across<T: Value>(&self, line: &[T], out: &mut [T]) {
        let Windows { spans, weights, narrow, stride, bits, .. } = self;
        let (bits, stride) = (*bits, *stride);
        let mut done = 0;
        if !narrow.is_empty() {
            done = T::across_fast(Narrow { weights: narrow, spans, count: stride, stride, bits }, line, out);
        }
        let windows = weights.chunks_exact(stride.max(1)).zip(spans).skip(done);
        for (out, (weights, &(first, _))) in out[done..].iter_mut().zip(windows) {
            let terms = weights.iter().zip(&line[first..]);
            *out = T::cut(terms.fold(T::half(bits), |sum, (&weight, &value)| T::add(sum, weight, value)), bits);
        }
    }

    /// The row of the result at `y`, from rows of the source.
    fn down<'l, T: Value + 'l>(&self, y: usize, line: impl Fn(usize) -> &'l [T], out: &mut [T]) {
        const BLOCK: usize = 64;
        let (first, weights) = self.of(y);
        let (bits, stride) = (self.bits, self.stride);
        let line = |k: usize| line(first + k);
        let mut done = 0;
        if let Some(narrow) = self.narrow.get(y * stride..(y + 1) * stride) {
            let table = Narrow { weights: narrow, spans: &[], count: weights.len(), stride, bits };
            done = T::down_fast(table, line, out);
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

impl<T: Value> Convolve<T> {
    /// Resizes `source` to `to` (width, height), and gives the wanted `rows` of the result.
    pub(super) fn run(
        &mut self,
        source: Source<'_, T>,
        to: (usize, usize),
        recipe: Recipe,
        rows: Range<usize>,
        sink: &mut impl Sink,
    ) {
        let ((w, h), (tw, th)) = (source.size, to);
        self.across.fill::<T>(w, tw, recipe);
        self.down.fill::<T>(h, th, recipe);
        let down_first = match recipe.style {
            // Fewer rows are left for the slower direction. 16 bits are summed slowly in both.
            Style::Own => T::EIGHT_BITS,
            Style::Pillow => th < h && 2 * (w as i64 - tw as i64) < (h - th) as i64,
            Style::Torchvision => false,
        };
        let spare = self.across.stride;
        self.wide.resize(w * source.channels + spare, T::default());
        self.planes.resize((w + spare) * source.channels, T::default());
        self.out.resize(tw, T::default());
        if down_first || w == tw || h == th {
            self.down_first(source, to, rows, sink);
        } else {
            self.across_first(source, to, rows, sink);
        }
    }

    fn down_first(
        &mut self,
        source: Source<'_, T>,
        (tw, th): (usize, usize),
        rows: Range<usize>,
        sink: &mut impl Sink,
    ) {
        let Source { channels, size: (w, h), .. } = source;
        let stride = w + self.across.stride;
        for y in rows {
            let wide = &mut self.wide[..w * channels];
            if h == th {
                wide.copy_from_slice(source.row(y));
            } else {
                self.down.down(y, |row| source.row(row), wide);
            }
            if channels > 1 {
                split(wide, channels, &mut self.planes, stride);
            }
            for channel in 0..channels {
                let line = if channels > 1 { &self.planes[channel * stride..][..stride] } else { &self.wide[..] };
                if w == tw {
                    sink.rows(y, channel, &line[..w]);
                } else {
                    self.across.across(line, &mut self.out);
                    sink.rows(y, channel, &self.out);
                }
            }
        }
    }

    fn across_first(
        &mut self,
        source: Source<'_, T>,
        (tw, _): (usize, usize),
        rows: Range<usize>,
        sink: &mut impl Sink,
    ) {
        let Source { channels, size: (w, _), .. } = source;
        let Convolve { across, down, planes, lines, held, out, .. } = self;
        let stride = w + across.stride;
        let places = down.spans.iter().map(|span| span.1).max().unwrap_or(1).max(1);
        held.clear();
        held.resize(places, None);
        lines.resize(places * channels * tw, T::default());
        for y in rows {
            let (first, weights) = down.of(y);
            for row in first..first + weights.len() {
                let place = row % places;
                if held[place] == Some(row) {
                    continue;
                }
                held[place] = Some(row);
                split(source.row(row), channels, planes, stride);
                for (line, plane) in
                    lines[place * channels * tw..].chunks_exact_mut(tw).zip(planes.chunks_exact(stride))
                {
                    across.across(plane, line);
                }
            }
            for channel in 0..channels {
                down.down(y, |row| &lines[(row % places * channels + channel) * tw..][..tw], out);
                sink.rows(y, channel, out);
            }
        }
    }
}
