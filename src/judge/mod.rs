//! From defects to a verdict: a [`Judge`] decides. [`Policy`] is one whose rules are data, and names the rule that
//! decided.

mod bounded;
mod guarantee;
mod limits;
mod method;
mod policy;
mod verdict;

pub use bounded::Bounded;
pub use guarantee::Guarantee;
pub use limits::Limits;
pub use method::Method;
pub use policy::{Bounds, Policy, PolicyBuilder, Rule, Severity, Zone};
pub use verdict::{Judgement, Verdict};

use std::fmt;

use crate::defect::{Defect, Kind};
use crate::error::Result;
use crate::geometry::Size;
use crate::model::Model;

/// What makes a verdict out of the defects of a panel. [`Policy`] is the one that comes with this crate; a program that
/// decides by other means (a recipe of its own, a second model, a rule that no policy can say) implements this trait
/// and gives it to [`InspectorBuilder::judge`](crate::InspectorBuilder::judge).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use panelqc::{Defect, Inspector, Judge, Judgement, Kind, Model, Size, Verdict};
///
/// /// Fails a panel when the confidences of its defects add up to enough.
/// #[derive(Debug)]
/// struct Together(f32);
///
/// impl Judge for Together {
///     fn judge(&self, defects: &[Defect], _: &[Size]) -> Judgement {
///         let sum: f32 = defects.iter().map(|defect| defect.confidence.get()).sum();
///         match sum >= self.0 {
///             true => Judgement::new(Verdict::Fail, [format!("together {sum:.2} >= {:.2}", self.0)]),
///             false => Judgement::new(Verdict::Pass, [""; 0]),
///         }
///     }
///
///     fn floor(&self, _: &Kind) -> f32 {
///         0.1
///     }
/// }
///
/// let inspector = Inspector::builder(Model::load("models/solar-cell")?).judge(Together(1.5)).build()?;
/// assert!(inspector.policy().is_none());
/// # Ok(())
/// # }
/// ```
pub trait Judge: Send + Sync + fmt::Debug {
    /// Judges the defects of one panel, of all its frames together. `frames` are the frames' sizes, in the order that
    /// [`Defect::frame`] counts them. It is called on the threads that inspect; a panic is an error of that panel
    /// ([`ErrorKind::Internal`](crate::ErrorKind::Internal)) and of no other.
    fn judge(&self, defects: &[Defect], frames: &[Size]) -> Judgement;

    /// The lowest confidence, in `0..=1`, at which a defect of this kind can affect a verdict: defects are reported
    /// from there on, or from the manifest's confidence on where that is lower. A detection of at least this confidence
    /// that cannot become a defect sends the panel to review: see [`Decoded::lost`](crate::Decoded::lost).
    fn floor(&self, kind: &Kind) -> f32;

    /// SHA-256, in hexadecimal, of all that its verdicts depend on, for [`Trace::policy`](crate::Trace::policy).
    /// Default: none.
    fn sha256(&self) -> Option<&str> {
        None
    }

    /// Side of a pixel on the panel in millimetres; it gives every defect its area in square millimetres. Default: not
    /// known.
    fn pixel_pitch_mm(&self) -> Option<f64> {
        None
    }

    /// Whether it belongs to this model; asked when an inspector is built. Default: it does.
    ///
    /// # Errors
    /// Whatever it finds wrong; [`Error::policy`](crate::Error::policy) makes a suitable error.
    fn check(&self, model: &Model) -> Result<()> {
        let _ = model;
        Ok(())
    }
}
