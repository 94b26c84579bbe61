//! TIFF and BigTIFF: `directory` reads what is stated, `pages` chooses the picture, `layout` says how it lies in the
//! file, `unpack` and `fax` decompress strips and tiles, and here their samples become those of a frame.
//!
//! The crate `tiff` is not used: it reads neither palettes nor samples of other depths than 8 and 16 bits, and takes a
//! cut-off JPEG or deflate stream for a whole one.

mod directory;
mod fax;
mod layout;
mod pages;
mod samples;
mod unpack;

pub(super) use directory::{Structure, tag};

use self::layout::{Compression, Layout, Photometric};
use self::samples::Sample;
use self::unpack::Unpacker;
use super::flaw::Flaw;
use super::format::PixelFormat;
use super::jpeg::Checker;
use super::limits::FrameLimits;
use super::pixels::{Pixels, Values, without_others};
use super::scratch::FrameScratch;
use crate::geometry::Size;

/// Reads the picture of a file.
pub(super) fn read(bytes: &[u8], limits: &FrameLimits, scratch: &mut FrameScratch) -> Result<Pixels, Flaw> {
    let Some((structure, first)) = Structure::open(bytes) else { return Err(Flaw::damaged("a head that is none")) };
    let directory = pages::the_one_picture(structure, first)?;
    let layout = Layout::of(&directory)?;
    let Size { width, height } = layout.size;
    let pixels = u64::from(width) * u64::from(height);
    let width_of_sample = if layout.bits > 8 { 2 } else { 1 };
    let stored = pixels.saturating_mul(layout.samples as u64 * width_of_sample);
    let channels = match layout.photometric {
        Photometric::WhiteIsZero | Photometric::BlackIsZero => 1,
        _ => 3,
    };
    let made = pixels.saturating_mul(channels * width_of_sample);
    let extra = if layout.samples as u64 == channels { 0 } else { stored };
    // One strip or tile is unpacked at a time.
    let chunk = match layout.compression {
        Compression::None => 0,
        _ => layout.bytes(layout.chunk.height),
    };
    limits.admit("TIFF", layout.size, made, extra.saturating_add(chunk))?;
    let orientation = directory.number(tag::ORIENTATION).map_or(1, |number| number.min(255) as u8);
    let unpacker = Unpacker::new(bytes, structure.big_endian, &directory, &layout, limits);
    let white = (u16::MAX >> (16 - layout.bits)).max(1);
    let (format, white, values) = if layout.bits <= 8 {
        let values = scratch.eight(stored as usize)?;
        let of = colours(unpacker, &directory, &layout, values, &mut scratch.jpeg, white as u8)?;
        let (mut values, is_colour, white) = of;
        if white < u8::MAX {
            // Resizing rounds to whole samples: of one bit it would leave black and white only.
            let white = u32::from(white);
            let levels: Vec<u8> = (0..=white).map(|value| ((value * 255 + white / 2) / white) as u8).collect();
            values.iter_mut().for_each(|value| *value = levels[usize::from(*value)]);
        }
        (if is_colour { PixelFormat::Rgb8 } else { PixelFormat::Mono8 }, 255, Values::Eight(values))
    } else {
        let values = scratch.sixteen(stored as usize / 2)?;
        let (values, is_colour, white) = colours(unpacker, &directory, &layout, values, &mut scratch.jpeg, white)?;
        let format = match (is_colour, layout.bits) {
            (true, _) => PixelFormat::Rgb16,
            (false, 10) => PixelFormat::Mono10,
            (false, 12) => PixelFormat::Mono12,
            (false, 14) => PixelFormat::Mono14,
            (false, _) => PixelFormat::Mono16,
        };
        (format, white, Values::Sixteen(values))
    };
    Ok(Pixels { size: layout.size, format, white, values, orientation })
}

/// Reads the samples into `values`, and makes gray or red, green and blue of them: whether it is colour, and white.
fn colours<T: Sample>(
    mut unpacker: Unpacker<'_>,
    directory: &directory::Directory<'_>,
    layout: &Layout<'_>,
    mut values: Vec<T>,
    checker: &mut Checker,
    white: T,
) -> Result<(Vec<T>, bool, T), Flaw> {
    unpacker.unpack(&mut values, checker)?;
    let channels = layout.photometric.channels();
    if layout.samples > channels {
        values = without_others(&values, layout.samples, channels, layout.alpha.then_some(white))?;
    }
    match layout.photometric {
        Photometric::BlackIsZero => {}
        Photometric::WhiteIsZero => values.iter_mut().for_each(|value| *value = white.without(*value)),
        Photometric::Rgb => return Ok((values, true, white)),
        Photometric::YCbCr => {
            if layout.compression != Compression::Jpeg {
                samples::from_ycbcr(&mut values, directory);
            }
            return Ok((values, true, white));
        }
        Photometric::Palette => {
            let palette = directory.numbers(tag::PALETTE);
            let palette = palette.ok_or_else(|| Flaw::damaged("no palette"))?;
            return Ok((samples::from_palette(&values, palette, layout.bits)?, true, T::LARGEST));
        }
    }
    Ok((values, false, white))
}

#[cfg(test)]
mod tests;
