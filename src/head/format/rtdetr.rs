//! Format `rtdetr` `[B, N, 6]`: centre x, centre y, width, height in parts of the model's input, confidence, kind
//! (Ultralytics' RT-DETR).
//!
//! It looks like `end2end`, so it is never guessed.

use super::rows::{Form, Table, Unit, find};
use crate::error::Result;
use crate::geometry::{PixelBox, Placement};
use crate::head::{Context, Format, HeadFormat, Suppression, Task};

pub(super) const FORMAT: HeadFormat = HeadFormat::new("rtdetr", &[Task::Detect], find::<Rtdetr>);

impl Format {
    /// `rtdetr`: Ultralytics' RT-DETR: `[B, N, 6]` (centre and size in parts of the input's size, confidence, kind).
    pub const RTDETR: Format = Format::named("rtdetr");
}

#[derive(Debug)]
struct Rtdetr;

impl Form for Rtdetr {
    const NUMBERS_AXIS: usize = 1;
    const SUPPRESSION: Suppression = Suppression::InGraph;
    const UNIT: Unit = Unit::Parts;

    fn numbers(_kinds: usize) -> usize {
        6
    }

    fn best(table: &Table<'_>, context: &Context, best: &mut Vec<f32>, kinds: &mut Vec<u32>) -> Result<()> {
        table.stated_kinds(context, best, kinds)
    }

    fn bbox(sides: [f32; 4], placement: &Placement) -> PixelBox {
        let (width, height) = (placement.model().width as f32, placement.model().height as f32);
        let [x, y, w, h] = [sides[0] * width, sides[1] * height, sides[2] * width, sides[3] * height];
        PixelBox::new(x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0)
    }
}
