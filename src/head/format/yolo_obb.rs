//! Format `yolo-obb` `[B, 4 + K + 1, N]`: as `yolo`, and the angle from x towards y in radians.
//!
//! One number more than `yolo` could also be a kind that the manifest lacks, so it is never guessed.

use super::rows::{Form, Table, find};
use crate::error::Result;
use crate::head::{Context, Format, HeadFormat, Suppression, Task};

pub(super) const FORMAT: HeadFormat = HeadFormat::new("yolo-obb", &[Task::Detect], find::<YoloObb>);

impl Format {
    /// `yolo-obb`: oriented boxes of YOLOv8, YOLO11: `[B, 4 + K + 1, N]`, the angle in radians last.
    pub const YOLO_OBB: Format = Format::named("yolo-obb");
}

#[derive(Debug)]
struct YoloObb;

impl Form for YoloObb {
    const NUMBERS_AXIS: usize = 0;
    const SUPPRESSION: Suppression = Suppression::Turned;

    fn numbers(kinds: usize) -> usize {
        4 + kinds + 1
    }

    fn best(table: &Table<'_>, context: &Context, best: &mut Vec<f32>, kinds: &mut Vec<u32>) -> Result<()> {
        table.highest_kinds(context, best, kinds)
    }

    fn angle(kinds: usize) -> Option<usize> {
        Some(4 + kinds)
    }
}
