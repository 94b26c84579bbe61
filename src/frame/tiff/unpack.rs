use flate2::{Decompress, FlushDecompress, Status};
use weezl::{BitOrder, LzwStatus};

use super::directory::{Directory, tag};
use super::fax;
use super::layout::{Compression, Layout, Photometric};
use super::samples::Sample;
use crate::frame::flaw::Flaw;
use crate::frame::jpeg::{Checker, Jpeg};
use crate::frame::limits::FrameLimits;
use crate::frame::pixels::reserve;
use crate::geometry::Size;

/// Gets the samples out of strips or tiles.
pub(super) struct Unpacker<'a> {
    bytes: &'a [u8],
    big_endian: bool,
    layout: &'a Layout<'a>,
    limits: &'a FrameLimits,
    /// What JPEG strips and tiles have in common.
    jpeg_tables: Option<&'a [u8]>,
    /// The bytes of a strip or tile whose bits come in the other order.
    turned: Vec<u8>,
    /// A JPEG with its tables.
    joined: Vec<u8>,
    /// An unpacked strip or tile.
    plain: Vec<u8>,
}

/// A strip or a tile.
struct Chunk {
    /// Its place among all.
    number: usize,
    /// The plane of its samples.
    plane: usize,
    /// Where it begins in the picture.
    x: usize,
    y: usize,
    /// Rows that are stored, and pixels and rows that belong to the picture.
    stored: u32,
    width: usize,
    rows: usize,
}

impl<'a> Unpacker<'a> {
    pub(super) fn new(
        bytes: &'a [u8],
        big_endian: bool,
        directory: &Directory<'a>,
        layout: &'a Layout<'a>,
        limits: &'a FrameLimits,
    ) -> Self {
        let jpeg_tables = directory.bytes(tag::JPEG_TABLES);
        Unpacker {
            bytes,
            big_endian,
            layout,
            limits,
            jpeg_tables,
            turned: Vec::new(),
            joined: Vec::new(),
            plain: Vec::new(),
        }
    }

    /// Reads all samples into `values`, row by row, those of a pixel together.
    pub(super) fn unpack<T: Sample>(&mut self, values: &mut [T], checker: &mut Checker) -> Result<(), Flaw> {
        let layout = self.layout;
        let (across, down) = layout.grid();
        let (width, height) = (layout.size.width as usize, layout.size.height as usize);
        let (chunk_width, chunk_height) = (layout.chunk.width as usize, layout.chunk.height as usize);
        let mut row = Vec::new();
        reserve(&mut row, chunk_width * layout.together() * layout.subsampling.1)?;
        row.resize(chunk_width * layout.together() * layout.subsampling.1, T::default());
        for number in 0..across * down * layout.planes() {
            let (plane, place) = (number / (across * down), number % (across * down));
            let (x, y) = (place % across * chunk_width, place / across * chunk_height);
            let rows = chunk_height.min(height - y);
            let stored = if layout.tiled { layout.chunk.height } else { rows as u32 };
            let chunk = Chunk { number, plane, x, y, stored, width: chunk_width.min(width - x), rows };
            self.chunk(&chunk, &mut row, values, checker)?;
        }
        Ok(())
    }

    fn chunk<T: Sample>(
        &mut self,
        chunk: &Chunk,
        row: &mut [T],
        values: &mut [T],
        checker: &mut Checker,
    ) -> Result<(), Flaw> {
        let layout = self.layout;
        let mut packed = self.packed(chunk)?;
        if layout.reversed && layout.compression != Compression::Jpeg {
            self.turned.clear();
            self.turned.extend(packed.iter().map(|byte| byte.reverse_bits()));
            packed = &self.turned;
        }
        let length = layout.bytes(chunk.stored) as usize;
        if layout.compression != Compression::None {
            self.plain.clear();
            reserve(&mut self.plain, length)?;
            self.plain.resize(length, 0);
        }
        let plain = &mut self.plain[..];
        let (whole, what) = match layout.compression {
            Compression::None => (packed.len() >= length, "uncompressed"),
            Compression::PackBits => (unpack_bits(packed, plain), "PackBits"),
            Compression::Lzw => (unlzw(packed, plain), "LZW"),
            Compression::Deflate => (inflate(packed, plain), "deflate"),
            Compression::Zstd => (unzstd(packed, plain), "zstd"),
            Compression::Fax(kind) => {
                fax::unpack(packed, kind, layout.chunk.width, chunk.stored, plain)?;
                (true, "CCITT")
            }
            Compression::Jpeg => {
                let stream = match self.jpeg_tables {
                    Some(tables) => {
                        // The tables without their end, the picture without its start.
                        let head = tables.strip_suffix(b"\xff\xd9").unwrap_or(tables);
                        let rest = packed.strip_prefix(b"\xff\xd8").unwrap_or(packed);
                        self.joined.clear();
                        self.joined.extend_from_slice(head);
                        self.joined.extend_from_slice(rest);
                        &self.joined
                    }
                    None => packed,
                };
                decompress_jpeg(stream, layout, chunk, self.limits, checker, plain)?;
                (true, "JPEG")
            }
        };
        if !whole {
            return Err(Flaw::damaged(format!(
                "{what} data that are not whole, in strip or tile {} ({} bytes of pixels from row {} on)",
                chunk.number + 1,
                length,
                chunk.y + 1
            )));
        }
        let plain = if layout.compression == Compression::None { &packed[..length] } else { &*plain };
        let step = layout.row_bytes() as usize;
        let (together, samples) = (layout.together(), layout.samples);
        let row_length = layout.chunk.width as usize * together;
        let down = layout.subsampling.1;
        for (at, packed) in (0..chunk.rows).step_by(down).zip(plain.chunks_exact(step)) {
            if layout.subsampling == (1, 1) {
                T::unpack(packed, layout.bits, self.big_endian, row);
                if layout.predicted {
                    for place in together..row_length {
                        row[place] = row[place].plus(row[place - together]);
                    }
                }
            } else {
                share_colours(packed, layout, row);
            }
            for (line, row) in row.chunks_exact(row_length).enumerate().take(down.min(chunk.rows - at)) {
                let from = ((chunk.y + at + line) * layout.size.width as usize + chunk.x) * samples;
                let out = &mut values[from..from + chunk.width * samples];
                if together == samples {
                    out.copy_from_slice(&row[..out.len()]);
                } else {
                    for (out, value) in out[chunk.plane..].iter_mut().step_by(samples).zip(row) {
                        *out = *value;
                    }
                }
            }
        }
        Ok(())
    }

    /// The bytes of a strip or tile.
    fn packed(&self, chunk: &Chunk) -> Result<&'a [u8], Flaw> {
        let layout = self.layout;
        let from = layout.offsets.get(chunk.number).unwrap_or(0);
        // The length of a lone strip may be missing: it ends with the file then.
        let length = match layout.counts.and_then(|counts| counts.get(chunk.number)) {
            Some(length) => length,
            None if layout.compression == Compression::None => layout.bytes(chunk.stored),
            None => (self.bytes.len() as u64).saturating_sub(from),
        };
        if length == 0 {
            return Err(Flaw::unsupported(
                "strips or tiles without data (a sparse file, or one that was not finished)",
            ));
        }
        let range = usize::try_from(from).ok().zip(usize::try_from(length).ok());
        let range = range.and_then(|(from, length)| self.bytes.get(from..from.checked_add(length)?));
        range.ok_or_else(|| {
            Flaw::damaged(format!(
                "a file of {} bytes that is cut off: strip or tile {} lies at {from}, {length} bytes long",
                self.bytes.len(),
                chunk.number + 1
            ))
        })
    }
}

/// Undoes PackBits; whether it gave all bytes, and little was left over.
fn unpack_bits(packed: &[u8], mut out: &mut [u8]) -> bool {
    let mut rest = packed;
    while !out.is_empty() {
        let Some((&head, data)) = rest.split_first() else { return false };
        let head = head as i8;
        match head {
            0.. => {
                let count = (head as usize + 1).min(out.len());
                let Some((own, after)) = data.split_at_checked(head as usize + 1) else { return false };
                out[..count].copy_from_slice(&own[..count]);
                (rest, out) = (after, &mut out[count..]);
            }
            -128 => rest = data,
            _ => {
                let Some((&value, after)) = data.split_first() else { return false };
                let count = (1 + usize::from(head.unsigned_abs())).min(out.len());
                out[..count].fill(value);
                (rest, out) = (after, &mut out[count..]);
            }
        }
    }
    rest.len() <= FILLING
}

/// How many bytes may fill up a strip, to a whole number of words.
const FILLING: usize = 8;

/// Undoes LZW; whether it gave all bytes, and was at its end then.
fn unlzw(packed: &[u8], mut out: &mut [u8]) -> bool {
    // The first writers had the bits of a code in the other order, and its first width one code longer.
    let is_old = matches!(packed, [0, second, ..] if second & 1 == 1);
    let configuration = match is_old {
        true => weezl::decode::Configuration::new(BitOrder::Lsb, 8),
        false => weezl::decode::Configuration::with_tiff_size_switch(BitOrder::Msb, 8),
    };
    let mut decoder = configuration.with_yield_on_full_buffer(true).build();
    let mut rest = packed;
    while !out.is_empty() {
        let result = decoder.decode_bytes(rest, out);
        rest = &rest[result.consumed_in..];
        out = &mut out[result.consumed_out..];
        match result.status {
            Ok(LzwStatus::Ok) => {}
            _ if out.is_empty() => break,
            _ => return false,
        }
    }
    // The end code, maybe behind rows that do not belong to the picture, or hardly anything: data that were overwritten
    // go on.
    let mut beyond = [0; 1024];
    if rest.len() <= FILLING {
        return true;
    }
    loop {
        let result = decoder.decode_bytes(rest, &mut beyond);
        rest = &rest[result.consumed_in..];
        match result.status {
            Ok(LzwStatus::Done) => return true,
            Ok(LzwStatus::Ok) if result.consumed_in + result.consumed_out > 0 && !rest.is_empty() => {}
            _ => return false,
        }
    }
}

/// Undoes deflate with the head and the checksum of zlib; whether it gave all bytes, and the checksum is right.
fn inflate(packed: &[u8], out: &mut [u8]) -> bool {
    // All at once is faster, and fails where more comes out than belongs to the picture.
    let at_once = Decompress::new(true).decompress(packed, out, FlushDecompress::Finish);
    if matches!(at_once, Ok(Status::StreamEnd)) {
        return true;
    }
    let mut decompress = Decompress::new(true);
    let length = out.len() as u64;
    let mut beyond = [0; 1024];
    let mut out = out;
    loop {
        let (read, written) = (decompress.total_in(), decompress.total_out());
        let rest = packed.get(read as usize..).unwrap_or_default();
        // What comes beyond the picture has to be gone through, or the checksum is not reached.
        let to = if written < length { &mut *out } else { &mut beyond[..] };
        let status = decompress.decompress(rest, to, FlushDecompress::None);
        let more = (decompress.total_out() - written) as usize;
        if written < length {
            out = std::mem::take(&mut out).split_at_mut(more).1;
        }
        match status {
            Ok(Status::StreamEnd) => return decompress.total_out() >= length,
            Ok(_) if more > 0 || decompress.total_in() > read => {}
            _ => return false,
        }
    }
}

/// Undoes zstd; whether it gave all bytes, and was at its end then.
fn unzstd(packed: &[u8], out: &mut [u8]) -> bool {
    ruzstd::decoding::FrameDecoder::new().decode_all(packed, out).is_ok_and(|written| written == out.len())
}

/// Decompresses a JPEG that is a strip or a tile.
fn decompress_jpeg(
    stream: &[u8],
    layout: &Layout<'_>,
    chunk: &Chunk,
    limits: &FrameLimits,
    checker: &mut Checker,
    out: &mut [u8],
) -> Result<(), Flaw> {
    if !stream.starts_with(b"\xff\xd8") {
        return Err(Flaw::damaged(format!("no JPEG in strip or tile {}", chunk.number + 1)));
    }
    checker.check(stream, limits)?;
    // What is stored as red, green and blue comes out as it is.
    let jpeg = Jpeg::open(stream, layout.photometric == Photometric::YCbCr)?;
    let Size { width, height } = jpeg.size();
    let channels = jpeg.channels();
    if width != layout.chunk.width || height < chunk.stored || channels != layout.together() {
        return Err(Flaw::damaged(format!(
            "a JPEG of {width} x {height} x {channels} values in a strip or tile of {} x {} x {}",
            layout.chunk.width,
            chunk.stored,
            layout.together()
        )));
    }
    let length = width as usize * height as usize * channels;
    if length == out.len() {
        return jpeg.read(out);
    }
    let mut all = Vec::new();
    reserve(&mut all, length)?;
    all.resize(length, 0);
    jpeg.read(&mut all)?;
    out.copy_from_slice(&all[..out.len()]);
    Ok(())
}

/// Unpacks rows whose pixels share their colours: for each group of pixels the brightness of each, then the colour.
fn share_colours<T: Sample>(packed: &[u8], layout: &Layout<'_>, rows: &mut [T]) {
    let (across, down) = layout.subsampling;
    let width = layout.chunk.width as usize;
    for (group, values) in packed.chunks_exact(across * down + 2).enumerate() {
        let colour = &values[across * down..];
        for (number, value) in values[..across * down].iter().enumerate() {
            let x = group * across + number % across;
            if x < width {
                let at = 3 * (number / across * width + x);
                rows[at..at + 3].copy_from_slice(&[*value, colour[0], colour[1]].map(T::of_eight));
            }
        }
    }
}
