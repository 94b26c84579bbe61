//! Going through the blocks of a scan.

use std::ops::Range;

use super::bits::{Bits, Step};
use super::check::{Frame, Scan};
use super::huffman::{Blocks, Table};

/// Finds runs of one byte that are too long for what a picture is made of, unless it is flat there: a sector that was
/// lost reads as zeros. Its data can make as many blocks as there were.
pub(super) fn find_runs(data: &[u8], runs: &mut Vec<Range<usize>>) {
    runs.clear();
    let mut start = 0;
    let words = data.as_chunks::<8>().0;
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_ne_bytes(*word);
        if word != word.rotate_left(8) {
            if at - start >= RUN {
                runs.push(64 * start..64 * at);
            }
            start = at + 1;
        } else if at > start && words[start] != words[at] {
            start = at;
        }
    }
    if words.len().saturating_sub(start) >= RUN {
        runs.push(64 * start..64 * words.len());
    }
}

/// How many words of 8 bytes make a run.
const RUN: usize = 4;
/// The bits that a flat block takes at most.
const FLAT: usize = 32;

/// Whether these bits lie in one of the runs.
fn is_in(runs: &[Range<usize>], bits: Range<usize>) -> bool {
    runs.iter().any(|run| run.start <= bits.start && bits.end <= run.end)
}

/// What a block of a sequential scan is coded with.
#[derive(Clone, Copy)]
pub(super) struct Coded<'a> {
    pub(super) dc: &'a Table,
    pub(super) ac: &'a Table,
    pub(super) short: &'a Blocks,
}

/// Goes through `units` of a sequential scan, whose blocks have these tables.
pub(super) fn sequential_part(
    bits: &mut Bits<'_>,
    unit: &[Coded<'_>],
    units: usize,
    runs: &[Range<usize>],
) -> Option<()> {
    for _ in 0..units {
        for Coded { dc, ac, short } in unit {
            let start = bits.used();
            bits.block(dc, ac, short)?;
            if !runs.is_empty() && bits.used() - start > FLAT && is_in(runs, start..bits.used()) {
                return None;
            }
        }
    }
    Some(())
}

/// The blocks that a progressive scan goes through.
pub(super) struct Grid<'a> {
    /// In a row of the scan.
    pub(super) across: usize,
    /// See `Checker`: which coefficients are not zero so far.
    pub(super) nonzero: &'a mut [u64],
}

/// Goes through some units of a progressive scan.
pub(super) fn progressive_part<'t>(
    bits: &mut Bits<'_>,
    frame: &Frame,
    scan: &Scan,
    units: Range<usize>,
    blocks: Grid<'_>,
    runs: &[Range<usize>],
    tables: impl Fn(usize) -> Option<&'t Table>,
) -> Option<()> {
    if scan.band.0 == 0 {
        for _ in units {
            for &(number, dc, _) in &scan.parts {
                let (h, v) = frame.components[number].sampling;
                for _ in 0..if scan.parts.len() == 1 { 1 } else { h * v } {
                    match scan.refines {
                        true => _ = bits.bit(),
                        false => bits.difference(tables(dc)?)?,
                    }
                }
            }
        }
        return Some(());
    }
    let &(number, _, ac) = scan.parts.first()?;
    let (component, table) = (&frame.components[number], tables(ac)?);
    // Blocks that end without a further symbol.
    let mut ended = 0u32;
    let mut unit = units.start;
    while unit < units.end {
        if ended > 0 && !scan.refines {
            let over = (units.end - unit).min(ended as usize);
            ended -= over as u32;
            unit += over;
            continue;
        }
        let place = component.first + unit / blocks.across * component.padded.0 + unit % blocks.across;
        let known = blocks.nonzero.get_mut(place)?;
        let (start, before) = (bits.used(), known.count_ones());
        match scan.refines {
            false => ended = first_block(bits, table, scan.band, known)?,
            true => ended = refined_block(bits, table, scan.band, known, ended)?,
        }
        let appeared = known.count_ones() - before;
        if !runs.is_empty() && appeared > 3 && is_in(runs, start..bits.used()) {
            return None;
        }
        unit += 1;
    }
    (ended == 0).then_some(())
}

/// A block of a scan that tells coefficients for the first time; how many blocks after it end without a symbol.
fn first_block(bits: &mut Bits<'_>, table: &Table, (from, to): (usize, usize), known: &mut u64) -> Option<u32> {
    let mut next = from;
    while next <= to {
        match bits.step(table)? {
            Step::Zeros => next += 16,
            Step::End { blocks } => return Some(blocks - 1),
            Step::Value { zeros, .. } => {
                next += zeros as usize;
                if next > to {
                    return None;
                }
                *known |= 1 << next;
                next += 1;
            }
        }
    }
    (next == to + 1).then_some(0)
}

/// A block of a scan that tells one more bit of the coefficients: of those that are known, a bit each; others appear.
fn refined_block(
    bits: &mut Bits<'_>,
    table: &Table,
    (from, to): (usize, usize),
    known: &mut u64,
    mut ended: u32,
) -> Option<u32> {
    let mut next = from;
    let mut appeared = 0u64;
    while ended == 0 && next <= to {
        let (zeros, value) = match bits.step(table)? {
            Step::Zeros => (15, false),
            Step::End { blocks } => {
                ended = blocks;
                break;
            }
            Step::Value { zeros, size: 1 } => (zeros, true),
            // A coefficient that appears is 1 or -1.
            Step::Value { .. } => return None,
        };
        let mut passed = 0;
        loop {
            if next > to {
                return None;
            }
            let place = 1u64 << next;
            next += 1;
            if *known & place != 0 {
                bits.bit();
            } else if passed == zeros {
                appeared |= if value { place } else { 0 };
                break;
            } else {
                passed += 1;
            }
        }
    }
    if ended > 0 {
        for place in next..=to {
            if *known & 1 << place != 0 {
                bits.bit();
            }
        }
        ended -= 1;
    }
    *known |= appeared;
    Some(ended)
}
