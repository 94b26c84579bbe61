//! Resampling kernels, one per file or folder: its tables, its loop in plain code, and where that is too slow, the same
//! loop in vector instructions beside it. A new kernel is its file and its registration here: a variant of [`Kernel`],
//! a field of [`Resize`] for what it reuses, and an arm of [`Resize::run`]. The tests here cover every kernel.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::channels::split;
use super::pixel::{Sample, Sink};
use crate::frame::View;
use crate::geometry::Size;

mod area;
mod convolve;
mod linear;
mod nearest;

use area::Area;
use convolve::{Convolve, Filter, Recipe, Style};
use linear::{Linear, Shares};
use nearest::Nearest;

/// Resampling kernel. Pixel centres lie at half coordinates. A kernel named after a library gives that library's
/// results; the others are what their names say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kernel {
    /// The pixel that the centre falls into.
    Nearest,
    /// Linear in both directions.
    #[default]
    Bilinear,
    /// Cubic convolution with a = -0.5 (Keys 1981, Catmull-Rom), as PIL.
    Bicubic,
    /// Mean over the covered area, parts of pixels by their share.
    Area,
    /// PIL's `BILINEAR`, also torchvision's and Ultralytics' for images that PIL read: the kernel widens when it
    /// shrinks an image.
    PillowBilinear,
    /// PIL's `BICUBIC`, the same.
    PillowBicubic,
    /// torchvision's `resize` of 8-bit tensors with `antialias=True`: PIL's kernel with other rounding.
    TorchvisionBilinear,
    /// The same with its bicubic kernel.
    TorchvisionBicubic,
    /// PyTorch's `interpolate(mode="bilinear")` of floating-point pixels, without antialias: two neighbours, and
    /// nothing is rounded (RF-DETR).
    TorchBilinear,
    /// OpenCV's `INTER_LINEAR`, Ultralytics' and most detectors' letterbox: two neighbours, whatever the scale.
    OpencvLinear,
    /// OpenCV's `INTER_AREA`.
    OpencvArea,
}

/// Resizes images of one depth row by row, with tables and lines reused from image to image.
#[derive(Default)]
pub(super) struct Resize<T> {
    nearest: Nearest<T>,
    area: Area<T>,
    linear: Linear<T>,
    convolve: Convolve<T>,
    /// The channels of a row that is not resized.
    line: Vec<T>,
}

impl<T: Sample> Resize<T> {
    /// Resizes `source` to `to`, and gives the wanted `rows` of the result, from the top, each channel
    /// by itself.
    pub(super) fn run(
        &mut self,
        source: View<'_, T>,
        to: Size,
        kernel: Kernel,
        antialias: bool,
        rows: Range<usize>,
        sink: &mut impl Sink,
    ) {
        let from = source.size();
        if from == to {
            return self.copy(source, rows, sink);
        }
        let mut convolve = |filter, style, antialias| {
            self.convolve.run(source, to, Recipe { filter, style, antialias }, rows.clone(), sink);
        };
        match kernel {
            Kernel::Bilinear => convolve(Filter::Bilinear, Style::Own, antialias),
            Kernel::Bicubic => convolve(Filter::Bicubic, Style::Own, antialias),
            Kernel::PillowBilinear => convolve(Filter::Bilinear, Style::Pillow, true),
            Kernel::PillowBicubic => convolve(Filter::Bicubic, Style::Pillow, true),
            Kernel::TorchvisionBilinear => convolve(Filter::Bilinear, Style::Torchvision, true),
            Kernel::TorchvisionBicubic => convolve(Filter::Bicubic, Style::Torchvision, true),
            Kernel::TorchBilinear => self.linear.run(source, to, Shares::Torch, rows, sink),
            Kernel::Area => self.area.run(source, to, rows, sink),
            // Halving in both directions is the mean of four pixels, as there.
            Kernel::OpencvLinear if is_half(from, to) => self.area.run(source, to, rows, sink),
            Kernel::OpencvLinear => self.linear.run(source, to, Shares::Opencv, rows, sink),
            Kernel::OpencvArea if to.width <= from.width && to.height <= from.height => {
                self.area.run(source, to, rows, sink)
            }
            Kernel::OpencvArea => self.linear.run(source, to, Shares::OpencvArea, rows, sink),
            Kernel::Nearest => self.nearest.run(source, to, rows, sink),
        }
    }

    /// An image that already has the size.
    fn copy(&mut self, source: View<'_, T>, rows: Range<usize>, sink: &mut impl Sink) {
        let (width, channels) = (source.width(), source.channels());
        if channels == 1 {
            if let Some(values) = source.as_slice() {
                return sink.rows(rows.start, 0, &values[rows.start * width..rows.end * width]);
            }
            return rows.for_each(|y| sink.rows(y, 0, source.line(y)));
        }
        self.line.resize(width * channels, T::default());
        for y in rows {
            split(source.line(y), channels, &mut self.line, width);
            for (channel, line) in self.line.chunks_exact(width).enumerate() {
                sink.rows(y, channel, line);
            }
        }
    }
}

fn is_half(from: Size, to: Size) -> bool {
    let half = |from: u32, to: u32| u64::from(from) == 2 * u64::from(to);
    half(from.width, to.width) && half(from.height, to.height)
}

#[cfg(test)]
mod tests;
