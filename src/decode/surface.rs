use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayView3, Axis};

use crate::geometry::{Mask, PixelBox, Placement, Size};

/// A map of numbers over the model's input, read at the centres of source pixels: linear between the centres of its
/// cells, constant beyond the outermost ones.
pub(super) struct Surface<'a> {
    cells: ArrayView2<'a, f32>,
    /// Rows and columns of the whole map, of which `cells` are the part that is read.
    whole: (usize, usize),
    /// Row and column of the part's first cell.
    origin: (usize, usize),
}

/// A connected part of the source image (by sides or corners) where a surface is high.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Region {
    /// Number of pixels.
    pub(super) area: u64,
    /// Highest value.
    pub(super) peak: f32,
    /// Mean value.
    pub(super) mean: f32,
    /// Left, top, right, bottom, in whole pixels.
    sides: (u32, u32, u32, u32),
    /// Its first run, and how many there are.
    runs: (usize, usize),
}

/// Source pixels: columns and rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    pub(super) across: Range<u32>,
    pub(super) down: Range<u32>,
}

/// Buffers that are used again from surface to surface.
#[derive(Debug, Default)]
pub(super) struct Memory {
    columns: Vec<Tap>,
    rows: Vec<Tap>,
    /// The regions found last, from the top.
    pub(super) regions: Vec<Region>,
    /// Their runs, region by region, each row by row.
    runs: Vec<Run>,
    parents: Vec<usize>,
    best: Vec<f32>,
    bits: Vec<bool>,
    counts: Vec<u32>,
}

/// Two neighbouring cells and the share of the second.
type Tap = (usize, usize, f32);

/// Pixels `x0..x1` of row `y`.
#[derive(Debug, Clone, Copy)]
struct Run {
    region: usize,
    y: u32,
    x0: u32,
    x1: u32,
    sum: f64,
    peak: f32,
}

impl<'a> Surface<'a> {
    pub(super) fn new(cells: ArrayView2<'a, f32>) -> Self {
        Surface { whole: cells.dim(), cells, origin: (0, 0) }
    }

    /// A part of a map of `whole` rows and columns that begins at row and column `origin`.
    pub(super) fn part(cells: ArrayView2<'a, f32>, whole: (usize, usize), origin: (usize, usize)) -> Self {
        Surface { cells, whole, origin }
    }

    /// Rows and columns of a map of `whole` rows and columns that are read for a window that is not empty.
    pub(super) fn read(whole: (usize, usize), window: &Window, placement: &Placement) -> (Range<usize>, Range<usize>) {
        let reach = |range: &Range<u32>, tap: &dyn Fn(u32) -> Tap| tap(range.start).0..tap(range.end - 1).1 + 1;
        let row = |y| tap(y, whole.0, placement.model().height, |y| placement.to_model(0.0, y).1);
        let column = |x| tap(x, whole.1, placement.model().width, |x| placement.to_model(x, 0.0).0);
        (reach(&window.down, &row), reach(&window.across, &column))
    }

    fn columns(&self, range: Range<u32>, placement: &Placement, out: &mut Vec<Tap>) {
        let to_model = |x| placement.to_model(x, 0.0).0;
        out.clear();
        out.extend(range.map(|i| {
            let (left, right, share) = tap(i, self.whole.1, placement.model().width, to_model);
            (left - self.origin.1, right - self.origin.1, share)
        }));
    }

    fn rows(&self, range: Range<u32>, placement: &Placement, out: &mut Vec<Tap>) {
        let to_model = |y| placement.to_model(0.0, y).1;
        out.clear();
        out.extend(range.map(|i| {
            let (top, bottom, share) = tap(i, self.whole.0, placement.model().height, to_model);
            (top - self.origin.0, bottom - self.origin.0, share)
        }));
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
        let Size { width, height } = placement.frame();
        let mut values = Vec::with_capacity(width as usize * height as usize);
        let window = Window { across: 0..width, down: 0..height };
        self.resample(&window, placement, &mut values, &mut Memory::default());
        Array2::from_shape_vec((height as usize, width as usize), values).unwrap_or_default()
    }

    /// The values at the source pixels of a window, row by row.
    pub(super) fn resample(&self, window: &Window, placement: &Placement, out: &mut Vec<f32>, memory: &mut Memory) {
        let Memory { columns, rows, .. } = memory;
        self.columns(window.across.clone(), placement, columns);
        self.rows(window.down.clone(), placement, rows);
        out.clear();
        for &tap in rows.iter() {
            out.extend(self.row(tap, columns));
        }
    }

    /// The pixels of a window where the surface is above `limit`.
    pub(super) fn above(&self, limit: f32, window: &Window, placement: &Placement, memory: &mut Memory) -> Mask {
        let Memory { columns, rows, bits, counts, .. } = memory;
        self.columns(window.across.clone(), placement, columns);
        self.rows(window.down.clone(), placement, rows);
        bits.clear();
        for &tap in rows.iter() {
            bits.extend(self.row(tap, columns).map(|value| value > limit));
        }
        Mask::from_window(placement.frame(), (window.across.start, window.down.start), columns.len(), bits, counts)
    }

    /// For each source pixel, row by row, which of several surfaces is highest, the first where some are equal.
    pub(super) fn highest(
        surfaces: ArrayView3<'_, f32>,
        placement: &Placement,
        winners: &mut Vec<u16>,
        memory: &mut Memory,
    ) {
        let Size { width, height } = placement.frame();
        winners.clear();
        winners.resize(width as usize * height as usize, 0);
        let Some(first) = surfaces.axis_iter(Axis(0)).next().map(Surface::new) else { return };
        let Memory { columns, rows, best, .. } = memory;
        first.columns(0..width, placement, columns);
        first.rows(0..height, placement, rows);
        best.resize(columns.len(), 0.0);
        for (out, &tap) in winners.chunks_exact_mut(columns.len().max(1)).zip(rows.iter()) {
            best.fill(f32::NEG_INFINITY);
            for (number, surface) in (0u16..).zip(surfaces.axis_iter(Axis(0)).map(Surface::new)) {
                for ((winner, best), value) in out.iter_mut().zip(best.iter_mut()).zip(surface.row(tap, columns)) {
                    if value > *best {
                        (*winner, *best) = (number, value);
                    }
                }
            }
        }
    }

    /// Finds the connected regions at or above `limit`; their values are those of `self`.
    pub(super) fn regions(&self, limit: f32, placement: &Placement, memory: &mut Memory) {
        self.regions_where(|value, _, _| value >= limit, placement, memory);
    }

    /// Finds the connected regions where `inside(value, x, y)` holds. Memory goes with the number of runs, not of pixels.
    pub(super) fn regions_where(
        &self,
        mut inside: impl FnMut(f32, u32, u32) -> bool,
        placement: &Placement,
        memory: &mut Memory,
    ) {
        let Size { width, height } = placement.frame();
        let Memory { columns, rows, regions, runs, parents, .. } = memory;
        self.columns(0..width, placement, columns);
        self.rows(0..height, placement, rows);
        runs.clear();
        parents.clear();
        // The runs of the row above.
        let mut above = 0..0;
        for (y, &tap) in (0..height).zip(rows.iter()) {
            let first = runs.len();
            let mut open: Option<Run> = None;
            for (x, value) in (0..width).zip(self.row(tap, columns)) {
                if inside(value, x, y) {
                    let begun = Run { region: 0, y, x0: x, x1: x, sum: 0.0, peak: f32::NEG_INFINITY };
                    let run = open.get_or_insert(begun);
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
                for other in (upper..above.end).take_while(|&u| runs[u].x0 <= runs[run].x1) {
                    let (a, b) = (root(parents, other), root(parents, run));
                    parents[a.max(b)] = a.min(b);
                }
            }
            above = first..runs.len();
        }
        for (at, run) in runs.iter_mut().enumerate() {
            run.region = root(parents, at);
        }
        runs.sort_unstable_by_key(|run| (run.region, run.y, run.x0));
        regions.clear();
        let mut first = 0;
        for runs in runs.chunk_by(|a, b| a.region == b.region) {
            regions.push(Region::of(runs, first));
            first += runs.len();
        }
    }
}

/// The cells on both sides of the centre of source pixel `i` along one axis.
fn tap(i: u32, cells: usize, model: u32, to_model: impl Fn(f64) -> f64) -> Tap {
    let at = to_model(f64::from(i) + 0.5) * cells as f64 / f64::from(model) - 0.5;
    let at = at.clamp(0.0, cells as f64 - 1.0);
    let first = at.floor() as usize;
    (first, (first + 1).min(cells - 1), (at - first as f64) as f32)
}

fn root(parents: &mut [usize], mut at: usize) -> usize {
    while parents[at] != at {
        parents[at] = parents[parents[at]];
        at = parents[at];
    }
    at
}

impl Window {
    /// The pixels of an image of `size` whose left top corner lies in a box, as Ultralytics' `crop_mask`
    /// has it.
    pub(super) fn of(inside: &PixelBox, size: Size) -> Self {
        let span = |from: f32, to: f32, end: u32| {
            let first = (from.ceil().max(0.0) as u32).min(end);
            first..(to.ceil().max(0.0) as u32).clamp(first, end)
        };
        Window { across: span(inside.x0, inside.x1, size.width), down: span(inside.y0, inside.y1, size.height) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.across.is_empty() || self.down.is_empty()
    }
}

impl Region {
    /// The region of `runs`, row by row, the first of which is at `first`.
    fn of(runs: &[Run], first: usize) -> Self {
        let (mut x0, mut x1) = (u32::MAX, 0);
        let (mut area, mut sum, mut peak) = (0u64, 0.0, f32::NEG_INFINITY);
        for run in runs {
            (x0, x1) = (x0.min(run.x0), x1.max(run.x1));
            area += u64::from(run.x1 - run.x0);
            sum += run.sum;
            peak = peak.max(run.peak);
        }
        let (y0, y1) = (runs.first().map_or(0, |r| r.y), runs.last().map_or(0, |r| r.y + 1));
        let mean = (sum / area as f64) as f32;
        Region { area, peak, mean, sides: (x0, y0, x1, y1), runs: (first, runs.len()) }
    }

    pub(super) fn bounds(&self) -> PixelBox {
        let (x0, y0, x1, y1) = self.sides;
        PixelBox::new(x0 as f32, y0 as f32, x1 as f32, y1 as f32)
    }
}

impl Memory {
    /// The shape of one of the regions found last, in an image of `size`.
    pub(super) fn mask(&mut self, region: &Region, size: Size) -> Mask {
        let Memory { runs, bits, counts, .. } = self;
        let (x0, y0, x1, y1) = region.sides;
        let width = (x1 - x0) as usize;
        bits.clear();
        bits.resize(width * (y1 - y0) as usize, false);
        for run in &runs[region.runs.0..][..region.runs.1] {
            let start = (run.y - y0) as usize * width;
            bits[start + (run.x0 - x0) as usize..start + (run.x1 - x0) as usize].fill(true);
        }
        Mask::from_window(size, (x0, y0), width, bits, counts)
    }
}
