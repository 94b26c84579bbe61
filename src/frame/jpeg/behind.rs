//! Further pictures in a file.

use super::check::Outline;
use crate::geometry::Size;

/// How many whole pictures lie behind the end of the first (MPO and the like), not counting smaller ones: a preview is
/// the same picture.
pub(super) fn pictures_behind(bytes: &[u8], first: Outline) -> usize {
    // Of what only looks like pictures, there may be as much as somebody likes.
    const TRIES: usize = 100;
    let mut count = 0;
    let mut rest = bytes.get(first.end..).unwrap_or_default();
    for _ in 0..TRIES {
        let Some(at) = memchr::memmem::find(rest, b"\xff\xd8\xff") else { break };
        rest = &rest[at..];
        let outline = outline(rest);
        let is_another =
            outline.is_some_and(|o| o.size.width >= first.size.width && o.size.height >= first.size.height);
        count += usize::from(is_another);
        rest = &rest[outline.map_or(2, |outline| outline.end)..];
    }
    count
}

/// What the markers of a JPEG say, without going through its data; `None` where they do not reach an end.
fn outline(bytes: &[u8]) -> Option<Outline> {
    let mut at = 2;
    let mut size = None;
    loop {
        at += memchr::memchr(0xFF, bytes.get(at..)?)? + 1;
        match *bytes.get(at)? {
            0xD9 => return Some(Outline { size: size?, end: at + 1 }),
            // What stands in data.
            0x00 | 0x01 | 0xD0..=0xD7 => at += 1,
            0xFF => {}
            0xD8 => return None,
            marker => {
                let length = usize::from(u16::from_be_bytes(*bytes.get(at + 1..)?.first_chunk()?));
                if matches!(marker, 0xC0..=0xC3) {
                    let &[h1, h0, w1, w0] = bytes.get(at + 4..)?.first_chunk()?;
                    size = Some(Size::new(u16::from_be_bytes([w1, w0]).into(), u16::from_be_bytes([h1, h0]).into()));
                }
                at += 1 + length;
            }
        }
    }
}
