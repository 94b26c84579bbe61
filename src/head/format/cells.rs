use crate::geometry::Size;

/// The cells of a detector without anchors, each with one proposal: level by level, each level row by row, as YOLOX,
/// YOLOv6 and YOLO-NAS have them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cells {
    model: Size,
    /// Model pixels per cell and axis, from the finest level.
    strides: &'static [u32],
    /// Whether a part of a cell at the right and bottom side counts as one.
    parts: bool,
}

/// A cell and its level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cell {
    /// Column and row in its level.
    pub(super) at: (usize, usize),
    /// Model pixels per cell.
    pub(super) stride: u32,
}

impl Cells {
    /// The cells of an input of size `model` if they are as many as the proposals.
    pub(super) fn of(model: Size, proposals: usize) -> Option<Self> {
        let levels: [&'static [u32]; 2] = [&[8, 16, 32], &[8, 16, 32, 64]];
        let known = levels.into_iter().flat_map(|strides| [false, true].map(|parts| Cells { model, strides, parts }));
        known.into_iter().find(|cells| cells.count() == proposals)
    }

    fn count(&self) -> usize {
        self.strides.iter().map(|&stride| self.level(stride)).map(|(columns, rows)| columns * rows).sum()
    }

    /// Columns and rows of a level.
    fn level(&self, stride: u32) -> (usize, usize) {
        let side = |side: u32| if self.parts { side.div_ceil(stride) } else { side / stride } as usize;
        (side(self.model.width), side(self.model.height))
    }

    /// The cell of a proposal.
    pub(super) fn cell(&self, proposal: usize) -> Option<Cell> {
        let mut rest = proposal;
        for &stride in self.strides {
            let (columns, rows) = self.level(stride);
            if rest < columns * rows {
                return Some(Cell { at: (rest % columns, rest / columns), stride });
            }
            rest -= columns * rows;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_counted_level_by_level() {
        // 640x640: 80 * 80 + 40 * 40 + 20 * 20, and 10 * 10 more with a fourth level.
        let square = Size::new(640, 640);
        let cells = Cells::of(square, 8400).unwrap();
        assert_eq!(cells.cell(0), Some(Cell { at: (0, 0), stride: 8 }));
        assert_eq!(cells.cell(81), Some(Cell { at: (1, 1), stride: 8 }));
        assert_eq!(cells.cell(6400 + 41), Some(Cell { at: (1, 1), stride: 16 }));
        assert_eq!(cells.cell(8399), Some(Cell { at: (19, 19), stride: 32 }));
        assert_eq!(cells.cell(8400), None);
        assert_eq!(Cells::of(square, 8500).and_then(|cells| cells.cell(8499)).unwrap().stride, 64);
        assert_eq!(Cells::of(square, 25_200), None, "three anchors a cell");
        // Sides that are no multiple of 32: 6 * 8 + 3 * 4 + 1 * 2 whole cells, 6 * 8 + 3 * 4 + 2 * 2 with parts.
        let odd = Size::new(64, 48);
        assert_eq!(Cells::of(odd, 62).and_then(|cells| cells.cell(61)), Some(Cell { at: (1, 0), stride: 32 }));
        assert_eq!(Cells::of(odd, 64).and_then(|cells| cells.cell(63)), Some(Cell { at: (1, 1), stride: 32 }));
    }
}
