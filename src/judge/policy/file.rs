use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::check::{Draft, Part, Problems};
use super::policy::{Policy, Text, refused};
use super::quantity::{Bounds, KEYS};
use super::rule::{Rule, Severity};
use super::zone::{Form, Margin, Zone};
use crate::defect::Kind;
use crate::error::{Error, Result};
use crate::judge::guarantee::Guarantee;
use crate::judge::limits::Limits;
use crate::judge::verdict::Verdict;

/// A policy as its file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    schema: Spanned<u32>,
    name: String,
    model: Option<String>,
    pixel_pitch_mm: Option<Spanned<f64>>,
    default: Spanned<Limits>,
    #[serde(default)]
    kinds: BTreeMap<Spanned<Kind>, Spanned<Limits>>,
    unknown: Option<Spanned<UnknownFile>>,
    #[serde(default)]
    zones: BTreeMap<String, Spanned<ZoneFile>>,
    #[serde(default)]
    rules: Vec<Spanned<RuleFile>>,
    guarantee: Option<Spanned<Guarantee>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnknownFile {
    review: f32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ZoneFile {
    /// Points; their two numbers are counted by hand, since `toml` drops what an array has too many of.
    polygon: Option<Vec<Vec<f64>>>,
    margin: Option<MarginFile>,
    #[serde(default)]
    invert: bool,
    frame: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MarginFile {
    px: Option<f64>,
    mm: Option<f64>,
    percent: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    name: Spanned<String>,
    kinds: Option<Spanned<Vec<Spanned<Kind>>>>,
    zones: Option<Spanned<Vec<Spanned<String>>>>,
    confidence: Option<Spanned<Bounds>>,
    length_px: Option<Spanned<Bounds>>,
    length_mm: Option<Spanned<Bounds>>,
    width_px: Option<Spanned<Bounds>>,
    width_mm: Option<Spanned<Bounds>>,
    area_px: Option<Spanned<Bounds>>,
    area_mm2: Option<Spanned<Bounds>>,
    count: Option<Spanned<Bounds>>,
    density_px: Option<Spanned<Bounds>>,
    density_mm2: Option<Spanned<Bounds>>,
    area_share: Option<Spanned<Bounds>>,
    distance_px: Option<Spanned<Bounds>>,
    distance_mm: Option<Spanned<Bounds>>,
    severity: Option<Severity>,
    verdict: Verdict,
}

/// Where the parts of a file's text stand.
struct Places {
    /// Where the lines of the text end.
    ends: Vec<usize>,
    problems: Problems,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when the file cannot be read,
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) as [`Policy::parse`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(Error::io("reading", path))?;
        Self::parse(&text, path)
    }

    /// Reads a policy from the text of the file `path`.
    ///
    /// # Errors
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) with the line of each mistake: an unknown key, another schema,
    /// limits that are not `0 <= review <= fail <= 1`, a limit in millimetres without `pixel_pitch_mm`, an empty range,
    /// a zone that is empty, crosses itself, is not defined or not used, a rule that an earlier one covers or that
    /// contradicts another one, a guarantee for other rules.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let (draft, problems) = read(text, path)?;
        draft.checked(Text::new(text), problems)
    }
}

/// What a file says, and what is wrong with the way it says it.
pub(super) fn read(text: &str, path: &Path) -> Result<(Draft, Problems)> {
    let file: PolicyFile = toml::from_str(text).map_err(|e| refused(path, e.to_string().trim_end().to_owned()))?;
    let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
    let mut places = Places { ends, problems: Problems::default() };
    places.at(Part::Schema, &file.schema);
    places.at(Part::Default, &file.default);
    let schema = file.schema.into_inner();
    if schema != 1 {
        places.problems.add(Part::Schema, format!("expected schema = 1, found {schema}"));
    }
    let mut draft = Draft::new(file.name, path.to_path_buf(), file.default.into_inner());
    draft.model = file.model;
    draft.pixel_pitch_mm = file.pixel_pitch_mm.map(|pitch| places.take(Part::Pitch, pitch));
    draft.unknown = file.unknown.map(|unknown| places.take(Part::Unknown, unknown).review);
    if let Some(guarantee) = file.guarantee {
        let guarantee = places.take(Part::Guarantee, guarantee);
        if let Some(problem) = guarantee.problem(text) {
            places.problems.add(Part::Guarantee, problem);
        }
        draft.guarantee = Some(guarantee);
    }
    for (i, (kind, limits)) in file.kinds.into_iter().enumerate() {
        draft.kinds.push((places.take(Part::Kind(i), kind), places.take(Part::KindLimits(i), limits)));
    }
    for (name, zone) in file.zones {
        let part = Part::Zone(draft.zones.len());
        match places.take(part, zone).zone(&name) {
            Ok(zone) => draft.zones.push(zone),
            Err(problem) => {
                places.problems.add(part, format!("zone `{name}`: {problem}"));
                places.problems.spoil_zone(name);
            }
        }
    }
    for (i, rule) in file.rules.into_iter().enumerate() {
        let rule = places.take(Part::Rule(i), rule);
        draft.rules.push(rule.rule(i, &mut places));
    }
    Ok((draft, places.problems))
}

impl Places {
    /// Remembers where a part stands.
    fn at<T>(&mut self, part: Part, value: &Spanned<T>) {
        let start = value.span().start;
        self.problems.place(part, self.ends.partition_point(|&end| end < start) + 1);
    }

    /// The same, and gives the part.
    fn take<T>(&mut self, part: Part, value: Spanned<T>) -> T {
        self.at(part, &value);
        value.into_inner()
    }
}

impl ZoneFile {
    /// The zone, or what is wrong with the way it is written.
    fn zone(self, name: &str) -> Result<Zone, String> {
        let form = match (self.polygon, self.margin) {
            (Some(points), None) => {
                let point = |point: &Vec<f64>| <[f64; 2]>::try_from(point.as_slice()).ok();
                let points: Option<Vec<[f64; 2]>> = points.iter().map(point).collect();
                Form::Polygon(points.ok_or("expected a polygon of points [x, y]")?)
            }
            (None, Some(margin)) => Form::Margin(margin.margin()?),
            _ => return Err("expected either `polygon` or `margin`".to_owned()),
        };
        Ok(Zone { name: name.to_owned(), form, invert: self.invert, frame: self.frame })
    }
}

impl MarginFile {
    fn margin(self) -> Result<Margin, String> {
        match (self.px, self.mm, self.percent) {
            (Some(px), None, None) => Ok(Margin::Pixels(px)),
            (None, Some(mm), None) => Ok(Margin::Millimetres(mm)),
            (None, None, Some(percent)) => Ok(Margin::Percent(percent)),
            _ => Err("expected a margin in one of `px`, `mm` and `percent`".to_owned()),
        }
    }
}

impl RuleFile {
    /// The rule, the `i`-th of the file.
    fn rule(self, i: usize, places: &mut Places) -> Rule {
        let mut rule = Rule::new(places.take(Part::RuleName(i), self.name), self.verdict);
        rule.severity = self.severity;
        if let Some(kinds) = self.kinds {
            let kinds = places.take(Part::RuleKinds(i), kinds).into_iter().enumerate();
            rule = rule.kinds(kinds.map(|(j, kind)| places.take(Part::RuleKind(i, j), kind)).collect::<Vec<_>>());
        }
        rule.zones = self.zones.map(|zones| {
            let zones = places.take(Part::RuleZones(i), zones).into_iter().enumerate();
            zones.map(|(j, zone)| places.take(Part::RuleZone(i, j), zone)).collect()
        });
        // In the order of `KEYS`.
        let limits = [
            self.confidence,
            self.length_px,
            self.length_mm,
            self.width_px,
            self.width_mm,
            self.area_px,
            self.area_mm2,
            self.count,
            self.density_px,
            self.density_mm2,
            self.area_share,
            self.distance_px,
            self.distance_mm,
        ];
        for ((quantity, millimetres, _), bounds) in KEYS.into_iter().zip(limits) {
            if let Some(bounds) = bounds {
                rule =
                    rule.with(quantity, millimetres, places.take(Part::RuleLimit(i, (quantity, millimetres)), bounds));
            }
        }
        rule
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
