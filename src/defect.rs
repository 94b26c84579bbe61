use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::geometry::{Mask, PixelBox};

/// The name of a kind of defect, as the model's manifest gives it. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kind(Arc<str>);

impl Kind {
    /// A kind of that name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Kind(name.into())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Kind {
    fn from(name: &str) -> Self {
        Kind::new(name)
    }
}

impl std::borrow::Borrow<str> for Kind {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// How sure the model is, in `0..=1`. Never NaN.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f32")]
pub struct Confidence(f32);

impl Confidence {
    /// A confidence; `None` outside `0..=1`, and for NaN.
    pub fn new(value: f32) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Confidence(value))
    }

    /// The number, in `0..=1`.
    pub fn get(self) -> f32 {
        self.0
    }
}

impl TryFrom<f32> for Confidence {
    type Error = String;

    fn try_from(value: f32) -> Result<Self, String> {
        Confidence::new(value).ok_or_else(|| format!("expected a confidence from 0 to 1, found {value}"))
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// One defect on a panel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Defect {
    /// What it is.
    pub kind: Kind,
    /// How sure the model is.
    pub confidence: Confidence,
    /// The mean over its pixels, for models that give a number for each pixel; `confidence` is the highest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_confidence: Option<Confidence>,
    /// Where it is, in pixels of the source image.
    #[serde(rename = "box")]
    pub bbox: PixelBox,
    /// Its area in pixels: of the mask where there is one, otherwise of the box, rounded.
    pub area_px: u64,
    /// Its area in square millimetres; `None` when the pixel pitch is not known.
    pub area_mm2: Option<f64>,
    /// Its shape; `None` when the model gives boxes only.
    pub mask: Option<Mask>,
    /// The corners (x, y) of an oriented box, in source pixels, in the order top left, top right, bottom right, bottom
    /// left of the turned box; `box` is the upright one around them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corners: Option<[[f32; 2]; 4]>,
    /// Which frame of the panel it is on, from 0; `None` for a panel of one frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<usize>,
}

impl Defect {
    /// A defect without a mask; its area is that of the box.
    pub fn new(kind: Kind, confidence: Confidence, bbox: PixelBox) -> Self {
        let area_px = bbox.area().round() as u64;
        Defect {
            kind,
            confidence,
            mean_confidence: None,
            bbox,
            area_px,
            area_mm2: None,
            mask: None,
            corners: None,
            frame: None,
        }
    }

    /// The same defect with its shape; the area becomes that of the mask.
    #[must_use]
    pub fn with_mask(mut self, mask: Mask) -> Self {
        self.area_px = mask.area();
        self.mask = Some(mask);
        self
    }

    /// The same defect on that frame of a panel of several, from 0. Default: `None`, for a panel of one frame.
    #[must_use]
    pub fn on_frame(mut self, frame: usize) -> Self {
        self.frame = Some(frame);
        self
    }

    /// The same defect with the corners of its oriented box, in source pixels. Default: `None`, for an upright one.
    #[must_use]
    pub fn with_corners(mut self, corners: [[f32; 2]; 4]) -> Self {
        self.corners = Some(corners);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_between_0_and_1_are_confidences() {
        assert_eq!(Confidence::new(0.25).map(Confidence::get), Some(0.25));
        for bad in [-0.1, 1.1, f32::NAN, f32::INFINITY] {
            assert_eq!(Confidence::new(bad), None);
        }
        let read = |text: &str| serde_json::from_str::<Confidence>(text).map_err(|e| e.to_string());
        assert_eq!(read("0.25"), Ok(Confidence(0.25)));
        assert!(read("1.5").unwrap_err().starts_with("expected a confidence from 0 to 1, found 1.5"));
    }
}
