use serde::{Deserialize, Serialize};

use super::fit::Fit;
use super::kernel::Kernel;
use crate::geometry::{Size, height_width};

/// How frames become a model's input: the `[input]` table of a manifest. Unknown keys are refused.
///
/// Frames are resized at their own depth with rounding to whole steps, put on the scale 0 to 255
/// (`pixel = sample * 255 / white`, which leaves 8 bits as they are and divides 16 by 257), padded, and then
/// `tensor = (pixel * scale - mean) / std` for each channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Preprocess {
    /// Size of the model's input, in a manifest as `[height, width]`. With fit `source`, a typical size.
    #[serde(with = "height_width")]
    pub size: Size,
    /// Channels and their order. Default `rgb`.
    #[serde(default)]
    pub channels: Channels,
    /// How the frame is fitted into the input. Default `letterbox`.
    #[serde(default)]
    pub fit: Fit,
    /// `letterbox`, for a graph of dynamic size: the padding is cut down to less than this many pixels on each axis, so
    /// that each side of the input is `size` less a multiple of this (Ultralytics' "minimum rectangle", which is what
    /// its `predict` feeds to such graphs). Default: every input is of `size`.
    pub stride: Option<u32>,
    /// `crop`: pixels of the frame's shorter side before the middle is cut out. Default: the input is just filled.
    pub shorter: Option<u32>,
    /// Resampling kernel. Default `bilinear`.
    #[serde(default)]
    pub resize: Kernel,
    /// Whether `bilinear` and `bicubic` widen their kernel when they shrink an image, as PIL and torchvision do and
    /// OpenCV does not. Default `true`. The other kernels are named for what they do: those of PIL and torchvision
    /// always widen, and `false` beside them is refused.
    #[serde(default = "yes")]
    pub antialias: bool,
    /// Gray value beside a frame with fit `letterbox` or `corner`, 0 to 255. Default 114.
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
    /// The value of white in the frames' samples, 1 to 65,535: 4095 for 12 bits in words of 16, also where a file says
    /// 16 bits. The short form of the step [`White`](crate::White). Default: each frame's own, see
    /// [`Frame::white`](crate::Frame::white).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub white: Option<u16>,
    /// For a graph that scales its boxes by itself and takes the size to scale them to as a second input `[N, 2]`: the
    /// order of the two numbers. It is given the size of the model's input, so that boxes are in its pixels. Default:
    /// `width-height` for an input called `orig_target_sizes` (RT-DETR, D-FINE, DEIM), any other one is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_sizes: Option<SizeOrder>,
    /// Whether the reference follows as a second set of channels. Default `false`.
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

/// Order of the numbers of a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SizeOrder {
    /// Width, height.
    WidthHeight,
    /// Height, width.
    HeightWidth,
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
            white: None,
            target_sizes: None,
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
            return Some(format!("size: expected 1 to 16384 pixels per side, found [{height}, {width}]"));
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
        let pillow = matches!(
            self.resize,
            Kernel::PillowBilinear | Kernel::PillowBicubic | Kernel::TorchvisionBilinear | Kernel::TorchvisionBicubic
        );
        if pillow && !self.antialias {
            let kernels = "`bilinear` or `bicubic`";
            return Some(format!("antialias: expected true, or a kernel that can do without ({kernels}), found false"));
        }
        if self.white == Some(0) {
            return Some("white: expected 1 to 65535, found 0".to_owned());
        }
        if !self.scale.is_finite() || self.scale == 0.0 {
            return Some(format!("scale: expected a finite number other than 0, found {}", self.scale));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
