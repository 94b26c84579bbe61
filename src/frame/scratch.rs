use std::sync::Arc;

use super::flaw::Flaw;
use super::jpeg::Checker;
use super::panel::Panel;
use super::pixels::reserve;
use super::samples::{Memory, Numbers};

/// Memory for files and pixels reused from image to image; one for each worker. Otherwise pages would go back to the
/// system and be taken anew for every large image.
#[derive(Default)]
pub(crate) struct FrameScratch {
    /// An image file.
    pub(super) file: Vec<u8>,
    /// What a JPEG is checked with.
    pub(super) jpeg: Checker,
    /// The hash of the image file that was read last, where it is no image that can be used.
    pub(super) sha256: Option<Arc<str>>,
    eight: Pictures<u8>,
    sixteen: Pictures<u16>,
}

/// Memory of images that nobody looks at any more.
#[derive(Default)]
struct Pictures<T> {
    idle: Vec<Vec<T>>,
    /// How many were taken since the job began.
    taken: usize,
}

impl FrameScratch {
    /// Begins a job. Memory that the previous job did not bring back, since its image was damaged, is lost.
    pub(crate) fn begin(&mut self) {
        (self.eight.taken, self.sixteen.taken) = (0, 0);
    }

    /// `len` values of 8 bits, all 0: a decoder that stops early must not leave pixels of another image.
    pub(super) fn eight(&mut self, len: usize) -> Result<Vec<u8>, Flaw> {
        self.eight.take(len)
    }

    /// `len` values of 16 bits, all 0.
    pub(super) fn sixteen(&mut self, len: usize) -> Result<Vec<u16>, Flaw> {
        self.sixteen.take(len)
    }

    /// Takes the memory of a panel's images.
    pub(crate) fn take_back(&mut self, panel: Panel<'_>) {
        for samples in panel.into_samples() {
            match samples.0 {
                Numbers::Eight(Memory::Owned(values)) => self.eight.put_back(values),
                Numbers::Sixteen(Memory::Owned(values)) => self.sixteen.put_back(values),
                // It is not this worker's.
                Numbers::Eight(_) | Numbers::Sixteen(_) => {}
            }
        }
    }
}

impl<T: Copy + Default> Pictures<T> {
    fn take(&mut self, len: usize) -> Result<Vec<T>, Flaw> {
        let mut values = self.idle.pop().unwrap_or_default();
        values.clear();
        reserve(&mut values, len)?;
        values.resize(len, T::default());
        self.taken += 1;
        Ok(values)
    }

    /// Not all pixels are read into memory from here: never keeps more than were taken, or there would be more and
    /// more.
    fn put_back(&mut self, values: Vec<T>) {
        if let Some(left) = self.taken.checked_sub(1) {
            self.taken = left;
            self.idle.push(values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Frame, PixelFormat};
    use crate::geometry::Size;

    fn panel(values: Vec<u8>) -> Panel<'static> {
        Panel::new("a", Frame::new(Size::new(2, 2), PixelFormat::Rgb8, values).unwrap())
    }

    #[test]
    fn memory_comes_back_empty() {
        let mut scratch = FrameScratch::default();
        let mut values = scratch.eight(12).unwrap();
        values.fill(7);
        let place = values.as_ptr();
        scratch.take_back(panel(values));
        let again = scratch.eight(6).unwrap();
        assert_eq!((again.as_ptr(), again.as_slice()), (place, [0; 6].as_slice()));
        assert_eq!(scratch.eight(3).unwrap(), [0; 3], "another one where none is left");
        assert_eq!(scratch.sixteen(2).unwrap(), [0; 2]);
    }

    #[test]
    fn memory_from_elsewhere_is_not_kept() {
        let mut scratch = FrameScratch::default();
        for _ in 0..3 {
            scratch.begin();
            // One of a damaged image, one that comes back, and two images that were read otherwise.
            drop(scratch.eight(12).unwrap());
            let own = scratch.eight(12).unwrap();
            scratch.take_back(panel(own));
            scratch.take_back(panel(vec![1; 12]));
            scratch.take_back(panel(vec![2; 12]));
            assert!(scratch.eight.idle.len() <= 2, "{}", scratch.eight.idle.len());
        }
        scratch.begin();
        scratch.take_back(panel(vec![3; 12]));
        assert_eq!(scratch.eight.idle.len(), 2);
    }
}
