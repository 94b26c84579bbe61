//! Format `yolox` `[B, N, 5 + K]`: YOLOX (Ge et al. 2021) as its exporter writes it, without `--decode_in_inference`:
//! the offset of the box's centre from the corner of its cell in x and y, in cells; the logarithms of width and height
//! in cells; objectness; a probability for each kind. The confidence is the product of objectness and probability.
//!
//! Cells of 8, 16, 32 (and 64) model pixels follow one another level by level, each level row by row. A graph that
//! decodes them itself is laid out as `yolo-v5`. Shapes do not tell the two apart, so `auto` chooses neither where
//! there is one row for each cell. Rows of the other layout are an error here and there.

use std::sync::Arc;

use super::cells::{Cell, Cells};
use super::rows::{self, Form, Table, Unit, starter_kinds};
use crate::error::Result;
use crate::geometry::{PixelBox, Placement};
use crate::head::{Context, Format, Head, HeadFormat, Mismatch, Search, Task};

pub(super) const FORMAT: HeadFormat =
    HeadFormat::new("yolox", &[Task::Detect], find).guessed().with_kinds(|signature| starter_kinds(signature, 2, 5));

impl Format {
    /// `yolox`: YOLOX as it is exported by default: `[B, N, 5 + K]` (centre and size of the box as offset and logarithm
    /// in its cell, objectness, probabilities). A YOLOX that was exported with `--decode_in_inference` is `yolo-v5`.
    pub const YOLOX: Format = Format::named("yolox");
}

/// Cells beyond its own that a centre may lie: YOLOX learns at most 2.5.
const FARTHEST: f32 = 8.0;

#[derive(Debug)]
struct Yolox;

fn find(search: &Search<'_>) -> Result<Arc<dyn Head>, Mismatch> {
    let head = rows::find::<Yolox>(search)?;
    let proposals = head.outputs().first().and_then(|&output| search.ports()[output].shape[1]);
    let cells = search.input_size().zip(proposals).map(|(model, count)| Cells::of(model, count).is_some());
    // Rows and input of any number are compared when there are some.
    match cells {
        Some(true) => Ok(head),
        None if !search.guessing() => Ok(head),
        _ => Err(not_one_a_cell(proposals)),
    }
}

fn not_one_a_cell(proposals: Option<usize>) -> Mismatch {
    let found = proposals.map_or_else(|| "any number of them".to_owned(), |count| format!("{count} proposals"));
    Mismatch::new("one proposal for each cell of 8, 16 and 32 (and 64) pixels of the input", found)
}

impl Form for Yolox {
    const NUMBERS_AXIS: usize = 1;
    const UNIT: Unit = Unit::Cells;

    fn numbers(kinds: usize) -> usize {
        5 + kinds
    }

    fn best(table: &Table<'_>, context: &Context, best: &mut Vec<f32>, kinds: &mut Vec<u32>) -> Result<()> {
        table.weighed_kinds(context, best, kinds)
    }

    fn place(table: &Table<'_>, row: usize, placement: &Placement) -> Result<PixelBox> {
        let model = placement.model();
        let cell = Cells::of(model, table.numbers.nrows()).and_then(|cells| cells.cell(row));
        let Some(Cell { at: (column, line), stride }) = cell else {
            let problem = not_one_a_cell(Some(table.numbers.nrows()));
            return Err(table.slot.misshapen(table.output, problem.expected, table.numbers.shape()));
        };
        let [x, y, w, h] = [0, 1, 2, 3].map(|i| table.numbers[[row, i]]);
        let stride = stride as f32;
        let (width, height) = (w.exp() * stride, h.exp() * stride);
        let longest = 4.0 * model.width.max(model.height) as f32;
        if x.abs() > FARTHEST || y.abs() > FARTHEST || !(width <= longest && height <= longest) {
            let expected = "offsets and logarithms in cells (a graph that decodes them itself is of format `yolo-v5`)";
            return Err(table.unlikely(expected, [x, y, w, h]));
        }
        let (cx, cy) = ((x + column as f32) * stride, (y + line as f32) * stride);
        Ok(PixelBox::new(cx - width / 2.0, cy - height / 2.0, cx + width / 2.0, cy + height / 2.0))
    }
}

/// Whether the numbers of a row, read as a box in pixels, are rather those of YOLOX before it decodes them: a row for
/// each cell, and a box of a few pixels at the corner of the input, where the row's own cell does not lie.
pub(super) fn looks_undecoded(sides: [f32; 4], (row, rows): (usize, usize), placement: &Placement) -> bool {
    let Some(Cell { at, stride }) = Cells::of(placement.model(), rows).and_then(|cells| cells.cell(row)) else {
        return false;
    };
    let [x, y, w, h] = sides;
    let small = x.abs() < FARTHEST && y.abs() < FARTHEST && w < FARTHEST && h < FARTHEST;
    let away = |at: usize, centre: f32| (at as f32 + 0.5) * stride as f32 - centre > 1.25 * stride as f32;
    small && (away(at.0, x) || away(at.1, y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::geometry::Size;
    use crate::head::{Decoded, OutputConfig, testing};
    use crate::runtime::{Port, Signature};
    use crate::tensor::{Fit, Preprocess};

    const SIZE: Size = Size { width: 64, height: 32 };
    /// 4 * 8 + 2 * 4 + 1 * 2.
    const ROWS: usize = 42;

    fn head(format: &str, input: Size) -> Result<Arc<dyn Head>, Mismatch> {
        let output = OutputConfig { format: format.into(), ..OutputConfig::new(vec!["a".into(), "b".into()]) };
        let port = |name: &str, shape: &[usize]| Port {
            name: name.to_owned(),
            element: "f32".to_owned(),
            shape: shape.iter().map(|&side| Some(side)).collect(),
        };
        let signature = Signature {
            inputs: vec![port("images", &[1, 3, input.height as usize, input.width as usize])],
            outputs: vec![port("output", &[1, ROWS, 7])],
        };
        crate::head::find(Task::Detect, &output, &signature, &[])
    }

    /// What is made of one row among zeros.
    fn decode(format: &str, row: usize, numbers: [f32; 7]) -> Result<Decoded> {
        let mut data = vec![0.0; ROWS * 7];
        data[row * 7..][..7].copy_from_slice(&numbers);
        let placement = Preprocess { fit: Fit::Stretch, ..Preprocess::new(SIZE) }.placement(SIZE);
        let output = OutputConfig { format: format.into(), ..OutputConfig::new(vec!["a".into(), "b".into()]) };
        testing::decode_with(head(format, SIZE).unwrap(), output, &[(vec![1, ROWS, 7], data)], (0, &placement))
    }

    #[test]
    fn a_box_lies_in_the_cell_of_its_row() {
        // Row 37 is the sixth cell of 16 pixels: column 1, row 1. Centre ((0.5 + 1) * 16, (0.25 + 1) * 16) = (24, 20),
        // width e^0 * 16, height 16 / 2.
        let decoded = decode("yolox", 37, [0.5, 0.25, 0.0, -std::f32::consts::LN_2, 0.8, 0.1, 0.75]).unwrap();
        let [defect] = &decoded.defects[..] else { panic!("{decoded:?}") };
        assert_eq!((defect.kind.as_str(), <[f32; 4]>::from(defect.bbox)), ("b", [16.0, 16.0, 32.0, 24.0]));
        assert!((defect.confidence.get() - 0.6).abs() < 1e-6);
    }

    #[test]
    fn the_other_layout_is_an_error() {
        let decoded = [24.0, 20.0, 16.0, 8.0, 0.8, 0.1, 0.75];
        assert_eq!(decode("yolo-v5", 37, decoded).unwrap().defects.len(), 1);
        let raw = [0.5, 0.25, 0.0, -0.7, 0.8, 0.1, 0.75];
        for (format, numbers, says) in [("yolox", decoded, "`yolo-v5`"), ("yolo-v5", raw, "`yolox`")] {
            let error = decode(format, 37, numbers).unwrap_err();
            assert!(error.kind() == ErrorKind::Output && error.to_string().contains(says), "{error}");
        }
        // What is not reported needs no box.
        assert!(decode("yolox", 37, [24.0, 20.0, 16.0, 8.0, 0.1, 0.1, 0.75]).is_ok());
    }

    #[test]
    fn shapes_do_not_tell_whether_a_graph_decodes() {
        let candidates = head("auto", SIZE).unwrap_err();
        assert!(candidates.expected.contains("format") && candidates.found.contains("yolox"), "{candidates}");
        assert!(candidates.found.contains("yolo-v5"), "{candidates}");
        // With another number of rows it is no YOLOX.
        assert!(head("auto", Size::new(64, 64)).is_ok());
        assert!(head("yolox", Size::new(64, 64)).unwrap_err().expected.contains("each cell"));
    }
}
