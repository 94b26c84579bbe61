use geo::{
    Area, BooleanOps, BoundingRect, Distance, Euclidean, Intersects, LineString, MinimumRotatedRect, MultiPolygon,
    Polygon,
};

use super::zone::rectangle;
use crate::defect::Defect;
use crate::geometry::Size;

/// What is less in common, in square pixels, is taken for the rounding of the calculation.
const LEAST_OVERLAP: f64 = 1e-3;

/// What a defect covers, in pixels of its frame.
#[derive(Debug, Clone)]
pub(super) struct Shape(MultiPolygon);

impl Shape {
    /// The pixels of the mask where there is one, otherwise the oriented box, otherwise the box. A box without area
    /// counts as one pixel wide, and an invalid box as the whole frame: it must not slip through.
    pub(super) fn of(defect: &Defect, size: Size) -> Self {
        if let Some(mask) = defect.mask.as_ref().filter(|mask| mask.area() > 0) {
            let line = |ring: crate::geometry::Polygon| {
                LineString::from_iter(ring.points.into_iter().map(|p| p.map(f64::from)))
            };
            let part = |(ring, holes): (_, Vec<_>)| Polygon::new(line(ring), holes.into_iter().map(line).collect());
            return Shape(mask.outlines().map(part).collect());
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

#[cfg(test)]
mod tests {
    use geo::unary_union;
    use proptest::prelude::*;

    use super::*;
    use crate::defect::Confidence;
    use crate::geometry::{Mask, PixelBox};
    use crate::judge::policy::zone::{Placed, Zone};

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

    fn placed(zone: Zone) -> Placed {
        zone.placed(None, None).unwrap()
    }

    fn triangle() -> Zone {
        Zone::polygon("z", [[0.0, 0.0], [60.0, 0.0], [0.0, 60.0]])
    }

    #[test]
    fn a_defect_that_only_touches_a_zone_is_not_in_it() {
        let rim = placed(Zone::margin_px("z", 10.0)).on(0, Size::new(100, 80));
        let inner = placed(Zone::margin_px("z", 10.0).inverted()).on(0, Size::new(100, 80));
        let both = |shape: Shape| (shape.overlaps(&rim), shape.overlaps(&inner));
        assert_eq!(both(boxed(10.0, 10.0, 90.0, 70.0)), (false, true));
        assert_eq!(both(boxed(9.9, 10.0, 20.0, 20.0)), (true, true));
        assert_eq!(both(boxed(0.0, 0.0, 10.0, 10.0)), (true, false));
        let slanting = placed(triangle()).on(0, Size::new(100, 80));
        // The corner (30, 30) lies on the slanting side.
        assert!(!boxed(30.0, 30.0, 40.0, 40.0).overlaps(&slanting));
        assert!(boxed(29.0, 29.0, 40.0, 40.0).overlaps(&slanting));
        // The box of this mask overlaps, the mask does not.
        assert!(!masked(|x, y| (20..50).contains(&x) && (20..50).contains(&y) && x + y >= 60).overlaps(&slanting));
        assert!(!boxed(0.0, 0.0, 9.0, 9.0).overlaps(&MultiPolygon::new(Vec::new())));
    }

    #[test]
    fn a_defect_that_has_no_area_or_no_place_does_not_slip_through() {
        let inner = placed(Zone::margin_px("z", 10.0).inverted()).on(0, Size::new(100, 80));
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

    fn any_mask() -> impl Strategy<Value = Mask> {
        // Loose pixels, sticks and bands: holes, and parts that touch at corners.
        let bits = proptest::collection::vec(any::<bool>(), 144);
        (bits, 1u32..4, 1u32..4, 0u32..60, 0u32..40).prop_map(|(bits, w, h, left, top)| {
            Mask::from_fn(Size::new(100, 80), |x, y| {
                let (x, y) = (x.wrapping_sub(left) / w, y.wrapping_sub(top) / h);
                x < 12 && y < 12 && bits[(y * 12 + x) as usize]
            })
        })
    }

    proptest! {
        /// The outline of a mask measures as the union of its pixels does.
        #[test]
        fn a_mask_measures_as_its_pixels_do(one in any_mask(), other in any_mask()) {
            prop_assume!(one.area() > 0 && other.area() > 0);
            let by_pixels = |mask: &Mask| {
                let column = |(x, y, n): (u32, u32, u32)| {
                    let [x, y, n] = [x, y, n].map(f64::from);
                    rectangle(x, y, x + 1.0, y + n)
                };
                Shape(unary_union(&mask.runs().map(column).collect::<Vec<_>>()))
            };
            let outlined = |mask: &Mask| {
                Shape::of(&defect(PixelBox::default()).with_mask(mask.clone()), Size::new(100, 80))
            };
            let (a, b) = ([&one, &other].map(by_pixels), [&one, &other].map(outlined));
            let near = |x: f64, y: f64| (x - y).abs() < 1e-9;
            prop_assert_eq!(b[0].0.unsigned_area(), one.area() as f64);
            prop_assert!(a[0].extent().into_iter().zip(b[0].extent()).all(|(x, y)| near(x, y)));
            let (rim, inner) = (Zone::margin_px("z", 17.5), Zone::margin_px("z", 30.0).inverted());
            for zone in [triangle(), triangle().inverted(), rim, inner].map(|zone| placed(zone).on(0, Size::new(100, 80))) {
                prop_assert_eq!(a[0].overlaps(&zone), b[0].overlaps(&zone));
            }
            let (by_pixels, outlined) = (a[0].distance(&a[1], 1e9), b[0].distance(&b[1], 1e9));
            prop_assert!(by_pixels.zip(outlined).is_some_and(|(x, y)| near(x, y)), "{:?} {:?}", by_pixels, outlined);
        }
    }
}
