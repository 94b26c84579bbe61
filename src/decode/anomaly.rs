//! Format `anomaly`: how unusual a frame is, and where (PaDiM, PatchCore, EfficientAD, and anomalib's exports).
//!
//! * a map `[B, 1, h, w]` or `[B, h, w]`, and a score `[B]` or `[B, 1]`; where there is no score, the map's highest
//!   number is it;
//! * `normalize` in the manifest puts numbers of any scale on 0 to 1; anomalib 2 exports them on it.
//!
//! Where the map reaches `pixel_threshold`, connected pixels (by sides or corners) of at least `min_area` are one defect, whose
//! confidence is the highest number in it. The frame's score decides: below `confidence` no region is reported, and from there on a
//! frame without a region gets one defect that covers it.

use ndarray::{Array2, ArrayView2, Axis};

use super::decoder::{Decoded, Decoder};
use super::scratch::DecodeScratch;
use super::surface::Surface;
use crate::defect::{Confidence, Defect};
use crate::error::{Error, Result};
use crate::geometry::{PixelBox, Placement, Size};
use crate::model::Outputs;

pub(super) fn decode(
    decoder: &Decoder,
    outputs: &Outputs,
    (map, score): (Option<usize>, Option<usize>),
    index: usize,
    placement: &Placement,
    scratch: &mut DecodeScratch,
) -> Result<Decoded> {
    let output = &decoder.output;
    let DecodeScratch { numbers, surface, .. } = scratch;
    let cells = map.map(|map| cells(decoder, outputs, map, index, numbers)).transpose()?;
    let peak = || cells.iter().flatten().copied().fold(0.0, f32::max);
    let score = match score {
        None => peak(),
        Some(score) => {
            let numbers = decoder.ranked(outputs, score, index, &[0, 1])?;
            decoder.finite(score, &numbers)?;
            numbers.iter().next().map_or(0.0, |&value| normal(decoder, value))
        }
    };
    let mut defects = Vec::new();
    // One kind: the first that is a defect.
    let kind = decoder.floors.iter().enumerate().find_map(|(kind, floor)| Some((kind, (*floor)?)));
    if let Some((kind, floor)) = kind.filter(|&(_, floor)| score >= floor) {
        if let Some(cells) = &cells {
            Surface::new(*cells).regions(output.pixel_threshold, placement, surface);
            for number in 0..surface.regions.len() {
                let region = surface.regions[number];
                if region.area >= output.min_area && region.peak >= floor {
                    defects.extend(decoder.region(kind, &region, placement, surface));
                }
            }
        }
        if let Some(confidence) = Confidence::new(score).filter(|_| defects.is_empty()) {
            let Size { width, height } = placement.frame();
            let whole = PixelBox::new(0.0, 0.0, width as f32, height as f32);
            defects.push(Defect::new(output.kinds[kind].clone(), confidence, whole));
        }
    }
    Decoder::surest_first(&mut defects);
    Ok(Decoded { defects, score: score.clamp(0.0, 1.0) })
}

/// The map at the source's pixels (height, width), in `0..=1`.
pub(super) fn surface(
    decoder: &Decoder,
    outputs: &Outputs,
    map: usize,
    index: usize,
    placement: &Placement,
) -> Result<Array2<f32>> {
    Ok(Surface::new(cells(decoder, outputs, map, index, &mut Vec::new())?).resampled(placement))
}

/// The map on the scale 0 to 1, written into `numbers`.
fn cells<'n>(
    decoder: &Decoder,
    outputs: &Outputs,
    map: usize,
    index: usize,
    numbers: &'n mut Vec<f32>,
) -> Result<ArrayView2<'n, f32>> {
    let mut cells = decoder.ranked(outputs, map, index, &[2, 3])?;
    if cells.ndim() == 3 {
        cells = cells.index_axis_move(Axis(0), 0);
    }
    decoder.finite(map, &cells)?;
    numbers.clear();
    numbers.extend(cells.iter().map(|&value| normal(decoder, value)));
    let shape = (cells.shape()[0], cells.shape()[1]);
    ArrayView2::from_shape(shape, numbers).map_err(|e| Error::Internal(e.to_string()))
}

fn normal(decoder: &Decoder, value: f32) -> f32 {
    decoder.output.normalize.map_or(value.clamp(0.0, 1.0), |n| n.apply(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Layout, Normalize, OutputConfig};
    use crate::tensor::{Fit, Preprocess};

    fn decode(change: impl Fn(&mut OutputConfig), score: Option<f32>, map: &[f32]) -> Decoded {
        let mut output = OutputConfig { confidence: 0.5, ..OutputConfig::new(vec!["anomaly".into()]) };
        change(&mut output);
        let layout = Layout::Anomaly { map: Some(0), score: score.map(|_| 1) };
        let tensors = [(vec![1, 1, 4, 8], map.to_vec()), (vec![1, 1], vec![score.unwrap_or(0.0)])];
        let placement = Preprocess { fit: Fit::Stretch, ..Preprocess::new(Size::new(8, 4)) }.placement(Size::new(8, 4));
        let decoder = Decoder::of(layout, output, vec!["map".into(), "score".into()]);
        decoder.decode(&Outputs::from_tensors(tensors), 0, &placement).unwrap()
    }

    /// A spot of two pixels that touch at a corner, and one of one pixel.
    fn map() -> Vec<f32> {
        let mut map = vec![0.1; 32];
        (map[9], map[18], map[15]) = (0.8, 0.6, 0.7);
        map
    }

    #[test]
    fn spots_of_the_map_are_defects() {
        let decoded = decode(|_| (), None, &map());
        assert_eq!(decoded.score, 0.8);
        let found: Vec<_> = decoded.defects.iter().map(|d| (d.confidence.get(), d.area_px, d.bbox)).collect();
        assert_eq!(found, [(0.8, 2, PixelBox::new(1.0, 1.0, 3.0, 3.0)), (0.7, 1, PixelBox::new(7.0, 1.0, 8.0, 2.0))]);
        assert!((decoded.defects[0].mean_confidence.unwrap().get() - 0.7).abs() < 1e-6);
        assert_eq!(decode(|o| o.min_area = 2, None, &map()).defects.len(), 1);
        assert_eq!(decode(|o| o.pixel_threshold = 0.65, None, &map()).defects[0].area_px, 1);
        assert_eq!(decode(|o| o.confidence = 0.75, None, &map()).defects.len(), 1);
    }

    #[test]
    fn the_score_decides() {
        let decoded = decode(|_| (), Some(0.4), &map());
        assert_eq!((decoded.score, decoded.defects.len()), (0.4, 0), "normal by its score");
        let decoded = decode(|_| (), Some(0.9), &[0.2; 32]);
        let [whole] = &decoded.defects[..] else { panic!("one defect") };
        assert_eq!((whole.confidence.get(), whole.area_px, &whole.mask), (0.9, 32, &None), "anomalous, and nowhere");
    }

    #[test]
    fn numbers_of_any_scale_are_normalised() {
        // anomalib: ((x - threshold) / (max - min) + 0.5) cut to 0..1.
        let scale = Normalize { threshold: 12.0, min: 2.0, max: 22.0 };
        let raw: Vec<f32> = map().iter().map(|v| 12.0 + (v - 0.5) * 20.0).collect();
        let decoded = decode(|o| o.normalize = Some(scale), Some(40.0), &raw);
        assert_eq!(decoded.score, 1.0);
        let confidences: Vec<_> = decoded.defects.iter().map(|d| d.confidence.get()).collect();
        assert!((confidences[0] - 0.8).abs() < 1e-6 && (confidences[1] - 0.7).abs() < 1e-6, "{confidences:?}");
    }
}
