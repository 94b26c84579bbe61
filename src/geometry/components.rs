use super::runs::{Span, Touch, connect};
use super::{Mask, Size};

impl Mask {
    /// The connected parts of the region (by sides or corners), in the order of their first pixel, column by column.
    pub fn components(&self) -> Vec<Mask> {
        self.parts(Touch::Corners).iter().map(|runs| Mask::from_runs(self.size(), runs)).collect()
    }

    /// The runs (x, first y, length in y) of each connected part, in the order of their first pixel, column by column.
    pub(super) fn parts(&self, touch: Touch) -> Vec<Vec<(u32, u32, u32)>> {
        let runs: Vec<(u32, u32, u32)> = self.runs().collect();
        let mut parents = Vec::new();
        connect(&runs, |&(x, y, n)| Span { line: x, from: y, to: y + n }, touch, &mut parents);
        let mut parts: Vec<Vec<(u32, u32, u32)>> = Vec::new();
        // The place of the part that begins with a run.
        let mut places = vec![0; runs.len()];
        for (i, run) in runs.into_iter().enumerate() {
            if parents[i] == i {
                places[i] = parts.len();
                parts.push(Vec::new());
            }
            parts[places[parents[i]]].push(run);
        }
        parts
    }

    /// Every pixel that is in one of `masks`, of the same image each.
    pub fn union<'a>(size: Size, masks: impl IntoIterator<Item = &'a Mask>) -> Mask {
        let mut runs: Vec<(u32, u32, u32)> = masks.into_iter().flat_map(Mask::runs).collect();
        runs.sort_unstable();
        let mut joined: Vec<(u32, u32, u32)> = Vec::new();
        for (x, y, n) in runs {
            match joined.last_mut().filter(|last| last.0 == x && last.1 + last.2 >= y) {
                Some(last) => last.2 = last.2.max(y + n - last.1),
                None => joined.push((x, y, n)),
            }
        }
        Mask::from_runs(size, &joined)
    }

    /// The mask of runs (x, first y, length in y) in their order, none of which overlap.
    pub(super) fn from_runs(size: Size, runs: &[(u32, u32, u32)]) -> Mask {
        let height = size.height;
        let mut counts = vec![0u32];
        let mut at = 0u64;
        for &(x, y, n) in runs {
            let start = u64::from(x) * u64::from(height) + u64::from(y);
            match counts.last_mut().filter(|_| start == at) {
                // A run that goes on in the next column.
                Some(last) if at > 0 => *last += n,
                _ => {
                    if at == 0 {
                        counts[0] = start as u32;
                    } else {
                        counts.push((start - at) as u32);
                    }
                    counts.push(n);
                }
            }
            at = start + u64::from(n);
        }
        let rest = size.area() - at;
        if at == 0 {
            counts[0] = rest as u32;
        } else if rest > 0 {
            counts.push(rest as u32);
        }
        Mask::from_counts(size, counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_touch_by_sides_or_corners() {
        // #.#..
        // .#..#
        // ....#
        let set = [(0, 0), (2, 0), (1, 1), (4, 1), (4, 2)];
        let parts = Mask::from_fn(Size::new(5, 3), |x, y| set.contains(&(x, y))).components();
        assert_eq!(parts.iter().map(Mask::area).collect::<Vec<_>>(), [3, 2]);
    }

    proptest! {
        #[test]
        fn parts_are_connected_apart_and_together_the_whole(bits in proptest::collection::vec(any::<bool>(), 63)) {
            let mask = Mask::from_fn(Size::new(9, 7), |x, y| bits[(y * 9 + x) as usize]);
            let parts = mask.components();
            prop_assert_eq!(Mask::union(Size::new(9, 7), &parts), mask.clone());
            prop_assert_eq!(parts.iter().map(Mask::area).sum::<u64>(), mask.area());
            // By flooding: the part of each pixel, the slow way.
            let mut label = vec![0usize; 63];
            let mut count = 0;
            for start in 0..63 {
                let (x, y) = (start / 7, start % 7);
                if label[start] > 0 || !bits[y * 9 + x] { continue; }
                count += 1;
                let mut open = vec![(x, y)];
                while let Some((x, y)) = open.pop() {
                    if label[x * 7 + y] > 0 || !bits[y * 9 + x] { continue; }
                    label[x * 7 + y] = count;
                    for nx in x.saturating_sub(1)..=(x + 1).min(8) {
                        for ny in y.saturating_sub(1)..=(y + 1).min(6) { open.push((nx, ny)); }
                    }
                }
            }
            prop_assert_eq!(parts.len(), count);
            for (i, part) in parts.iter().enumerate() {
                for (x, y, n) in part.runs() {
                    for y in y..y + n { prop_assert_eq!(label[x as usize * 7 + y as usize], i + 1); }
                }
            }
        }

        #[test]
        fn a_union_holds_what_either_holds(a in proptest::collection::vec(any::<bool>(), 30), b in proptest::collection::vec(any::<bool>(), 30)) {
            let of = |bits: &[bool]| Mask::from_fn(Size::new(6, 5), |x, y| bits[(y * 6 + x) as usize]);
            let both: Vec<bool> = a.iter().zip(&b).map(|(a, b)| *a || *b).collect();
            prop_assert_eq!(Mask::union(Size::new(6, 5), [&of(&a), &of(&b)]), of(&both));
        }
    }
}
