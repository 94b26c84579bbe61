use ndarray::{Array4, ArrayView4, Axis, Slice};

use super::preprocess::Preprocess;
use super::step::Step;
use super::write::Writer;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::geometry::{Placement, Region, Size};

/// A model's input tensor `[N, C, H, W]` that is filled frame by frame, or part by part of frames, and reused.
/// [`Manifest::batch`](crate::Manifest::batch) makes the one that a model is fed from.
pub struct Batch {
    writer: Writer,
    /// Room for frames: none until the first one is pushed.
    tensor: Array4<f32>,
    capacity: usize,
    placements: Vec<Placement>,
    /// What is wrong with the settings, if anything.
    problem: Option<String>,
}

/// Most frames that room is made for at once; there is more when more are pushed.
const MAX_CAPACITY: usize = 1024;

impl Batch {
    /// Room for `capacity` frames that go through no steps. It grows when more are pushed. Settings that cannot be
    /// used, such as a size of 0, are an error of the first push.
    pub fn new(config: &Preprocess, capacity: usize) -> Self {
        let problem = config.problem();
        let Size { width, height } = if problem.is_none() { config.size } else { Size::new(0, 0) };
        Batch {
            tensor: Array4::zeros((0, config.tensor_channels(), height as usize, width as usize)),
            capacity: capacity.clamp(1, MAX_CAPACITY),
            writer: Writer::new(config),
            placements: Vec::new(),
            problem,
        }
    }

    /// The same batch for frames that go through `steps` first: a manifest's `prepare`.
    #[must_use]
    pub fn with_steps(mut self, steps: &[Step]) -> Self {
        self.writer.set_steps(steps);
        self
    }

    /// Number of frames in it.
    pub fn len(&self) -> usize {
        self.placements.len()
    }

    /// Whether there is no frame in it.
    pub fn is_empty(&self) -> bool {
        self.placements.is_empty()
    }

    /// Removes all frames; the memory stays.
    pub fn clear(&mut self) {
        self.placements.clear();
    }

    /// Whether the frame's input has the size of those already in it. It always has, unless the manifest says fit
    /// `source` or a `stride`.
    pub fn takes(&self, frame: &Frame<'_>) -> bool {
        self.takes_region(frame, Region::whole(frame.size()))
    }

    /// The same for a part of a frame.
    pub fn takes_region(&self, frame: &Frame<'_>, region: Region) -> bool {
        if self.is_empty() {
            return true;
        }
        let (_, _, height, width) = self.tensor.dim();
        let Size { width: w, height: h } = self.writer.placement(frame.size(), region).model();
        (w as usize, h as usize) == (width, height)
    }

    /// Preprocesses a frame, with its reference where the model compares, into the next place.
    ///
    /// # Errors
    /// [`ErrorKind::Frame`](crate::ErrorKind::Frame) when a value lies above white, when the reference is missing or of
    /// another size, or when the batch does not [take](Self::takes) the frame,
    /// [`ErrorKind::Argument`](crate::ErrorKind::Argument) for settings that cannot be used, and
    /// [`ErrorKind::Limits`](crate::ErrorKind::Limits) when there is no memory for the tensor. The batch is then as it
    /// was.
    pub fn push(&mut self, frame: &Frame<'_>, reference: Option<&Frame<'_>>) -> Result<()> {
        self.push_region(frame, reference, Region::whole(frame.size()))
    }

    /// Preprocesses a part of a frame, with the same part of its reference, into the next place: as if the part were an
    /// image of its own. Nothing is copied before it is resized.
    ///
    /// # Errors
    /// As [`push`](Self::push), and [`ErrorKind::Argument`](crate::ErrorKind::Argument) when the part has no pixel or
    /// lies outside the frame.
    pub fn push_region(&mut self, frame: &Frame<'_>, reference: Option<&Frame<'_>>, region: Region) -> Result<()> {
        if let Some(problem) = &self.problem {
            return Err(Error::argument(format!("input {problem}")));
        }
        if !region.is_in(frame.size()) {
            let Region { x, y, size } = region;
            return Err(Error::argument(format!(
                "image {}: expected a part of its {} pixels, found {size} at ({x}, {y})",
                frame.name(),
                frame.size()
            )));
        }
        let at = self.len();
        let (room, c, h, w) = self.tensor.dim();
        let model = self.writer.placement(frame.size(), region).model();
        let (width, height) = (model.width as usize, model.height as usize);
        if (h, w) != (height, width) && at > 0 {
            let other = format!("{width} x {height} among {w} x {h}");
            return Err(Error::image(frame.name(), "inputs of one size in a batch", other));
        }
        if (h, w) != (height, width) || room == 0 {
            self.tensor = zeros((room.max(self.capacity), c, height, width), frame)?;
        } else if at == room {
            let mut grown = zeros((room * 2, c, h, w), frame)?;
            grown.slice_axis_mut(Axis(0), Slice::from(..room)).assign(&self.tensor);
            self.tensor = grown;
        }
        let mut slot = self.tensor.index_axis_mut(Axis(0), at);
        // The array is in standard layout, so a part of its first axis is one slice.
        let out = slot.as_slice_mut().unwrap_or_default();
        let placement = self.writer.write(frame, region, reference, out)?;
        self.placements.push(placement);
        Ok(())
    }

    /// The filled part of the tensor.
    pub fn view(&self) -> ArrayView4<'_, f32> {
        self.tensor.slice_axis(Axis(0), Slice::from(..self.len()))
    }

    /// Where each frame lies in its part of the tensor.
    pub fn placements(&self) -> &[Placement] {
        &self.placements
    }
}

/// A tensor of zeros for a frame; an error where memory does not hold it.
fn zeros(shape: (usize, usize, usize, usize), frame: &Frame<'_>) -> Result<Array4<f32>> {
    let (n, c, h, w) = shape;
    let len = [n, c, h, w].into_iter().try_fold(1usize, usize::checked_mul);
    let mut values = Vec::new();
    let values = len.filter(|&len| values.try_reserve_exact(len).is_ok()).map(|len| {
        values.resize(len, 0.0);
        values
    });
    values.and_then(|values| Array4::from_shape_vec(shape, values).ok()).ok_or_else(|| {
        let found = format!("one of {n} x {c} x {h} x {w} numbers");
        Error::image(frame.name(), "a tensor that memory holds", found).with_kind(ErrorKind::Limits)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat::{Mono8, Rgb8};

    #[test]
    fn settings_that_cannot_be_used_are_an_error_and_no_panic() {
        let frame = Frame::new(Size::new(2, 2), Mono8, vec![9u8; 4]).unwrap();
        let sized = |width, height| Preprocess::new(Size::new(width, height));
        for (config, says) in [
            (sized(0, 0), "input size: expected 1 to 16384 pixels per side, found [0, 0]"),
            (sized(u32::MAX, u32::MAX), "input size: expected 1 to 16384"),
            (Preprocess { stride: Some(0), ..sized(8, 8) }, "input stride: expected a divisor"),
        ] {
            let mut batch = Batch::new(&config, usize::MAX);
            assert!(batch.takes(&frame) && batch.is_empty() && batch.view().is_empty());
            let error = batch.push(&frame, None).unwrap_err();
            assert!(error.kind() == ErrorKind::Argument && error.to_string().contains(says), "{error}");
        }
        // Any capacity is a hint; 0 is one too.
        for capacity in [0, usize::MAX] {
            let mut batch = Batch::new(&sized(4, 4), capacity);
            for _ in 0..3 {
                batch.push(&frame, None).unwrap();
            }
            assert_eq!(batch.view().dim(), (3, 3, 4, 4));
        }
        let mut batch = Batch::new(&sized(16_384, 16_384), usize::MAX);
        let error = batch.push(&frame, None).unwrap_err();
        assert!(error.kind() == ErrorKind::Limits && batch.is_empty(), "{error}");
    }

    #[test]
    fn frames_of_other_sizes_do_not_leak_into_each_other() {
        let config = Preprocess::new(Size::new(8, 8));
        let white = Frame::new(Size::new(8, 8), Mono8, vec![255u8; 64]).unwrap();
        let flat = Frame::new(Size::new(8, 2), Rgb8, vec![10u8; 48]).unwrap();
        let mut alone = Batch::new(&config, 1);
        alone.push(&flat, None).unwrap();
        let mut reused = Batch::new(&config, 1);
        for frame in [&white, &white, &white] {
            reused.push(frame, None).unwrap();
        }
        assert_eq!(reused.view().dim(), (3, 3, 8, 8));
        reused.clear();
        reused.push(&white, None).unwrap();
        reused.push(&flat, None).unwrap();
        assert_eq!(reused.view().index_axis(Axis(0), 1), alone.view().index_axis(Axis(0), 0));
        assert!(reused.view().index_axis(Axis(0), 0).iter().all(|&v| v == 1.0));
    }

    #[test]
    fn inputs_of_other_sizes_go_into_batches_of_their_own() {
        let config = Preprocess { stride: Some(4), ..Preprocess::new(Size::new(8, 8)) };
        let square = Frame::new(Size::new(8, 8), Mono8, vec![255u8; 64]).unwrap();
        let flat = Frame::new(Size::new(8, 2), Mono8, vec![10u8; 16]).unwrap();
        let mut batch = Batch::new(&config, 2);
        batch.push(&square, None).unwrap();
        assert!(batch.takes(&square) && !batch.takes(&flat));
        let refused = batch.push(&flat, None).unwrap_err().to_string();
        assert!(refused.contains("expected inputs of one size in a batch, found 8 x 4 among 8 x 8"), "{refused}");
        assert_eq!(batch.view().dim(), (1, 3, 8, 8));
        batch.clear();
        for _ in 0..3 {
            batch.push(&flat, None).unwrap();
        }
        assert_eq!(batch.view().dim(), (3, 3, 4, 8));
        // One row of padding above and below.
        let row = |y: usize| batch.view()[[2, 0, y, 5]] * 255.0;
        assert_eq!([row(0), row(1), row(2), row(3)].map(f32::round), [114.0, 10.0, 10.0, 114.0]);
    }
}
