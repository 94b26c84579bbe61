use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use panelqc::{Error, Kind, Mask, Polygon, Result, Size};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Label, Sample, Truth, check_size, line_of, none_of, place_of};

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    images: Vec<&'a RawValue>,
    #[serde(borrow)]
    annotations: Vec<&'a RawValue>,
    #[serde(borrow)]
    categories: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Category {
    id: u64,
    name: Kind,
}

#[derive(Deserialize)]
struct Image {
    id: u64,
    file_name: String,
    width: u32,
    height: u32,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    category_id: u64,
    /// x, y, width, height.
    bbox: Option<[f64; 4]>,
    segmentation: Option<Segmentation>,
    area: Option<f64>,
    #[serde(default)]
    iscrowd: u8,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Segmentation {
    Polygons(Vec<Vec<f32>>),
    /// Height, width, and run lengths.
    Runs {
        size: [u32; 2],
        counts: Counts,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Counts {
    Text(String),
    Numbers(Vec<u32>),
}

/// Where and why a record is refused: byte in the text, expected, found.
type Problem = (usize, String, String);

/// Reads COCO instances (Lin et al. 2014): `folder` is the JSON file itself, or holds `annotations.json`, or no other
/// JSON file than the one; the images lie beside it or in `images`. Boxes, polygons (filled by the pixels' centres) and
/// masks as run lengths are read; an image without annotation is a good panel. The id is `file_name` without extension.
///
/// # Errors
/// [`ErrorKind::Io`](panelqc::ErrorKind::Io), and [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) with the line for a
/// record that is malformed, an id that is unknown or taken, a box that is empty or not inside its image, and an image
/// that is named and absent or of another size.
pub fn read_coco(folder: &Path) -> Result<Vec<Sample>> {
    let path = instances(folder)?;
    let text = fs::read_to_string(&path).map_err(Error::io("reading", &path))?;
    let file: File = serde_json::from_str(&text).map_err(|e| {
        Error::labels(&path, Some(e.line()), "COCO instances: images, annotations, categories", e.to_string())
    })?;
    let samples = samples_of(&text, &file, path.parent().unwrap_or(Path::new("")))
        .map_err(|(at, expected, found)| Error::labels(&path, Some(line_of(&text, at)), expected, found))?;
    if samples.is_empty() {
        return Err(none_of(&path, "images"));
    }
    Ok(samples)
}

/// The JSON file of a set.
fn instances(folder: &Path) -> Result<PathBuf> {
    if !folder.is_dir() {
        return Ok(folder.to_path_buf());
    }
    let usual = folder.join("annotations.json");
    if usual.is_file() {
        return Ok(usual);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("reading", folder))? {
        let path = entry.map_err(Error::io("reading", folder))?.path();
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
            found.push(path);
        }
    }
    match &found[..] {
        [one] => Ok(one.clone()),
        _ => Err(Error::labels(folder, None, "annotations.json, or one JSON file", format!("{}", found.len()))),
    }
}

fn samples_of(text: &str, file: &File<'_>, folder: &Path) -> std::result::Result<Vec<Sample>, Problem> {
    let mut kinds: HashMap<u64, Kind> = HashMap::new();
    for &raw in &file.categories {
        let (at, category) = record::<Category>(text, raw)?;
        if kinds.insert(category.id, category.name).is_some() {
            return Err((at, "a unique category id".to_owned(), format!("{} twice", category.id)));
        }
    }
    let mut samples = Vec::new();
    let mut sizes = Vec::new();
    let mut by_id: HashMap<u64, usize> = HashMap::new();
    let mut ids = HashSet::new();
    for &raw in &file.images {
        let (at, image) = record::<Image>(text, raw)?;
        let bad = |expected: &str, found: String| Err((at, expected.to_owned(), found));
        if by_id.insert(image.id, samples.len()).is_some() {
            return bad("a unique image id", format!("{} twice", image.id));
        }
        let id = Path::new(&image.file_name).with_extension("");
        let id = id.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
        if !ids.insert(id.clone()) {
            return bad("a unique file name", format!("{} twice", image.file_name));
        }
        let places = [folder.join(&image.file_name), folder.join("images").join(&image.file_name)];
        let Some(path) = places.into_iter().find(|path| path.is_file()) else {
            return bad("an image file beside the labels or in images", format!("no {}", image.file_name));
        };
        check_size(&path, (image.width, image.height)).map_err(|(expected, found)| (at, expected, found))?;
        sizes.push((image.width, image.height));
        samples.push(Sample::of_image(id, path, Label::Boxes(Vec::new())));
    }
    for &raw in &file.annotations {
        let (at, annotation) = record::<Annotation>(text, raw)?;
        let bad = |(expected, found)| (at, expected, found);
        let known = |what: &str, id: u64| (format!("the id of {what}"), id.to_string());
        let image = *by_id.get(&annotation.image_id).ok_or(known("an image", annotation.image_id)).map_err(bad)?;
        let kind =
            kinds.get(&annotation.category_id).ok_or(known("a category", annotation.category_id)).map_err(bad)?;
        let truth = annotation.into_truth(kind.clone(), sizes[image]).map_err(bad)?;
        if let Label::Boxes(truths) = &mut samples[image].label {
            truths.push(truth);
        }
    }
    Ok(samples)
}

/// A record and where it begins in the text, which it was borrowed from.
fn record<'a, T: Deserialize<'a>>(text: &str, raw: &'a RawValue) -> std::result::Result<(usize, T), Problem> {
    let at = place_of(text, raw);
    serde_json::from_str(raw.get()).map(|value| (at, value)).map_err(|e| {
        let within: usize = raw.get().split_inclusive('\n').take(e.line().saturating_sub(1)).map(str::len).sum();
        let head: String = raw.get().chars().take(80).collect();
        (at + within, "a record of COCO instances".to_owned(), format!("{e} in `{head}`"))
    })
}

impl Annotation {
    fn into_truth(self, kind: Kind, size: (u32, u32)) -> std::result::Result<Truth, (String, String)> {
        let mask = self.segmentation.map(|segmentation| segmentation.into_mask(size)).transpose()?.flatten();
        let mut truth = match (self.bbox, &mask) {
            (Some([x, y, w, h]), _) => Truth::checked(kind, [x, y, x + w, y + h], size)?,
            (None, Some(mask)) => Truth::of_mask(kind, mask.clone())
                .ok_or_else(|| ("a segmentation with pixels".to_owned(), "none".to_owned()))?,
            (None, None) => return Err(("a bbox or a segmentation".to_owned(), "neither".to_owned())),
        };
        truth.mask = mask;
        truth.crowd = self.iscrowd != 0;
        truth.ignore = truth.crowd;
        truth.area = self.area.map(|area| area.max(0.0));
        Ok(truth)
    }
}

impl Segmentation {
    /// `None` for an empty list of polygons, which is how tools write "box only".
    fn into_mask(self, (width, height): (u32, u32)) -> std::result::Result<Option<Mask>, (String, String)> {
        match self {
            Segmentation::Polygons(rings) if rings.is_empty() => Ok(None),
            Segmentation::Polygons(rings) => {
                let ring = |numbers: &Vec<f32>| {
                    let usable =
                        numbers.len() >= 6 && numbers.len().is_multiple_of(2) && numbers.iter().all(|v| v.is_finite());
                    let found = || ("a polygon of at least 3 points x, y".to_owned(), format!("{numbers:?}"));
                    let points = || numbers.chunks_exact(2).map(|p| [p[0], p[1]]).collect();
                    if usable { Ok(Polygon::new(points())) } else { Err(found()) }
                };
                // Each polygon is a part of its own: they may overlap.
                let masks = rings
                    .iter()
                    .map(|numbers| ring(numbers).map(|ring| Mask::from_polygons(Size::new(width, height), &[ring])))
                    .collect::<std::result::Result<Vec<_>, _>>()?;
                Ok(Some(Mask::union(Size::new(width, height), &masks)))
            }
            Segmentation::Runs { size, counts } => {
                let wanted = || format!("run lengths that cover the image of {width}x{height}");
                if size != [height, width] {
                    return Err((wanted(), format!("those of {}x{}", size[1], size[0])));
                }
                let mask = match counts {
                    Counts::Text(text) => Mask::from_coco_counts(Size::new(width, height), &text),
                    Counts::Numbers(runs) => Mask::from_coco_runs(Size::new(width, height), runs),
                };
                mask.map(Some).ok_or_else(|| (wanted(), "others".to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use panelqc::PixelBox;

    const GOOD: &str = r#"{"images": [
  {"id": 7, "file_name": "a.png", "width": 20, "height": 10},
  {"id": 8, "file_name": "sub/b.png", "width": 20, "height": 10}],
 "categories": [{"id": 3, "name": "scratch"}],
 "annotations": [
  {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1.5, 2, 4, 3], "area": 11, "iscrowd": 0},
  {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 4, 4], "segmentation": [[0,0,4,0,4,4,0,4],[2,2,6,2,6,6,2,6]]},
  {"id": 3, "image_id": 7, "category_id": 3, "segmentation": {"size": [10, 20], "counts": [10, 5, 185]}, "iscrowd": 1}
 ]}"#;

    fn read(text: &str) -> Result<Vec<Sample>> {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("images/sub")).unwrap();
        for image in ["a.png", "images/sub/b.png"] {
            image::GrayImage::new(20, 10).save(dir.path().join(image)).unwrap();
        }
        fs::write(dir.path().join("any.json"), text).unwrap();
        read_coco(dir.path())
    }

    #[test]
    fn boxes_polygons_and_runs_are_read() {
        let samples = read(GOOD).unwrap();
        assert_eq!(samples.iter().map(|s| s.files.id.as_str()).collect::<Vec<_>>(), ["a", "sub/b"]);
        assert!(!samples[1].label.is_defective() && samples[1].files.frames[0].ends_with("images/sub/b.png"));
        let Label::Boxes(truths) = &samples[0].label else { panic!("boxes") };
        assert_eq!((truths[0].bbox, truths[0].area()), (PixelBox::new(1.5, 2.0, 5.5, 5.0), 11.0));
        assert_eq!(truths[1].mask.as_ref().unwrap().area(), 28, "overlapping polygons are one region");
        assert_eq!((truths[2].bbox, truths[2].crowd), (PixelBox::new(1.0, 0.0, 2.0, 5.0), true));
        assert_eq!(samples[0].label.kinds().len(), 1);
    }

    #[test]
    fn each_mistake_is_named_with_its_line() {
        for (change, with, says) in [
            ("\"id\": 8", "\"id\": 7", ":3: expected a unique image id, found 7 twice"),
            ("\"width\": 20", "\"width\": 10", ":2: expected the size 10x10 of "),
            ("sub/b.png", "a.jpg", ":3: expected a unique file name"),
            ("sub/b.png", "c.png", ":3: expected an image file beside the labels or in images, found no c.png"),
            (
                "\"image_id\": 7, \"category_id\": 3, \"bbox\": [1.5",
                "\"image_id\": 9, \"category_id\": 3, \"bbox\": [1.5",
                ":6: expected the id of an image, found 9",
            ),
            (
                "\"category_id\": 3, \"bbox\": [0",
                "\"category_id\": 4, \"bbox\": [0",
                ":7: expected the id of a category, found 4",
            ),
            ("[1.5, 2, 4, 3]", "[1.5, 2, 0, 3]", ":6: expected a box with x0 < x1"),
            ("[1.5, 2, 4, 3]", "[1.5, 2, 40, 3]", ":6: expected a box inside the image of 20x10"),
            ("[1.5, 2, 4, 3]", "[1.5, 2, 4]", ":6: expected a record"),
            ("[1.5, 2, 4, 3]", "[1.5, NaN, 4, 3]", ":6: expected COCO instances"),
            ("[10, 5, 185]", "[10, 5, 18]", ":8: expected run lengths that cover the image of 20x10"),
            ("[10, 20]", "[20, 10]", ":8: expected run lengths"),
            ("[0,0,4,0,4,4,0,4]", "[0,0,4,0]", ":7: expected a polygon of at least 3 points"),
            ("\"categories\"", "\"category\"", "missing field"),
        ] {
            assert!(GOOD.contains(change), "{change}");
            let message = read(&GOOD.replacen(change, with, 1)).unwrap_err().to_string();
            assert!(message.contains("any.json") && message.contains(says), "{with}: {message}");
        }
    }
}
