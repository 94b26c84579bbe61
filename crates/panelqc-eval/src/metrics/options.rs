use std::sync::Arc;

use panelqc::{Inspector, Judge, Manifest, OutputConfig, Policy, Task};

use super::detection::Protocol;

/// What results are measured by.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EvaluationOptions {
    /// What the model does: decides which numbers apply.
    pub task: Task,
    /// The manifest's `[output]`: the kinds, and the confidence from which a panel counts as called defective.
    pub output: OutputConfig,
    /// Tells which single defects keep a panel from passing.
    pub judge: Arc<dyn Judge>,
    /// When a detection is right. Default: [`Protocol::Coco`].
    pub protocol: Protocol,
}

impl EvaluationOptions {
    /// For results of a model with this manifest under its own confidences, by the protocol of COCO.
    pub fn new(manifest: &Manifest) -> Self {
        EvaluationOptions {
            task: manifest.task,
            output: manifest.output.clone(),
            judge: Arc::new(Policy::of_manifest(&manifest.output)),
            protocol: Protocol::Coco,
        }
    }

    /// The same under a policy, or another judge. Default: the manifest's confidences.
    #[must_use]
    pub fn with_judge(mut self, judge: impl Judge + 'static) -> Self {
        self.judge = Arc::new(judge);
        self
    }

    /// The same by another protocol, for example that of a format of data: `Protocol::from(DataFormat::Deeppcb)`.
    /// Default: [`Protocol::Coco`].
    #[must_use]
    pub fn with_protocol(mut self, protocol: impl Into<Protocol>) -> Self {
        self.protocol = protocol.into();
        self
    }
}

impl From<&Inspector> for EvaluationOptions {
    fn from(inspector: &Inspector) -> Self {
        EvaluationOptions { judge: Arc::clone(inspector.judge()), ..Self::new(inspector.model().manifest()) }
    }
}
