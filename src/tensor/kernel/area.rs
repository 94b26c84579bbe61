use std::ops::Range;

use crate::frame::View;
use crate::geometry::Size;
use crate::tensor::pixel::{Sample, Sink};
use crate::tensor::simd::vectorised;

/// Resampling by the mean over the covered area, first along the rows and then down the columns. A box filter of a
/// resampling crate counts whole pixels only; here a pixel that is covered in part counts by its share.
#[derive(Default)]
pub(super) struct Area<T> {
    made_for: Option<(usize, usize)>,
    /// For each target pixel of a row, its first source pixel and where its shares are.
    columns: Vec<(usize, Range<usize>)>,
    shares: Vec<f32>,
    /// The row of the source that was resized across last, each channel by itself.
    line: Vec<f32>,
    held: Option<usize>,
    sums: Vec<f32>,
    out: Vec<T>,
}

impl<T: Sample> Area<T> {
    /// Resizes `source` to `to`, and gives the wanted `rows` of the result.
    pub(super) fn run(&mut self, source: View<'_, T>, to: Size, rows: Range<usize>, sink: &mut impl Sink) {
        let (width, height, channels) = (source.width(), source.height(), source.channels());
        let (to_width, to_height) = (to.width as usize, to.height as usize);
        if self.made_for != Some((width, to_width)) {
            self.made_for = Some((width, to_width));
            self.columns.clear();
            self.shares.clear();
            for x in 0..to_width {
                let start = self.shares.len();
                self.shares.extend(cover(x, width, to_width).map(|(_, share)| share));
                self.columns.push((x * width / to_width, start..self.shares.len()));
            }
        }
        let Area { columns, shares, line, held, sums, out, .. } = self;
        *held = None;
        line.resize(to_width * channels, 0.0);
        sums.resize(to_width * channels, 0.0);
        out.resize(to_width, T::default());
        for y in rows {
            sums.fill(0.0);
            for (row, share) in cover(y, height, to_height) {
                // Two rows of the result share at most the one row of the source that both cover in part.
                if *held != Some(row) {
                    *held = Some(row);
                    match channels {
                        1 => across::<T, 1>(source.line(row), columns, shares, line),
                        _ => across::<T, 3>(source.line(row), columns, shares, line),
                    }
                }
                vectorised(
                    #[inline(always)]
                    || sums.iter_mut().zip(&*line).for_each(|(sum, value)| *sum += share * value),
                );
            }
            for (channel, sums) in sums.chunks_exact(to_width).enumerate() {
                vectorised(
                    #[inline(always)]
                    || out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = T::round(sum)),
                );
                sink.rows(y, channel, out);
            }
        }
    }
}

fn across<T: Sample, const C: usize>(row: &[T], columns: &[(usize, Range<usize>)], shares: &[f32], line: &mut [f32]) {
    let (pixels, _) = row.as_chunks::<C>();
    let width = columns.len();
    for (x, (first, part)) in columns.iter().enumerate() {
        let mut sums = [0.0; C];
        for (pixel, share) in pixels[*first..].iter().zip(&shares[part.clone()]) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += share * value.into();
            }
        }
        for (c, sum) in sums.into_iter().enumerate() {
            line[c * width + x] = sum;
        }
    }
}

/// The source pixels that target pixel `i` covers, with their shares, which sum to 1.
fn cover(i: usize, from: usize, to: usize) -> impl Iterator<Item = (usize, f32)> {
    // In units of 1/to of a source pixel every border is a whole number.
    let (start, end) = (i * from, (i + 1) * from);
    (start / to..end.div_ceil(to)).map(move |j| {
        let part = ((j + 1) * to).min(end) - (j * to).max(start);
        (j, part as f32 / from as f32)
    })
}
