use std::hint::black_box;

use fast_image_resize as fir;
use fir::images::{TypedImage, TypedImageRef};
use fir::pixels::{U8, U8x3};
use panelqc::{Batch, Channels, Fit, Frame, Kernel, PixelView, Preprocess, Size};
use serde_json::json;

use super::Failure;
use super::cases::Cases;
use super::serve::{mean_seconds, serve as answer};

/// Height and width of the tensor.
const SIDE: u32 = 640;

/// Milliseconds from a frame in memory to a tensor of 640x640, on one thread: this crate's kernels, and
/// `fast_image_resize` with the normalisation after it. All take turns on the pictures of a case.
pub(super) fn serve(cases: &str) -> Result<(), Failure> {
    let cases = Cases::load(cases)?;
    answer(json!({ "fast_image_resize": "6.1" }), |name, time| {
        let panels = cases.get(name)?.loaded()?;
        let frames: Vec<&Frame> = panels.iter().map(|panel| &panel.frames()[0]).collect();
        let config = |kernel| {
            let mut config = Preprocess::new(Size::new(SIDE, SIDE));
            config.fit = Fit::Stretch;
            config.resize = kernel;
            config.channels = if frames[0].channels() == 1 { Channels::Gray } else { Channels::Rgb };
            Batch::new(&config, 1)
        };
        let (mut bilinear, mut linear, mut peer) =
            (config(Kernel::Bilinear), config(Kernel::OpencvLinear), Peer::default());
        let of = |step: &mut dyn FnMut(&Frame<'_>) -> Result<(), Failure>| {
            mean_seconds(time.div_f64(3.0), 3, |i| step(frames[i % frames.len()])).map(|seconds| seconds * 1e3)
        };
        Ok(json!({
            "bilinear_ms": of(&mut |frame| push(&mut bilinear, frame))?,
            "fast_image_resize_ms": of(&mut |frame| peer.write(frame))?,
            "opencv_linear_ms": of(&mut |frame| push(&mut linear, frame))?,
        }))
    })
}

fn push(batch: &mut Batch, frame: &Frame<'_>) -> Result<(), Failure> {
    batch.clear();
    batch.push(black_box(frame), None)?;
    black_box(batch.view());
    Ok(())
}

/// The crate that this project resized with before, and a loop over slices behind it.
#[derive(Default)]
struct Peer {
    resizer: fir::Resizer,
    resized: Vec<u8>,
    tensor: Vec<f32>,
}

impl Peer {
    fn write(&mut self, frame: &Frame<'_>) -> Result<(), Failure> {
        let PixelView::Eight(view) = frame.pixels() else { return Err("8 bits".into()) };
        let values = view.as_slice().ok_or("no padding")?;
        let (size, channels) = ((frame.width(), frame.height()), frame.channels());
        let pixels = (SIDE * SIDE) as usize;
        self.resized.resize(pixels * channels, 0);
        self.tensor.resize(pixels * channels, 0.0);
        let source = if size == (SIDE, SIDE) {
            values
        } else {
            match channels {
                1 => self.resize::<U8>(values, size)?,
                _ => self.resize::<U8x3>(values, size)?,
            }
            &self.resized
        };
        for (channel, plane) in self.tensor.chunks_exact_mut(pixels).enumerate() {
            match channels {
                1 => plane.iter_mut().zip(source).for_each(|(out, &v)| *out = normalised(v)),
                _ => plane.iter_mut().zip(source.chunks_exact(3)).for_each(|(out, p)| *out = normalised(p[channel])),
            }
        }
        black_box(&self.tensor);
        Ok(())
    }

    fn resize<P: fir::PixelTrait>(&mut self, values: &[u8], (width, height): (u32, u32)) -> Result<(), Failure> {
        let source = TypedImageRef::<P>::from_buffer(width, height, values)?;
        let mut target = TypedImage::<P>::from_buffer(SIDE, SIDE, &mut self.resized)?;
        let options = fir::ResizeOptions::new()
            .resize_alg(fir::ResizeAlg::Convolution(fir::FilterType::Bilinear))
            .use_alpha(false);
        Ok(self.resizer.resize_typed(&source, &mut target, &options)?)
    }
}

fn normalised(value: u8) -> f32 {
    (f32::from(value) * (1.0 / 255.0) - 0.0) / 1.0
}
