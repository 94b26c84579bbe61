use geo::{
    Area, BooleanOps, BoundingRect, ConvexHull, Distance, Euclidean, Intersects, MinimumRotatedRect, MultiPolygon,
    Polygon, Rect, Validation, unary_union,
};
use serde::Deserialize;

use crate::defect::Defect;
use crate::geometry::Size;

/// What is less in common, in square pixels, is taken for the rounding of the calculation.
const LEAST_OVERLAP: f64 = 1e-3;

/// A part of a frame that rules may speak of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Zone {
    pub(super) name: String,
    /// Where the policy's file defines it.
    pub(super) line: usize,
    form: Form,
    /// The rest of the frame instead.
    invert: bool,
    /// The frame that it is on; all of them when `None`.
    frame: Option<usize>,
}

#[derive(Debug, Clone, PartialEq)]
enum Form {
    Polygon(Polygon),
    /// A band of this many pixels along the edges of the frame.
    Margin(f64),
}

/// A zone as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ZoneFile {
    /// Points; their two numbers are counted by hand, since `toml` drops what an array has too many of.
    polygon: Option<Vec<Vec<f64>>>,
    margin: Option<Margin>,
    #[serde(default)]
    invert: bool,
    frame: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Margin {
    px: Option<f64>,
    mm: Option<f64>,
}

impl ZoneFile {
    /// The zone, or what is wrong with it.
    pub(super) fn zone(self, name: &str, line: usize, pitch: Option<f64>) -> Result<Zone, String> {
        let form = match (self.polygon, self.margin) {
            (Some(points), None) => Form::Polygon(polygon(points)?),
            (None, Some(margin)) => Form::Margin(margin.pixels(pitch)?),
            _ => return Err("expected either `polygon` or `margin`".to_owned()),
        };
        Ok(Zone { name: name.to_owned(), line, form, invert: self.invert, frame: self.frame })
    }
}

impl Margin {
    fn pixels(&self, pitch: Option<f64>) -> Result<f64, String> {
        let pixels = match (self.px, self.mm) {
            (Some(px), None) => px,
            (None, Some(mm)) => mm / pitch.ok_or("expected `pixel_pitch_mm` for a margin in mm, found none")?,
            _ => return Err("expected a margin in either `px` or `mm`".to_owned()),
        };
        match pixels > 0.0 && pixels.is_finite() {
            true => Ok(pixels),
            false => Err(format!("expected a margin above 0, found {}", self.px.or(self.mm).unwrap_or_default())),
        }
    }
}

/// The polygon through `points`, or why it is none.
fn polygon(points: Vec<Vec<f64>>) -> Result<Polygon, String> {
    let point = |point: &Vec<f64>| <[f64; 2]>::try_from(point.as_slice()).ok();
    let Some(points) = points.iter().map(point).collect::<Option<Vec<[f64; 2]>>>() else {
        return Err("expected a polygon of points [x, y]".to_owned());
    };
    if points.iter().flatten().any(|v| !v.is_finite()) {
        return Err("expected a polygon of finite numbers".to_owned());
    }
    let polygon = Polygon::new(points.into(), Vec::new());
    if polygon.convex_hull().unsigned_area() == 0.0 {
        return Err("expected a polygon of at least three points that are not on one line: it is empty".to_owned());
    }
    if polygon.bounding_rect().is_none_or(|bounds| bounds.max().x <= 0.0 || bounds.max().y <= 0.0) {
        return Err("expected a polygon that reaches into the frame, found none of it right of and below 0".to_owned());
    }
    match polygon.is_valid() {
        true => Ok(polygon),
        false => Err("expected a polygon whose sides neither cross nor touch each other".to_owned()),
    }
}

impl Zone {
    /// Its part of frame number `frame`, of `size` (width, height) in pixels.
    pub(super) fn on(&self, frame: usize, size: Size) -> MultiPolygon {
        if self.frame.is_some_and(|only| only != frame) {
            return MultiPolygon::new(Vec::new());
        }
        let (width, height) = (f64::from(size.width), f64::from(size.height));
        let whole = rectangle(0.0, 0.0, width, height);
        let (form, invert) = match &self.form {
            Form::Polygon(polygon) => (polygon.clone(), self.invert),
            &Form::Margin(m) if 2.0 * m < width.min(height) => (rectangle(m, m, width - m, height - m), !self.invert),
            // A band that leaves nothing inside.
            Form::Margin(_) if self.invert => return MultiPolygon::new(Vec::new()),
            Form::Margin(_) => return whole.into(),
        };
        if invert { whole.difference(&form) } else { whole.intersection(&form) }
    }
}

/// What a defect covers, in pixels of its frame.
#[derive(Debug, Clone)]
pub(super) struct Shape(MultiPolygon);

impl Shape {
    /// The pixels of the mask where there is one, otherwise the oriented box, otherwise the box. A box without an area
    /// is taken for one pixel wide, and one that is no box for the whole frame: it must not slip through.
    pub(super) fn of(defect: &Defect, size: Size) -> Self {
        if let Some(mask) = defect.mask.as_ref().filter(|mask| mask.area() > 0) {
            let pixels: Vec<Polygon> = mask
                .runs()
                .map(|(x, y, n)| {
                    let [x, y, n] = [x, y, n].map(f64::from);
                    rectangle(x, y, x + 1.0, y + n)
                })
                .collect();
            return Shape(unary_union(&pixels));
        }
        if let Some(corners) = defect.corners {
            let ring: Vec<[f64; 2]> = corners.iter().map(|corner| corner.map(f64::from)).collect();
            let polygon = Polygon::new(ring.into(), Vec::new());
            if corners.iter().flatten().all(|v| v.is_finite()) && polygon.unsigned_area() > 0.0 {
                return Shape(polygon.into());
            }
        }
        let bbox = defect.bbox;
        let [x0, y0, x1, y1] = [bbox.x0, bbox.y0, bbox.x1, bbox.y1].map(f64::from);
        if ![x0, y0, x1, y1].iter().all(|v| v.is_finite()) {
            return Shape(rectangle(0.0, 0.0, f64::from(size.width), f64::from(size.height)).into());
        }
        let side = |a: f64, b: f64| if b > a { (a, b) } else { ((a + b) / 2.0 - 0.5, (a + b) / 2.0 + 0.5) };
        let ((x0, x1), (y0, y1)) = (side(x0, x1), side(y0, y1));
        Shape(rectangle(x0, y0, x1, y1).into())
    }

    /// Length and width: the longer and the shorter side of the smallest rectangle, at any angle, around it.
    pub(super) fn extent(&self) -> [f64; 2] {
        let Some(around) = self.0.minimum_rotated_rect() else { return [0.0, 0.0] };
        let sides = around.exterior().lines().take(2).map(|side| side.dx().hypot(side.dy()));
        let [a, b] = sides.fold([0.0, 0.0], |[_, last], side| [last, side]);
        [a.max(b), a.min(b)]
    }

    /// Whether some of it lies in `zone`.
    pub(super) fn overlaps(&self, zone: &MultiPolygon) -> bool {
        let apart = match (self.0.bounding_rect(), zone.bounding_rect()) {
            (Some(a), Some(b)) => !a.intersects(&b),
            _ => true,
        };
        !apart && self.0.intersection(zone).unsigned_area() > LEAST_OVERLAP
    }

    /// The gap to another shape in pixels, 0 where they touch; `None` when it is `limit` or more for certain.
    pub(super) fn distance(&self, other: &Self, limit: f64) -> Option<f64> {
        let (a, b) = (self.0.bounding_rect()?, other.0.bounding_rect()?);
        let gap = |(a0, a1): (f64, f64), (b0, b1): (f64, f64)| (b0 - a1).max(a0 - b1).max(0.0);
        let x = gap((a.min().x, a.max().x), (b.min().x, b.max().x));
        let y = gap((a.min().y, a.max().y), (b.min().y, b.max().y));
        (x.hypot(y) < limit).then(|| Euclidean.distance(&self.0, &other.0))
    }
}

/// The area of all `zones` together in square pixels, what they share counted once.
pub(super) fn area<'a>(zones: impl Iterator<Item = &'a MultiPolygon>) -> f64 {
    let zones: Vec<&MultiPolygon> = zones.collect();
    unary_union(zones).unsigned_area()
}

fn rectangle(x0: f64, y0: f64, x1: f64, y1: f64) -> Polygon {
    Rect::new([x0, y0], [x1, y1]).to_polygon()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::defect::Confidence;
    use crate::geometry::{Mask, PixelBox};

    fn defect(bbox: PixelBox) -> Defect {
        Defect::new("x".into(), Confidence::new(0.5).unwrap(), bbox)
    }

    fn boxed(x0: f32, y0: f32, x1: f32, y1: f32) -> Shape {
        Shape::of(&defect(PixelBox::new(x0, y0, x1, y1)), Size::new(100, 80))
    }

    fn masked(inside: impl FnMut(u32, u32) -> bool) -> Shape {
        let whole = PixelBox::new(0.0, 0.0, 100.0, 80.0);
        Shape::of(&defect(whole).with_mask(Mask::from_fn(Size::new(100, 80), inside)), Size::new(100, 80))
    }

    fn zone(form: Form, invert: bool, frame: Option<usize>) -> Zone {
        Zone { name: "z".to_owned(), line: 1, form, invert, frame }
    }

    fn triangle() -> Form {
        Form::Polygon(polygon(vec![vec![0.0, 0.0], vec![60.0, 0.0], vec![0.0, 60.0]]).unwrap())
    }

    fn area_of(zone: &Zone) -> f64 {
        zone.on(0, Size::new(100, 80)).unsigned_area()
    }

    #[test]
    fn a_zone_and_its_rest_are_the_frame() {
        for (form, part) in [(Form::Margin(10.0), 8000.0 - 80.0 * 60.0), (triangle(), 1800.0)] {
            assert!((area_of(&zone(form.clone(), false, None)) - part).abs() < 1e-3);
            assert!((area_of(&zone(form, true, None)) - (8000.0 - part)).abs() < 1e-3);
        }
        // A margin that leaves nothing inside, and a polygon beyond the frame.
        for margin in [40.0, 1e9] {
            assert_eq!(area_of(&zone(Form::Margin(margin), false, None)), 8000.0);
            assert_eq!(area_of(&zone(Form::Margin(margin), true, None)), 0.0);
        }
        let beyond = polygon(vec![vec![50.0, -9.0], vec![900.0, -9.0], vec![900.0, 900.0], vec![50.0, 900.0]]).unwrap();
        assert_eq!(area_of(&zone(Form::Polygon(beyond), false, None)), 4000.0);
        assert_eq!(zone(triangle(), false, Some(1)).on(0, Size::new(100, 80)).unsigned_area(), 0.0);
        assert!(zone(triangle(), false, Some(1)).on(1, Size::new(100, 80)).unsigned_area() > 0.0);
    }

    #[test]
    fn the_area_of_several_zones_counts_what_they_share_once() {
        let parts = [10.0, 20.0].map(|margin| zone(Form::Margin(margin), false, None).on(0, Size::new(100, 80)));
        assert_eq!(area(parts.iter()), 8000.0 - 60.0 * 40.0);
        assert_eq!(area([].into_iter()), 0.0);
    }

    #[test]
    fn a_defect_that_only_touches_a_zone_is_not_in_it() {
        let rim = zone(Form::Margin(10.0), false, None).on(0, Size::new(100, 80));
        let inner = zone(Form::Margin(10.0), true, None).on(0, Size::new(100, 80));
        let both = |shape: Shape| (shape.overlaps(&rim), shape.overlaps(&inner));
        assert_eq!(both(boxed(10.0, 10.0, 90.0, 70.0)), (false, true));
        assert_eq!(both(boxed(9.9, 10.0, 20.0, 20.0)), (true, true));
        assert_eq!(both(boxed(0.0, 0.0, 10.0, 10.0)), (true, false));
        let slanting = zone(triangle(), false, None).on(0, Size::new(100, 80));
        // The corner (30, 30) lies on the slanting side.
        assert!(!boxed(30.0, 30.0, 40.0, 40.0).overlaps(&slanting));
        assert!(boxed(29.0, 29.0, 40.0, 40.0).overlaps(&slanting));
        // The box of this mask overlaps, the mask does not.
        assert!(!masked(|x, y| (20..50).contains(&x) && (20..50).contains(&y) && x + y >= 60).overlaps(&slanting));
        assert!(!boxed(0.0, 0.0, 9.0, 9.0).overlaps(&MultiPolygon::new(Vec::new())));
    }

    #[test]
    fn a_defect_that_has_no_area_or_no_place_does_not_slip_through() {
        let inner = zone(Form::Margin(10.0), true, None).on(0, Size::new(100, 80));
        assert!(boxed(50.0, 40.0, 50.0, 40.0).overlaps(&inner), "a point");
        assert_eq!(boxed(50.0, 40.0, 60.0, 40.0).extent(), [10.0, 1.0]);
        assert!(boxed(f32::NAN, 40.0, 60.0, 50.0).overlaps(&inner));
        assert!(masked(|_, _| false).overlaps(&inner), "an empty mask falls back to the box");
        let mut spoilt = defect(PixelBox::new(40.0, 30.0, 50.0, 40.0));
        spoilt.corners = Some([[f32::NAN; 2]; 4]);
        assert_eq!(Shape::of(&spoilt, Size::new(100, 80)).extent(), [10.0, 10.0]);
    }

    #[test]
    fn length_goes_along_the_defect() {
        assert_eq!(boxed(10.0, 10.0, 40.0, 14.0).extent(), [30.0, 4.0]);
        assert_eq!(masked(|x, y| (10..14).contains(&x) && (5..45).contains(&y)).extent(), [40.0, 4.0]);
        // One pixel wide at 45 degrees: from the first pixel's corner to the last one's.
        let [length, width] = masked(|x, y| x == y && x < 20).extent();
        assert!((length - 20.0 * 2f64.sqrt()).abs() < 1e-9 && (width - 2f64.sqrt()).abs() < 1e-9, "{length} {width}");
        let mut turned = defect(PixelBox::new(10.0, 10.0, 45.0, 45.0));
        // 3-4-5: sides of 50 and 5.
        turned.corners = Some([[13.0, 10.0], [43.0, 50.0], [39.0, 53.0], [9.0, 13.0]]);
        let [length, width] = Shape::of(&turned, Size::new(100, 80)).extent();
        assert!((length - 50.0).abs() < 1e-5 && (width - 5.0).abs() < 1e-5, "{length} {width}");
    }

    #[test]
    fn distance_is_the_gap_between_what_they_cover() {
        let a = boxed(0.0, 0.0, 10.0, 10.0);
        assert_eq!(a.distance(&boxed(13.0, 14.0, 20.0, 20.0), 9.0), Some(5.0));
        assert_eq!(a.distance(&boxed(13.0, 14.0, 20.0, 20.0), 5.0), None, "not below the limit");
        assert_eq!(a.distance(&boxed(5.0, 5.0, 20.0, 20.0), 9.0), Some(0.0));
        assert_eq!(a.distance(&boxed(2.0, 2.0, 3.0, 3.0), 9.0), Some(0.0), "one inside of the other");
        // An L and a pixel in its corner: the boxes overlap, the pixels are 4 apart.
        let bend = masked(|x, y| (x < 2 && y < 20) || (y < 2 && x < 20));
        assert_eq!(bend.distance(&masked(|x, y| x == 6 && y == 6), 9.0), Some(4.0));
        // Two parts: the nearer one counts.
        let parts = masked(|x, y| y == 0 && (x == 0 || x == 50));
        assert_eq!(parts.distance(&boxed(54.0, 0.0, 60.0, 1.0), 9.0), Some(3.0));
    }
}
