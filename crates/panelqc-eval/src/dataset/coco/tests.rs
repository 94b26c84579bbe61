use std::fs;

use panelqc::PixelBox;

use super::*;
use crate::dataset::testing::set;

const GOOD: &str = r#"{"images": [
  {"id": 7, "file_name": "a.png", "width": 20, "height": 10},
  {"id": 8, "file_name": "sub/b.png", "width": 20, "height": 10}],
 "categories": [{"id": 3, "name": "scratch"}],
 "annotations": [
  {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1.5, 2, 4, 3], "area": 11, "iscrowd": 0},
  {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 4, 4], "segmentation": [[0,0,4,0,4,4,0,4],[2,2,6,2,6,6,2,6]]},
  {"id": 3, "image_id": 7, "category_id": 3, "segmentation": {"size": [10, 20], "counts": [10, 5, 185]}, "iscrowd": 1}
 ]}"#;

fn read(text: &str) -> Result<Dataset> {
    let dir = set(&["a.png", "images/sub/b.png"], &[("any.json", text)]);
    read_coco(dir.path(), &ReadOptions::default())
}

fn truths(set: &Dataset, at: usize) -> &[Truth] {
    match &set.samples[at].label {
        Label::Boxes(truths) => truths,
        _ => panic!("boxes"),
    }
}

fn ids(set: &Dataset) -> Vec<&str> {
    set.samples.iter().map(|sample| sample.files.id.as_str()).collect()
}

#[test]
fn boxes_polygons_and_runs_are_read() {
    let set = read(GOOD).unwrap();
    assert_eq!((ids(&set), set.notes.len()), (vec!["a", "sub/b"], 0));
    assert!(!set.samples[1].label.is_defective() && set.samples[1].files.frames[0].ends_with("images/sub/b.png"));
    let truths = truths(&set, 0);
    assert_eq!((truths[0].bbox, truths[0].area()), (PixelBox::new(1.5, 2.0, 5.5, 5.0), 11.0));
    assert_eq!(truths[1].mask.as_ref().unwrap().area(), 28, "overlapping polygons are one region");
    assert_eq!((truths[2].bbox, truths[2].crowd), (PixelBox::new(1.0, 0.0, 2.0, 5.0), true));
    assert_eq!(set.samples[0].label.kinds().len(), 1);
}

#[test]
fn records_are_read_as_other_tools_write_them() {
    for (change, with) in [
        ("\"iscrowd\": 0", "\"iscrowd\": false"),
        ("\"iscrowd\": 0", "\"iscrowd\": null"),
        ("\"iscrowd\": 1", "\"iscrowd\": true"),
        ("\"iscrowd\": 1", "\"iscrowd\": 1.0"),
        ("\"width\": 20, \"height\": 10}", "\"width\": 20.0, \"height\": 10.0}"),
        ("\"id\": 7", "\"id\": 7.0"),
        ("[1.5, 2, 4, 3], ", "[1.5, 2, 4, 3], \"segmentation\": [], "),
        ("[1.5, 2, 4, 3], ", "[1.5, 2, 4, 3], \"segmentation\": [[]], "),
        ("[1.5, 2, 4, 3], ", "[1.5, 2, 4, 3], \"segmentation\": null, "),
        ("[1.5, 2, 4, 3], ", "[1.5, 2, 4, 3], \"segmentation\": {}, "),
        ("\"scratch\"", "\" scratch\""),
        ("\"segmentation\": {", "\"bbox\": [], \"segmentation\": {"),
        ("{\"images\"", "\u{feff}{\"images\""),
        ("sub/b.png", r"sub\\b.png"),
        ("sub/b.png", r"C:\\set\\sub\\b.png"),
        ("sub/b.png", "./sub/b"),
        ("\"id\": 8,", "\"id\": \"8\","),
    ] {
        assert!(GOOD.contains(change), "{change}");
        let set = read(&GOOD.replacen(change, with, 1)).unwrap_or_else(|e| panic!("{with}: {e}"));
        assert_eq!(ids(&set), ["a", "sub/b"], "{with}");
        let truths = truths(&set, 0);
        assert_eq!((truths.len(), truths[0].crowd, truths[2].crowd), (3, false, true), "{with}");
        assert_eq!((truths[0].bbox.x0, truths[0].mask.is_some(), set.notes.len()), (1.5, false, 0), "{with}");
        assert_eq!(truths[0].kind.as_str(), "scratch");
    }
    for text in [GOOD.replace('\n', "\r\n"), GOOD.replace("[[0,0,4,0,4,4,0,4],[2,2,6,2,6,6,2,6]]", "[0,0,4,0,4,4,0,4]")]
    {
        assert!(read(&text).is_ok());
    }
    let set = read(&GOOD.replace("[1.5, 2, 4, 3]", "[-1, 2, 4, 9]")).unwrap();
    assert_eq!(truths(&set, 0)[0].bbox, PixelBox::new(0.0, 2.0, 3.0, 10.0));
    assert_eq!((set.notes[0].kind, set.notes[0].count), (NoteKind::Clipped, 1));
    assert!(set.notes[0].first.ends_with("any.json:6"), "{}", set.notes[0]);
    let line = GOOD.lines().nth(5).unwrap();
    let set = read(&GOOD.replacen(line, &format!("{line}\n{line}"), 1)).unwrap();
    assert_eq!((set.notes[0].kind, truths(&set, 0).len()), (NoteKind::Repeated, 3));
    let other = line.replace("[1.5,", "[2.5,");
    let set = read(&GOOD.replacen(line, &format!("{line}\n{other}"), 1)).unwrap();
    assert_eq!((set.notes.len(), truths(&set, 0).len()), (0, 4), "another defect of the same number");
    for unknown in ["\"width\": 0, \"height\": 0", "\"width\": null, \"height\": null", "\"license\": 1"] {
        let set = read(&GOOD.replacen("\"width\": 20, \"height\": 10", unknown, 1)).unwrap();
        assert_eq!((set.notes[0].kind, truths(&set, 0).len()), (NoteKind::SizeOfImage, 3));
    }
}

#[test]
fn each_mistake_is_named_with_its_line() {
    for (change, with, says) in [
        ("\"id\": 8", "\"id\": 7", ":3: expected a unique image id, found 7 twice"),
        ("\"width\": 20", "\"width\": 10", ":2: expected the size 10x10 of "),
        ("\"width\": 20", "\"width\": 20.5", ":2: expected a record"),
        ("\"width\": 20", "\"width\": -20", ":2: expected a record"),
        ("sub/b.png", "a.png", ":3: expected a unique file name, found a.png twice"),
        ("sub/b.png", "./a.png", ":3: expected a unique file name, found a.png too"),
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
        ("[1.5, 2, 4, 3]", "[1.5, 2, 4]", ":6: expected a bbox of x, y, width and height"),
        ("[1.5, 2, 4, 3]", "[1.5, 2, 4, \"3\"]", ":6: expected a record"),
        ("[1.5, 2, 4, 3]", "[1.5, NaN, 4, 3]", ":6: expected COCO instances"),
        ("[1.5, 2, 4, 3]", "[]", ":6: expected a bbox or a segmentation, found neither"),
        ("[10, 5, 185]", "[10, 5, 18]", ":8: expected run lengths that cover the image of 20x10"),
        ("[10, 20]", "[20, 10]", ":8: expected run lengths"),
        ("[0,0,4,0,4,4,0,4]", "[0,0,4,0]", ":7: expected a polygon of at least 3 points"),
        ("\"categories\"", "\"category\"", "missing field"),
        (
            "{\"id\": 3, \"name\"",
            "{\"id\": 3, \"name\": \"x\"}, {\"id\": 3, \"name\"",
            ":4: expected a unique category id",
        ),
        ("{\"images\"", "{\"shapes\": [], \"imagePath\": \"a.png\", \"image\"", "a file of labelme's own format"),
        ("{\"images\": [", "[{\"result\": [", "found a file of Label Studio's own format"),
    ] {
        assert!(GOOD.contains(change), "{change}");
        let message = read(&GOOD.replacen(change, with, 1)).unwrap_err().to_string();
        assert!(message.contains("any.json") && message.contains(says), "{with}: {message}");
    }
}

#[test]
fn two_categories_of_one_name_are_refused_where_both_have_labels() {
    let two = GOOD.replace("\"name\": \"scratch\"}", "\"name\": \"scratch\"},\n {\"id\": 4, \"name\": \"scratch\"}");
    let set = read(&two).unwrap();
    assert_eq!((set.notes[0].kind, set.notes[0].count), (NoteKind::SameName, 1));
    let both = two.replacen("\"category_id\": 3", "\"category_id\": 4", 1);
    let message = read(&both).unwrap_err().to_string();
    assert!(message.contains(":5: expected a name of its own for each category, found `scratch` twice"), "{message}");
}

#[test]
fn nesting_and_depth_do_no_harm() {
    for deep in ["[".repeat(200_000), format!("{}0{}", "[".repeat(10_000), "]".repeat(10_000))] {
        for text in [
            deep.clone(),
            GOOD.replacen("[1.5, 2, 4, 3]", &deep, 1),
            GOOD.replacen("\"area\"", &format!("\"x\": {deep}, \"area\""), 1),
        ] {
            // A key that is not read may hold anything; what matters is that nothing overflows.
            drop(read(&text));
        }
    }
}

const ONE: &str = r#"{"images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 10}], "annotations": [],
 "categories": []}"#;

#[test]
fn layouts_of_other_tools_are_read() {
    for (image, json) in [
        ("val2017/a.png", "annotations/instances_val2017.json"),
        ("images/a.png", "annotations/instances_default.json"),
        ("images/default/a.png", "annotations/instances_default.json"),
        ("images/val2017/a.png", "annotations/instances_val2017.json"),
        ("a.png", "annotations/instances_Train.json"),
        ("valid/a.png", "valid/_annotations.coco.json"),
        ("images/a.png", "result.json"),
        ("Images/a.png", "result.json"),
        ("Images/a.png", "Annotations/instances_default.json"),
        ("data/a.png", "labels.json"),
    ] {
        let folder = json.split_once('/').map_or("annotations", |(folder, _)| folder);
        let captions = if folder == "valid" { "annotations" } else { folder };
        let dir = set(&[image], &[(json, ONE), (&format!("{captions}/captions_val2017.json"), "{}")]);
        for folder in [dir.path().to_path_buf(), dir.path().join(json)] {
            let read = read_coco(&folder, &ReadOptions::default());
            let read = read.unwrap_or_else(|e| panic!("{json}: {e}"));
            assert_eq!(ids(&read), ["a"], "{json}");
            assert!(read.samples[0].files.frames[0].ends_with(image), "{image}");
        }
        if !json.to_lowercase().starts_with("annotations") {
            continue;
        }
        fs::remove_file(dir.path().join(json)).unwrap();
        assert!(read_coco(dir.path(), &ReadOptions::default()).is_err(), "captions are no instances");
    }
}

#[test]
fn one_part_of_a_set_is_read() {
    let two = ONE.replace("a.png", "b.png");
    for (images, texts) in [
        (
            ["train2017/b.png", "val2017/a.png"],
            [("annotations/instances_train2017.json", two.as_str()), ("annotations/instances_val2017.json", ONE)],
        ),
        (
            ["train/b.png", "valid/a.png"],
            [("train/_annotations.coco.json", two.as_str()), ("valid/_annotations.coco.json", ONE)],
        ),
    ] {
        let dir = set(&images, &texts);
        let val = read_coco(dir.path(), &ReadOptions::default()).unwrap();
        assert_eq!((ids(&val), val.part), (vec!["a"], Some(Part::Val)));
        assert!(val.notes[0].to_string().contains("1 other part of the set was left out: `val` was read"));
        let train = read_coco(dir.path(), &ReadOptions::default().with_part(Part::Train)).unwrap();
        assert_eq!((ids(&train), train.notes.len()), (vec!["b"], 0));
        let message = read_coco(dir.path(), &ReadOptions::default().with_part(Part::Test)).unwrap_err().to_string();
        assert!(message.contains("expected the part `test`, found only train, val"), "{message}");
    }
    let labelme = r#"{"version": "5.4", "shapes": [], "imagePath": "a.png", "imageData": null}"#;
    let dir = set(&["a.png"], &[("a.json", labelme), ("b.json", labelme)]);
    let message = read_coco(dir.path(), &ReadOptions::default()).unwrap_err().to_string();
    assert!(message.contains("found 2: ") && message.contains("the first is a file of labelme's own"), "{message}");
    let dir = set(&["a.png"], &[("x.json", ONE), ("y.json", ONE)]);
    let message = read_coco(dir.path(), &ReadOptions::default()).unwrap_err().to_string();
    assert!(message.contains("one JSON file") && message.contains("y.json"), "{message}");
}

#[test]
fn images_of_one_name_and_images_without_labels() {
    let pair = ONE
        .replace("[{\"id\": 1,", "[{\"id\": 2, \"file_name\": \"a.bmp\", \"width\": 20, \"height\": 10}, {\"id\": 1,");
    let dir = set(&["a.png", "a.bmp", "b.png", "sub/c.png"], &[("annotations.json", &pair)]);
    let read = read_coco(dir.path(), &ReadOptions::default()).unwrap();
    assert_eq!(ids(&read), ["a", "a.png"]);
    assert_eq!((read.notes[0].kind, read.notes[0].count), (NoteKind::LeftOut, 1), "{}", read.notes[0]);
}
