use serde::{Deserialize, Serialize};

/// Milliseconds of work for one panel, of all its frames together. In a batch the model's time is divided evenly.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Timings {
    /// Reading, hashing and decoding the image files.
    pub decode: f64,
    /// From pixels to the input tensor.
    pub preprocess: f64,
    /// The model.
    pub infer: f64,
    /// From outputs to defects and verdict.
    pub postprocess: f64,
}

impl Timings {
    /// Timings of these milliseconds.
    pub const fn new(decode: f64, preprocess: f64, infer: f64, postprocess: f64) -> Self {
        Timings { decode, preprocess, infer, postprocess }
    }

    /// The total.
    pub fn total(&self) -> f64 {
        self.decode + self.preprocess + self.infer + self.postprocess
    }
}
