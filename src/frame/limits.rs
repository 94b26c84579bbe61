/// Limits on image files; what exceeds them is refused. Checked against the file's header, before pixels are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameLimits {
    /// Maximum width of an image in pixels. Default 32,768.
    pub max_width: u32,
    /// Maximum height of an image in pixels. Default 32,768.
    pub max_height: u32,
    /// Maximum memory for the decoded pixels of one image, in bytes. Default 512 MiB.
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

    /// The same limits with another maximum of memory for the decoded pixels of one image, in bytes.
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
}

impl Default for FrameLimits {
    fn default() -> Self {
        FrameLimits { max_width: 32_768, max_height: 32_768, max_bytes: 512 << 20, max_file_bytes: 512 << 20 }
    }
}
