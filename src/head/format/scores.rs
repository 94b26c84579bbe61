//! Format `scores`: classification, with a class-activation map (Zhou et al. 2016) that gives a defect its region.
//!
//! * scores `[B, K]`, made probabilities as the manifest's `activation` says; without one they have to be ones;
//! * map `[B, K, h, w]` or `[B, 1, h, w]` on any scale: the region is where the map is above `cam_threshold` of its
//!   own range, as far as it is connected (by sides or corners) with its peak.

use std::sync::Arc;

use ndarray::{Axis, Ix2};

use super::rows::numbered;
use crate::defect::{Confidence, Defect};
use crate::error::Result;
use crate::geometry::PixelBox;
use crate::head::context::most_confident_first;
use crate::head::proposals::{Candidate, HeadScratch, Proposals};
use crate::head::slot::ACTIVATION;
use crate::head::surface::{Blob, Surface, SurfaceScratch};
use crate::head::{Activation, Context, Decoded, Format, Head, HeadFormat, Mismatch, Search, Slot, Task};
use crate::runtime::Signature;

pub(super) const FORMAT: HeadFormat =
    HeadFormat::new("scores", &[Task::Classify], find).guessed().with_kinds(|signature: &Signature| {
        numbered(signature.outputs.iter().find(|port| port.shape.len() == 2)?.shape[1]?)
    });

impl Format {
    /// `scores`: classification: `[B, K]` scores and, if wanted, a class-activation map `[B, K or 1, h, w]`.
    pub const SCORES: Format = Format::named("scores");
}

#[derive(Debug)]
struct Scores {
    scores: usize,
    cam: Option<usize>,
}

fn find(search: &Search<'_>) -> Result<Arc<dyn Head>, Mismatch> {
    let (output, kinds) = (search.output(), search.kinds());
    let cam = match output.cam.as_deref() {
        None => None,
        Some(name) => Some(
            search
                .shaped(Some(name), "a map", &[None, Some(1), None, None])
                .or_else(|_| search.shaped(Some(name), "a map", &[None, Some(kinds), None, None]))?,
        ),
    };
    Ok(Arc::new(Scores { scores: search.shaped(output.scores.as_deref(), "scores", &[None, Some(kinds)])?, cam }))
}

impl Head for Scores {
    fn outputs(&self) -> Vec<usize> {
        std::iter::once(self.scores).chain(self.cam).collect()
    }

    fn propose(&self, context: &Context, slot: &Slot<'_>, found: &mut Proposals) -> Result<()> {
        let values = slot.array(self.scores, 1)?;
        match context.output().activation {
            Activation::None => slot.probabilities(self.scores, &values, ACTIVATION)?,
            _ => slot.finite(self.scores, &values)?,
        }
        if values.len() != context.kinds() {
            return Err(slot.misshapen(self.scores, format!("{} kinds", context.kinds()), values.shape()));
        }
        let Proposals { views, candidates, notes, maps, scratch, .. } = found;
        let HeadScratch { numbers: probabilities, .. } = scratch;
        context.output().activation.apply(values.iter().copied(), probabilities);
        let map = match self.cam {
            None => None,
            Some(output) => {
                let map = slot.array(output, 3)?;
                slot.finite(output, &map)?;
                Some(map)
            }
        };
        let placement = slot.placement();
        let view = views.len().saturating_sub(1);
        for (kind, &probability) in probabilities.iter().enumerate() {
            let confidence = probability.clamp(0.0, 1.0);
            let candidate = Candidate::new(kind, confidence, PixelBox::from(placement.region())).placed();
            if context.placed(&candidate, placement, notes).is_none() {
                continue;
            }
            let layer = map.as_ref().and_then(|map| {
                let channel = kind.min(map.shape()[0].saturating_sub(1));
                let plane = map.index_axis(Axis(0), channel).into_dimensionality::<Ix2>().ok()?;
                Some(maps.add_layer(placement, plane.dim(), plane.iter().copied()).0)
            });
            candidates.push(Candidate { view, part: layer, ..candidate.with_rank(kind) });
        }
        Ok(())
    }

    fn assemble(&self, context: &Context, found: &mut Proposals) -> Result<Decoded> {
        let Proposals { views, candidates, maps, scratch, notes, .. } = found;
        let surface = &mut scratch.surface;
        let mut defects = Vec::new();
        for candidate in candidates.iter() {
            let Some(view) = views.get(candidate.view) else { continue };
            let plane = candidate.part.and_then(|layer| maps.plane(layer, 0));
            let blob = plane.and_then(|plane| brightest(&plane, context.output().cam_threshold, surface));
            defects.extend(match blob {
                None => context.defect(candidate, view).ok(),
                Some(blob) => Confidence::new(candidate.confidence).map(|confidence| {
                    let kind = context.output().kinds[candidate.kind].clone();
                    Defect::new(kind, confidence, blob.bounds()).with_mask(surface.mask(&blob, view.frame()))
                }),
            });
        }
        most_confident_first(&mut defects);
        Ok(Decoded::new(defects, notes.score.clamp(0.0, 1.0)))
    }
}

/// The part of the view where its map, interpolated between the centres of its cells, is above `threshold` of its range
/// and connected with its peak. `None` for a flat map.
fn brightest(map: &Surface<'_>, threshold: f32, scratch: &mut SurfaceScratch) -> Option<Blob> {
    let (low, high) = map.range();
    if high <= low {
        return None;
    }
    // Where the frame is so cropped or small that no pixel is above the limit there is no region.
    scratch.find_blobs(map, low + threshold * (high - low));
    scratch.blobs.iter().copied().reduce(|best, next| if next.peak > best.peak { next } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::defect::Kind;
    use crate::error::ErrorKind;
    use crate::geometry::{Placement, Size};
    use crate::head::{OutputConfig, testing};
    use crate::tensor::{Fit, Preprocess};

    /// A head with its manifest's table.
    struct Test(bool, OutputConfig);

    impl Test {
        fn decode(&self, tensors: &[(Vec<usize>, Vec<f32>)], placement: &Placement) -> Result<Decoded> {
            let head = Scores { scores: 0, cam: self.0.then_some(1) };
            testing::decode(head, self.1.clone(), tensors, (0, placement))
        }
    }

    fn decoder(kinds: &[&str], good: &str, activation: Activation, cam: bool) -> Test {
        let kinds: Vec<Kind> = kinds.iter().map(|&k| k.into()).collect();
        let good = kinds.iter().filter(|k| k.as_str() == good).cloned().collect();
        Test(cam, OutputConfig { activation, good, confidence: 0.2, ..OutputConfig::new(kinds) })
    }

    fn placement(width: u32, height: u32) -> Placement {
        Preprocess { fit: Fit::Stretch, ..Preprocess::new(Size::new(8, 8)) }.placement(Size::new(width, height))
    }

    #[test]
    fn softmax_of_known_logits_without_the_good_kind() {
        let outputs = [(vec![1, 3], vec![2.0, 1.0, 0.0])];
        let d = decoder(&["ok", "crack", "dirt"], "ok", Activation::Softmax, false);
        let decoded = d.decode(&outputs, &placement(8, 8)).unwrap();
        // scipy.special.softmax([2, 1, 0]) = [0.66524096, 0.24472847, 0.09003057]
        assert!((decoded.score - 0.244_728_47).abs() < 1e-6);
        let [crack] = &decoded.defects[..] else { panic!("dirt is below 0.2, ok is no defect: {decoded:?}") };
        assert_eq!((crack.kind.as_str(), crack.area_px), ("crack", 64));
    }

    #[test]
    fn sigmoid_and_plain_probabilities() {
        let outputs = [(vec![1, 2], vec![0.0, 3.0])];
        let decoded = decoder(&["a", "b"], "", Activation::Sigmoid, false).decode(&outputs, &placement(8, 8)).unwrap();
        let confidences: Vec<_> = decoded.defects.iter().map(|d| d.confidence.get()).collect();
        assert!((confidences[0] - 0.952_574_13).abs() < 1e-6 && confidences[1] == 0.5);
        let outputs = [(vec![1, 2], vec![0.25, 0.75])];
        let decoded = decoder(&["a", "b"], "", Activation::None, false).decode(&outputs, &placement(8, 8)).unwrap();
        assert_eq!(decoded.score, 0.75);
    }

    #[test]
    fn the_map_gives_the_region_around_its_peak() {
        // A 4x4 map on 80x40 source pixels (cells of 20x10): a peak in cell (1, 2) and a lower one far from it that
        // is above the limit but not connected.
        let mut map = vec![0.0; 16];
        map[2 * 4 + 1] = 1.0;
        map[3] = 0.8;
        let outputs = [(vec![1, 1], vec![5.0]), (vec![1, 1, 4, 4], map)];
        let decoded = decoder(&["a"], "", Activation::Sigmoid, true).decode(&outputs, &placement(80, 40)).unwrap();
        let defect = &decoded.defects[0];
        // Cell centres lie at x = 10, 30, 50 and y = 5, 15, 25, the peak at (30, 25). Along y = 24.5 the map falls
        // below one half between x = 20.5 (0.525 * 0.95) and x = 21.5, along x = 30.5 between y = 19.5 and y = 20.5.
        assert_eq!(defect.bbox, PixelBox::new(21.0, 20.0, 39.0, 30.0));
        assert_eq!(defect.area_px, defect.mask.as_ref().unwrap().area());
        assert!(defect.area_px > 40 && defect.area_px < 200);
    }

    #[test]
    fn a_flat_map_leaves_the_whole_frame() {
        let outputs = [(vec![1, 1], vec![5.0]), (vec![1, 1, 2, 2], vec![1.0; 4])];
        let decoded = decoder(&["a"], "", Activation::Sigmoid, true).decode(&outputs, &placement(6, 4)).unwrap();
        assert_eq!(decoded.defects[0].bbox, PixelBox::new(0.0, 0.0, 6.0, 4.0));
        assert_eq!(decoded.defects[0].mask, None);
    }

    #[test]
    fn non_finite_values_name_the_output() {
        let d = decoder(&["a"], "", Activation::Sigmoid, true);
        for (logit, cell, name) in [(f32::NAN, 0.0, "output0"), (0.0, f32::INFINITY, "output1")] {
            let outputs = [(vec![1, 1], vec![logit]), (vec![1, 1, 1, 2], vec![cell, 1.0])];
            let error = d.decode(&outputs, &placement(8, 8)).unwrap_err();
            assert!(error.kind() == ErrorKind::Output && error.name() == Some(name), "{error}");
        }
    }
}
