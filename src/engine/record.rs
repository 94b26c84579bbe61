use std::collections::BTreeMap;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};

use super::frame_info::FrameInfo;
use super::line::{Line, ReadLine};
use super::panel_error::PanelError;
use super::report::PanelReport;
use super::timings::Timings;
use super::trace::Trace;
use crate::defect::Defect;
use crate::error::ErrorKind;
use crate::judge::Verdict;

/// What a line of `results.jsonl` holds: the result of one panel, or why there is none. It is read back from the same
/// form, including lines of earlier versions; unknown fields are ignored.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use panelqc::{FrameInfo, PanelRecord, PanelReport, Size, Trace};
///
/// let record = PanelRecord::from(PanelReport::new("a", FrameInfo::new(Size::new(8, 6)), Trace::new("m", "f")));
/// let line = serde_json::to_string(&record)?;
/// assert_eq!(serde_json::from_str::<PanelRecord>(&line)?, record);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum PanelRecord {
    /// It was inspected.
    Inspected(PanelReport),
    /// It could not be inspected.
    Failed(FailedPanel),
}

/// A panel that could not be inspected, as the results store it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FailedPanel {
    /// Id of the panel.
    pub panel: String,
    /// Its first image file, as it was given (bytes that are not UTF-8 replaced); `None` for a panel from memory.
    pub image: Option<String>,
    /// What went wrong, in words.
    pub error: String,
    /// [`ErrorKind::code`] of the error; `None` where the version that wrote the result did not store it.
    pub code: Option<String>,
    /// The panel's tags, by key.
    pub tags: BTreeMap<String, String>,
    /// Its frames; empty where they could not all be read.
    pub frames: Vec<FrameInfo>,
    /// Its reference; `None` where there was none, or it could not be read.
    pub reference: Option<FrameInfo>,
    /// What it would have been inspected with.
    pub trace: Trace,
}

impl FailedPanel {
    /// A panel from memory that could not be inspected.
    pub fn new(panel: impl Into<String>, kind: ErrorKind, error: impl Into<String>, trace: Trace) -> Self {
        FailedPanel {
            panel: panel.into(),
            image: None,
            error: error.into(),
            code: Some(kind.code().to_owned()),
            tags: BTreeMap::new(),
            frames: Vec::new(),
            reference: None,
            trace,
        }
    }

    /// The same panel with its first image file. Default: from memory.
    #[must_use]
    pub fn with_image(mut self, image: impl Into<String>) -> Self {
        self.image = Some(image.into());
        self
    }

    /// The same panel with a tag. Default: none.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// The same panel with one more frame that was read. Default: none.
    #[must_use]
    pub fn with_frame(mut self, frame: FrameInfo) -> Self {
        self.frames.push(frame);
        self
    }

    /// What went wrong, for a program; `None` where the line has no code, or one that this version does not know.
    pub fn kind(&self) -> Option<ErrorKind> {
        self.code.as_deref().and_then(ErrorKind::from_code)
    }
}

impl PanelRecord {
    /// Id of the panel.
    pub fn panel(&self) -> &str {
        match self {
            PanelRecord::Inspected(report) => &report.panel,
            PanelRecord::Failed(failed) => &failed.panel,
        }
    }

    /// Its first image file, as it was given; `None` for a panel from memory.
    pub fn image(&self) -> Option<&str> {
        match self {
            PanelRecord::Inspected(report) => report.image(),
            PanelRecord::Failed(failed) => failed.image.as_deref(),
        }
    }

    /// Whether it was inspected.
    pub fn is_inspected(&self) -> bool {
        matches!(self, PanelRecord::Inspected(_))
    }

    /// The result, of a panel that was inspected.
    pub fn report(&self) -> Option<&PanelReport> {
        if let PanelRecord::Inspected(report) = self { Some(report) } else { None }
    }

    /// Why there is no result.
    pub fn failed(&self) -> Option<&FailedPanel> {
        if let PanelRecord::Failed(failed) = self { Some(failed) } else { None }
    }

    /// The verdict; a panel that could not be inspected is for review.
    pub fn verdict(&self) -> Verdict {
        self.report().map_or(Verdict::Review, |report| report.verdict)
    }

    /// The rules that gave the verdict; none for a panel that could not be inspected.
    pub fn reasons(&self) -> &[String] {
        self.report().map_or(&[], |report| &report.reasons)
    }

    /// What was found; nothing on a panel that could not be inspected.
    pub fn defects(&self) -> &[Defect] {
        self.report().map_or(&[], |report| &report.defects)
    }

    /// The highest confidence of any defect, in `0..=1`; `None` when it was not inspected.
    pub fn score(&self) -> Option<f32> {
        self.report().map(|report| report.score)
    }

    /// The time it took; `None` when it was not inspected.
    pub fn ms(&self) -> Option<Timings> {
        self.report().map(|report| report.ms)
    }

    /// Its frames; at least one when it was inspected.
    pub fn frames(&self) -> &[FrameInfo] {
        match self {
            PanelRecord::Inspected(report) => report.frames(),
            PanelRecord::Failed(failed) => &failed.frames,
        }
    }

    /// Its reference, where there was one and it could be read.
    pub fn reference(&self) -> Option<&FrameInfo> {
        match self {
            PanelRecord::Inspected(report) => report.reference.as_ref(),
            PanelRecord::Failed(failed) => failed.reference.as_ref(),
        }
    }

    /// The panel's tags, by key.
    pub fn tags(&self) -> &BTreeMap<String, String> {
        match self {
            PanelRecord::Inspected(report) => &report.tags,
            PanelRecord::Failed(failed) => &failed.tags,
        }
    }

    /// What the result was made with.
    pub fn trace(&self) -> &Trace {
        match self {
            PanelRecord::Inspected(report) => &report.trace,
            PanelRecord::Failed(failed) => &failed.trace,
        }
    }

    /// Why it could not be inspected; `None` when it was.
    pub fn error(&self) -> Option<&str> {
        self.failed().map(|failed| failed.error.as_str())
    }
}

impl From<PanelReport> for PanelRecord {
    fn from(report: PanelReport) -> Self {
        PanelRecord::Inspected(report)
    }
}

impl From<FailedPanel> for PanelRecord {
    fn from(failed: FailedPanel) -> Self {
        PanelRecord::Failed(failed)
    }
}

impl From<&PanelError> for PanelRecord {
    fn from(error: &PanelError) -> Self {
        PanelRecord::Failed(error.to_failed())
    }
}

impl From<PanelError> for PanelRecord {
    fn from(error: PanelError) -> Self {
        PanelRecord::from(&error)
    }
}

impl From<Result<PanelReport, PanelError>> for PanelRecord {
    fn from(result: Result<PanelReport, PanelError>) -> Self {
        result.map_or_else(PanelRecord::from, PanelRecord::from)
    }
}

impl Serialize for PanelRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            PanelRecord::Inspected(report) => Line::from(report),
            PanelRecord::Failed(failed) => Line::from(failed),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PanelRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ReadLine::deserialize(deserializer)?.into_record().map_err(serde::de::Error::custom)
    }
}
