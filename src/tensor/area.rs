/// Resampling by the mean over the covered area, first along the rows and then down the columns. A box filter of a
/// resampling crate counts whole pixels only; here a pixel that is covered in part counts by its share.
#[derive(Default)]
pub(super) struct Area {
    rows: Vec<f32>,
}

/// A pixel value: 8 or 16 bits.
pub(super) trait Value: Copy + Default + Into<f32> {
    /// Whether it is 8 bits.
    const EIGHT_BITS: bool;

    fn round(value: f32) -> Self;
}

impl Value for u8 {
    const EIGHT_BITS: bool = true;

    fn round(value: f32) -> Self {
        (value + 0.5) as u8
    }
}

impl Value for u16 {
    const EIGHT_BITS: bool = false;

    fn round(value: f32) -> Self {
        (value + 0.5) as u16
    }
}

impl Area {
    pub(super) fn run<T: Value>(
        &mut self,
        source: &[T],
        from: (u32, u32),
        target: &mut Vec<T>,
        to: (u32, u32),
        channels: usize,
    ) {
        let (width, to_width) = (from.0 as usize, to.0 as usize);
        let (height, to_height) = (from.1 as usize, to.1 as usize);
        let stride = to_width * channels;
        self.rows.clear();
        self.rows.resize(height * stride, 0.0);
        for (row, out) in source.chunks_exact(width * channels).zip(self.rows.chunks_exact_mut(stride)) {
            for (x, pixel) in out.chunks_exact_mut(channels).enumerate() {
                for (j, share) in cover(x, width, to_width) {
                    for (value, &from) in pixel.iter_mut().zip(&row[j * channels..]) {
                        *value += share * from.into();
                    }
                }
            }
        }
        target.clear();
        target.resize(to_height * stride, T::default());
        for (y, out) in target.chunks_exact_mut(stride).enumerate() {
            for (x, value) in out.iter_mut().enumerate() {
                let sum: f32 = cover(y, height, to_height).map(|(j, share)| share * self.rows[j * stride + x]).sum();
                *value = T::round(sum);
            }
        }
    }
}

/// The source pixels that target pixel `i` covers, with their shares, which sum to 1.
fn cover(i: usize, from: usize, to: usize) -> impl Iterator<Item = (usize, f32)> {
    // In units of 1/to of a source pixel every border is a whole number.
    let (start, end) = (i * from, (i + 1) * from);
    (start / to..end.div_ceil(to)).map(move |j| {
        let part = ((j + 1) * to).min(end) - (j * to).max(start);
        (j, part as f32 / from as f32)
    })
}
