use std::fs;
use std::path::{Path, PathBuf};

use panelqc::{Error, Result};
use roxmltree::{Document, Node};
use walkdir::WalkDir;

use super::{Label, Sample, Truth, check_size, none_of};

/// Reads Pascal VOC (Everingham et al. 2010): every XML file below `folder`, its image beside it, in `../JPEGImages`
/// or in `../images`. Coordinates are numbers of pixels from 1, both ends included, as the set defines them: `xmin` 1,
/// `xmax` 2 is two pixels wide. A `difficult` object is ignored by the metrics. An image without an object is a good
/// panel; one without an XML file is left out. The id is the path below `folder` without extension, less
/// `Annotations/`.
///
/// # Errors
/// [`ErrorKind::Io`](panelqc::ErrorKind::Io), and [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) with the line for
/// malformed XML, something missing, a box that is empty or not inside its image, and an image that is named and
/// absent or of another size.
pub fn read_voc(folder: &Path) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
        let entry = entry.map_err(|e| Error::io("reading", folder)(e.into()))?;
        let path = entry.path();
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("xml")) && entry.file_type().is_file() {
            let text = fs::read_to_string(path).map_err(Error::io("reading", path))?;
            let (image, truths) = labels_of(&text, path)
                .map_err(|(line, expected, found)| Error::labels(path, Some(line), expected, found))?;
            let below = path.strip_prefix(folder).unwrap_or(path).with_extension("");
            let parts = below.iter().map(|part| part.to_string_lossy()).filter(|part| part != "Annotations");
            samples.push(Sample::of_image(parts.collect::<Vec<_>>().join("/"), image, Label::Boxes(truths)));
        }
    }
    if samples.is_empty() {
        return Err(none_of(folder, "Annotations/*.xml"));
    }
    Ok(samples)
}

/// Line, expected, found.
type Problem = (usize, String, String);

fn labels_of(text: &str, path: &Path) -> std::result::Result<(PathBuf, Vec<Truth>), Problem> {
    let document = Document::parse(text)
        .map_err(|e| (e.pos().row as usize, "an XML file of Pascal VOC".to_owned(), e.to_string()))?;
    let line = |node: Node<'_, '_>| document.text_pos_at(node.range().start).row as usize;
    let child = |node: Node<'_, '_>, name: &str| -> std::result::Result<String, Problem> {
        let found = node.children().find(|c| c.has_tag_name(name));
        let text = found.and_then(|c| c.text()).map(str::trim).filter(|t| !t.is_empty());
        text.map(str::to_owned).ok_or_else(|| {
            let at = found.map_or_else(|| line(node), line);
            (at, format!("<{name}> in <{}>", node.tag_name().name()), "none".to_owned())
        })
    };
    let number = |node: Node<'_, '_>, name: &str| -> std::result::Result<f64, Problem> {
        let text = child(node, name)?;
        let at = node.children().find(|c| c.has_tag_name(name)).map_or_else(|| line(node), line);
        text.parse().map_err(|_| (at, format!("a number in <{name}>"), format!("`{text}`")))
    };
    let root = document.root_element();
    let part = |node: Node<'_, '_>, name: &str| {
        let found = node.children().find(|c| c.has_tag_name(name)).map(|c| c.id());
        found.ok_or_else(|| (line(node), format!("<{name}> in <{}>", node.tag_name().name()), "none".to_owned()))
    };
    let node = |id| document.get_node(id).unwrap_or(root);

    let size = node(part(root, "size")?);
    let size_line = line(size);
    let side = |name: &str| -> std::result::Result<u32, Problem> {
        let side = number(size, name)?;
        if side >= 1.0 && side <= f64::from(u32::MAX) && side.fract() == 0.0 {
            return Ok(side as u32);
        }
        Err((line(size), format!("a number of pixels in <{name}>"), side.to_string()))
    };
    let size = (side("width")?, side("height")?);
    let mut truths = Vec::new();
    for object in root.children().filter(|c| c.has_tag_name("object")) {
        let kind = child(object, "name")?;
        let bbox = node(part(object, "bndbox")?);
        let at = |name: &str| number(bbox, name);
        // The first pixel is number 1, and the last one belongs to the box.
        let sides = [at("xmin")? - 1.0, at("ymin")? - 1.0, at("xmax")?, at("ymax")?];
        // Some tools count from 0: their first pixel would be one before the image.
        let sides = sides.map(|side| if side == -1.0 { 0.0 } else { side });
        let mut truth = Truth::checked(kind.as_str().into(), sides, size).map_err(|(e, f)| (line(bbox), e, f))?;
        truth.ignore = object.children().any(|c| c.has_tag_name("difficult") && c.text().map(str::trim) == Some("1"));
        truths.push(truth);
    }
    let name = child(root, "filename")?;
    let beside = path.parent().unwrap_or(Path::new(""));
    let places = [beside.join(&name), beside.join("../JPEGImages").join(&name), beside.join("../images").join(&name)];
    match places.into_iter().find(|place| place.is_file()) {
        Some(image) => {
            check_size(&image, size).map_err(|(e, f)| (size_line, e, f))?;
            Ok((image, truths))
        }
        None => {
            let at = root.children().find(|c| c.has_tag_name("filename")).map_or(1, line);
            Err((
                at,
                "an image file beside the labels, in ../JPEGImages or in ../images".to_owned(),
                format!("no {name}"),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use panelqc::PixelBox;

    const GOOD: &str = "<annotation>
<filename>a.jpg</filename>
<size><width>20</width><height>10</height><depth>1</depth></size>
<object><name>open</name>
 <bndbox><xmin>1</xmin><ymin>3</ymin>
  <xmax>5</xmax><ymax>10</ymax></bndbox></object>
<object><name>spur &amp; dirt</name><difficult>1</difficult>
 <bndbox><xmin>20</xmin><ymin>10</ymin><xmax>20</xmax><ymax>10</ymax></bndbox></object>
</annotation>";

    fn read(text: &str) -> Result<Vec<Sample>> {
        let dir = tempfile::tempdir().unwrap();
        for part in ["Annotations", "JPEGImages"] {
            fs::create_dir_all(dir.path().join(part)).unwrap();
        }
        image::GrayImage::new(20, 10).save(dir.path().join("JPEGImages/a.jpg")).unwrap();
        fs::write(dir.path().join("Annotations/a.xml"), text).unwrap();
        read_voc(dir.path())
    }

    #[test]
    fn pixels_are_numbered_from_one_and_the_last_belongs_to_the_box() {
        let samples = read(GOOD).unwrap();
        assert_eq!(samples[0].files.id, "a");
        let Label::Boxes(truths) = &samples[0].label else { panic!("boxes") };
        assert_eq!((truths[0].kind.as_str(), truths[0].bbox), ("open", PixelBox::new(0.0, 2.0, 5.0, 10.0)));
        assert_eq!((truths[1].kind.as_str(), truths[1].bbox), ("spur & dirt", PixelBox::new(19.0, 9.0, 20.0, 10.0)));
        assert!(truths[1].ignore && !truths[0].ignore);
    }

    #[test]
    fn each_mistake_is_named_with_its_line() {
        for (change, with, says) in [
            ("a.jpg", "b.jpg", ":2: expected an image file beside the labels"),
            ("<height>10<", "<height>30<", ":3: expected the size 20x30 of "),
            ("<height>10</height>", "", ":3: expected <height> in <size>, found none"),
            ("<width>20", "<width>wide", ":3: expected a number in <width>, found `wide`"),
            ("<name>open</name>", "", ":4: expected <name> in <object>, found none"),
            ("<xmin>1<", "<xmin>NaN<", ":5: expected a box with x0 < x1"),
            ("<xmin>1<", "<xmin>-3<", ":5: expected a box inside the image of 20x10"),
            ("<xmax>5<", "<xmax>22<", ":5: expected a box inside the image of 20x10"),
            (
                "<ymax>10</ymax></bndbox></object>\n<obj",
                "<ymax>2</ymax></bndbox></object>\n<obj",
                ":5: expected a box with",
            ),
            ("<xmax>5</xmax>", "<xmax>5</xmin>", ":6: expected an XML file"),
        ] {
            assert!(GOOD.contains(change), "{change}");
            let message = read(&GOOD.replacen(change, with, 1)).unwrap_err().to_string();
            assert!(message.contains("a.xml") && message.contains(says), "{with}: {message}");
        }
    }
}
