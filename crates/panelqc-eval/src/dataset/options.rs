use panelqc::Kind;

use super::Part;

/// What to read of a labelled set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Names that class folders of good panels may have besides `good` and `ok`: the manifest's
    /// [`good`](panelqc::OutputConfig::good). Default: none.
    pub good: Vec<Kind>,
    /// The part of the set. Default: all of a set without parts; of others `val`, `test` or `train`, the first that
    /// there is, and a note says so.
    pub part: Option<Part>,
}

impl ReadOptions {
    /// Class folders of these names hold good panels too. Default: none.
    #[must_use]
    pub fn with_good(mut self, good: impl Into<Vec<Kind>>) -> Self {
        self.good = good.into();
        self
    }

    /// Reads this part of the set. Default: `val`, `test` or `train`, the first that there is.
    #[must_use]
    pub fn with_part(mut self, part: Part) -> Self {
        self.part = Some(part);
        self
    }
}
