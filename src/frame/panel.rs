use std::path::{Path, PathBuf};

use super::buffers::Buffers;
use super::limits::FrameLimits;
use super::pixels::{Frame, Pixels};
use crate::error::{Error, Result};

/// What gets one verdict: one or more pictures of the same product and, for models that compare, a picture of a
/// defect-free one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panel {
    id: String,
    frames: Vec<Frame>,
    reference: Option<Frame>,
}

impl Panel {
    /// A panel of one frame.
    pub fn new(id: impl Into<String>, frame: Frame) -> Self {
        Panel { id: id.into(), frames: vec![frame], reference: None }
    }

    /// A panel of several frames, judged together.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`](crate::ErrorKind::Argument) when there is no frame.
    pub fn from_frames(id: impl Into<String>, frames: Vec<Frame>) -> Result<Self> {
        let id = id.into();
        if frames.is_empty() {
            return Err(Error::argument(format!("panel {id}: expected at least one frame, found none")));
        }
        Ok(Panel { id, frames, reference: None })
    }

    /// A panel that no caller can make, to see what a defect of this library does.
    #[cfg(test)]
    pub(crate) fn without_frames(id: impl Into<String>) -> Self {
        Panel { id: id.into(), frames: Vec::new(), reference: None }
    }

    /// A panel from one image file, with the default limits; its id is the file's name without extension.
    ///
    /// # Errors
    /// As [`Frame::load`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        PanelFiles::new(path.as_ref()).load(&FrameLimits::default())
    }

    /// The same panel with the defect-free picture that each frame is compared with.
    #[must_use]
    pub fn with_reference(mut self, reference: Frame) -> Self {
        self.reference = Some(reference);
        self
    }

    /// Its name in results.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its pictures, at least one.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// The defect-free picture, if any.
    pub fn reference(&self) -> Option<&Frame> {
        self.reference.as_ref()
    }

    /// The pixels of all pictures.
    pub(super) fn into_pixels(self) -> impl Iterator<Item = Pixels> {
        self.frames.into_iter().chain(self.reference).map(Frame::into_pixels)
    }
}

/// A panel as files that are still to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PanelFiles {
    /// Its name in results.
    pub id: String,
    /// Image files, at least one.
    pub frames: Vec<PathBuf>,
    /// Image file of the defect-free picture.
    pub reference: Option<PathBuf>,
}

impl PanelFiles {
    /// A panel of one image file; its id is the file's name without extension.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let id = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        PanelFiles { id, frames: vec![path], reference: None }
    }

    /// Reads the files.
    ///
    /// # Errors
    /// As [`Frame::load`] and [`Panel::from_frames`].
    pub fn load(&self, limits: &FrameLimits) -> Result<Panel> {
        self.load_with(limits, &mut Buffers::default())
    }

    fn load_with(&self, limits: &FrameLimits, buffers: &mut Buffers) -> Result<Panel> {
        let mut load = |path: &PathBuf| Frame::load_with(path, limits, buffers);
        let frames = self.frames.iter().map(&mut load).collect::<Result<Vec<_>>>()?;
        let panel = Panel::from_frames(self.id.as_str(), frames)?;
        match &self.reference {
            Some(path) => Ok(panel.with_reference(load(path)?)),
            None => Ok(panel),
        }
    }
}

/// What a batch inspection takes: a panel in memory, or files that a worker reads when their turn comes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PanelInput {
    /// A panel in memory.
    Loaded(Panel),
    /// Files to be read.
    Files(PanelFiles),
    /// A panel that is known to be missing something before it is read, for example its reference: it takes its place
    /// in the results as an error.
    Missing {
        /// Its name in results.
        id: String,
        /// The image file.
        image: PathBuf,
        /// What was looked for.
        expected: String,
        /// What was there instead.
        found: String,
    },
}

impl PanelInput {
    /// The panel's name in results.
    pub fn id(&self) -> &str {
        match self {
            PanelInput::Loaded(panel) => panel.id(),
            PanelInput::Files(files) => &files.id,
            PanelInput::Missing { id, .. } => id,
        }
    }

    /// The first image file, where there is one.
    pub fn image(&self) -> Option<&Path> {
        match self {
            PanelInput::Loaded(panel) => panel.frames.first().and_then(Frame::source),
            PanelInput::Files(files) => files.frames.first().map(PathBuf::as_path),
            PanelInput::Missing { image, .. } => Some(image),
        }
    }

    /// The panel, read if it is not yet.
    ///
    /// # Errors
    /// As [`PanelFiles::load`].
    pub fn into_panel(self, limits: &FrameLimits) -> Result<Panel> {
        self.into_panel_with(limits, &mut Buffers::default())
    }

    pub(crate) fn into_panel_with(self, limits: &FrameLimits, buffers: &mut Buffers) -> Result<Panel> {
        match self {
            PanelInput::Loaded(panel) => Ok(panel),
            PanelInput::Files(files) => files.load_with(limits, buffers),
            PanelInput::Missing { image, expected, found, .. } => Err(Error::image(image.display(), expected, found)),
        }
    }
}

impl From<Panel> for PanelInput {
    fn from(panel: Panel) -> Self {
        PanelInput::Loaded(panel)
    }
}

impl From<PanelFiles> for PanelInput {
    fn from(files: PanelFiles) -> Self {
        PanelInput::Files(files)
    }
}

impl From<PathBuf> for PanelInput {
    fn from(path: PathBuf) -> Self {
        PanelInput::Files(PanelFiles::new(path))
    }
}

impl From<&Path> for PanelInput {
    fn from(path: &Path) -> Self {
        path.to_path_buf().into()
    }
}

impl From<&str> for PanelInput {
    fn from(path: &str) -> Self {
        PathBuf::from(path).into()
    }
}
