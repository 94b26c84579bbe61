//! Format `mask`: semantic segmentation, a number for each kind and pixel `[B, K, h, w]`, made a probability as
//! `activation` says (`softmax` over the kinds, `sigmoid` for each).
//!
//! Probabilities are interpolated to the source's pixels. With `softmax` (and `none` with a `good` kind) a pixel has
//! its most probable kind; with `sigmoid`, and for a single kind, every kind that reaches `pixel_threshold`. The
//! connected pixels of a kind (by sides or corners) are one defect, from `min_area` pixels on; its confidence is the
//! highest probability in it, and the mean is kept beside.

use ndarray::{ArrayView3, ArrayViewD, Axis};

use super::decoder::{Decoded, Decoder};
use super::scratch::DecodeScratch;
use super::surface::Surface;
use crate::error::{Error, Result};
use crate::geometry::Placement;
use crate::model::{Activation, Outputs};

pub(super) fn decode(
    decoder: &Decoder,
    outputs: &Outputs,
    map: usize,
    index: usize,
    placement: &Placement,
    scratch: &mut DecodeScratch,
) -> Result<Decoded> {
    let numbers = decoder.frame(outputs, map, index, 3)?;
    decoder.finite(map, &numbers)?;
    let kinds = decoder.floors.len();
    if numbers.shape()[0] != kinds {
        return Err(decoder.misshapen(map, format!("{kinds} kinds"), numbers.shape()));
    }
    let output = &decoder.output;
    let DecodeScratch { numbers: memory, winners, surface, .. } = scratch;
    let probabilities = probabilities(output.activation, &numbers, memory)?;
    let exclusive = kinds > 1
        && match output.activation {
            Activation::Softmax => true,
            Activation::Sigmoid => false,
            Activation::None => !output.good.is_empty(),
        };
    if exclusive {
        Surface::highest(probabilities, placement, winners, surface);
    }
    let width = placement.frame().width as usize;
    let mut score = 0.0f32;
    let mut defects = Vec::new();
    for (kind, (plane, floor)) in probabilities.axis_iter(Axis(0)).zip(&decoder.floors).enumerate() {
        let Some(floor) = *floor else { continue };
        let plane = Surface::new(plane);
        if exclusive {
            let wins = |_, x: u32, y: u32| winners[y as usize * width + x as usize] as usize == kind;
            plane.regions_where(wins, placement, surface);
        } else {
            plane.regions(output.pixel_threshold, placement, surface);
        }
        for number in 0..surface.regions.len() {
            let region = surface.regions[number];
            if region.area < output.min_area {
                continue;
            }
            score = score.max(region.peak.clamp(0.0, 1.0));
            if region.peak >= floor {
                defects.extend(decoder.region(kind, &region, placement, surface));
            }
        }
    }
    Decoder::surest_first(&mut defects);
    Ok(Decoded { defects, score })
}

/// The probabilities, written into `memory`.
fn probabilities<'m>(
    activation: Activation,
    numbers: &ArrayViewD<'_, f32>,
    memory: &'m mut Vec<f32>,
) -> Result<ArrayView3<'m, f32>> {
    let shape = (numbers.shape()[0], numbers.shape()[1], numbers.shape()[2]);
    let pixels = shape.1 * shape.2;
    memory.clear();
    memory.extend(numbers.iter());
    match activation {
        Activation::None => {}
        Activation::Sigmoid => memory.iter_mut().for_each(|v| *v = 1.0 / (1.0 + (-*v).exp())),
        Activation::Softmax => {
            for pixel in 0..pixels {
                let places = || (pixel..shape.0 * pixels).step_by(pixels);
                let top = places().map(|at| memory[at]).fold(f32::NEG_INFINITY, f32::max);
                let mut sum = 0.0;
                for at in places() {
                    memory[at] = (memory[at] - top).exp();
                    sum += memory[at];
                }
                for at in places() {
                    memory[at] /= sum;
                }
            }
        }
    }
    ArrayView3::from_shape(shape, memory).map_err(|e| Error::Internal(e.to_string()))
}
