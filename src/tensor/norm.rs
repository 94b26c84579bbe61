use super::pixel::Level;
use super::preprocess::Preprocess;
use super::simd::vectorised;

/// How a pixel becomes a number of one plane of the tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Norm {
    scale: f32,
    mean: f32,
    std: f32,
    pad: f32,
}

impl Norm {
    pub(super) fn new(config: &Preprocess, plane: usize) -> Self {
        let pick = |values: &[f64]| values.get(plane).or(values.first()).copied().unwrap_or(0.0) as f32;
        Norm {
            scale: config.scale as f32,
            mean: pick(&config.mean),
            std: pick(&config.std),
            pad: f32::from(config.pad),
        }
    }

    #[inline(always)]
    fn apply(&self, pixel: f32) -> f32 {
        (pixel * self.scale - self.mean) / self.std
    }

    pub(super) fn padding(&self) -> f32 {
        self.apply(self.pad)
    }

    /// Puts numbers on the scale 0 to 255, where `white` is 255, and into a plane.
    pub(super) fn fill<V: Level>(&self, out: &mut [f32], values: &[V], white: f32) {
        // 255 times a sample over a multiple of 255 is the same quotient without the product.
        let divisor = white / 255.0;
        if V::ON_SCALE || divisor == 1.0 {
            self.fill_levels(out, values, V::into);
        } else if white % 255.0 == 0.0 {
            self.fill_levels(out, values, |value| value.into() / divisor);
        } else {
            self.fill_levels(out, values, |value| value.level(white));
        }
    }

    #[inline(always)]
    fn fill_levels<V: Level>(&self, out: &mut [f32], values: &[V], level: impl Fn(V) -> f32) {
        let values = out.iter_mut().zip(values);
        // A power of two, 1 most often, has an exact inverse: the product is the quotient, and a division takes longer
        // than the memory that is read and written.
        let inverse = self.std.recip();
        if inverse.is_normal() && inverse.to_bits().trailing_zeros() >= f32::MANTISSA_DIGITS - 1 {
            return vectorised(
                #[inline(always)]
                || values.for_each(|(out, &value)| *out = (level(value) * self.scale - self.mean) * inverse),
            );
        }
        vectorised(
            #[inline(always)]
            || values.for_each(|(out, &value)| *out = self.apply(level(value))),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn normalised_pixels_are_those_of_the_formula(
            values in proptest::collection::vec(0u16.., 1..80), scale in 1e-4f32..2.0, mean in -200f32..200.0,
            std in prop_oneof![
                (-149i32..128).prop_map(|power| f64::from(power).exp2() as f32),
                (1u16..300).prop_map(|part| f32::from(part).recip()),
                1e-3f32..300.0,
            ],
            white in prop::sample::select(&[255u16, 1023, 4080, 4095, 16_383, 65_535][..]),
        ) {
            let norm = Norm { scale, mean, std, pad: 0.0 };
            let white = f32::from(white);
            let mut out = vec![f32::NAN; values.len()];
            norm.fill(&mut out, &values, white);
            let want = values.iter().map(|&v| norm.apply(f32::from(v) * 255.0 / white).to_bits());
            prop_assert!(out.iter().map(|v| v.to_bits()).eq(want), "{norm:?}");
            norm.fill(&mut out, &values.iter().map(|&v| f32::from(v)).collect::<Vec<_>>(), white);
            let want = values.iter().map(|&v| norm.apply(f32::from(v)).to_bits());
            prop_assert!(out.iter().map(|v| v.to_bits()).eq(want), "numbers that are levels: {norm:?}");
        }
    }
}
