/// Kinds of picture files that are read. A file is told by its first bytes, never by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Png,
    Jpeg,
    Tiff,
    Bmp,
    WebP,
}

/// How many of its first bytes tell a picture file: see [`is_picture`].
pub const PICTURE_HEAD: usize = 18;

/// Whether a file that begins with these bytes is a picture file of a kind that [`Frame::load`](crate::Frame::load)
/// reads: PNG, JPEG, TIFF (BigTIFF too), BMP or WebP, whatever it is called. [`PICTURE_HEAD`] bytes are enough. It says
/// nothing about the rest of the file.
pub fn is_picture(head: &[u8]) -> bool {
    Content::of(head).is_some()
}

impl Content {
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        // BigTIFF states the size of an offset, which is 8.
        const TIFF: [&[u8]; 4] = [b"II*\0", b"MM\0*", b"II+\0\x08\0", b"MM\0+\0\x08"];
        if head.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Content::Png)
        } else if head.starts_with(b"\xff\xd8\xff") {
            Some(Content::Jpeg)
        } else if TIFF.iter().any(|magic| head.starts_with(magic)) {
            Some(Content::Tiff)
        } else if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
            Some(Content::WebP)
        } else if is_bmp(head) {
            Some(Content::Bmp)
        } else {
            None
        }
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Content::Png => "PNG",
            Content::Jpeg => "JPEG",
            Content::Tiff => "TIFF",
            Content::Bmp => "BMP",
            Content::WebP => "WebP",
        }
    }
}

/// Two letters alone would make a bitmap of many a text: the size of the second header has to be one that there is.
fn is_bmp(head: &[u8]) -> bool {
    let size = head.get(14..18).and_then(|bytes| bytes.first_chunk()).map(|bytes| u32::from_le_bytes(*bytes));
    head.starts_with(b"BM") && matches!(size, Some(12 | 16 | 40 | 52 | 56 | 64 | 108 | 124))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_told_by_their_first_bytes() {
        let mut bmp = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0".to_vec();
        assert!(!is_picture(&bmp) && !is_picture(b"BMW 3 and other text"));
        bmp.extend([40, 0, 0, 0]);
        let webp = b"RIFF\x1a\0\0\0WEBPVP8L";
        for (head, content) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], Content::Png),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", Content::Jpeg),
            (b"II*\0\x08\0\0\0", Content::Tiff),
            (b"MM\0*\0\0\0\x08", Content::Tiff),
            (b"II+\0\x08\0\0\0\x10\0\0\0", Content::Tiff),
            (b"MM\0+\0\x08\0\0", Content::Tiff),
            (webp, Content::WebP),
            (&bmp, Content::Bmp),
        ] {
            assert_eq!(Content::of(head), Some(content));
            assert!(head.len() <= PICTURE_HEAD);
        }
        for other in [&b""[..], b"GIF89a", b"RIFF\x1a\0\0\0WAVEfmt ", b"\xff\xd8", b"II+\0\x04\0\0\0"] {
            assert!(!is_picture(other), "{other:?}");
        }
    }
}
