use std::ops::Range;

use ndarray::{ArrayView1, ArrayView2, ArrayViewD, ArrayViewMut2, Axis, Ix2, Slice};

use crate::geometry::{Placement, Region, Size};
use crate::head::activation::{logit, sigmoid};
use crate::head::maps::{Maps, PartOf};
use crate::head::proposals::HeadScratch;
use crate::head::surface::{Surface, Window};

/// The sum of prototypes, each times its weight: the mask of one proposal, over the model's input.
pub(super) struct Weighted<'a> {
    pub(super) planes: &'a ArrayViewD<'a, f32>,
    pub(super) weights: ArrayView1<'a, f32>,
    /// YOLOv5 enlarges probabilities, its successors sums, of which the logistic function is above the threshold where
    /// they are above its inverse.
    pub(super) probabilities: bool,
}

impl Weighted<'_> {
    /// Adds what is read for the mask: where in a window it is above `threshold`. As Ultralytics'
    /// `process_mask_native`: enlarged to where the padding is a whole number of cells, cut to what shows the frame,
    /// and from there to the frame's pixels. Nothing is computed that the window does not show; `None` for an empty
    /// one.
    pub(super) fn add(
        &self,
        threshold: f32,
        window: &Window,
        placement: &Placement,
        scratch: &mut HeadScratch,
        maps: &mut Maps,
    ) -> Option<usize> {
        if window.is_empty() {
            return None;
        }
        let HeadScratch { numbers, enlarged, surface, .. } = scratch;
        let limit = if self.probabilities { threshold } else { logit(threshold) };
        let grid = (self.planes.shape()[1], self.planes.shape()[2]);
        let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (width, height) = (side(grid.1), side(grid.0));
        let (model, resized) = (placement.model(), placement.resized());
        let quarter = model == Size::new(width.saturating_mul(4), height.saturating_mul(4));
        let cropped = resized.width > model.width || resized.height > model.height;
        if !quarter || cropped {
            let part = Surface::read(grid, window, placement);
            let cells = self.sum(&part, numbers)?;
            let part = PartOf { placement, window, whole: grid, origin: start(&part) };
            return Some(maps.add_part(&part, cells, limit, false));
        }
        let padding = (model.width - resized.width) | (model.height - resized.height);
        let padding = padding | (padding / 2);
        let step = [4, 2, 1].into_iter().find(|step| padding % step == 0).unwrap_or(1);
        let factor = 4 / step;
        let content = Size::new((resized.width / step).max(1), (resized.height / step).max(1));
        let frame = Placement::new(placement.frame(), placement.region(), content, content, (0, 0));
        let shown = (content.height as usize, content.width as usize);
        // The part of what shows the frame, and the same among all enlarged cells.
        let part = Surface::read(shown, window, &frame);
        let first = |from: i64| from as usize / step as usize;
        let (x, y) = (first(placement.offset().0), first(placement.offset().1));
        let among = (part.0.start + y..part.0.end + y, part.1.start + x..part.1.end + x);
        let cells = if factor == 1 {
            self.sum(&among, numbers)?
        } else {
            let whole = Size::new(width, height);
            let larger = Size::new(width * factor, height * factor);
            let enlarge = Placement::new(larger, Region::whole(larger), whole, whole, (0, 0));
            let pixels = |range: &Range<usize>| side(range.start)..side(range.end);
            let pixels = Window { across: pixels(&among.1), down: pixels(&among.0) };
            let under = Surface::read(grid, &pixels, &enlarge);
            let cells = self.sum(&under, numbers)?;
            Surface::part(cells, grid, start(&under), &enlarge).resample(&pixels, enlarged, surface);
            ArrayView2::from_shape((part.0.len(), part.1.len()), enlarged).ok()?
        };
        let part = PartOf { placement: &frame, window, whole: shown, origin: start(&part) };
        Some(maps.add_part(&part, cells, limit, false))
    }

    /// The mask at some rows and columns of the prototypes, written into `numbers`.
    fn sum<'n>(
        &self,
        (rows, columns): &(Range<usize>, Range<usize>),
        numbers: &'n mut Vec<f32>,
    ) -> Option<ArrayView2<'n, f32>> {
        numbers.clear();
        numbers.resize(rows.len() * columns.len(), 0.0);
        let mut sum = ArrayViewMut2::from_shape((rows.len(), columns.len()), numbers).ok()?;
        for (plane, &weight) in self.planes.axis_iter(Axis(0)).zip(self.weights) {
            let part = plane.slice_axis_move(Axis(0), Slice::from(rows.clone()));
            let part = part.slice_axis_move(Axis(1), Slice::from(columns.clone()));
            sum.scaled_add(weight, &part.into_dimensionality::<Ix2>().ok()?);
        }
        if self.probabilities {
            sum.mapv_inplace(sigmoid);
        }
        ArrayView2::from_shape((rows.len(), columns.len()), numbers).ok()
    }
}

/// Where a part begins: row and column.
fn start((rows, columns): &(Range<usize>, Range<usize>)) -> (usize, usize) {
    (rows.start, columns.start)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::geometry::{Mask, PixelBox};
    use crate::head::surface::SurfaceScratch;
    use crate::tensor::Preprocess;

    /// The mask by way of the whole image: every cell summed, all of them enlarged, and then cut.
    fn whole(cells: &Weighted<'_>, threshold: f32, window: &Window, placement: &Placement) -> Mask {
        let grid = (cells.planes.shape()[1], cells.planes.shape()[2]);
        let mut numbers = Vec::new();
        let sum = cells.sum(&(0..grid.0, 0..grid.1), &mut numbers).unwrap();
        let limit = if cells.probabilities { threshold } else { (threshold / (1.0 - threshold)).ln() };
        let mut memory = SurfaceScratch::default();
        let (model, resized) = (placement.model(), placement.resized());
        let (width, height) = (grid.1 as u32, grid.0 as u32);
        if model != Size::new(width * 4, height * 4) {
            return Surface::new(sum, placement).above(limit, window, &mut memory);
        }
        let padding = (model.width - resized.width) | (model.height - resized.height);
        let padding = padding | (padding / 2);
        let step = [4, 2, 1].into_iter().find(|step| padding % step == 0).unwrap();
        let larger = Size::new(width * 4 / step, height * 4 / step);
        let cells = Size::new(width, height);
        let enlarge = Placement::new(larger, Region::whole(larger), cells, cells, (0, 0));
        let enlarged = memory.resampled(&Surface::new(sum, &enlarge));
        let content = Size::new((resized.width / step).max(1), (resized.height / step).max(1));
        let first = |from: i64| from as usize / step as usize;
        let (x, y) = (first(placement.offset().0), first(placement.offset().1));
        let shown = enlarged.slice_axis(Axis(0), Slice::from(y..y + content.height as usize));
        let shown = shown.slice_axis(Axis(1), Slice::from(x..x + content.width as usize));
        let frame = Placement::new(placement.frame(), placement.region(), content, content, (0, 0));
        Surface::new(shown, &frame).above(limit, window, &mut memory)
    }

    proptest! {
        #[test]
        fn a_mask_is_the_same_when_only_its_window_is_enlarged(
            numbers in proptest::collection::vec(-3.0f32..3.0, 2 * 8 * 6),
            weights in proptest::collection::vec(-2.0f32..2.0, 2),
            probabilities in any::<bool>(), quarter in any::<bool>(),
            width in 1u32..90, height in 1u32..90,
            x in 0.0f32..90.0, y in 0.0f32..90.0, w in 0.5f32..60.0, h in 0.5f32..60.0,
        ) {
            let planes = ArrayViewD::from_shape(ndarray::IxDyn(&[2, 8, 6]), &numbers).unwrap();
            let cells = Weighted { planes: &planes, weights: ArrayView1::from(&weights), probabilities };
            let placement = match quarter {
                true => Preprocess::new(Size::new(24, 32)).placement(Size::new(width, height)),
                false => Preprocess::new(Size::new(15, 20)).placement(Size::new(width, height)),
            };
            let bbox = PixelBox::new(x, y, x + w, y + h).clip(Size::new(width, height));
            let window = Window::of(&bbox, placement.frame());
            let (mut scratch, mut maps) = (HeadScratch::default(), Maps::default());
            let part = cells.add(0.6, &window, &placement, &mut scratch, &mut maps);
            prop_assert_eq!(part.is_none(), window.is_empty());
            let got = part.and_then(|part| maps.mask(part, &mut scratch.surface));
            let want = (!window.is_empty()).then(|| whole(&cells, 0.6, &window, &placement));
            prop_assert_eq!(got, want.filter(|mask| mask.area() > 0));
        }
    }
}
