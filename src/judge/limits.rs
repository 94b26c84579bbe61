use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Confidence limits for one kind of defect, both in `0..=1`, `review <= fail`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// A defect of at least this confidence sends the panel to review.
    pub review: f32,
    /// A defect of at least this confidence fails the panel. Infinite, so never, for a kind that `[unknown]` is about.
    pub fail: f32,
}

impl Limits {
    /// Limits for a policy.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`](crate::ErrorKind::Argument) unless `0 <= review <= fail <= 1`.
    pub fn new(review: f32, fail: f32) -> Result<Self> {
        let limits = Limits { review, fail };
        match limits.problem() {
            Some(problem) => Err(Error::argument(problem)),
            None => Ok(limits),
        }
    }

    /// Why no policy can have these limits, if so.
    pub(super) fn problem(&self) -> Option<String> {
        let Limits { review, fail } = self;
        (!(0.0..=1.0).contains(review) || !(0.0..=1.0).contains(fail) || review > fail)
            .then(|| format!("expected 0 <= review <= fail <= 1, found review = {review}, fail = {fail}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_confidences_in_order() {
        assert_eq!(Limits::new(0.25, 0.25).unwrap(), Limits { review: 0.25, fail: 0.25 });
        for (review, fail) in [(0.5, 0.4), (-0.1, 0.5), (0.1, 1.1), (f32::NAN, 0.5), (0.1, f32::INFINITY)] {
            let error = Limits::new(review, fail).unwrap_err().to_string();
            assert_eq!(error, format!("expected 0 <= review <= fail <= 1, found review = {review}, fail = {fail}"));
        }
    }
}
