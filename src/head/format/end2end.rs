//! Formats of graphs that suppress:
//!
//! * `end2end` `[B, N, 6 + M]`: x0, y0, x1, y1, confidence, kind, `M` mask coefficients (YOLOv10, YOLO26, exports with
//!   `nms=True`). Masks: see `rows`;
//! * `end2end-obb` `[B, N, 7]`: centre x, centre y, width, height, confidence, kind, the angle from x towards y in
//!   radians. It is never guessed.

use super::rows::{Form, Table, find};
use crate::defect::Kind;
use crate::error::Result;
use crate::geometry::{PixelBox, Placement};
use crate::head::{Context, Format, HeadFormat, Suppression, Task};

pub(super) const FORMAT: HeadFormat =
    HeadFormat::new("end2end", &[Task::Detect, Task::Instance], find::<EndToEnd>).guessed().with_kinds(|signature| {
        let more = super::rows::numbers(signature, 2, 6)?;
        (more == 0).then(|| vec![Kind::new("kind0")])
    });

pub(super) const ORIENTED: HeadFormat = HeadFormat::new("end2end-obb", &[Task::Detect], find::<EndToEndOriented>);

impl Format {
    /// `end2end`: YOLOv10, YOLO26, or suppression in the graph: `[B, N, 6]` (corners, confidence, kind). Masks as for
    /// `yolo`.
    pub const END2END: Format = Format::named("end2end");

    /// `end2end-obb`: oriented boxes with suppression in the graph: `[B, N, 7]`, the angle in radians last.
    pub const END2END_OBB: Format = Format::named("end2end-obb");
}

#[derive(Debug)]
struct EndToEnd;

impl Form for EndToEnd {
    const NUMBERS_AXIS: usize = 1;
    const CORNERS: bool = true;
    const SUPPRESSION: Suppression = Suppression::InGraph;

    fn numbers(_kinds: usize) -> usize {
        6
    }

    fn best(table: &Table<'_>, context: &Context, best: &mut Vec<f32>, kinds: &mut Vec<u32>) -> Result<()> {
        table.stated_kinds(context, best, kinds)
    }

    fn bbox(sides: [f32; 4], _placement: &Placement) -> PixelBox {
        PixelBox::from(sides)
    }
}

#[derive(Debug)]
struct EndToEndOriented;

impl Form for EndToEndOriented {
    const NUMBERS_AXIS: usize = 1;
    const SUPPRESSION: Suppression = Suppression::InGraph;

    fn numbers(_kinds: usize) -> usize {
        7
    }

    fn best(table: &Table<'_>, context: &Context, best: &mut Vec<f32>, kinds: &mut Vec<u32>) -> Result<()> {
        table.stated_kinds(context, best, kinds)
    }

    fn angle(_kinds: usize) -> Option<usize> {
        Some(6)
    }
}
