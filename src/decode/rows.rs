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

use ndarray::{Array2, ArrayView2, ArrayViewD, Axis, Slice};

use super::decoder::{Decoded, Decoder};
use super::nms::{Candidate, suppress};
use super::oriented;
use super::surface::Surface;
use crate::defect::Defect;
use crate::error::Result;
use crate::geometry::{Mask, PixelBox, Placement};
use crate::model::{Outputs, Rows};

pub(super) fn decode(
    decoder: &Decoder,
    outputs: &Outputs,
    (rows, form, prototypes): (usize, Rows, Option<usize>),
    index: usize,
    placement: &Placement,
) -> Result<Decoded> {
    let prototypes = match prototypes {
        None => None,
        Some(output) => {
            let prototypes = decoder.frame(outputs, output, index, 3)?;
            decoder.finite(output, prototypes.iter())?;
            Some(prototypes)
        }
    };
    let masks = prototypes.as_ref().map_or(0, |p| p.shape()[0]);
    let table = Table::of(decoder, outputs, (rows, form), index, masks)?;
    let mut score = 0.0f32;
    let mut candidates = Vec::new();
    for (row, (kind, confidence)) in table.best(decoder, rows)?.into_iter().enumerate() {
        let Some(floor) = decoder.floors[kind] else { continue };
        score = score.max(confidence);
        if confidence >= floor {
            let confidence = confidence.clamp(0.0, 1.0);
            candidates.push(Candidate { confidence, kind, cell: row, bbox: table.bbox(row, placement) });
        }
    }
    let output = &decoder.output;
    let angle = |c: &Candidate| table.numbers[[c.cell, table.before - 1]];
    let mut kept = match form {
        Rows::Yolo | Rows::YoloV5 => suppress(candidates, output.iou, output.iou_across),
        Rows::Oriented => oriented::suppress(candidates, angle, output.iou, output.iou_across),
        Rows::EndToEnd | Rows::EndToEndOriented | Rows::Relative => {
            candidates.sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then(a.cell.cmp(&b.cell)));
            candidates
        }
    };
    kept.truncate(output.max_defects);
    let defect = |candidate: &Candidate| -> Option<Defect> {
        if matches!(form, Rows::Oriented | Rows::EndToEndOriented) {
            return decoder.turned(candidate, angle(candidate), placement);
        }
        let defect = decoder.boxed(candidate, placement)?;
        let Some(prototypes) = &prototypes else { return Some(defect) };
        let weights = table.numbers.row(candidate.cell);
        let cells = weighted(prototypes, weights.iter().skip(table.before))?;
        let (cells, limit) = match form {
            // YOLOv5 enlarges probabilities, its successors sums, of which the logistic function is above the threshold
            // where they are above this.
            Rows::YoloV5 => (cells.mapv_into(|sum| 1.0 / (1.0 + (-sum).exp())), output.pixel_threshold),
            _ => (cells, (output.pixel_threshold / (1.0 - output.pixel_threshold)).ln()),
        };
        let mask = instance_mask(cells, limit, &defect.bbox, placement);
        (mask.area() > 0).then(|| defect.with_mask(mask))
    };
    Ok(Decoded { defects: kept.iter().filter_map(defect).collect(), score: score.clamp(0.0, 1.0) })
}

/// The part of a box where `cells`, over the model's input, are above `limit`. As Ultralytics' `process_mask_native`:
/// enlarged to where the padding is a whole number of cells, cut to what shows the frame, and from there to the
/// source's pixels.
fn instance_mask(cells: Array2<f32>, limit: f32, inside: &PixelBox, placement: &Placement) -> Mask {
    let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (width, height) = (side(cells.ncols()), side(cells.nrows()));
    let (model, resized) = (placement.model, placement.resized);
    let quarter = model == (width.saturating_mul(4), height.saturating_mul(4));
    let (x, y) = placement.offset;
    let cropped = resized.0 > model.0 || resized.1 > model.1;
    if !quarter || cropped {
        return Surface::new(cells.view()).above(limit, inside, placement);
    }
    let padding = (model.0 - resized.0) | (model.1 - resized.1);
    let padding = padding | (padding / 2);
    let step = [4, 2, 1].into_iter().find(|step| padding % step == 0).unwrap_or(1);
    let factor = 4 / step;
    let enlarged = match factor {
        1 => cells,
        _ => Surface::new(cells.view()).resampled(&Placement {
            source: (width * factor, height * factor),
            model: (width, height),
            resized: (width, height),
            offset: (0, 0),
        }),
    };
    let content = ((resized.0 / step).max(1), (resized.1 / step).max(1));
    let range = |from: i64, count: u32| {
        let first = from as usize / step as usize;
        Slice::from(first..first + count as usize)
    };
    let shown = enlarged.slice_axis(Axis(0), range(y, content.1));
    let shown = shown.slice_axis(Axis(1), range(x, content.0));
    let frame = Placement { source: placement.source, model: content, resized: content, offset: (0, 0) };
    Surface::new(shown).above(limit, inside, &frame)
}

/// The sum of prototypes, each times its weight.
fn weighted<'w>(prototypes: &ArrayViewD<'_, f32>, weights: impl Iterator<Item = &'w f32>) -> Option<Array2<f32>> {
    let mut sum = Array2::zeros((prototypes.shape()[1], prototypes.shape()[2]));
    for (plane, &weight) in prototypes.axis_iter(Axis(0)).zip(weights) {
        sum.scaled_add(weight, &plane.into_dimensionality::<ndarray::Ix2>().ok()?);
    }
    Some(sum)
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
        decoder.finite(rows, table.iter())?;
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

    /// Kind and confidence of each proposal.
    fn best(&self, decoder: &Decoder, output: usize) -> Result<Vec<(usize, f32)>> {
        let count = self.numbers.nrows();
        let first = match self.form {
            Rows::Yolo | Rows::Oriented => 4,
            Rows::YoloV5 => 5,
            Rows::EndToEnd | Rows::EndToEndOriented | Rows::Relative => {
                let kind = |row: usize| {
                    let number = self.numbers[[row, 5]];
                    let known = number >= 0.0 && number.fract() == 0.0 && (number as usize) < self.kinds;
                    // Rows that are left over have no confidence, and any number.
                    match (known, self.numbers[[row, 4]]) {
                        (true, confidence) => Ok((number as usize, confidence)),
                        (false, confidence) if confidence <= 0.0 => Ok((0, 0.0)),
                        _ => Err(decoder.misshapen(output, format!("kinds below {}", self.kinds), &[number as usize])),
                    }
                };
                return (0..count).map(kind).collect();
            }
        };
        // Kind by kind, so that a graph with one column a proposal is read along its memory.
        let mut best = vec![(0, f32::NEG_INFINITY); count];
        for kind in 0..self.kinds {
            for (best, &probability) in best.iter_mut().zip(self.numbers.column(first + kind)) {
                if probability > best.1 {
                    *best = (kind, probability);
                }
            }
        }
        if self.form == Rows::YoloV5 {
            for (best, objectness) in best.iter_mut().zip(self.numbers.column(4)) {
                best.1 *= objectness;
            }
        }
        Ok(best)
    }

    /// The box in model pixels; of a turned one, before it is turned.
    fn bbox(&self, row: usize, placement: &Placement) -> PixelBox {
        let mut sides = [0, 1, 2, 3].map(|i| self.numbers[[row, i]]);
        if self.form == Rows::Relative {
            let (width, height) = (placement.model.0 as f32, placement.model.1 as f32);
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

    /// Two kinds on a model input of 32x32; the source is 64x32, so it lies at rows 8 to 24 at half its size.
    fn decode(form: Rows, shape: [usize; 2], numbers: &[f32]) -> Result<Decoded> {
        let output = OutputConfig { confidence: 0.25, ..OutputConfig::new(vec!["a".into(), "b".into()]) };
        let decoder = Decoder::of(Layout::Rows { rows: 0, form, prototypes: None }, output, vec!["out".into()]);
        let outputs = Outputs::from_tensors([(vec![1, shape[0], shape[1]], numbers.to_vec())]);
        decoder.decode(&outputs, 0, &Preprocess::new(32, 32).placement(64, 32))
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
}
