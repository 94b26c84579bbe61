//! Readers of labelled data. Malformed labels are errors with file and line; what is left out or mended is a [`Note`].

mod coco;
mod collector;
mod decisions;
mod deeppcb;
mod elpv;
mod folders;
mod format;
mod locate;
mod masks;
mod mvtec;
mod note;
mod options;
mod part;
mod scored;
mod set;
mod split;
mod stored;
#[cfg(test)]
mod testing;
mod text;
mod truth;
mod visa;
mod voc;
mod xml;
mod yaml;
mod yolo;

use std::collections::BTreeSet;
use std::path::Path;

use image::ImageDecoder;
use image::metadata::Orientation;
use panelqc::{Error, Kind, PanelFiles, Result};
use serde_json::value::RawValue;

pub use coco::read_coco;
pub use decisions::{Decision, Decisions};
pub use deeppcb::{read_deeppcb, templates};
pub use elpv::read_elpv;
pub use folders::read_folders;
pub use format::{DataFormat, read};
pub use mvtec::read_mvtec;
pub use note::{Note, NoteKind};
pub use options::ReadOptions;
pub use part::Part;
pub use scored::{FLOOR, data_sha256, fail_scores, same_images, scored_panels, verdict};
pub use set::Dataset;
pub use split::Split;
pub use stored::read_results;
pub use truth::Truth;
pub use voc::read_voc;
pub use yolo::read_yolo;

pub(crate) use collector::check_ids;

/// One labelled panel.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// Its files and id.
    pub files: PanelFiles,
    /// What a person says about it.
    pub label: Label,
}

impl Sample {
    /// A panel of one image without a reference.
    fn of_image(id: String, image: impl Into<std::path::PathBuf>, label: Label) -> Self {
        Sample { files: PanelFiles::from_files(id, vec![image.into()]), label }
    }
}

/// What a person says about a panel.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Label {
    /// The defects on it; none on a good panel.
    Boxes(Vec<Truth>),
    /// The kinds of defect that it has, without a place; none on a good panel.
    Kinds(BTreeSet<Kind>),
    /// How likely it is defective, in `0..=1`: defective above 0.5, sure at 0 and 1.
    Probability(f32),
}

impl Label {
    /// Whether the panel is defective.
    pub fn is_defective(&self) -> bool {
        match self {
            Label::Boxes(boxes) => !boxes.is_empty(),
            Label::Kinds(kinds) => !kinds.is_empty(),
            Label::Probability(p) => *p > 0.5,
        }
    }

    /// The kinds of defect that a person marked; empty for a good panel, and for [`Label::Probability`], which names
    /// none.
    pub fn kinds(&self) -> BTreeSet<Kind> {
        match self {
            Label::Boxes(boxes) => boxes.iter().map(|truth| truth.kind.clone()).collect(),
            Label::Kinds(kinds) => kinds.clone(),
            Label::Probability(_) => BTreeSet::new(),
        }
    }
}

/// Width and height of an image file as [`Frame`](panelqc::Frame) shows it, without decoding it.
fn size_of(image: &Path) -> Result<(u32, u32)> {
    let reader = image::ImageReader::open(image).and_then(image::ImageReader::with_guessed_format);
    let reader = reader.map_err(Error::io("reading", image))?;
    let bad = |e: image::ImageError| Error::image(image.display(), "an image with a size", e.to_string());
    let mut decoder = reader.into_decoder().map_err(bad)?;
    let (width, height) = decoder.dimensions();
    let turned = matches!(
        decoder.orientation().map_err(bad)?,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    );
    Ok(if turned { (height, width) } else { (width, height) })
}

/// What is wrong with the size that labels state for an image: expected, found.
fn check_size(image: &Path, (width, height): (u32, u32)) -> std::result::Result<(), (String, String)> {
    let expected = format!("the size {width}x{height} of {}", image.display());
    match size_of(image) {
        Ok(size) if size == (width, height) => Ok(()),
        Ok((w, h)) => Err((expected, format!("{w}x{h}"))),
        Err(e) => Err((expected, e.to_string())),
    }
}

/// Where a record begins in the text that it was borrowed from.
fn place_of(text: &str, raw: &RawValue) -> usize {
    (raw.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

/// The error for a set without samples.
fn none_of(folder: &Path, expected: &str) -> Error {
    Error::labels(folder, None, expected, "none")
}
