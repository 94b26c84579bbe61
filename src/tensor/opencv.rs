//! What OpenCV's `resize` computes with `INTER_LINEAR` and `INTER_AREA`, to the step: the kernels that most models were
//! trained behind. Compared with opencv-python in `tests/parity`.

use super::area::{Area, Value};

/// Buffers that are used again from picture to picture.
#[derive(Default)]
pub(super) struct Opencv {
    columns: Vec<Tap>,
    rows: Vec<Tap>,
    upper: Line,
    lower: Line,
}

/// One row of the source, resized across.
#[derive(Default)]
struct Line {
    row: Option<usize>,
    whole: Vec<i32>,
    real: Vec<f32>,
}

/// Two neighbours in the source and the share of the second, `0..1`.
#[derive(Clone, Copy)]
struct Tap {
    first: usize,
    second: usize,
    share: f32,
}

/// Shares are whole numbers of 1/2048 for 8-bit pictures (`INTER_RESIZE_COEF_BITS`).
const ONE: f32 = 2048.0;

impl Tap {
    fn weights(self) -> (i32, i32) {
        let whole = |share: f32| (share * ONE).round_ties_even() as i32;
        (whole(1.0 - self.share), whole(self.share))
    }
}

/// For each of `to` pixels its two neighbours among `from`: `resize` in OpenCV's `resize.cpp`. Beyond the border both
/// are the outermost pixel; along rows OpenCV then drops the share, down columns it does not, which loses a bit.
fn taps(from: u32, to: u32, area: bool, rows: bool, out: &mut Vec<Tap>) {
    let inverse = f64::from(to) / f64::from(from);
    // Not `from / to`: the last bit decides which way a share is rounded.
    let scale = 1.0 / inverse;
    out.clear();
    out.extend((0..to).map(|i| {
        let (cell, share) = if area {
            let cell = (f64::from(i) * scale).floor();
            let share = (f64::from(i + 1) - (cell + 1.0) * inverse) as f32;
            (cell, if share <= 0.0 { 0.0 } else { share - share.floor() })
        } else {
            let at = ((f64::from(i) + 0.5) * scale - 0.5) as f32;
            (f64::from(at.floor()), at - at.floor())
        };
        let last = from as usize - 1;
        let place = |cell: f64| (cell.max(0.0) as usize).min(last);
        let (first, second) = (place(cell), place(cell + 1.0));
        Tap { first, second, share: if rows && first == second { 0.0 } else { share } }
    }));
}

impl Opencv {
    /// `INTER_LINEAR`. Halving in both directions is the mean of four pixels, as there.
    pub(super) fn linear<T: Value>(
        &mut self,
        mean: &mut Area,
        source: &[T],
        from: (u32, u32),
        target: &mut Vec<T>,
        to: (u32, u32),
        channels: usize,
    ) {
        if from == (to.0 * 2, to.1 * 2) {
            self.area(mean, source, from, target, to, channels);
        } else {
            self.interpolate(source, from, target, to, channels, false);
        }
    }

    /// `INTER_AREA`: the mean over the covered area; where a side grows, a linear kernel with shares of its own.
    pub(super) fn area<T: Value>(
        &mut self,
        mean: &mut Area,
        source: &[T],
        from: (u32, u32),
        target: &mut Vec<T>,
        to: (u32, u32),
        channels: usize,
    ) {
        if to.0 <= from.0 && to.1 <= from.1 {
            mean.run(source, from, target, to, channels);
        } else {
            self.interpolate(source, from, target, to, channels, true);
        }
    }

    fn interpolate<T: Value>(
        &mut self,
        source: &[T],
        from: (u32, u32),
        target: &mut Vec<T>,
        to: (u32, u32),
        channels: usize,
        area: bool,
    ) {
        taps(from.0, to.0, area, true, &mut self.columns);
        taps(from.1, to.1, area, false, &mut self.rows);
        let (wide, narrow) = (from.0 as usize * channels, to.0 as usize * channels);
        let Opencv { columns, rows, upper, lower } = self;
        (upper.row, lower.row) = (None, None);
        target.clear();
        target.reserve(narrow * to.1 as usize);
        for tap in rows.iter() {
            if lower.row == Some(tap.first) {
                std::mem::swap(upper, lower);
            }
            upper.fill::<T>(source, tap.first, wide, columns, channels);
            lower.fill::<T>(source, tap.second, wide, columns, channels);
            if T::EIGHT_BITS {
                let (a, b) = tap.weights();
                // The order of shifts is OpenCV's: it loses the same bits.
                target.extend(upper.whole.iter().zip(&lower.whole).map(|(&u, &l)| {
                    let sum = ((a * (u >> 4)) >> 16) + ((b * (l >> 4)) >> 16);
                    T::round(((sum + 2) >> 2) as f32)
                }));
            } else {
                let (a, b) = (1.0 - tap.share, tap.share);
                target.extend(upper.real.iter().zip(&lower.real).map(|(&u, &l)| T::round(u * a + l * b)));
            }
        }
    }
}

impl Line {
    /// Resizes row `row` of the source across, unless this line holds it already.
    fn fill<T: Value>(&mut self, source: &[T], row: usize, wide: usize, columns: &[Tap], channels: usize) {
        if self.row == Some(row) {
            return;
        }
        self.row = Some(row);
        let values = &source[row * wide..(row + 1) * wide];
        let pairs = columns.iter().flat_map(|tap| {
            (0..channels).map(move |c| (*tap, values[tap.first * channels + c], values[tap.second * channels + c]))
        });
        if T::EIGHT_BITS {
            self.whole.clear();
            self.whole.extend(pairs.map(|(tap, first, second)| {
                let (a, b) = tap.weights();
                first.into() as i32 * a + second.into() as i32 * b
            }));
        } else {
            self.real.clear();
            self.real
                .extend(pairs.map(|(tap, first, second)| first.into() * (1.0 - tap.share) + second.into() * tap.share));
        }
    }
}
