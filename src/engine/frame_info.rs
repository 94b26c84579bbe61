use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::frame::Frame;
use crate::geometry::Size;

/// What a result says about one frame. Written as `{"image":..,"width":..,"height":..,"bits":..,"sha256":..}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Line")]
#[non_exhaustive]
pub struct FrameInfo {
    /// Its image file, as it was given (bytes that are not UTF-8 replaced); `None` for a frame from memory.
    pub image: Option<String>,
    /// Its size in pixels.
    pub size: Size,
    /// Significant bits of a sample: 8, 10, 12, 14 or 16. `None` where the version that wrote the result did not store
    /// it.
    pub bits: Option<u32>,
    /// SHA-256 of its file or, where it was [asked for](Frame::hashed), of its pixels, in hexadecimal.
    pub sha256: Option<Arc<str>>,
}

/// The form that is read.
#[derive(Deserialize)]
struct Line {
    image: Option<String>,
    width: u32,
    height: u32,
    bits: Option<u32>,
    sha256: Option<Arc<str>>,
}

impl FrameInfo {
    /// A frame from memory of that size and unknown bits.
    pub fn new(size: Size) -> Self {
        FrameInfo { image: None, size, bits: None, sha256: None }
    }

    /// The same frame from an image file. Default: from memory.
    #[must_use]
    pub fn with_image(mut self, image: impl Into<String>) -> Self {
        self.image = Some(image.into());
        self
    }

    /// The same frame with this many bits per sample. Default: unknown.
    #[must_use]
    pub fn with_bits(mut self, bits: u32) -> Self {
        self.bits = Some(bits);
        self
    }

    /// The same frame with its hash. Default: none.
    #[must_use]
    pub fn with_sha256(mut self, sha256: impl Into<Arc<str>>) -> Self {
        self.sha256 = Some(sha256.into());
        self
    }
}

impl From<&Frame<'_>> for FrameInfo {
    fn from(frame: &Frame<'_>) -> Self {
        FrameInfo {
            image: frame.source().map(|path| path.display().to_string()),
            size: frame.size(),
            bits: Some(frame.format().bits()),
            sha256: frame.sha256().cloned(),
        }
    }
}

impl From<Line> for FrameInfo {
    fn from(line: Line) -> Self {
        let Line { image, width, height, bits, sha256 } = line;
        FrameInfo { image, size: Size::new(width, height), bits, sha256 }
    }
}

impl Serialize for FrameInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("FrameInfo", 5)?;
        object.serialize_field("image", &self.image)?;
        object.serialize_field("width", &self.size.width)?;
        object.serialize_field("height", &self.size.height)?;
        object.serialize_field("bits", &self.bits)?;
        object.serialize_field("sha256", &self.sha256)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;

    #[test]
    fn a_frame_tells_what_it_is() {
        let frame = Frame::new(Size::new(3, 2), PixelFormat::Mono12, vec![9u16; 6]).unwrap();
        let text = serde_json::to_string(&FrameInfo::from(&frame)).unwrap();
        assert_eq!(text, r#"{"image":null,"width":3,"height":2,"bits":12,"sha256":null}"#);
        let hashed = serde_json::to_string(&FrameInfo::from(&frame.hashed()).with_image("a.tif")).unwrap();
        assert!(hashed.starts_with(r#"{"image":"a.tif","width":3,"#) && !hashed.contains("null"), "{hashed}");
        for text in [text, hashed] {
            let read: FrameInfo = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
        }
    }
}
