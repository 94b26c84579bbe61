//! The records of COCO instances, as tools write them.

use std::fmt;

use panelqc::{Kind, Mask, Size};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use crate::dataset::Truth;
use crate::dataset::truth::polygon;

/// Expected, found.
type Problem = (String, String);

/// The number of a record; tools also write it as a text or with a decimal point.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Id {
    Number(i128),
    Text(String),
}

#[derive(Deserialize)]
pub(super) struct Category {
    pub(super) id: Id,
    name: String,
}

impl Category {
    /// Its name, without the space around it that other formats do not keep either.
    pub(super) fn kind(&self) -> Kind {
        self.name.trim().into()
    }
}

#[derive(Deserialize)]
pub(super) struct Image {
    pub(super) id: Id,
    pub(super) file_name: String,
    /// `None`, or 0, where the tool did not know it.
    #[serde(default)]
    pub(super) width: Option<Pixels>,
    #[serde(default)]
    pub(super) height: Option<Pixels>,
}

/// A number of pixels, which may have a decimal point but no fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "f64")]
pub(super) struct Pixels(pub(super) u32);

#[derive(Deserialize)]
pub(super) struct Annotation {
    #[serde(default)]
    pub(super) id: Option<Id>,
    pub(super) image_id: Id,
    pub(super) category_id: Id,
    /// x, y, width, height; tools that know none leave the list empty.
    bbox: Option<Vec<f64>>,
    segmentation: Option<Segmentation>,
    area: Option<f64>,
    #[serde(default)]
    iscrowd: Option<Flag>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Flag {
    Bool(bool),
    Number(f64),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Segmentation {
    Polygons(Vec<Vec<f32>>),
    /// One polygon without the list around it.
    Polygon(Vec<f32>),
    /// Height, width, and run lengths.
    Runs {
        size: [Pixels; 2],
        counts: Counts,
    },
    Nothing(Nothing),
}

/// `{}`, in place of no segmentation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(untagged)]
enum Counts {
    Text(String),
    Numbers(Vec<u32>),
}

impl Annotation {
    /// The defect in an image of `size`, and whether its box was clipped there.
    pub(super) fn into_truth(self, kind: Kind, size: (u32, u32)) -> Result<(Truth, bool), Problem> {
        let mask = self.segmentation.map(|segmentation| segmentation.into_mask(size)).transpose()?.flatten();
        let (mut truth, clipped) = match (self.bbox.as_deref(), &mask) {
            (Some(&[x, y, w, h]), _) => Truth::checked(kind, [x, y, x + w, y + h], size)?,
            (Some(sides @ [_, ..]), _) => {
                return Err(("a bbox of x, y, width and height".to_owned(), format!("{sides:?}")));
            }
            (_, Some(mask)) => {
                let truth = Truth::of_mask(kind, mask.clone());
                (truth.ok_or_else(|| ("a segmentation with pixels".to_owned(), "none".to_owned()))?, false)
            }
            (_, None) => return Err(("a bbox or a segmentation".to_owned(), "neither".to_owned())),
        };
        truth.mask = mask;
        truth.crowd = match self.iscrowd {
            None => false,
            Some(Flag::Bool(crowd)) => crowd,
            Some(Flag::Number(number)) => number != 0.0,
        };
        truth.ignore = truth.crowd;
        truth.area = self.area.map(|area| area.max(0.0));
        Ok((truth, clipped))
    }
}

impl Segmentation {
    /// `None` for no polygon, or none with a point, which is how tools write "box only".
    fn into_mask(self, (width, height): (u32, u32)) -> Result<Option<Mask>, Problem> {
        let size = Size::new(width, height);
        let rings = match self {
            Segmentation::Polygons(rings) => rings,
            Segmentation::Polygon(ring) => vec![ring],
            Segmentation::Nothing(Nothing {}) => return Ok(None),
            Segmentation::Runs { size: [runs_height, runs_width], counts } => {
                let wanted = || format!("run lengths that cover the image of {width}x{height}");
                if (runs_width.0, runs_height.0) != (width, height) {
                    return Err((wanted(), format!("those of {}x{}", runs_width.0, runs_height.0)));
                }
                let mask = match counts {
                    Counts::Text(text) => Mask::from_coco_counts(size, &text),
                    Counts::Numbers(runs) => Mask::from_coco_runs(size, runs),
                };
                return mask.map(Some).ok_or_else(|| (wanted(), "others".to_owned()));
            }
        };
        // Each polygon is a part of its own: they may overlap.
        let rings = rings.iter().filter(|numbers| !numbers.is_empty());
        let masks = rings.map(|numbers| polygon(numbers, (width, height)));
        let masks = masks.collect::<Result<Vec<_>, _>>()?;
        Ok(if masks.is_empty() { None } else { Some(Mask::union(size, &masks)) })
    }
}

impl TryFrom<f64> for Pixels {
    type Error = String;

    fn try_from(number: f64) -> Result<Self, String> {
        if number >= 0.0 && number.fract() == 0.0 && number <= f64::from(u32::MAX) {
            return Ok(Pixels(number as u32));
        }
        Err(format!("expected a number of pixels, found {number}"))
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number or a text")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id, E> {
                Ok(Id::Number(number.into()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Id, E> {
                Ok(Id::Number(number.into()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Id, E> {
                // Larger ones have no digits left behind the point anyway.
                if number.fract() == 0.0 && number.abs() < 9e15 {
                    return Ok(Id::Number(number as i128));
                }
                Err(E::invalid_value(de::Unexpected::Float(number), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                Ok(Id::Text(text.to_owned()))
            }
        }
        input.deserialize_any(Any)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Number(number) => write!(f, "{number}"),
            Id::Text(text) => write!(f, "`{text}`"),
        }
    }
}
