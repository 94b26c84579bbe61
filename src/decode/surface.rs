use ndarray::{Array2, ArrayView2, Axis};

use crate::geometry::{Mask, PixelBox, Placement};

/// A map of numbers over the model's input, read at the centres of source pixels: linear between the centres of its
/// cells, constant beyond the outermost ones.
pub(super) struct Surface<'a> {
    cells: ArrayView2<'a, f32>,
}

/// A connected part of the source image (by sides or corners) where a surface is high.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Region {
    pub(super) mask: Mask,
    pub(super) bounds: PixelBox,
    /// Number of pixels.
    pub(super) area: u64,
    /// Highest value.
    pub(super) peak: f32,
    /// Mean value.
    pub(super) mean: f32,
}

/// Two neighbouring cells and the share of the second.
type Tap = (usize, usize, f32);

impl<'a> Surface<'a> {
    pub(super) fn new(cells: ArrayView2<'a, f32>) -> Self {
        Surface { cells }
    }

    /// For source pixels `range` along one axis, the cells on both sides of their centres.
    fn taps(range: std::ops::Range<u32>, cells: usize, model: u32, to_model: impl Fn(f64) -> f64) -> Vec<Tap> {
        range
            .map(|i| {
                let at = to_model(f64::from(i) + 0.5) * cells as f64 / f64::from(model) - 0.5;
                let at = at.clamp(0.0, cells as f64 - 1.0);
                let first = at.floor() as usize;
                (first, (first + 1).min(cells - 1), (at - first as f64) as f32)
            })
            .collect()
    }

    fn columns(&self, range: std::ops::Range<u32>, placement: &Placement) -> Vec<Tap> {
        Self::taps(range, self.cells.shape()[1], placement.model.0, |x| placement.to_model(x, 0.0).0)
    }

    fn rows(&self, range: std::ops::Range<u32>, placement: &Placement) -> Vec<Tap> {
        Self::taps(range, self.cells.shape()[0], placement.model.1, |y| placement.to_model(0.0, y).1)
    }

    /// The values along one row of source pixels.
    fn row<'r>(&'r self, (top, bottom, share): Tap, columns: &'r [Tap]) -> impl Iterator<Item = f32> + 'r {
        let (top, bottom) = (self.cells.index_axis_move(Axis(0), top), self.cells.index_axis_move(Axis(0), bottom));
        columns.iter().map(move |&(left, right, across)| {
            let upper = top[left] * (1.0 - across) + top[right] * across;
            let lower = bottom[left] * (1.0 - across) + bottom[right] * across;
            upper * (1.0 - share) + lower * share
        })
    }

    /// The values at all source pixels.
    pub(super) fn resampled(&self, placement: &Placement) -> Array2<f32> {
        let (width, height) = placement.source;
        let columns = self.columns(0..width, placement);
        let mut values = Vec::with_capacity(columns.len() * height as usize);
        for tap in self.rows(0..height, placement) {
            values.extend(self.row(tap, &columns));
        }
        Array2::from_shape_vec((height as usize, columns.len()), values).unwrap_or_default()
    }

    /// The part of a box (in source pixels) where the surface is above `limit`.
    pub(super) fn above(&self, limit: f32, inside: &PixelBox, placement: &Placement) -> Mask {
        let (width, height) = placement.source;
        // The pixels whose left top corner lies in the box, as Ultralytics' `crop_mask` has it.
        let span = |from: f32, to: f32, end: u32| {
            let first = (from.ceil().max(0.0) as u32).min(end);
            first..(to.ceil().max(0.0) as u32).clamp(first, end)
        };
        let (across, down) = (span(inside.x0, inside.x1, width), span(inside.y0, inside.y1, height));
        let columns = self.columns(across.clone(), placement);
        let mut bits = Vec::with_capacity(columns.len() * down.len());
        for tap in self.rows(down.clone(), placement) {
            bits.extend(self.row(tap, &columns).map(|value| value > limit));
        }
        Mask::from_window((width, height), (across.start, down.start), columns.len(), &bits)
    }

    /// For each source pixel, row by row, which of several surfaces is highest, the first where some are equal.
    pub(super) fn highest(surfaces: &[Surface<'_>], placement: &Placement) -> Vec<u16> {
        let Some(first) = surfaces.first() else { return Vec::new() };
        let (width, height) = placement.source;
        let columns = first.columns(0..width, placement);
        let mut winners = vec![0u16; width as usize * height as usize];
        let mut best = vec![0.0f32; columns.len()];
        let rows = first.rows(0..height, placement);
        for (out, &tap) in winners.chunks_exact_mut(columns.len().max(1)).zip(&rows) {
            best.fill(f32::NEG_INFINITY);
            for (number, surface) in (0u16..).zip(surfaces) {
                for ((winner, best), value) in out.iter_mut().zip(&mut best).zip(surface.row(tap, &columns)) {
                    if value > *best {
                        (*winner, *best) = (number, value);
                    }
                }
            }
        }
        winners
    }

    /// The connected regions at or above `limit`, from the top; their values are those of `self`.
    pub(super) fn regions(&self, limit: f32, placement: &Placement) -> Vec<Region> {
        self.regions_where(|value, _, _| value >= limit, placement)
    }

    /// The connected regions where `inside(value, x, y)` holds. Memory goes with the number of runs, not of pixels.
    pub(super) fn regions_where(
        &self,
        mut inside: impl FnMut(f32, u32, u32) -> bool,
        placement: &Placement,
    ) -> Vec<Region> {
        let (width, height) = placement.source;
        let columns = self.columns(0..width, placement);
        let mut runs: Vec<Run> = Vec::new();
        let mut parents: Vec<usize> = Vec::new();
        // The runs of the row above.
        let mut above = 0..0;
        for (y, tap) in (0..height).zip(self.rows(0..height, placement)) {
            let first = runs.len();
            let mut open: Option<Run> = None;
            for (x, value) in (0..width).zip(self.row(tap, &columns)) {
                if inside(value, x, y) {
                    let run = open.get_or_insert(Run { y, x0: x, x1: x, sum: 0.0, peak: f32::NEG_INFINITY });
                    run.x1 = x + 1;
                    run.sum += f64::from(value);
                    run.peak = run.peak.max(value);
                } else {
                    runs.extend(open.take());
                }
            }
            runs.extend(open);
            parents.extend(first..runs.len());
            let mut upper = above.start;
            for run in first..runs.len() {
                while upper < above.end && runs[upper].x1 < runs[run].x0 {
                    upper += 1;
                }
                let touching = (upper..above.end).take_while(|&u| runs[u].x0 <= runs[run].x1);
                for other in touching.collect::<Vec<_>>() {
                    let (a, b) = (root(&mut parents, other), root(&mut parents, run));
                    parents[a.max(b)] = a.min(b);
                }
            }
            above = first..runs.len();
        }
        let mut members: std::collections::BTreeMap<usize, Vec<Run>> = std::collections::BTreeMap::new();
        for (i, run) in runs.into_iter().enumerate() {
            members.entry(root(&mut parents, i)).or_default().push(run);
        }
        members.into_values().map(|runs| Region::of(&runs, (width, height))).collect()
    }
}

/// Pixels `x0..x1` of row `y`.
#[derive(Clone, Copy)]
struct Run {
    y: u32,
    x0: u32,
    x1: u32,
    sum: f64,
    peak: f32,
}

fn root(parents: &mut [usize], mut at: usize) -> usize {
    while parents[at] != at {
        parents[at] = parents[parents[at]];
        at = parents[at];
    }
    at
}

impl Region {
    fn of(runs: &[Run], size: (u32, u32)) -> Self {
        let (mut x0, mut x1) = (u32::MAX, 0);
        let (mut area, mut sum, mut peak) = (0u64, 0.0, f32::NEG_INFINITY);
        for run in runs {
            (x0, x1) = (x0.min(run.x0), x1.max(run.x1));
            area += u64::from(run.x1 - run.x0);
            sum += run.sum;
            peak = peak.max(run.peak);
        }
        // Runs come row by row.
        let (y0, y1) = (runs.first().map_or(0, |r| r.y), runs.last().map_or(0, |r| r.y + 1));
        let width = (x1 - x0) as usize;
        let mut bits = vec![false; width * (y1 - y0) as usize];
        for run in runs {
            let start = (run.y - y0) as usize * width;
            bits[start + (run.x0 - x0) as usize..start + (run.x1 - x0) as usize].fill(true);
        }
        Region {
            mask: Mask::from_window(size, (x0, y0), width, &bits),
            bounds: PixelBox::new(x0 as f32, y0 as f32, x1 as f32, y1 as f32),
            area,
            peak,
            mean: (sum / area as f64) as f32,
        }
    }
}
