use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::geometry::Size;

/// Bits a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BitDepth {
    /// 8 bits: 0 to 255.
    Eight,
    /// 16 bits: 0 to 65,535.
    Sixteen,
}

impl BitDepth {
    /// The largest value of a channel: white.
    pub fn max_value(self) -> u16 {
        match self {
            BitDepth::Eight => 255,
            BitDepth::Sixteen => 65_535,
        }
    }
}

/// Pixels row by row from the top, channels interleaved, no padding between rows. Gray stays gray and the depth of
/// the file is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pixels {
    /// One channel of 8 bits.
    Gray8(Vec<u8>),
    /// One channel of 16 bits.
    Gray16(Vec<u16>),
    /// Red, green, blue of 8 bits each.
    Rgb8(Vec<u8>),
    /// Red, green, blue of 16 bits each.
    Rgb16(Vec<u16>),
}

impl Pixels {
    /// Number of channels: 1 or 3.
    pub fn channels(&self) -> usize {
        match self {
            Pixels::Gray8(_) | Pixels::Gray16(_) => 1,
            Pixels::Rgb8(_) | Pixels::Rgb16(_) => 3,
        }
    }

    /// Bits a channel.
    pub fn depth(&self) -> BitDepth {
        match self {
            Pixels::Gray8(_) | Pixels::Rgb8(_) => BitDepth::Eight,
            Pixels::Gray16(_) | Pixels::Rgb16(_) => BitDepth::Sixteen,
        }
    }

    fn len(&self) -> usize {
        match self {
            Pixels::Gray8(v) | Pixels::Rgb8(v) => v.len(),
            Pixels::Gray16(v) | Pixels::Rgb16(v) => v.len(),
        }
    }
}

/// One picture: pixels, size, where it came from, and the hash of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pixels: Pixels,
    width: u32,
    height: u32,
    source: Option<PathBuf>,
    sha256: Option<Arc<str>>,
}

impl Frame {
    /// A frame from pixels in memory, for example from a camera's driver.
    ///
    /// # Errors
    /// [`ErrorKind::Frame`](crate::ErrorKind::Frame) when the size is 0 or the number of values is not `width * height * channels`.
    pub fn new(width: u32, height: u32, pixels: Pixels) -> Result<Self> {
        let expected = u64::from(width) * u64::from(height) * pixels.channels() as u64;
        if expected == 0 || pixels.len() as u64 != expected {
            return Err(Error::image(
                "in memory",
                format!("{width} x {height} x {} values, at least one pixel", pixels.channels()),
                format!("{} values", pixels.len()),
            ));
        }
        Ok(Frame { pixels, width, height, source: None, sha256: None })
    }

    pub(super) fn with_source(mut self, source: Option<&Path>, sha256: String) -> Self {
        self.source = source.map(Path::to_path_buf);
        self.sha256 = Some(sha256.into());
        self
    }

    /// The pixels.
    pub fn pixels(&self) -> &Pixels {
        &self.pixels
    }

    pub(super) fn into_pixels(self) -> Pixels {
        self.pixels
    }

    /// Width and height.
    pub fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Number of channels: 1 or 3.
    pub fn channels(&self) -> usize {
        self.pixels.channels()
    }

    /// Bits a channel.
    pub fn depth(&self) -> BitDepth {
        self.pixels.depth()
    }

    /// The file it was read from, if any.
    pub fn source(&self) -> Option<&Path> {
        self.source.as_deref()
    }

    /// SHA-256 of the file's bytes, in hexadecimal; `None` for a frame from memory.
    pub fn sha256(&self) -> Option<&Arc<str>> {
        self.sha256.as_ref()
    }

    /// What to call this frame in a message.
    pub(crate) fn name(&self) -> String {
        self.source.as_ref().map_or_else(|| "in memory".to_owned(), |p| p.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_number_of_values_is_refused() {
        let error = Frame::new(4, 3, Pixels::Rgb8(vec![0; 35])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "image in memory: expected 4 x 3 x 3 values, at least one pixel, found 35 values"
        );
        assert!(Frame::new(0, 3, Pixels::Gray8(vec![])).is_err());
        assert!(Frame::new(4, 3, Pixels::Gray16(vec![0; 12])).is_ok());
    }
}
