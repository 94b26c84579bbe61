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

impl Default for FrameLimits {
    fn default() -> Self {
        FrameLimits { max_width: 32_768, max_height: 32_768, max_bytes: 512 << 20, max_file_bytes: 512 << 20 }
    }
}
