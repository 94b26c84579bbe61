use std::fs::{self, File};
use std::io::Read;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::content::Content;
use super::limits::FrameLimits;
use super::picture::Frame;
use super::scratch::FrameScratch;
use super::walk::{A_FILE, special};
use super::{common, jpeg, tiff};
use crate::error::{Error, ErrorKind, Result};
use crate::hash::sha256_hex;

const KNOWN: &str = "a PNG, JPEG, TIFF, BMP or WebP image";

impl Frame<'static> {
    /// Reads an image file: PNG, JPEG, TIFF, BMP or WebP, recognised by its content, not its name. The orientation that
    /// EXIF or TIFF states is applied, so the frame is as a viewer shows it. A fully opaque alpha channel is dropped.
    /// What the frame holds are the file's own samples: a TIFF of 12 bits becomes
    /// [`Mono12`](crate::PixelFormat::Mono12). Less than 8 bits are spread over 0 to 255, palettes are looked up, and
    /// where white is zero, samples are turned round.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when the file cannot be read,
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) when some of its pixels are missing or it contradicts itself,
    /// [`ErrorKind::Limits`](crate::ErrorKind::Limits) when it is beyond the limits, and
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when it is not such an image, holds several pictures
    /// (pages, a stack, an animation), has transparent pixels, or is of a kind that is not read, which is named:
    /// floating-point or signed samples, arithmetic coding and others.
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
        if bytes.try_reserve(size as usize + 1).is_err() {
            let expected = format!("{size} bytes of memory for the file");
            return Err(Error::image(path.display(), expected, "less").with_kind(ErrorKind::Limits));
        }
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
    if bytes.is_empty() {
        return Err(Error::image(name, KNOWN, "an empty file").with_kind(ErrorKind::Damaged));
    }
    let Some(content) = Content::of(bytes) else {
        let found = match image::guess_format(bytes) {
            Ok(other) => format!("a {} file", other.extensions_str()[0]),
            Err(_) => format!("a file that starts with {}", preview(&bytes[..bytes.len().min(8)])),
        };
        return Err(Error::image(name, KNOWN, found).with_kind(ErrorKind::Unsupported));
    };
    let pixels = match content {
        Content::Jpeg => jpeg::read(bytes, limits, scratch),
        Content::Tiff => tiff::read(bytes, limits, scratch),
        Content::Png | Content::Bmp | Content::WebP => common::read(content, bytes, limits, scratch),
    };
    pixels.map_err(|flaw| flaw.of(name, content))?.into_frame()
}

/// The first bytes of a file, readable where they are text.
fn preview(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(|c| !c.is_control()) => format!("the text {text:?}"),
        _ => format!("the bytes {bytes:02x?}"),
    }
}
