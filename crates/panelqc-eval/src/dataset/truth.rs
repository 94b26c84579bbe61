use panelqc::{Kind, Mask, PixelBox, Polygon, Size};

/// How far a side may lie outside of the image, in pixels: what counting from another pixel, or rounding, in a
/// labelling tool comes to. It is cut off.
const SLACK: f64 = 1.0;
/// How much of that is worth no note: the digits of a file.
const ROUNDING: f64 = 0.05;

/// The most columns that the sides of a polygon may cross in all: each is kept while it is filled. An outline crosses
/// each column a few times, not hundreds of times.
const CROSSINGS: f64 = 1e7;

/// A defect that a person marked.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Truth {
    /// What it is.
    pub kind: Kind,
    /// Where it is, in pixels of the image.
    pub bbox: PixelBox,
    /// Its shape, where it was marked.
    pub mask: Option<Mask>,
    /// Its area in square pixels as the labels state it (COCO); otherwise it is that of the mask or the box.
    pub area: Option<f64>,
    /// Neither finding nor missing it counts (VOC's `difficult`, and every `crowd`).
    pub ignore: bool,
    /// It stands for many defects, so that any number of detections may lie in it (COCO's `iscrowd`).
    pub crowd: bool,
}

impl Truth {
    /// A box.
    pub fn new(kind: Kind, bbox: PixelBox) -> Self {
        Truth { kind, bbox, mask: None, area: None, ignore: false, crowd: false }
    }

    /// A shape; the box is the one around it. `None` for an empty one.
    pub fn of_mask(kind: Kind, mask: Mask) -> Option<Self> {
        let bbox = mask.bounds()?;
        Some(Truth { mask: Some(mask), ..Truth::new(kind, bbox) })
    }

    /// Its area in square pixels.
    pub fn area(&self) -> f64 {
        let own = || self.mask.as_ref().map_or_else(|| f64::from(self.bbox.area()), |mask| mask.area() as f64);
        self.area.unwrap_or_else(own)
    }

    /// A box with the sides (x0, y0, x1, y1) in an image of `size` (width, height), and whether it was clipped there;
    /// what is wrong with it otherwise: expected, found.
    pub(super) fn checked(
        kind: Kind,
        [x0, y0, x1, y1]: [f64; 4],
        (width, height): (u32, u32),
    ) -> Result<(Self, bool), (String, String)> {
        let found = || format!("x {x0} to {x1}, y {y0} to {y1}");
        if !(x0 < x1 && y0 < y1) {
            return Err(("a box with x0 < x1 and y0 < y1".to_owned(), found()));
        }
        let inside = |from: f64, to: f64, end: u32| from >= -SLACK && to <= f64::from(end) + SLACK;
        if !(inside(x0, x1, width) && inside(y0, y1, height)) {
            return Err((format!("a box inside the image of {width}x{height}"), found()));
        }
        let bbox = PixelBox::new(x0 as f32, y0 as f32, x1 as f32, y1 as f32).clip(Size::new(width, height));
        // It may lie in the slack and nowhere else.
        if !(bbox.x0 < bbox.x1 && bbox.y0 < bbox.y1) {
            return Err((format!("a box inside the image of {width}x{height}"), found()));
        }
        let over = (-x0).max(-y0).max(x1 - f64::from(width)).max(y1 - f64::from(height));
        Ok((Truth::new(kind, bbox), over > ROUNDING))
    }
}

/// The pixels in a polygon of an image of `size` (width, height), from its numbers x, y, x, y, ...; what is wrong with
/// it otherwise: expected, found.
pub(super) fn polygon(numbers: &[f32], (width, height): (u32, u32)) -> Result<Mask, (String, String)> {
    if numbers.len() < 6 || !numbers.len().is_multiple_of(2) || numbers.iter().any(|number| !number.is_finite()) {
        let found = format!("{:?}", &numbers[..numbers.len().min(16)]);
        return Err(("a polygon of at least 3 points x, y".to_owned(), found));
    }
    let points: Vec<[f32; 2]> = numbers.chunks_exact(2).map(|point| [point[0], point[1]]).collect();
    let column = |x: f32| f64::from(x).clamp(0.0, f64::from(width));
    let sides = points.iter().zip(points.iter().cycle().skip(1));
    if sides.map(|(a, b)| (column(a[0]) - column(b[0])).abs()).sum::<f64>() > CROSSINGS {
        return Err(("the outline of a defect".to_owned(), format!("one of {} points to and fro", points.len())));
    }
    Ok(Mask::from_polygons(Size::new(width, height), &[Polygon::new(points)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polygons_have_points_and_an_end() {
        assert_eq!(polygon(&[0.0, 0.0, 4.0, 0.0, 4.0, 4.0, 0.0, 4.0], (10, 20)).unwrap().area(), 16);
        for bad in [&[0.0, 0.0, 4.0, 0.0][..], &[0.0; 7], &[0.0, 0.0, f32::NAN, 0.0, 4.0, 4.0]] {
            assert!(polygon(bad, (10, 20)).unwrap_err().0.contains("at least 3 points"));
        }
        let zigzag: Vec<f32> = (0..80_000).map(|i| if i % 4 < 2 { 0.0 } else { 1000.0 }).collect();
        assert!(polygon(&zigzag, (1000, 1000)).unwrap_err().1.contains("to and fro"));
        // The same outside of the image costs nothing.
        let beyond: Vec<f32> = zigzag.iter().map(|number| number + 2000.0).collect();
        assert_eq!(polygon(&beyond, (1000, 1000)).unwrap().area(), 0);
    }

    #[test]
    fn boxes_have_to_lie_in_the_image() {
        let checked = |sides| Truth::checked("a".into(), sides, (10, 20));
        let whole = PixelBox::new(0.0, 0.0, 10.0, 20.0);
        for (sides, clipped) in
            [([-0.04, 0.0, 10.0, 20.01], false), ([-1.0, 0.0, 10.3, 20.0], true), ([0.0, 0.0, 10.0, 21.0], true)]
        {
            let (truth, was) = checked(sides).unwrap();
            assert_eq!((truth.bbox, was), (whole, clipped), "{sides:?}");
        }
        for bad in [
            [1.0, 1.0, 1.0, 2.0],
            [3.0, 1.0, 2.0, 2.0],
            [-1.1, 0.0, 2.0, 2.0],
            [0.0, 0.0, 2.0, 21.1],
            [10.0, 0.0, 11.0, 2.0],
        ] {
            assert!(checked(bad).is_err(), "{bad:?}");
        }
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(checked([bad, 0.0, 2.0, 2.0]).is_err() && checked([0.0, 0.0, 2.0, bad]).is_err());
        }
    }
}
