use crate::frame::flaw::Flaw;

/// The tags that are read here.
pub(in crate::frame) mod tag {
    pub(in crate::frame) const SUBFILE: u16 = 254;
    pub(in crate::frame) const OLD_SUBFILE: u16 = 255;
    pub(in crate::frame) const WIDTH: u16 = 256;
    pub(in crate::frame) const HEIGHT: u16 = 257;
    pub(in crate::frame) const BITS: u16 = 258;
    pub(in crate::frame) const COMPRESSION: u16 = 259;
    pub(in crate::frame) const PHOTOMETRIC: u16 = 262;
    pub(in crate::frame) const FILL_ORDER: u16 = 266;
    pub(in crate::frame) const DESCRIPTION: u16 = 270;
    pub(in crate::frame) const STRIP_OFFSETS: u16 = 273;
    pub(in crate::frame) const ORIENTATION: u16 = 274;
    pub(in crate::frame) const SAMPLES: u16 = 277;
    pub(in crate::frame) const ROWS_PER_STRIP: u16 = 278;
    pub(in crate::frame) const STRIP_COUNTS: u16 = 279;
    pub(in crate::frame) const PLANAR: u16 = 284;
    pub(in crate::frame) const T4_OPTIONS: u16 = 292;
    pub(in crate::frame) const PREDICTOR: u16 = 317;
    pub(in crate::frame) const PALETTE: u16 = 320;
    pub(in crate::frame) const TILE_WIDTH: u16 = 322;
    pub(in crate::frame) const TILE_HEIGHT: u16 = 323;
    pub(in crate::frame) const TILE_OFFSETS: u16 = 324;
    pub(in crate::frame) const TILE_COUNTS: u16 = 325;
    pub(in crate::frame) const EXTRA_SAMPLES: u16 = 338;
    pub(in crate::frame) const SAMPLE_FORMAT: u16 = 339;
    pub(in crate::frame) const JPEG_TABLES: u16 = 347;
    pub(in crate::frame) const LUMA: u16 = 529;
    pub(in crate::frame) const SUBSAMPLING: u16 = 530;
    pub(in crate::frame) const BLACK_WHITE: u16 = 532;
}

/// A TIFF or BigTIFF structure: a file, or an EXIF block.
#[derive(Clone, Copy)]
pub(in crate::frame) struct Structure<'a> {
    bytes: &'a [u8],
    pub(super) big_endian: bool,
    /// Offsets of 8 bytes.
    wide: bool,
}

/// One directory: what is stated of one picture.
pub(in crate::frame) struct Directory<'a> {
    structure: Structure<'a>,
    entries: Vec<Entry<'a>>,
}

struct Entry<'a> {
    tag: u16,
    kind: u16,
    /// Its values, as they lie in the file; `None` where they would lie outside of it.
    values: Option<&'a [u8]>,
}

impl<'a> Structure<'a> {
    /// A structure, and where its first directory lies. `None` for other bytes.
    pub(in crate::frame) fn open(bytes: &'a [u8]) -> Option<(Self, u64)> {
        let big_endian = match bytes.get(..2)? {
            b"II" => false,
            b"MM" => true,
            _ => return None,
        };
        let narrow = Structure { bytes, big_endian, wide: false };
        match narrow.number(2, 2)? {
            42 => Some((narrow, narrow.number(4, 4)?)),
            43 if narrow.number(4, 2)? == 8 => Some((Structure { wide: true, ..narrow }, narrow.number(8, 8)?)),
            _ => None,
        }
    }

    /// The number of `length` bytes that lies there.
    fn number(&self, at: u64, length: usize) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        self.bytes.get(at..at.checked_add(length)?).map(|bytes| self.of(bytes))
    }

    fn of(&self, bytes: &[u8]) -> u64 {
        let join = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        match self.big_endian {
            true => bytes.iter().fold(0, join),
            false => bytes.iter().rev().fold(0, join),
        }
    }

    /// The directory that lies there, and where the next one does; 0 for the last.
    pub(in crate::frame) fn directory(self, at: u64) -> Result<(Directory<'a>, u64), Flaw> {
        let outside = || Flaw::damaged("a directory outside of the file, which is cut off or overwritten");
        let (head, entry, offset) = if self.wide { (8, 20, 8) } else { (2, 12, 4) };
        let count = self.number(at, head).ok_or_else(outside)?;
        let first = at + head as u64;
        let end = count.checked_mul(entry).and_then(|all| all.checked_add(first)).ok_or_else(outside)?;
        if end > self.bytes.len() as u64 {
            return Err(outside());
        }
        let mut entries = Vec::new();
        for at in (first..end).step_by(entry as usize) {
            let (Some(tag), Some(kind), Some(count)) =
                (self.number(at, 2), self.number(at + 2, 2), self.number(at + 4, offset))
            else {
                return Err(outside());
            };
            let kind = kind as u16;
            let place = at + 4 + offset as u64;
            let values = count.checked_mul(width(kind) as u64).and_then(|length| {
                let from = if length <= offset as u64 { place } else { self.number(place, offset)? };
                let from = usize::try_from(from).ok()?;
                self.bytes.get(from..from.checked_add(usize::try_from(length).ok()?)?)
            });
            entries.push(Entry { tag: tag as u16, kind, values });
        }
        // A block of EXIF may end without a place for the next one.
        let next = self.number(end, offset).unwrap_or(0);
        Ok((Directory { structure: self, entries }, next))
    }
}

/// Bytes of a value of this kind; 0 for one that is not known, which has no values then.
fn width(kind: u16) -> usize {
    match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 | 17 | 18 => 8,
        _ => 0,
    }
}

impl<'a> Directory<'a> {
    fn entry(&self, tag: u16) -> Option<&Entry<'a>> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }

    pub(super) fn has(&self, tag: u16) -> bool {
        self.entry(tag).is_some()
    }

    /// The values of a tag as bytes.
    pub(super) fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        self.entry(tag)?.values
    }

    /// The whole numbers of a tag; `None` where it is not stated, or holds others.
    pub(super) fn numbers(&self, tag: u16) -> Option<Numbers<'a>> {
        let entry = self.entry(tag).filter(|entry| matches!(entry.kind, 1 | 3 | 4 | 13 | 16 | 18))?;
        Some(Numbers { structure: self.structure, width: width(entry.kind), values: entry.values? })
    }

    /// The first number of a tag, whatever width it is stored in.
    pub(in crate::frame) fn number(&self, tag: u16) -> Option<u64> {
        self.numbers(tag)?.get(0)
    }

    /// The fractions of a tag.
    pub(super) fn fractions(&self, tag: u16) -> Option<Vec<f64>> {
        let entry = self.entry(tag).filter(|entry| entry.kind == 5)?;
        let halves = entry.values?.chunks_exact(8).map(|value| value.split_at(4));
        Some(halves.map(|(over, under)| self.structure.of(over) as f64 / self.structure.of(under) as f64).collect())
    }
}

/// Whole numbers, as they lie in the file: a hostile one may state many.
#[derive(Clone, Copy)]
pub(super) struct Numbers<'a> {
    structure: Structure<'a>,
    width: usize,
    values: &'a [u8],
}

impl Numbers<'_> {
    pub(super) fn len(&self) -> usize {
        self.values.len() / self.width
    }

    pub(super) fn get(&self, at: usize) -> Option<u64> {
        let from = at.checked_mul(self.width)?;
        self.values.get(from..from.checked_add(self.width)?).map(|value| self.structure.of(value))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u64> {
        self.values.chunks_exact(self.width).map(|value| self.structure.of(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_in_whatever_width_it_is_stored() {
        for (kind, value) in [(1u16, [0u8, 6, 0, 0]), (3, [0, 6, 0, 0]), (4, [0, 0, 0, 6])] {
            let mut bytes = b"MM\0*\0\0\0\x08\0\x01\x01\x12".to_vec();
            bytes.extend(kind.to_be_bytes());
            bytes.extend([0, 0, 0, 1]);
            bytes.extend(if kind == 1 { [6, 0, 0, 0] } else { value });
            let (structure, at) = Structure::open(&bytes).unwrap();
            let (directory, next) = structure.directory(at).unwrap();
            assert_eq!((directory.number(tag::ORIENTATION), next), (Some(6), 0), "kind {kind}");
        }
    }

    #[test]
    fn values_outside_of_the_file_are_none() {
        let mut bytes = b"II*\0\x08\0\0\0\x01\0".to_vec();
        bytes.extend([0x11, 1, 4, 0, 0xFF, 0xFF, 0xFF, 0xFF, 10, 0, 0, 0, 0, 0, 0, 0]);
        let (structure, at) = Structure::open(&bytes).unwrap();
        let (directory, _) = structure.directory(at).unwrap();
        assert!(directory.has(tag::STRIP_OFFSETS) && directory.numbers(tag::STRIP_OFFSETS).is_none());
        assert!(structure.directory(u64::MAX - 3).is_err());
    }
}
