use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::format::PixelFormat;
use super::samples::{Numbers, Samples};
use super::view::{PixelView, View, needed};
use crate::error::{Error, Result};
use crate::geometry::Size;
use crate::hash::sha256_of;

/// One image: pixels, size, the value of white, and where it came from. The pixels are owned, shared or borrowed for
/// `'a`; what is inspected in the background takes a `Frame<'static>`, which is owned or shared.
///
/// ```
/// # fn main() -> panelqc::Result<()> {
/// use panelqc::{Frame, PixelFormat, Size};
///
/// // A camera of 12 bits whose driver pads its rows of 300 pixels to 320, and keeps the memory.
/// let driver: Vec<u16> = vec![2048; 320 * 300];
/// let frame = Frame::strided(Size::new(300, 300), PixelFormat::Mono12, &driver, 320)?.with_name("camera 1, shot 7");
/// assert_eq!(frame.white(), 4095);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Frame<'a> {
    samples: Samples<'a>,
    format: PixelFormat,
    size: Size,
    /// Samples from the start of a row to the start of the next.
    stride: usize,
    white: u16,
    /// Whether somebody said what white is.
    white_is_stated: bool,
    /// See [`Frame::too_dark`].
    too_dark: OnceLock<Option<u16>>,
    name: Option<String>,
    source: Option<PathBuf>,
    sha256: Option<Arc<str>>,
}

impl<'a> Frame<'a> {
    /// A frame of samples row by row from the top, channels interleaved, no padding between rows.
    ///
    /// # Errors
    /// [`ErrorKind::Frame`](crate::ErrorKind::Frame) when there is no pixel, when the number of samples is not `width *
    /// height * channels`, or when they are 8-bit for a format of more bits, or the other way round.
    pub fn new(size: Size, format: PixelFormat, samples: impl Into<Samples<'a>>) -> Result<Self> {
        let samples = samples.into();
        let stride = (size.width as usize).saturating_mul(format.channels());
        let needed = needed(size, format, stride);
        if size.is_empty() || needed != Some(samples.len()) {
            return Err(Error::image(
                IN_MEMORY,
                format!("{size} x {} values, at least one pixel", format.channels()),
                format!("{} values", samples.len()),
            ));
        }
        Self::strided(size, format, samples, stride)
    }

    /// A frame of samples with padding: each row begins `stride` samples (not bytes) after the one before. What lies
    /// after a row, and after the last one, is ignored.
    ///
    /// # Errors
    /// [`ErrorKind::Frame`](crate::ErrorKind::Frame) when there is no pixel, when `stride` is less than a row, when
    /// there are fewer samples than `(height - 1) * stride` and one more row, or when they are 8-bit for a format of
    /// more bits, or the other way round.
    pub fn strided(size: Size, format: PixelFormat, samples: impl Into<Samples<'a>>, stride: usize) -> Result<Self> {
        let samples = samples.into();
        let refused = |expected: String, found: String| Err(Error::image(IN_MEMORY, expected, found));
        if size.is_empty() {
            return refused("at least one pixel".to_owned(), format!("a frame of {size}"));
        }
        if samples.storage_bits() != format.storage_bits() {
            let bits = |bits: u32| format!("values of {bits} bits");
            return refused(format!("{} ({format})", bits(format.storage_bits())), bits(samples.storage_bits()));
        }
        let row = (size.width as usize).checked_mul(format.channels());
        if row.is_none_or(|row| stride < row) {
            let row = u64::from(size.width) * format.channels() as u64;
            return refused(format!("rows at least {row} values apart ({size}, {format})"), stride.to_string());
        }
        match needed(size, format, stride) {
            Some(needed) if samples.len() < needed => {
                refused(format!("{needed} values ({size}, {format}, rows {stride} apart)"), samples.len().to_string())
            }
            Some(_) => Ok(Frame {
                samples,
                format,
                size,
                stride,
                white: format.white(),
                white_is_stated: false,
                too_dark: OnceLock::new(),
                name: None,
                source: None,
                sha256: None,
            }),
            None => refused(
                "no more values than memory can hold".to_owned(),
                format!("{size}, {format}, rows {stride} apart"),
            ),
        }
    }

    /// The same frame with another value of white, for example 4000 for a sensor that saturates there. Default: the
    /// largest value of the format's bits. A manifest's `[input] white` takes precedence. A frame with a value above
    /// white is refused when it is inspected.
    ///
    /// A frame of 16 bits whose white nobody stated, here or in the manifest, and whose brightest sample is below an
    /// eighth of it, does not pass: most likely its samples have fewer bits. To inspect such a dark frame, state
    /// 65,535.
    ///
    /// # Errors
    /// [`ErrorKind::Frame`](crate::ErrorKind::Frame) for 0, or for more than 255 where samples have 8 bits.
    pub fn with_white(mut self, white: u16) -> Result<Self> {
        let largest = self.format.largest();
        if white == 0 || white > largest {
            let expected = format!("a white of 1 to {largest} ({})", self.format);
            return Err(Error::image(self.name(), expected, white.to_string()));
        }
        self.state_white(white);
        Ok(self)
    }

    fn state_white(&mut self, white: u16) {
        self.white = white;
        self.white_is_stated = true;
        self.too_dark = OnceLock::new();
    }

    /// The same frame with the white that a manifest states, where its samples can hold that.
    pub(super) fn whitened(mut self, white: Option<u16>) -> Self {
        if let Some(white) = white.filter(|&white| white <= self.format.largest()) {
            self.state_white(white);
        }
        self
    }

    /// The same frame with a name for messages, for example the camera and the number of the shot. Default: the file's
    /// path, or `in memory`.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The same frame with the [hash](Frame::sha256) of its samples, where it has no hash yet: SHA-256 of the samples
    /// of all rows from the top, channels interleaved as they are stored, without padding, samples of 16 bits as two
    /// bytes, the lower first. Size, format and white are not part of it.
    #[must_use]
    pub fn hashed(mut self) -> Self {
        if self.sha256.is_none() {
            let sum = match self.pixels() {
                PixelView::Eight(view) => sha256_of(view.rows()),
                PixelView::Sixteen(view) if cfg!(target_endian = "little") => {
                    sha256_of(view.rows().map(bytemuck::cast_slice))
                }
                PixelView::Sixteen(view) => {
                    let bytes: Vec<u8> = view.rows().flatten().flat_map(|value| value.to_le_bytes()).collect();
                    sha256_of([&bytes[..]])
                }
            };
            self.sha256 = Some(sum.into());
        }
        self
    }

    /// The same frame without borrowed memory; only borrowed samples are copied.
    pub fn into_owned(self) -> Frame<'static> {
        Frame { samples: self.samples.into_owned(), ..self }
    }

    pub(super) fn with_source(mut self, source: Option<&Path>, sha256: String) -> Self {
        self.source = source.map(Path::to_path_buf);
        self.sha256 = Some(sha256.into());
        self
    }

    /// The pixels, to be read row by row.
    pub fn pixels(&self) -> PixelView<'_> {
        let Frame { stride, format, white, size, .. } = *self;
        match &self.samples.0 {
            Numbers::Eight(memory) => PixelView::Eight(View::new(memory.as_slice(), stride, format, white, size)),
            Numbers::Sixteen(memory) => PixelView::Sixteen(View::new(memory.as_slice(), stride, format, white, size)),
        }
    }

    pub(super) fn into_samples(self) -> Samples<'a> {
        self.samples
    }

    /// Width and height.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.size.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.size.height
    }

    /// How a pixel is stored.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Number of channels: 1 or 3.
    pub fn channels(&self) -> usize {
        self.format.channels()
    }

    /// The value of white.
    pub fn white(&self) -> u16 {
        self.white
    }

    /// The brightest sample of a frame of 16 bits that is below an eighth of white, where nobody said what white is:
    /// the samples may have fewer bits, and the frame would be taken for a dark one. `None` for all other frames. Where
    /// a bright sample comes early, as in most frames, no further one is looked at.
    pub(crate) fn too_dark(&self) -> Option<u16> {
        if self.white_is_stated || self.format.bits() < 16 {
            return None;
        }
        *self.too_dark.get_or_init(|| {
            let PixelView::Sixteen(view) = self.pixels() else { return None };
            let mut brightest = 0;
            for row in view.rows() {
                brightest = row.iter().copied().fold(brightest, u16::max);
                if 8 * u32::from(brightest) >= u32::from(self.white) {
                    return None;
                }
            }
            Some(brightest)
        })
    }

    /// The file it was read from, if any.
    pub fn source(&self) -> Option<&Path> {
        self.source.as_deref()
    }

    /// SHA-256 in hexadecimal: of the file's bytes, or of the samples of a frame from memory where that was asked for
    /// ([`hashed`](Frame::hashed)), else `None`.
    pub fn sha256(&self) -> Option<&Arc<str>> {
        self.sha256.as_ref()
    }

    /// The frame's name in messages.
    pub(crate) fn name(&self) -> String {
        match (&self.name, &self.source) {
            (Some(name), _) => name.clone(),
            (None, Some(path)) => path.display().to_string(),
            (None, None) => IN_MEMORY.to_owned(),
        }
    }
}

/// The name of a frame that has none.
const IN_MEMORY: &str = "in memory";

impl PartialEq for Frame<'_> {
    /// Whether both are the same image of the same file: padding, names and whose memory it is do not count.
    fn eq(&self, other: &Self) -> bool {
        (&self.source, &self.sha256) == (&other.source, &other.sha256) && self.pixels() == other.pixels()
    }
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("name", &self.name())
            .field("size", &self.size)
            .field("format", &self.format)
            .field("white", &self.white)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PixelFormat::{Bgr8, Mono8, Mono12, Mono16, Rgb8};

    fn refusal(frame: Result<Frame<'_>>) -> String {
        frame.unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_number_of_values_is_refused() {
        let size = Size::new(4, 3);
        assert_eq!(
            refusal(Frame::new(size, Rgb8, vec![0u8; 35])),
            "image in memory: expected 4 x 3 x 3 values, at least one pixel, found 35 values"
        );
        assert!(Frame::new(Size::new(0, 3), Mono8, Vec::<u8>::new()).is_err());
        assert!(Frame::new(size, Mono16, vec![0u16; 12]).is_ok());
        assert!(
            refusal(Frame::new(size, Mono8, vec![0u8; 13])).ends_with("found 13 values"),
            "a wrong size would shear"
        );
    }

    #[test]
    fn what_cannot_be_a_padded_picture_is_refused() {
        let size = Size::new(4, 3);
        let values = vec![0u8; 100];
        let of = |size, format, stride| refusal(Frame::strided(size, format, &values, stride));
        assert!(of(size, Rgb8, 11).ends_with("expected rows at least 12 values apart (4 x 3, Rgb8), found 11"));
        assert!(of(size, Bgr8, 45).ends_with("expected 102 values (4 x 3, Bgr8, rows 45 apart), found 100"));
        assert!(Frame::strided(size, Bgr8, &values, 44).is_ok(), "no padding behind the last row");
        assert!(of(size, Mono12, 4).ends_with("expected values of 16 bits (Mono12), found values of 8 bits"));
        assert!(of(Size::new(4, 0), Mono8, 4).ends_with("expected at least one pixel, found a frame of 4 x 0"));
        assert!(of(size, Mono8, usize::MAX).contains("than memory can hold"));
        assert!(of(Size::new(u32::MAX, u32::MAX), Mono8, u32::MAX as usize).contains("found 100"));
        let deep = vec![0u16; 12];
        assert!(refusal(Frame::new(size, Mono8, &deep)).ends_with("values of 8 bits (Mono8), found values of 16 bits"));
    }

    #[test]
    fn white_is_one_that_the_format_can_hold() {
        let frame = || Frame::new(Size::new(1, 1), Mono12, vec![0u16]).unwrap().with_name("camera 2");
        assert_eq!(frame().white(), 4095);
        assert_eq!(frame().with_white(65_520).unwrap().white(), 65_520, "12 bits that lie at the left");
        assert_eq!(refusal(frame().with_white(0)), "image camera 2: expected a white of 1 to 65535 (Mono12), found 0");
        assert!(Frame::new(Size::new(1, 1), Mono8, vec![0u8]).unwrap().with_white(256).is_err());
    }

    #[test]
    fn sixteen_bits_below_an_eighth_of_white_are_too_dark() {
        let frame = |value: u16| Frame::new(Size::new(2, 2), Mono16, vec![0, 0, value, 1]).unwrap();
        assert_eq!(
            [0, 4095, 8191, 8192, 65_535].map(|value| frame(value).too_dark()),
            [Some(1), Some(4095), Some(8191), None, None]
        );
        assert_eq!(frame(4095).with_white(65_535).unwrap().too_dark(), None, "it is stated");
        assert_eq!(frame(4095).whitened(Some(4095)).too_dark(), None, "the manifest states it");
        assert_eq!(frame(4095).whitened(None).too_dark(), Some(4095));
        assert_eq!(Frame::new(Size::new(1, 1), Mono12, vec![7u16]).unwrap().too_dark(), None, "the format states it");
        assert_eq!(Frame::new(Size::new(1, 1), Mono8, vec![7u8]).unwrap().too_dark(), None);
        // Padding is no pixel.
        let padded = Frame::strided(Size::new(1, 2), Mono16, vec![9u16, 60_000, 8], 2).unwrap();
        assert_eq!(padded.too_dark(), Some(9));
    }

    #[test]
    fn nothing_is_copied() {
        let driver = [7u8; 64];
        let frame = Frame::strided(Size::new(6, 4), Mono8, &driver[..], 16).unwrap();
        let PixelView::Eight(view) = frame.pixels() else { panic!("8 bits") };
        assert_eq!(view.row(1).as_ptr(), driver[16..].as_ptr());

        /// A driver's buffer that is given back when nobody looks at it any more.
        struct Lent(Vec<u16>);
        impl AsRef<[u16]> for Lent {
            fn as_ref(&self) -> &[u16] {
                &self.0
            }
        }
        let lent: Arc<dyn AsRef<[u16]> + Send + Sync> = Arc::new(Lent(vec![9; 12]));
        let frame: Frame<'static> = Frame::new(Size::new(4, 3), Mono12, Arc::clone(&lent)).unwrap();
        let copy = frame.clone();
        assert_eq!(Arc::strong_count(&lent), 3);
        drop((frame, copy.into_owned()));
        assert_eq!(Arc::strong_count(&lent), 1, "given back");
    }

    #[test]
    fn a_borrowed_frame_can_be_kept() {
        let kept = {
            let driver = vec![1u8, 2, 0, 3, 4];
            let frame = Frame::strided(Size::new(2, 2), Mono8, &driver, 3).unwrap().with_name("shot");
            frame.into_owned()
        };
        let tight = Frame::new(Size::new(2, 2), Mono8, vec![1u8, 2, 3, 4]).unwrap();
        assert_eq!((kept.name(), &kept), ("shot".to_owned(), &tight));
    }

    #[test]
    fn a_hash_is_of_the_samples_without_padding() {
        // sha256sum of the bytes 01 02 03 04 and of 01 00 00 01 ff 0f 03 00.
        let eight = Frame::strided(Size::new(2, 2), Mono8, vec![1u8, 2, 99, 3, 4, 99], 3).unwrap();
        assert_eq!(eight.sha256(), None, "only where it is asked for");
        let sum = "9f64a747e1b97f131fabb6b447296c9b6f0201e79fb3c5356e6c77e89b6a806a";
        assert_eq!(eight.hashed().sha256().unwrap().as_ref(), sum);
        let deep = Frame::new(Size::new(2, 2), Mono12, vec![1u16, 256, 4095, 3]).unwrap().hashed();
        assert_eq!(deep.sha256().unwrap().as_ref(), crate::hash::sha256_hex(&[1, 0, 0, 1, 255, 15, 3, 0]));
    }
}
