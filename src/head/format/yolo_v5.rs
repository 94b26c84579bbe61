//! Format `yolo-v5` `[B, N, 5 + K + M]`: centre, size, objectness, a probability for each kind, `M` mask coefficients;
//! the confidence is the product of objectness and probability (YOLOv5, YOLOv7). Masks: see `rows`.

use super::rows::{Form, Table, find, starter_kinds};
use crate::error::Result;
use crate::head::{Context, Format, HeadFormat, Task};

pub(super) const FORMAT: HeadFormat = HeadFormat::new("yolo-v5", &[Task::Detect, Task::Instance], find::<YoloV5>)
    .guessed()
    .with_kinds(|signature| starter_kinds(signature, 2, 5));

impl Format {
    /// `yolo-v5`: YOLOv5, YOLOv7: `[B, N, 5 + K]` (centre, size, objectness, probabilities). Masks as for `yolo`.
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
        for row in table.numbers.rows() {
            let scores = row.iter().skip(5).take(context.kinds()).zip(0..);
            let mut lowest = f32::INFINITY;
            let mut highest = (f32::NEG_INFINITY, 0);
            for (&score, kind) in scores {
                lowest = if score < lowest { score } else { lowest };
                highest = if score > highest.0 { (score, kind) } else { highest };
            }
            table.probability(context, lowest)?;
            best.push(table.probability(context, highest.0)? * table.probability(context, row[4])?);
            kinds.push(highest.1);
        }
        Ok(())
    }
}
