use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::limits::FrameLimits;
use super::picture::Frame;
use super::samples::Samples;
use super::scratch::FrameScratch;
use super::walk::stem;
use crate::error::{Error, ErrorKind, Result};

/// What gets one verdict: one or more frames of the same product and, for models that compare, the reference: a frame
/// of a defect-free one. What is inspected in the background takes a `Panel<'static>`.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel<'a> {
    id: String,
    frames: Vec<Frame<'a>>,
    reference: Option<Frame<'a>>,
    tags: BTreeMap<String, String>,
}

impl<'a> Panel<'a> {
    /// A panel of one frame.
    pub fn new(id: impl Into<String>, frame: Frame<'a>) -> Self {
        Panel { id: id.into(), frames: vec![frame], reference: None, tags: BTreeMap::new() }
    }

    /// A panel of several frames, judged together.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`](crate::ErrorKind::Argument) when there is no frame.
    pub fn from_frames(id: impl Into<String>, frames: Vec<Frame<'a>>) -> Result<Self> {
        let id = id.into();
        if frames.is_empty() {
            return Err(Error::argument(format!("panel {id}: expected at least one frame, found none")));
        }
        Ok(Panel { id, frames, reference: None, tags: BTreeMap::new() })
    }

    /// A panel that no caller can make, to see what a defect of this library does.
    #[cfg(test)]
    pub(crate) fn without_frames(id: impl Into<String>) -> Self {
        Panel { id: id.into(), frames: Vec::new(), reference: None, tags: BTreeMap::new() }
    }

    /// The same panel with the reference that each frame is compared with.
    #[must_use]
    pub fn with_reference(mut self, reference: Frame<'a>) -> Self {
        self.reference = Some(reference);
        self
    }

    /// The same panel with a tag for its result, for example `lot` and `A-1042`. A key that is already there gets the
    /// new value.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// Its name in results.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its frames, at least one.
    pub fn frames(&self) -> &[Frame<'a>] {
        &self.frames
    }

    /// The reference, if any.
    pub fn reference(&self) -> Option<&Frame<'a>> {
        self.reference.as_ref()
    }

    /// Its tags, by key.
    pub fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }

    /// The same panel without borrowed memory; only borrowed pixels are copied.
    pub fn into_owned(self) -> Panel<'static> {
        let frames = self.frames.into_iter().map(Frame::into_owned).collect();
        Panel { id: self.id, frames, reference: self.reference.map(Frame::into_owned), tags: self.tags }
    }

    /// The samples of all frames.
    pub(super) fn into_samples(self) -> impl Iterator<Item = Samples<'a>> {
        self.frames.into_iter().chain(self.reference).map(Frame::into_samples)
    }
}

impl Panel<'static> {
    /// A panel from one image file, with the default limits; its id is the file's name without extension.
    ///
    /// # Errors
    /// As [`Frame::load`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        PanelFiles::new(path.as_ref()).load(&FrameLimits::default())
    }
}

/// A panel as files that are still to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PanelFiles {
    /// Its name in results.
    pub id: String,
    /// Image files, at least one.
    pub frames: Vec<PathBuf>,
    /// Image file of the reference. Default: none.
    pub reference: Option<PathBuf>,
    /// Tags for its result, by key. Default: none.
    pub tags: BTreeMap<String, String>,
}

impl PanelFiles {
    /// A panel of one image file; its id is the file's name without extension.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self::from_files(stem(&path), vec![path])
    }

    /// A panel of several image files, judged together.
    pub fn from_files(id: impl Into<String>, frames: Vec<PathBuf>) -> Self {
        PanelFiles { id: id.into(), frames, reference: None, tags: BTreeMap::new() }
    }

    /// The same panel with the image file of the reference that each frame is compared with.
    #[must_use]
    pub fn with_reference(mut self, reference: impl Into<PathBuf>) -> Self {
        self.reference = Some(reference.into());
        self
    }

    /// The same panel with a tag for its result, as [`Panel::with_tag`].
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// Reads the files.
    ///
    /// # Errors
    /// As [`Frame::load`] and [`Panel::from_frames`].
    pub fn load(&self, limits: &FrameLimits) -> Result<Panel<'static>> {
        Ok(self.load_with(limits, None, &mut FrameScratch::default())?)
    }

    fn load_with(
        &self,
        limits: &FrameLimits,
        white: Option<u16>,
        scratch: &mut FrameScratch,
    ) -> Result<Panel<'static>, Unread> {
        let mut load = |path: &PathBuf| match Frame::load_with(path, limits, scratch) {
            Ok(frame) => Ok(frame.whitened(white)),
            Err(error) => Err((error, scratch.sha256.take())),
        };
        let mut frames: Vec<Frame<'static>> = Vec::with_capacity(self.frames.len());
        for path in &self.frames {
            match load(path) {
                Ok(frame) => frames.push(frame),
                Err((error, sha256)) => {
                    let image = frames.first().map_or(sha256, |first| first.sha256().cloned());
                    return Err(Unread { error, image, reference: None });
                }
            }
        }
        let mut panel = Panel::from_frames(self.id.as_str(), frames)?;
        panel.tags.clone_from(&self.tags);
        match self.reference.as_ref().map(load) {
            None => Ok(panel),
            Some(Ok(reference)) => Ok(panel.with_reference(reference)),
            Some(Err((error, reference))) => Err(Unread { error, image: panel.frames[0].sha256().cloned(), reference }),
        }
    }
}

/// Why a panel's files could not all be read, and the hashes of those that are what could not be used: so that it can
/// be told later whether they are still the same.
pub(crate) struct Unread {
    pub(crate) error: Error,
    /// Of the first image; `None` where it could not be read to its end.
    pub(crate) image: Option<Arc<str>>,
    /// Of the reference, likewise.
    pub(crate) reference: Option<Arc<str>>,
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        Unread { error, image: None, reference: None }
    }
}

impl From<Unread> for Error {
    fn from(unread: Unread) -> Self {
        unread.error
    }
}

/// What a batch inspection takes: a panel in memory, or files that a worker reads when their turn comes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PanelInput {
    /// A panel in memory.
    Loaded(Panel<'static>),
    /// Files to be read.
    Files(PanelFiles),
    /// A panel that is known to lack something before it is read, for example its reference: it takes its place in the
    /// results as an error.
    Missing {
        /// Its name in results.
        id: String,
        /// The image file.
        image: PathBuf,
        /// What is wrong with it, most often [`ErrorKind::MissingReference`].
        kind: ErrorKind,
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

    /// The panel's tags, by key.
    pub fn tags(&self) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        match self {
            PanelInput::Loaded(panel) => panel.tags(),
            PanelInput::Files(files) => &files.tags,
            PanelInput::Missing { .. } => &NONE,
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
    pub fn into_panel(self, limits: &FrameLimits) -> Result<Panel<'static>> {
        Ok(self.into_panel_with(limits, None, &mut FrameScratch::default())?)
    }

    /// The same in reused memory; what is read from files has this `white`, where a manifest states one.
    pub(crate) fn into_panel_with(
        self,
        limits: &FrameLimits,
        white: Option<u16>,
        scratch: &mut FrameScratch,
    ) -> Result<Panel<'static>, Unread> {
        match self {
            PanelInput::Loaded(panel) => Ok(panel),
            PanelInput::Files(files) => files.load_with(limits, white, scratch),
            PanelInput::Missing { image, kind, expected, found, .. } => {
                Err(Error::image(image.display(), expected, found).with_kind(kind).into())
            }
        }
    }
}

impl From<Panel<'static>> for PanelInput {
    fn from(panel: Panel<'static>) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;
    use crate::geometry::Size;

    #[test]
    fn tags_go_from_files_into_the_panel() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        image::GrayImage::new(2, 2).save(&path).unwrap();
        let files = PanelFiles::new(&path).with_tag("lot", "7").with_tag("lot", "8").with_tag("at", "12:00");
        let input = PanelInput::from(files);
        let tags = |tags: &BTreeMap<String, String>| format!("{tags:?}");
        let panel = input.clone().into_panel(&FrameLimits::default()).unwrap();
        assert_eq!(tags(input.tags()), r#"{"at": "12:00", "lot": "8"}"#);
        assert_eq!(tags(panel.tags()), tags(input.tags()));
    }

    #[test]
    fn a_borrowed_panel_can_be_kept() {
        let kept = {
            let pixels = vec![1u8, 2, 3, 4];
            let frame = || Frame::new(Size::new(2, 2), PixelFormat::Mono8, &pixels).unwrap();
            Panel::new("a", frame()).with_reference(frame()).with_tag("lot", "7").into_owned()
        };
        assert_eq!((kept.id(), kept.frames().len(), kept.reference().is_some()), ("a", 1, true));
        assert_eq!(PanelInput::from(kept).tags().len(), 1);
    }
}
