use super::channels::luma;
use super::kernel::Resize;
use super::pixel::Sample;
use super::planes::Planes;
use super::preprocess::{Channels, Preprocess};
use super::step::{SampleScratch, Step, prepare};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Frame, LUMA, PixelFormat, PixelView, View};
use crate::geometry::{Placement, Region, Size};

/// Writes parts of frames into a tensor, as a manifest says.
pub(super) struct Writer {
    config: Preprocess,
    steps: Vec<Step>,
    scratch: Scratch,
}

/// One worker's memory, reused from frame to frame.
#[derive(Default)]
struct Scratch {
    /// One for each step.
    steps: Vec<SampleScratch>,
    /// A colour frame that became gray.
    gray: SampleScratch,
    eight: Resize<u8>,
    sixteen: Resize<u16>,
}

impl Writer {
    pub(super) fn new(config: &Preprocess) -> Self {
        Writer { config: config.clone(), steps: Vec::new(), scratch: Scratch::default() }
    }

    pub(super) fn set_steps(&mut self, steps: &[Step]) {
        self.steps = steps.to_vec();
    }

    /// Where the part `region` of a frame will lie in the tensor, as far as the steps leave it.
    pub(super) fn placement(&self, frame: Size, region: Region) -> Placement {
        let left = self.steps.iter().fold(region, |region, step| step.region(frame, region));
        self.config.placement_of(frame, left)
    }

    /// Writes the part `region` of a frame (and of its reference) as `[C, H, W]` into `out`.
    pub(super) fn write(
        &mut self,
        frame: &Frame<'_>,
        region: Region,
        reference: Option<&Frame<'_>>,
        out: &mut [f32],
    ) -> Result<Placement> {
        let placement = self.placement(frame.size(), region);
        let half = self.config.channels.count() * placement.model().area() as usize;
        let (first, second) = out.split_at_mut_checked(half).unwrap_or_default();
        self.write_frame(frame, region, &placement, first)?;
        if self.config.reference {
            let Some(reference) = reference else {
                let error = Error::image(frame.name(), "a reference image (the model compares)", "none");
                return Err(error.with_kind(ErrorKind::MissingReference));
            };
            if reference.size() != frame.size() {
                return Err(Error::image(
                    reference.name(),
                    format!("a reference of {} pixels, as {}", frame.size(), frame.name()),
                    reference.size().to_string(),
                ));
            }
            self.write_frame(reference, region, &placement, second)?;
        }
        Ok(placement)
    }

    fn write_frame(&mut self, frame: &Frame<'_>, region: Region, at: &Placement, out: &mut [f32]) -> Result<()> {
        let Writer { config, steps, scratch } = self;
        let Some(part) = frame.pixels().part(region) else {
            let found = format!("{} at ({}, {})", region.size, region.x, region.y);
            return Err(Error::image(frame.name(), format!("a part of its {} pixels", frame.size()), found));
        };
        let Scratch { steps: written, gray, eight, sixteen } = scratch;
        match prepare(config.white, steps, part, written, &|| frame.name())? {
            PixelView::Eight(view) => write_view(config, view, at, &mut gray.eight, eight, out),
            PixelView::Sixteen(view) => write_view(config, view, at, &mut gray.sixteen, sixteen, out),
        }
        Ok(())
    }
}

fn write_view<'v, T: Sample>(
    config: &Preprocess,
    mut view: View<'v, T>,
    at: &Placement,
    gray: &'v mut Vec<T>,
    resize: &mut Resize<T>,
    out: &mut [f32],
) {
    if config.channels == Channels::Gray && view.channels() == 3 {
        let [red, green, blue] = LUMA;
        let weights = if view.format().is_reversed() { [blue, green, red] } else { LUMA };
        let width = view.width();
        gray.resize(width * view.height(), T::default());
        match view.as_slice() {
            Some(pixels) => luma(pixels, weights, gray),
            None => view.rows().zip(gray.chunks_exact_mut(width)).for_each(|(row, gray)| luma(row, weights, gray)),
        }
        view = view.replaced(gray, if T::EIGHT_BITS { PixelFormat::Mono8 } else { PixelFormat::Mono16 });
    }
    let mut planes = Planes::new(config, at, view.format(), view.white(), out);
    let rows = planes.pad();
    resize.run(view, at.resized(), config.resize, config.antialias, rows, &mut planes);
}

#[cfg(test)]
mod tests;
