//! Readers of labelled data. Malformed labels are errors with file and line.

mod decisions;
mod deeppcb;
mod elpv;
mod split;

use crate::defect::Kind;
use crate::frame::PanelFiles;
use crate::geometry::PixelBox;
use crate::report::HtmlLabel;

pub use decisions::{Decision, Decisions};
pub use deeppcb::read_deeppcb;
pub use elpv::read_elpv;
pub use split::Split;

/// One labelled panel.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// Its files and id.
    pub files: PanelFiles,
    /// What a person says of it.
    pub label: Label,
}

/// What a person says of a panel.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Label {
    /// The defects on it; none on a good panel.
    Boxes(Vec<Truth>),
    /// How likely it is defective, in `0..=1`: defective above 0.5, sure at 0 and 1.
    Probability(f32),
}

impl Label {
    /// Whether the panel is defective.
    pub fn is_defective(&self) -> bool {
        match self {
            Label::Boxes(boxes) => !boxes.is_empty(),
            Label::Probability(p) => *p > 0.5,
        }
    }
}

impl From<&Label> for HtmlLabel {
    fn from(label: &Label) -> Self {
        let mut shown = HtmlLabel::new(label.is_defective());
        match label {
            Label::Boxes(truths) => shown.boxes = truths.iter().map(|t| (t.kind.clone(), t.bbox)).collect(),
            Label::Probability(p) => shown.text = Some(format!("defective with probability {p:.2}")),
        }
        shown
    }
}

/// A defect that a person marked.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// What it is.
    pub kind: Kind,
    /// Where it is, in pixels of the image.
    pub bbox: PixelBox,
}
