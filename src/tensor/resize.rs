use fast_image_resize as fir;
use fir::images::{TypedImage, TypedImageRef};
use fir::pixels::{U8, U8x3, U16, U16x3};
use fir::{FilterType, PixelTrait, ResizeAlg, ResizeOptions};

use super::area::{Area, Value};
use super::opencv::Opencv;
use super::pillow::{Filter, Pillow, Style};
use super::preprocess::{Kernel, View};
use crate::frame::{Frame, Pixels};

/// A picture in a buffer that is used again and again, 8 or 16 bits, channels interleaved.
#[derive(Default)]
pub(crate) struct Raster {
    eight: Vec<u8>,
    sixteen: Vec<u16>,
    real: Vec<f32>,
    holds: Holds,
}

#[derive(Default, Clone, Copy)]
enum Holds {
    #[default]
    Eight,
    Sixteen,
    Real,
}

impl Raster {
    pub(crate) fn view(&self) -> View<'_> {
        match self.holds {
            Holds::Eight => View::Eight(&self.eight),
            Holds::Sixteen => View::Sixteen(&self.sixteen),
            Holds::Real => View::Real(&self.real),
        }
    }

    /// The gray picture of a colour frame; of a gray frame, a copy.
    pub(crate) fn set_luma(&mut self, frame: &Frame) {
        match frame.pixels() {
            Pixels::Gray8(v) => self.set_eight(v.iter().copied()),
            Pixels::Gray16(v) => self.set_sixteen(v.iter().copied()),
            Pixels::Rgb8(v) => self.set_eight(v.chunks_exact(3).map(|p| luma(p[0], p[1], p[2]) as u8)),
            Pixels::Rgb16(v) => self.set_sixteen(v.chunks_exact(3).map(|p| luma(p[0], p[1], p[2]) as u16)),
        }
    }

    fn set_eight(&mut self, values: impl Iterator<Item = u8>) {
        self.holds = Holds::Eight;
        self.eight.clear();
        self.eight.extend(values);
    }

    fn set_sixteen(&mut self, values: impl Iterator<Item = u16>) {
        self.holds = Holds::Sixteen;
        self.sixteen.clear();
        self.sixteen.extend(values);
    }
}

/// ITU-R BT.601 luma in 16-bit fixed point, as PIL's `convert("L")`.
fn luma(r: impl Into<u64>, g: impl Into<u64>, b: impl Into<u64>) -> u64 {
    (r.into() * 19_595 + g.into() * 38_470 + b.into() * 7_471 + 0x8000) >> 16
}

/// The pixel that each centre falls into, in whole numbers: in floating point a centre on a border falls to either
/// side.
fn nearest<T: Value>(source: &[T], from: (u32, u32), target: &mut Vec<T>, to: (u32, u32), channels: usize) {
    let pick = |i: u32, from: u32, to: u32| ((2 * u64::from(i) + 1) * u64::from(from) / (2 * u64::from(to))) as usize;
    target.clear();
    for y in 0..to.1 {
        let row = pick(y, from.1, to.1) * from.0 as usize;
        for x in 0..to.0 {
            let at = (row + pick(x, from.0, to.0)) * channels;
            target.extend_from_slice(&source[at..at + channels]);
        }
    }
}

/// Linear between two neighbours in each direction, whatever the scale, not rounded; the scale of the values is
/// `to_255`'s.
fn bilinear<T: Copy>(
    source: &[T],
    to_255: impl Fn(T) -> f32,
    from: (u32, u32),
    target: &mut Vec<f32>,
    to: (u32, u32),
    channels: usize,
    (columns, rows): (&mut Vec<Tap>, &mut Vec<Tap>),
) {
    let taps = |from: u32, to: u32, out: &mut Vec<Tap>| {
        let (scale, last) = (from as f32 / to as f32, from as usize - 1);
        let tap = move |i: u32| {
            let at = ((i as f32 + 0.5) * scale - 0.5).max(0.0);
            let first = (at as usize).min(last);
            (first, (first + 1).min(last), at - first as f32)
        };
        out.clear();
        out.extend((0..to).map(tap));
    };
    taps(from.0, to.0, columns);
    taps(from.1, to.1, rows);
    for &(top, bottom, down) in rows.iter() {
        let row = |y: usize| &source[y * from.0 as usize * channels..];
        let (top, bottom) = (row(top), row(bottom));
        for &(left, right, across) in columns.iter() {
            for c in 0..channels {
                let mix = |row: &[T]| {
                    to_255(row[left * channels + c]) * (1.0 - across) + to_255(row[right * channels + c]) * across
                };
                target.push(mix(top) * (1.0 - down) + mix(bottom) * down);
            }
        }
    }
}

#[derive(Default)]
pub(crate) struct Resize {
    resizer: fir::Resizer,
    area: Area,
    opencv: Opencv,
    pillow: Pillow,
    columns: Vec<Tap>,
    rows: Vec<Tap>,
}

/// Two neighbours in the source and the share of the second, `0..1`.
type Tap = (usize, usize, f32);

impl Resize {
    /// Resizes `source` of `from` (width, height) into `target` of `to`.
    pub(crate) fn run(
        &mut self,
        source: View<'_>,
        from: (u32, u32),
        target: &mut Raster,
        to: (u32, u32),
        kernel: Kernel,
        antialias: bool,
    ) -> Result<(), String> {
        let pixels = |(w, h): (u32, u32)| w as usize * h as usize;
        let channels = source.len() / pixels(from);
        if kernel == Kernel::TorchBilinear {
            target.holds = Holds::Real;
            let out = &mut target.real;
            out.clear();
            let taps = (&mut self.columns, &mut self.rows);
            match source {
                View::Eight(v) => bilinear(v, f32::from, from, out, to, channels, taps),
                View::Sixteen(v) => bilinear(v, |v| f32::from(v) / 257.0, from, out, to, channels, taps),
                View::Real(v) => bilinear(v, |v| v, from, out, to, channels, taps),
            }
            return Ok(());
        }
        target.holds = if matches!(source, View::Sixteen(_)) { Holds::Sixteen } else { Holds::Eight };
        let filter = |filter| if antialias { ResizeAlg::Convolution(filter) } else { ResizeAlg::Interpolation(filter) };
        let algorithm = match kernel {
            Kernel::Bilinear => filter(FilterType::Bilinear),
            Kernel::Bicubic => filter(FilterType::CatmullRom),
            _ => {
                match source {
                    View::Eight(values) => self.exact(kernel, values, from, &mut target.eight, to, channels),
                    View::Sixteen(values) => self.exact(kernel, values, from, &mut target.sixteen, to, channels),
                    View::Real(_) => return Err("only whole pixels are resized".to_owned()),
                }
                return Ok(());
            }
        };
        let options = ResizeOptions::new().resize_alg(algorithm).use_alpha(false);
        match source {
            View::Eight(values) => {
                target.eight.resize(pixels(to) * channels, 0);
                let out = &mut target.eight[..];
                if channels == 1 {
                    self.typed::<U8>(values, from, out, to, &options)
                } else {
                    self.typed::<U8x3>(values, from, out, to, &options)
                }
            }
            View::Sixteen(values) => {
                target.sixteen.resize(pixels(to) * channels, 0);
                let (values, out) = (bytemuck::cast_slice(values), bytemuck::cast_slice_mut(&mut target.sixteen));
                if channels == 1 {
                    self.typed::<U16>(values, from, out, to, &options)
                } else {
                    self.typed::<U16x3>(values, from, out, to, &options)
                }
            }
            View::Real(_) => Err("only whole pixels are resized".to_owned()),
        }
    }

    /// The kernels that the resampling crate does not have as they are declared here.
    fn exact<T: Value>(
        &mut self,
        kernel: Kernel,
        values: &[T],
        from: (u32, u32),
        target: &mut Vec<T>,
        to: (u32, u32),
        channels: usize,
    ) {
        let pillow = &mut self.pillow;
        let mut two_pass = |filter, style| pillow.run(values, from, target, to, channels, (filter, style));
        match kernel {
            Kernel::Area => self.area.run(values, from, target, to, channels),
            Kernel::OpencvLinear => self.opencv.linear(&mut self.area, values, from, target, to, channels),
            Kernel::OpencvArea => self.opencv.area(&mut self.area, values, from, target, to, channels),
            Kernel::PillowBilinear => two_pass(Filter::Bilinear, Style::Pillow),
            Kernel::PillowBicubic => two_pass(Filter::Bicubic, Style::Pillow),
            Kernel::TorchvisionBilinear => two_pass(Filter::Bilinear, Style::Torchvision),
            Kernel::TorchvisionBicubic => two_pass(Filter::Bicubic, Style::Torchvision),
            _ => nearest(values, from, target, to, channels),
        }
    }

    fn typed<P: PixelTrait>(
        &mut self,
        source: &[u8],
        from: (u32, u32),
        target: &mut [u8],
        to: (u32, u32),
        options: &ResizeOptions,
    ) -> Result<(), String> {
        let source = TypedImageRef::<P>::from_buffer(from.0, from.1, source).map_err(|e| e.to_string())?;
        let mut target = TypedImage::<P>::from_buffer(to.0, to.1, target).map_err(|e| e.to_string())?;
        self.resizer.resize_typed(&source, &mut target, options).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The declared meaning of the kernels in `f64`, one output pixel at a time, to compare the fast code with.
    fn expected(source: &[f64], n: usize, to: usize, kernel: Kernel, antialias: bool) -> Vec<f64> {
        let ratio = n as f64 / to as f64;
        (0..to)
            .map(|i| {
                let centre = (2 * i + 1) as f64 * n as f64 / (2 * to) as f64;
                let (radius, weight): (f64, fn(f64) -> f64) = match kernel {
                    Kernel::Nearest => return source[(centre.floor() as usize).min(n - 1)],
                    Kernel::Area => {
                        let (a, b) = (i as f64 * ratio, (i + 1) as f64 * ratio);
                        let part = |j: usize| ((j + 1) as f64).min(b) - (j as f64).max(a);
                        return (0..n).filter(|&j| part(j) > 0.0).map(|j| source[j] * part(j)).sum::<f64>() / (b - a);
                    }
                    Kernel::Bilinear => (1.0, |x| (1.0 - x.abs()).max(0.0)),
                    Kernel::Bicubic => (2.0, |x| {
                        let x = x.abs();
                        if x < 1.0 {
                            (1.5 * x - 2.5) * x * x + 1.0
                        } else if x < 2.0 {
                            ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
                        } else {
                            0.0
                        }
                    }),
                    _ => unreachable!("compared with the library of its name in tests/parity"),
                };
                let width = if antialias { ratio.max(1.0) } else { 1.0 };
                let (mut sum, mut total) = (0.0, 0.0);
                let first = (centre - radius * width).floor() as i64 - 1;
                for j in first..=(centre + radius * width).ceil() as i64 + 1 {
                    let w = weight((j as f64 + 0.5 - centre) / width);
                    // Pixels beyond the edge are left out and the weights made to sum to one (as PIL), or, without
                    // antialias, the edge pixel is repeated (as OpenCV): the same for the linear kernel.
                    if (0..n as i64).contains(&j) {
                        sum += w * source[j as usize];
                        total += w;
                    }
                }
                sum / total
            })
            .collect()
    }

    fn picture(width: usize, height: usize, channels: usize) -> Vec<u8> {
        let mut state = 12_345u32;
        (0..width * height * channels)
            .map(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let wave = 90.0 * ((i / channels % width) as f64 * 0.37).sin();
                (128.0 + wave + f64::from(state >> 27)) as u8
            })
            .collect()
    }

    #[test]
    fn every_kernel_gives_what_it_declares() {
        let sizes = [((64, 48), (33, 21)), ((31, 17), (64, 40)), ((50, 50), (25, 10)), ((9, 7), (9, 13))];
        for kernel in [Kernel::Nearest, Kernel::Bilinear, Kernel::Bicubic, Kernel::Area] {
            for antialias in [true, false] {
                for (from, to) in sizes {
                    for channels in [1, 3] {
                        let source = picture(from.0, from.1, channels);
                        let size = |(w, h): (usize, usize)| (w as u32, h as u32);
                        let mut target = Raster::default();
                        Resize::default()
                            .run(View::Eight(&source), size(from), &mut target, size(to), kernel, antialias)
                            .unwrap();
                        let View::Eight(got) = target.view() else { panic!("8 bits stay 8 bits") };
                        let mut sum = 0.0;
                        for c in 0..channels {
                            let rows: Vec<Vec<f64>> = (0..from.1)
                                .map(|y| {
                                    let row: Vec<f64> = (0..from.0)
                                        .map(|x| f64::from(source[(y * from.0 + x) * channels + c]))
                                        .collect();
                                    expected(&row, from.0, to.0, kernel, antialias)
                                })
                                .collect();
                            for x in 0..to.0 {
                                let column: Vec<f64> = rows.iter().map(|row| row[x]).collect();
                                for (y, want) in
                                    expected(&column, from.1, to.1, kernel, antialias).into_iter().enumerate()
                                {
                                    let got = f64::from(got[(y * to.0 + x) * channels + c]);
                                    let difference = (got - want.clamp(0.0, 255.0)).abs();
                                    // Two passes, each rounded to whole steps (as PIL): the first rounding goes through
                                    // the second kernel, whose weights sum to 1.25 in size for the cubic one.
                                    assert!(
                                        difference <= 0.5 + 0.5 * 1.25 + 0.01,
                                        "{kernel:?} antialias {antialias} {from:?} -> {to:?} at {x},{y}: {got}, not {want}"
                                    );
                                    sum += difference;
                                }
                            }
                        }
                        let mean = sum / (to.0 * to.1 * channels) as f64;
                        assert!(mean < 0.4, "{kernel:?} antialias {antialias} {from:?} -> {to:?}: mean {mean}");
                    }
                }
            }
        }
    }

    #[test]
    fn sixteen_bits_are_resized_as_sixteen_bits() {
        let source: Vec<u16> = vec![0, 60_000, 0, 60_000];
        for kernel in [Kernel::Bilinear, Kernel::Area] {
            let mut target = Raster::default();
            Resize::default().run(View::Sixteen(&source), (2, 2), &mut target, (1, 1), kernel, true).unwrap();
            let View::Sixteen(got) = target.view() else { panic!("16 bits stay 16 bits") };
            assert_eq!(got, [30_000], "{kernel:?}");
        }
    }
}
