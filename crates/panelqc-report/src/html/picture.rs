use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb, imageops};
use panelqc::{Error, Frame, PixelView, Result, level8};

use super::MIN_EDGE;

/// JPEG quality, 1 to 100: fine scratches stay, and a picture of 640 pixels has some 40 kB.
const QUALITY: u8 = 80;

/// The long edge in pixels that pictures of an [`HtmlReport`](super::HtmlReport) have now: it shrinks when the
/// page would become too large. Cheap to clone, and the same in all clones, so that workers make no larger ones.
#[derive(Debug, Clone)]
pub struct PictureEdge(Arc<AtomicU32>);

impl PictureEdge {
    pub(super) fn new(edge: u32) -> Self {
        PictureEdge(Arc::new(AtomicU32::new(edge.max(MIN_EDGE))))
    }

    /// The edge, at least 64.
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, edge: u32) {
        self.0.store(edge, Ordering::Relaxed);
    }
}

/// A frame made small for the page: a JPEG, and the size of the frame itself. It can be made anywhere, for example on
/// the worker that inspected the panel ([`InspectBatch::with_panels`](panelqc::InspectBatch::with_panels)), and be
/// [added](super::HtmlReport::add) later.
#[derive(Debug, Clone)]
pub struct HtmlPicture {
    /// Size of the frame in pixels.
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) jpeg: Vec<u8>,
    edge: u32,
}

impl HtmlPicture {
    /// The frame with a long edge of at most `edge` pixels
    /// ([`HtmlReport::picture_edge`](super::HtmlReport::picture_edge)), in 8 bits a channel. A smaller frame keeps its
    /// size.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](panelqc::ErrorKind::Internal) when it cannot be compressed: a fault of this library.
    pub fn new(frame: &Frame<'_>, edge: u32) -> Result<Self> {
        let size = (frame.width(), frame.height());
        let (width, height) = fitted(size, edge.max(MIN_EDGE));
        // A macro, because the trait that `thumbnail` asks of a value is not public.
        macro_rules! small {
            ($pixel:ty, $view:expr) => {
                ImageBuffer::<$pixel, _>::from_raw(size.0, size.1, &$view.to_tight()[..])
                    .map(|view| imageops::thumbnail(&view, width, height).into_raw())
            };
        }
        let (white, gray) = (frame.shown_white(), frame.channels() == 1);
        let level = |value: u16| level8(value, white);
        let levels = |values: Vec<u16>| values.into_iter().map(level).collect();
        let values: Option<Vec<u8>> = match (frame.pixels(), gray) {
            (PixelView::Eight(view), true) => small!(Luma<u8>, view),
            (PixelView::Eight(view), false) => small!(Rgb<u8>, view),
            (PixelView::Sixteen(view), true) => small!(Luma<u16>, view).map(levels),
            (PixelView::Sixteen(view), false) => small!(Rgb<u16>, view).map(levels),
        };
        let small = values.and_then(|mut values| {
            if frame.format().storage_bits() == 8 && white != u16::from(u8::MAX) {
                values.iter_mut().for_each(|value| *value = level(u16::from(*value)));
            }
            if frame.format().is_reversed() {
                values.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| pixel.reverse());
            }
            Some(match gray {
                true => DynamicImage::ImageLuma8(ImageBuffer::from_raw(width, height, values)?),
                false => DynamicImage::ImageRgb8(ImageBuffer::from_raw(width, height, values)?),
            })
        });
        let small = small.ok_or_else(|| Error::internal("a frame with too few pixels".to_owned()))?;
        let jpeg = encode(&small)?;
        Ok(HtmlPicture { width: size.0, height: size.1, jpeg, edge: small.width().max(small.height()) })
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
