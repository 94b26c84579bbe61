//! Format `yolo` `[B, 4 + K + M, N]`: centre x, centre y, width, height, a probability for each kind, `M` mask
//! coefficients (YOLOv8, YOLO11, YOLO12; Jocher et al., Ultralytics). Masks: see `rows`.

use super::rows::{Form, Table, find, starter_kinds};
use crate::error::Result;
use crate::head::{Context, Format, HeadFormat, Task};

pub(super) const FORMAT: HeadFormat = HeadFormat::new("yolo", &[Task::Detect, Task::Instance], find::<Yolo>)
    .guessed()
    .with_kinds(|signature| starter_kinds(signature, 1, 4));

impl Format {
    /// `yolo`: YOLOv8, YOLO11, YOLO12: `[B, 4 + K, N]` (centre, size, probabilities). With task `instance`, 32 or so
    /// mask coefficients follow, and prototypes `[B, 32, h, w]` are a second output.
    pub const YOLO: Format = Format::named("yolo");
}

#[derive(Debug)]
struct Yolo;

impl Form for Yolo {
    const NUMBERS_AXIS: usize = 0;

    fn numbers(kinds: usize) -> usize {
        4 + kinds
    }

    fn best(table: &Table<'_>, context: &Context, best: &mut Vec<f32>, kinds: &mut Vec<u32>) -> Result<()> {
        table.highest_kinds(context, best, kinds)
    }
}
