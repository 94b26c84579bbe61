use serde::{Deserialize, Serialize};

use super::runs::Touch;
use super::{Mask, Size};

/// A closed ring of points (x, y) in pixels; the last is joined with the first. Written as `[[x, y], ...]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Polygon {
    /// The corners, in order.
    pub points: Vec<[f32; 2]>,
}

impl Polygon {
    /// A ring through `points`.
    pub fn new(points: Vec<[f32; 2]>) -> Self {
        Polygon { points }
    }

    /// Area in square pixels: positive when the ring goes clockwise as seen (x right, y down), negative otherwise.
    pub fn area(&self) -> f64 {
        let next = self.points.iter().cycle().skip(1);
        let cross =
            |(a, b): (&[f32; 2], &[f32; 2])| f64::from(a[0]) * f64::from(b[1]) - f64::from(b[0]) * f64::from(a[1]);
        self.points.iter().zip(next).map(cross).sum::<f64>() / 2.0
    }
}

/// The way along a pixel's side.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Right,
    Down,
    Left,
    Up,
}

impl Way {
    /// The other ways to go on, the sharpest turn to the right first.
    fn turns(self) -> [Way; 3] {
        match self {
            Way::Right => [Way::Down, Way::Right, Way::Up],
            Way::Down => [Way::Left, Way::Down, Way::Right],
            Way::Left => [Way::Up, Way::Left, Way::Down],
            Way::Up => [Way::Right, Way::Up, Way::Left],
        }
    }
}

/// Straight pixels' sides in a row that have the region on their right.
#[derive(Clone, Copy)]
struct Side {
    /// The corner (x, y) where it begins ...
    from: (u32, u32),
    /// ... and the one where it ends.
    to: (u32, u32),
    way: Way,
    /// Whether a ring goes along it already.
    used: bool,
}

impl Mask {
    /// The outline of the region along the sides of its pixels: rings around it clockwise, rings around its holes
    /// counter-clockwise (x right, y down). Parts that touch at a corner only are rings of their own.
    /// [`Mask::from_polygons`] gives the same mask back.
    pub fn to_polygons(&self) -> Vec<Polygon> {
        trace(self.runs())
    }

    /// The outline of each part that is connected by sides: the ring around it, and the rings around its holes, as
    /// [`to_polygons`](Self::to_polygons) has them.
    pub(crate) fn outlines(&self) -> impl Iterator<Item = (Polygon, Vec<Polygon>)> {
        self.parts(Touch::Sides).into_iter().filter_map(|runs| {
            // The first corner of a part is one of the ring around it.
            let mut rings = trace(runs).into_iter();
            Some((rings.next()?, rings.collect()))
        })
    }

    /// The mask of an image of `size` whose pixels have their centre inside an odd number of the
    /// rings: an outer ring and its holes, in any direction. What lies outside the image is cut off.
    pub fn from_polygons(size: Size, rings: &[Polygon]) -> Self {
        let Size { width, height } = size;
        // Where the edges cross each column's centre line, which the run lengths follow.
        let mut crossings: Vec<Vec<f64>> = vec![Vec::new(); width as usize];
        for ring in rings {
            for (a, b) in ring.points.iter().zip(ring.points.iter().cycle().skip(1)) {
                let (a, b) = if a[0] <= b[0] { (a, b) } else { (b, a) };
                let [ax, ay, bx, by] = [a[0], a[1], b[0], b[1]].map(f64::from);
                if !(ax.is_finite() && ay.is_finite() && bx.is_finite() && by.is_finite()) {
                    continue;
                }
                let first = (ax - 0.5).ceil().clamp(0.0, f64::from(width)) as usize;
                let end = (bx - 0.5).ceil().clamp(0.0, f64::from(width)) as usize;
                for (x, column) in crossings.iter_mut().enumerate().take(end).skip(first) {
                    column.push(ay + (by - ay) * ((x as f64 + 0.5 - ax) / (bx - ax)));
                }
            }
        }
        let mut runs = Vec::new();
        for (x, column) in (0..width).zip(&mut crossings) {
            column.sort_by(f64::total_cmp);
            // The first pixel whose centre is not above the crossing.
            let row = |y: f64| (y - 0.5).ceil().clamp(0.0, f64::from(height)) as u32;
            let pairs = column.chunks_exact(2).map(|pair| (row(pair[0]), row(pair[1])));
            runs.extend(pairs.filter(|(from, to)| from < to).map(|(from, to)| (x, from, to - from)));
        }
        Mask::from_runs(size, &runs)
    }
}

/// The sides of a region of runs (x, first y, length in y) in their order, sorted by where they begin.
fn sides(runs: impl Iterator<Item = (u32, u32, u32)>) -> Vec<Side> {
    // Columns of runs that neither overlap nor touch.
    let mut columns: Vec<(u32, u32, u32)> = Vec::new();
    for (x, y, n) in runs {
        match columns.last_mut().filter(|last| last.0 == x && last.2 == y) {
            Some(last) => last.2 = y + n,
            None => columns.push((x, y, y + n)),
        }
    }
    let mut sides = Vec::with_capacity(4 * columns.len());
    let mut add = |from, to, way| sides.push(Side { from, to, way, used: false });
    // What of a run the runs of a neighbouring column leave free, of which the first that may matter is `first`.
    let free = |x: u32, first: &mut usize, (y, end): (u32, u32), add: &mut dyn FnMut(u32, u32)| {
        while columns.get(*first).is_some_and(|&(cx, _, to)| cx < x || cx == x && to <= y) {
            *first += 1;
        }
        let mut at = y;
        for &(_, from, to) in columns[*first..].iter().take_while(|&&(cx, from, _)| cx == x && from < end) {
            if from > at {
                add(at, from);
            }
            at = to;
        }
        if at < end {
            add(at, end);
        }
    };
    let (mut left, mut right) = (0, 0);
    for &(x, y, end) in &columns {
        add((x, y), (x + 1, y), Way::Right);
        add((x + 1, end), (x, end), Way::Left);
        free(x + 1, &mut right, (y, end), &mut |from, to| add((x + 1, from), (x + 1, to), Way::Down));
        match x.checked_sub(1) {
            Some(before) => free(before, &mut left, (y, end), &mut |from, to| add((x, to), (x, from), Way::Up)),
            None => add((x, end), (x, y), Way::Up),
        }
    }
    sides.sort_unstable_by_key(|side| side.from);
    sides
}

/// The outline of a region of runs (x, first y, length in y) in their order.
fn trace(runs: impl IntoIterator<Item = (u32, u32, u32)>) -> Vec<Polygon> {
    let mut sides = sides(runs.into_iter());
    let mut rings = Vec::new();
    for first in 0..sides.len() {
        if sides[first].used {
            continue;
        }
        let start = sides[first].from;
        let mut points: Vec<[f32; 2]> = Vec::new();
        let (mut at, mut before) = (start, None);
        loop {
            let place = sides.partition_point(|side| side.from < at);
            let here = sides[place..].iter_mut().take_while(|side| side.from == at).filter(|side| !side.used);
            // The sharpest turn to the right. Every corner has as many sides that end there as begin there: the ring
            // closes.
            let turns = before.map_or([Way::Right, Way::Down, Way::Up], Way::turns);
            let turn = |side: &&mut Side| turns.iter().position(|&way| way == side.way).unwrap_or(turns.len());
            let Some(side) = here.min_by_key(turn) else { break };
            side.used = true;
            if before != Some(side.way) {
                points.push([at.0 as f32, at.1 as f32]);
            }
            (at, before) = (side.to, Some(side.way));
            if at == start {
                break;
            }
        }
        rings.push(Polygon { points });
    }
    rings
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;
    use proptest::prelude::*;

    /// The outline by looking at each pixel's neighbours, one pixel's side after the other.
    fn by_pixels(mask: &Mask) -> Vec<Polygon> {
        let mut inside = HashSet::new();
        for (x, y, n) in mask.runs() {
            inside.extend((y..y + n).map(|y| (x, y)));
        }
        // The sides of pixels that have the region on their right, by the corner where they begin.
        let mut sides: BTreeMap<(u32, u32), Vec<Way>> = BTreeMap::new();
        for &(x, y) in &inside {
            let out = |dx: i64, dy: i64| {
                let at = |v: u32, d: i64| u32::try_from(i64::from(v) + d).ok();
                at(x, dx).zip(at(y, dy)).is_none_or(|p| !inside.contains(&p))
            };
            let mut add = |x: u32, y: u32, way: Way| sides.entry((x, y)).or_default().push(way);
            if out(0, -1) {
                add(x, y, Way::Right);
            }
            if out(1, 0) {
                add(x + 1, y, Way::Down);
            }
            if out(0, 1) {
                add(x + 1, y + 1, Way::Left);
            }
            if out(-1, 0) {
                add(x, y + 1, Way::Up);
            }
        }
        let mut rings = Vec::new();
        while let Some((&start, _)) = sides.first_key_value() {
            let mut points: Vec<[f32; 2]> = Vec::new();
            let (mut at, mut before) = (start, None);
            // Every corner has as many sides that end there as begin there: the ring closes.
            while let Some(ways) = sides.get_mut(&at) {
                let turns = before.map_or([Way::Right, Way::Down, Way::Up], Way::turns);
                let Some(i) = turns.iter().find_map(|turn| ways.iter().position(|way| way == turn)) else { break };
                let way = ways.swap_remove(i);
                if ways.is_empty() {
                    sides.remove(&at);
                }
                if before != Some(way) {
                    points.push([at.0 as f32, at.1 as f32]);
                }
                at = match way {
                    Way::Right => (at.0 + 1, at.1),
                    Way::Down => (at.0, at.1 + 1),
                    Way::Left => (at.0 - 1, at.1),
                    Way::Up => (at.0, at.1 - 1),
                };
                before = Some(way);
                if at == start {
                    break;
                }
            }
            rings.push(Polygon { points });
        }
        rings
    }

    #[test]
    fn a_ring_and_its_hole() {
        // ####
        // #..#
        // ####
        let mask = Mask::from_fn(Size::new(6, 4), |x, y| x < 4 && y < 3 && !(y == 1 && (1..3).contains(&x)));
        let rings = mask.to_polygons();
        assert_eq!(rings[0].points, [[0.0, 0.0], [4.0, 0.0], [4.0, 3.0], [0.0, 3.0]]);
        assert_eq!(rings.iter().map(Polygon::area).collect::<Vec<_>>(), [12.0, -2.0]);
        assert_eq!(Mask::from_polygons(Size::new(6, 4), &rings), mask);
    }

    #[test]
    fn a_pixel_belongs_where_its_centre_is_inside() {
        let triangle = Polygon::new(vec![[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]);
        let mask = Mask::from_polygons(Size::new(4, 4), &[triangle]);
        // Centres on the slanting side (x + y = 4) are its end: they stay out.
        assert_eq!(mask, Mask::from_fn(Size::new(4, 4), |x, y| x + y < 3));
        let beyond = Polygon::new(vec![[-5.0, -5.0], [50.0, -5.0], [50.0, 50.0], [-5.0, 50.0]]);
        assert_eq!(Mask::from_polygons(Size::new(3, 2), &[beyond]).area(), 6);
        let none = Polygon::new(vec![[f32::NAN, 0.0], [1.0, f32::INFINITY], [2.0, 2.0]]);
        assert_eq!(Mask::from_polygons(Size::new(3, 2), &[none, Polygon::new(Vec::new())]).area(), 0);
    }

    fn any_mask() -> impl Strategy<Value = Mask> {
        (1u32..14, 1u32..14).prop_flat_map(|(width, height)| {
            let bits = proptest::collection::vec(any::<bool>(), (width * height) as usize);
            bits.prop_map(move |bits| Mask::from_fn(Size::new(width, height), |x, y| bits[(y * width + x) as usize]))
        })
    }

    proptest! {
        #[test]
        fn tracing_runs_is_tracing_pixels(mask in any_mask()) {
            prop_assert_eq!(mask.to_polygons(), by_pixels(&mask));
        }

        /// Run lengths from a file may be 0: then runs of the same column touch.
        #[test]
        fn runs_that_touch_are_one(mut counts in proptest::collection::vec(0u32..4, 1..30)) {
            let rest = 63u32.saturating_sub(counts.iter().sum());
            counts.push(rest);
            let size = Size::new(1, counts.iter().sum());
            let mask = Mask::from_coco_runs(size, counts).unwrap();
            prop_assert_eq!(mask.to_polygons(), by_pixels(&mask));
        }

        #[test]
        fn each_part_has_its_ring_and_its_holes(mask in any_mask()) {
            let all: Vec<(Polygon, Vec<Polygon>)> = mask.outlines().collect();
            for (ring, holes) in &all {
                prop_assert!(ring.area() > 0.0 && holes.iter().all(|hole| hole.area() < 0.0));
            }
            let order = |ring: &Polygon| ring.points.iter().map(|p| p.map(|v| v as u32)).collect::<Vec<_>>();
            let rings = all.iter().flat_map(|(ring, holes)| std::iter::once(ring).chain(holes));
            let mut rings: Vec<_> = rings.map(order).collect();
            let mut expected: Vec<_> = mask.to_polygons().iter().map(order).collect();
            rings.sort();
            expected.sort();
            prop_assert_eq!(rings, expected);
        }

        #[test]
        fn outlines_give_the_mask_back(bits in proptest::collection::vec(any::<bool>(), 48)) {
            let mask = Mask::from_fn(Size::new(8, 6), |x, y| bits[(y * 8 + x) as usize]);
            let rings = mask.to_polygons();
            prop_assert_eq!(rings.iter().map(Polygon::area).sum::<f64>(), mask.area() as f64);
            prop_assert!(rings.iter().all(|ring| ring.points.len() >= 4));
            prop_assert_eq!(Mask::from_polygons(Size::new(8, 6), &rings), mask);
        }
    }
}
