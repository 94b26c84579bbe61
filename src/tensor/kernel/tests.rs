use super::*;
use crate::frame::PixelFormat;
use crate::tensor::pixel::Level;
use fast_image_resize as fir;
use fir::images::{TypedImage, TypedImageRef};
use fir::pixels::{U8, U8x3, U16, U16x3};
use proptest::prelude::*;

/// The rows of a result on the scale 0 to 255, channels interleaved.
struct Collected {
    values: Vec<f32>,
    width: usize,
    channels: usize,
    white: f32,
}

impl Sink for Collected {
    fn rows<V: Level>(&mut self, y: usize, channel: usize, values: &[V]) {
        for (i, value) in values.iter().enumerate() {
            self.values[(y * self.width + i) * self.channels + channel] = value.level(self.white);
        }
    }
}

fn resized<T: Sample>(
    values: &[T],
    from: (usize, usize),
    to: (usize, usize),
    kernel: Kernel,
    antialias: bool,
) -> Vec<f32> {
    let channels = values.len() / from.0 / from.1;
    let format = match (T::EIGHT_BITS, channels) {
        (true, 1) => PixelFormat::Mono8,
        (true, _) => PixelFormat::Rgb8,
        (false, 1) => PixelFormat::Mono16,
        (false, _) => PixelFormat::Rgb16,
    };
    let white = f32::from(format.white());
    let mut out = Collected { values: vec![f32::NAN; to.0 * to.1 * channels], width: to.0, channels, white };
    let size = |(width, height): (usize, usize)| Size::new(width as u32, height as u32);
    let source = View::new(values, from.0 * channels, format, format.white(), size(from));
    Resize::default().run(source, size(to), kernel, antialias, 0..to.1, &mut out);
    out.values
}

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
                    let got = resized(&source, from, to, kernel, antialias);
                    let mut sum = 0.0;
                    for c in 0..channels {
                        let rows: Vec<Vec<f64>> = (0..from.1)
                            .map(|y| {
                                let row: Vec<f64> =
                                    (0..from.0).map(|x| f64::from(source[(y * from.0 + x) * channels + c])).collect();
                                expected(&row, from.0, to.0, kernel, antialias)
                            })
                            .collect();
                        for x in 0..to.0 {
                            let column: Vec<f64> = rows.iter().map(|row| row[x]).collect();
                            for (y, want) in expected(&column, from.1, to.1, kernel, antialias).into_iter().enumerate()
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
        assert_eq!(resized(&source, (2, 2), (1, 1), kernel, true), [30_000.0 / 257.0], "{kernel:?}");
    }
}

/// What the crate that these kernels were compared with gives, pixels interleaved.
fn peer<P: fir::PixelTrait>(values: &[u8], from: (usize, usize), to: (usize, usize), alg: fir::ResizeAlg) -> Vec<u8> {
    let side = |n: usize| n as u32;
    let source = TypedImageRef::<P>::from_buffer(side(from.0), side(from.1), values).unwrap();
    let mut out = vec![0; to.0 * to.1 * P::size()];
    let mut target = TypedImage::<P>::from_buffer(side(to.0), side(to.1), &mut out).unwrap();
    let options = fir::ResizeOptions::new().resize_alg(alg).use_alpha(false);
    fir::Resizer::new().resize_typed(&source, &mut target, &options).unwrap();
    out
}

proptest! {
    #[test]
    fn filters_are_those_of_fast_image_resize(
        (w, h) in (1usize..90, 1usize..90), to in (1usize..90, 1usize..90),
        cubic: bool, antialias: bool, colour: bool, noise: bool,
    ) {
        let channels = if colour { 3 } else { 1 };
        let mut values = picture(w, h, channels);
        if noise {
            values.iter_mut().enumerate().for_each(|(i, v)| *v = if (i * 7919) % 13 < 6 { 0 } else { 255 });
        }
        let kernel = if cubic { Kernel::Bicubic } else { Kernel::Bilinear };
        let filter = if cubic { fir::FilterType::CatmullRom } else { fir::FilterType::Bilinear };
        let alg = match antialias {
            true => fir::ResizeAlg::Convolution(filter),
            false => fir::ResizeAlg::Interpolation(filter),
        };
        let got = resized(&values, (w, h), to, kernel, antialias);
        let want = match colour {
            true => peer::<U8x3>(&values, (w, h), to, alg),
            false => peer::<U8>(&values, (w, h), to, alg),
        };
        prop_assert!(got.iter().zip(&want).all(|(&got, &want)| got == f32::from(want)));

        let deep: Vec<u16> = values.iter().map(|&v| u16::from(v) * 257).collect();
        let got = resized(&deep, (w, h), to, kernel, antialias);
        let bytes = bytemuck::cast_slice(&deep);
        let want = match colour {
            true => peer::<U16x3>(bytes, (w, h), to, alg),
            false => peer::<U16>(bytes, (w, h), to, alg),
        };
        let want: &[u16] = bytemuck::cast_slice(&want);
        prop_assert!(got.iter().zip(want).all(|(&got, &want)| got == f32::from(want) / 257.0));
    }
}
