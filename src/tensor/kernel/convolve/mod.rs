//! Resampling by a filter, one direction after the other, rounded to whole steps between, with whole-numbered weights:
//!
//! * the kernels `bilinear` and `bicubic` of this crate, to the step what the crate `fast_image_resize` computes: 8-bit
//!   pixels down the columns first with weights of 15 bits, 16-bit pixels along the rows first with weights of 31, or
//!   a little less, as many as the largest weight leaves room for;
//! * PIL's `Image.resize` (`Resample.c`): weights of 22 bits. Along the rows first, but for an image whose height
//!   shrinks by more than twice as many pixels as its width: there Pillow 13 goes down the columns first (older
//!   versions do not). Compared in `tests/parity`;
//! * torchvision's `resize` of 8-bit tensors with `antialias=True` (`UpSampleKernel.cpp` of PyTorch): along the rows
//!   first; weights of 15 bits or a little less. Compared in `tests/parity`.

use std::ops::Range;

use crate::frame::View;
use crate::geometry::Size;
use crate::tensor::channels::split;
use crate::tensor::pixel::{Sample, Sink};
use crate::tensor::simd::vectorised;

#[cfg(target_arch = "x86_64")]
mod avx2;
mod windows;

use windows::Windows;
pub(super) use windows::{Filter, Recipe, Style};

/// Tables and lines reused from image to image.
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
    /// White, where a filter may overshoot it and a sample could hold more.
    top: Option<T>,
}

impl<T: Sample> Convolve<T> {
    /// Resizes `source` to `to`, and gives the wanted `rows` of the result.
    pub(super) fn run(
        &mut self,
        source: View<'_, T>,
        to: Size,
        recipe: Recipe,
        rows: Range<usize>,
        sink: &mut impl Sink,
    ) {
        let ((w, h), (tw, th)) = ((source.width(), source.height()), (to.width as usize, to.height as usize));
        self.across.fill::<T>(w, tw, recipe);
        self.down.fill::<T>(h, th, recipe);
        let down_first = match recipe.style {
            // Fewer rows are left for the slower direction. 16 bits are summed slowly in both.
            Style::Own => T::EIGHT_BITS,
            Style::Pillow => th < h && 2 * (w as i64 - tw as i64) < (h - th) as i64,
            Style::Torchvision => false,
        };
        self.top = None;
        if recipe.filter.overshoots() && source.white() < source.format().largest() {
            self.top = Some(T::of_whole(source.white().into()));
        }
        let spare = self.across.stride;
        self.wide.resize(w * source.channels() + spare, T::default());
        self.planes.resize((w + spare) * source.channels(), T::default());
        self.out.resize(tw, T::default());
        if down_first || w == tw || h == th {
            self.down_first(source, (tw, th), rows, sink);
        } else {
            self.across_first(source, tw, rows, sink);
        }
    }

    fn down_first(&mut self, source: View<'_, T>, (tw, th): (usize, usize), rows: Range<usize>, sink: &mut impl Sink) {
        let (channels, w, h) = (source.channels(), source.width(), source.height());
        let stride = w + self.across.stride;
        for y in rows {
            let wide = &mut self.wide[..w * channels];
            if h == th {
                wide.copy_from_slice(source.line(y));
            } else {
                self.down.down(y, |row| source.line(row), wide);
                clip(wide, self.top);
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
                    clip(&mut self.out, self.top);
                    sink.rows(y, channel, &self.out);
                }
            }
        }
    }

    fn across_first(&mut self, source: View<'_, T>, tw: usize, rows: Range<usize>, sink: &mut impl Sink) {
        let (channels, w) = (source.channels(), source.width());
        let Convolve { across, down, planes, lines, held, out, top, .. } = self;
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
                split(source.line(row), channels, planes, stride);
                for (line, plane) in
                    lines[place * channels * tw..].chunks_exact_mut(tw).zip(planes.chunks_exact(stride))
                {
                    across.across(plane, line);
                    clip(line, *top);
                }
            }
            for channel in 0..channels {
                down.down(y, |row| &lines[(row % places * channels + channel) * tw..][..tw], out);
                clip(out, *top);
                sink.rows(y, channel, out);
            }
        }
    }
}

/// Cuts what overshot white.
fn clip<T: Sample>(values: &mut [T], top: Option<T>) {
    if let Some(top) = top {
        vectorised(
            #[inline(always)]
            || values.iter_mut().for_each(|value| *value = (*value).min(top)),
        );
    }
}
