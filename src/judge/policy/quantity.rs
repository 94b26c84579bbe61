use std::ops::{Range, RangeFrom, RangeTo};

/// A quantity that a rule limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Quantity {
    Confidence,
    Length,
    Width,
    Area,
    Count,
    Density,
    AreaShare,
    Distance,
}

/// The values of a quantity that a rule is about: from `at_least` (included) to `below` (not included). A Rust range
/// converts into it:
///
/// ```
/// use panelqc::Bounds;
///
/// assert_eq!(Bounds::from(2.0..).at_least, Some(2.0));
/// assert_eq!(Bounds::from(..0.5).below, Some(0.5));
/// assert_eq!(Bounds::from(0.5..2.0), Bounds::at_least(0.5).and_below(2.0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Bounds {
    /// The lowest value, in the unit of the limit. Default: none.
    pub at_least: Option<f64>,
    /// The first value that is too high, in the unit of the limit. Default: none.
    pub below: Option<f64>,
}

/// The limits of one quantity, in the unit of the key that it is written with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limit {
    pub(super) quantity: Quantity,
    pub(super) millimetres: bool,
    pub(super) bounds: Bounds,
}

/// The keys of a file's limits, in the order in which reasons tell them: those on single defects first.
pub(super) const KEYS: [(Quantity, bool, &str); 13] = [
    (Quantity::Confidence, false, "confidence"),
    (Quantity::Length, false, "length_px"),
    (Quantity::Length, true, "length_mm"),
    (Quantity::Width, false, "width_px"),
    (Quantity::Width, true, "width_mm"),
    (Quantity::Area, false, "area_px"),
    (Quantity::Area, true, "area_mm2"),
    (Quantity::Count, false, "count"),
    (Quantity::Density, false, "density_px"),
    (Quantity::Density, true, "density_mm2"),
    (Quantity::AreaShare, false, "area_share"),
    (Quantity::Distance, false, "distance_px"),
    (Quantity::Distance, true, "distance_mm"),
];

impl Quantity {
    /// Its power of the pixel pitch: a value in pixels times the pitch to this power is one in millimetres.
    fn power(self) -> i32 {
        match self {
            Quantity::Length | Quantity::Width | Quantity::Distance => 1,
            Quantity::Area => 2,
            Quantity::Density => -2,
            Quantity::Confidence | Quantity::Count | Quantity::AreaShare => 0,
        }
    }

    /// Whether it is one of a group of defects.
    pub(super) fn of_group(self) -> bool {
        matches!(self, Quantity::Count | Quantity::Density | Quantity::AreaShare | Quantity::Distance)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Quantity::Confidence => "confidence",
            Quantity::Area => "area",
            Quantity::Length => "length",
            Quantity::Width => "width",
            Quantity::Count => "count",
            Quantity::Density => "density",
            Quantity::AreaShare => "area share",
            Quantity::Distance => "distance",
        }
    }
}

impl Limit {
    pub(super) fn new(quantity: Quantity, millimetres: bool, mut bounds: Bounds) -> Self {
        if quantity == Quantity::Confidence {
            // Confidences are single precision: 0.7 has to be the same number on both sides.
            let single = |v: f64| f64::from(v as f32);
            bounds = Bounds { at_least: bounds.at_least.map(single), below: bounds.below.map(single) };
        }
        Limit { quantity, millimetres, bounds }
    }

    /// Its place in the order of [`KEYS`].
    pub(super) fn order(&self) -> (Quantity, bool) {
        (self.quantity, self.millimetres)
    }

    /// Its key in a file.
    pub(super) fn key(&self) -> &'static str {
        let key = KEYS.iter().find(|(quantity, millimetres, _)| (*quantity, *millimetres) == self.order());
        key.map_or("", |(_, _, key)| key)
    }

    /// `value`, in pixels, in the unit of this limit.
    pub(super) fn in_unit(&self, value: f64, pitch: Option<f64>) -> f64 {
        match pitch {
            Some(pitch) if self.millimetres => value * pitch.powi(self.quantity.power()),
            _ => value,
        }
    }

    /// Its bounds in pixels, from 0 to infinity where it has none.
    pub(super) fn in_pixels(&self, pitch: Option<f64>) -> (f64, f64) {
        let factor = self.in_unit(1.0, pitch);
        let Bounds { at_least, below } = self.bounds;
        (at_least.map_or(0.0, |v| v / factor), below.map_or(f64::INFINITY, |v| v / factor))
    }

    /// `length 3.1 mm >= 2 mm`, of a value in the unit of this limit.
    pub(super) fn text(&self, value: f64) -> String {
        let unit = match (self.quantity.power(), self.millimetres) {
            (1, true) => " mm",
            (1, false) => " px",
            (2, true) => " mm2",
            (2, false) => " px2",
            (-2, true) => " per mm2",
            (-2, false) => " per px2",
            _ => "",
        };
        let limit = |v: f64| match self.quantity {
            Quantity::Confidence => (v as f32).to_string(),
            _ => v.to_string(),
        };
        let bounds: Vec<String> = [(">=", self.bounds.at_least), ("<", self.bounds.below)]
            .into_iter()
            .filter_map(|(sign, v)| Some(format!("{sign} {}{unit}", limit(v?))))
            .collect();
        format!("{} {}{unit} {}", self.quantity.name(), self.bounds.rounded(value), bounds.join(" and "))
    }
}

impl Bounds {
    /// At least `value`.
    pub const fn at_least(value: f64) -> Self {
        Bounds { at_least: Some(value), below: None }
    }

    /// Less than `value`.
    pub const fn below(value: f64) -> Self {
        Bounds { at_least: None, below: Some(value) }
    }

    /// The same and less than `value`.
    #[must_use]
    pub const fn and_below(mut self, value: f64) -> Self {
        self.below = Some(value);
        self
    }

    /// Whether a value is inside. A value within a billionth of a bound counts as equal to it: a length in millimetres
    /// is a product, whose last digit is rounding.
    pub(super) fn contain(self, value: f64) -> bool {
        self.at_least.is_none_or(|bound| reaches(value, bound)) && self.below.is_none_or(|bound| !reaches(value, bound))
    }

    /// A value inside to three digits, or as many as it takes to be inside; a whole number as it is.
    fn rounded(self, value: f64) -> f64 {
        if value.fract() == 0.0 {
            return value;
        }
        let rounded = |digits: usize| format!("{value:.digits$e}").parse().unwrap_or(value);
        (2..15).map(rounded).find(|&short| self.contain(short)).unwrap_or(value)
    }
}

/// Whether `value` is at least `bound`, up to rounding.
pub(super) fn reaches(value: f64, bound: f64) -> bool {
    value >= bound || value >= bound - bound.abs() * 1e-9
}

impl From<RangeFrom<f64>> for Bounds {
    fn from(range: RangeFrom<f64>) -> Self {
        Bounds::at_least(range.start)
    }
}

impl From<RangeTo<f64>> for Bounds {
    fn from(range: RangeTo<f64>) -> Self {
        Bounds::below(range.end)
    }
}

impl From<Range<f64>> for Bounds {
    fn from(range: Range<f64>) -> Self {
        Bounds::at_least(range.start).and_below(range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(quantity: Quantity, millimetres: bool, at_least: Option<f64>, below: Option<f64>) -> Limit {
        Limit { quantity, millimetres, bounds: Bounds { at_least, below } }
    }

    #[test]
    fn a_bound_belongs_to_the_upper_side_up_to_rounding() {
        let bounds = Bounds { at_least: Some(0.3), below: Some(0.7) };
        for (value, inside) in [(0.3, true), (0.1 + 0.2, true), (0.299999999999, true), (0.2999, false), (0.69, true)] {
            assert_eq!(bounds.contain(value), inside, "{value}");
        }
        for value in [0.7, 7.0 * 0.1, 0.699999999999999, f64::INFINITY] {
            assert!(!bounds.contain(value), "{value}");
        }
    }

    #[test]
    fn values_are_shown_on_the_side_of_the_limit_where_they_are() {
        let from = limit(Quantity::Length, true, Some(2.0), None);
        assert_eq!(from.text(3.12159), "length 3.12 mm >= 2 mm");
        assert_eq!(from.text(2.0), "length 2 mm >= 2 mm");
        let below = limit(Quantity::Area, false, None, Some(2.0));
        assert_eq!(below.text(1.99996), "area 1.99996 px2 < 2 px2");
        let both = limit(Quantity::Confidence, false, Some(f64::from(0.3f32)), Some(f64::from(0.7f32)));
        assert_eq!(both.text(f64::from(0.412345f32)), "confidence 0.412 >= 0.3 and < 0.7");
        assert_eq!(
            limit(Quantity::Density, true, Some(0.01), None).text(0.0123),
            "density 0.0123 per mm2 >= 0.01 per mm2"
        );
        assert_eq!(limit(Quantity::Count, false, Some(3.0), None).text(1234.0), "count 1234 >= 3");
    }

    #[test]
    fn millimetres_are_pixels_times_the_pitch_to_its_power() {
        let pitch = Some(0.5);
        for (quantity, mm) in [(Quantity::Length, 2.0), (Quantity::Area, 1.0), (Quantity::Density, 16.0)] {
            assert_eq!(limit(quantity, true, None, None).in_unit(4.0, pitch), mm);
            assert_eq!(limit(quantity, false, None, None).in_unit(4.0, pitch), 4.0);
        }
        assert_eq!(limit(Quantity::Area, true, Some(1.0), None).in_pixels(pitch), (4.0, f64::INFINITY));
    }
}
