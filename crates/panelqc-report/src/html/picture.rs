use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb, imageops};
use panelqc::{Error, Frame, Pixels, Result};

/// JPEG quality, 1 to 100: fine scratches stay, and a picture of 640 pixels has some 40 kB.
const QUALITY: u8 = 80;

/// A frame made small: JPEG, and the size of the frame itself in pixels.
pub(super) struct Picture {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) jpeg: Vec<u8>,
    edge: u32,
}

impl Picture {
    /// The frame with a long edge of at most `edge` pixels, in 8 bits.
    pub(super) fn new(frame: &Frame, edge: u32) -> Result<Self> {
        let size = (frame.width(), frame.height());
        let (width, height) = fitted(size, edge);
        // A macro, because the trait that `thumbnail` asks of a value is not public.
        macro_rules! small {
            ($pixel:ty, $values:expr) => {
                ImageBuffer::<$pixel, _>::from_raw(size.0, size.1, $values.as_slice())
                    .map(|view| imageops::thumbnail(&view, width, height))
            };
        }
        let small = match frame.pixels() {
            Pixels::Gray8(v) => small!(Luma<u8>, v).map(DynamicImage::ImageLuma8),
            Pixels::Gray16(v) => {
                small!(Luma<u16>, v).map(|i| DynamicImage::ImageLuma8(DynamicImage::ImageLuma16(i).into_luma8()))
            }
            Pixels::Rgb8(v) => small!(Rgb<u8>, v).map(DynamicImage::ImageRgb8),
            Pixels::Rgb16(v) => {
                small!(Rgb<u16>, v).map(|i| DynamicImage::ImageRgb8(DynamicImage::ImageRgb16(i).into_rgb8()))
            }
            // Pixels of a kind that this version does not know.
            _ => None,
        };
        let small = small.ok_or_else(|| Error::internal("a frame of pixels that cannot be drawn".to_owned()))?;
        let jpeg = encode(&small)?;
        Ok(Picture { width: size.0, height: size.1, jpeg, edge: small.width().max(small.height()) })
    }

    /// Makes the long edge at most `edge` pixels.
    pub(super) fn shrink(&mut self, edge: u32) -> Result<()> {
        if self.edge > edge {
            let image = image::load_from_memory_with_format(&self.jpeg, ImageFormat::Jpeg).map_err(internal)?;
            let (width, height) = fitted((self.width, self.height), edge);
            self.jpeg = encode(&image.thumbnail_exact(width, height))?;
            self.edge = edge;
        }
        Ok(())
    }
}

/// The size with a long edge of at most `edge`, each side at least one pixel.
fn fitted((width, height): (u32, u32), edge: u32) -> (u32, u32) {
    let long = width.max(height);
    let side = |side: u32| ((u64::from(side) * u64::from(edge) / u64::from(long.max(1))) as u32).max(1);
    if long > edge { (side(width), side(height)) } else { (width, height) }
}

fn encode(image: &DynamicImage) -> Result<Vec<u8>> {
    let mut jpeg = Vec::new();
    image.write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, QUALITY)).map_err(internal)?;
    Ok(jpeg)
}

fn internal(error: image::ImageError) -> Error {
    Error::internal(error.to_string())
}
