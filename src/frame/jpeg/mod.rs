//! JPEG: `check` makes sure that all of a picture is there (`blocks` with the tables of `huffman` and the reader
//! `bits`), `behind` looks for further ones; then the decoder has it.

mod behind;
mod bits;
mod blocks;
mod check;
mod huffman;

pub(super) use check::Checker;

use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::flaw::Flaw;
use super::format::PixelFormat;
use super::limits::FrameLimits;
use super::pixels::{Pixels, Values, orientation};
use super::scratch::FrameScratch;
use crate::geometry::Size;

/// Reads the picture of a file.
pub(super) fn read(bytes: &[u8], limits: &FrameLimits, scratch: &mut FrameScratch) -> Result<Pixels, Flaw> {
    let outline = scratch.jpeg.check(bytes, limits)?;
    let behind = behind::pictures_behind(bytes, outline);
    if behind > 0 {
        return Err(Flaw::Several { count: 1 + behind, kind: "JPEG (MPO)" });
    }
    let jpeg = Jpeg::open(bytes, true)?;
    let (size, channels) = (jpeg.size, jpeg.channels);
    if size != outline.size {
        return Err(Flaw::damaged("a size that is stated in two ways"));
    }
    let orientation = jpeg.decoder.exif().map_or(1, |exif| orientation(exif));
    let mut values = scratch.eight(size.width as usize * size.height as usize * channels)?;
    jpeg.read(&mut values)?;
    let format = if channels == 1 { PixelFormat::Mono8 } else { PixelFormat::Rgb8 };
    Ok(Pixels { size, format, white: format.white(), values: Values::Eight(values), orientation })
}

/// A JPEG whose head was read. The decoder is the one of the crate `image`, and gives the same; the crate's own wrapper
/// copies the file and reads its head three times.
pub(super) struct Jpeg<'a> {
    decoder: JpegDecoder<ZCursor<&'a [u8]>>,
    size: Size,
    channels: usize,
}

impl<'a> Jpeg<'a> {
    /// Reads the head of a file that was [checked](Checker::check). Three components are taken for brightness and
    /// differences of colour, and converted, where `to_rgb` says so.
    pub(super) fn open(bytes: &'a [u8], to_rgb: bool) -> Result<Self, Flaw> {
        let options =
            DecoderOptions::default().set_strict_mode(true).set_max_width(usize::MAX).set_max_height(usize::MAX);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(flaw)?;
        let (Some((width, height)), Some(colors)) = (decoder.dimensions(), decoder.input_colorspace()) else {
            return Err(Flaw::damaged("no size"));
        };
        let (channels, colors) = match colors {
            ColorSpace::Luma => (1, ColorSpace::Luma),
            colors if !to_rgb && colors.num_components() == 3 => (3, colors),
            _ => (3, ColorSpace::RGB),
        };
        decoder.set_options(options.jpeg_set_out_colorspace(colors));
        Ok(Jpeg { decoder, size: Size::new(width as u32, height as u32), channels })
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Values of a pixel: 1 or 3.
    pub(super) fn channels(&self) -> usize {
        self.channels
    }

    /// Decodes the pixels.
    pub(super) fn read(mut self, values: &mut [u8]) -> Result<(), Flaw> {
        self.decoder.decode_into(values).map_err(flaw)
    }
}

fn flaw(error: DecodeErrors) -> Flaw {
    match error {
        DecodeErrors::Unsupported(what) => Flaw::unsupported(format!("{what:?}")),
        error => Flaw::damaged(format!("{error:?}")),
    }
}

#[cfg(test)]
mod tests;
