//! Format `yolo-v5` `[B, N, 5 + K + M]`: centre, size, objectness, a probability for each kind, `M` mask coefficients;
//! the confidence is the product of objectness and probability (YOLOv5, YOLOv6, YOLOv7, and YOLOX exported with
//! `--decode_in_inference`). Masks: see `rows`.

use super::rows::{Form, Table, find, starter_kinds};
use super::yolox::looks_undecoded;
use crate::error::Result;
use crate::geometry::{PixelBox, Placement};
use crate::head::{Context, Format, HeadFormat, Task};

pub(super) const FORMAT: HeadFormat = HeadFormat::new("yolo-v5", &[Task::Detect, Task::Instance], find::<YoloV5>)
    .guessed()
    .with_kinds(|signature| starter_kinds(signature, 2, 5));

impl Format {
    /// `yolo-v5`: YOLOv5, YOLOv6, YOLOv7, and YOLOX exported with `--decode_in_inference`: `[B, N, 5 + K]` (centre,
    /// size, objectness, probabilities). Masks as for `yolo`.
    pub const YOLO_V5: Format = Format::named("yolo-v5");
}

#[derive(Debug)]
struct YoloV5;

impl Form for YoloV5 {
    const NUMBERS_AXIS: usize = 1;
    const ENLARGES_PROBABILITIES: bool = true;

    fn numbers(kinds: usize) -> usize {
        5 + kinds
    }

    fn best(table: &Table<'_>, context: &Context, best: &mut Vec<f32>, kinds: &mut Vec<u32>) -> Result<()> {
        table.weighed_kinds(context, best, kinds)
    }

    fn place(table: &Table<'_>, row: usize, placement: &Placement) -> Result<PixelBox> {
        let sides = [0, 1, 2, 3].map(|i| table.numbers[[row, i]]);
        if looks_undecoded(sides, (row, table.numbers.nrows()), placement) {
            let expected = "centre and size in pixels (YOLOX as it is exported by default is of format `yolox`)";
            return Err(table.unlikely(expected, sides));
        }
        Ok(Self::bbox(sides, placement))
    }
}
