use std::fs;

use panelqc::PixelBox;

use super::*;
use crate::dataset::testing::set;

fn small(names: (&str, &str), label: &str) -> tempfile::TempDir {
    set(&["images/val/a.png", "images/val/b.png"], &[names, ("labels/val/a.txt", label)])
}

fn read(dir: &tempfile::TempDir) -> Result<Dataset> {
    read_yolo(dir.path(), &ReadOptions::default())
}

fn ids(set: &Dataset) -> Vec<&str> {
    set.samples.iter().map(|sample| sample.files.id.as_str()).collect()
}

fn notes(set: &Dataset) -> Vec<(NoteKind, u64)> {
    set.notes.iter().map(|note| (note.kind, note.count)).collect()
}

fn truths(set: &Dataset, at: usize) -> &[Truth] {
    match &set.samples[at].label {
        Label::Boxes(truths) => truths,
        _ => panic!("boxes"),
    }
}

const BOX: &str = "0 0.5 0.5 0.2 0.4\n";

#[test]
fn boxes_and_polygons_are_read() {
    for names in [
        ("data.yaml", "path: x\nnc: 2\nnames:\n  0: open\n  1: spur\n"),
        ("data.yaml", "\u{feff}names: [open, 'spur']\r\n"),
        ("set.yml", "names: [open, 'spur']\n"),
        ("classes.txt", "open\r\nspur\r\n\r\n"),
        ("labels/classes.txt", "\u{feff}open\nspur"),
        ("obj.names", "open\nspur\n"),
    ] {
        let dir = small(names, "\u{feff}1 0.5 0.5 0.2 0.4\r\n\r\n0 0 0 0.5 0 0.5 1 0 1\r\n");
        let set = read(&dir).unwrap();
        let truths = truths(&set, 0);
        assert_eq!((truths[0].kind.as_str(), truths[0].bbox), ("spur", PixelBox::new(8.0, 3.0, 12.0, 7.0)));
        assert_eq!((truths[1].kind.as_str(), truths[1].bbox), ("open", PixelBox::new(0.0, 0.0, 10.0, 10.0)));
        assert_eq!(truths[1].area(), 100.0);
        assert_eq!((ids(&set)[1], set.samples[1].label.is_defective()), ("images/val/b", false));
        assert_eq!(notes(&set), [(NoteKind::Unlabelled, 1)], "{names:?}");
    }
}

#[test]
fn rows_are_read_as_other_tools_write_them() {
    let names = ("classes.txt", "open\nspur\n");
    let all = "1.0 0.5 0.5 0.2 0.4\n0 0.1 0.5 0.26 0.4\n1 0.5 0.5 0.2 0.4\n1 0.50 0.5 0.2 0.4\n1\t0.6  0.5 0.2 0.4\n";
    let set = read(&small(names, all)).unwrap();
    let boxes: Vec<_> = truths(&set, 0).iter().map(|t| (t.kind.as_str(), t.bbox.x0)).collect();
    assert_eq!(boxes, [("spur", 8.0), ("open", 0.0), ("spur", 10.0)]);
    assert_eq!(notes(&set), [(NoteKind::Unlabelled, 1), (NoteKind::Clipped, 1), (NoteKind::Repeated, 2)]);
    assert!(set.notes[2].first.ends_with("a.txt:3"), "{}", set.notes[2]);
}

#[test]
fn each_mistake_is_named_with_its_line() {
    let names = ("classes.txt", "open\nspur\n");
    for (bad, says) in [
        ("2 0.5 0.5 0.1 0.1", "expected a class of the 2 that are named, found 2"),
        ("0 0.5 0.5 0.1", "expected `class x y width height`"),
        ("0 0.5 0.5 0.1 0.1 0.9", "expected `class x y width height`"),
        ("0 0.5 0.5 x 0.1", "expected `class x y width height`"),
        ("-1 0.5 0.5 0.1 0.1", "expected `class x y width height`"),
        ("0.5 0.5 0.5 0.1 0.1", "expected `class x y width height`"),
        ("nan 0.5 0.5 0.1 0.1", "expected `class x y width height`"),
        ("0 0.9 0.5 0.4 0.1", "expected a box inside the image of 20x10"),
        ("0 0.5 0.5 0 0.1", "expected a box with x0 < x1"),
        ("0 0.5 0.5 NaN 0.1", "expected a box with x0 < x1"),
        ("0 0 0 NaN 0 0.5 1", "expected a box with x0 < x1"),
        ("0 0 0 1 0 1 1.5", "expected a box inside the image"),
        ("0 0.5 0.5 0.2 0.4 0.5 0.5 2 0.6 0.6 1", "found a row of a pose"),
        ("0 0.5 0.5 0.2 0.4 0.5 0.5 1", "found a row of a pose"),
    ] {
        let message = read(&small(names, &format!("0 0.5 0.5 0.1 0.1\n{bad}\n"))).unwrap_err().to_string();
        assert!(message.contains("a.txt:2: ") && message.contains(says), "{bad}: {message}");
    }
    for (names, says) in [
        (("data.yaml", "nc: 2\nnames: 3\n"), "data.yaml:2: expected `names`"),
        (("data.yaml", "nc: 2\nnames: [a, [b]]\n"), "data.yaml:2: expected `names`"),
        (("data.yaml", "nc: 2\nnames: [a\nb: {"), "expected YAML"),
        (("data.yaml", "nc: 3\nnames: [a, b]"), "data.yaml:1: expected as many `names` as `nc` says, found 2 names"),
        (("data.yaml", "names: {0: a, 0: b}"), "expected `names`"),
        (("data.yaml", "names: [a, b, a]"), "expected a name of its own for each class, found `a` twice"),
        (("data.yaml", "kpt_shape: [2, 3]\nnames: [a]"), "data.yaml:1: expected labels of boxes, polygons or oriented"),
        (("data.yaml", "names: [a]\nval: {a: b}"), "expected folders or lists of images"),
        (("data.yaml", "names: []"), "names of classes"),
        (("classes.txt", "a\n\nb\n"), "classes.txt:2: expected the name of a class on each line"),
        (("classes.txt", "a\nb\na\n"), "found `a` twice"),
        (("notes.txt", ""), "data.yaml or classes.txt"),
    ] {
        let message = read(&small(names, "")).unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
    }
    let dir = small(names, BOX);
    fs::write(dir.path().join("classes.txt"), b"open\n\xc8\xb1\xcf\xdd\n").unwrap();
    let message = read(&dir).unwrap_err().to_string();
    assert!(message.contains("classes.txt:2: expected text in UTF-8"), "{message}");
}

#[test]
fn a_configuration_that_unfolds_without_end_is_refused() {
    let bomb: String =
        (1..9).map(|i| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(","))).collect();
    for text in [format!("a0: &a0 [x, x, x, x, x, x, x, x, x]\n{bomb}names: *a8\n"), "- ".repeat(30_000)] {
        let message = read(&small(("data.yaml", &text), BOX)).unwrap_err().to_string();
        assert!(message.contains("data.yaml:") && message.contains("expected YAML"), "{message}");
    }
}

/// An export as Roboflow makes it: `data.yaml` beside `train` and `valid`.
fn export(yaml: &str) -> tempfile::TempDir {
    set(
        &["train/images/a.png", "train/images/b.png", "valid/images/c.png", "test/images/d.png"],
        &[
            ("data.yaml", yaml),
            ("train/labels/a.txt", BOX),
            ("train/labels/b.txt", ""),
            ("valid/labels/c.txt", BOX),
            ("test/labels/d.txt", BOX),
            ("lists/val.txt", "./../valid/images/c.png\nvalid\\images\\c2.png\n"),
            ("lists/train.txt", "../train/images/a.png\r\n\r\ntrain/images/b.png\r\n"),
        ],
    )
}

#[test]
fn one_part_of_a_set_is_read() {
    for yaml in [
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnames: [open]\n",
        "path: .\ntrain: train/images\nval: [valid/images]\ntest: test/images\nnames: [open]\n",
        "path: ../elsewhere\ntrain: train\\images\nvalid: .\\valid\\images\ntest: test\nnames: [open]\n",
        "names: [open]\n",
    ] {
        let dir = export(yaml);
        for path in [dir.path().to_path_buf(), dir.path().join("data.yaml")] {
            let read = |part: Option<Part>| {
                let options = part.map_or_else(ReadOptions::default, |part| ReadOptions::default().with_part(part));
                read_yolo(&path, &options).unwrap()
            };
            let val = read(None);
            assert_eq!((ids(&val), val.part), (vec!["valid/images/c"], Some(Part::Val)), "{yaml}");
            assert_eq!(notes(&val), [(NoteKind::OtherParts, 2)]);
            let train = read(Some(Part::Train));
            assert_eq!((ids(&train), notes(&train)), (vec!["train/images/a", "train/images/b"], vec![]), "{yaml}");
            assert_eq!(ids(&read(Some(Part::Test))), ["test/images/d"]);
        }
    }
    let dir = export("train: lists/train.txt\nval: gone/images\nnames: [open]\n");
    let options = ReadOptions::default();
    let train = read_yolo(dir.path(), &options.clone().with_part(Part::Train)).unwrap();
    assert_eq!((ids(&train), notes(&train)), (vec!["train/images/a", "train/images/b"], vec![]));
    let error =
        |dir: &tempfile::TempDir, options: &ReadOptions| read_yolo(dir.path(), options).unwrap_err().to_string();
    let message = error(&dir, &options);
    assert!(message.contains("expected the folder or list `gone/images`, found none there"), "{message}");
    let message = error(&dir, &options.clone().with_part(Part::Test));
    assert!(message.contains("expected the part `test`, found only train, val"), "{message}");
    let dir = export("val: lists/abroad.txt\nnames: [open]\n");
    fs::write(dir.path().join("lists/abroad.txt"), "/content/set/valid/images/c.png\ndata/test/images/d.png\n")
        .unwrap();
    assert_eq!(ids(&read(&dir).unwrap()), ["valid/images/c", "test/images/d"]);
    let message = error(&export("val: lists/val.txt\nnames: [open]\n"), &options);
    assert!(message.contains("val.txt:2: expected an image that is there"), "{message}");
    // CVAT's export of YOLO 1.1.
    let dir = set(
        &["obj_Train_data/a.png", "obj_Validation_data/b.png"],
        &[("obj.names", "open\n"), ("obj_Train_data/a.txt", BOX), ("obj_Validation_data/b.txt", BOX)],
    );
    assert_eq!(ids(&read(&dir).unwrap()), ["obj_Validation_data/b"]);
    // Nothing of what is named is there: the folder may be one part of the set.
    let dir = set(&["a.png"], &[("data.yaml", "train: x\nval: y\nnames: [open]\n"), ("a.txt", BOX)]);
    let all = read_yolo(dir.path(), &options).unwrap();
    assert_eq!((ids(&all), notes(&all)), (vec!["a"], vec![(NoteKind::AbsentParts, 2)]));
    let message = error(&dir, &options.with_part(Part::Val));
    assert!(message.contains("expected the folders or lists y, found none of them"), "{message}");
}

#[test]
fn labels_and_images_that_miss_each_other_are_counted() {
    let images = ["images/a.png", "images/b.png", "images/c.png"];
    let texts = [
        ("classes.txt", "open\n"),
        ("labels/a.TXT", BOX),
        ("labels/d.txt", BOX),
        ("labels/e.txt", "no label"),
        ("labels/b.txt", ""),
    ];
    let set = read(&set(&images, &texts)).unwrap();
    assert_eq!(ids(&set), ["images/a", "images/b", "images/c"]);
    assert!(set.samples[0].label.is_defective(), "the extension may be in capitals");
    assert_eq!(notes(&set), [(NoteKind::Unlabelled, 1), (NoteKind::WithoutImage, 1)]);
    assert!(set.notes[1].first.ends_with("d.txt") && set.notes[0].first == "images/c");
    // Beside the images there may be lists and notes.
    let texts = [("classes.txt", "open\n"), ("a.txt", BOX), ("list.txt", "a\nb\n"), ("b.txt", BOX)];
    let set = read(&self::set(&["a.png"], &texts)).unwrap();
    assert_eq!(notes(&set), [(NoteKind::WithoutImage, 1)]);
    let message = read(&self::set(&["a.png"], &[("classes.txt", "open\n"), ("b.txt", BOX)])).unwrap_err().to_string();
    assert!(message.contains("expected images with text files"), "{message}");
}

#[test]
fn images_of_one_name_have_ids_of_their_own() {
    let dir = set(&["a.png", "a.bmp"], &[("classes.txt", "open\n"), ("a.txt", BOX)]);
    assert_eq!(ids(&read(&dir).unwrap()), ["a", "a.png"]);
}
