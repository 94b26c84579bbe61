//! JPEG decoders fill the missing part of a truncated file with gray and report success. An inspection must not pass
//! such a picture, so the file is walked for its end marker first.

/// Whether `data`, which starts as a JPEG, runs up to its end-of-image marker (ITU-T T.81, annex B).
pub(super) fn is_complete(data: &[u8]) -> bool {
    const SOS: u8 = 0xDA;
    const EOI: u8 = 0xD9;
    let mut at = 2;
    let mut in_scan = false;
    while at + 1 < data.len() {
        // Past entropy-coded data, or filling between segments.
        let Some(marker) = memchr::memchr(0xFF, &data[at..data.len() - 1]) else { return false };
        at += marker;
        match data[at + 1] {
            EOI => return in_scan,
            // A stuffed 0xFF, a restart marker, the start of an image, or fill bytes: no segment follows.
            0x00 | 0xD0..=0xD8 | 0x01 => at += 2,
            0xFF => at += 1,
            marker => {
                let Some(length) = data.get(at + 2..at + 4) else { return false };
                at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
                in_scan |= marker == SOS;
            }
        }
    }
    false
}
