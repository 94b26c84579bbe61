use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::resize::{Resize, Source};
use super::value::{Level, Sink, Value, luma, vectorised};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Frame, Pixels};
use crate::geometry::{Placement, Region, Size, height_width};

/// How frames become a model's input: the `[input]` table of a manifest. Unknown keys are refused.
///
/// Pixels are first put on the scale 0 to 255 (a 16-bit pixel is divided by 257), resized at the depth of the frame
/// with rounding to whole steps, padded, and then `tensor = (pixel * scale - mean) / std` for each channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Preprocess {
    /// Size of the model's input, in a manifest as `[height, width]`. With fit `source`, of an input that is typical.
    #[serde(with = "height_width")]
    pub size: Size,
    /// Channels and their order. Default `rgb`.
    #[serde(default)]
    pub channels: Channels,
    /// How the frame is fitted into the input. Default `letterbox`.
    #[serde(default)]
    pub fit: Fit,
    /// `letterbox`, for a graph of dynamic size: the padding is cut down to less than this many pixels on each axis, so
    /// that each side of the input is `size` less a multiple of this (Ultralytics' "minimum rectangle", which is what its
    /// `predict` feeds to such graphs). Default: every input is of `size`.
    pub stride: Option<u32>,
    /// `crop`: pixels of the frame's shorter side before the middle is cut out. Default: the input is just filled.
    pub shorter: Option<u32>,
    /// Resampling kernel. Default `bilinear`.
    #[serde(default)]
    pub resize: Kernel,
    /// Whether `bilinear` and `bicubic` widen their kernel when they shrink a picture, as PIL and torchvision do and
    /// OpenCV does not. Default `true`. The other kernels do not look at it.
    #[serde(default = "yes")]
    pub antialias: bool,
    /// Gray value around a letterboxed frame, 0 to 255. Default 114.
    #[serde(default = "gray")]
    pub pad: u8,
    /// Factor for pixels of 0 to 255. Default 1/255.
    #[serde(default = "one_over_255")]
    pub scale: f64,
    /// Subtracted after scaling, one for each channel or one for all. Default 0.
    #[serde(default = "zero")]
    pub mean: Vec<f64>,
    /// Divisor after that, one for each channel or one for all. Default 1.
    #[serde(default = "one")]
    pub std: Vec<f64>,
    /// Whether the defect-free template follows as a second set of channels. Default `false`.
    #[serde(default)]
    pub reference: bool,
}

fn yes() -> bool {
    true
}

fn gray() -> u8 {
    114
}

fn one_over_255() -> f64 {
    1.0 / 255.0
}

fn zero() -> Vec<f64> {
    vec![0.0]
}

fn one() -> Vec<f64> {
    vec![1.0]
}

/// Channels of a model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Channels {
    /// One channel. A colour frame becomes gray by ITU-R BT.601 luma, rounded as PIL does.
    Gray,
    /// Red, green, blue. A gray frame is repeated.
    #[default]
    Rgb,
    /// Blue, green, red.
    Bgr,
}

impl Channels {
    /// Number of channels.
    pub fn count(self) -> usize {
        match self {
            Channels::Gray => 1,
            Channels::Rgb | Channels::Bgr => 3,
        }
    }
}

/// How a frame is fitted into a model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Fit {
    /// The whole frame, proportions kept, centred, padded; sizes and offsets rounded as Ultralytics does.
    #[default]
    Letterbox,
    /// The whole frame, proportions not kept.
    Stretch,
    /// The shorter side becomes [`shorter`](Preprocess::shorter) pixels, and the middle is cut out; sizes and offsets
    /// rounded as torchvision's `Resize` and `CenterCrop` do. What is cut off is not inspected.
    Crop,
    /// The frame as it is: the graph takes any size, and resizes by itself (torchvision's detectors). One frame at a
    /// time.
    Source,
}

/// Resampling kernel. Pixel centres lie at half coordinates. The kernels that are named after a library give what that
/// library gives; the others are what they say.
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
    /// PIL's `BILINEAR`, also torchvision's and Ultralytics' for pictures that PIL read: the kernel widens when it
    /// shrinks a picture.
    PillowBilinear,
    /// PIL's `BICUBIC`, the same.
    PillowBicubic,
    /// torchvision's `resize` of 8-bit tensors with `antialias=True`: PIL's kernel with other rounding.
    TorchvisionBilinear,
    /// The same with its bicubic kernel.
    TorchvisionBicubic,
    /// PyTorch's `interpolate(mode="bilinear")` of floating-point pixels, without antialias: two neighbours, and nothing
    /// is rounded (RF-DETR).
    TorchBilinear,
    /// OpenCV's `INTER_LINEAR`, Ultralytics' and most detectors' letterbox: two neighbours, whatever the scale.
    OpencvLinear,
    /// OpenCV's `INTER_AREA`.
    OpencvArea,
}

/// Buffers that preprocessing reuses from one frame to the next; one for each worker.
#[derive(Default)]
pub(crate) struct Scratch {
    eight: Lines<u8>,
    sixteen: Lines<u16>,
}

/// What frames of one depth need.
#[derive(Default)]
struct Lines<T> {
    resize: Resize<T>,
    /// A colour frame that became gray.
    gray: Vec<T>,
}

impl Preprocess {
    /// The defaults for an input of `size`.
    pub fn new(size: Size) -> Self {
        Preprocess {
            size,
            channels: Channels::default(),
            fit: Fit::default(),
            stride: None,
            shorter: None,
            resize: Kernel::default(),
            antialias: yes(),
            pad: gray(),
            scale: one_over_255(),
            mean: zero(),
            std: one(),
            reference: false,
        }
    }

    /// Channels of the tensor: those of the frame, twice with a reference.
    pub fn tensor_channels(&self) -> usize {
        self.channels.count() * if self.reference { 2 } else { 1 }
    }

    /// Whether the input's size differs from frame to frame.
    pub(crate) fn any_size(&self) -> bool {
        self.fit == Fit::Source || self.stride.is_some()
    }

    /// Checks the numbers: what is wrong with them, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        let channels = self.channels.count();
        let Size { width, height } = self.size;
        if !(1..=16_384).contains(&height) || !(1..=16_384).contains(&width) {
            return Some(format!("size: expected 1 to 16384 pixels a side, found [{height}, {width}]"));
        }
        for (name, values) in [("mean", &self.mean), ("std", &self.std)] {
            if values.len() != 1 && values.len() != channels {
                return Some(format!("{name}: expected 1 or {channels} numbers, found {}", values.len()));
            }
            if let Some(bad) = values.iter().find(|v| !v.is_finite() || (name == "std" && **v <= 0.0)) {
                return Some(format!("{name}: expected finite numbers (std above 0), found {bad}"));
            }
        }
        if let Some(shorter) = self.shorter.filter(|&n| n < height.max(width) || n > 16_384) {
            return Some(format!("shorter: expected {} to 16384 pixels, found {shorter}", height.max(width)));
        }
        if let Some(stride) = self.stride {
            if self.fit != Fit::Letterbox {
                return Some("stride: expected fit `letterbox` with it, found another".to_owned());
            }
            if stride == 0 || height % stride != 0 || width % stride != 0 {
                return Some(format!("stride: expected a divisor of the size [{height}, {width}], found {stride}"));
            }
        }
        if !self.scale.is_finite() || self.scale == 0.0 {
            return Some(format!("scale: expected a finite number other than 0, found {}", self.scale));
        }
        None
    }

    /// Where a whole frame of size `frame` lies in the input.
    pub fn placement(&self, frame: Size) -> Placement {
        self.placement_of(frame, Region::whole(frame))
    }

    /// Where the part `region` of a frame of size `frame` lies in the input: as a frame of that part's size would.
    pub fn placement_of(&self, frame: Size, region: Region) -> Placement {
        let model = if self.fit == Fit::Source { region.size } else { self.size };
        let (w, h) = (f64::from(region.size.width), f64::from(region.size.height));
        let (rx, ry) = (f64::from(model.width) / w, f64::from(model.height) / h);
        let scaled = |ratio: f64| {
            let side = |s: f64| (s * ratio).round_ties_even().max(1.0) as u32;
            (side(w), side(h))
        };
        let (model, resized, offset) = match self.fit {
            Fit::Stretch | Fit::Source => (model, model, (0, 0)),
            Fit::Letterbox => {
                let (rw, rh) = scaled(rx.min(ry));
                let resized = Size::new(rw.min(model.width), rh.min(model.height));
                let cut = |model: u32, side: u32| match self.stride {
                    Some(stride) => side + (model - side) % stride,
                    None => model,
                };
                let model = Size::new(cut(model.width, resized.width), cut(model.height, resized.height));
                // Ultralytics' LetterBox: half of the rest, rounded a little to the left.
                let lead = |model: u32, side: u32| (f64::from(model - side) / 2.0 - 0.1).round_ties_even() as i64;
                (model, resized, (lead(model.width, resized.width), lead(model.height, resized.height)))
            }
            Fit::Crop => {
                let ratio = match self.shorter {
                    Some(shorter) => f64::from(shorter) / w.min(h),
                    None => rx.max(ry),
                };
                // torchvision's Resize cuts the longer side's fraction off.
                let side = |s: f64, model: u32| ((s * ratio + 1e-9).floor() as u32).max(model);
                let resized = Size::new(side(w, model.width), side(h, model.height));
                // torchvision's center_crop.
                let cut = |side: u32, model: u32| -((f64::from(side - model) / 2.0).round_ties_even() as i64);
                (model, resized, (cut(resized.width, model.width), cut(resized.height, model.height)))
            }
        };
        Placement::new(frame, region, model, resized, offset)
    }

    /// Writes one frame (and its reference) as `[C, H, W]` into `out`.
    pub(crate) fn write(
        &self,
        frame: &Frame,
        reference: Option<&Frame>,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> Result<Placement> {
        let placement = self.placement(frame.size());
        let half = self.channels.count() * placement.model().area() as usize;
        self.write_frame(frame, &placement, scratch, &mut out[..half]);
        if self.reference {
            let Some(reference) = reference else {
                let error = Error::image(frame.name(), "a reference image (the model compares)", "none");
                return Err(error.with_kind(ErrorKind::MissingReference));
            };
            if reference.size() != frame.size() {
                return Err(Error::image(
                    reference.name(),
                    format!("a reference of {} pixels, as {}", frame.size(), frame.name()),
                    reference.size().to_string(),
                ));
            }
            self.write_frame(reference, &placement, scratch, &mut out[half..]);
        }
        Ok(placement)
    }

    fn write_frame(&self, frame: &Frame, at: &Placement, scratch: &mut Scratch, out: &mut [f32]) {
        match frame.pixels() {
            Pixels::Gray8(values) => self.write_values(values, 1, at, &mut scratch.eight, out),
            Pixels::Rgb8(values) => self.write_values(values, 3, at, &mut scratch.eight, out),
            Pixels::Gray16(values) => self.write_values(values, 1, at, &mut scratch.sixteen, out),
            Pixels::Rgb16(values) => self.write_values(values, 3, at, &mut scratch.sixteen, out),
        }
    }

    fn write_values<T: Value>(
        &self,
        values: &[T],
        channels: usize,
        at: &Placement,
        lines: &mut Lines<T>,
        out: &mut [f32],
    ) {
        let size = |size: Size| (size.width as usize, size.height as usize);
        let mut source = Source { values, channels, size: size(at.frame()) };
        if self.channels == Channels::Gray && channels == 3 {
            lines.gray.resize(values.len() / 3, T::default());
            luma(values, &mut lines.gray);
            source = Source { values: &lines.gray, channels: 1, ..source };
        }
        let norms = std::array::from_fn(|plane| Norm::new(self, plane));
        let mut tensor = Planes { config: self, at, gray: source.channels == 1, norms, out };
        let rows = tensor.pad();
        lines.resize.run(source, size(at.resized()), self.resize, self.antialias, rows, &mut tensor);
    }
}

/// The planes of one frame in the tensor, which rows of its resized picture go into.
struct Planes<'a> {
    config: &'a Preprocess,
    at: &'a Placement,
    /// Whether the picture is gray, and goes into every plane.
    gray: bool,
    norms: [Norm; 3],
    out: &'a mut [f32],
}

impl Planes<'_> {
    /// Fills the rows that the picture does not reach, and tells which rows of the picture lie in the tensor.
    fn pad(&mut self) -> Range<usize> {
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
            let from = match (self.gray, self.config.channels) {
                (true, _) => 0,
                (false, Channels::Bgr) => 2 - number,
                (false, _) => number,
            };
            if from != channel {
                continue;
            }
            let norm = self.norms[number];
            let plane = &mut plane[y * width..];
            if resized == width {
                norm.fill(&mut plane[..values.len()], values);
                continue;
            }
            for (row, values) in plane.chunks_exact_mut(width).zip(values.chunks_exact(resized)) {
                row[..first].fill(norm.padding());
                row[end..].fill(norm.padding());
                norm.fill(&mut row[first..end], &values[(-left).max(0) as usize..]);
            }
        }
    }
}

/// How a pixel becomes a number of one plane of the tensor.
#[derive(Clone, Copy, Debug)]
struct Norm {
    scale: f32,
    mean: f32,
    std: f32,
    pad: f32,
}

impl Norm {
    fn new(config: &Preprocess, plane: usize) -> Self {
        let pick = |values: &[f64]| values.get(plane).or(values.first()).copied().unwrap_or(0.0) as f32;
        Norm {
            scale: config.scale as f32,
            mean: pick(&config.mean),
            std: pick(&config.std),
            pad: f32::from(config.pad),
        }
    }

    #[inline(always)]
    fn apply(&self, pixel: f32) -> f32 {
        (pixel * self.scale - self.mean) / self.std
    }

    fn padding(&self) -> f32 {
        self.apply(self.pad)
    }

    fn fill<V: Level>(&self, out: &mut [f32], values: &[V]) {
        let values = out.iter_mut().zip(values);
        // A power of two, 1 most often, has an exact inverse: the product is the quotient, and a division takes longer
        // than the memory that is read and written.
        let inverse = self.std.recip();
        if inverse.is_normal() && inverse.to_bits().trailing_zeros() >= f32::MANTISSA_DIGITS - 1 {
            return vectorised(
                #[inline(always)]
                || values.for_each(|(out, value)| *out = (value.level() * self.scale - self.mean) * inverse),
            );
        }
        vectorised(
            #[inline(always)]
            || values.for_each(|(out, value)| *out = self.apply(value.level())),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn write(config: &Preprocess, frame: &Frame) -> Vec<f32> {
        let mut out = vec![f32::NAN; config.tensor_channels() * config.size.area() as usize];
        config.write(frame, None, &mut Scratch::default(), &mut out).unwrap();
        out
    }

    fn frame(width: u32, height: u32, pixels: Pixels) -> Frame {
        Frame::new(width, height, pixels).unwrap()
    }

    fn config(height: u32, width: u32, channels: Channels, fit: Fit) -> Preprocess {
        Preprocess { channels, fit, scale: 1.0, ..Preprocess::new(Size::new(width, height)) }
    }

    proptest! {
        #[test]
        fn normalised_pixels_are_those_of_the_formula(
            values in proptest::collection::vec(0u8.., 1..80), scale in 1e-4f32..2.0, mean in -200f32..200.0,
            std in prop_oneof![
                (-149i32..128).prop_map(|power| f64::from(power).exp2() as f32),
                (1u16..300).prop_map(|part| f32::from(part).recip()),
                1e-3f32..300.0,
            ],
        ) {
            let norm = Norm { scale, mean, std, pad: 0.0 };
            let mut out = vec![f32::NAN; values.len()];
            norm.fill(&mut out, &values);
            let want = values.iter().map(|&v| norm.apply(f32::from(v)).to_bits());
            prop_assert!(out.iter().map(|v| v.to_bits()).eq(want), "{norm:?}");
        }
    }

    #[test]
    fn letterbox_pads_as_ultralytics() {
        // LetterBox((640, 640)) on 1333x800: r = 640/1333, new = (640, 384), dh = 128; on 641x480 at 640: 480 * r =
        // 479.25 -> 479, dh = 80.5 -> top round(80.4) = 80.
        let c = Preprocess::new(Size::new(640, 640));
        assert_eq!(
            (c.placement(Size::new(1333, 800)).resized(), c.placement(Size::new(1333, 800)).offset()),
            (Size::new(640, 384), (0, 128))
        );
        assert_eq!(
            (c.placement(Size::new(641, 480)).resized(), c.placement(Size::new(641, 480)).offset()),
            (Size::new(640, 479), (0, 80))
        );
        assert_eq!(
            (c.placement(Size::new(640, 640)).resized(), c.placement(Size::new(640, 640)).offset()),
            (Size::new(640, 640), (0, 0))
        );
        // LetterBox((640, 640), auto=True, stride=32): 1333x800 needs no padding; 641x480 becomes 640x479, and 161 rows
        // of padding leave 1; 300x640 is 300 wide, and 340 columns leave 20.
        let c = Preprocess { stride: Some(32), ..c };
        let of = |w, h| {
            (
                c.placement(Size::new(w, h)).model(),
                c.placement(Size::new(w, h)).resized(),
                c.placement(Size::new(w, h)).offset(),
            )
        };
        assert_eq!(of(1333, 800), (Size::new(640, 384), Size::new(640, 384), (0, 0)));
        assert_eq!(of(641, 480), (Size::new(640, 480), Size::new(640, 479), (0, 0)));
        assert_eq!(of(300, 640), (Size::new(320, 640), Size::new(300, 640), (10, 0)));
    }

    #[test]
    fn padding_and_pixels_lie_where_the_placement_says() {
        let c = Preprocess { pad: 7, ..config(4, 4, Channels::Gray, Fit::Letterbox) };
        let out = write(&c, &frame(4, 2, Pixels::Gray8((1..=8).collect())));
        assert_eq!(out, [7., 7., 7., 7., 1., 2., 3., 4., 5., 6., 7., 8., 7., 7., 7., 7.]);
    }

    #[test]
    fn crop_keeps_the_middle() {
        let c = config(2, 2, Channels::Gray, Fit::Crop);
        let out = write(&c, &frame(4, 2, Pixels::Gray8((1..=8).collect())));
        assert_eq!(out, [2., 3., 6., 7.]);
    }

    #[test]
    fn crop_rounds_as_torchvision() {
        // Resize(160) of 640x360 is 284x160 (284.4), CenterCrop(160) begins at round(62.0); Resize(144) of 233x141 is
        // 237x144 (237.96), CenterCrop(128) begins at round(54.5) = 54 and round(8.0) = 8.
        let c = Preprocess { fit: Fit::Crop, ..Preprocess::new(Size::new(160, 160)) };
        assert_eq!(
            (c.placement(Size::new(640, 360)).resized(), c.placement(Size::new(640, 360)).offset()),
            (Size::new(284, 160), (-62, 0))
        );
        let c = Preprocess { fit: Fit::Crop, shorter: Some(144), ..Preprocess::new(Size::new(128, 128)) };
        assert_eq!(
            (c.placement(Size::new(233, 141)).resized(), c.placement(Size::new(233, 141)).offset()),
            (Size::new(237, 144), (-54, -8))
        );
        assert!(Preprocess { shorter: Some(127), ..c }.problem().unwrap().contains("shorter: expected 128"));
    }

    #[test]
    fn channel_order_and_normalisation() {
        let rgb = frame(1, 1, Pixels::Rgb8(vec![10, 20, 30]));
        let mut c = config(1, 1, Channels::Bgr, Fit::Stretch);
        c.scale = 0.1;
        c.mean = vec![1.0, 2.0, 3.0];
        c.std = vec![2.0];
        assert_eq!(write(&c, &rgb), [(30. * 0.1 - 1.) / 2., (20. * 0.1 - 2.) / 2., (10. * 0.1f32 - 3.) / 2.]);
        let gray = frame(1, 1, Pixels::Gray8(vec![40]));
        assert_eq!(write(&config(1, 1, Channels::Rgb, Fit::Stretch), &gray), [40., 40., 40.]);
    }

    #[test]
    fn colour_becomes_gray_as_pil_rounds_it() {
        // PIL 11: Image.fromarray([[[10, 200, 30]]]).convert("L") is 124; pure green 255 is 150.
        let c = config(1, 2, Channels::Gray, Fit::Stretch);
        assert_eq!(write(&c, &frame(2, 1, Pixels::Rgb8(vec![10, 200, 30, 0, 255, 0]))), [124., 150.]);
    }

    #[test]
    fn sixteen_bits_keep_their_own_white() {
        let c = config(1, 3, Channels::Gray, Fit::Stretch);
        let out = write(&c, &frame(3, 1, Pixels::Gray16(vec![0, 257, 65_535])));
        assert_eq!(out, [0., 1., 255.], "dark and bright frames alike: white is 65,535");
    }

    #[test]
    fn a_reference_of_another_size_is_refused() {
        let mut c = config(2, 2, Channels::Gray, Fit::Stretch);
        c.reference = true;
        let a = frame(2, 2, Pixels::Gray8(vec![0; 4]));
        let b = frame(2, 1, Pixels::Gray8(vec![0; 2]));
        let mut out = vec![0.0; 8];
        assert!(c.write(&a, Some(&b), &mut Scratch::default(), &mut out).is_err());
        assert!(c.write(&a, None, &mut Scratch::default(), &mut out).is_err());
        assert!(c.write(&a, Some(&a), &mut Scratch::default(), &mut out).is_ok());
    }

    #[test]
    fn bad_numbers_are_named() {
        let mut c = Preprocess::new(Size::new(2, 2));
        assert_eq!(c.problem(), None);
        c.std = vec![0.0];
        assert!(c.problem().unwrap().contains("std"));
        c.std = vec![1.0, 1.0];
        assert!(c.problem().unwrap().contains("1 or 3"));
        assert!(Preprocess::new(Size::new(2, 0)).problem().unwrap().contains("size"));
    }

    proptest! {
        #[test]
        fn placement_round_trip(
            w in 1u32..5000, h in 1u32..5000, mw in 1u32..1500, mh in 1u32..1500,
            fit in prop_oneof![Just(Fit::Letterbox), Just(Fit::Stretch), Just(Fit::Crop), Just(Fit::Source)],
            stride in proptest::option::of(1u32..64),
            x in 0.0..1.0f64, y in 0.0..1.0f64,
        ) {
            let p = Preprocess { fit, stride, ..Preprocess::new(Size::new(mw, mh)) }.placement(Size::new(w, h));
            let (x, y) = (x * f64::from(w), y * f64::from(h));
            let (mx, my) = p.to_model(x, y);
            let (bx, by) = p.to_frame(mx, my);
            prop_assert!((bx - x).abs() < 1e-6 && (by - y).abs() < 1e-6);
            match fit {
                Fit::Letterbox | Fit::Stretch | Fit::Source => {
                    prop_assert!(mx >= -1e-9 && my >= -1e-9 && mx <= f64::from(p.model().width) + 1e-9 && my <= f64::from(p.model().height) + 1e-9);
                }
                Fit::Crop => prop_assert!(p.resized().width >= mw && p.resized().height >= mh),
            }
        }
    }
}
