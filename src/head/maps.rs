use std::ops::Range;

use ndarray::ArrayView2;

use super::surface::{Rows, Surface, SurfaceScratch, Tap, Window};
use crate::geometry::{Mask, Placement, Region, Size};

/// Maps of the views of one frame, copied out of the graph's outputs, which do not last: whole ones over a view's model
/// input, and parts of them that are one candidate's mask. In memory reused from frame to frame.
#[derive(Debug, Default)]
pub(super) struct Maps {
    numbers: Vec<f32>,
    layers: Vec<Layer>,
    parts: Vec<Part>,
}

/// Maps of one view, each of the same rows and columns.
#[derive(Debug, Clone, PartialEq)]
struct Layer {
    placement: Placement,
    cells: (usize, usize),
    numbers: Range<usize>,
}

/// What is read of a map to draw one mask.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    placement: Placement,
    window: Window,
    /// Rows and columns of the whole map, and where the part begins.
    whole: (usize, usize),
    origin: (usize, usize),
    cells: (usize, usize),
    numbers: Range<usize>,
    limit: f32,
    empty: bool,
}

impl Maps {
    pub(super) fn clear(&mut self) {
        self.numbers.clear();
        self.layers.clear();
        self.parts.clear();
    }

    /// Adds maps of `cells` (rows, columns) each over a view's model input, one after the other. Gives their numbers,
    /// to be changed, and which layer they are.
    pub(super) fn add_layer(
        &mut self,
        placement: &Placement,
        cells: (usize, usize),
        numbers: impl Iterator<Item = f32>,
    ) -> (usize, &mut [f32]) {
        let start = self.numbers.len();
        self.numbers.extend(numbers);
        let numbers = start..self.numbers.len();
        self.layers.push(Layer { placement: *placement, cells, numbers: numbers.clone() });
        (self.layers.len() - 1, &mut self.numbers[numbers])
    }

    /// Adds what is read of a map for the mask of one candidate: the window's pixels where the map is above `limit`. A
    /// mask without a pixel is kept where `empty` says so.
    pub(super) fn add_part(
        &mut self,
        surface: &PartOf<'_>,
        cells: ArrayView2<'_, f32>,
        limit: f32,
        empty: bool,
    ) -> usize {
        let start = self.numbers.len();
        self.numbers.extend(cells.iter());
        self.parts.push(Part {
            placement: *surface.placement,
            window: surface.window.clone(),
            whole: surface.whole,
            origin: surface.origin,
            cells: cells.dim(),
            numbers: start..self.numbers.len(),
            limit,
            empty,
        });
        self.parts.len() - 1
    }

    /// The mask that a part draws; `None` for one without a pixel that is not to be kept.
    pub(super) fn mask(&self, part: usize, scratch: &mut SurfaceScratch) -> Option<Mask> {
        let part = self.parts.get(part)?;
        let cells = ArrayView2::from_shape(part.cells, &self.numbers[part.numbers.clone()]).ok()?;
        let surface = Surface::part(cells, part.whole, part.origin, &part.placement);
        let mask = surface.above(part.limit, &part.window, scratch);
        (part.empty || mask.area() > 0).then_some(mask)
    }

    /// Rows and columns of a layer, and its numbers.
    pub(super) fn layer(&self, layer: usize) -> Option<((usize, usize), &[f32])> {
        let layer = self.layers.get(layer)?;
        Some((layer.cells, &self.numbers[layer.numbers.clone()]))
    }

    /// Map number `plane` of one layer.
    pub(super) fn plane(&self, layer: usize, plane: usize) -> Option<Surface<'_>> {
        self.layers.get(layer)?.plane(&self.numbers, plane)
    }

    /// Map number `plane` of all layers together over a frame of `size`; `None` when no layer has it.
    pub(super) fn merged(&self, size: Size, plane: usize) -> Option<Merged<'_>> {
        self.plane(0, plane)?;
        Some(Merged { maps: self, size, plane })
    }
}

/// Where a part of a map lies.
pub(super) struct PartOf<'a> {
    /// How the whole map lies over the frame.
    pub(super) placement: &'a Placement,
    /// The frame's pixels that are drawn.
    pub(super) window: &'a Window,
    /// Rows and columns of the whole map.
    pub(super) whole: (usize, usize),
    /// Row and column of the part's first cell.
    pub(super) origin: (usize, usize),
}

impl Layer {
    fn plane<'a>(&'a self, numbers: &'a [f32], plane: usize) -> Option<Surface<'a>> {
        let size = self.cells.0 * self.cells.1;
        let numbers = numbers[self.numbers.clone()].get(plane * size..(plane + 1) * size)?;
        Some(Surface::new(ArrayView2::from_shape(self.cells, numbers).ok()?, &self.placement))
    }
}

/// One map over a whole frame, out of those of its views: where several show a pixel, the highest counts.
pub(super) struct Merged<'a> {
    maps: &'a Maps,
    size: Size,
    plane: usize,
}

impl Merged<'_> {
    fn surfaces(&self) -> impl Iterator<Item = Surface<'_>> {
        self.maps.layers.iter().filter_map(|layer| layer.plane(&self.maps.numbers, self.plane))
    }
}

impl Rows for Merged<'_> {
    fn region(&self) -> Region {
        Region::whole(self.size)
    }

    fn columns(&self, columns: &mut Vec<Tap>) {
        self.surfaces().for_each(|surface| surface.columns(columns));
    }

    fn row(&self, y: u32, columns: &[Tap], out: &mut [f32]) {
        let mut rest = columns;
        let whole = self.maps.layers.len() == 1 && self.maps.layers[0].placement.region() == self.region();
        if !whole {
            out.fill(f32::NEG_INFINITY);
        }
        for surface in self.surfaces() {
            let region = surface.region();
            let taps;
            (taps, rest) = rest.split_at(region.size.width as usize);
            if whole {
                surface.row(y, taps, out);
            } else if (region.y..region.bottom()).contains(&y) {
                surface.row_highest(y, taps, &mut out[region.x as usize..region.right() as usize]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_that_overlap_give_the_highest_of_both() {
        let frame = Size::new(6, 2);
        let mut maps = Maps::default();
        for (x, value) in [(0, 0.25), (2, 0.5)] {
            let region = Region::new(x, 0, Size::new(4, 2));
            let placement = Placement::new(frame, region, region.size, region.size, (0, 0));
            maps.add_layer(&placement, (1, 1), [value].into_iter());
        }
        let merged = maps.merged(frame, 0).unwrap();
        let values = SurfaceScratch::default().resampled(&merged);
        assert_eq!(values.into_raw_vec_and_offset().0, [0.25, 0.25, 0.5, 0.5, 0.5, 0.5].repeat(2));
        assert!(maps.merged(frame, 1).is_none());
    }
}
