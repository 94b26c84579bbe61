use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::PixelBox;

/// A region of an image as run lengths, in the order and the text form of COCO: column by column, starting with a run
/// of background. Serialised as `{"size":[height,width],"counts":"..."}`.
///
/// The text form is that of the COCO API (`rleToString` in `maskApi.c`, Lin et al. 2014).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    width: u32,
    height: u32,
    counts: Vec<u32>,
}

impl Mask {
    /// A mask of `width` x `height` pixels where `inside(x, y)` tells which pixels belong to the region.
    pub fn from_fn(width: u32, height: u32, mut inside: impl FnMut(u32, u32) -> bool) -> Self {
        let mut counts = Vec::new();
        let (mut run, mut value) = (0u32, false);
        for x in 0..width {
            for y in 0..height {
                if inside(x, y) != value {
                    counts.push(run);
                    run = 0;
                    value = !value;
                }
                run += 1;
            }
        }
        counts.push(run);
        Mask { width, height, counts }
    }

    /// Width of the image in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height of the image in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Lengths of the runs, background first, column by column.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Number of pixels of the region.
    pub fn area(&self) -> u64 {
        self.counts.iter().skip(1).step_by(2).map(|&n| u64::from(n)).sum()
    }

    /// The runs of the region: (x, first y, length in y), split at the ends of columns.
    pub fn runs(&self) -> impl Iterator<Item = (u32, u32, u32)> + '_ {
        let height = u64::from(self.height);
        let mut at = 0u64;
        self.counts.iter().enumerate().flat_map(move |(i, &n)| {
            let (mut start, end) = (at, at + u64::from(n));
            at = end;
            if i % 2 == 0 {
                start = end;
            }
            std::iter::from_fn(move || {
                if start >= end {
                    return None;
                }
                let (x, y) = (start / height, start % height);
                let length = (height - y).min(end - start);
                start += length;
                Some((x as u32, y as u32, length as u32))
            })
        })
    }

    /// The smallest box around the region, `None` for an empty one.
    pub fn bounds(&self) -> Option<PixelBox> {
        let mut bounds: Option<(u32, u32, u32, u32)> = None;
        for (x, y, n) in self.runs() {
            let (x0, y0, x1, y1) = bounds.unwrap_or((x, y, x + 1, y + n));
            bounds = Some((x0.min(x), y0.min(y), x1.max(x + 1), y1.max(y + n)));
        }
        bounds.map(|(x0, y0, x1, y1)| PixelBox::new(x0 as f32, y0 as f32, x1 as f32, y1 as f32))
    }

    /// The run lengths as COCO's compressed text.
    pub fn to_coco_counts(&self) -> String {
        let mut text = String::new();
        for (i, &count) in self.counts.iter().enumerate() {
            // From the fourth run on, COCO stores the difference to the run two before.
            let mut value = i64::from(count) - if i > 2 { i64::from(self.counts[i - 2]) } else { 0 };
            loop {
                let mut bits = (value & 0x1f) as u8;
                value >>= 5;
                let more = if bits & 0x10 != 0 { value != -1 } else { value != 0 };
                if more {
                    bits |= 0x20;
                }
                text.push(char::from(bits + 48));
                if !more {
                    break;
                }
            }
        }
        text
    }
}

impl Serialize for Mask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Mask", 2)?;
        object.serialize_field("size", &[self.height, self.width])?;
        object.serialize_field("counts", &self.to_coco_counts())?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn runs_go_down_the_columns() {
        // . # .
        // . # #
        let mask = Mask::from_fn(3, 2, |x, y| x == 1 || (x == 2 && y == 1));
        assert_eq!(mask.counts(), [2, 2, 1, 1]);
        assert_eq!(mask.area(), 3);
        assert_eq!(mask.bounds(), Some(PixelBox::new(1.0, 0.0, 3.0, 2.0)));
        assert_eq!(mask.runs().collect::<Vec<_>>(), [(1, 0, 2), (2, 1, 1)]);
    }

    #[test]
    fn coco_text_equals_pycocotools() {
        // pycocotools 2.0.11: mask.encode(np.asfortranarray(m)) of a 7x5 picture (height 7) with rows 2..5 and
        // columns 1..4 set, and of an empty one.
        let mask = Mask::from_fn(5, 7, |x, y| (1..4).contains(&x) && (2..5).contains(&y));
        assert_eq!(mask.counts(), [9, 3, 4, 3, 4, 3, 9]);
        assert_eq!(mask.to_coco_counts(), "9340005");
        assert_eq!(Mask::from_fn(2, 2, |_, _| false).to_coco_counts(), "4");
    }

    proptest! {
        #[test]
        fn area_and_runs_agree(bits in proptest::collection::vec(any::<bool>(), 35)) {
            let mask = Mask::from_fn(5, 7, |x, y| bits[(y * 5 + x) as usize]);
            prop_assert_eq!(mask.area(), bits.iter().filter(|&&b| b).count() as u64);
            let mut back = vec![false; 35];
            for (x, y, n) in mask.runs() {
                for y in y..y + n {
                    back[(y * 5 + x) as usize] = true;
                }
            }
            prop_assert_eq!(back, bits);
        }
    }
}
