use super::oriented;
use super::proposals::Candidate;

/// How candidates suppress each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Suppression {
    /// Greedy non-maximum suppression: the most confident is kept, and a box is dropped when it overlaps a kept one of
    /// the same kind by more than `iou`, or one of any kind by more than `iou_across`.
    Greedy,
    /// Of turned boxes: one is dropped when any more confident one of its kind overlaps it by more than `iou`, also one
    /// that is dropped itself (fast NMS, Bolya et al. 2019), as Ultralytics does; the same across kinds.
    Turned,
    /// The graph has done it for each view; where a frame has several, greedily between them.
    InGraph,
}

/// Drops candidates, and leaves the others most confident first.
pub(super) fn suppress(
    candidates: &mut Vec<Candidate>,
    how: Suppression,
    several_views: bool,
    iou: f32,
    across: Option<f32>,
) {
    most_confident_first(candidates);
    match how {
        Suppression::Greedy => greedy(candidates, iou, across),
        Suppression::Turned => oriented::suppress(candidates, iou, across),
        Suppression::InGraph if several_views => greedy(candidates, iou, across),
        Suppression::InGraph => {}
    }
}

/// The most confident first; ties by view, then by rank: no two are equal.
pub(super) fn most_confident_first(candidates: &mut [Candidate]) {
    candidates.sort_unstable_by(|a, b| {
        b.confidence.total_cmp(&a.confidence).then(a.view.cmp(&b.view)).then(a.rank.cmp(&b.rank))
    });
}

/// Greedy suppression of candidates in order.
fn greedy(candidates: &mut Vec<Candidate>, iou: f32, across: Option<f32>) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::PixelBox;
    use proptest::prelude::*;

    fn candidate(confidence: f32, kind: usize, rank: usize, x: f32) -> Candidate {
        Candidate::new(kind, confidence, PixelBox::new(x, 0.0, x + 10.0, 10.0)).with_rank(rank)
    }

    fn suppressed(all: &[Candidate], iou: f32, across: Option<f32>) -> Vec<Candidate> {
        let mut kept = all.to_vec();
        suppress(&mut kept, Suppression::Greedy, false, iou, across);
        kept
    }

    #[test]
    fn kinds_are_kept_apart_unless_told_otherwise() {
        let all = vec![candidate(0.9, 0, 0, 0.0), candidate(0.8, 0, 1, 1.0), candidate(0.7, 1, 2, 1.0)];
        let kept = |across| suppressed(&all, 0.5, across).iter().map(|c| c.rank).collect::<Vec<_>>();
        assert_eq!(kept(None), [0, 2]);
        assert_eq!(kept(Some(0.6)), [0]);
        assert_eq!(kept(Some(0.9)), [0, 2]);
    }

    #[test]
    fn ties_go_by_rank() {
        let all = vec![candidate(0.5, 1, 9, 0.0), candidate(0.5, 0, 4, 50.0), candidate(0.5, 0, 3, 100.0)];
        let order: Vec<_> = suppressed(&all, 0.5, None).iter().map(|c| c.rank).collect();
        assert_eq!(order, [3, 4, 9]);
    }

    #[test]
    fn what_a_graph_suppressed_is_suppressed_between_views_only() {
        let mut all = vec![candidate(0.9, 0, 0, 0.0), candidate(0.8, 0, 1, 1.0)];
        suppress(&mut all, Suppression::InGraph, false, 0.5, None);
        assert_eq!(all.len(), 2);
        suppress(&mut all, Suppression::InGraph, true, 0.5, None);
        assert_eq!(all.len(), 1);
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
