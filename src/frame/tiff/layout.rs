use super::directory::{Directory, Numbers, tag};
use crate::frame::flaw::Flaw;
use crate::geometry::Size;

/// How the samples of a picture are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    /// CCITT: modified Huffman, group 3 of one or two dimensions, group 4.
    Fax(Fax),
    Lzw,
    Jpeg,
    Deflate,
    PackBits,
    Zstd,
}

/// The kinds of CCITT compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fax {
    /// Rows begin at whole bytes.
    Huffman,
    Group3,
    /// Group 3 where rows are told by the ones above.
    Group3By2,
    Group4,
}

/// What the samples mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Photometric {
    WhiteIsZero,
    BlackIsZero,
    Rgb,
    Palette,
    YCbCr,
}

impl Photometric {
    /// Samples of a pixel, without those that come beside.
    pub(super) fn channels(self) -> usize {
        match self {
            Photometric::Rgb | Photometric::YCbCr => 3,
            _ => 1,
        }
    }
}

/// How a picture lies in the file.
pub(super) struct Layout<'a> {
    pub(super) size: Size,
    pub(super) photometric: Photometric,
    pub(super) compression: Compression,
    /// Bits of a sample: 1 to 16.
    pub(super) bits: u32,
    /// Samples of a pixel.
    pub(super) samples: usize,
    /// Whether the sample behind those of the colour is opacity.
    pub(super) alpha: bool,
    /// Each sample in strips or tiles of its own.
    pub(super) planar: bool,
    /// Each sample as the difference to the one before.
    pub(super) predicted: bool,
    /// The lowest bit of a byte comes first.
    pub(super) reversed: bool,
    /// Pixels of a row and of a column that share their colour, in `YCbCr`.
    pub(super) subsampling: (usize, usize),
    /// Size of a strip or a tile.
    pub(super) chunk: Size,
    pub(super) tiled: bool,
    pub(super) offsets: Numbers<'a>,
    pub(super) counts: Option<Numbers<'a>>,
}

impl<'a> Layout<'a> {
    pub(super) fn of(directory: &Directory<'a>) -> Result<Self, Flaw> {
        let wrong = |what: &str| Flaw::damaged(format!("a directory whose {what} is missing or none"));
        let side = |tag: u16, what: &str| {
            let side = directory.number(tag).and_then(|side| u32::try_from(side).ok());
            side.filter(|&side| side > 0).ok_or_else(|| wrong(what))
        };
        let size = Size::new(side(tag::WIDTH, "width")?, side(tag::HEIGHT, "height")?);
        let stated = |tag: u16, default: u64| directory.number(tag).unwrap_or(default);
        let photometric = photometric(directory.number(tag::PHOTOMETRIC).ok_or_else(|| wrong("kind of colour"))?)?;
        let fax_by_2 = stated(tag::T4_OPTIONS, 0) & 1 == 1;
        let compression = compression(stated(tag::COMPRESSION, 1), fax_by_2)?;
        let samples = stated(tag::SAMPLES, 1) as usize;
        let extra: Vec<u64> = match directory.numbers(tag::EXTRA_SAMPLES) {
            Some(extra) if extra.len() <= samples => extra.iter().collect(),
            Some(_) => return Err(wrong("number of samples")),
            None => Vec::new(),
        };
        let beside = samples.checked_sub(photometric.channels()).ok_or_else(|| wrong("number of samples"))?;
        // Without a statement, a fourth sample beside three of colour is opacity.
        let alpha = beside > 0 && extra.first().map_or(photometric == Photometric::Rgb, |kind| matches!(kind, 1 | 2));
        if beside > 0 && !alpha && photometric != Photometric::Rgb {
            return Err(Flaw::unsupported(format!("{samples} samples a pixel whose meaning is not stated")));
        }
        let bits = same(directory.numbers(tag::BITS), 1, samples)
            .ok_or_else(|| Flaw::unsupported("samples of different numbers of bits"))?;
        match same(directory.numbers(tag::SAMPLE_FORMAT), 1, samples) {
            Some(1 | 4) => {}
            Some(2 | 5) => return Err(Flaw::unsupported("signed samples")),
            Some(3 | 6) => return Err(Flaw::unsupported(format!("floating-point samples of {bits} bits"))),
            _ => return Err(Flaw::unsupported("samples of a format that is not stated")),
        }
        if !(1..=16).contains(&bits) {
            return Err(Flaw::unsupported(format!("samples of {bits} bits")));
        }
        let bits = bits as u32;
        let predicted = match stated(tag::PREDICTOR, 1) {
            1 => false,
            _ if !matches!(compression, Compression::Lzw | Compression::Deflate | Compression::Zstd) => false,
            2 if matches!(bits, 8 | 16) => true,
            2 => return Err(Flaw::unsupported(format!("differences (predictor 2) of {bits} bits"))),
            other => return Err(Flaw::unsupported(format!("predictor {other}"))),
        };
        let planar = match stated(tag::PLANAR, 1) {
            1 => false,
            2 => samples > 1,
            _ => return Err(wrong("order of samples")),
        };
        let subsampling = match (photometric, directory.numbers(tag::SUBSAMPLING)) {
            (Photometric::YCbCr, Some(numbers)) => {
                let factor =
                    |at| numbers.get(at).filter(|factor| matches!(factor, 1 | 2 | 4)).map(|factor| factor as usize);
                (factor(0).ok_or_else(|| wrong("subsampling"))?, factor(1).ok_or_else(|| wrong("subsampling"))?)
            }
            (Photometric::YCbCr, None) => (2, 2),
            _ => (1, 1),
        };
        if photometric == Photometric::YCbCr && compression != Compression::Jpeg {
            if bits != 8 {
                return Err(Flaw::unsupported(format!("YCbCr of {bits} bits")));
            }
            if planar || beside > 0 || (predicted && subsampling != (1, 1)) {
                return Err(Flaw::unsupported("YCbCr in planes, with opacity or by differences"));
            }
        }
        if matches!(compression, Compression::Fax(_)) && (bits != 1 || (samples > 1 && !planar)) {
            return Err(wrong("number of bits, for CCITT compression,"));
        }
        if compression == Compression::Jpeg && bits != 8 {
            return Err(Flaw::unsupported(format!("JPEG of {bits} bits in a TIFF")));
        }
        let tiled = directory.has(tag::TILE_WIDTH) || directory.has(tag::TILE_OFFSETS);
        let chunk = match tiled {
            true => Size::new(side(tag::TILE_WIDTH, "tile width")?, side(tag::TILE_HEIGHT, "tile height")?),
            false => {
                let rows = stated(tag::ROWS_PER_STRIP, u64::MAX).min(u64::from(size.height)) as u32;
                Size::new(size.width, Some(rows).filter(|&rows| rows > 0).ok_or_else(|| wrong("height of strips"))?)
            }
        };
        let (offsets, counts) = match tiled {
            true => (tag::TILE_OFFSETS, tag::TILE_COUNTS),
            false => (tag::STRIP_OFFSETS, tag::STRIP_COUNTS),
        };
        // Tiles that are written in strips' tags are known from old files.
        let offsets = directory.numbers(offsets).or_else(|| directory.numbers(tag::STRIP_OFFSETS));
        let counts = directory.numbers(counts).or_else(|| directory.numbers(tag::STRIP_COUNTS));
        let offsets = offsets.ok_or_else(|| wrong("place of the pixels"))?;
        let mut layout = Layout {
            size,
            photometric,
            compression,
            bits,
            samples,
            alpha,
            planar,
            predicted,
            reversed: stated(tag::FILL_ORDER, 1) == 2,
            subsampling,
            chunk,
            tiled,
            offsets,
            counts,
        };
        let chunks = layout.grid().0 as u64 * layout.grid().1 as u64 * layout.planes() as u64;
        if (layout.offsets.len() as u64) < chunks {
            return Err(Flaw::damaged(format!("{} strips or tiles where {chunks} belong", layout.offsets.len())));
        }
        match &layout.counts {
            Some(counts) if (counts.len() as u64) < chunks => {
                return Err(Flaw::damaged(format!("{} lengths of strips or tiles for {chunks}", counts.len())));
            }
            // Old files of one strip lack it.
            None if compression != Compression::None && chunks > 1 => return Err(wrong("length of strips")),
            _ => {}
        }
        if layout.compression == Compression::Jpeg {
            layout.subsampling = (1, 1);
        }
        Ok(layout)
    }

    /// Strips or tiles in a row and in a column.
    pub(super) fn grid(&self) -> (usize, usize) {
        (self.size.width.div_ceil(self.chunk.width) as usize, self.size.height.div_ceil(self.chunk.height) as usize)
    }

    pub(super) fn planes(&self) -> usize {
        if self.planar { self.samples } else { 1 }
    }

    /// Samples of a pixel in one strip or tile.
    pub(super) fn together(&self) -> usize {
        if self.planar { 1 } else { self.samples }
    }

    /// Bytes of a row of a strip or tile; of `subsampling.1` rows at once where colours are shared.
    pub(super) fn row_bytes(&self) -> u64 {
        let width = u64::from(self.chunk.width);
        match self.subsampling {
            (1, 1) => (width * self.together() as u64 * u64::from(self.bits)).div_ceil(8),
            (across, down) => width.div_ceil(across as u64) * (across * down + 2) as u64,
        }
    }

    /// Bytes of `rows` rows of a strip or tile.
    pub(super) fn bytes(&self, rows: u32) -> u64 {
        self.row_bytes() * u64::from(rows).div_ceil(self.subsampling.1 as u64)
    }
}

/// What all samples have in common, `default` where it is not stated.
fn same(numbers: Option<Numbers<'_>>, default: u64, samples: usize) -> Option<u64> {
    let Some(numbers) = numbers else { return Some(default) };
    let first = numbers.get(0)?;
    numbers.iter().take(samples).all(|number| number == first).then_some(first)
}

fn photometric(number: u64) -> Result<Photometric, Flaw> {
    Ok(match number {
        0 => Photometric::WhiteIsZero,
        1 => Photometric::BlackIsZero,
        2 => Photometric::Rgb,
        3 => Photometric::Palette,
        6 => Photometric::YCbCr,
        4 => return Err(Flaw::unsupported("a transparency mask alone")),
        5 => return Err(Flaw::unsupported("colours for printing (CMYK)")),
        8..=10 => return Err(Flaw::unsupported("colours in L*a*b*")),
        32803 => return Err(Flaw::unsupported("a raw sensor mosaic (CFA)")),
        32844 | 32845 => return Err(Flaw::unsupported("logarithmic samples (LogL, LogLuv)")),
        other => return Err(Flaw::unsupported(format!("colours of the kind {other}"))),
    })
}

fn compression(number: u64, fax_by_2: bool) -> Result<Compression, Flaw> {
    Ok(match number {
        1 => Compression::None,
        2 => Compression::Fax(Fax::Huffman),
        3 if fax_by_2 => Compression::Fax(Fax::Group3By2),
        3 => Compression::Fax(Fax::Group3),
        4 => Compression::Fax(Fax::Group4),
        5 => Compression::Lzw,
        7 => Compression::Jpeg,
        8 | 32946 => Compression::Deflate,
        32773 => Compression::PackBits,
        50000 => Compression::Zstd,
        other => {
            let name = match other {
                6 => "old-style JPEG",
                32766 => "NeXT",
                32771 => "CCITT in words",
                32809 => "ThunderScan",
                32909 => "PixarLog",
                33003 | 33005 | 34712 => "JPEG 2000",
                34676 | 34677 => "SGI LogLuv",
                34887 => "LERC",
                34925 => "LZMA",
                34933 => "PNG",
                34934 | 50001 => "WebP",
                50002 => "JPEG XL",
                _ => "unknown",
            };
            return Err(Flaw::unsupported(format!("compression {other} ({name})")));
        }
    })
}
