//! Pictures of one bit compressed as faxes are (ITU-T T.4 and T.6). The codes are those of the crate `fax`, whose own
//! decoders know neither rows without an end of line nor group 3 in two dimensions.

use fax::maps::{Mode, black, mode, white};
use fax::{BitReader, ByteReader};

use super::layout::Fax;
use crate::frame::flaw::Flaw;

/// Unpacks `rows` rows of `width` pixels, eight in a byte, 1 for black, into `out`, which is 0.
pub(super) fn unpack(data: &[u8], kind: Fax, width: u32, rows: u32, out: &mut [u8]) -> Result<(), Flaw> {
    // Codes are looked up by more bits than the last ones may have behind them; zeros are none.
    let bytes = data.iter().chain(&[0; 3]).map(|&byte| Ok::<u8, std::convert::Infallible>(byte));
    let Ok(mut reader) = ByteReader::new(bytes);
    // Where the colour changes, from white; of the row above and of this one.
    let (mut above, mut row) = (Vec::new(), Vec::new());
    let lines = out.chunks_exact_mut(width.div_ceil(8) as usize);
    for (number, line) in (0..rows).zip(lines) {
        row.clear();
        let read = match kind {
            Fax::Huffman => {
                let bits = reader.bits_to_byte_boundary();
                skip(&mut reader, bits);
                alone(&mut reader, width, &mut row)
            }
            Fax::Group3 => {
                end_of_line(&mut reader);
                alone(&mut reader, width, &mut row)
            }
            Fax::Group3By2 => {
                end_of_line(&mut reader);
                let is_alone = reader.peek(1);
                skip(&mut reader, 1);
                match is_alone {
                    Some(1) => alone(&mut reader, width, &mut row),
                    _ => by_the_row_above(&mut reader, width, &above, &mut row),
                }
            }
            Fax::Group4 => by_the_row_above(&mut reader, width, &above, &mut row),
        };
        if read.is_none() {
            return Err(Flaw::damaged(format!("CCITT data that end, or are none, in row {} of {rows}", number + 1)));
        }
        for blacks in row.chunks(2) {
            blacken(line, blacks[0], blacks.get(1).copied().unwrap_or(width));
        }
        std::mem::swap(&mut above, &mut row);
    }
    Ok(())
}

fn skip(reader: &mut impl BitReader, bits: u8) {
    // A reader of bytes in memory does not fail.
    let _ = reader.consume(bits);
}

/// Goes past an end of line (11 zeros or more, and a one), where there is one.
fn end_of_line(reader: &mut impl BitReader) {
    // No code begins with so many zeros.
    if reader.peek(9) == Some(0) {
        while reader.peek(1) == Some(0) {
            skip(reader, 1);
        }
        skip(reader, 1);
    }
}

/// The length of the next run, which may be told in several parts.
fn run(reader: &mut impl BitReader, is_black: bool, most: u32) -> Option<u32> {
    let mut length = 0;
    loop {
        let part = if is_black { black::decode(reader) } else { white::decode(reader) };
        let part = u32::from(part?);
        length += part;
        if length > most {
            return None;
        }
        if part < 64 {
            return Some(length);
        }
    }
}

/// A row that is told by itself.
fn alone(reader: &mut impl BitReader, width: u32, row: &mut Vec<u32>) -> Option<()> {
    let (mut at, mut is_black) = (0, false);
    while at < width {
        at += run(reader, is_black, width - at)?;
        row.push(at);
        is_black = !is_black;
    }
    Some(())
}

/// A row that is told by how it differs from the one above.
fn by_the_row_above(reader: &mut impl BitReader, width: u32, above: &[u32], row: &mut Vec<u32>) -> Option<()> {
    // Up to where the row is known: nothing at first, so that a change at the first pixel lies behind.
    let mut at: Option<u32> = None;
    let mut is_black = false;
    let mut next = 0;
    while at.is_none_or(|at| at < width) {
        let behind = |change: u32| at.is_none_or(|at| change > at);
        // The first change above that lies behind, to the colour that this row does not have here.
        while next > 0 && behind(above[next - 1]) {
            next -= 1;
        }
        while next < above.len() && (!behind(above[next]) || (next % 2 == 1) != is_black) {
            next += 1;
        }
        let change = |number: usize| above.get(number).copied().unwrap_or(width);
        match mode::decode(reader)? {
            Mode::Pass => at = Some(change(next + 1)),
            Mode::Horizontal => {
                let from = at.unwrap_or(0);
                let first = from + run(reader, is_black, width - from)?;
                let second = first + run(reader, !is_black, width - first)?;
                row.extend([first, second]);
                at = Some(second);
            }
            Mode::Vertical(by) => {
                let to = change(next).checked_add_signed(i32::from(by))?;
                if to > width || at.is_some_and(|at| to < at) {
                    return None;
                }
                row.push(to);
                is_black = !is_black;
                at = Some(to);
            }
            Mode::Extension | Mode::EOF => return None,
        }
    }
    Some(())
}

/// Sets the bits from one place up to another.
fn blacken(line: &mut [u8], from: u32, to: u32) {
    if from >= to {
        return;
    }
    let (first, last) = ((from / 8) as usize, ((to - 1) / 8) as usize);
    let (head, tail) = (0xFF >> (from % 8), 0xFFu8 << (7 - (to - 1) % 8));
    if first == last {
        line[first] |= head & tail;
        return;
    }
    line[first] |= head;
    line[first + 1..last].fill(0xFF);
    line[last] |= tail;
}
