//! Format `mask`: semantic segmentation, a number for each kind and pixel `[B, K, h, w]`, made a probability as
//! `activation` says (`softmax` over the kinds, `sigmoid` for each).
//!
//! Probabilities are interpolated to the source's pixels. With `softmax` (and `none` with a `good` kind) a pixel has
//! its most probable kind; with `sigmoid`, and for a single kind, every kind that reaches `pixel_threshold`. The
//! connected pixels of a kind (by sides or corners) are one defect, from `min_area` pixels on; its confidence is the
//! highest probability in it, and the mean is kept beside.

use ndarray::{Array3, ArrayViewD, Axis, Ix3};

use super::decoder::{Decoded, Decoder};
use super::surface::Surface;
use crate::error::Result;
use crate::geometry::Placement;
use crate::model::{Activation, Outputs};

pub(super) fn decode(
    decoder: &Decoder,
    outputs: &Outputs,
    map: usize,
    index: usize,
    placement: &Placement,
) -> Result<Decoded> {
    let numbers = decoder.frame(outputs, map, index, 3)?;
    decoder.finite(map, numbers.iter())?;
    let kinds = decoder.floors.len();
    if numbers.shape()[0] != kinds {
        return Err(decoder.misshapen(map, format!("{kinds} kinds"), numbers.shape()));
    }
    let output = &decoder.output;
    let probabilities = probabilities(output.activation, &numbers);
    let exclusive = kinds > 1
        && match output.activation {
            Activation::Softmax => true,
            Activation::Sigmoid => false,
            Activation::None => !output.good.is_empty(),
        };
    let planes: Vec<Surface<'_>> = probabilities.axis_iter(Axis(0)).map(Surface::new).collect();
    let winners = exclusive.then(|| Surface::highest(&planes, placement));
    let width = placement.source.0 as usize;
    let mut score = 0.0f32;
    let mut defects = Vec::new();
    for (kind, (plane, floor)) in planes.iter().zip(&decoder.floors).enumerate() {
        let Some(floor) = *floor else { continue };
        let regions = match &winners {
            Some(winners) => {
                plane.regions_where(|_, x, y| winners[y as usize * width + x as usize] as usize == kind, placement)
            }
            None => plane.regions(output.pixel_threshold, placement),
        };
        for region in regions.into_iter().filter(|region| region.area >= output.min_area) {
            score = score.max(region.peak.clamp(0.0, 1.0));
            if region.peak >= floor {
                defects.extend(decoder.region(kind, region));
            }
        }
    }
    Decoder::surest_first(&mut defects);
    Ok(Decoded { defects, score })
}

fn probabilities(activation: Activation, numbers: &ArrayViewD<'_, f32>) -> Array3<f32> {
    // The rank was checked: it is 3.
    let mut out = numbers.to_owned().into_dimensionality::<Ix3>().unwrap_or_else(|_| Array3::zeros((0, 0, 0)));
    match activation {
        Activation::None => {}
        Activation::Sigmoid => out.mapv_inplace(|v| 1.0 / (1.0 + (-v).exp())),
        Activation::Softmax => {
            let top = out.fold_axis(Axis(0), f32::NEG_INFINITY, |a, &b| a.max(b));
            for mut plane in out.axis_iter_mut(Axis(0)) {
                plane.zip_mut_with(&top, |v, &t| *v = (*v - t).exp());
            }
            let sum = out.sum_axis(Axis(0));
            for mut plane in out.axis_iter_mut(Axis(0)) {
                plane /= &sum;
            }
        }
    }
    out
}
