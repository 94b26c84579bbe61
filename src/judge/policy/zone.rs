use geo::{Area, BooleanOps, BoundingRect, ConvexHull, MultiPolygon, Polygon, Rect, Validation, unary_union};

use crate::geometry::{PixelBox, Size};

/// A part of a frame that rules of a [`Policy`](crate::Policy) refer to. Points are pixels of the source image: origin
/// top left, x right, y down.
///
/// ```
/// use panelqc::{PixelBox, Zone};
///
/// // All but a band of 5 mm along the edges.
/// let active = Zone::margin_mm("active", 5.0).inverted();
/// // A connector on the second frame of each panel.
/// let connector = Zone::rectangle("connector", PixelBox::new(40.0, 0.0, 400.0, 90.0)).on_frame(1);
/// # assert_eq!((active.name(), connector.name()), ("active", "connector"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    pub(super) name: String,
    pub(super) form: Form,
    /// The rest of the frame instead.
    pub(super) invert: bool,
    /// The frame that it is on; all of them when `None`.
    pub(super) frame: Option<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Form {
    /// Through these points.
    Polygon(Vec<[f64; 2]>),
    /// A band along the edges of the frame.
    Margin(Margin),
}

/// How wide a band is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Margin {
    Pixels(f64),
    Millimetres(f64),
    /// Of the shorter side of the frame.
    Percent(f64),
}

/// A zone of a policy, with what can be worked out before the frame is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed {
    pub(super) zone: Zone,
    outline: Outline,
    /// Where the policy's file defines it.
    pub(super) line: Option<usize>,
}

#[derive(Debug, Clone, PartialEq)]
enum Outline {
    Polygon(Polygon),
    /// A band of this many pixels along the edges.
    Pixels(f64),
    /// A band of this share of the shorter side.
    Share(f64),
}

impl Zone {
    fn of(name: impl Into<String>, form: Form) -> Self {
        Zone { name: name.into(), form, invert: false, frame: None }
    }

    /// The band of this many pixels along all four edges of the frame.
    pub fn margin_px(name: impl Into<String>, pixels: f64) -> Self {
        Self::of(name, Form::Margin(Margin::Pixels(pixels)))
    }

    /// The same in millimetres: the policy needs a pixel pitch.
    pub fn margin_mm(name: impl Into<String>, millimetres: f64) -> Self {
        Self::of(name, Form::Margin(Margin::Millimetres(millimetres)))
    }

    /// The same in percent of the frame's shorter side, more than 0 and less than 50.
    pub fn margin_percent(name: impl Into<String>, percent: f64) -> Self {
        Self::of(name, Form::Margin(Margin::Percent(percent)))
    }

    /// A rectangle.
    pub fn rectangle(name: impl Into<String>, sides: PixelBox) -> Self {
        let [x0, y0, x1, y1] = [sides.x0, sides.y0, sides.x1, sides.y1].map(f64::from);
        Self::polygon(name, [[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    }

    /// A polygon through points [x, y], the last of which is joined with the first. Its sides neither cross nor touch
    /// each other.
    pub fn polygon(name: impl Into<String>, points: impl IntoIterator<Item = [f64; 2]>) -> Self {
        Self::of(name, Form::Polygon(points.into_iter().collect()))
    }

    /// The rest of the frame instead.
    #[must_use]
    pub fn inverted(mut self) -> Self {
        self.invert = !self.invert;
        self
    }

    /// Only on this frame of the panel, from 0. Default: on every frame.
    #[must_use]
    pub fn on_frame(mut self, frame: usize) -> Self {
        self.frame = Some(frame);
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The zone with its outline, for pixels of `pitch` millimetres, or what is wrong with it.
    pub(super) fn placed(self, line: Option<usize>, pitch: Option<f64>) -> Result<Placed, String> {
        let outline = match &self.form {
            Form::Polygon(points) => Outline::Polygon(polygon(points)?),
            Form::Margin(margin) => margin.outline(pitch)?,
        };
        Ok(Placed { zone: self, outline, line })
    }
}

impl Margin {
    fn outline(self, pitch: Option<f64>) -> Result<Outline, String> {
        let (stated, outline) = match self {
            Margin::Pixels(px) => (px, Outline::Pixels(px)),
            Margin::Millimetres(mm) => {
                let pitch = pitch.ok_or("expected `pixel_pitch_mm` for a margin in mm, found none")?;
                (mm, Outline::Pixels(mm / pitch))
            }
            Margin::Percent(percent) => (percent, Outline::Share(percent / 100.0)),
        };
        let (Outline::Pixels(width) | Outline::Share(width)) = outline else { return Ok(outline) };
        if !(width > 0.0 && width.is_finite()) {
            return Err(format!("expected a margin above 0, found {stated}"));
        }
        match outline {
            Outline::Share(share) if share >= 0.5 => {
                Err(format!("expected a margin below 50 percent of the shorter side, found {stated}"))
            }
            outline => Ok(outline),
        }
    }
}

/// The polygon through `points`, or why it is not one.
fn polygon(points: &[[f64; 2]]) -> Result<Polygon, String> {
    if points.iter().flatten().any(|v| !v.is_finite()) {
        return Err("expected a polygon of finite numbers".to_owned());
    }
    let polygon = Polygon::new(points.to_vec().into(), Vec::new());
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

impl Placed {
    /// Its part of frame number `frame`, of `size` in pixels.
    pub(super) fn on(&self, frame: usize, size: Size) -> MultiPolygon {
        if self.zone.frame.is_some_and(|only| only != frame) {
            return MultiPolygon::new(Vec::new());
        }
        let invert = self.zone.invert;
        let (width, height) = (f64::from(size.width), f64::from(size.height));
        let whole = rectangle(0.0, 0.0, width, height);
        let margin = match &self.outline {
            Outline::Polygon(polygon) if invert => return whole.difference(polygon),
            Outline::Polygon(polygon) => return whole.intersection(polygon),
            &Outline::Pixels(pixels) => pixels,
            &Outline::Share(share) => share * width.min(height),
        };
        let band = 2.0 * margin < width.min(height);
        match (band, invert) {
            (true, true) => whole.intersection(&rectangle(margin, margin, width - margin, height - margin)),
            (true, false) => whole.difference(&rectangle(margin, margin, width - margin, height - margin)),
            // A band that leaves nothing inside.
            (false, true) => MultiPolygon::new(Vec::new()),
            (false, false) => whole.into(),
        }
    }
}

/// The area of all `zones` together in square pixels, what they share counted once.
pub(super) fn area<'a>(zones: impl Iterator<Item = &'a MultiPolygon>) -> f64 {
    let zones: Vec<&MultiPolygon> = zones.collect();
    unary_union(zones).unsigned_area()
}

pub(super) fn rectangle(x0: f64, y0: f64, x1: f64, y1: f64) -> Polygon {
    Rect::new([x0, y0], [x1, y1]).to_polygon()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Size = Size::new(100, 80);

    fn placed(zone: Zone) -> Placed {
        zone.placed(None, Some(0.5)).unwrap()
    }

    fn triangle() -> Zone {
        Zone::polygon("z", [[0.0, 0.0], [60.0, 0.0], [0.0, 60.0]])
    }

    fn area_of(zone: Zone) -> f64 {
        placed(zone).on(0, FRAME).unsigned_area()
    }

    #[test]
    fn a_zone_and_its_rest_are_the_frame() {
        let band = 8000.0 - 80.0 * 60.0;
        for (zone, part) in [
            (Zone::margin_px("z", 10.0), band),
            (Zone::margin_mm("z", 5.0), band),
            (Zone::margin_percent("z", 12.5), band),
            (triangle(), 1800.0),
            (Zone::rectangle("z", PixelBox::new(10.0, 20.0, 40.0, 30.0)), 300.0),
        ] {
            assert!((area_of(zone.clone()) - part).abs() < 1e-3);
            assert!((area_of(zone.inverted()) - (8000.0 - part)).abs() < 1e-3);
        }
        // A margin that leaves nothing inside, and a polygon beyond the frame.
        for margin in [40.0, 1e9] {
            assert_eq!(area_of(Zone::margin_px("z", margin)), 8000.0);
            assert_eq!(area_of(Zone::margin_px("z", margin).inverted()), 0.0);
        }
        assert_eq!(area_of(Zone::rectangle("z", PixelBox::new(50.0, -9.0, 900.0, 900.0))), 4000.0);
        let second = placed(triangle().on_frame(1));
        assert_eq!(second.on(0, FRAME).unsigned_area(), 0.0);
        assert!(second.on(1, FRAME).unsigned_area() > 0.0);
    }

    #[test]
    fn the_area_of_several_zones_counts_what_they_share_once() {
        let parts = [10.0, 20.0].map(|margin| placed(Zone::margin_px("z", margin)).on(0, FRAME));
        assert_eq!(area(parts.iter()), 8000.0 - 60.0 * 40.0);
        assert_eq!(area([].into_iter()), 0.0);
    }
}
