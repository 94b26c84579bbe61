use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis};

use crate::geometry::runs::{Span, Touch, connect};
use crate::geometry::{Mask, PixelBox, Placement, Region, Size};

/// A map of numbers over the model's input, read at the centres of frame pixels: linear between the centres of its
/// cells, constant beyond the outermost ones.
pub(super) struct Surface<'a> {
    cells: ArrayView2<'a, f32>,
    /// Rows and columns of the whole map, of which `cells` are the part that is read.
    whole: (usize, usize),
    /// Row and column of the part's first cell.
    origin: (usize, usize),
    placement: &'a Placement,
}

/// Numbers at frame pixels, row by row.
pub(super) trait Rows {
    /// The pixels that there are numbers for.
    fn region(&self) -> Region;

    /// Gets the columns of the region ready.
    fn columns(&self, columns: &mut Vec<Tap>);

    /// Writes the numbers of the region's part of row `y` into `out`.
    fn row(&self, y: u32, columns: &[Tap], out: &mut [f32]);
}

/// A connected part of the frame (by sides or corners) where a surface is high.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Blob {
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

/// Frame pixels: columns and rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    pub(super) across: Range<u32>,
    pub(super) down: Range<u32>,
}

/// Memory reused from surface to surface.
#[derive(Debug, Default)]
pub(super) struct SurfaceScratch {
    columns: Vec<Tap>,
    /// One row of numbers.
    row: Vec<f32>,
    /// The blobs found last, from the top.
    pub(super) blobs: Vec<Blob>,
    /// Their runs, blob by blob, each row by row.
    runs: Vec<Run>,
    parents: Vec<usize>,
    best: Vec<f32>,
    bits: Vec<bool>,
    counts: Vec<u32>,
}

/// Two neighbouring cells and the share of the second.
pub(super) type Tap = (usize, usize, f32);

/// Pixels `x0..x1` of row `y`.
#[derive(Debug, Clone, Copy)]
struct Run {
    blob: usize,
    y: u32,
    x0: u32,
    x1: u32,
    sum: f64,
    peak: f32,
}

impl<'a> Surface<'a> {
    pub(super) fn new(cells: ArrayView2<'a, f32>, placement: &'a Placement) -> Self {
        Surface { whole: cells.dim(), cells, origin: (0, 0), placement }
    }

    /// A part of a map of `whole` rows and columns that begins at row and column `origin`.
    pub(super) fn part(
        cells: ArrayView2<'a, f32>,
        whole: (usize, usize),
        origin: (usize, usize),
        placement: &'a Placement,
    ) -> Self {
        Surface { cells, whole, origin, placement }
    }

    /// Rows and columns of a map of `whole` rows and columns that are read for a window that is not empty.
    pub(super) fn read(whole: (usize, usize), window: &Window, placement: &Placement) -> (Range<usize>, Range<usize>) {
        let reach = |range: &Range<u32>, tap: &dyn Fn(u32) -> Tap| tap(range.start).0..tap(range.end - 1).1 + 1;
        let row = |y| tap(y, whole.0, placement.model().height, |y| placement.to_model(0.0, y).1);
        let column = |x| tap(x, whole.1, placement.model().width, |x| placement.to_model(x, 0.0).0);
        (reach(&window.down, &row), reach(&window.across, &column))
    }

    /// The lowest and the highest number of the cells.
    pub(super) fn range(&self) -> (f32, f32) {
        self.cells.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)))
    }

    /// Adds the taps of columns `range`.
    fn taps(&self, range: Range<u32>, out: &mut Vec<Tap>) {
        let to_model = |x| self.placement.to_model(x, 0.0).0;
        out.extend(range.map(|i| {
            let (left, right, share) = tap(i, self.whole.1, self.placement.model().width, to_model);
            (left - self.origin.1, right - self.origin.1, share)
        }));
    }

    /// Writes the values along row `y` at the columns of `taps` into `out`.
    fn values(&self, y: u32, taps: &[Tap], out: &mut [f32]) {
        self.each(y, taps, |at, value| out[at] = value);
    }

    /// Gives `take` the values along row `y` at the columns of `taps`, each with its place among them.
    #[inline(always)]
    fn each(&self, y: u32, taps: &[Tap], mut take: impl FnMut(usize, f32)) {
        let to_model = |y| self.placement.to_model(0.0, y).1;
        let (top, bottom, share) = tap(y, self.whole.0, self.placement.model().height, to_model);
        let row = |at: usize| self.cells.index_axis_move(Axis(0), at - self.origin.0);
        let (top, bottom) = (row(top), row(bottom));
        for (at, &(left, right, across)) in taps.iter().enumerate() {
            let upper = top[left] * (1.0 - across) + top[right] * across;
            let lower = bottom[left] * (1.0 - across) + bottom[right] * across;
            take(at, upper * (1.0 - share) + lower * share);
        }
    }

    /// As [`Rows::row`], where the value is higher than the one that is there.
    pub(super) fn row_highest(&self, y: u32, taps: &[Tap], out: &mut [f32]) {
        self.each(y, taps, |at, value| out[at] = out[at].max(value));
    }

    /// The values at the pixels of a window, row by row.
    pub(super) fn resample(&self, window: &Window, out: &mut Vec<f32>, scratch: &mut SurfaceScratch) {
        let SurfaceScratch { columns, .. } = scratch;
        columns.clear();
        self.taps(window.across.clone(), columns);
        out.clear();
        out.resize(columns.len() * window.down.len(), 0.0);
        for (y, row) in window.down.clone().zip(out.chunks_exact_mut(columns.len().max(1))) {
            self.values(y, columns, row);
        }
    }

    /// The pixels of a window where the surface is above `limit`.
    pub(super) fn above(&self, limit: f32, window: &Window, scratch: &mut SurfaceScratch) -> Mask {
        let SurfaceScratch { columns, row, bits, counts, .. } = scratch;
        columns.clear();
        self.taps(window.across.clone(), columns);
        row.resize(columns.len(), 0.0);
        bits.clear();
        for y in window.down.clone() {
            self.values(y, columns, row);
            bits.extend(row.iter().map(|&value| value > limit));
        }
        let corner = (window.across.start, window.down.start);
        Mask::from_window(self.placement.frame(), corner, columns.len(), bits, counts)
    }
}

impl Rows for Surface<'_> {
    fn region(&self) -> Region {
        self.placement.region()
    }

    fn columns(&self, columns: &mut Vec<Tap>) {
        let region = self.region();
        self.taps(region.x..region.right(), columns);
    }

    fn row(&self, y: u32, columns: &[Tap], out: &mut [f32]) {
        self.values(y, columns, out);
    }
}

impl SurfaceScratch {
    /// The numbers of all pixels of the region.
    pub(super) fn resampled(&mut self, rows: &impl Rows) -> Array2<f32> {
        let SurfaceScratch { columns, .. } = self;
        let Region { size: Size { width, height }, y: top, .. } = rows.region();
        columns.clear();
        rows.columns(columns);
        let mut values = vec![0.0; width as usize * height as usize];
        for (y, row) in (top..).zip(values.chunks_exact_mut(width.max(1) as usize)) {
            rows.row(y, columns, row);
        }
        Array2::from_shape_vec((height as usize, width as usize), values).unwrap_or_default()
    }

    /// For each pixel of the region, row by row, which of several surfaces of one region and one set of columns is
    /// highest, the first where some are equal.
    pub(super) fn highest<R: Rows>(&mut self, surfaces: impl Fn(usize) -> Option<R>, winners: &mut Vec<u16>) {
        winners.clear();
        let Some(first) = surfaces(0) else { return };
        let SurfaceScratch { columns, row, best, .. } = self;
        let Region { size: Size { width, height }, y: top, .. } = first.region();
        winners.resize(width as usize * height as usize, 0);
        columns.clear();
        first.columns(columns);
        row.resize(width as usize, 0.0);
        best.resize(width as usize, 0.0);
        for (y, out) in (top..).zip(winners.chunks_exact_mut(width.max(1) as usize)) {
            best.fill(f32::NEG_INFINITY);
            for (number, surface) in (0u16..).map_while(|n| Some((n, surfaces(usize::from(n))?))) {
                surface.row(y, columns, row);
                for ((winner, best), &value) in out.iter_mut().zip(best.iter_mut()).zip(row.iter()) {
                    if value > *best {
                        (*winner, *best) = (number, value);
                    }
                }
            }
        }
    }

    /// Finds the connected blobs at or above `limit`.
    pub(super) fn find_blobs(&mut self, rows: &impl Rows, limit: f32) {
        self.find_blobs_where(rows, |value, _, _| value >= limit);
    }

    /// Finds the connected blobs where `inside(value, x, y)` holds. Memory goes with the number of runs, not of pixels.
    pub(super) fn find_blobs_where(&mut self, rows: &impl Rows, mut inside: impl FnMut(f32, u32, u32) -> bool) {
        let region = rows.region();
        let SurfaceScratch { columns, row, blobs, runs, parents, .. } = self;
        columns.clear();
        rows.columns(columns);
        row.resize(region.size.width as usize, 0.0);
        runs.clear();
        for y in region.y..region.bottom() {
            rows.row(y, columns, row);
            let mut open: Option<Run> = None;
            for (x, &value) in (region.x..).zip(row.iter()) {
                if inside(value, x, y) {
                    let begun = Run { blob: 0, y, x0: x, x1: x, sum: 0.0, peak: f32::NEG_INFINITY };
                    let run = open.get_or_insert(begun);
                    run.x1 = x + 1;
                    run.sum += f64::from(value);
                    run.peak = run.peak.max(value);
                } else {
                    runs.extend(open.take());
                }
            }
            runs.extend(open);
        }
        connect(runs, |run| Span { line: run.y, from: run.x0, to: run.x1 }, Touch::Corners, parents);
        runs.iter_mut().zip(parents.iter()).for_each(|(run, &first)| run.blob = first);
        runs.sort_unstable_by_key(|run| (run.blob, run.y, run.x0));
        blobs.clear();
        let mut first = 0;
        for runs in runs.chunk_by(|a, b| a.blob == b.blob) {
            blobs.push(Blob::of(runs, first));
            first += runs.len();
        }
    }

    /// The shape of one of the blobs found last, in an image of `size`.
    pub(super) fn mask(&mut self, blob: &Blob, size: Size) -> Mask {
        let SurfaceScratch { runs, bits, counts, .. } = self;
        let (x0, y0, x1, y1) = blob.sides;
        let width = (x1 - x0) as usize;
        bits.clear();
        bits.resize(width * (y1 - y0) as usize, false);
        for run in &runs[blob.runs.0..][..blob.runs.1] {
            let start = (run.y - y0) as usize * width;
            bits[start + (run.x0 - x0) as usize..start + (run.x1 - x0) as usize].fill(true);
        }
        Mask::from_window(size, (x0, y0), width, bits, counts)
    }
}

/// The cells on both sides of the centre of source pixel `i` along one axis.
fn tap(i: u32, cells: usize, model: u32, to_model: impl Fn(f64) -> f64) -> Tap {
    let at = to_model(f64::from(i) + 0.5) * cells as f64 / f64::from(model) - 0.5;
    let at = at.clamp(0.0, cells as f64 - 1.0);
    let first = at.floor() as usize;
    (first, (first + 1).min(cells - 1), (at - first as f64) as f32)
}

impl Window {
    /// The pixels of an image of `size` whose top left corner lies in a box, as Ultralytics' `crop_mask` has it.
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

    /// The part of it that lies in a region.
    pub(super) fn within(self, region: Region) -> Self {
        let cut = |range: Range<u32>, start: u32, end: u32| {
            let first = range.start.clamp(start, end);
            first..range.end.clamp(first, end)
        };
        let Window { across, down } = self;
        Window { across: cut(across, region.x, region.right()), down: cut(down, region.y, region.bottom()) }
    }
}

impl Blob {
    /// The blob of `runs`, row by row, the first of which is at `first`.
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
        Blob { area, peak, mean, sides: (x0, y0, x1, y1), runs: (first, runs.len()) }
    }

    pub(super) fn bounds(&self) -> PixelBox {
        let (x0, y0, x1, y1) = self.sides;
        PixelBox::new(x0 as f32, y0 as f32, x1 as f32, y1 as f32)
    }
}
