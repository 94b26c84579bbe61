use std::path::{Path, PathBuf};

use panelqc::{Error, Result};
use walkdir::WalkDir;

use super::collector::Collector;
use super::locate::{Folders, Found, inner, is_hidden};
use super::note::{NoteKind, Notes};
use super::options::ReadOptions;
use super::set::Dataset;
use super::text::read_xml;
use super::xml::Element;
use super::{Label, Part, Sample, Truth, check_size, size_of};

/// Folders of images beside that of the labels.
const IMAGES: [&str; 2] = ["JPEGImages", "images"];
/// The folder of the labels.
const LABELS: &str = "Annotations";

/// Reads Pascal VOC (Everingham et al. 2010): every XML file below `folder`, in the encoding that it declares, its
/// image beside it, in `../JPEGImages` or in `../images`; where folders lie between `Annotations` and the file, in the
/// same folders of `JPEGImages` or `images`. Coordinates are numbers of pixels from 1, both ends included, as the set
/// defines them: `xmin` 1, `xmax` 2 is two pixels wide. A `difficult` object is ignored by the metrics. An image
/// without an object is a good panel; one without an XML file is left out. Folders called `train`, `val` and `test` are
/// parts of the set. The id is the path below `folder` without extension, less `Annotations/`.
///
/// # Errors
/// [`ErrorKind::Io`](panelqc::ErrorKind::Io), and [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) with the line for
/// malformed XML, something missing, a box that is empty or more than 1 px outside its image, and an image that is
/// named and absent or of another size; also for a panel that is labelled twice, and a part that the set does not have.
pub fn read_voc(folder: &Path, options: &ReadOptions) -> Result<Dataset> {
    let mut files = Vec::new();
    let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|entry| entry.depth() == 0 || !is_hidden(&entry.file_name().to_string_lossy())) {
        let entry = entry.map_err(|e| Error::io("reading", folder)(e.into()))?;
        let path = entry.path();
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("xml")) && entry.file_type().is_file() {
            let below = path.strip_prefix(folder).unwrap_or(path).with_extension("");
            let parts = below.iter().map(|part| part.to_string_lossy()).filter(|part| part != LABELS);
            files.push((parts.collect::<Vec<_>>().join("/"), path.to_path_buf()));
        }
    }
    let mut set = Collector::default();
    let parts = files.iter().filter_map(|(id, _)| Part::of_id(id));
    set.part = Part::choose(options.part, parts, &mut set.notes)
        .map_err(|(expected, found)| Error::labels(folder, None, expected, found))?;
    let mut folders = Folders::default();
    for (id, path) in files {
        if set.part.is_some() && Part::of_id(&id) != set.part {
            continue;
        }
        let text = read_xml(&path)?;
        let (image, truths) = labels_of(&text, &path, &mut folders, &mut set.notes)
            .map_err(|(line, expected, found)| Error::labels(&path, Some(line), expected, found))?;
        set.push(Sample::of_image(id, image, Label::Boxes(truths)), &path, None)?;
    }
    set.note_left_out(&mut folders);
    set.finish(folder, "Annotations/*.xml")
}

/// Line, expected, found.
type Problem = (usize, String, String);

fn labels_of(
    text: &str,
    path: &Path,
    folders: &mut Folders,
    notes: &mut Notes,
) -> std::result::Result<(PathBuf, Vec<Truth>), Problem> {
    let root = Element::parse(text).map_err(|(line, found)| (line, "an XML file of Pascal VOC".to_owned(), found))?;
    if root.name == "annotations" && root.child("image").is_some() {
        let found = "CVAT's own format, which can be exported as Pascal VOC".to_owned();
        return Err((root.line, "an XML file of Pascal VOC".to_owned(), found));
    }
    let Found { path: image, .. } = image_of(&root, path, folders)?;
    let size = match stated_size(&root)? {
        Some((line, size)) => {
            check_size(&image, size).map_err(|(expected, found)| (line, expected, found))?;
            size
        }
        None => {
            notes.add(NoteKind::SizeOfImage, || path.display().to_string());
            size_of(&image).map_err(|e| (root.line, "a <size>, or an image with one".to_owned(), e.to_string()))?
        }
    };
    let mut truths = Vec::new();
    for object in root.children("object") {
        let kind = text_of(object, "name")?;
        let bbox = child_of(object, "bndbox")?;
        let at = |name: &str| number(bbox, name);
        // The first pixel is number 1, and the last one belongs to the box.
        let sides = [at("xmin")? - 1.0, at("ymin")? - 1.0, at("xmax")?, at("ymax")?];
        // Some tools count from 0: their first pixel would be one before the image.
        let sides = sides.map(|side| if side == -1.0 { 0.0 } else { side });
        let (mut truth, clipped) = Truth::checked(kind.into(), sides, size).map_err(|(e, f)| (bbox.line, e, f))?;
        if clipped {
            notes.add(NoteKind::Clipped, || format!("{}:{}", path.display(), bbox.line));
        }
        truth.ignore = object.children("difficult").any(|difficult| difficult.text() == Some("1"));
        truths.push(truth);
    }
    Ok((image, truths))
}

fn child_of<'a>(element: &'a Element, name: &str) -> std::result::Result<&'a Element, Problem> {
    let missing = || (element.line, format!("<{name}> in <{}>", element.name), "none".to_owned());
    element.child(name).ok_or_else(missing)
}

fn text_of<'a>(element: &'a Element, name: &str) -> std::result::Result<&'a str, Problem> {
    let child = child_of(element, name)?;
    child.text().ok_or_else(|| (child.line, format!("<{name}> in <{}>", element.name), "none".to_owned()))
}

fn number(element: &Element, name: &str) -> std::result::Result<f64, Problem> {
    let text = text_of(element, name)?;
    let line = element.child(name).map_or(element.line, |child| child.line);
    text.parse().map_err(|_| (line, format!("a number in <{name}>"), format!("`{text}`")))
}

/// Width and height.
type Sides = (u32, u32);

/// The size that the file states, with its line; `None` where the tool did not know it.
fn stated_size(root: &Element) -> std::result::Result<Option<(usize, Sides)>, Problem> {
    let Some(size) = root.child("size") else { return Ok(None) };
    let side = |name: &str| {
        let side = number(size, name)?;
        if side >= 0.0 && side <= f64::from(u32::MAX) && side.fract() == 0.0 {
            return Ok(side as u32);
        }
        Err((size.line, format!("a number of pixels in <{name}>"), side.to_string()))
    };
    let (width, height) = (side("width")?, side("height")?);
    Ok(if width == 0 || height == 0 { None } else { Some((size.line, (width, height))) })
}

/// The image that an XML file names, or has the name of.
fn image_of(root: &Element, path: &Path, folders: &mut Folders) -> std::result::Result<Found, Problem> {
    let beside = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut places = vec![beside.clone()];
    places.extend(IMAGES.iter().map(|folder| inner(&beside.join(".."), folder)));
    let parts: Vec<_> = beside.iter().collect();
    if let Some(at) = parts.iter().rposition(|part| part.eq_ignore_ascii_case(LABELS)) {
        let above: PathBuf = parts[..at].iter().collect();
        let below = |folder: &&str| parts[at + 1..].iter().fold(inner(&above, folder), |path, part| path.join(part));
        places.extend(IMAGES.iter().map(below));
    }
    let own = path.file_stem().unwrap_or_default().to_string_lossy();
    let named = root.child("filename");
    let name = named.and_then(Element::text).unwrap_or(&own);
    folders.image(name, &places).ok_or_else(|| {
        let expected = "an image file beside the labels, in ../JPEGImages or in ../images".to_owned();
        (named.map_or(root.line, |named| named.line), expected, format!("no {name}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::testing::set_of_bytes as set;
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

    fn read(text: impl AsRef<[u8]>) -> Result<Dataset> {
        let dir = set(&["JPEGImages/a.jpg"], &[("Annotations/a.xml", text.as_ref())]);
        read_voc(dir.path(), &ReadOptions::default())
    }

    fn truths(set: &Dataset, at: usize) -> &[Truth] {
        match &set.samples[at].label {
            Label::Boxes(truths) => truths,
            _ => panic!("boxes"),
        }
    }

    #[test]
    fn pixels_are_numbered_from_one_and_the_last_belongs_to_the_box() {
        let set = read(GOOD).unwrap();
        assert_eq!((set.samples[0].files.id.as_str(), set.notes.len()), ("a", 0));
        let truths = truths(&set, 0);
        assert_eq!((truths[0].kind.as_str(), truths[0].bbox), ("open", PixelBox::new(0.0, 2.0, 5.0, 10.0)));
        assert_eq!((truths[1].kind.as_str(), truths[1].bbox), ("spur & dirt", PixelBox::new(19.0, 9.0, 20.0, 10.0)));
        assert!(truths[1].ignore && !truths[0].ignore);
    }

    #[test]
    fn files_are_read_as_other_tools_write_them() {
        for (change, with) in [
            ("a.jpg", "a"),
            ("a.jpg", "A.JPG"),
            ("a.jpg", r"C:\work\set\JPEGImages\a.jpg"),
            ("<filename>a.jpg</filename>", ""),
            ("<filename>a.jpg</filename>", "<filename/>"),
            ("<width>20<", "<width>20.0<"),
            ("<annotation>", "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<annotation verified=\"yes\">"),
            ("open", "<![CDATA[open]]>"),
            ("<xmin>1<", "<xmin>0<"),
        ] {
            assert!(GOOD.contains(change), "{change}");
            let set = read(GOOD.replacen(change, with, 1)).unwrap_or_else(|e| panic!("{with}: {e}"));
            let truths = truths(&set, 0);
            assert_eq!((truths[0].kind.as_str(), truths[0].bbox.x0, set.notes.len()), ("open", 0.0, 0), "{with}");
        }
        let chinese = [b"<?xml version=\"1.0\" encoding=\"gb2312\"?>".as_slice(), GOOD.as_bytes()].concat();
        let name = chinese.windows(4).position(|window| window == b"open").unwrap();
        let bytes = [&chinese[..name], b"\xc8\xb1\xcf\xdd", &chinese[name + 4..]].concat();
        assert_eq!(truths(&read(bytes).unwrap(), 0)[0].kind.as_str(), "缺陷");
        for unknown in ["<width>0", "none"] {
            let text = if unknown == "none" {
                GOOD.replace("<size><width>20</width><height>10</height><depth>1</depth></size>", "")
            } else {
                GOOD.replace("<width>20", unknown)
            };
            let set = read(text).unwrap();
            assert_eq!((set.notes[0].kind, truths(&set, 0).len()), (NoteKind::SizeOfImage, 2), "{unknown}");
        }
        let set = read(GOOD.replace("<xmax>5<", "<xmax>21<")).unwrap();
        assert_eq!((set.notes[0].kind, truths(&set, 0)[0].bbox.x1), (NoteKind::Clipped, 20.0));
        assert!(set.notes[0].first.ends_with("a.xml:5"), "{}", set.notes[0]);
    }

    #[test]
    fn each_mistake_is_named_with_its_line() {
        for (change, with, says) in [
            ("a.jpg", "b.jpg", ":2: expected an image file beside the labels"),
            ("<height>10<", "<height>30<", ":3: expected the size 20x30 of "),
            ("<height>10</height>", "", ":3: expected <height> in <size>, found none"),
            ("<width>20", "<width>wide", ":3: expected a number in <width>, found `wide`"),
            ("<width>20", "<width>-20", ":3: expected a number of pixels in <width>"),
            ("<name>open</name>", "", ":4: expected <name> in <object>, found none"),
            ("<name>open</name>", "<name> </name>", ":4: expected <name> in <object>, found none"),
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
            let message = read(GOOD.replacen(change, with, 1)).unwrap_err().to_string();
            assert!(message.contains("a.xml") && message.contains(says), "{with}: {message}");
        }
        let cvat = "<annotations><version>1.1</version>\n<image id=\"0\" name=\"a.jpg\"/></annotations>";
        let message = read(cvat).unwrap_err().to_string();
        assert!(message.contains("found CVAT's own format"), "{message}");
    }

    #[test]
    fn many_objects_are_read_in_one_pass() {
        let object = "<object><name>open</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox>\n</object>\n";
        let many = GOOD.replace("</annotation>", &format!("{}</annotation>", object.repeat(50_000)));
        assert_eq!(truths(&read(many).unwrap(), 0).len(), 50_002);
    }

    #[test]
    fn parts_and_side_files() {
        let xml = |name: &str| GOOD.replace("a.jpg", name).into_bytes();
        let (a, b) = (xml("a.jpg"), xml("b.jpg"));
        let files: &[(&str, &[u8])] =
            &[("train/a.xml", &a), ("valid/b.xml", &b), ("valid/._b.xml", b"\0"), ("__MACOSX/valid/._b.xml", b"\0")];
        let dir = set(&["train/a.jpg", "valid/b.jpg", "valid/c.jpg"], files);
        let read = read_voc(dir.path(), &ReadOptions::default()).unwrap();
        assert_eq!((read.samples[0].files.id.as_str(), read.samples.len()), ("valid/b", 1));
        let kinds: Vec<_> = read.notes.iter().map(|note| (note.kind, note.count)).collect();
        assert_eq!(kinds, [(NoteKind::OtherParts, 1), (NoteKind::LeftOut, 1)]);
        let train = read_voc(dir.path(), &ReadOptions::default().with_part(Part::Train)).unwrap();
        assert_eq!(train.samples[0].files.id, "train/a");
        for image in ["JPEGImages/line/a.jpg", "Images/line/a.jpg"] {
            let dir = set(&[image], &[("Annotations/line/a.xml", &a)]);
            assert_eq!(read_voc(dir.path(), &ReadOptions::default()).unwrap().samples[0].files.id, "line/a");
        }
    }
}
