//! What the formats that are read begin with.

/// Bytes from the start of a file that tell.
pub(super) const BYTES: usize = 18;

/// Whether a file that begins with these bytes, [`BYTES`] of them if it has so many, is a PNG, JPEG, TIFF, BMP or WebP
/// image.
pub(super) fn is_image(start: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 6] = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"];
    BEGINNINGS.iter().any(|beginning| start.starts_with(beginning)) || is_webp(start) || is_bmp(start)
}

fn is_webp(start: &[u8]) -> bool {
    start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WEBP")
}

/// Two letters are what a text can begin with too: the size of the header behind them is one of few.
fn is_bmp(start: &[u8]) -> bool {
    let size = start.get(14..18).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    start.starts_with(b"BM") && matches!(size, Some(12 | 16 | 40 | 52 | 56 | 64 | 108 | 124))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::ImageFormat::{Bmp, Jpeg, Png, Tiff, WebP};

    #[test]
    fn what_is_read_is_known_by_its_first_bytes() {
        let picture = image::DynamicImage::new_rgb8(3, 2);
        for format in [Png, Jpeg, Tiff, Bmp, WebP] {
            let mut bytes = std::io::Cursor::new(Vec::new());
            picture.write_to(&mut bytes, format).unwrap();
            assert!(is_image(&bytes.into_inner()[..BYTES]), "{format:?}");
        }
        for text in ["", "BM", "BMW.de is a site of cars", "RIFF....WAVE", "P5 3 2 255", "GIF89a", "{\"shapes\": []}"] {
            assert!(!is_image(text.as_bytes()), "{text}");
        }
    }
}
