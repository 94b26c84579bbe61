use std::ops::Range;

use super::norm::Norm;
use super::pixel::{Level, Sink};
use super::preprocess::{Channels, Preprocess};
use crate::frame::PixelFormat;
use crate::geometry::Placement;

/// The planes of one frame in the tensor, which rows of its resized image go into.
pub(super) struct Planes<'a> {
    at: &'a Placement,
    /// The channel of the image that goes into each plane.
    channels: [usize; 3],
    white: f32,
    norms: [Norm; 3],
    out: &'a mut [f32],
}

impl<'a> Planes<'a> {
    /// The planes `out` for an image that lies `at` this place in them, of this format and white.
    pub(super) fn new(
        config: &Preprocess,
        at: &'a Placement,
        format: PixelFormat,
        white: u16,
        out: &'a mut [f32],
    ) -> Self {
        // The one place where the order of channels is settled, the frame's and the model's.
        let channels = match format.channels() {
            1 => [0; 3],
            _ if format.is_reversed() != (config.channels == Channels::Bgr) => [2, 1, 0],
            _ => [0, 1, 2],
        };
        let norms = std::array::from_fn(|plane| Norm::new(config, plane));
        Planes { at, channels, white: f32::from(white), norms, out }
    }

    /// Fills the rows that the image does not reach, and tells which rows of the image lie in the tensor.
    pub(super) fn pad(&mut self) -> Range<usize> {
        let (width, height) = (self.at.model().width as usize, i64::from(self.at.model().height));
        let (top, bottom) = (self.at.offset().1, self.at.offset().1 + i64::from(self.at.resized().height));
        let (above, end) = (top.clamp(0, height) as usize, bottom.clamp(0, height) as usize);
        for (norm, plane) in self.norms.iter().zip(self.out.chunks_exact_mut(width * height as usize)) {
            let padding = norm.padding();
            plane[..above * width].fill(padding);
            plane[end * width..].fill(padding);
        }
        (above as i64 - top) as usize..(end as i64 - top) as usize
    }
}

impl Sink for Planes<'_> {
    fn rows<V: Level>(&mut self, y: usize, channel: usize, values: &[V]) {
        let (width, height) = (self.at.model().width as usize, self.at.model().height as usize);
        let (left, y) = (self.at.offset().0, (y as i64 + self.at.offset().1) as usize);
        let resized = self.at.resized().width as usize;
        let first = left.max(0) as usize;
        let end = (left + resized as i64).clamp(0, width as i64) as usize;
        for (number, plane) in self.out.chunks_exact_mut(width * height).enumerate() {
            if self.channels[number] != channel {
                continue;
            }
            let norm = self.norms[number];
            let plane = &mut plane[y * width..];
            if resized == width {
                norm.fill(&mut plane[..values.len()], values, self.white);
                continue;
            }
            for (row, values) in plane.chunks_exact_mut(width).zip(values.chunks_exact(resized)) {
                row[..first].fill(norm.padding());
                row[end..].fill(norm.padding());
                norm.fill(&mut row[first..end], &values[(-left).max(0) as usize..], self.white);
            }
        }
    }
}
