use panelqc::{PanelRecord, Verdict};
use serde::{Deserialize, Serialize};

use super::detection::Counts;
use crate::dataset::Sample;

/// The outcome of one labelled panel: enough to compare two models panel by panel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PanelOutcome {
    /// Its id.
    pub id: String,
    /// What the label says.
    pub defective: bool,
    /// The model's score; `None` when it could not be inspected.
    pub score: Option<f32>,
    /// The policy's verdict.
    pub verdict: Verdict,
    /// Whether the score is on the right side of the manifest's confidence; false when it could not be inspected.
    pub right: bool,
    /// Detections at the F-score's confidence; `None` unless the model detects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
}

impl PanelOutcome {
    /// That of `record`, called defective from `confidence` on.
    pub(super) fn new(sample: &Sample, record: &PanelRecord, confidence: f32, counts: Option<Counts>) -> Self {
        let defective = sample.label.is_defective();
        PanelOutcome {
            id: sample.files.id.clone(),
            defective,
            score: record.score(),
            verdict: record.verdict(),
            right: record.score().is_some_and(|score| (score >= confidence) == defective),
            counts,
        }
    }
}
