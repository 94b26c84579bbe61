use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer};

use super::flaw::Flaw;
use super::format::PixelFormat;
use super::limits::no_memory;
use super::picture::Frame;
use super::tiff::{Structure, tag};
use crate::error::Result;
use crate::geometry::Size;

/// What a file holds, as it lies there: not turned upright yet.
pub(super) struct Pixels {
    pub(super) size: Size,
    pub(super) format: PixelFormat,
    pub(super) white: u16,
    pub(super) values: Values,
    /// As TIFF and EXIF count it, 1 for upright.
    pub(super) orientation: u8,
}

/// Samples row by row, channels interleaved.
pub(super) enum Values {
    Eight(Vec<u8>),
    Sixteen(Vec<u16>),
}

impl Pixels {
    /// The frame, upright.
    pub(super) fn into_frame(self) -> Result<Frame<'static>> {
        let Pixels { mut size, format, white, mut values, orientation } = self;
        if let Some(orientation) = Orientation::from_exif(orientation).filter(|&o| o != Orientation::NoTransforms) {
            (size, values) = turned(size, format, values, orientation);
        }
        let frame = match values {
            Values::Eight(values) => Frame::new(size, format, values),
            Values::Sixteen(values) => Frame::new(size, format, values),
        }?;
        if white == format.white() { Ok(frame) } else { frame.with_white(white) }
    }
}

fn turned(size: Size, format: PixelFormat, values: Values, orientation: Orientation) -> (Size, Values) {
    let Size { width, height } = size;
    let picture = match (values, format.channels()) {
        (Values::Eight(values), 1) => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageLuma8),
        (Values::Eight(values), _) => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageRgb8),
        (Values::Sixteen(values), 1) => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageLuma16),
        (Values::Sixteen(values), _) => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageRgb16),
    };
    // Values of another number make a frame that is refused.
    let mut picture = picture.unwrap_or_default();
    picture.apply_orientation(orientation);
    let size = Size::new(picture.width(), picture.height());
    let values = match picture {
        DynamicImage::ImageLuma8(image) => Values::Eight(image.into_raw()),
        DynamicImage::ImageRgb8(image) => Values::Eight(image.into_raw()),
        DynamicImage::ImageLuma16(image) => Values::Sixteen(image.into_raw()),
        DynamicImage::ImageRgb16(image) => Values::Sixteen(image.into_raw()),
        _ => Values::Eight(Vec::new()),
    };
    (size, values)
}

/// The orientation that a block of EXIF states, whatever width the number is stored in; 1 where it states none.
pub(super) fn orientation(exif: &[u8]) -> u8 {
    let stated = Structure::open(exif)
        .and_then(|(structure, at)| structure.directory(at).ok())
        .and_then(|(directory, _)| directory.number(tag::ORIENTATION));
    stated.and_then(|number| u8::try_from(number).ok()).unwrap_or(1)
}

/// Memory for `count` more values, or why there is none.
pub(super) fn reserve<T>(values: &mut Vec<T>, count: usize) -> std::result::Result<(), Flaw> {
    values.try_reserve_exact(count).map_err(|_| no_memory(count.saturating_mul(size_of::<T>()) as u64))
}

/// The first `channels` of `samples` samples of each pixel. The next one is opacity where `opaque`, its largest value,
/// is given: it has to be that everywhere.
pub(super) fn without_others<T: Copy + PartialEq>(
    values: &[T],
    samples: usize,
    channels: usize,
    opaque: Option<T>,
) -> std::result::Result<Vec<T>, Flaw> {
    let pixels = values.chunks_exact(samples);
    if opaque.is_some_and(|opaque| pixels.clone().any(|pixel| pixel[channels] != opaque)) {
        return Err(Flaw::Transparent);
    }
    let mut kept = Vec::new();
    reserve(&mut kept, pixels.len() * channels)?;
    pixels.for_each(|pixel| kept.extend_from_slice(&pixel[..channels]));
    Ok(kept)
}
