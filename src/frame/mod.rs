//! Images as they come from the camera: [`Frame`] is the pixels of one image, [`Panel`] is what gets one verdict.
//!
//! From the bottom up: `format` (how a pixel is stored), `samples` (whose memory it is), `view` (rows of a frame or of
//! a part of it), `picture` (the frame), `convert` (8 bits for a person to look at), `panel`. `load` reads files within
//! `limits` into memory that `scratch` reuses: `content` tells what they are, `jpeg`, `tiff` and `common` (PNG, BMP,
//! WebP) give their `pixels` or the `flaw` for which they are refused. `walk` searches folders, and `folder` makes
//! panels of what it finds.

mod common;
mod content;
mod convert;
mod flaw;
mod folder;
mod format;
mod jpeg;
mod limits;
mod load;
mod panel;
mod picture;
mod pixels;
mod samples;
mod scratch;
mod tiff;
mod view;
mod walk;

pub use content::{PICTURE_HEAD, is_picture};
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
