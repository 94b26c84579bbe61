use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::judge::Verdict;
use crate::defect::Kind;

/// One of the `[[rules]]`: which defects it is about, and what becomes of a panel that has them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub(super) name: String,
    /// Where the policy's file has it.
    pub(super) line: usize,
    /// All kinds when `None`.
    pub(super) kinds: Option<Vec<Kind>>,
    /// Places in the policy's list of zones; anywhere when `None`.
    pub(super) zones: Option<Vec<usize>>,
    /// What each defect has to be like.
    pub(super) limits: Vec<Limit>,
    /// What all of them together have to be like; a rule on single defects has none.
    pub(super) group: Vec<Limit>,
    pub(super) severity: Option<Severity>,
    pub(super) verdict: Verdict,
}

/// How bad a defect is, for the people who read the reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    Minor,
    Major,
    Critical,
}

/// A quantity that a rule limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    Confidence,
    Area,
    Length,
    Width,
    Count,
    Density,
    AreaShare,
    Distance,
}

/// The limits of one quantity, in the unit of the key that it is written with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limit {
    pub(super) quantity: Quantity,
    pub(super) millimetres: bool,
    pub(super) bounds: Bounds,
}

/// From `at_least`, included, to `below`, not included. A lone number is `at_least`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bounds {
    pub(super) at_least: Option<f64>,
    pub(super) below: Option<f64>,
}

/// A rule as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleFile {
    pub(super) name: Spanned<String>,
    pub(super) kinds: Option<Spanned<Vec<Spanned<Kind>>>>,
    pub(super) zones: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) confidence: Option<Spanned<Bounds>>,
    pub(super) area_px: Option<Spanned<Bounds>>,
    pub(super) area_mm2: Option<Spanned<Bounds>>,
    pub(super) length_px: Option<Spanned<Bounds>>,
    pub(super) length_mm: Option<Spanned<Bounds>>,
    pub(super) width_px: Option<Spanned<Bounds>>,
    pub(super) width_mm: Option<Spanned<Bounds>>,
    pub(super) count: Option<Spanned<Bounds>>,
    pub(super) density_px: Option<Spanned<Bounds>>,
    pub(super) density_mm2: Option<Spanned<Bounds>>,
    pub(super) area_share: Option<Spanned<Bounds>>,
    pub(super) distance_px: Option<Spanned<Bounds>>,
    pub(super) distance_mm: Option<Spanned<Bounds>>,
    pub(super) severity: Option<Severity>,
    pub(super) verdict: Verdict,
}

impl RuleFile {
    /// Its limits and where they stand, those on single defects first.
    pub(super) fn limits(&self) -> Vec<(Limit, usize)> {
        let keys = [
            (Quantity::Confidence, false, &self.confidence),
            (Quantity::Length, false, &self.length_px),
            (Quantity::Length, true, &self.length_mm),
            (Quantity::Width, false, &self.width_px),
            (Quantity::Width, true, &self.width_mm),
            (Quantity::Area, false, &self.area_px),
            (Quantity::Area, true, &self.area_mm2),
            (Quantity::Count, false, &self.count),
            (Quantity::Density, false, &self.density_px),
            (Quantity::Density, true, &self.density_mm2),
            (Quantity::AreaShare, false, &self.area_share),
            (Quantity::Distance, false, &self.distance_px),
            (Quantity::Distance, true, &self.distance_mm),
        ];
        let limit = |(quantity, millimetres, bounds): (Quantity, bool, &Option<Spanned<Bounds>>)| {
            let bounds = bounds.as_ref()?;
            let mut limit = Limit { quantity, millimetres, bounds: *bounds.get_ref() };
            if quantity == Quantity::Confidence {
                // Confidences are single precision: 0.7 has to be the same number on both sides.
                let single = |v: f64| f64::from(v as f32);
                limit.bounds =
                    Bounds { at_least: limit.bounds.at_least.map(single), below: limit.bounds.below.map(single) };
            }
            Some((limit, bounds.span().start))
        };
        keys.into_iter().filter_map(limit).collect()
    }
}

impl Rule {
    /// Whether it is about defects of this kind.
    pub(super) fn covers(&self, kind: &Kind) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(kind))
    }

    /// Its limit of a quantity of single defects.
    pub(super) fn limit(&self, quantity: Quantity) -> Option<&Limit> {
        self.limits.iter().find(|limit| limit.quantity == quantity)
    }

    /// The least confidence that it states; without one it looks at defects from the review limit of their kind on.
    pub(super) fn least_confidence(&self) -> Option<f64> {
        self.limit(Quantity::Confidence).and_then(|limit| limit.bounds.at_least)
    }
}

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
    /// Whether a value is inside. What differs from a bound by a billionth of it is taken for equal: a length in
    /// millimetres is a product, whose last digit is rounding.
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

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Minor => "minor",
            Severity::Major => "major",
            Severity::Critical => "critical",
        })
    }
}

impl<'de> Deserialize<'de> for Bounds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            at_least: Option<f64>,
            below: Option<f64>,
        }

        struct NumberOrTable;

        impl<'de> Visitor<'de> for NumberOrTable {
            type Value = Bounds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a table with `at_least`, `below` or both")
            }

            fn visit_i64<E>(self, v: i64) -> Result<Bounds, E> {
                Ok(Bounds { at_least: Some(v as f64), below: None })
            }

            fn visit_f64<E>(self, v: f64) -> Result<Bounds, E> {
                Ok(Bounds { at_least: Some(v), below: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Bounds, A::Error> {
                let Table { at_least, below } = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Bounds { at_least, below })
            }
        }

        deserializer.deserialize_any(NumberOrTable)
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
