use std::ops::Range;

use crate::frame::View;
use crate::geometry::Size;
use crate::tensor::pixel::{Sample, Sink};

/// The pixel that each centre falls into, in whole numbers: in floating point a centre on a border falls to either
/// side.
#[derive(Default)]
pub(super) struct Nearest<T> {
    /// A row of the result.
    line: Vec<T>,
}

impl<T: Sample> Nearest<T> {
    /// Resizes `source` to `to`, and gives the wanted `rows` of the result.
    pub(super) fn run(&mut self, source: View<'_, T>, to: Size, rows: Range<usize>, sink: &mut impl Sink) {
        let place = |i: usize, from: usize, to: usize| (2 * i + 1) * from / (2 * to);
        let (to_width, to_height) = (to.width as usize, to.height as usize);
        self.line.resize(to_width, T::default());
        for y in rows {
            let row = source.line(place(y, source.height(), to_height));
            for channel in 0..source.channels() {
                for (x, out) in self.line.iter_mut().enumerate() {
                    *out = row[place(x, source.width(), to_width) * source.channels() + channel];
                }
                sink.rows(y, channel, &self.line);
            }
        }
    }
}
