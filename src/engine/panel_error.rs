use std::collections::BTreeMap;
use std::path::PathBuf;

use super::frame_info::FrameInfo;
use super::record::FailedPanel;
use super::trace::Trace;
use crate::error::Error;
use crate::frame::{Frame, Panel};

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
        PanelError { panel, image, error, tags, frames: Vec::new(), trace, given: None }
    }

    /// The same error of a panel that was given in memory.
    pub(super) fn with_panel(mut self, panel: Panel<'static>) -> Self {
        self = self.with_frames(panel.frames());
        self.given = Some(Box::new(panel));
        self
    }

    /// The same error of a panel with these frames.
    pub(super) fn with_frames(mut self, frames: &[Frame<'_>]) -> Self {
        self.frames = frames.iter().map(FrameInfo::from).collect();
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
            trace: self.trace.clone(),
        }
    }
}
