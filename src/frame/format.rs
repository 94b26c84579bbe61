use std::fmt;

/// How the pixels of a frame are stored, by the names of GenICam's Pixel Format Naming Convention (PFNC). Depths of 10
/// to 16 bits lie right-aligned in 16-bit words of the machine's byte order: the smallest value is 0, the largest
/// 2^bits - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PixelFormat {
    /// Gray, 8 bits: 0 to 255.
    Mono8,
    /// Gray, 10 bits in 16: 0 to 1023.
    Mono10,
    /// Gray, 12 bits in 16: 0 to 4095.
    Mono12,
    /// Gray, 14 bits in 16: 0 to 16,383.
    Mono14,
    /// Gray, 16 bits: 0 to 65,535.
    Mono16,
    /// Red, green, blue, 8 bits each.
    Rgb8,
    /// Red, green, blue, 16 bits each.
    Rgb16,
    /// Blue, green, red, 8 bits each.
    Bgr8,
}

impl PixelFormat {
    /// Samples of a pixel: 1 or 3.
    pub const fn channels(self) -> usize {
        match self {
            Self::Mono8 | Self::Mono10 | Self::Mono12 | Self::Mono14 | Self::Mono16 => 1,
            Self::Rgb8 | Self::Rgb16 | Self::Bgr8 => 3,
        }
    }

    /// Significant bits of a sample: 8, 10, 12, 14 or 16.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Mono8 | Self::Rgb8 | Self::Bgr8 => 8,
            Self::Mono10 => 10,
            Self::Mono12 => 12,
            Self::Mono14 => 14,
            Self::Mono16 | Self::Rgb16 => 16,
        }
    }

    /// Bits of memory that a sample takes: 8 or 16.
    pub const fn storage_bits(self) -> u32 {
        if self.bits() == 8 { 8 } else { 16 }
    }

    /// The largest value of its bits, which is white unless the frame or the manifest says otherwise.
    pub const fn white(self) -> u16 {
        u16::MAX >> (16 - self.bits())
    }

    /// The largest value that a sample of its memory can hold: 255 or 65,535.
    pub const fn largest(self) -> u16 {
        u16::MAX >> (16 - self.storage_bits())
    }

    /// Whether a pixel is blue, green, red instead of red, green, blue.
    pub const fn is_reversed(self) -> bool {
        matches!(self, Self::Bgr8)
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_is_the_largest_value_of_the_bits() {
        use PixelFormat::*;
        let whites = [Mono8, Mono10, Mono12, Mono14, Mono16, Rgb8, Rgb16, Bgr8].map(|f| (f.white(), f.largest()));
        let deep = 65_535;
        let expected = [(255, 255), (1023, deep), (4095, deep), (16_383, deep), (deep, deep), (255, 255), (deep, deep)];
        assert_eq!((&whites[..7], whites[7]), (&expected[..], (255, 255)));
    }
}
