use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct};

use super::{PixelBox, Size};

/// A region of an image as run lengths, in the order and the text form of COCO: column by column, starting with a run
/// of background. Serialised as `{"size":[height,width],"counts":"..."}`.
///
/// The text form is that of the COCO API (`rleToString` in `maskApi.c`, Lin et al. 2014).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    size: Size,
    counts: Vec<u32>,
}

impl Mask {
    /// A mask of an image of `size` where `inside(x, y)` tells which pixels belong to the region.
    pub fn from_fn(size: Size, mut inside: impl FnMut(u32, u32) -> bool) -> Self {
        let mut counts = Vec::new();
        let (mut run, mut value) = (0u32, false);
        for x in 0..size.width {
            for y in 0..size.height {
                if inside(x, y) != value {
                    counts.push(run);
                    run = 0;
                    value = !value;
                }
                run += 1;
            }
        }
        counts.push(run);
        Mask { size, counts }
    }

    /// A mask of an image of `size` that is empty but for a window: `bits` row by row, `columns` wide, its top left
    /// corner at `corner`. What lies outside the image is cut off. `counts` is memory to be reused: the mask takes no
    /// more than it needs.
    pub(crate) fn from_window(
        size: Size,
        corner: (u32, u32),
        columns: usize,
        bits: &[bool],
        counts: &mut Vec<u32>,
    ) -> Self {
        let Size { width, height } = size;
        let rows = bits.len().checked_div(columns).unwrap_or(0);
        counts.clear();
        // Pixels written so far, and where the run under way began.
        let (mut at, mut value) = (0u64, false);
        let place = |x: u32, y: u32| u64::from(x) * u64::from(height) + u64::from(y);
        let mut change = |to: u64, next: bool| {
            if next != value {
                counts.push((to - at) as u32);
                (at, value) = (to, next);
            }
        };
        for column in 0..columns.min(width.saturating_sub(corner.0) as usize) {
            let x = corner.0 + column as u32;
            for row in 0..rows.min(height.saturating_sub(corner.1) as usize) {
                change(place(x, corner.1 + row as u32), bits[row * columns + column]);
            }
            // Below the window; at the image's end the run may go on in the next column.
            let below = corner.1 + (rows as u32).min(height.saturating_sub(corner.1));
            if below < height || corner.1 > 0 {
                change(place(x, below), false);
            }
        }
        // A window as high as the image ends without a pixel below it.
        change(place(width.min(corner.0.saturating_add(columns as u32)), 0), false);
        let rest = (place(width, 0) - at) as u32;
        if rest > 0 || counts.is_empty() {
            counts.push(rest);
        }
        Mask { size, counts: counts.to_vec() }
    }

    /// The mask of COCO's compressed text for an image of `size`. `None` for a text that is not valid, or that covers
    /// another number of pixels.
    pub fn from_coco_counts(size: Size, text: &str) -> Option<Self> {
        let mut counts: Vec<u32> = Vec::new();
        let mut bytes = text.bytes();
        while let Some(first) = bytes.next() {
            let (mut value, mut shift, mut byte) = (0i64, 0, first);
            loop {
                let bits = i64::from(byte.checked_sub(48).filter(|b| *b < 64)?);
                value |= (bits & 0x1f) << shift;
                shift += 5;
                if bits & 0x20 == 0 {
                    // The sign is the last five bits' highest.
                    if bits & 0x10 != 0 {
                        value |= -1 << shift;
                    }
                    break;
                }
                if shift > 35 {
                    return None;
                }
                byte = bytes.next()?;
            }
            let before = if counts.len() > 2 { i64::from(counts[counts.len() - 2]) } else { 0 };
            counts.push(u32::try_from(value + before).ok()?);
        }
        Self::from_coco_runs(size, counts)
    }

    /// A mask of run lengths that cover the image, background first.
    pub(super) fn from_counts(size: Size, counts: Vec<u32>) -> Self {
        Mask { size, counts }
    }

    /// The mask of COCO's run lengths as numbers, column by column from the top left, background first. `None` for runs
    /// that cover another number of pixels.
    pub fn from_coco_runs(size: Size, runs: Vec<u32>) -> Option<Self> {
        let pixels: u64 = runs.iter().map(|&n| u64::from(n)).sum();
        (pixels == size.area()).then_some(Mask { size, counts: runs })
    }

    /// Intersection over union with a mask of the same image, in `0..=1`; 0 where both are empty.
    pub fn iou(&self, other: &Self) -> f64 {
        let common = self.common(other);
        let union = self.area() + other.area() - common;
        if union > 0 { common as f64 / union as f64 } else { 0.0 }
    }

    /// Number of pixels that it shares with a mask of the same image.
    pub fn common(&self, other: &Self) -> u64 {
        let ends = |mask: &Mask| {
            let mut end = 0u64;
            let ends = mask.counts.iter().map(|&n| {
                end += u64::from(n);
                end
            });
            ends.collect::<Vec<_>>()
        };
        let (a, b) = (ends(self), ends(other));
        let (mut i, mut j, mut at, mut common) = (0, 0, 0u64, 0u64);
        while i < a.len() && j < b.len() {
            let next = a[i].min(b[j]);
            if i % 2 == 1 && j % 2 == 1 {
                common += next - at;
            }
            at = next;
            i += usize::from(a[i] == next);
            j += usize::from(b[j] == next);
        }
        common
    }

    /// Size of the image.
    pub fn size(&self) -> Size {
        self.size
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
        let height = u64::from(self.size.height);
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

    /// The same region of the image made small, its long edge at most `edge` pixels: a pixel belongs to it when any
    /// part of it does, so that nothing is lost.
    pub fn shrink(&self, edge: u32) -> Self {
        let Size { width, height } = self.size;
        let long = width.max(height);
        if long <= edge || self.size.is_empty() {
            return self.clone();
        }
        let small = |at: u32| (u64::from(at) * u64::from(edge) / u64::from(long)) as u32;
        let (width, height) = (small(width - 1) + 1, small(height - 1) + 1);
        let mut inside = vec![false; width as usize * height as usize];
        let mut fill = |x: u32, from: u32, to: u32| {
            let column = x as usize * height as usize;
            inside[column + from as usize..=column + to as usize].fill(true);
        };
        let (mut at, rows) = (0u64, u64::from(self.size.height));
        for (i, &n) in self.counts.iter().enumerate() {
            let (start, end) = (at, at + u64::from(n));
            at = end;
            if i % 2 == 0 || n == 0 {
                continue;
            }
            let (first, last) = (start / rows, (end - 1) / rows);
            let (top, bottom) = (small((start % rows) as u32), small(((end - 1) % rows) as u32));
            if first == last {
                fill(small(first as u32), top, bottom);
                continue;
            }
            fill(small(first as u32), top, height - 1);
            fill(small(last as u32), 0, bottom);
            // Those between are full, and there may be very many: each column of the small mask is filled once.
            if last - first > 1 {
                (small(first as u32 + 1)..=small(last as u32 - 1)).for_each(|x| fill(x, 0, height - 1));
            }
        }
        Self::from_fn(Size::new(width, height), |x, y| inside[(x * height + y) as usize])
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
        object.serialize_field("size", &[self.size.height, self.size.width])?;
        object.serialize_field("counts", &self.to_coco_counts())?;
        object.end()
    }
}

impl<'de> Deserialize<'de> for Mask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Coco {
            size: [u32; 2],
            counts: String,
        }
        let Coco { size: [height, width], counts } = Coco::deserialize(deserializer)?;
        let size = Size::new(width, height);
        Mask::from_coco_counts(size, &counts)
            .ok_or_else(|| D::Error::custom(format_args!("expected run lengths of COCO that cover {size} pixels")))
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
        let mask = Mask::from_fn(Size::new(3, 2), |x, y| x == 1 || (x == 2 && y == 1));
        assert_eq!(mask.counts(), [2, 2, 1, 1]);
        assert_eq!(mask.area(), 3);
        assert_eq!(mask.bounds(), Some(PixelBox::new(1.0, 0.0, 3.0, 2.0)));
        assert_eq!(mask.runs().collect::<Vec<_>>(), [(1, 0, 2), (2, 1, 1)]);
    }

    #[test]
    fn coco_text_equals_pycocotools() {
        // pycocotools 2.0.11: mask.encode(np.asfortranarray(m)) of a 7x5 image (height 7) with rows 2..5 and columns
        // 1..4 set, and of an empty one.
        let mask = Mask::from_fn(Size::new(5, 7), |x, y| (1..4).contains(&x) && (2..5).contains(&y));
        assert_eq!(mask.counts(), [9, 3, 4, 3, 4, 3, 9]);
        assert_eq!(mask.to_coco_counts(), "9340005");
        assert_eq!(Mask::from_fn(Size::new(2, 2), |_, _| false).to_coco_counts(), "4");
    }

    #[test]
    fn a_window_as_high_as_the_image_ends_where_it_ends() {
        let mask = Mask::from_window(Size::new(5, 2), (1, 0), 2, &[true; 4], &mut Vec::new());
        assert_eq!(mask, Mask::from_fn(Size::new(5, 2), |x, _| x == 1 || x == 2));
    }

    #[test]
    fn a_small_mask_keeps_every_part() {
        let mask = Mask::from_fn(Size::new(1000, 500), |x, y| (x == 999 && y == 499) || (x < 100 && y < 50));
        let small = mask.shrink(100);
        assert_eq!(small, Mask::from_fn(Size::new(100, 50), |x, y| (x == 99 && y == 49) || (x < 10 && y < 5)));
        assert_eq!(small.shrink(100), small);
    }

    #[test]
    fn iou_of_known_masks() {
        let a = Mask::from_fn(Size::new(4, 4), |x, _| x < 2);
        let b = Mask::from_fn(Size::new(4, 4), |x, y| x < 3 && y < 2);
        assert_eq!(a.iou(&b), 4.0 / 10.0);
        assert_eq!(a.iou(&a), 1.0);
        let none = Mask::from_fn(Size::new(4, 4), |_, _| false);
        assert_eq!((a.iou(&none), none.iou(&none)), (0.0, 0.0));
    }

    #[test]
    fn a_mask_of_very_many_columns_is_made_small_at_once() {
        let mask = Mask::from_coco_runs(Size::new(u32::MAX, 1), vec![7, u32::MAX - 8, 1]).unwrap();
        let small = mask.shrink(320);
        assert_eq!((small.size(), small.area()), (Size::new(320, 1), 320));
    }

    #[test]
    fn a_mask_of_no_pixels_is_small_already() {
        let mask = Mask::from_coco_runs(Size::new(0, 1000), vec![0]).unwrap();
        assert_eq!(mask.shrink(320), mask);
    }

    proptest! {
        #[test]
        fn a_small_mask_has_a_pixel_where_any_of_its_pixels_was(
            bits in proptest::collection::vec(proptest::bool::weighted(0.8), 84),
            width in prop_oneof![Just(7u32), Just(12), Just(42)], edge in 1u32..9,
        ) {
            let size = Size::new(width, 84 / width);
            let inside = |x: u32, y: u32| bits[(x * size.height + y) as usize];
            let mask = Mask::from_fn(size, inside).shrink(edge);
            let long = size.width.max(size.height);
            let small = |at: u32| at * edge.min(long) / long;
            let mut expected = vec![false; 84 * 84];
            let all = (0..size.width).flat_map(|x| (0..size.height).map(move |y| (x, y)));
            for (x, y) in all.filter(|&(x, y)| inside(x, y)) {
                expected[(small(x) * 84 + small(y)) as usize] = true;
            }
            prop_assert_eq!(&mask, &Mask::from_fn(mask.size(), |x, y| expected[(x * 84 + y) as usize]));
            prop_assert_eq!(mask.size(), Size::new(small(size.width - 1) + 1, small(size.height - 1) + 1));
        }

        #[test]
        fn a_window_is_the_same_mask(
            bits in proptest::collection::vec(any::<bool>(), 12), columns in prop_oneof![Just(3usize), Just(4), Just(6)],
            x0 in 0u32..8, y0 in 0u32..5, height in 2u32..6,
        ) {
            let whole = Mask::from_fn(Size::new(7, height), |x, y| {
                let inside = x >= x0 && y >= y0 && ((x - x0) as usize) < columns && ((y - y0) as usize) < 12 / columns;
                inside && bits[(y - y0) as usize * columns + (x - x0) as usize]
            });
            let windowed = Mask::from_window(Size::new(7, height), (x0, y0), columns, &bits, &mut Vec::new());
            prop_assert_eq!(windowed, whole);
        }

        #[test]
        fn area_and_runs_agree(bits in proptest::collection::vec(any::<bool>(), 35)) {
            let mask = Mask::from_fn(Size::new(5, 7), |x, y| bits[(y * 5 + x) as usize]);
            prop_assert_eq!(mask.area(), bits.iter().filter(|&&b| b).count() as u64);
            prop_assert_eq!(Mask::from_coco_counts(Size::new(5, 7), &mask.to_coco_counts()), Some(mask.clone()));
            prop_assert_eq!(Mask::from_coco_counts(Size::new(6, 7), &mask.to_coco_counts()), None);
            let json = serde_json::to_string(&mask).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Mask>(&json).unwrap(), &mask);
            prop_assert!(serde_json::from_str::<Mask>(&json.replacen("[7,5]", "[7,6]", 1)).is_err());
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
