use super::huffman::{Blocks, SHORT, Table, WINDOW};

/// Entropy-coded data without its stuffing, read bit by bit.
pub(super) struct Bits<'a> {
    /// The data, and behind it at least [`BEHIND`](Self::BEHIND) bytes of ones. No code consists of ones only, so
    /// whoever reads past the end is stopped by the first symbol there.
    data: &'a [u8],
    /// The first byte of which nothing is held yet.
    at: usize,
    /// The next bits, from the highest. Below the ones that count may lie bits of `data[at]`.
    held: u64,
    left: u32,
}

impl<'a> Bits<'a> {
    /// How many bytes of ones have to lie behind the data.
    pub(super) const BEHIND: usize = 16;

    pub(super) fn new(data: &'a [u8]) -> Self {
        Bits { data, at: 0, held: 0, left: 0 }
    }

    /// How many bits were read.
    pub(super) fn used(&self) -> usize {
        (self.at * 8).saturating_sub(self.left as usize)
    }

    /// Makes at least 56 bits available.
    #[inline(always)]
    fn refill(&mut self) {
        let word =
            self.data.get(self.at..).and_then(|rest| rest.first_chunk()).map_or(u64::MAX, |b| u64::from_be_bytes(*b));
        self.held |= word >> self.left;
        let bytes = (63 - self.left) >> 3;
        self.at += bytes as usize;
        self.left += 8 * bytes;
    }

    #[inline(always)]
    fn skip(&mut self, count: u32) {
        self.held <<= count;
        self.left -= count;
    }

    /// The next bits as a number, 16 at most; needs a [`refill`](Self::refill) before.
    #[inline(always)]
    fn take(&mut self, count: u32) -> u32 {
        let bits = (self.held >> 1) >> (63 - count);
        self.skip(count);
        bits as u32
    }

    /// The next bit.
    #[inline(always)]
    pub(super) fn bit(&mut self) -> bool {
        self.refill();
        self.take(1) == 1
    }

    /// The next symbol, of 16 bits at most; needs a [`refill`](Self::refill) before. `None` for bits that are no code.
    #[inline(always)]
    fn symbol(&mut self, table: &Table) -> Option<u8> {
        let entry = table.short[(self.held >> (64 - SHORT)) as usize];
        if entry != 0 {
            self.skip(u32::from(entry >> 8));
            return Some(entry as u8);
        }
        let (symbol, length) = table.long((self.held >> 48) as u32)?;
        self.skip(length);
        Some(symbol)
    }

    /// Passes over a difference of the first coefficient.
    #[inline(always)]
    pub(super) fn difference(&mut self, table: &Table) -> Option<()> {
        self.refill();
        let size = self.symbol(table).filter(|&size| size <= 15)?;
        self.skip(u32::from(size));
        Some(())
    }

    /// A step of a scan of other coefficients: how many zeros come first, and whether a coefficient follows them; its
    /// bits are passed over. For an end of band, how many blocks it ends.
    #[inline(always)]
    pub(super) fn step(&mut self, table: &Table) -> Option<Step> {
        self.refill();
        let symbol = self.symbol(table)?;
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        Some(match (run, size) {
            (15, 0) => Step::Zeros,
            (_, 0) => Step::End { blocks: (1 << run) + self.take(run) },
            _ => {
                self.skip(size);
                Step::Value { zeros: run, size }
            }
        })
    }

    /// Passes over a block of a sequential scan, of which `short` are the [lengths of short ones](Table::blocks).
    #[inline(always)]
    pub(super) fn block(&mut self, dc: &Table, ac: &Table, short: &Blocks) -> Option<()> {
        self.refill();
        let bits = short[(self.held >> (64 - WINDOW)) as usize];
        if bits != 0 {
            self.skip(u32::from(bits));
            return Some(());
        }
        // The difference takes 31 bits at most.
        let size = self.symbol(dc).filter(|&size| size <= 15)?;
        self.skip(u32::from(size));
        let mut next = 1;
        loop {
            self.refill();
            // Each takes WINDOW bits at most.
            for _ in 0..4 {
                let leap = ac.leaps[(self.held >> (64 - WINDOW)) as usize];
                let after = next + leap.coefficients();
                // One that would reach beyond the block has to be gone step by step: what follows is another block's.
                if leap.is_none() || after > 64 || (after == 64 && leap.ends()) {
                    match self.step(ac)? {
                        Step::Zeros => next += 16,
                        // Only progressive scans end several blocks at once.
                        Step::End { blocks: 1 } => return Some(()),
                        Step::End { .. } => return None,
                        Step::Value { zeros, .. } => next += zeros + 1,
                    }
                    if next >= 64 {
                        return (next == 64).then_some(());
                    }
                    break;
                }
                self.skip(leap.bits());
                if leap.ends() || after == 64 {
                    return Some(());
                }
                next = after;
            }
        }
    }
}

/// What a symbol of coefficients says.
pub(super) enum Step {
    /// 16 zeros.
    Zeros,
    /// Zeros, and a coefficient that is not zero, whose number of bits is stated.
    Value { zeros: u32, size: u32 },
    /// The rest of this block is zero, and of as many blocks as stated, this one included.
    End { blocks: u32 },
}
