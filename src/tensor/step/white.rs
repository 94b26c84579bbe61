use serde::{Deserialize, Serialize};

use super::{Prepare, Refused, SampleScratch};
use crate::frame::{PixelView, View, either};
use crate::tensor::pixel::Sample;
use crate::tensor::simd::vectorised;

/// The step `white`: which value of a sample is white, in place of the frame's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct White {
    /// The value, 1 to 65,535: 4095 for 12 bits in words of 16.
    pub value: u16,
}

impl White {
    /// The step that makes `value` white.
    pub fn new(value: u16) -> Self {
        White { value }
    }
}

impl Prepare for White {
    fn problem(&self) -> Option<String> {
        (self.value == 0).then(|| "white: expected a value of 1 to 65535, found 0".to_owned())
    }

    fn reads_samples(&self) -> bool {
        false
    }

    fn apply<'v>(&self, view: PixelView<'v>, _: &'v mut SampleScratch) -> Result<PixelView<'v>, Refused> {
        set(view, self.value)
    }
}

/// The same samples with another white.
pub(super) fn set(view: PixelView<'_>, white: u16) -> Result<PixelView<'_>, Refused> {
    if white > view.format().largest() {
        // In 8 bits such an image would be dark, or black, without a word.
        let expected = format!("pixels of 16 bits (the manifest's white is {white})");
        return Err(Refused { expected, found: view.format().to_string() });
    }
    Ok(view.with_white(white))
}

/// Looks for a sample above white, where memory could hold one.
pub(super) fn check(view: &PixelView<'_>) -> Result<(), Refused> {
    if view.white() == view.format().largest() {
        return Ok(());
    }
    either!(view, view => check_samples(view))
}

fn check_samples<T: Sample>(view: &View<'_, T>) -> Result<(), Refused> {
    let white = i32::from(view.white());
    for (y, row) in view.rows().enumerate() {
        let most = vectorised(
            #[inline(always)]
            || row.iter().copied().fold(T::default(), T::max),
        );
        if most.whole() <= white {
            continue;
        }
        if let Some(at) = row.iter().position(|value| value.whole() > white) {
            let region = view.region();
            let (x, y) = (region.x as usize + at / view.channels(), region.y as usize + y);
            return Err(Refused {
                expected: format!("values up to white, {white} ({})", view.format()),
                found: format!("{} in the pixel ({x}, {y})", row[at].whole()),
            });
        }
    }
    Ok(())
}
