//! Format `scores`: classification, with a class-activation map (Zhou et al. 2016) that gives a defect its region.
//!
//! * scores `[B, K]`, made probabilities as the manifest's `activation` says;
//! * map `[B, K, h, w]` or `[B, 1, h, w]` on any scale: the region is where the map is above `cam_threshold` of its
//!   own range, as far as it is connected (by sides or corners) with its peak.

use ndarray::{ArrayView2, Axis, Ix2};

use super::decoder::{Decoded, Decoder};
use super::scratch::DecodeScratch;
use super::surface::{Memory, Region, Surface};
use crate::defect::{Confidence, Defect};
use crate::error::Result;
use crate::geometry::{PixelBox, Placement, Size};
use crate::model::{Activation, Outputs};

pub(super) fn decode(
    decoder: &Decoder,
    outputs: &Outputs,
    (scores, cam): (usize, Option<usize>),
    index: usize,
    placement: &Placement,
    scratch: &mut DecodeScratch,
) -> Result<Decoded> {
    let values = decoder.frame(outputs, scores, index, 1)?;
    decoder.finite(scores, &values)?;
    if values.len() != decoder.floors.len() {
        return Err(decoder.misshapen(scores, format!("{} kinds", decoder.floors.len()), values.shape()));
    }
    let DecodeScratch { numbers: probabilities, surface, .. } = scratch;
    activate(decoder.output.activation, values.iter().copied(), probabilities);
    let map = match cam {
        None => None,
        Some(output) => {
            let map = decoder.frame(outputs, output, index, 3)?;
            decoder.finite(output, &map)?;
            Some(map)
        }
    };
    let Size { width, height } = placement.frame();
    let whole = PixelBox::new(0.0, 0.0, width as f32, height as f32);
    let mut score = 0.0f32;
    let mut defects = Vec::new();
    for (kind, (&probability, floor)) in probabilities.iter().zip(&decoder.floors).enumerate() {
        let Some(floor) = *floor else { continue };
        let Some(confidence) = Confidence::new(probability.clamp(0.0, 1.0)) else { continue };
        score = score.max(confidence.get());
        if confidence.get() < floor {
            continue;
        }
        let region = map.as_ref().and_then(|map| {
            let channel = kind.min(map.shape()[0].saturating_sub(1));
            let plane = map.index_axis(Axis(0), channel).into_dimensionality::<Ix2>().ok()?;
            region(plane, decoder.output.cam_threshold, placement, surface)
        });
        let name = decoder.output.kinds[kind].clone();
        defects.push(match region {
            Some(region) => {
                Defect::new(name, confidence, region.bounds()).with_mask(surface.mask(&region, placement.frame()))
            }
            None => Defect::new(name, confidence, whole),
        });
    }
    Decoder::surest_first(&mut defects);
    Ok(Decoded { defects, score })
}

/// Writes the probabilities of `values` into `out`.
pub(super) fn activate(activation: Activation, values: impl Iterator<Item = f32> + Clone, out: &mut Vec<f32>) {
    out.clear();
    match activation {
        Activation::None => out.extend(values),
        Activation::Sigmoid => out.extend(values.map(|v| 1.0 / (1.0 + (-v).exp()))),
        Activation::Softmax => {
            let top = values.clone().fold(f32::NEG_INFINITY, f32::max);
            out.extend(values.map(|v| (v - top).exp()));
            let sum: f32 = out.iter().sum();
            out.iter_mut().for_each(|p| *p /= sum);
        }
    }
}

/// The part of the source image where `map`, interpolated between the centres of its cells, is above `threshold` of
/// its range and connected with its peak. `None` for a flat map.
fn region(map: ArrayView2<'_, f32>, threshold: f32, placement: &Placement, memory: &mut Memory) -> Option<Region> {
    let (low, high) = map.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    if high <= low {
        return None;
    }
    // Where the frame is so cropped or small that no pixel is above the limit there is no region.
    Surface::new(map).regions(low + threshold * (high - low), placement, memory);
    memory.regions.iter().copied().reduce(|best, next| if next.peak > best.peak { next } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::defect::Kind;
    use crate::error::Error;
    use crate::model::{Layout, OutputConfig};
    use crate::tensor::{Fit, Preprocess};

    fn decoder(kinds: &[&str], good: &str, activation: Activation, cam: bool) -> Decoder {
        let kinds: Vec<Kind> = kinds.iter().map(|&k| k.into()).collect();
        let good = kinds.iter().filter(|k| k.as_str() == good).cloned().collect();
        let output = OutputConfig { activation, good, confidence: 0.2, ..OutputConfig::new(kinds) };
        let layout = Layout::Scores { scores: 0, cam: cam.then_some(1) };
        Decoder::of(layout, output, vec!["logits".into(), "cam".into()])
    }

    fn placement(width: u32, height: u32) -> Placement {
        Preprocess { fit: Fit::Stretch, ..Preprocess::new(Size::new(8, 8)) }.placement(Size::new(width, height))
    }

    #[test]
    fn softmax_of_known_logits_without_the_good_kind() {
        let outputs = Outputs::from_tensors([(vec![1, 3], vec![2.0, 1.0, 0.0])]);
        let d = decoder(&["ok", "crack", "dirt"], "ok", Activation::Softmax, false);
        let decoded = d.decode(&outputs, 0, &placement(8, 8)).unwrap();
        // scipy.special.softmax([2, 1, 0]) = [0.66524096, 0.24472847, 0.09003057]
        assert!((decoded.score - 0.244_728_47).abs() < 1e-6);
        let [crack] = &decoded.defects[..] else { panic!("dirt is below 0.2, ok is no defect: {decoded:?}") };
        assert_eq!((crack.kind.as_str(), crack.area_px), ("crack", 64));
    }

    #[test]
    fn sigmoid_and_plain_probabilities() {
        let outputs = Outputs::from_tensors([(vec![1, 2], vec![0.0, 3.0])]);
        let decoded =
            decoder(&["a", "b"], "", Activation::Sigmoid, false).decode(&outputs, 0, &placement(8, 8)).unwrap();
        let confidences: Vec<_> = decoded.defects.iter().map(|d| d.confidence.get()).collect();
        assert!((confidences[0] - 0.952_574_13).abs() < 1e-6 && confidences[1] == 0.5);
        let outputs = Outputs::from_tensors([(vec![1, 2], vec![0.25, 0.75])]);
        let decoded = decoder(&["a", "b"], "", Activation::None, false).decode(&outputs, 0, &placement(8, 8)).unwrap();
        assert_eq!(decoded.score, 0.75);
    }

    #[test]
    fn the_map_gives_the_region_around_its_peak() {
        // A 4x4 map on 80x40 source pixels (cells of 20x10): a peak in cell (1, 2) and a lower one far from it that
        // is above the limit but not connected.
        let mut map = vec![0.0; 16];
        map[2 * 4 + 1] = 1.0;
        map[3] = 0.8;
        let outputs = Outputs::from_tensors([(vec![1, 1], vec![5.0]), (vec![1, 1, 4, 4], map)]);
        let decoded = decoder(&["a"], "", Activation::Sigmoid, true).decode(&outputs, 0, &placement(80, 40)).unwrap();
        let defect = &decoded.defects[0];
        // Cell centres lie at x = 10, 30, 50 and y = 5, 15, 25, the peak at (30, 25). Along y = 24.5 the map falls
        // below one half between x = 20.5 (0.525 * 0.95) and x = 21.5, along x = 30.5 between y = 19.5 and y = 20.5.
        assert_eq!(defect.bbox, PixelBox::new(21.0, 20.0, 39.0, 30.0));
        assert_eq!(defect.area_px, defect.mask.as_ref().unwrap().area());
        assert!(defect.area_px > 40 && defect.area_px < 200);
    }

    #[test]
    fn a_flat_map_leaves_the_whole_frame() {
        let outputs = Outputs::from_tensors([(vec![1, 1], vec![5.0]), (vec![1, 1, 2, 2], vec![1.0; 4])]);
        let decoded = decoder(&["a"], "", Activation::Sigmoid, true).decode(&outputs, 0, &placement(6, 4)).unwrap();
        assert_eq!(decoded.defects[0].bbox, PixelBox::new(0.0, 0.0, 6.0, 4.0));
        assert_eq!(decoded.defects[0].mask, None);
    }

    #[test]
    fn numbers_that_are_none_name_the_output() {
        let d = decoder(&["a"], "", Activation::Sigmoid, true);
        for (logit, cell, name) in [(f32::NAN, 0.0, "logits"), (0.0, f32::INFINITY, "cam")] {
            let outputs = Outputs::from_tensors([(vec![1, 1], vec![logit]), (vec![1, 1, 1, 2], vec![cell, 1.0])]);
            let error = d.decode(&outputs, 0, &placement(8, 8)).unwrap_err();
            assert!(matches!(&error, Error::Output { output, .. } if output == name), "{error}");
        }
    }
}
