use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use panelqc::{Error, Kind, Mask, Polygon, Result, Size, find_images};
use yaml_rust2::{Yaml, YamlLoader};

use super::{Label, Sample, Truth, none_of, size_of};

/// Names of the classes, by their number.
type Names = BTreeMap<usize, Kind>;

/// Reads YOLO labels: `data.yaml` (its `names`, a list or numbers with names) or `classes.txt` (one name per line) in
/// `folder`, and for each image below it a text file of the same name: in `labels` where the image lies in `images`,
/// otherwise beside it. A line is `class x y width height` (the centre), or `class x1 y1 x2 y2 x3 y3 ...`, a polygon,
/// which an oriented box is too; all in shares of the image, 0 to 1. An image without a text file, or with an empty
/// one, is a good panel. The id is the path below `folder` without extension.
///
/// # Errors
/// [`ErrorKind::Io`](panelqc::ErrorKind::Io), [`ErrorKind::Frame`](panelqc::ErrorKind::Frame), and
/// [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) with the line of a malformed label; also when no image has a text
/// file at all.
pub fn read_yolo(folder: &Path) -> Result<Vec<Sample>> {
    let names = names_of(folder)?;
    let mut samples = Vec::new();
    let mut labelled = 0;
    for image in find_images(folder)? {
        let path = label_file(&image.path);
        let mut truths = Vec::new();
        if path.is_file() {
            labelled += 1;
            truths = labels_of(&path, &names, &image.path)?;
        }
        samples.push(Sample::of_image(image.id, image.path, Label::Boxes(truths)));
    }
    if labelled == 0 {
        return Err(none_of(folder, "images with text files beside them, or in images and labels"));
    }
    Ok(samples)
}

fn label_file(image: &Path) -> PathBuf {
    let parts: Vec<_> = image.iter().collect();
    if let Some(at) = parts.iter().rposition(|part| *part == "images") {
        let mut path: PathBuf = parts[..at].iter().collect();
        path.push("labels");
        path.extend(&parts[at + 1..]);
        path.set_extension("txt");
        if path.is_file() {
            return path;
        }
    }
    image.with_extension("txt")
}

fn names_of(folder: &Path) -> Result<Names> {
    let yaml = ["data.yaml", "data.yml"].map(|name| folder.join(name)).into_iter().find(|path| path.is_file());
    let list = folder.join("classes.txt");
    let names: Names = match yaml {
        Some(path) => {
            let text = fs::read_to_string(&path).map_err(Error::io("reading", &path))?;
            let documents = YamlLoader::load_from_str(&text)
                .map_err(|e| Error::labels(&path, Some(e.marker().line()), "YAML", e.to_string()))?;
            let line = text.lines().position(|line| line.starts_with("names")).map(|at| at + 1);
            let error = || Error::labels(&path, line, "`names`: a list, or numbers with names", "something else");
            match documents.first().map(|document| &document["names"]) {
                Some(Yaml::Array(names)) => {
                    let name = |(i, name): (usize, &Yaml)| Some((i, Kind::from(name.as_str()?)));
                    names.iter().enumerate().map(name).collect::<Option<_>>().ok_or_else(error)?
                }
                Some(Yaml::Hash(names)) => {
                    let name = |(i, name): (&Yaml, &Yaml)| {
                        Some((usize::try_from(i.as_i64()?).ok()?, Kind::from(name.as_str()?)))
                    };
                    names.iter().map(name).collect::<Option<_>>().ok_or_else(error)?
                }
                _ => return Err(error()),
            }
        }
        None if list.is_file() => {
            let text = fs::read_to_string(&list).map_err(Error::io("reading", &list))?;
            text.lines().map(str::trim).filter(|l| !l.is_empty()).map(Kind::from).enumerate().collect()
        }
        None => return Err(none_of(folder, "data.yaml or classes.txt with the names of the classes")),
    };
    if names.is_empty() { Err(none_of(folder, "names of classes")) } else { Ok(names) }
}

fn labels_of(path: &Path, names: &Names, image: &Path) -> Result<Vec<Truth>> {
    let text = fs::read_to_string(path).map_err(Error::io("reading", path))?;
    let lines = || text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    if lines().next().is_none() {
        return Ok(Vec::new());
    }
    let size = size_of(image)?;
    lines()
        .map(|(number, line)| {
            truth_of(line, names, size)
                .map_err(|(expected, found)| Error::labels(path, Some(number + 1), expected, found))
        })
        .collect()
}

fn truth_of(line: &str, names: &Names, size: (u32, u32)) -> std::result::Result<Truth, (String, String)> {
    let form =
        || ("`class x y width height` or `class x1 y1 x2 y2 x3 y3 ...` in 0 to 1".to_owned(), format!("`{line}`"));
    let mut words = line.split_whitespace();
    let class: usize = words.next().and_then(|word| word.parse().ok()).ok_or_else(form)?;
    let numbers: Vec<f64> = words.map(|word| word.parse().ok()).collect::<Option<_>>().ok_or_else(form)?;
    let kind = names
        .get(&class)
        .ok_or_else(|| (format!("a class of the {} that are named", names.len()), format!("{class}")))?;
    let (width, height) = (f64::from(size.0), f64::from(size.1));
    match numbers[..] {
        [x, y, w, h] => {
            let sides = [(x - w / 2.0) * width, (y - h / 2.0) * height, (x + w / 2.0) * width, (y + h / 2.0) * height];
            Truth::checked(kind.clone(), sides, size)
        }
        _ if numbers.len() >= 6 && numbers.len().is_multiple_of(2) => {
            let points: Vec<[f64; 2]> = numbers.chunks_exact(2).map(|p| [p[0] * width, p[1] * height]).collect();
            let side = |axis: usize, pick: fn(f64, f64) -> f64| {
                // `f64::min` would pass over NaN.
                points
                    .iter()
                    .map(|p| p[axis])
                    .reduce(|a, b| if b.is_nan() { b } else { pick(a, b) })
                    .unwrap_or(f64::NAN)
            };
            let sides = [side(0, f64::min), side(1, f64::min), side(0, f64::max), side(1, f64::max)];
            let mut truth = Truth::checked(kind.clone(), sides, size)?;
            let ring = Polygon::new(points.iter().map(|p| [p[0] as f32, p[1] as f32]).collect());
            truth.mask = Some(Mask::from_polygons(Size::new(size.0, size.1), &[ring]));
            Ok(truth)
        }
        _ => Err(form()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use panelqc::PixelBox;

    fn set(names: (&str, &str), label: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for part in ["images/val", "labels/val"] {
            fs::create_dir_all(dir.path().join(part)).unwrap();
        }
        for image in ["a.png", "b.png"] {
            image::GrayImage::new(20, 10).save(dir.path().join("images/val").join(image)).unwrap();
        }
        fs::write(dir.path().join(names.0), names.1).unwrap();
        fs::write(dir.path().join("labels/val/a.txt"), label).unwrap();
        dir
    }

    #[test]
    fn boxes_and_polygons_are_read() {
        for names in [
            ("data.yaml", "path: x\nnc: 2\nnames:\n  0: open\n  1: spur\n"),
            ("data.yaml", "names: [open, 'spur']\n"),
            ("classes.txt", "open\nspur\n\n"),
        ] {
            let dir = set(names, "1 0.5 0.5 0.2 0.4\n\n0 0 0 0.5 0 0.5 1 0 1\n");
            let samples = read_yolo(dir.path()).unwrap();
            let Label::Boxes(truths) = &samples[0].label else { panic!("boxes") };
            assert_eq!((truths[0].kind.as_str(), truths[0].bbox), ("spur", PixelBox::new(8.0, 3.0, 12.0, 7.0)));
            assert_eq!((truths[1].kind.as_str(), truths[1].bbox), ("open", PixelBox::new(0.0, 0.0, 10.0, 10.0)));
            assert_eq!(truths[1].area(), 100.0);
            assert_eq!((samples[1].files.id.as_str(), samples[1].label.is_defective()), ("images/val/b", false));
        }
    }

    #[test]
    fn each_mistake_is_named_with_its_line() {
        let names = ("classes.txt", "open\nspur\n");
        for (bad, says) in [
            ("2 0.5 0.5 0.1 0.1", "expected a class of the 2 that are named, found 2"),
            ("0 0.5 0.5 0.1", "expected `class x y width height`"),
            ("0 0.5 0.5 x 0.1", "expected `class x y width height`"),
            ("-1 0.5 0.5 0.1 0.1", "expected `class x y width height`"),
            ("0 0.9 0.5 0.4 0.1", "expected a box inside the image of 20x10"),
            ("0 0.5 0.5 0 0.1", "expected a box with x0 < x1"),
            ("0 0.5 0.5 NaN 0.1", "expected a box with x0 < x1"),
            ("0 0 0 NaN 0 0.5 1", "expected a box with x0 < x1"),
            ("0 0 0 1 0 1 1.5", "expected a box inside the image"),
        ] {
            let dir = set(names, &format!("0 0.5 0.5 0.1 0.1\n{bad}\n"));
            let message = read_yolo(dir.path()).unwrap_err().to_string();
            assert!(message.contains("a.txt:2: ") && message.contains(says), "{bad}: {message}");
        }
        let message = read_yolo(set(("data.yaml", "nc: 2\nnames: 3\n"), "").path()).unwrap_err().to_string();
        assert!(message.contains("data.yaml:2: expected `names`"), "{message}");
        let message = read_yolo(set(("data.yaml", "nc: 2\nnames: [a\nb: {"), "").path()).unwrap_err().to_string();
        assert!(message.contains("data.yaml:") && message.contains("expected YAML"), "{message}");
        let message = read_yolo(set(("notes.txt", ""), "").path()).unwrap_err().to_string();
        assert!(message.contains("data.yaml or classes.txt"), "{message}");
    }
}
