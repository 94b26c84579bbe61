use image::error::{DecodingError, ImageFormatHint, UnsupportedError, UnsupportedErrorKind};
use image::{ColorType, ImageDecoder, ImageError, ImageFormat, ImageResult};
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// A JPEG whose head was read. The decoder is the one of the crate `image`, and gives the same; the crate's own wrapper
/// copies the file and reads its head three times.
pub(super) struct Jpeg<'a> {
    decoder: JpegDecoder<ZCursor<&'a [u8]>>,
    size: (u32, u32),
    color: ColorType,
}

impl<'a> Jpeg<'a> {
    /// Reads the head of a file.
    pub(super) fn open(bytes: &'a [u8]) -> ImageResult<Self> {
        let options =
            DecoderOptions::default().set_strict_mode(false).set_max_width(usize::MAX).set_max_height(usize::MAX);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(failed)?;
        let (Some((width, height)), Some(colors)) = (decoder.dimensions(), decoder.input_colorspace()) else {
            return Err(failed(DecodeErrors::FormatStatic("no size")));
        };
        let (color, colors) = match colors {
            ColorSpace::Luma => (ColorType::L8, ColorSpace::Luma),
            _ => (ColorType::Rgb8, ColorSpace::RGB),
        };
        decoder.set_options(options.jpeg_set_out_colorspace(colors));
        Ok(Jpeg { decoder, size: (width as u32, height as u32), color })
    }
}

impl ImageDecoder for Jpeg<'_> {
    fn dimensions(&self) -> (u32, u32) {
        self.size
    }

    fn color_type(&self) -> ColorType {
        self.color
    }

    fn exif_metadata(&mut self) -> ImageResult<Option<Vec<u8>>> {
        Ok(self.decoder.exif().cloned())
    }

    fn read_image(mut self, values: &mut [u8]) -> ImageResult<()> {
        self.decoder.decode_into(values).map_err(failed)
    }

    fn read_image_boxed(self: Box<Self>, values: &mut [u8]) -> ImageResult<()> {
        (*self).read_image(values)
    }
}

fn failed(error: DecodeErrors) -> ImageError {
    let jpeg = ImageFormatHint::Exact(ImageFormat::Jpeg);
    match error {
        DecodeErrors::Unsupported(what) => ImageError::Unsupported(UnsupportedError::from_format_and_kind(
            jpeg,
            UnsupportedErrorKind::GenericFeature(format!("{what:?}")),
        )),
        error => ImageError::Decoding(DecodingError::new(jpeg, error)),
    }
}

/// Whether `data`, which starts as a JPEG, runs up to its end-of-image marker (ITU-T T.81, annex B).
///
/// JPEG decoders fill the missing part of a truncated file with gray and report success. An inspection must not pass
/// such an image, so the file is walked for its end marker first.
pub(super) fn is_complete(data: &[u8]) -> bool {
    const SOS: u8 = 0xDA;
    const EOI: u8 = 0xD9;
    let mut at = 2;
    let mut in_scan = false;
    while at + 1 < data.len() {
        // Past entropy-coded data, or filling between segments.
        let Some(marker) = memchr::memchr(0xFF, &data[at..data.len() - 1]) else { return false };
        at += marker;
        match data[at + 1] {
            EOI => return in_scan,
            // A stuffed 0xFF, a restart marker, the start of an image, or fill bytes: no segment follows.
            0x00 | 0xD0..=0xD8 | 0x01 => at += 2,
            0xFF => at += 1,
            marker => {
                let Some(length) = data.get(at + 2..at + 4) else { return false };
                at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
                in_scan |= marker == SOS;
            }
        }
    }
    false
}
