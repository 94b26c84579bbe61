use std::collections::BTreeMap;

use panelqc::Kind;
use serde::Serialize;

use super::detection::Protocol;
use super::overlap::{Shape, Truths};

/// The name of what is no defect in a [`KindConfusion`] of detections.
const BACKGROUND: &str = "background";

/// What was taken for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KindConfusion {
    /// Names of the rows and columns.
    pub kinds: Vec<Kind>,
    /// `counts[truth][found]`.
    pub counts: Vec<Vec<u64>>,
}

impl KindConfusion {
    /// An empty one.
    fn new(kinds: Vec<Kind>) -> Self {
        let counts = vec![vec![0; kinds.len()]; kinds.len()];
        KindConfusion { kinds, counts }
    }

    fn place(&self, kind: &Kind) -> Option<usize> {
        self.kinds.iter().position(|k| k == kind)
    }

    /// Detections from `confidence` on against truths, as `protocol` says what overlaps enough; the last row and
    /// column, `background`, are false alarms (those on good images too) and misses. A detection, most confident first,
    /// takes the free truth of its own kind that it overlaps most; then what is left is paired across kinds.
    pub fn of_detections(images: &[Truths<'_>], kinds: &[Kind], protocol: Protocol, confidence: f32) -> Self {
        let mut matrix = KindConfusion::new(kinds.iter().cloned().chain([Kind::from(BACKGROUND)]).collect());
        let background = kinds.len();
        for image in images {
            let mut found = image.most_confident(|d| d.confidence.get() >= confidence);
            let mut open: Vec<_> = image.truth.iter().collect();
            for same in [true, false] {
                found.retain(|d| {
                    let near = |(i, t): (usize, &&crate::dataset::Truth)| {
                        let overlap = Shape::Box.overlap(t, d);
                        (protocol.accepts(overlap) && (!same || t.kind == d.kind)).then_some((i, overlap))
                    };
                    let best = open.iter().enumerate().filter_map(near).max_by(|a, b| a.1.total_cmp(&b.1));
                    let Some((i, _)) = best else { return true };
                    // A truth that is to be ignored swallows what finds it.
                    if !open[i].ignore {
                        if let (Some(row), Some(column)) = (matrix.place(&open[i].kind), matrix.place(&d.kind)) {
                            matrix.counts[row][column] += 1;
                        }
                        open.remove(i);
                    }
                    false
                });
            }
            for truth in open.iter().filter(|t| !t.ignore) {
                if let Some(row) = matrix.place(&truth.kind) {
                    matrix.counts[row][background] += 1;
                }
            }
            for d in found {
                if let Some(column) = matrix.place(&d.kind) {
                    matrix.counts[background][column] += 1;
                }
            }
        }
        matrix
    }

    /// Classes (truth, found) of images, in name order.
    pub fn of_classes(images: impl IntoIterator<Item = (Kind, Kind)>) -> Self {
        let pairs: Vec<(Kind, Kind)> = images.into_iter().collect();
        let mut kinds: Vec<Kind> = pairs.iter().flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
        kinds.sort();
        kinds.dedup();
        let mut matrix = KindConfusion::new(kinds);
        for (truth, found) in &pairs {
            if let (Some(row), Some(column)) = (matrix.place(truth), matrix.place(found)) {
                matrix.counts[row][column] += 1;
            }
        }
        matrix
    }

    /// Share on the diagonal; `None` of nothing.
    pub fn accuracy(&self) -> Option<f64> {
        let all: u64 = self.counts.iter().flatten().sum();
        let right: u64 = (0..self.kinds.len()).map(|i| self.counts[i][i]).sum();
        (all > 0).then(|| right as f64 / all as f64)
    }

    /// F1 = 2 TP / (2 TP + FP + FN) of each class that occurs.
    pub fn f1(&self) -> BTreeMap<Kind, f64> {
        let of = |(i, kind): (usize, &Kind)| {
            let row: u64 = self.counts[i].iter().sum();
            let column: u64 = self.counts.iter().map(|row| row[i]).sum();
            (row + column > 0).then(|| (kind.clone(), 2.0 * self.counts[i][i] as f64 / (row + column) as f64))
        };
        self.kinds.iter().enumerate().filter_map(of).collect()
    }

    /// The plain mean of [`f1`](Self::f1); `None` of nothing.
    pub fn macro_f1(&self) -> Option<f64> {
        let f1 = self.f1();
        (!f1.is_empty()).then(|| f1.values().sum::<f64>() / f1.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Truth;
    use panelqc::{Confidence, Defect, PixelBox};

    #[test]
    fn misses_false_alarms_and_mistaken_kinds() {
        let at = |x: f32| PixelBox::new(x, 0.0, x + 10.0, 10.0);
        let found = |kind: &str, c: f32, x: f32| Defect::new(kind.into(), Confidence::new(c).unwrap(), at(x));
        let truth = |kind: &str, x: f32| Truth::new(kind.into(), at(x));
        let kinds = ["a".into(), "b".into()];
        let images = [
            // The less confident `a` has the truth, not the more confident `b`; the `b` at 40 is called `a`; the `b` at
            // 80 is missed.
            Truths {
                truth: &[truth("a", 0.0), truth("b", 40.0), truth("b", 80.0)],
                found: &[found("b", 0.9, 1.0), found("a", 0.8, 0.0), found("a", 0.7, 41.0), found("b", 0.3, 80.0)],
            },
            Truths { truth: &[], found: &[found("a", 0.6, 0.0)] },
        ];
        let matrix = KindConfusion::of_detections(&images, &kinds, Protocol::Coco, 0.5);
        assert_eq!(matrix.counts, [[1, 0, 0], [1, 0, 1], [1, 1, 0]]);
    }

    #[test]
    fn f1_of_classes() {
        let pair = |a: &str, b: &str| (Kind::from(a), Kind::from(b));
        let matrix = KindConfusion::of_classes([pair("a", "a"), pair("a", "b"), pair("b", "b"), pair("good", "good")]);
        assert_eq!(matrix.accuracy(), Some(0.75));
        let f1: Vec<f64> = matrix.f1().into_values().collect();
        assert_eq!(f1, [2.0 / 3.0, 2.0 / 3.0, 1.0]);
        assert_eq!(KindConfusion::of_classes([]).macro_f1(), None);
    }
}
