use super::panel::Panel;
use super::pixels::Pixels;

/// Memory for files and pixels that is used again from image to image; one for each worker. The system gives pages
/// back and takes them anew for every large picture otherwise.
#[derive(Default)]
pub(crate) struct Buffers {
    /// An image file.
    pub(super) file: Vec<u8>,
    eight: Vec<Vec<u8>>,
    sixteen: Vec<Vec<u16>>,
}

impl Buffers {
    /// `len` values of 8 bits, all 0: a decoder that stops early must not leave pixels of another image.
    pub(super) fn eight(&mut self, len: usize) -> Vec<u8> {
        zeros(&mut self.eight, len)
    }

    /// `len` values of 16 bits, all 0.
    pub(super) fn sixteen(&mut self, len: usize) -> Vec<u16> {
        zeros(&mut self.sixteen, len)
    }

    /// Takes the memory of a panel that was read with these buffers, and of no other: there would be more and more.
    pub(crate) fn take_back(&mut self, panel: Panel) {
        for pixels in panel.into_pixels() {
            match pixels {
                Pixels::Gray8(values) | Pixels::Rgb8(values) => self.eight.push(values),
                Pixels::Gray16(values) | Pixels::Rgb16(values) => self.sixteen.push(values),
            }
        }
    }
}

fn zeros<T: Copy + Default>(spare: &mut Vec<Vec<T>>, len: usize) -> Vec<T> {
    let Some(mut values) = spare.pop() else { return vec![T::default(); len] };
    values.clear();
    values.resize(len, T::default());
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;

    #[test]
    fn memory_comes_back_empty() {
        let mut buffers = Buffers::default();
        let mut values = buffers.eight(12);
        values.fill(7);
        let place = values.as_ptr();
        buffers.take_back(Panel::new("a", Frame::new(2, 2, Pixels::Rgb8(values)).unwrap()));
        let again = buffers.eight(6);
        assert_eq!((again.as_ptr(), again.as_slice()), (place, [0; 6].as_slice()));
        assert_eq!(buffers.eight(3), [0; 3], "another one where none is left");
        assert_eq!(buffers.sixteen(2), [0; 2]);
    }
}
