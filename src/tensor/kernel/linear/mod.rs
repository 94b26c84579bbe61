//! Linear kernels of two neighbours in each direction, whatever the scale:
//!
//! * what OpenCV's `resize` computes with `INTER_LINEAR`, and with `INTER_AREA` where a side grows, to the step: the
//!   kernels that most models were trained behind. Compared with opencv-python in `tests/parity`;
//! * PyTorch's `interpolate(mode="bilinear")` of floating-point pixels, which rounds nothing.

use std::ops::Range;

use crate::frame::View;
use crate::geometry::Size;
use crate::tensor::channels::split;
use crate::tensor::pixel::{Sample, Sink};
use crate::tensor::simd::vectorised;

mod pairs;

use pairs::Pairs;

/// Tables and lines reused from image to image.
#[derive(Default)]
pub(super) struct Linear<T> {
    made_for: Option<(Size, Size, Shares)>,
    columns: Vec<Tap>,
    rows: Vec<Tap>,
    pairs: Pairs,
    /// The channels of a row, one after the other.
    planes: Vec<T>,
    upper: Line,
    lower: Line,
    out: Vec<T>,
    real: Vec<f32>,
}

/// How the neighbours and their shares are found, and what is done with them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shares {
    /// `INTER_LINEAR`.
    Opencv,
    /// `INTER_AREA` where a side grows.
    OpencvArea,
    /// PyTorch's.
    Torch,
}

/// One row of the source, resized across, each channel by itself.
#[derive(Default)]
struct Line {
    row: Option<usize>,
    whole: Vec<i16>,
    real: Vec<f32>,
}

/// Two neighbours in the source and the share of the second, `0..1`.
#[derive(Clone, Copy)]
struct Tap {
    first: usize,
    second: usize,
    share: f32,
}

impl Tap {
    /// The shares of both in whole numbers of 1/2048, OpenCV's for 8-bit images (`INTER_RESIZE_COEF_BITS`).
    fn weights(&self) -> [i16; 2] {
        [1.0 - self.share, self.share].map(|share| (share * 2048.0).round_ties_even() as i16)
    }
}

/// For each of `to` pixels its two neighbours among `from`: `resize` in OpenCV's `resize.cpp`. Beyond the border both
/// are the outermost pixel; along rows OpenCV then drops the share, down columns it does not, which loses a bit.
fn taps(from: usize, to: usize, shares: Shares, across: bool, out: &mut Vec<Tap>) {
    let inverse = to as f64 / from as f64;
    // Not `from / to`: the last bit decides which way a share is rounded.
    let scale = 1.0 / inverse;
    let last = from - 1;
    out.clear();
    out.extend((0..to).map(|i| {
        let (cell, share) = match shares {
            Shares::Torch => {
                let at = ((i as f32 + 0.5) * (from as f32 / to as f32) - 0.5).max(0.0);
                let first = (at as usize).min(last);
                return Tap { first, second: (first + 1).min(last), share: at - first as f32 };
            }
            Shares::OpencvArea => {
                let cell = (i as f64 * scale).floor();
                let share = ((i + 1) as f64 - (cell + 1.0) * inverse) as f32;
                (cell, if share <= 0.0 { 0.0 } else { share - share.floor() })
            }
            Shares::Opencv => {
                let at = ((i as f64 + 0.5) * scale - 0.5) as f32;
                (f64::from(at.floor()), at - at.floor())
            }
        };
        let place = |cell: f64| (cell.max(0.0) as usize).min(last);
        let (first, second) = (place(cell), place(cell + 1.0));
        Tap { first, second, share: if across && first == second { 0.0 } else { share } }
    }));
}

impl<T: Sample> Linear<T> {
    /// Resizes `source` to `to`, and gives the wanted `rows` of the result.
    pub(super) fn run(
        &mut self,
        source: View<'_, T>,
        to: Size,
        shares: Shares,
        rows: Range<usize>,
        sink: &mut impl Sink,
    ) {
        let (from, channels, width) = (source.width(), source.channels(), to.width as usize);
        let wanted = Some((source.size(), to, shares));
        if self.made_for != wanted {
            self.made_for = wanted;
            taps(from, width, shares, true, &mut self.columns);
            taps(source.height(), to.height as usize, shares, false, &mut self.rows);
            self.pairs.fill(&self.columns, from);
        }
        let stride = from + pairs::SPARE;
        self.planes.resize(stride * channels, T::default());
        (self.upper.row, self.lower.row) = (None, None);
        let torch = shares == Shares::Torch;
        let whole = T::EIGHT_BITS && !torch;
        let white = f32::from(source.white());
        let level = |value: T| if torch { value.level(white) } else { value.into() };
        for y in rows {
            let tap = self.rows[y];
            let Linear { columns, pairs, planes, upper, lower, out, real, .. } = self;
            if lower.row == Some(tap.first) {
                std::mem::swap(upper, lower);
            }
            for (line, row) in [(&mut *upper, tap.first), (&mut *lower, tap.second)] {
                if line.row == Some(row) {
                    continue;
                }
                line.row = Some(row);
                split(source.line(row), channels, planes, stride);
                line.whole.resize(width * channels, 0);
                line.real.resize(width * channels, 0.0);
                let part = |channel: usize| channel * width..(channel + 1) * width;
                for (channel, plane) in planes.chunks_exact(stride).enumerate() {
                    if whole {
                        pairs.across(plane, &mut line.whole[part(channel)]);
                    } else {
                        let out = line.real[part(channel)].iter_mut();
                        let mix = |tap: &Tap| {
                            level(plane[tap.first]) * (1.0 - tap.share) + level(plane[tap.second]) * tap.share
                        };
                        out.zip(&*columns).for_each(|(out, tap)| *out = mix(tap));
                    }
                }
            }
            out.resize(width, T::default());
            for channel in 0..channels {
                let part = channel * width..(channel + 1) * width;
                if whole {
                    let [a, b] = tap.weights();
                    let both = upper.whole[part.clone()].iter().zip(&lower.whole[part]);
                    // The order of shifts is OpenCV's: it loses the same bits.
                    let high = |weight: i16, value: i16| ((i32::from(weight) * i32::from(value)) >> 16) as i16;
                    vectorised(
                        #[inline(always)]
                        || {
                            for (out, (&u, &l)) in out.iter_mut().zip(both) {
                                *out = T::of_whole(i32::from((high(a, u) + high(b, l) + 2) >> 2));
                            }
                        },
                    );
                    sink.rows(y, channel, out);
                    continue;
                }
                let (a, b) = (1.0 - tap.share, tap.share);
                let both = upper.real[part.clone()].iter().zip(&lower.real[part]);
                if torch {
                    real.clear();
                    real.extend(both.map(|(&u, &l)| u * a + l * b));
                    sink.rows(y, channel, real);
                } else {
                    for (out, (&u, &l)) in out.iter_mut().zip(both) {
                        *out = T::round(u * a + l * b);
                    }
                    sink.rows(y, channel, out);
                }
            }
        }
    }
}
