//! The fields of a line of `results.jsonl`, in their order.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::frame_info::FrameInfo;
use super::record::{FailedPanel, PanelRecord};
use super::report::PanelReport;
use super::timings::Timings;
use super::trace::Trace;
use crate::defect::Defect;
use crate::geometry::Size;
use crate::judge::Verdict;

/// Maximum number of frames in a line of an earlier version, which does not list them.
const MAX_FRAMES: usize = 4096;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Error,
}

/// A line that is written.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    panel: &'a str,
    image: Option<&'a str>,
    status: Status,
    verdict: Verdict,
    reasons: &'a [String],
    defects: &'a [Defect],
    score: Option<f32>,
    width: Option<u32>,
    height: Option<u32>,
    ms: Option<Timings>,
    trace: &'a Trace,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    frames: &'a [FrameInfo],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a FrameInfo>,
}

impl<'a> From<&'a PanelReport> for Line<'a> {
    fn from(report: &'a PanelReport) -> Self {
        let Size { width, height } = report.size();
        Line {
            panel: &report.panel,
            image: report.image(),
            status: Status::Ok,
            verdict: report.verdict,
            reasons: &report.reasons,
            defects: &report.defects,
            score: Some(report.score),
            width: Some(width),
            height: Some(height),
            ms: Some(report.ms),
            trace: &report.trace,
            error: None,
            code: None,
            frames: report.frames(),
            tags: &report.tags,
            reference: report.reference.as_ref(),
        }
    }
}

impl<'a> From<&'a FailedPanel> for Line<'a> {
    fn from(failed: &'a FailedPanel) -> Self {
        Line {
            panel: &failed.panel,
            image: failed.image.as_deref(),
            status: Status::Error,
            verdict: Verdict::Review,
            reasons: &[],
            defects: &[],
            score: None,
            width: None,
            height: None,
            ms: None,
            trace: &failed.trace,
            error: Some(&failed.error),
            code: failed.code.as_deref(),
            frames: &failed.frames,
            tags: &failed.tags,
            reference: failed.reference.as_ref(),
        }
    }
}

/// A line as it was read: what of it is there.
#[derive(Default)]
pub(super) struct ReadLine {
    panel: Option<String>,
    image: Option<String>,
    status: Option<Status>,
    verdict: Option<Verdict>,
    reasons: Option<Vec<String>>,
    defects: Option<Vec<Defect>>,
    score: Option<f32>,
    width: Option<u32>,
    height: Option<u32>,
    ms: Option<Timings>,
    trace: Option<Trace>,
    error: Option<String>,
    code: Option<String>,
    frames: Option<Vec<FrameInfo>>,
    tags: Option<BTreeMap<String, String>>,
    reference: Option<FrameInfo>,
}

impl ReadLine {
    pub(super) fn into_record(self) -> Result<PanelRecord, String> {
        let panel = given(self.panel, "panel")?;
        let trace = given(self.trace, "trace")?;
        let tags = self.tags.unwrap_or_default();
        let reference = self.reference;
        if let Status::Error = given(self.status, "status")? {
            let (error, frames) = (given(self.error, "error")?, self.frames.unwrap_or_default());
            let (image, code) = (self.image, self.code);
            let failed = FailedPanel { panel, image, error, code, tags, frames, reference, trace };
            return Ok(PanelRecord::Failed(failed));
        }
        let defects = given(self.defects, "defects")?;
        let score = given(self.score, "score")?;
        if !(0.0..=1.0).contains(&score) {
            return Err(format!("`score`: expected a number from 0 to 1, found {score}"));
        }
        // One at least.
        let used = defects.iter().filter_map(|defect| defect.frame).max().map_or(1, |last| last.saturating_add(1));
        let frames = match self.frames {
            Some(frames) => frames,
            // An earlier version: of other frames than the first it does not tell more than that they are there.
            None => {
                let size = Size::new(given(self.width, "width")?, given(self.height, "height")?);
                let more = FrameInfo::new(size);
                let first = FrameInfo { image: self.image, sha256: trace.image.clone(), ..more.clone() };
                let more = std::iter::repeat_n(more, used.min(MAX_FRAMES) - 1);
                std::iter::once(first).chain(more).collect()
            }
        };
        if used > frames.len() {
            return Err(format!("`frames`: expected at least {used} of them, found {}", frames.len()));
        }
        if let Some(empty) = frames.iter().find(|frame| frame.size.is_empty()) {
            return Err(format!("`frames`: expected at least one pixel, found a frame of {}", empty.size));
        }
        for defect in &defects {
            let size = frames[defect.frame.unwrap_or(0)].size;
            if let Some(mask) = defect.mask.as_ref().filter(|mask| mask.size() != size) {
                return Err(format!("`defects`: expected a mask of its frame, {size}, found one of {}", mask.size()));
            }
        }
        Ok(PanelRecord::Inspected(PanelReport {
            panel,
            verdict: given(self.verdict, "verdict")?,
            reasons: self.reasons.unwrap_or_default(),
            defects,
            score,
            ms: given(self.ms, "ms")?,
            tags,
            trace,
            maps: Vec::new(),
            reference,
            frames,
        }))
    }
}

fn given<T>(value: Option<T>, name: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("missing field `{name}`"))
}

impl<'de> Deserialize<'de> for ReadLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LineVisitor)
    }
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = ReadLine;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the result of a panel")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ReadLine, A::Error> {
        let mut line = ReadLine::default();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let map = &mut map;
            match &*key {
                "panel" => line.panel = named(map, &key)?,
                "image" => line.image = named(map, &key)?,
                "status" => line.status = named(map, &key)?,
                "verdict" => line.verdict = named(map, &key)?,
                "reasons" => line.reasons = named(map, &key)?,
                "defects" => line.defects = named(map, &key)?,
                "score" => line.score = named(map, &key)?,
                "width" => line.width = named(map, &key)?,
                "height" => line.height = named(map, &key)?,
                "ms" => line.ms = named(map, &key)?,
                "trace" => line.trace = named(map, &key)?,
                "error" => line.error = named(map, &key)?,
                "code" => line.code = named(map, &key)?,
                "frames" => line.frames = named(map, &key)?,
                "tags" => line.tags = named(map, &key)?,
                "reference" => line.reference = named(map, &key)?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(line)
    }
}

/// The value of a field; an error in it names the field, which those of `serde` do not.
fn named<'de, A: MapAccess<'de>, T: Deserialize<'de>>(map: &mut A, name: &str) -> Result<T, A::Error> {
    map.next_value().map_err(|e| A::Error::custom(format_args!("`{name}`: {e}")))
}

#[cfg(test)]
mod tests;
