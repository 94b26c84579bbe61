//! Steps of preprocessing before a frame is resized: the list `[[prepare]]` of a manifest, in its order.
//!
//! A step gets a view of the frame's samples and gives one back: the same rows with another white or a part of them,
//! which copies nothing, or samples that it wrote into memory of its worker ([`SampleScratch`]), which is reused from
//! frame to frame. A reference goes through the same steps as its frame.
//!
//! A new step is one file here, with its keys as a struct (`deny_unknown_fields`) that implements [`Prepare`], and two
//! lines in this one: a variant of [`Step`], whose name in lower case is the step's name in a manifest, and an arm of
//! [`Step::as_prepare`].

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::frame::PixelView;
use crate::geometry::{Region, Size};

#[cfg(test)]
mod tests;
mod white;

pub use white::White;

/// One entry of a manifest's `[[prepare]]`: `step`, its name, and the keys of that step. Unknown steps and keys are
/// refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Step {
    /// `white`: the value of white.
    White(White),
    #[cfg(test)]
    #[doc(hidden)]
    Invert(tests::Invert),
    #[cfg(test)]
    #[doc(hidden)]
    Cut(tests::Cut),
}

/// What a step is asked for.
trait Prepare {
    /// What is wrong with its keys, if anything.
    fn problem(&self) -> Option<String>;

    /// The files that it owns, relative to the model package: they are hashed with it. Default: none.
    fn files(&self) -> Vec<&Path> {
        Vec::new()
    }

    /// Which part is left of the part `region` of a frame. Default: all of it.
    fn region(&self, frame: Size, region: Region) -> Region {
        let _ = frame;
        region
    }

    /// Whether it looks at samples: then none of them is above white. Default: it does.
    fn reads_samples(&self) -> bool {
        true
    }

    /// The view after this step. Samples that are written lie in `scratch`, none above white, and the region is the one
    /// that [`Prepare::region`] says.
    fn apply<'v>(&self, view: PixelView<'v>, scratch: &'v mut SampleScratch) -> Result<PixelView<'v>, Refused>;
}

/// Why a step cannot be applied to a frame.
struct Refused {
    expected: String,
    found: String,
}

/// Memory of one worker for samples that are written before a frame is resized, reused from frame to frame.
#[derive(Default)]
pub(super) struct SampleScratch {
    pub(super) eight: Vec<u8>,
    pub(super) sixteen: Vec<u16>,
}

impl Step {
    fn as_prepare(&self) -> &dyn Prepare {
        match self {
            Step::White(step) => step,
            #[cfg(test)]
            Step::Invert(step) => step,
            #[cfg(test)]
            Step::Cut(step) => step,
        }
    }

    /// The files that the step owns, relative to the model package's folder.
    pub fn files(&self) -> Vec<&Path> {
        self.as_prepare().files()
    }

    /// What is wrong with its keys, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        self.as_prepare().problem()
    }

    pub(super) fn region(&self, frame: Size, region: Region) -> Region {
        self.as_prepare().region(frame, region)
    }

    /// Why the white of a manifest is stated twice, if it is with different values.
    pub(crate) fn contradiction(steps: &[Step], white: Option<u16>) -> Option<String> {
        let values = || white.into_iter().chain(steps.iter().filter_map(Step::white));
        let first = values().next()?;
        values().find(|&value| value != first).map(|other| format!("white {first} and {other}"))
    }

    /// The white that it sets, if it does.
    pub(crate) fn white(&self) -> Option<u16> {
        match self {
            Step::White(White { value }) => Some(*value),
            #[cfg(test)]
            _ => None,
        }
    }
}

/// Takes a view through the steps; `white` is the manifest's short form of the step of that name. What comes back holds
/// no sample above its white.
pub(super) fn prepare<'v>(
    white: Option<u16>,
    steps: &[Step],
    mut view: PixelView<'v>,
    scratch: &'v mut Vec<SampleScratch>,
    name: &dyn Fn() -> String,
) -> Result<PixelView<'v>> {
    let refused = |Refused { expected, found }| Error::image(name(), expected, found);
    if let Some(white) = white {
        view = white::set(view, white).map_err(refused)?;
    }
    if scratch.len() < steps.len() {
        scratch.resize_with(steps.len(), SampleScratch::default);
    }
    for (step, scratch) in steps.iter().zip(scratch) {
        let (frame, before) = (view.frame(), view.region());
        let step = step.as_prepare();
        if step.reads_samples() {
            white::check(&view).map_err(refused)?;
        }
        view = step.apply(view, scratch).map_err(refused)?;
        let (expected, found) = (step.region(frame, before), view.region());
        if found != expected {
            return Err(Error::internal(format!("a step gave {found:?} instead of {expected:?}")));
        }
    }
    white::check(&view).map_err(refused)?;
    Ok(view)
}
