use panelqc::{Defect, Kind, Mask, PanelRecord, PixelBox, Result, Timings, Verdict};
use serde::Serialize;
use serde_json::Value;

use super::{HtmlLabel, internal};

/// Masks have at most this long edge, in pixels: they are laid over pictures that have hardly more.
const MASK_EDGE: u32 = 320;
/// Defects per panel that go onto the page, most confident first.
const MAX_DEFECTS: usize = 100;

/// What the page says about a panel: what its line in the results says, shortened, and without the hashes that all
/// panels share.
#[derive(Serialize)]
pub(super) struct ShownRecord<'a> {
    defects: Vec<ShownDefect<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    height: Option<u32>,
    image: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<Value>,
    /// Defects that are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<usize>,
    ms: Option<Timings>,
    panel: &'a str,
    reasons: &'a [String],
    score: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<&'a str>,
    status: &'static str,
    verdict: Verdict,
    width: Option<u32>,
}

#[derive(Serialize)]
struct ShownDefect<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    area_mm2: Option<f64>,
    area_px: u64,
    #[serde(rename = "box")]
    bbox: PixelBox,
    confidence: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    corners: Option<[[f32; 2]; 4]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<usize>,
    kind: &'a Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    mask: Option<Mask>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_confidence: Option<f32>,
}

impl<'a> ShownRecord<'a> {
    pub(super) fn new(record: &'a PanelRecord, label: Option<&HtmlLabel>) -> Result<Self> {
        let defects = record.defects();
        let size = record.report().map(|report| report.size());
        Ok(ShownRecord {
            defects: defects.iter().take(MAX_DEFECTS).map(ShownDefect::new).collect(),
            error: record.error(),
            height: size.map(|size| size.height),
            image: record.image(),
            label: label.map(serde_json::to_value).transpose().map_err(internal)?,
            more: defects.len().checked_sub(MAX_DEFECTS).filter(|&more| more > 0),
            ms: record.ms(),
            panel: record.panel(),
            reasons: record.reasons(),
            score: record.score(),
            sha256: record.trace().image.as_deref(),
            status: if record.is_inspected() { "ok" } else { "error" },
            verdict: record.verdict(),
            width: size.map(|size| size.width),
        })
    }
}

impl<'a> ShownDefect<'a> {
    fn new(defect: &'a Defect) -> Self {
        ShownDefect {
            area_mm2: defect.area_mm2,
            area_px: defect.area_px,
            bbox: defect.bbox,
            confidence: defect.confidence.get(),
            corners: defect.corners,
            frame: defect.frame,
            kind: &defect.kind,
            mask: defect.mask.as_ref().map(|mask| mask.shrink(MASK_EDGE)),
            mean_confidence: defect.mean_confidence.map(|confidence| confidence.get()),
        }
    }
}
