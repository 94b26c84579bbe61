use super::note::Note;
use super::{Part, Sample};

/// A labelled set as it was read. No two panels of it have the same id.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Dataset {
    /// The labelled panels.
    pub samples: Vec<Sample>,
    /// What whoever uses them should know.
    pub notes: Vec<Note>,
    /// The part of the set that they are; `None` for a set without parts.
    pub part: Option<Part>,
}

impl From<Vec<Sample>> for Dataset {
    /// Panels that were put together without a reader; nothing is checked.
    fn from(samples: Vec<Sample>) -> Self {
        Dataset { samples, ..Dataset::default() }
    }
}
