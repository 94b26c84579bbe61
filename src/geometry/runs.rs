/// Pixels of one line, a row or a column of an image: from `from` (included) to `to` (not included).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) line: u32,
    pub(crate) from: u32,
    pub(crate) to: u32,
}

/// Which pixels of neighbouring lines touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touch {
    /// Those that share a side.
    Sides,
    /// Those that share a side or a corner.
    Corners,
}

/// The connected parts of runs that are sorted by line and then by place, none of which overlap: afterwards `parents`
/// has for each run the first run of its part. Its memory is reused.
pub(crate) fn connect<R>(runs: &[R], span: impl Fn(&R) -> Span, touch: Touch, parents: &mut Vec<usize>) {
    let reach = u32::from(touch == Touch::Corners);
    parents.clear();
    parents.extend(0..runs.len());
    // The first run of the line before that may still touch.
    let mut before = 0;
    for (i, run) in runs.iter().map(&span).enumerate() {
        let over = |other: Span| {
            u64::from(other.line) + 1 < u64::from(run.line)
                || other.line < run.line && u64::from(other.to) + u64::from(reach) <= u64::from(run.from)
        };
        while before < i && over(span(&runs[before])) {
            before += 1;
        }
        for (j, other) in (before..i).zip(runs[before..].iter().map(&span)) {
            if other.line >= run.line || u64::from(other.from) >= u64::from(run.to) + u64::from(reach) {
                break;
            }
            let (a, b) = (root(parents, i), root(parents, j));
            parents[a.max(b)] = a.min(b);
        }
    }
    // A parent is never after its child, so that one pass leaves roots only.
    for i in 0..parents.len() {
        parents[i] = parents[parents[i]];
    }
}

fn root(parents: &mut [usize], mut at: usize) -> usize {
    while parents[at] != at {
        parents[at] = parents[parents[at]];
        at = parents[at];
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(runs: &[(u32, u32, u32)], touch: Touch) -> Vec<usize> {
        let mut parents = vec![7; 3];
        connect(runs, |&(line, from, to)| Span { line, from, to }, touch, &mut parents);
        parents
    }

    #[test]
    fn runs_are_connected_by_sides_or_also_by_corners() {
        // A corner between the first two, a side between the second and the third; the last is two lines away.
        let runs = [(0, 0, 2), (1, 2, 4), (2, 3, 9), (4, 3, 9)];
        assert_eq!(parts(&runs, Touch::Corners), [0, 0, 0, 3]);
        assert_eq!(parts(&runs, Touch::Sides), [0, 1, 1, 3]);
    }

    #[test]
    fn parts_that_meet_late_are_one() {
        // Two legs that a run on the last line joins.
        let runs = [(0, 0, 1), (0, 4, 5), (1, 0, 1), (1, 4, 5), (2, 0, 5)];
        assert_eq!(parts(&runs, Touch::Sides), [0, 0, 0, 0, 0]);
        assert_eq!(parts(&[], Touch::Sides), [0usize; 0]);
        assert_eq!(parts(&[(u32::MAX, 0, u32::MAX), (u32::MAX, 0, 1)], Touch::Corners), [0, 1], "no overflow");
    }
}
