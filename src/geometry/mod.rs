//! Shapes in image pixels: origin at the top left corner of the first pixel, x to the right, y down, half-open. The
//! centre of the first pixel is (0.5, 0.5).

mod components;
mod mask;
mod pixel_box;
mod placement;
mod polygon;
mod region;
pub(crate) mod runs;
mod size;

pub use mask::Mask;
pub use pixel_box::PixelBox;
pub use placement::Placement;
pub use polygon::Polygon;
pub use region::Region;
pub use size::Size;
pub(crate) use size::height_width;
