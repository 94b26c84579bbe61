//! What PIL's `Image.resize` and torchvision's `resize` of 8-bit tensors (`antialias=True`) compute with bilinear and
//! bicubic kernels, to the step: one direction after the other, rounded to whole steps between, with whole-numbered
//! weights. Compared with both in `tests/parity`.
//!
//! * PIL (`Resample.c`): weights of 22 bits. Along the rows first, but for a picture whose height shrinks by more than
//!   twice as many pixels as its width: there Pillow 13 goes down the columns first (older versions do not).
//! * torchvision (`UpSampleKernel.cpp` of PyTorch): along the rows first; weights of 15 bits or a little less, as many
//!   as the largest weight leaves room for.

use super::area::Value;

/// Buffers that are used again from picture to picture.
#[derive(Default)]
pub(super) struct Pillow {
    windows: Windows,
    between: Vec<u16>,
}

/// Whose way of computing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Pillow,
    Torchvision,
}

/// A filter's half width and its value at a distance from the centre, in source pixels when nothing shrinks.
#[derive(Clone, Copy)]
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

/// For each target pixel, its first source pixel and the weights from there on.
#[derive(Default)]
struct Windows {
    first: Vec<(usize, usize)>,
    shares: Vec<f64>,
    weights: Vec<i64>,
    bits: u32,
}

impl Windows {
    fn fill(&mut self, from: usize, to: usize, filter: Filter, style: Style) {
        self.first.clear();
        self.shares.clear();
        let scale = from as f64 / to as f64;
        let wide = scale.max(1.0);
        let support = filter.support() * wide;
        for i in 0..to {
            let centre = (i as f64 + 0.5) * scale;
            let start = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            let weight = |x: usize| filter.at((x as f64 - centre + 0.5) / wide);
            let sum: f64 = (start..end).map(weight).sum();
            self.first.push((start, self.shares.len()));
            self.shares.extend((start..end).map(|x| weight(x) / sum));
        }
        let top = self.shares.iter().copied().fold(0.0, f64::max);
        self.bits = match style {
            Style::Pillow => 22,
            // The largest weight has to stay below 2^15.
            Style::Torchvision => {
                (0..22).find(|bits| (0.5 + top * f64::from(1u32 << (bits + 1))) as i64 >= 1 << 15).unwrap_or(22)
            }
        };
        let one = f64::from(1u32 << self.bits);
        self.weights.clear();
        // Away from zero at one half, as C's cast of the shifted number.
        let whole = |share: f64| if share < 0.0 { (share * one - 0.5) as i64 } else { (share * one + 0.5) as i64 };
        self.weights.extend(self.shares.iter().map(|&share| whole(share)));
    }

    /// First source pixel and weights of target pixel `i`.
    fn of(&self, i: usize) -> (usize, &[i64]) {
        let (first, at) = self.first[i];
        let end = self.first.get(i + 1).map_or(self.weights.len(), |next| next.1);
        (first, &self.weights[at..end])
    }

    /// The sum of values times weights as a pixel of at most `top`.
    fn pixel(&self, values: impl Iterator<Item = i64>, weights: &[i64], top: i64) -> u16 {
        let sum: i64 = values.zip(weights).map(|(v, w)| v * w).sum();
        ((sum + (1 << (self.bits - 1))) >> self.bits).clamp(0, top) as u16
    }

    /// Resizes every row from `from` to `to` pixels.
    fn along_rows<V: Copy + Into<f32>>(
        &self,
        source: &[V],
        from: usize,
        to: usize,
        channels: usize,
        top: i64,
        mut out: impl FnMut(u16),
    ) {
        for row in source.chunks_exact(from * channels) {
            for x in 0..to {
                let (first, weights) = self.of(x);
                for c in 0..channels {
                    let values = row[first * channels + c..].iter().step_by(channels);
                    out(self.pixel(values.map(|&v| v.into() as i64), weights, top));
                }
            }
        }
    }

    /// Resizes every column to `to` pixels; a row has `stride` values.
    fn along_columns<V: Copy + Into<f32>>(
        &self,
        source: &[V],
        stride: usize,
        to: usize,
        top: i64,
        mut out: impl FnMut(u16),
    ) {
        for y in 0..to {
            let (first, weights) = self.of(y);
            for x in 0..stride {
                let values = source[first * stride + x..].iter().step_by(stride);
                out(self.pixel(values.map(|&v| v.into() as i64), weights, top));
            }
        }
    }
}

impl Pillow {
    pub(super) fn run<T: Value>(
        &mut self,
        source: &[T],
        from: (u32, u32),
        target: &mut Vec<T>,
        to: (u32, u32),
        channels: usize,
        (filter, style): (Filter, Style),
    ) {
        let top = if T::EIGHT_BITS { 255 } else { 65_535 };
        let side = |n: u32| n as usize;
        let ((w, h), (tw, th)) = ((side(from.0), side(from.1)), (side(to.0), side(to.1)));
        let Pillow { windows, between } = self;
        target.clear();
        between.clear();
        let pixel = |v: u16| T::round(f32::from(v));
        if h == th {
            windows.fill(w, tw, filter, style);
            windows.along_rows(source, w, tw, channels, top, |v| target.push(pixel(v)));
        } else if w == tw {
            windows.fill(h, th, filter, style);
            windows.along_columns(source, w * channels, th, top, |v| target.push(pixel(v)));
        } else if style == Style::Pillow
            && th < h
            && 2 * (i64::from(from.0) - i64::from(to.0)) < i64::from(from.1 - to.1)
        {
            windows.fill(h, th, filter, style);
            windows.along_columns(source, w * channels, th, top, |v| between.push(v));
            windows.fill(w, tw, filter, style);
            windows.along_rows(between, w, tw, channels, top, |v| target.push(pixel(v)));
        } else {
            windows.fill(w, tw, filter, style);
            windows.along_rows(source, w, tw, channels, top, |v| between.push(v));
            windows.fill(h, th, filter, style);
            windows.along_columns(between, tw * channels, th, top, |v| target.push(pixel(v)));
        }
    }
}
