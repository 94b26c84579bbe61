//! PNG, BMP and WebP, by the decoders of the crate `image`.

use std::io::Cursor;

use image::{ColorType, ImageDecoder, ImageError, ImageFormat, ImageReader, ImageResult};

use super::content::Content;
use super::flaw::Flaw;
use super::format::PixelFormat;
use super::limits::FrameLimits;
use super::pixels::{Pixels, Values, orientation, without_others};
use super::scratch::FrameScratch;
use crate::geometry::Size;

/// Reads a file of one of these formats.
pub(super) fn read(
    content: Content,
    bytes: &[u8],
    limits: &FrameLimits,
    scratch: &mut FrameScratch,
) -> Result<Pixels, Flaw> {
    let format = match content {
        Content::Png => ImageFormat::Png,
        Content::WebP => ImageFormat::WebP,
        _ => ImageFormat::Bmp,
    };
    let count = match content {
        Content::Png => animated_png(bytes),
        Content::WebP => animated_webp(bytes),
        _ => 1,
    };
    if content == Content::Bmp && long_bitmap(bytes) {
        return Err(Flaw::unsupported("a BMP of more than 65,535 rows or columns"));
    }
    if count > 1 {
        return Err(Flaw::Several { count, kind: content.label() });
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    // The size is checked below with a message of ours; the limit holds for the decoder's own buffers too.
    let mut decoder_limits = image::Limits::default();
    (decoder_limits.max_image_width, decoder_limits.max_image_height) = (None, None);
    decoder_limits.max_alloc = Some(limits.max_bytes.saturating_mul(2));
    reader.limits(decoder_limits);
    let mut decoder = reader.into_decoder().map_err(flaw)?;
    let (width, height) = decoder.dimensions();
    let size = Size::new(width, height);
    let pixels = u64::from(width) * u64::from(height);
    let color = decoder.color_type();
    // What is left when opacity is taken off, and what a WebP is decoded into first.
    let opaque = if color.has_alpha() { decoder.total_bytes() / 4 * 3 } else { 0 };
    let first = if content == Content::WebP { 4 * pixels } else { 0 };
    limits.admit(content.label(), size, decoder.total_bytes(), opaque + first)?;
    let exif = decoder.exif_metadata().ok().flatten();
    let total = decoder.total_bytes() as usize;
    let deep = matches!(color, ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16);
    let colour = matches!(color, ColorType::Rgb8 | ColorType::Rgba8 | ColorType::Rgb16 | ColorType::Rgba16);
    let (samples, channels) = (usize::from(color.channel_count()), if colour { 3 } else { 1 });
    let (format, values) = match color {
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => {
            let values = decoded(decoder, scratch.eight(total)?, |values| values).map_err(flaw)?;
            let values =
                if samples == channels { values } else { without_others(&values, samples, channels, Some(u8::MAX))? };
            (if colour { PixelFormat::Rgb8 } else { PixelFormat::Mono8 }, Values::Eight(values))
        }
        _ if deep => {
            let values = decoded(decoder, scratch.sixteen(total / 2)?, bytemuck::cast_slice_mut).map_err(flaw)?;
            let values =
                if samples == channels { values } else { without_others(&values, samples, channels, Some(u16::MAX))? };
            (if colour { PixelFormat::Rgb16 } else { PixelFormat::Mono16 }, Values::Sixteen(values))
        }
        other => return Err(Flaw::unsupported(format!("{other:?} pixels"))),
    };
    let orientation = exif.map_or(1, |exif| orientation(&exif));
    Ok(Pixels { size, format, white: format.white(), values, orientation })
}

fn decoded<T>(
    decoder: impl ImageDecoder,
    mut values: Vec<T>,
    bytes: impl Fn(&mut [T]) -> &mut [u8],
) -> ImageResult<Vec<T>> {
    decoder.read_image(bytes(&mut values))?;
    Ok(values)
}

fn flaw(error: ImageError) -> Flaw {
    match error {
        ImageError::Unsupported(error) => Flaw::unsupported(error.to_string()),
        ImageError::Limits(error) => {
            Flaw::Limits { expected: "an image within the limits".to_owned(), found: error.to_string() }
        }
        error => Flaw::damaged(error.to_string()),
    }
}

/// Whether a BMP has more rows or columns than its decoder takes, which calls it damaged.
fn long_bitmap(bytes: &[u8]) -> bool {
    let side =
        |at: usize| bytes.get(at..at + 4).and_then(|side| side.first_chunk()).map(|side| i32::from_le_bytes(*side));
    // The oldest head has sides of 16 bits.
    let is_old = bytes.get(14) == Some(&12);
    // Rows from the top are stated as a negative number.
    !is_old && [18, 22].into_iter().filter_map(side).any(|side| side.unsigned_abs() > 65_535)
}

/// How many pictures an animated PNG holds: it says so before its first pixels. 1 for others.
fn animated_png(bytes: &[u8]) -> usize {
    let mut at = 8;
    while let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk::<12>()) {
        let [l3, l2, l1, l0, kind @ .., f3, f2, f1, f0] = *head;
        match &kind {
            b"acTL" => return u32::from_be_bytes([f3, f2, f1, f0]) as usize,
            b"IDAT" => break,
            _ => at = at.saturating_add(12).saturating_add(u32::from_be_bytes([l3, l2, l1, l0]) as usize),
        }
    }
    1
}

/// How many pictures an animated WebP holds; 1 for others.
fn animated_webp(bytes: &[u8]) -> usize {
    let mut count = 0;
    let mut at = 12;
    while let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let [kind @ .., l0, l1, l2, l3] = *head;
        count += usize::from(&kind == b"ANMF");
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        // Chunks begin at even places.
        at = at.saturating_add(8).saturating_add(length).saturating_add(length % 2);
    }
    count.max(1)
}
