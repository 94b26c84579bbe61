use crate::geometry::PixelBox;

/// A box that a detector proposes, before suppression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) confidence: f32,
    /// Place of its kind among the manifest's kinds.
    pub(super) kind: usize,
    /// Place of its cell in the graph's output: the last tie-breaker.
    pub(super) cell: usize,
    pub(super) bbox: PixelBox,
}

/// Greedy non-maximum suppression: the surest first (ties by kind, then by cell), and a box is dropped when it
/// overlaps a kept one of the same kind by more than `iou`, or one of any kind by more than `across`.
pub(super) fn suppress(candidates: &mut Vec<Candidate>, iou: f32, across: Option<f32>) {
    surest_first(candidates);
    // What is kept moves to the front.
    let mut kept = 0;
    for at in 0..candidates.len() {
        let candidate = candidates[at];
        let dropped = candidates[..kept].iter().any(|k| {
            let limit = match across {
                Some(across) if k.kind != candidate.kind => across,
                Some(across) => across.min(iou),
                None if k.kind == candidate.kind => iou,
                None => return false,
            };
            k.bbox.iou(&candidate.bbox) > limit
        });
        if !dropped {
            candidates[kept] = candidate;
            kept += 1;
        }
    }
    candidates.truncate(kept);
}

/// The surest first, ties by kind, then by cell: no two are equal.
pub(super) fn surest_first(candidates: &mut [Candidate]) {
    candidates.sort_unstable_by(|a, b| {
        b.confidence.total_cmp(&a.confidence).then(a.kind.cmp(&b.kind)).then(a.cell.cmp(&b.cell))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate(confidence: f32, kind: usize, cell: usize, x: f32) -> Candidate {
        Candidate { confidence, kind, cell, bbox: PixelBox::new(x, 0.0, x + 10.0, 10.0) }
    }

    fn suppressed(all: &[Candidate], iou: f32, across: Option<f32>) -> Vec<Candidate> {
        let mut kept = all.to_vec();
        suppress(&mut kept, iou, across);
        kept
    }

    #[test]
    fn kinds_are_kept_apart_unless_told_otherwise() {
        let all = vec![candidate(0.9, 0, 0, 0.0), candidate(0.8, 0, 1, 1.0), candidate(0.7, 1, 2, 1.0)];
        let kept = |across| suppressed(&all, 0.5, across).iter().map(|c| c.cell).collect::<Vec<_>>();
        assert_eq!(kept(None), [0, 2]);
        assert_eq!(kept(Some(0.6)), [0]);
        assert_eq!(kept(Some(0.9)), [0, 2]);
    }

    #[test]
    fn ties_go_by_kind_then_cell() {
        let all = vec![candidate(0.5, 1, 0, 0.0), candidate(0.5, 0, 9, 50.0), candidate(0.5, 0, 3, 100.0)];
        let order: Vec<_> = suppressed(&all, 0.5, None).iter().map(|c| c.cell).collect();
        assert_eq!(order, [3, 9, 0]);
    }

    proptest! {
        #[test]
        fn suppression_is_idempotent_and_independent_of_order(
            items in proptest::collection::vec((0f32..1.0, 0usize..3, 0f32..60.0), 0..30),
            iou in 0f32..1.0,
            across in proptest::option::of(0f32..1.0),
        ) {
            let all: Vec<_> = items.iter().enumerate().map(|(i, &(c, k, x))| candidate(c, k, i, x)).collect();
            let once = suppressed(&all, iou, across);
            prop_assert_eq!(&suppressed(&once, iou, across), &once);
            let mut reversed = all;
            reversed.reverse();
            prop_assert_eq!(&suppressed(&reversed, iou, across), &once);
        }
    }
}
