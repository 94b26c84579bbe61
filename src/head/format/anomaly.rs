//! Format `anomaly`: how unusual a frame is, and where (PaDiM, PatchCore, EfficientAD, and anomalib's exports).
//!
//! * a map `[B, 1, h, w]` or `[B, h, w]`, and a score `[B]`, `[B, 1]` or, of a graph for one frame at a time, `[]`. A
//!   graph without an output that could be a score has its map's highest number as score, and so has one whose
//!   `scores` in the manifest names the map;
//! * `normalize` in the manifest maps numbers of any scale to 0 to 1; anomalib 2 exports them on that scale. Without it
//!   other numbers are an error.
//!
//! Where the map reaches `pixel_threshold`, connected pixels (by sides or corners) of at least `min_area` are one
//! defect, whose confidence is the highest number in it. The frame's score decides: below `confidence` no region is
//! reported, and from there on a frame without a region gets one defect that covers it.

use std::sync::Arc;

use ndarray::{Array2, ArrayViewD, Axis};

use crate::defect::Kind;
use crate::error::Result;
use crate::geometry::PixelBox;
use crate::head::context::most_confident_first;
use crate::head::proposals::{Candidate, Proposals};
use crate::head::search::real;
use crate::head::{Context, Decoded, Format, Head, HeadFormat, Mismatch, Normalize, Search, Slot, Task};
use crate::runtime::Port;

pub(super) const FORMAT: HeadFormat =
    HeadFormat::new("anomaly", &[Task::Anomaly], find).guessed().with_kinds(|_| Some(vec![Kind::new("anomaly")]));

impl Format {
    /// `anomaly`: a map `[B, 1, h, w]`, a score `[B]`, or both.
    pub const ANOMALY: Format = Format::named("anomaly");
}

/// What is looked for, and what to do where it is not clear.
const SCORE: &str = "an anomaly score f32[?] (`scores` names it, or the map for its highest number)";

/// What makes probabilities of anomaly numbers of any scale.
const NORMALIZE: &str = "[output] normalize = { threshold, min, max } for numbers of another scale";

#[derive(Debug)]
struct Anomaly {
    map: Option<usize>,
    score: Option<usize>,
    /// Whether the score has no batch axis.
    scalar: bool,
}

fn find(search: &Search<'_>) -> Result<Arc<dyn Head>, Mismatch> {
    let (output, ports) = (search.output(), search.ports());
    let is_map =
        |port: &Port| real(port) && (port.fits(&[None, Some(1), None, None]) || port.fits(&[None, None, None]));
    let is_score =
        |port: &Port| real(port) && (port.fits(&[None]) || port.fits(&[None, Some(1)]) || port.shape.is_empty());
    let map_name = output.map.as_deref().or_else(|| search.called(&["anomaly_map"]));
    let map = match map_name.is_some() || ports.iter().any(is_map) {
        true => Some(search.one(map_name, "an anomaly map f32[?, 1, ?, ?]", is_map)?),
        false => None,
    };
    let score_name = output.scores.as_deref().or_else(|| search.called(&["pred_score"]));
    // The map's highest number is the score where that was asked for, and where no other output could be one.
    let of_map = map.is_some_and(|map| score_name == Some(&*ports[map].name));
    let left = map.is_none() || score_name.is_some() || ports.iter().any(|port| real(port) && port.shape.len() <= 2);
    let score = match left && !of_map {
        true => Some(search.one(score_name, SCORE, is_score)?),
        false => None,
    };
    let scalar = score.is_some_and(|score| ports[score].shape.is_empty());
    Ok(Arc::new(Anomaly { map, score, scalar }))
}

/// Refuses non-finite numbers, and numbers from 0 to 1 where the scale begins above: they are normalised already, and
/// all would be normal.
fn of_scale(slot: &Slot<'_>, output: usize, numbers: &ArrayViewD<'_, f32>, scale: &Normalize) -> Result<()> {
    slot.finite(output, numbers)?;
    if scale.min > 1.0 && numbers.iter().all(|number| (0.0..=1.0).contains(number)) {
        let expected = format!("numbers of the scale of [output] normalize, which begins at {}", scale.min);
        return Err(slot.unusual(output, expected, "numbers from 0 to 1 alone: they are normalised already"));
    }
    Ok(())
}

impl Head for Anomaly {
    fn outputs(&self) -> Vec<usize> {
        self.map.into_iter().chain(self.score).collect()
    }

    fn single(&self) -> bool {
        self.scalar
    }

    fn propose(&self, context: &Context, slot: &Slot<'_>, found: &mut Proposals) -> Result<()> {
        let normalize = context.output().normalize;
        let normal = |value: f32| normalize.map_or(value.clamp(0.0, 1.0), |n| n.apply(value));
        let placement = slot.placement();
        let mut peak = 0.0;
        if let Some(output) = self.map {
            let mut map = slot.ranked(output, &[2, 3])?;
            if map.ndim() == 3 {
                map = map.index_axis_move(Axis(0), 0);
            }
            match normalize {
                None => slot.probabilities(output, &map, NORMALIZE)?,
                Some(scale) => of_scale(slot, output, &map, &scale)?,
            }
            let cells = (map.shape()[0], map.shape()[1]);
            let (_, cells) = found.maps.add_layer(placement, cells, map.iter().map(|&value| normal(value)));
            peak = cells.iter().copied().fold(0.0, f32::max);
        }
        let score = match self.score {
            None => peak,
            Some(output) => {
                let numbers = if self.scalar { slot.whole(output, 0)? } else { slot.ranked(output, &[0, 1])? };
                match normalize {
                    None => slot.probabilities(output, &numbers, NORMALIZE)?,
                    Some(scale) => of_scale(slot, output, &numbers, &scale)?,
                }
                let (Some(&value), 1) = (numbers.first(), numbers.len()) else {
                    return Err(slot.misshapen(output, "one number for each frame", numbers.shape()));
                };
                normal(value)
            }
        };
        // One kind: the first that is a defect.
        if let Some(kind) = context.floors().iter().position(Option::is_some) {
            context.take(Candidate::new(kind, score, PixelBox::from(placement.region())).placed(), found);
        }
        Ok(())
    }

    fn assemble(&self, context: &Context, found: &mut Proposals) -> Result<Decoded> {
        let (frame, output) = (found.frame(), context.output());
        let Proposals { views, candidates, notes, maps, scratch, .. } = found;
        let score = notes.score;
        let most =
            candidates.iter().copied().reduce(|most, next| if next.confidence > most.confidence { next } else { most });
        let mut defects = Vec::new();
        let floor = most.and_then(|most| context.floors()[most.kind]);
        if let (Some(most), Some(floor)) = (most, floor.filter(|&floor| score >= floor)) {
            if let Some(plane) = maps.merged(frame, 0) {
                scratch.surface.find_blobs(&plane, output.pixel_threshold);
                for number in 0..scratch.surface.blobs.len() {
                    let blob = scratch.surface.blobs[number];
                    if blob.area >= output.min_area && blob.peak >= floor {
                        defects.extend(context.blob(most.kind, &blob, frame, &mut scratch.surface));
                    }
                }
            }
            if defects.is_empty() {
                defects.extend(views.get(most.view).and_then(|view| context.defect(&most, view).ok()));
            }
        }
        most_confident_first(&mut defects);
        Ok(Decoded::new(defects, score.clamp(0.0, 1.0)))
    }

    fn anomaly_map(&self, found: &mut Proposals) -> Option<Array2<f32>> {
        let plane = found.maps.merged(found.frame(), 0)?;
        let mut map = found.scratch.surface.resampled(&plane);
        // A pixel that no view shows.
        map.iter_mut().filter(|value| !value.is_finite()).for_each(|value| *value = 0.0);
        Some(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;
    use crate::head::{OutputConfig, testing};
    use crate::tensor::{Fit, Preprocess};

    fn decode(change: impl Fn(&mut OutputConfig), score: Option<f32>, map: &[f32]) -> Decoded {
        let mut output = OutputConfig { confidence: 0.5, ..OutputConfig::new(vec!["anomaly".into()]) };
        change(&mut output);
        let head = Anomaly { map: Some(0), score: score.map(|_| 1), scalar: false };
        let tensors = [(vec![1, 1, 4, 8], map.to_vec()), (vec![1, 1], vec![score.unwrap_or(0.0)])];
        let placement = Preprocess { fit: Fit::Stretch, ..Preprocess::new(Size::new(8, 4)) }.placement(Size::new(8, 4));
        testing::decode(head, output, &tensors, (0, &placement)).unwrap()
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
