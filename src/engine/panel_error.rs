use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::frame_info::FrameInfo;
use super::record::FailedPanel;
use super::report::PanelReport;
use super::trace::Trace;
use crate::error::Error;
use crate::frame::{Frame, Panel};

/// Hashes of a panel's first image and of its reference, as far as they were read.
pub(super) type Hashes = (Option<Arc<str>>, Option<Arc<str>>);

/// Why one panel could not be inspected.
#[derive(Debug, thiserror::Error)]
#[error("panel {panel}: {error}")]
#[non_exhaustive]
pub struct PanelError {
    /// Id of the panel.
    pub panel: String,
    /// Its first image file; `None` for a panel from memory.
    pub image: Option<PathBuf>,
    /// What went wrong.
    #[source]
    pub error: Error,
    /// The panel's tags, by key.
    pub tags: BTreeMap<String, String>,
    /// Its frames; empty where they could not all be read.
    pub frames: Vec<FrameInfo>,
    /// Its reference; `None` where there was none, or it could not be read.
    pub reference: Option<Box<FrameInfo>>,
    /// What it would have been inspected with.
    pub trace: Trace,
    given: Option<Box<Panel<'static>>>,
}

impl PanelError {
    pub(super) fn new(
        panel: String,
        image: Option<PathBuf>,
        tags: BTreeMap<String, String>,
        error: Error,
        trace: Trace,
    ) -> Self {
        PanelError { panel, image, error, tags, frames: Vec::new(), reference: None, trace, given: None }
    }

    /// The same error of a panel that was given in memory.
    pub(super) fn with_panel(mut self, panel: Panel<'static>) -> Self {
        self = self.with_files_of(&panel);
        self.given = Some(Box::new(panel));
        self
    }

    /// The same error of a panel whose frames and reference were read.
    pub(super) fn with_files_of(mut self, panel: &Panel<'_>) -> Self {
        self.frames = panel.frames().iter().map(FrameInfo::from).collect();
        self.reference = panel.reference().map(|reference| Box::new(reference.into()));
        let hash = |frame: Option<&Frame<'_>>| frame.and_then(|frame| frame.sha256().cloned());
        self.with_hashes((hash(panel.frames().first()), hash(panel.reference())))
    }

    /// The same error of a panel whose first image and reference have these hashes.
    pub(super) fn with_hashes(mut self, (image, reference): Hashes) -> Self {
        (self.trace.image, self.trace.reference) = (image, reference);
        self
    }

    /// The same error of a panel that was inspected before it came to it.
    pub(super) fn after(mut self, report: PanelReport) -> Self {
        (self.frames, self.trace) = (report.frames, report.trace);
        self.reference = report.reference.map(Box::new);
        self
    }

    /// The panel, where it was given in memory: its frames are not lost with the error.
    pub fn into_panel(self) -> Option<Panel<'static>> {
        self.given.map(|panel| *panel)
    }

    /// What the results keep of it.
    pub fn to_failed(&self) -> FailedPanel {
        FailedPanel {
            panel: self.panel.clone(),
            image: self.image.as_ref().map(|path| path.display().to_string()),
            error: self.error.to_string(),
            code: Some(self.error.kind().code().into()),
            tags: self.tags.clone(),
            frames: self.frames.clone(),
            reference: self.reference.as_deref().cloned(),
            trace: self.trace.clone(),
        }
    }
}
