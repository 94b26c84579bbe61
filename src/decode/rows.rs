//! Formats with one row (or column) a proposal, in model pixels:
//!
//! * `yolo` `[B, 4 + K + M, N]`: centre x, centre y, width, height, a probability for each kind, `M` mask coefficients
//!   (YOLOv8, YOLO11, YOLO12; Jocher et al., Ultralytics);
//! * `yolo-v5` `[B, N, 5 + K + M]`: centre, size, objectness, a probability for each kind; the confidence is their
//!   product (YOLOv5, YOLOv7);
//! * `yolo-obb` `[B, 4 + K + 1, N]`: as `yolo`, and the angle from x towards y in radians;
//! * `end2end` `[B, N, 6 + M]`: x0, y0, x1, y1, confidence, kind, suppressed in the graph (YOLOv10, YOLO26, exports
//!   with `nms=True`); `end2end-obb` `[B, N, 7]`: centre, size, confidence, kind, angle;
//! * `rtdetr` `[B, N, 6]`: centre and size in parts of the model's input, confidence, kind (Ultralytics' RT-DETR).
//!
//! A proposal has the kind of its highest probability, the first where two are equal. With `M` coefficients, the mask
//! of a proposal is where the prototypes `[B, M, h, w]`, weighted by them, are above `pixel_threshold` (as the
//! logistic function of the sum), inside of its box (YOLACT, Bolya et al. 2019). A proposal whose mask is empty is
//! dropped, as Ultralytics does.

use std::ops::Range;

use ndarray::{ArrayView1, ArrayView2, ArrayViewD, ArrayViewMut2, Axis, Ix2, Slice};

use super::decoder::{Decoded, Decoder};
use super::nms::{Candidate, suppress};
use super::oriented;
use super::scan;
use super::scratch::DecodeScratch;
use super::surface::{Memory, Surface, Window};
use crate::error::Result;
use crate::geometry::{Mask, PixelBox, Placement, Region, Size};
use crate::model::{Outputs, Rows};

pub(super) fn decode(
    decoder: &Decoder,
    outputs: &Outputs,
    (rows, form, prototypes): (usize, Rows, Option<usize>),
    index: usize,
    placement: &Placement,
    scratch: &mut DecodeScratch,
) -> Result<Decoded> {
    let prototypes = match prototypes {
        None => None,
        Some(output) => {
            let prototypes = decoder.frame(outputs, output, index, 3)?;
            decoder.finite(output, &prototypes)?;
            Some(prototypes)
        }
    };
    let masks = prototypes.as_ref().map_or(0, |p| p.shape()[0]);
    let table = Table::of(decoder, outputs, (rows, form), index, masks)?;
    let DecodeScratch { candidates, best, kinds, numbers, enlarged, surface, .. } = scratch;
    let mut score = 0.0f32;
    candidates.clear();
    table.best(decoder, rows, best, kinds)?;
    for (row, (&confidence, &kind)) in best.iter().zip(kinds.iter()).enumerate() {
        let kind = kind as usize;
        let Some(floor) = decoder.floors[kind] else { continue };
        score = score.max(confidence);
        if confidence >= floor {
            let confidence = confidence.clamp(0.0, 1.0);
            candidates.push(Candidate { confidence, kind, cell: row, bbox: table.bbox(row, placement) });
        }
    }
    let output = &decoder.output;
    let angle = |c: &Candidate| table.numbers[[c.cell, table.before - 1]];
    match form {
        Rows::Yolo | Rows::YoloV5 => suppress(candidates, output.iou, output.iou_across),
        Rows::Oriented => oriented::suppress(candidates, angle, output.iou, output.iou_across),
        Rows::EndToEnd | Rows::EndToEndOriented | Rows::Relative => {
            candidates.sort_unstable_by(|a, b| b.confidence.total_cmp(&a.confidence).then(a.cell.cmp(&b.cell)));
        }
    }
    candidates.truncate(output.max_defects);
    let mut defects = Vec::with_capacity(candidates.len());
    defects.extend(candidates.iter().filter_map(|candidate| {
        if matches!(form, Rows::Oriented | Rows::EndToEndOriented) {
            return decoder.turned(candidate, angle(candidate), placement);
        }
        let defect = decoder.boxed(candidate, placement)?;
        let Some(planes) = &prototypes else { return Some(defect) };
        let weights = table.numbers.row(candidate.cell);
        let weights = weights.slice_axis_move(Axis(0), Slice::from(table.before..));
        let cells = Weighted { planes, weights, probabilities: form == Rows::YoloV5 };
        let window = Window::of(&defect.bbox, placement.frame());
        let mask = cells.mask(output.pixel_threshold, &window, placement, (numbers, enlarged, surface))?;
        (mask.area() > 0).then(|| defect.with_mask(mask))
    }));
    Ok(Decoded { defects, score: score.clamp(0.0, 1.0) })
}

/// The sum of prototypes, each times its weight: the mask of one proposal, over the model's input.
struct Weighted<'a> {
    planes: &'a ArrayViewD<'a, f32>,
    weights: ArrayView1<'a, f32>,
    /// YOLOv5 enlarges probabilities, its successors sums, of which the logistic function is above the threshold where
    /// they are above its inverse.
    probabilities: bool,
}

impl Weighted<'_> {
    /// Where in a window the mask is above `threshold`. As Ultralytics' `process_mask_native`: enlarged to where the
    /// padding is a whole number of cells, cut to what shows the frame, and from there to the source's pixels. Nothing
    /// is computed that the window does not show; `None` for an empty one.
    fn mask(
        &self,
        threshold: f32,
        window: &Window,
        placement: &Placement,
        (numbers, enlarged, memory): (&mut Vec<f32>, &mut Vec<f32>, &mut Memory),
    ) -> Option<Mask> {
        if window.is_empty() {
            return None;
        }
        let limit = if self.probabilities { threshold } else { (threshold / (1.0 - threshold)).ln() };
        let grid = (self.planes.shape()[1], self.planes.shape()[2]);
        let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (width, height) = (side(grid.1), side(grid.0));
        let (model, resized) = (placement.model(), placement.resized());
        let quarter = model == Size::new(width.saturating_mul(4), height.saturating_mul(4));
        let cropped = resized.width > model.width || resized.height > model.height;
        if !quarter || cropped {
            let part = Surface::read(grid, window, placement);
            let cells = self.sum(&part, numbers)?;
            return Some(Surface::part(cells, grid, start(&part)).above(limit, window, placement, memory));
        }
        let padding = (model.width - resized.width) | (model.height - resized.height);
        let padding = padding | (padding / 2);
        let step = [4, 2, 1].into_iter().find(|step| padding % step == 0).unwrap_or(1);
        let factor = 4 / step;
        let content = Size::new((resized.width / step).max(1), (resized.height / step).max(1));
        let frame = Placement::new(placement.frame(), placement.region(), content, content, (0, 0));
        let shown = (content.height as usize, content.width as usize);
        // The part of what shows the frame, and the same among all enlarged cells.
        let part = Surface::read(shown, window, &frame);
        let first = |from: i64| from as usize / step as usize;
        let (x, y) = (first(placement.offset().0), first(placement.offset().1));
        let among = (part.0.start + y..part.0.end + y, part.1.start + x..part.1.end + x);
        let cells = if factor == 1 {
            self.sum(&among, numbers)?
        } else {
            let whole = Size::new(width, height);
            let larger = Size::new(width * factor, height * factor);
            let enlarge = Placement::new(larger, Region::whole(larger), whole, whole, (0, 0));
            let pixels = |range: &Range<usize>| side(range.start)..side(range.end);
            let pixels = Window { across: pixels(&among.1), down: pixels(&among.0) };
            let under = Surface::read(grid, &pixels, &enlarge);
            let cells = self.sum(&under, numbers)?;
            Surface::part(cells, grid, start(&under)).resample(&pixels, &enlarge, enlarged, memory);
            ArrayView2::from_shape((part.0.len(), part.1.len()), enlarged).ok()?
        };
        Some(Surface::part(cells, shown, start(&part)).above(limit, window, &frame, memory))
    }

    /// The mask at some rows and columns of the prototypes, written into `numbers`.
    fn sum<'n>(
        &self,
        (rows, columns): &(Range<usize>, Range<usize>),
        numbers: &'n mut Vec<f32>,
    ) -> Option<ArrayView2<'n, f32>> {
        numbers.clear();
        numbers.resize(rows.len() * columns.len(), 0.0);
        let mut sum = ArrayViewMut2::from_shape((rows.len(), columns.len()), numbers).ok()?;
        for (plane, &weight) in self.planes.axis_iter(Axis(0)).zip(self.weights) {
            let part = plane.slice_axis_move(Axis(0), Slice::from(rows.clone()));
            let part = part.slice_axis_move(Axis(1), Slice::from(columns.clone()));
            sum.scaled_add(weight, &part.into_dimensionality::<Ix2>().ok()?);
        }
        if self.probabilities {
            sum.mapv_inplace(|sum| 1.0 / (1.0 + (-sum).exp()));
        }
        ArrayView2::from_shape((rows.len(), columns.len()), numbers).ok()
    }
}

/// Where a part begins: row and column.
fn start((rows, columns): &(Range<usize>, Range<usize>)) -> (usize, usize) {
    (rows.start, columns.start)
}

/// The proposals of one frame, one a row.
struct Table<'a> {
    numbers: ArrayView2<'a, f32>,
    form: Rows,
    kinds: usize,
    /// Numbers before the mask coefficients.
    before: usize,
}

impl<'a> Table<'a> {
    fn of(
        decoder: &Decoder,
        outputs: &'a Outputs,
        (rows, form): (usize, Rows),
        index: usize,
        masks: usize,
    ) -> Result<Self> {
        let table = decoder.plane(decoder.frame(outputs, rows, index, 2)?)?;
        decoder.finite(rows, &table)?;
        let numbers = match form {
            Rows::Yolo | Rows::Oriented => table.reversed_axes(),
            Rows::YoloV5 | Rows::EndToEnd | Rows::EndToEndOriented | Rows::Relative => table,
        };
        let kinds = decoder.floors.len();
        let before = match form {
            Rows::Yolo => 4 + kinds,
            Rows::YoloV5 | Rows::Oriented => 5 + kinds,
            Rows::EndToEnd | Rows::Relative => 6,
            Rows::EndToEndOriented => 7,
        };
        if numbers.ncols() != before + masks {
            return Err(decoder.misshapen(rows, format!("{} numbers a proposal", before + masks), numbers.shape()));
        }
        Ok(Table { numbers, form, kinds, before })
    }

    /// Confidence and kind of each proposal, written into `best` and `kinds`.
    fn best(&self, decoder: &Decoder, output: usize, best: &mut Vec<f32>, kinds: &mut Vec<u32>) -> Result<()> {
        best.clear();
        kinds.clear();
        match self.form {
            // A kind is a row of numbers in the graph's memory.
            Rows::Yolo | Rows::Oriented => {
                let kind_by_kind =
                    self.numbers.slice_axis_move(Axis(1), Slice::from(4..4 + self.kinds)).reversed_axes();
                scan::highest(decoder.slice(&kind_by_kind)?, kind_by_kind.ncols(), best, kinds);
            }
            Rows::YoloV5 => {
                for row in self.numbers.rows() {
                    let probabilities = row.iter().skip(5).take(self.kinds).zip(0..);
                    let first = (f32::NEG_INFINITY, 0);
                    let highest =
                        probabilities.fold(first, |best, (&p, kind)| if p > best.0 { (p, kind) } else { best });
                    best.push(highest.0 * row[4]);
                    kinds.push(highest.1);
                }
            }
            Rows::EndToEnd | Rows::EndToEndOriented | Rows::Relative => {
                for row in self.numbers.rows() {
                    let (confidence, number) = (row[4], row[5]);
                    let known = number >= 0.0 && number.fract() == 0.0 && (number as usize) < self.kinds;
                    // Rows that are left over have no confidence, and any number.
                    let (confidence, kind) = match known {
                        true => (confidence, number as u32),
                        false if confidence <= 0.0 => (0.0, 0),
                        false => {
                            let expected = format!("kinds below {}", self.kinds);
                            return Err(decoder.misshapen(output, expected, &[number as usize]));
                        }
                    };
                    best.push(confidence);
                    kinds.push(kind);
                }
            }
        }
        Ok(())
    }

    /// The box in model pixels; of a turned one, before it is turned.
    fn bbox(&self, row: usize, placement: &Placement) -> PixelBox {
        let mut sides = [0, 1, 2, 3].map(|i| self.numbers[[row, i]]);
        if self.form == Rows::Relative {
            let (width, height) = (placement.model().width as f32, placement.model().height as f32);
            sides = [sides[0] * width, sides[1] * height, sides[2] * width, sides[3] * height];
        }
        let [a, b, c, d] = sides;
        match self.form {
            Rows::EndToEnd => PixelBox::new(a, b, c, d),
            _ => PixelBox::new(a - c / 2.0, b - d / 2.0, a + c / 2.0, b + d / 2.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::model::{Layout, OutputConfig};
    use crate::tensor::Preprocess;
    use proptest::prelude::*;

    /// Two kinds on a model input of 32x32; the source is 64x32, so it lies at rows 8 to 24 at half its size.
    fn decode(form: Rows, shape: [usize; 2], numbers: &[f32]) -> Result<Decoded> {
        let output = OutputConfig { confidence: 0.25, ..OutputConfig::new(vec!["a".into(), "b".into()]) };
        let decoder = Decoder::of(Layout::Rows { rows: 0, form, prototypes: None }, output, vec!["out".into()]);
        let outputs = Outputs::from_tensors([(vec![1, shape[0], shape[1]], numbers.to_vec())]);
        decoder.decode(&outputs, 0, &Preprocess::new(Size::new(32, 32)).placement(Size::new(64, 32)))
    }

    fn found(decoded: &Decoded) -> Vec<(&str, f32, [f32; 4])> {
        decoded.defects.iter().map(|d| (d.kind.as_str(), d.confidence.get(), d.bbox.into())).collect()
    }

    #[test]
    fn each_form_gives_the_same_box() {
        // Model pixels 8..16 x 12..20 are source pixels 16..32 x 8..24.
        let want = [("b", 0.75, [16.0, 8.0, 32.0, 24.0])];
        let one = |form, numbers: &[f32]| found(&decode(form, [1, numbers.len()], numbers).unwrap()) == want;
        let column = |form, numbers: &[f32]| found(&decode(form, [numbers.len(), 1], numbers).unwrap()) == want;
        assert!(column(Rows::Yolo, &[12.0, 16.0, 8.0, 8.0, 0.5, 0.75]));
        assert!(one(Rows::YoloV5, &[12.0, 16.0, 8.0, 8.0, 0.9375, 0.2, 0.8]));
        assert!(column(Rows::Oriented, &[12.0, 16.0, 8.0, 8.0, 0.5, 0.75, 0.0]));
        assert!(one(Rows::EndToEnd, &[8.0, 12.0, 16.0, 20.0, 0.75, 1.0]));
        assert!(one(Rows::EndToEndOriented, &[12.0, 16.0, 8.0, 8.0, 0.75, 1.0, 0.0]));
        assert!(one(Rows::Relative, &[12.0 / 32.0, 0.5, 0.25, 0.25, 0.75, 1.0]));
    }

    #[test]
    fn a_turned_box_has_corners_and_an_upright_one_around_it() {
        let quarter = std::f32::consts::FRAC_PI_2;
        for (form, shape, numbers) in [
            (Rows::Oriented, [7, 1], [12.0, 16.0, 4.0, 8.0, 0.75, 0.5, quarter]),
            (Rows::EndToEndOriented, [1, 7], [12.0, 16.0, 4.0, 8.0, 0.75, 0.0, quarter]),
        ] {
            let decoded = decode(form, shape, &numbers).unwrap();
            let defect = &decoded.defects[0];
            // A quarter turn: 8 wide and 4 high. The box's left top corner is at its right top now.
            let corners = defect.corners.unwrap();
            for (got, want) in corners.iter().zip([[32.0, 12.0], [32.0, 20.0], [16.0, 20.0], [16.0, 12.0]]) {
                assert!((got[0] - want[0]).abs() < 1e-4 && (got[1] - want[1]).abs() < 1e-4, "{corners:?}");
            }
            assert_eq!(defect.area_px, 128);
            let b = defect.bbox;
            assert!((b.x0 - 16.0).abs() < 1e-4 && (b.y1 - 20.0).abs() < 1e-4, "{b:?}");
        }
    }

    #[test]
    fn a_kind_that_is_none_is_an_error_unless_the_row_is_left_over() {
        let bad = decode(Rows::EndToEnd, [1, 6], &[8.0, 12.0, 16.0, 20.0, 0.75, 2.0]).unwrap_err();
        assert!(matches!(&bad, Error::Output { output, .. } if output == "out"), "{bad}");
        assert!(decode(Rows::EndToEnd, [1, 6], &[8.0, 12.0, 16.0, 20.0, 0.75, 0.5]).is_err());
        let rest = [8.0, 12.0, 16.0, 20.0, 0.75, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0];
        assert_eq!(decode(Rows::EndToEnd, [2, 6], &rest).unwrap().defects.len(), 1);
    }

    /// The mask by way of the whole picture: every cell summed, all of them enlarged, and then cut.
    fn whole(cells: &Weighted<'_>, threshold: f32, window: &Window, placement: &Placement) -> Mask {
        let grid = (cells.planes.shape()[1], cells.planes.shape()[2]);
        let mut numbers = Vec::new();
        let sum = cells.sum(&(0..grid.0, 0..grid.1), &mut numbers).unwrap();
        let limit = if cells.probabilities { threshold } else { (threshold / (1.0 - threshold)).ln() };
        let mut memory = Memory::default();
        let (model, resized) = (placement.model(), placement.resized());
        let (width, height) = (grid.1 as u32, grid.0 as u32);
        if model != Size::new(width * 4, height * 4) {
            return Surface::new(sum).above(limit, window, placement, &mut memory);
        }
        let padding = (model.width - resized.width) | (model.height - resized.height);
        let padding = padding | (padding / 2);
        let step = [4, 2, 1].into_iter().find(|step| padding % step == 0).unwrap();
        let larger = Size::new(width * 4 / step, height * 4 / step);
        let cells = Size::new(width, height);
        let enlarge = Placement::new(larger, Region::whole(larger), cells, cells, (0, 0));
        let enlarged = Surface::new(sum).resampled(&enlarge);
        let content = Size::new((resized.width / step).max(1), (resized.height / step).max(1));
        let first = |from: i64| from as usize / step as usize;
        let (x, y) = (first(placement.offset().0), first(placement.offset().1));
        let shown = enlarged.slice_axis(Axis(0), Slice::from(y..y + content.height as usize));
        let shown = shown.slice_axis(Axis(1), Slice::from(x..x + content.width as usize));
        let frame = Placement::new(placement.frame(), placement.region(), content, content, (0, 0));
        Surface::new(shown).above(limit, window, &frame, &mut memory)
    }

    proptest! {
        #[test]
        fn a_mask_is_the_same_when_only_its_window_is_enlarged(
            numbers in proptest::collection::vec(-3.0f32..3.0, 2 * 8 * 6),
            weights in proptest::collection::vec(-2.0f32..2.0, 2),
            probabilities in any::<bool>(), quarter in any::<bool>(),
            width in 1u32..90, height in 1u32..90,
            x in 0.0f32..90.0, y in 0.0f32..90.0, w in 0.5f32..60.0, h in 0.5f32..60.0,
        ) {
            let planes = ArrayViewD::from_shape(ndarray::IxDyn(&[2, 8, 6]), &numbers).unwrap();
            let cells = Weighted { planes: &planes, weights: ArrayView1::from(&weights), probabilities };
            let placement = match quarter {
                true => Preprocess::new(Size::new(24, 32)).placement(Size::new(width, height)),
                false => Preprocess::new(Size::new(15, 20)).placement(Size::new(width, height)),
            };
            let bbox = PixelBox::new(x, y, x + w, y + h).clip(Size::new(width, height));
            let window = Window::of(&bbox, placement.frame());
            let mut scratch = DecodeScratch::default();
            let memory = (&mut scratch.numbers, &mut scratch.enlarged, &mut scratch.surface);
            let got = cells.mask(0.6, &window, &placement, memory);
            prop_assert_eq!(got, (!window.is_empty()).then(|| whole(&cells, 0.6, &window, &placement)));
        }
    }
}
