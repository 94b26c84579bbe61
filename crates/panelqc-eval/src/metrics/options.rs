use panelqc::{Inspector, Manifest, OutputConfig, Policy, Task};

use super::detection::Protocol;

/// What results are measured by.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EvaluationOptions {
    /// What the model does: decides which numbers apply.
    pub task: Task,
    /// The manifest's `[output]`: the kinds, and the confidence from which a panel counts as called defective.
    pub output: OutputConfig,
    /// Tells which single defects keep a panel from passing.
    pub policy: Policy,
    /// When a detection is right. Default: [`Protocol::Coco`].
    pub protocol: Protocol,
}

impl EvaluationOptions {
    /// For results of a model with this manifest under its own confidences, by the protocol of COCO.
    pub fn new(manifest: &Manifest) -> Self {
        EvaluationOptions {
            task: manifest.task,
            output: manifest.output.clone(),
            policy: Policy::of_manifest(&manifest.output),
            protocol: Protocol::Coco,
        }
    }

    /// The same under another policy. Default: the manifest's confidences.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
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
        Self::new(inspector.model().manifest()).with_policy(inspector.policy().clone())
    }
}
