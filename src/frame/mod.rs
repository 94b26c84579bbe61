//! Images as they come from the camera: [`Frame`] is one picture, [`Panel`] is what gets one verdict.

mod buffers;
mod folder;
mod jpeg;
mod limits;
mod load;
mod panel;
mod pixels;

pub(crate) use buffers::Buffers;
pub use folder::{Image as ImageFile, find_panels, walk as find_images};
pub use limits::FrameLimits;
pub use panel::{Panel, PanelFiles, PanelInput};
pub use pixels::{BitDepth, Frame, Pixels};
