use ndarray::ArrayView2;
use panelqc::{Mask, Size};

/// False positive rate up to which the overlap with the regions is integrated.
const LIMIT: f64 = 0.3;
/// A score's bin is the head of its bits: one bin holds numbers that differ by less than 1/8192 of themselves.
const SHIFT: u32 = 10;
const BINS: usize = (1.0f32.to_bits() >> SHIFT) as usize + 1;

/// How well anomaly maps tell defective pixels: counted image by image, in 25 MB whatever the number of images.
///
/// Scores that differ by less than 1/8192 of themselves (1.2e-4) count as equal. So a number is exact for maps of at
/// most that resolution, and otherwise off by at most half the share of (good, defective) pixel pairs in a common bin.
#[derive(Debug, Clone)]
pub struct PixelScores {
    good: Vec<u64>,
    defective: Vec<u64>,
    /// Shares of the regions.
    overlap: Vec<f64>,
    regions: u64,
}

impl PixelScores {
    /// Nothing counted yet.
    pub fn new() -> Self {
        PixelScores { good: vec![0; BINS], defective: vec![0; BINS], overlap: vec![0.0; BINS], regions: 0 }
    }

    /// Counts one image: `map` (height, width) says how anomalous each pixel is, in `0..=1` (what lies outside is cut,
    /// NaN is 0); `masks` (of the same size, others are passed over) mark the defective ones. The connected parts of
    /// all masks together (by sides or corners) are the regions.
    pub fn add<'a>(&mut self, map: ArrayView2<'_, f32>, masks: impl IntoIterator<Item = &'a Mask>) {
        let (height, width) = map.dim();
        // 0.0 is added to turn -0.0 into 0.0, whose bits are in order.
        let bin = |score: f32| ((score.clamp(0.0, 1.0) + 0.0).to_bits() >> SHIFT).min(BINS as u32 - 1) as usize;
        let bin = |score: f32| if score.is_nan() { 0 } else { bin(score) };
        map.iter().for_each(|&score| self.good[bin(score)] += 1);
        let size = Size::new(width as u32, height as u32);
        let fits = |mask: &&Mask| mask.size() == size;
        for region in Mask::union(size, masks.into_iter().filter(fits)).components() {
            let share = 1.0 / region.area() as f64;
            self.regions += 1;
            for (x, y, n) in region.runs() {
                for y in y..y + n {
                    let bin = bin(map[[y as usize, x as usize]]);
                    self.good[bin] -= 1;
                    self.defective[bin] += 1;
                    self.overlap[bin] += share;
                }
            }
        }
    }

    /// Area under the receiver operating characteristic of the pixels; `None` unless there are both sorts.
    pub fn auroc(&self) -> Option<f64> {
        let defective: u64 = self.defective.iter().sum();
        let share = |count: u64| count as f64 / defective as f64;
        (defective > 0).then_some(())?;
        self.area(1.0, |bin| share(self.defective[bin]))
    }

    /// Area under the per-region overlap (Bergmann et al. 2021): the mean share of each region that is found,
    /// integrated over false positive rates of 0 to 0.3 and divided by 0.3, in `0..=1`. `None` unless there are both
    /// regions and good pixels.
    pub fn aupro(&self) -> Option<f64> {
        (self.regions > 0).then_some(())?;
        self.area(LIMIT, |bin| self.overlap[bin] / self.regions as f64).map(|area| (area / LIMIT).min(1.0))
    }

    /// Area under the curve over false positive rates of 0 to `limit`, straight between its points; `gain` is what a
    /// bin adds to its height.
    fn area(&self, limit: f64, gain: impl Fn(usize) -> f64) -> Option<f64> {
        let good: u64 = self.good.iter().sum();
        (good > 0).then_some(())?;
        let (mut rate, mut height, mut area, mut passed) = (0.0f64, 0.0f64, 0.0, 0u64);
        for bin in (0..BINS).rev().filter(|&bin| self.good[bin] > 0 || self.defective[bin] > 0) {
            passed += self.good[bin];
            let (next, top) = (passed as f64 / good as f64, height + gain(bin));
            if next >= limit {
                let part = if next > rate { (limit - rate) / (next - rate) } else { 0.0 };
                area += (limit - rate) * (height + (height + (top - height) * part)) / 2.0;
                return Some(area);
            }
            area += (next - rate) * (height + top) / 2.0;
            (rate, height) = (next, top);
        }
        Some(area)
    }
}

impl Default for PixelScores {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use proptest::prelude::*;

    #[test]
    fn a_map_that_is_the_mask_has_area_one() {
        let mask = Mask::from_fn(Size::new(6, 4), |x, y| x < 2 || (x == 5 && y == 3));
        let map = Array2::from_shape_fn((4, 6), |(y, x)| if x < 2 || (x == 5 && y == 3) { 0.9 } else { 0.1 });
        let mut scores = PixelScores::new();
        scores.add(map.view(), [&mask]);
        assert_eq!((scores.auroc(), scores.aupro()), (Some(1.0), Some(1.0)));
        // The mirror image: nothing is found before everything good was called defective.
        let mut wrong = PixelScores::new();
        wrong.add(map.mapv(|v| 1.0 - v).view(), [&mask]);
        assert_eq!((wrong.auroc(), wrong.aupro()), (Some(0.0), Some(0.0)));
    }

    #[test]
    fn regions_count_alike_whatever_their_size() {
        // A region of 8 pixels is found, one of 1 pixel is not.
        let mask = Mask::from_fn(Size::new(10, 4), |x, y| x < 2 || (x == 9 && y == 3));
        let map = Array2::from_shape_fn((4, 10), |(_, x)| if x < 2 { 0.9 } else { 0.1 });
        let mut scores = PixelScores::new();
        scores.add(map.view(), [&mask]);
        // From (0, 0.5) straight to (1, 1): up to 0.3 the mean height is 0.5 + 0.5 * 0.15.
        assert!((scores.aupro().unwrap() - 0.575).abs() < 1e-12);
    }

    #[test]
    fn without_both_sorts_there_is_no_number() {
        let mut scores = PixelScores::new();
        assert_eq!((scores.auroc(), scores.aupro()), (None, None));
        scores.add(Array2::zeros((3, 3)).view(), []);
        assert_eq!((scores.auroc(), scores.aupro()), (None, None));
        scores.add(Array2::from_elem((3, 3), f32::NAN).view(), [&Mask::from_fn(Size::new(3, 3), |_, _| true)]);
        assert_eq!(scores.auroc(), Some(0.5), "all equal");
    }

    proptest! {
        // Every case walks through all bins.
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn areas_are_shares(
            values in proptest::collection::vec(-0.5f32..1.5, 48), bits in proptest::collection::vec(any::<bool>(), 48),
        ) {
            let mask = Mask::from_fn(Size::new(8, 6), |x, y| bits[(y * 8 + x) as usize]);
            let mut scores = PixelScores::new();
            scores.add(Array2::from_shape_vec((6, 8), values).unwrap().view(), [&mask]);
            for area in [scores.auroc(), scores.aupro()].into_iter().flatten() {
                prop_assert!((0.0..=1.0 + 1e-12).contains(&area), "{}", area);
            }
            prop_assert!(scores.aupro().is_none_or(|area| area <= 1.0));
        }
    }
}
