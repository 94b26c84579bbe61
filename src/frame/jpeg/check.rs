//! Whether a file holds all of its pixels (ITU-T T.81).
//!
//! Decoders fill what is missing from a JPEG with gray, or with whatever the bits behind the damage happen to say, and
//! report success. So each scan is gone through before it is decoded: it has to hold exactly as many blocks as the
//! picture has, to the bit, and its restart markers have to come in their order.

use std::ops::Range;

use super::bits::Bits;
use super::blocks::{Coded, Grid, find_runs, progressive_part, sequential_part};
use super::huffman::{Blocks, Class, Table};
use crate::frame::flaw::Flaw;
use crate::frame::limits::{FrameLimits, no_memory};
use crate::geometry::Size;

/// Scans that a file may have. Encoders write about 10 in a progressive file; each one is decoded over the whole
/// picture, however few bytes it has.
const MAX_SCANS: usize = 32;

/// Memory that is reused from file to file.
#[derive(Default)]
pub(in crate::frame) struct Checker {
    /// The data of a scan up to a marker, without its stuffing.
    data: Vec<u8>,
    /// The tables of the last file: cameras write the same ones into every file.
    tables: [Option<Box<Table>>; 8],
    /// The lengths of short blocks, for pairs of tables.
    short: Vec<(usize, usize, Box<Blocks>)>,
    /// Where in it the same byte stands many times, in bits.
    runs: Vec<Range<usize>>,
    /// In a progressive file: which coefficients of a block are not zero so far, for all blocks of all components.
    nonzero: Vec<u64>,
}

/// What a file's markers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::frame) struct Outline {
    pub(in crate::frame) size: Size,
    /// Where the picture ends in the file.
    pub(in crate::frame) end: usize,
}

/// The file that is gone through.
struct Walk<'a, 'c> {
    bytes: &'a [u8],
    at: usize,
    limits: &'c FrameLimits,
    memory: &'c mut Checker,
    /// Which tables this file has stated.
    stated: [bool; 8],
    restart: usize,
    frame: Option<Frame>,
}

pub(super) struct Frame {
    size: Size,
    progressive: bool,
    pub(super) components: Vec<Component>,
    /// Largest sampling factors.
    most: (usize, usize),
}

pub(super) struct Component {
    id: u8,
    /// Samples in a row and in a column of a unit of all components.
    pub(super) sampling: (usize, usize),
    /// Blocks in a row and in a column.
    blocks: (usize, usize),
    /// The same with those that only fill up units of all components.
    pub(super) padded: (usize, usize),
    /// Where its blocks begin among those of all components.
    pub(super) first: usize,
    /// For each coefficient, how many of its lowest bits are still to come; `None` before the first.
    missing: [Option<u8>; 64],
}

/// What a scan holds.
pub(super) struct Scan {
    /// Which components, and the tables of their first and other coefficients.
    pub(super) parts: Vec<(usize, usize, usize)>,
    pub(super) band: (usize, usize),
    /// For a scan that refines, the number of bits that were missing before it.
    pub(super) refines: bool,
}

impl Checker {
    /// Goes through a file up to the end of its picture.
    pub(in crate::frame) fn check(&mut self, bytes: &[u8], limits: &FrameLimits) -> Result<Outline, Flaw> {
        Walk { bytes, at: 2, limits, memory: self, stated: [false; 8], restart: 0, frame: None }.run()
    }
}

fn damaged(found: impl Into<String>) -> Flaw {
    Flaw::Damaged(found.into())
}

impl<'a> Walk<'a, '_> {
    fn run(mut self) -> Result<Outline, Flaw> {
        let mut scans = 0;
        let mut marker = self.marker()?;
        loop {
            match marker {
                0xD9 => break,
                0xDA => {
                    scans += 1;
                    if scans > MAX_SCANS {
                        return Err(Flaw::Limits {
                            expected: format!("a JPEG of at most {MAX_SCANS} scans"),
                            found: "more".to_owned(),
                        });
                    }
                    let scan = self.scan_head()?;
                    marker = self.scan(&scan)?;
                    continue;
                }
                0xC4 => self.huffman_tables()?,
                0xDD => {
                    self.restart = match self.segment()? {
                        &[high, low] => usize::from(u16::from_be_bytes([high, low])),
                        _ => return Err(damaged("a restart interval of another length than 2 bytes")),
                    }
                }
                0xC0..=0xC2 => self.frame_head(marker == 0xC2)?,
                0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCC..=0xCF => {
                    return Err(Flaw::Unsupported(
                        match marker {
                            0xC3 => "lossless JPEG",
                            0xC9..=0xCC => "JPEG with arithmetic coding",
                            _ => "hierarchical JPEG",
                        }
                        .to_owned(),
                    ));
                }
                0xDC => return Err(Flaw::Unsupported(HEIGHT_LATER.to_owned())),
                0xD8 => return Err(damaged("a second start of an image inside the first")),
                0xD0..=0xD7 => return Err(damaged("a restart marker outside of a scan")),
                // No segment follows.
                0x01 => {}
                _ => {
                    self.segment()?;
                }
            }
            marker = self.marker()?;
        }
        let end = self.at;
        let Some(frame) = self.frame.filter(|_| scans > 0) else { return Err(damaged("no scan")) };
        for (number, component) in (1..).zip(&frame.components) {
            if component.missing.iter().any(|&bits| bits != Some(0)) {
                return Err(damaged(format!(
                    "an end after {scans} {}, before all coefficients of component {number} were told",
                    if scans == 1 { "scan" } else { "scans" },
                )));
            }
        }
        Ok(Outline { size: frame.size, end })
    }

    fn cut(&self) -> Flaw {
        damaged(format!("a file cut off after {} bytes", self.bytes.len()))
    }

    /// The next marker; decoders pass over bytes that lie between segments.
    fn marker(&mut self) -> Result<u8, Flaw> {
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            self.at += memchr::memchr(0xFF, rest).ok_or_else(|| self.cut())? + 1;
            while self.bytes.get(self.at) == Some(&0xFF) {
                self.at += 1;
            }
            let marker = *self.bytes.get(self.at).ok_or_else(|| self.cut())?;
            self.at += 1;
            if marker != 0 {
                return Ok(marker);
            }
        }
    }

    /// What a segment holds behind its length.
    fn segment(&mut self) -> Result<&'a [u8], Flaw> {
        let start = self.at + 2;
        let Some(&[high, low]) = self.bytes.get(self.at..start) else { return Err(self.cut()) };
        self.at += usize::from(u16::from_be_bytes([high, low]));
        if self.at < start {
            return Err(damaged("a segment of less than 2 bytes"));
        }
        self.bytes.get(start..self.at).ok_or_else(|| self.cut())
    }

    fn huffman_tables(&mut self) -> Result<(), Flaw> {
        let bad = || damaged("a Huffman table that is none");
        let mut rest = self.segment()?;
        while !rest.is_empty() {
            let (&place, counts) = rest.split_first().ok_or_else(bad)?;
            let (counts, symbols) = counts.split_first_chunk::<16>().ok_or_else(bad)?;
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let own = symbols.get(..total).filter(|own| own.len() <= 256).ok_or_else(bad)?;
            let class = match place >> 4 {
                0 => Class::Dc,
                1 => Class::Ac,
                _ => return Err(bad()),
            };
            let slot = usize::from(place & 15) + if class == Class::Ac { 4 } else { 0 };
            if place & 15 > 3 {
                return Err(bad());
            }
            let known = &mut self.memory.tables[slot];
            if known.as_ref().is_none_or(|table| !table.is(counts, own)) {
                *known = Some(Table::new(class, *counts, own).ok_or_else(bad)?);
                self.memory.short.retain(|&(dc, ac, _)| dc != slot && ac != slot);
            }
            self.stated[slot] = true;
            rest = &symbols[total..];
        }
        Ok(())
    }

    fn frame_head(&mut self, progressive: bool) -> Result<(), Flaw> {
        if self.frame.is_some() {
            return Err(damaged("a second head of a frame"));
        }
        let bad = || damaged("a head of a frame that is none");
        let head = self.segment()?;
        let (&[precision, h1, h0, w1, w0, count], parts) = head.split_first_chunk::<6>().ok_or_else(bad)?;
        let size = Size::new(u32::from(u16::from_be_bytes([w1, w0])), u32::from(u16::from_be_bytes([h1, h0])));
        if precision != 8 {
            return Err(Flaw::Unsupported(format!("JPEG of {precision} bits a sample")));
        }
        if size.height == 0 {
            return Err(Flaw::Unsupported(HEIGHT_LATER.to_owned()));
        }
        let (parts, rest) = parts.as_chunks::<3>();
        if size.width == 0 || parts.len() != usize::from(count) || !rest.is_empty() {
            return Err(bad());
        }
        if !matches!(parts.len(), 1 | 3 | 4) {
            return Err(Flaw::Unsupported(format!("JPEG of {} components", parts.len())));
        }
        let factors: Vec<_> =
            parts.iter().map(|&[_, factors, _]| (usize::from(factors >> 4), usize::from(factors & 15))).collect();
        if factors.iter().any(|&(h, v)| !(1..=4).contains(&h) || !(1..=4).contains(&v)) {
            return Err(bad());
        }
        let most = (factors.iter().map(|f| f.0).max().unwrap_or(1), factors.iter().map(|f| f.1).max().unwrap_or(1));
        let (width, height) = (size.width as usize, size.height as usize);
        let units = (width.div_ceil(8 * most.0), height.div_ceil(8 * most.1));
        let mut first = 0;
        let mut components = Vec::with_capacity(parts.len());
        for (&[id, _, _], &(h, v)) in parts.iter().zip(&factors) {
            let blocks = ((width * h).div_ceil(most.0).div_ceil(8), (height * v).div_ceil(most.1).div_ceil(8));
            // A lone component has no units to be filled up.
            let padded = if parts.len() == 1 { blocks } else { (units.0 * h, units.1 * v) };
            components.push(Component { id, sampling: (h, v), blocks, padded, first, missing: [None; 64] });
            first += padded.0 * padded.1;
        }
        let frame = Frame { size, progressive, components, most };
        let samples = if parts.len() == 1 { 1 } else { 3 };
        // 64 coefficients of 2 bytes in the decoder, and a bit for each here.
        let beside = if progressive { frame.blocks() as u64 * (128 + 8) } else { 0 };
        self.limits.admit("JPEG", size, samples * u64::from(size.width) * u64::from(size.height), beside)?;
        self.memory.nonzero.clear();
        if progressive {
            let nonzero = &mut self.memory.nonzero;
            nonzero.try_reserve(frame.blocks()).map_err(|_| no_memory(8 * frame.blocks() as u64))?;
            nonzero.resize(frame.blocks(), 0);
        }
        self.frame = Some(frame);
        Ok(())
    }

    fn scan_head(&mut self) -> Result<Scan, Flaw> {
        let bad = || damaged("a head of a scan that is none");
        let head = self.segment()?;
        let (&count, rest) = head.split_first().ok_or_else(bad)?;
        let (&[from, to, precision], parts) = rest.split_last_chunk::<3>().map(|(a, b)| (b, a)).ok_or_else(bad)?;
        let (parts, odd) = parts.as_chunks::<2>();
        let Some(frame) = &mut self.frame else { return Err(damaged("a scan before the head of a frame")) };
        if parts.is_empty() || parts.len() != usize::from(count) || !odd.is_empty() {
            return Err(bad());
        }
        let (before, after) = (precision >> 4, precision & 15);
        let (from, to) = (usize::from(from), usize::from(to));
        let fits = match frame.progressive {
            // What these bytes hold here is often wrong and never read.
            false => true,
            true if from == 0 => to == 0,
            true => from <= to && to < 64 && parts.len() == 1,
        };
        if !fits || (frame.progressive && (after > 13 || (before != 0 && before != after + 1))) {
            return Err(bad());
        }
        let (band, refines) = match frame.progressive {
            true => ((from, to), before != 0),
            false => ((0, 63), false),
        };
        let mut scan = Scan { parts: Vec::with_capacity(parts.len()), band, refines };
        for &[id, tables] in parts {
            let number = frame.components.iter().position(|component| component.id == id).ok_or_else(bad)?;
            if tables >> 4 > 3 || tables & 15 > 3 || scan.parts.iter().any(|part| part.0 == number) {
                return Err(bad());
            }
            let component = &mut frame.components[number];
            for bits in &mut component.missing[band.0..=band.1] {
                let expected = if refines { Some(before) } else { None };
                if *bits != expected {
                    return Err(damaged("scans that do not follow on one another"));
                }
                *bits = Some(if frame.progressive { after } else { 0 });
            }
            let (dc, ac) = (usize::from(tables >> 4), 4 + usize::from(tables & 15));
            // Which tables it reads.
            let needed = match (frame.progressive, band.0) {
                (false, _) => [Some(dc), Some(ac)],
                (true, 0) => [(!refines).then_some(dc), None],
                (true, _) => [None, Some(ac)],
            };
            if self.stated == [false; 8] {
                return Err(Flaw::Unsupported("JPEG without Huffman tables (a frame of Motion JPEG)".to_owned()));
            }
            if needed.into_iter().flatten().any(|slot| !self.stated[slot]) {
                return Err(damaged("a scan whose Huffman table is missing"));
            }
            scan.parts.push((number, dc, ac));
        }
        if !frame.progressive && scan.parts.len() != frame.components.len() {
            // The decoder gets colours wrong there without an error.
            return Err(Flaw::Unsupported("baseline JPEG with a scan for each component (not interleaved)".to_owned()));
        }
        let in_unit = |&(number, ..): &(usize, usize, usize)| {
            let (h, v) = frame.components[number].sampling;
            h * v
        };
        if scan.parts.len() > 1 && scan.parts.iter().map(in_unit).sum::<usize>() > 10 {
            return Err(bad());
        }
        Ok(scan)
    }

    /// Goes through the data of a scan, and gives the marker behind it.
    fn scan(&mut self, scan: &Scan) -> Result<u8, Flaw> {
        let Some(frame) = &self.frame else { return Err(damaged("a scan before the head of a frame")) };
        let memory = &mut *self.memory;
        let sequential = !frame.progressive;
        let size = frame.size;
        let units = match scan.parts[..] {
            [(number, ..)] => frame.components[number].blocks,
            _ => ((size.width as usize).div_ceil(8 * frame.most.0), (size.height as usize).div_ceil(8 * frame.most.1)),
        };
        let total = units.0 * units.1;
        let interval = if self.restart == 0 { total } else { self.restart };
        let tables = |slot: usize| memory.tables[slot].as_deref();
        // The tables of the blocks of a unit.
        let mut unit = Vec::new();
        if sequential {
            for &(_, dc, ac) in &scan.parts {
                let known = memory.short.iter().any(|short| (short.0, short.1) == (dc, ac));
                if let (false, Some(first), Some(others)) = (known, tables(dc), tables(ac)) {
                    memory.short.push((dc, ac, first.blocks(others)));
                }
            }
            for &(number, dc, ac) in &scan.parts {
                let (h, v) = frame.components[number].sampling;
                let blocks = if scan.parts.len() == 1 { 1 } else { h * v };
                let short = memory.short.iter().find(|short| (short.0, short.1) == (dc, ac));
                let (Some(dc), Some(ac), Some((.., short))) = (tables(dc), tables(ac), short) else {
                    return Err(damaged("a scan whose Huffman table is missing"));
                };
                unit.extend(std::iter::repeat_n(Coded { dc, ac, short }, blocks));
            }
        }
        let (mut done, mut restarts) = (0, 0u8);
        loop {
            let marker;
            (self.at, marker) = unstuffed(self.bytes, self.at, &mut memory.data).ok_or_else(|| {
                damaged(format!("a file cut off after {} bytes, {done} of {total} blocks", self.bytes.len()))
            })?;
            let length = memory.data.len();
            find_runs(&memory.data, &mut memory.runs);
            memory.data.extend([0xFF; Bits::BEHIND]);
            let mut bits = Bits::new(&memory.data);
            let part = done..total.min(done + interval);
            let whole = if sequential {
                sequential_part(&mut bits, &unit, part.len(), &memory.runs)
            } else {
                let blocks = Grid { across: units.0, nonzero: &mut memory.nonzero };
                progressive_part(&mut bits, frame, scan, part.clone(), blocks, &memory.runs, tables)
            };
            // Fewer than 8 bits fill up the last byte.
            if whole.is_none() || bits.used() > 8 * length || 8 * length - bits.used() >= 8 {
                let what = match whole {
                    Some(()) if bits.used() <= 8 * length => "more data than its blocks take",
                    _ => "data that are not its blocks",
                };
                return Err(damaged(format!(
                    "a scan with {what} (blocks {} to {} of {total}): part of the picture is missing or overwritten",
                    part.start + 1,
                    part.end,
                )));
            }
            done = part.end;
            match marker {
                0xD0..=0xD7 if done < total && marker == 0xD0 + restarts => restarts = (restarts + 1) % 8,
                // Some encoders restart behind the last unit, too.
                0xD0..=0xD7 if done == total && self.restart != 0 && marker == 0xD0 + restarts => {
                    let (at, marker) = unstuffed(self.bytes, self.at, &mut memory.data)
                        .ok_or_else(|| damaged(format!("a file cut off after {} bytes", self.bytes.len())))?;
                    if !memory.data.is_empty() || (0xD0..=0xD7).contains(&marker) {
                        return Err(damaged("data behind the last block of a scan"));
                    }
                    self.at = at;
                    return Ok(marker);
                }
                0xD0..=0xD7 => {
                    return Err(damaged(format!(
                        "restart marker {} after {done} of {total} blocks, where {} belongs",
                        marker - 0xD0,
                        if done < total { restarts.to_string() } else { "none".to_owned() },
                    )));
                }
                _ if done < total => {
                    return Err(damaged(format!("a scan that ends after {done} of {total} blocks")));
                }
                marker => return Ok(marker),
            }
        }
    }
}

const HEIGHT_LATER: &str = "JPEG that tells its height after the first scan (DNL)";

impl Frame {
    /// Blocks of all components.
    fn blocks(&self) -> usize {
        self.components.iter().map(|component| component.padded.0 * component.padded.1).sum()
    }
}

/// Puts entropy-coded data without its stuffing into `data`, up to the next marker: that, and where it ends. `None`
/// where there is no marker any more.
fn unstuffed(bytes: &[u8], mut at: usize, data: &mut Vec<u8>) -> Option<(usize, u8)> {
    data.clear();
    loop {
        let found = at + memchr::memchr(0xFF, bytes.get(at..)?)?;
        data.extend_from_slice(&bytes[at..found]);
        let mut next = found + 1;
        while bytes.get(next) == Some(&0xFF) {
            next += 1;
        }
        match *bytes.get(next)? {
            0 => data.push(0xFF),
            marker => return Some((next + 1, marker)),
        }
        at = next + 1;
    }
}
