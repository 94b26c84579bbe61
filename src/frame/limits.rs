use super::flaw::Flaw;
use crate::geometry::Size;

/// Limits on image files; what exceeds them is refused. Checked against the file's header, before pixels are decoded.
///
/// Beside these, a JPEG has at most 32 scans (encoders write about 10), since each one is decoded over the whole
/// picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameLimits {
    /// Maximum width of an image in pixels. Default 1,048,576: pictures of line cameras are long, and what they take is
    /// bounded by [`max_bytes`](Self::max_bytes).
    pub max_width: u32,
    /// Maximum height of an image in pixels. Default 1,048,576.
    pub max_height: u32,
    /// Maximum memory that decoding one image takes, in bytes: its pixels, and what grows with them in the decoder (a
    /// progressive JPEG keeps 2 bytes for each coefficient; a WebP, or an image with an alpha channel, exists twice).
    /// Default 512 MiB.
    pub max_bytes: u64,
    /// Maximum size of a file in bytes. Default 512 MiB.
    pub max_file_bytes: u64,
}

impl FrameLimits {
    /// The same limits with another maximum image width, in pixels.
    #[must_use]
    pub const fn with_max_width(mut self, pixels: u32) -> Self {
        self.max_width = pixels;
        self
    }

    /// The same limits with another maximum image height, in pixels.
    #[must_use]
    pub const fn with_max_height(mut self, pixels: u32) -> Self {
        self.max_height = pixels;
        self
    }

    /// The same limits with another maximum of memory for decoding one image, in bytes.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// The same limits with another maximum file size, in bytes.
    #[must_use]
    pub const fn with_max_file_bytes(mut self, bytes: u64) -> Self {
        self.max_file_bytes = bytes;
        self
    }

    /// Whether an image of this size, whose pixels take `pixels` bytes and its decoder `beside` bytes more, is within
    /// the limits, and the memory is to be had.
    pub(super) fn admit(&self, label: &str, size: Size, pixels: u64, beside: u64) -> Result<(), Flaw> {
        let Size { width, height } = size;
        if width > self.max_width || height > self.max_height {
            return Err(Flaw::Limits {
                expected: format!("at most {} x {} pixels", self.max_width, self.max_height),
                found: format!("a {label} of {width} x {height} pixels"),
            });
        }
        let all = pixels.saturating_add(beside);
        if all > self.max_bytes {
            let what = if beside > 0 { "pixels and of memory to decode them" } else { "pixels" };
            return Err(Flaw::Limits {
                expected: format!("at most {} bytes of {what}", self.max_bytes),
                found: format!("a {label} of {width} x {height} pixels, {all} bytes"),
            });
        }
        // Decoders of other crates end the process where memory is short, so much of it is asked for before. Nothing is
        // written to it.
        let mut tried = Vec::<u8>::new();
        match usize::try_from(all) {
            Ok(0..MUCH) => Ok(()),
            Ok(all) if tried.try_reserve_exact(all).is_ok() => {
                std::hint::black_box(&mut tried);
                Ok(())
            }
            _ => Err(no_memory(all)),
        }
    }
}

/// How many bytes are asked for before they are needed.
const MUCH: usize = 16 << 20;

/// What an image is refused for when the system has no memory for it.
pub(super) fn no_memory(bytes: u64) -> Flaw {
    Flaw::Limits { expected: format!("{bytes} bytes of memory for it"), found: "less".to_owned() }
}

impl Default for FrameLimits {
    fn default() -> Self {
        FrameLimits { max_width: 1 << 20, max_height: 1 << 20, max_bytes: 512 << 20, max_file_bytes: 512 << 20 }
    }
}
