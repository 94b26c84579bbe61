use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::error::{ParameterError, ParameterErrorKind};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageFormat, ImageReader, ImageResult};

use super::format::PixelFormat;
use super::jpeg::{self, Jpeg};
use super::limits::FrameLimits;
use super::picture::Frame;
use super::samples::Samples;
use super::scratch::FrameScratch;
use super::walk::{A_FILE, special};
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::Size;
use crate::hash::sha256_hex;

const KNOWN: &str = "a PNG, JPEG, TIFF, BMP or WebP image";

impl Frame<'static> {
    /// Reads an image file: PNG, JPEG, TIFF, BMP or WebP, recognised by its content, not its name. The orientation that
    /// EXIF or TIFF states is applied, so the frame is as a viewer shows it. A fully opaque alpha channel is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when the file cannot be read,
    /// [`ErrorKind::Frame`](crate::ErrorKind::Frame) when it is not such an image, is damaged or truncated, is beyond
    /// the limits, has transparent pixels, or has floating-point pixels.
    pub fn load(path: impl AsRef<Path>, limits: &FrameLimits) -> Result<Self> {
        Self::load_with(path.as_ref(), limits, &mut FrameScratch::default())
    }

    pub(crate) fn load_with(path: &Path, limits: &FrameLimits, scratch: &mut FrameScratch) -> Result<Self> {
        scratch.sha256 = None;
        let kind = fs::metadata(path).map_err(Error::io("reading", path))?.file_type();
        if !kind.is_file() {
            // Opening a pipe would wait for somebody to write into it.
            return Err(Error::image(path.display(), A_FILE, special(kind)).with_kind(ErrorKind::Unsupported));
        }
        let file = File::open(path).map_err(Error::io("reading", path))?;
        let size = file.metadata().map_err(Error::io("reading", path))?.len();
        let too_large = |found: String| {
            let expected = format!("a file of at most {} bytes", limits.max_file_bytes);
            Error::image(path.display(), expected, found).with_kind(ErrorKind::Limits)
        };
        if size > limits.max_file_bytes {
            return Err(too_large(format!("{size} bytes")));
        }
        let mut bytes = mem::take(&mut scratch.file);
        bytes.clear();
        bytes.reserve(size as usize + 1);
        // One byte more than allowed, so that a file that grows is noticed.
        file.take(limits.max_file_bytes + 1).read_to_end(&mut bytes).map_err(Error::io("reading", path))?;
        if bytes.len() as u64 > limits.max_file_bytes {
            return Err(too_large("more".to_owned()));
        }
        let frame = guarded(&bytes, &path.display().to_string(), limits, scratch);
        let sha256 = sha256_hex(&bytes);
        scratch.file = bytes;
        match frame {
            Ok(frame) => Ok(frame.with_source(Some(path), sha256)),
            Err(error) => {
                scratch.sha256 = Some(sha256.into());
                Err(error)
            }
        }
    }

    /// Decodes an image file that is already in memory, as [`Frame::load`] does; `name` stands for it in messages.
    ///
    /// # Errors
    /// As [`Frame::load`].
    pub fn from_bytes(bytes: &[u8], name: &str, limits: &FrameLimits) -> Result<Self> {
        Ok(guarded(bytes, name, limits, &mut FrameScratch::default())?
            .with_source(None, sha256_hex(bytes))
            .with_name(name))
    }
}

/// Decoders of other crates see hostile bytes here: a panic in one of them is this image's error.
fn guarded(bytes: &[u8], name: &str, limits: &FrameLimits, scratch: &mut FrameScratch) -> Result<Frame<'static>> {
    catch_unwind(AssertUnwindSafe(|| decode(bytes, name, limits, scratch))).unwrap_or_else(|_| {
        Err(Error::image(name, KNOWN, "a file on which the decoder fails").with_kind(ErrorKind::Damaged))
    })
}

fn decode(bytes: &[u8], name: &str, limits: &FrameLimits, scratch: &mut FrameScratch) -> Result<Frame<'static>> {
    let unsupported = |found: String| Error::image(name, KNOWN, found).with_kind(ErrorKind::Unsupported);
    let damaged = |found: &str, source: ImageError| {
        Error::image(name, KNOWN, format!("{found} ({source})")).with_kind(ErrorKind::Damaged).with_source(source)
    };
    if bytes.is_empty() {
        return Err(Error::image(name, KNOWN, "an empty file").with_kind(ErrorKind::Damaged));
    }
    let format = image::guess_format(bytes)
        .map_err(|_| unsupported(format!("a file that starts with {}", preview(&bytes[..bytes.len().min(8)]))))?;
    let label = match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::WebP => "WebP",
        other => return Err(unsupported(format!("a {} file", other.extensions_str()[0]))),
    };
    let broken = |e| damaged(&format!("a damaged {label}"), e);
    let mut decoder: Box<dyn ImageDecoder + '_> = if format == ImageFormat::Jpeg {
        Box::new(Jpeg::open(bytes).map_err(broken)?)
    } else {
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        // The size is checked below with a message of ours; the limit on memory holds for the decoder's own buffers
        // too.
        let mut decoder_limits = image::Limits::default();
        decoder_limits.max_alloc = Some(limits.max_bytes.saturating_mul(2));
        reader.limits(decoder_limits);
        Box::new(reader.into_decoder().map_err(broken)?)
    };
    let (width, height) = decoder.dimensions();
    if width > limits.max_width || height > limits.max_height {
        return Err(Error::image(
            name,
            format!("at most {} x {} pixels", limits.max_width, limits.max_height),
            format!("a {label} of {width} x {height} pixels"),
        )
        .with_kind(ErrorKind::Limits));
    }
    if decoder.total_bytes() > limits.max_bytes {
        return Err(Error::image(
            name,
            format!("at most {} bytes of pixels", limits.max_bytes),
            format!("a {label} of {width} x {height} pixels, {} bytes", decoder.total_bytes()),
        )
        .with_kind(ErrorKind::Limits));
    }
    if format == ImageFormat::Jpeg && !jpeg::is_complete(bytes) {
        let found = format!("a JPEG cut off after {} bytes", bytes.len());
        return Err(Error::image(name, "a complete JPEG", found).with_kind(ErrorKind::Damaged));
    }
    let orientation = decoder.orientation().map_err(broken)?;
    let mut picture = picture(decoder, scratch).map_err(broken)?;
    if orientation != Orientation::NoTransforms {
        picture.apply_orientation(orientation);
    }
    let (width, height) = (picture.width(), picture.height());
    let (format, samples) = samples(picture, name)?;
    Frame::new(Size::new(width, height), format, samples)
}

/// What `DynamicImage::from_decoder` gives, in memory reused for the common kinds of pixels.
fn picture(decoder: Box<dyn ImageDecoder + '_>, scratch: &mut FrameScratch) -> ImageResult<DynamicImage> {
    let (width, height) = decoder.dimensions();
    let total = usize::try_from(decoder.total_bytes()).unwrap_or(usize::MAX);
    let color = decoder.color_type();
    let picture = match color {
        ColorType::L8 | ColorType::Rgb8 => {
            let mut values = scratch.eight(total);
            decoder.read_image_boxed(&mut values)?;
            match color {
                ColorType::L8 => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageLuma8),
                _ => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageRgb8),
            }
        }
        ColorType::L16 | ColorType::Rgb16 => {
            let mut values = scratch.sixteen(total / 2);
            decoder.read_image_boxed(bytemuck::cast_slice_mut(&mut values))?;
            match color {
                ColorType::L16 => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageLuma16),
                _ => ImageBuffer::from_raw(width, height, values).map(DynamicImage::ImageRgb16),
            }
        }
        _ => return DynamicImage::from_decoder(decoder),
    };
    picture.ok_or_else(|| ImageError::Parameter(ParameterError::from_kind(ParameterErrorKind::DimensionMismatch)))
}

fn samples(picture: DynamicImage, name: &str) -> Result<(PixelFormat, Samples<'static>)> {
    let unsupported = |error: Error| error.with_kind(ErrorKind::Unsupported);
    let transparent =
        || unsupported(Error::image(name, "opaque pixels", "transparent ones (an alpha channel below its maximum)"));
    Ok(match picture {
        DynamicImage::ImageLuma8(i) => (PixelFormat::Mono8, i.into_raw().into()),
        DynamicImage::ImageLuma16(i) => (PixelFormat::Mono16, i.into_raw().into()),
        DynamicImage::ImageRgb8(i) => (PixelFormat::Rgb8, i.into_raw().into()),
        DynamicImage::ImageRgb16(i) => (PixelFormat::Rgb16, i.into_raw().into()),
        DynamicImage::ImageLumaA8(i) => {
            (PixelFormat::Mono8, opaque::<_, 2>(i.as_raw(), 255).ok_or_else(transparent)?.into())
        }
        DynamicImage::ImageLumaA16(i) => {
            (PixelFormat::Mono16, opaque::<_, 2>(i.as_raw(), 65_535).ok_or_else(transparent)?.into())
        }
        DynamicImage::ImageRgba8(i) => {
            (PixelFormat::Rgb8, opaque::<_, 4>(i.as_raw(), 255).ok_or_else(transparent)?.into())
        }
        DynamicImage::ImageRgba16(i) => {
            (PixelFormat::Rgb16, opaque::<_, 4>(i.as_raw(), 65_535).ok_or_else(transparent)?.into())
        }
        other => {
            return Err(unsupported(Error::image(
                name,
                "8 or 16 bits per channel, gray or RGB",
                format!("{:?} pixels", other.color()),
            )));
        }
    })
}

/// The values without their last channel, if that channel is `max` everywhere.
fn opaque<T: Copy + PartialEq, const N: usize>(values: &[T], max: T) -> Option<Vec<T>> {
    let (pixels, _) = values.as_chunks::<N>();
    pixels.iter().all(|p| p[N - 1] == max).then(|| pixels.iter().flat_map(|p| &p[..N - 1]).copied().collect())
}

/// The first bytes of a file, readable where they are text.
fn preview(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(|c| !c.is_control()) => format!("the text {text:?}"),
        _ => format!("the bytes {bytes:02x?}"),
    }
}
