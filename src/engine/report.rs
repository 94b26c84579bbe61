use std::collections::BTreeMap;

use ndarray::Array2;
use serde::{Serialize, Serializer};

use super::frame_info::FrameInfo;
use super::line::Line;
use super::timings::Timings;
use super::trace::Trace;
use crate::defect::Defect;
use crate::geometry::Size;
use crate::judge::Verdict;

/// The result of a panel that was inspected. Its JSON form is a line of `results.jsonl`, as that of
/// [`PanelRecord`](crate::PanelRecord), which can be read back.
///
/// ```
/// # fn main() -> Result<(), &'static str> {
/// use panelqc::{Confidence, Defect, FrameInfo, PanelReport, PixelBox, Size, Trace, Verdict};
///
/// let confidence = Confidence::new(0.9).ok_or("it is not in 0..=1")?;
/// let scratch = Defect::new("scratch".into(), confidence, PixelBox::new(10.0, 20.0, 90.0, 24.0));
/// let report = PanelReport::new("panel 7", FrameInfo::new(Size::new(640, 480)), Trace::new("model", "manifest"))
///     .with_defects(vec![scratch])
///     .with_verdict(Verdict::Fail, vec!["scratch >= 0.80".to_owned()]);
/// assert_eq!((report.score, report.size()), (0.9, Size::new(640, 480)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PanelReport {
    /// Id of the panel.
    pub panel: String,
    /// The verdict.
    pub verdict: Verdict,
    /// What gave the verdict: rules and limits, and detections that were [lost](crate::Decoded::lost).
    pub reasons: Vec<String>,
    /// What was found, the most confident first in each frame.
    pub defects: Vec<Defect>,
    /// The highest confidence that the model gave to any defect, reported or not, in `0..=1`.
    pub score: f32,
    /// Time spent, in milliseconds.
    pub ms: Timings,
    /// The panel's tags, by key.
    pub tags: BTreeMap<String, String>,
    /// What the result was made with.
    pub trace: Trace,
    /// How anomalous each pixel (height, width) of each frame is, in `0..=1`, when the inspector
    /// [keeps](crate::InspectorBuilder::keep_maps) it. It is not written.
    pub maps: Vec<Array2<f32>>,
    /// What its frames were compared with; `None` where there was no reference.
    pub reference: Option<FrameInfo>,
    /// At least one.
    pub(super) frames: Vec<FrameInfo>,
}

impl PanelReport {
    /// A panel of one frame on which nothing was found, and which passes.
    pub fn new(panel: impl Into<String>, frame: FrameInfo, trace: Trace) -> Self {
        PanelReport {
            panel: panel.into(),
            verdict: Verdict::Pass,
            reasons: Vec::new(),
            defects: Vec::new(),
            score: 0.0,
            ms: Timings::default(),
            tags: BTreeMap::new(),
            trace,
            maps: Vec::new(),
            reference: None,
            frames: vec![frame],
        }
    }

    /// The same result of a panel with one more frame.
    #[must_use]
    pub fn with_frame(mut self, frame: FrameInfo) -> Self {
        self.frames.push(frame);
        self
    }

    /// The same result of a panel that was compared with this reference. Default: none.
    #[must_use]
    pub fn with_reference(mut self, reference: FrameInfo) -> Self {
        self.reference = Some(reference);
        self
    }

    /// The same result with a verdict and the rules that gave it. Default: pass, by no rule.
    #[must_use]
    pub fn with_verdict(mut self, verdict: Verdict, reasons: Vec<String>) -> Self {
        self.verdict = verdict;
        self.reasons = reasons;
        self
    }

    /// The same result with these defects; the score becomes their highest confidence. Default: none.
    #[must_use]
    pub fn with_defects(mut self, defects: Vec<Defect>) -> Self {
        self.score = defects.iter().map(|defect| defect.confidence.get()).fold(0.0, f32::max);
        self.defects = defects;
        self
    }

    /// The same result with another score, `0..=1`. Default: 0.
    #[must_use]
    pub fn with_score(mut self, score: f32) -> Self {
        self.score = score;
        self
    }

    /// The same result with the time that it took. Default: none.
    #[must_use]
    pub fn with_timings(mut self, ms: Timings) -> Self {
        self.ms = ms;
        self
    }

    /// The same result with a tag. Default: none.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// Its frames, at least one.
    pub fn frames(&self) -> &[FrameInfo] {
        &self.frames
    }

    /// The image file of the first frame, as it was given; `None` for a panel from memory.
    pub fn image(&self) -> Option<&str> {
        self.frames[0].image.as_deref()
    }

    /// Size of the first frame in pixels.
    pub fn size(&self) -> Size {
        self.frames[0].size
    }

    /// Sizes of all frames, for [`Policy::judge`](crate::Policy::judge).
    pub fn sizes(&self) -> Vec<Size> {
        self.frames.iter().map(|frame| frame.size).collect()
    }
}

impl Serialize for PanelReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Line::from(self).serialize(serializer)
    }
}
