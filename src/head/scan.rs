//! Loops over all numbers of an output, which are most of what decoding takes, in vector instructions.

use crate::tensor::vectorised;

/// Numbers that [`peaks`] looks at together.
pub(super) const BLOCK: usize = 64;

/// Columns that [`highest`] takes through all rows before it goes on: they stay in the first cache.
const PART: usize = 1024;

/// Whether all are finite.
pub(super) fn finite(values: &[f32]) -> bool {
    // All bits of the exponent are set in infinities and in what is no number.
    const EXPONENT: u32 = 0x7F80_0000;
    vectorised(
        #[inline(always)]
        || values.iter().fold(0u32, |any, v| any | u32::from(v.to_bits() & EXPONENT == EXPONENT)) == 0,
    )
}

/// By how much a probability may be off: one step of 8 bits, the coarsest numbers that graphs compute with.
pub(super) const ROUNDING: f32 = 1.0 / 256.0;

/// Whether all are probabilities, but for rounding.
pub(super) fn probable(values: &[f32]) -> bool {
    let off = |value: f32| u32::from(!(-ROUNDING..=1.0 + ROUNDING).contains(&value));
    vectorised(
        #[inline(always)]
        || values.iter().fold(0u32, |any, &value| any | off(value)) == 0,
    )
}

/// The highest of each [`BLOCK`] values, all of them numbers, written into `peaks`.
pub(super) fn peaks(values: &[f32], peaks: &mut Vec<f32>) {
    peaks.clear();
    peaks.resize(values.len().div_ceil(BLOCK), f32::NEG_INFINITY);
    vectorised(
        #[inline(always)]
        || {
            for (peak, block) in peaks.iter_mut().zip(values.chunks(BLOCK)) {
                // Each place by itself: a single highest number would have to be compared one after the other.
                let mut lanes = [f32::NEG_INFINITY; 16];
                let (whole, rest) = block.as_chunks::<16>();
                for part in whole {
                    for (lane, &value) in lanes.iter_mut().zip(part) {
                        *lane = if value > *lane { value } else { *lane };
                    }
                }
                for value in lanes.iter().chain(rest) {
                    *peak = if *value > *peak { *value } else { *peak };
                }
            }
        },
    );
}

/// For each of the columns, the highest number of the rows, which lie one after the other in `table`, and which row has
/// it, the first one where they are equal.
pub(super) fn highest(table: &[f32], columns: usize, values: &mut Vec<f32>, winners: &mut Vec<u32>) {
    values.clear();
    values.resize(columns, f32::NEG_INFINITY);
    winners.clear();
    winners.resize(columns, 0);
    vectorised(
        #[inline(always)]
        || {
            for (part, (values, winners)) in values.chunks_mut(PART).zip(winners.chunks_mut(PART)).enumerate() {
                for (number, row) in (0u32..).zip(table.chunks_exact(columns.max(1))) {
                    for ((value, winner), &new) in values.iter_mut().zip(winners.iter_mut()).zip(&row[part * PART..]) {
                        let better = new > *value;
                        *value = if better { new } else { *value };
                        *winner = if better { number } else { *winner };
                    }
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn scans_are_what_one_number_after_the_other_gives(
            values in proptest::collection::vec(prop_oneof![4 => -9i8..9, 1 => Just(9i8)], 1..4000), columns in 0usize..2500,
            bad in proptest::option::of((0usize..4000, prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(-f32::NAN)])),
        ) {
            let mut values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let mut found = Vec::new();
            peaks(&values, &mut found);
            let want: Vec<f32> = values.chunks(BLOCK).map(|b| b.iter().copied().fold(f32::NEG_INFINITY, f32::max)).collect();
            prop_assert_eq!(found, want);

            let rows: Vec<&[f32]> = values.chunks_exact(columns.max(1)).collect();
            let (mut best, mut winners) = (vec![0.5], vec![3]);
            highest(&values, columns, &mut best, &mut winners);
            prop_assert_eq!(best.len(), columns);
            for (column, (&value, &winner)) in best.iter().zip(&winners).enumerate().filter(|_| !rows.is_empty()) {
                let first = rows.iter().position(|row| row[column] == value);
                prop_assert!(first == Some(winner as usize) && rows.iter().all(|row| row[column] <= value));
            }

            prop_assert!(finite(&values));
            prop_assert_eq!(probable(&values), values.iter().all(|v| (0.0..=1.0).contains(v)));
            if let Some((place, bad)) = bad {
                let place = place % values.len();
                values[place] = bad;
                prop_assert!(!finite(&values) && !probable(&values));
            }
        }
    }
}
