use serde::{Deserialize, Serialize};

/// How scores become probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Activation {
    /// They are probabilities already.
    #[default]
    None,
    /// Each by itself: `1 / (1 + exp(-x))`.
    Sigmoid,
    /// Together: `exp(x_k) / sum(exp(x))`.
    Softmax,
}

impl Activation {
    /// Writes the probabilities of `values` into `out`, which is emptied before.
    pub fn apply(self, values: impl Iterator<Item = f32>, out: &mut Vec<f32>) {
        out.clear();
        out.extend(values);
        let count = out.len();
        self.apply_to_planes(out, count, 1);
    }

    /// Makes probabilities of the scores of `kinds` kinds at `cells` cells each, kind by kind in `scores`.
    pub fn apply_to_planes(self, scores: &mut [f32], kinds: usize, cells: usize) {
        match self {
            Activation::None => {}
            Activation::Sigmoid => scores.iter_mut().for_each(|v| *v = sigmoid(*v)),
            Activation::Softmax => {
                for cell in 0..cells {
                    let places = || (cell..kinds * cells).step_by(cells);
                    let top = places().map(|at| scores[at]).fold(f32::NEG_INFINITY, f32::max);
                    let mut sum = 0.0;
                    for at in places() {
                        scores[at] = (scores[at] - top).exp();
                        sum += scores[at];
                    }
                    for at in places() {
                        scores[at] /= sum;
                    }
                }
            }
        }
    }
}

/// The logistic function.
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Its inverse, for a probability from 0 to 1.
pub(super) fn logit(probability: f32) -> f32 {
    (probability / (1.0 - probability)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_the_formulas() {
        let of = |activation: Activation| {
            let mut out = vec![7.0];
            activation.apply([0.0, 1.0, -1.0].into_iter(), &mut out);
            out
        };
        assert_eq!(of(Activation::None), [0.0, 1.0, -1.0]);
        let near = |got: Vec<f32>, want: [f32; 3]| got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near(of(Activation::Sigmoid), [0.5, 0.731_058_6, 0.268_941_4]));
        assert!(near(of(Activation::Softmax), [0.244_728_5, 0.665_241, 0.090_030_6]));
        assert!((logit(sigmoid(0.3)) - 0.3).abs() < 1e-6);
        // Two kinds at two cells: the cells do not know of each other.
        let mut planes = [0.0, 5.0, 0.0, 5.0];
        Activation::Softmax.apply_to_planes(&mut planes, 2, 2);
        assert_eq!(planes, [0.5; 4]);
    }
}
