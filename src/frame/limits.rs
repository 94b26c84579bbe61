/// What an image file may ask for before it is refused. Checked against the file's header, before pixels are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameLimits {
    /// Widest image in pixels. Default 32,768.
    pub max_width: u32,
    /// Highest image in pixels. Default 32,768.
    pub max_height: u32,
    /// Most memory for the decoded pixels of one image, in bytes. Default 512 MiB.
    pub max_bytes: u64,
    /// Largest file, in bytes. Default 512 MiB.
    pub max_file_bytes: u64,
}

impl FrameLimits {
    /// The same limits with another widest image, in pixels.
    #[must_use]
    pub const fn with_max_width(mut self, pixels: u32) -> Self {
        self.max_width = pixels;
        self
    }

    /// The same limits with another highest image, in pixels.
    #[must_use]
    pub const fn with_max_height(mut self, pixels: u32) -> Self {
        self.max_height = pixels;
        self
    }

    /// The same limits with another most memory for the decoded pixels of one image, in bytes.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// The same limits with another largest file, in bytes.
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
