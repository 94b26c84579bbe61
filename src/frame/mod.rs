//! Images as they come from the camera: [`Frame`] is the pixels of one image, [`Panel`] is what gets one verdict.
//!
//! From the bottom up: `format` (how a pixel is stored), `samples` (whose memory it is), `view` (rows of a frame or of
//! a part of it), `picture` (the frame), `convert` (8 bits for a person to look at), `panel`; `load` and `jpeg` read
//! files within `limits` into memory that `scratch` reuses; `signature` tells their first bytes, `walk`
//! searches folders, and `folder` makes panels of what it finds.

mod convert;
mod folder;
mod format;
mod jpeg;
mod limits;
mod load;
mod panel;
mod picture;
mod samples;
mod scratch;
mod signature;
mod view;
mod walk;

pub use convert::level8;
pub(crate) use convert::{LUMA, LUMA_HALF};
pub use folder::{FoundPanels, find_panels};
pub use format::PixelFormat;
pub use limits::FrameLimits;
pub(crate) use panel::Unread;
pub use panel::{Panel, PanelFiles, PanelInput};
pub use picture::Frame;
pub use samples::Samples;
pub(crate) use scratch::FrameScratch;
pub(crate) use view::either;
pub use view::{PixelView, View};
pub use walk::{ImageFile, LeftOut, Named, find_images};
