/// How many bits are looked up at once for a symbol.
pub(super) const SHORT: u32 = 9;
/// How many bits are looked up at once for as many steps as they hold.
pub(super) const WINDOW: u32 = 11;

/// By the next bits: how many of them a whole block takes, 0 where it takes more than there are.
pub(super) type Blocks = [u8; 1 << WINDOW];

/// What a table is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Differences of the first coefficient.
    Dc,
    /// All other coefficients.
    Ac,
}

/// A Huffman table, for going through data without asking for values: what counts is how many bits a symbol takes, and
/// how many coefficients it stands for.
pub(super) struct Table {
    counts: [u8; 16],
    /// The symbols that have codes, the shorter codes first.
    symbols: [u8; 256],
    /// How many they are.
    len: usize,
    /// By length: 16 bits that begin with a code of that length, or a shorter one, are less than this.
    limit: [u32; 17],
    /// By length: what is added to a code of that length to find its symbol.
    offset: [i32; 17],
    /// By the next bits: length and symbol of the code there, 0 where it is longer.
    pub(super) short: [u16; 1 << SHORT],
    /// By the next bits: all whole steps in them, in a table of [`Class::Ac`].
    pub(super) leaps: [Leap; 1 << WINDOW],
}

/// Steps that are gone at once: bits (5), whether they end a block (1), coefficients (10).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Leap(u16);

impl Leap {
    const NONE: Leap = Leap(0);

    fn new(bits: u32, ends: bool, coefficients: u32) -> Self {
        Leap(bits as u16 | u16::from(ends) << 5 | (coefficients as u16) << 6)
    }

    /// Whether the bits hold no whole step.
    #[inline(always)]
    pub(super) fn is_none(self) -> bool {
        self == Self::NONE
    }

    #[inline(always)]
    pub(super) fn bits(self) -> u32 {
        u32::from(self.0 & 31)
    }

    #[inline(always)]
    pub(super) fn ends(self) -> bool {
        self.0 & 32 != 0
    }

    #[inline(always)]
    pub(super) fn coefficients(self) -> u32 {
        u32::from(self.0 >> 6)
    }
}

impl Table {
    /// A table as a file states it: how many codes have each length of 1 to 16 bits, and their symbols. `None` where
    /// the lengths leave no code of ones only unused, as they have to (ITU-T T.81, annex C), or symbols are missing.
    pub(super) fn new(class: Class, counts: [u8; 16], symbols: &[u8]) -> Option<Box<Self>> {
        let mut table = Box::new(Table {
            counts,
            symbols: [0; 256],
            len: symbols.len(),
            limit: [0; 17],
            offset: [0; 17],
            short: [0; 1 << SHORT],
            leaps: [Leap::NONE; 1 << WINDOW],
        });
        table.symbols.get_mut(..symbols.len())?.copy_from_slice(symbols);
        let (mut code, mut first) = (0u32, 0usize);
        for (length, count) in (1..=16u32).zip(counts) {
            table.offset[length as usize] = first as i32 - code as i32;
            for symbol in table.symbols.get(first..first + usize::from(count))? {
                if length <= SHORT {
                    let free = SHORT - length;
                    let from = (code << free) as usize;
                    table.short.get_mut(from..from + (1 << free))?.fill((length as u16) << 8 | u16::from(*symbol));
                }
                code += 1;
            }
            first += usize::from(count);
            if count > 0 && code >= 1 << length {
                return None;
            }
            table.limit[length as usize] = code << (16 - length);
            code <<= 1;
        }
        if first != symbols.len() {
            return None;
        }
        if class == Class::Ac {
            for bits in 0..1u32 << WINDOW {
                table.leaps[bits as usize] = table.leap(bits);
            }
        }
        Some(table)
    }

    /// Whether it is the table of this statement.
    pub(super) fn is(&self, counts: &[u8; 16], symbols: &[u8]) -> bool {
        self.counts == *counts && self.symbols[..self.len] == *symbols
    }

    /// The symbol whose code begins these 16 bits, and the length of the code.
    pub(super) fn long(&self, bits: u32) -> Option<(u8, u32)> {
        let length = (1..=16).find(|&length| bits < self.limit[length as usize])?;
        let at = (bits >> (16 - length)) as i32 + self.offset[length as usize];
        self.symbols.get(usize::try_from(at).ok()?).map(|&symbol| (symbol, length))
    }

    /// The lengths of short blocks, with this table for the first coefficient and `ac` for the others. Most blocks are
    /// flat, and gone in one step so.
    pub(super) fn blocks(&self, ac: &Table) -> Box<Blocks> {
        let mut blocks = Box::new([0; 1 << WINDOW]);
        for (bits, length) in (0u32..).zip(blocks.iter_mut()) {
            let entry = self.short[(bits >> (WINDOW - SHORT)) as usize];
            let (size, code) = (u32::from(entry & 0xFF), u32::from(entry >> 8));
            let used = code + size;
            if entry == 0 || used >= WINDOW {
                continue;
            }
            // Zeros stand for the bits that are not known: a leap over them is too long.
            let leap = ac.leaps[(bits << used & ((1 << WINDOW) - 1)) as usize];
            if leap.ends() && leap.coefficients() < 63 && used + leap.bits() <= WINDOW {
                *length = (used + leap.bits()) as u8;
            }
        }
        blocks
    }

    /// The whole steps in the next [`WINDOW`] bits.
    fn leap(&self, bits: u32) -> Leap {
        let (mut used, mut coefficients) = (0, 0);
        while used < WINDOW {
            // Zeros stand for the bits that are not known: a code that needs them is too long.
            let next = (bits << used & ((1 << WINDOW) - 1)) << (16 - WINDOW);
            let entry = self.short[(next >> (16 - SHORT)) as usize];
            let (symbol, length) = match entry {
                0 => match self.long(next) {
                    Some(long) => long,
                    None => break,
                },
                entry => (entry as u8, u32::from(entry >> 8)),
            };
            let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            let after = used + length + size;
            if after > WINDOW {
                break;
            }
            match (run, size) {
                (0, 0) => return Leap::new(after, true, coefficients),
                (15, 0) => coefficients += 16,
                // The end of several blocks, which only a progressive scan has.
                (_, 0) => break,
                _ => coefficients += run + 1,
            }
            used = after;
        }
        if used == 0 { Leap::NONE } else { Leap::new(used, false, coefficients) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_ones_only_is_refused() {
        let mut counts = [0; 16];
        counts[0] = 1;
        assert!(Table::new(Class::Dc, counts, &[3]).is_some());
        counts[1] = 1;
        assert!(Table::new(Class::Dc, counts, &[3, 4]).is_some(), "0 and 10");
        counts[1] = 2;
        assert!(Table::new(Class::Dc, counts, &[3, 4, 5]).is_none(), "0, 10 and 11");
        counts[1] = 1;
        assert!(Table::new(Class::Dc, counts, &[3]).is_none(), "a symbol is missing");
        assert!(Table::new(Class::Dc, counts, &[3, 4, 5]).is_none(), "a symbol without a code");
    }

    #[test]
    fn codes_of_every_length_are_found() {
        // One code of each length: 0, 10, 110 and so on.
        let symbols: Vec<u8> = (1..=16).collect();
        let table = Table::new(Class::Dc, [1; 16], &symbols).unwrap();
        for length in 1..=16u32 {
            let code = 0xFFFF << (17 - length) & 0xFFFF;
            assert_eq!(table.long(code), Some((length as u8, length)), "{code:016b}");
        }
        assert_eq!(table.long(0xFFFF), None);
    }
}
