//! Labelled data as other tools write them, by the real program: parts of a set, lists of panels, what is said of
//! labels and what is refused. On rendered solar cells and a small anomaly model, which finds the dark ones.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::util;
use crate::util::{Program, project};

const MODEL: &str = "tests/parity/heatmap";

/// A small cell as an image file.
fn cell(path: &Path, seed: u32, dark: bool) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut image = image::imageops::thumbnail(&util::cell(seed, dark), 64, 64);
    // The rendered cells repeat themselves.
    image.get_pixel_mut(0, 0).0[0] = seed as u8;
    image.save(path).unwrap();
}

/// `count` cells in the layout of ELPV, every other one dark and labelled so.
fn cells(folder: &Path, count: u32) -> String {
    let line = |i| {
        cell(&folder.join(format!("images/cell {i:03}.png")), i, i % 2 == 1);
        format!("images/cell {i:03}.png {}.0 mono\n", i % 2)
    };
    let table: String = (0..count).map(line).collect();
    fs::write(folder.join("labels.csv"), &table).unwrap();
    table
}

fn program(command: &str, format: &str, data: &Path) -> Program {
    Program::new(command).model(&project(MODEL)).args(["--format", format]).option("--data", data)
}

/// Runs `eval` and gives its status, what it says on stderr, and the numbers.
fn eval(format: &str, data: &Path, args: &[&str]) -> (i32, String, Value) {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("e.json");
    let (status, _, err) = program("eval", format, data).args(args).option("--json", &json).run();
    let text = fs::read_to_string(&json).unwrap_or_else(|_| "null".to_owned());
    (status, err, serde_json::from_str(&text).unwrap())
}

#[test]
fn one_part_of_a_set_is_measured_and_the_others_are_named() {
    let dir = tempfile::tempdir().unwrap();
    for (i, file) in ["train/good/a.png", "train/dark/b.png", "val/good/c.png", "val/dark/d.png", "val/dark/e.png"]
        .into_iter()
        .enumerate()
    {
        cell(&dir.path().join(file), i as u32, file.contains("dark"));
    }
    let (status, err, e) = eval("folders", dir.path(), &[]);
    assert!(status == 0 && e["images"] == 3, "{err}");
    assert!(err.contains("panelqc: labels: 1 other part of the set was left out: `val` was read"), "{err}");
    assert_eq!((&e["notes"][0]["kind"], &e["notes"][0]["count"]), (&"other-parts".into(), &1.into()));
    for (part, images) in [("train", 2), ("val", 3), ("valid", 3)] {
        let (status, err, e) = eval("folders", dir.path(), &["--split", part]);
        assert_eq!((status, &e["images"], e.get("notes")), (0, &images.into(), None), "{err}");
    }
    let (status, err, _) = eval("folders", dir.path(), &["--split", "test"]);
    assert!(status == 2 && err.contains("expected the part `test`, found only train, val"), "{err}");
    let (status, err, _) = eval("folders", dir.path(), &["--split", "tests"]);
    assert!(status == 2 && err.contains("reading tests: "), "any other word is a list: {err}");
}

#[test]
fn a_configuration_names_the_parts_and_hostile_ones_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (i, part) in ["train", "valid"].into_iter().enumerate() {
        cell(&dir.path().join(part).join("images/a.png"), i as u32, true);
        fs::create_dir_all(dir.path().join(part).join("labels")).unwrap();
        fs::write(dir.path().join(part).join("labels/a.TXT"), "0.0 0.5 0.5 0.2 0.2\r\n").unwrap();
        fs::write(dir.path().join(part).join("labels/b.txt"), "0 0.5 0.5 0.2 0.2\n").unwrap();
    }
    let yaml = dir.path().join("data.yaml");
    fs::write(&yaml, "\u{feff}train: ../train/images\r\nval: ../valid/images\r\nnc: 1\r\nnames: [dark]\r\n").unwrap();
    for data in [dir.path(), &yaml] {
        let (status, err, e) = eval("yolo", data, &[]);
        assert!(status == 0 && e["images"] == 1 && e["miss"]["of"] == 1, "{err}");
        assert!(
            err.contains("1 label file has no image and was left out, the first") && err.contains("b.txt"),
            "{err}"
        );
        let ids = |e: &Value| e["panels"][0]["id"].as_str().unwrap().to_owned();
        let (_, _, train) = eval("yolo", data, &["--split", "train"]);
        assert_eq!((ids(&e), ids(&train)), ("valid/images/a".to_owned(), "train/images/a".to_owned()));
    }
    let aliases = |i: u32| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(","));
    let bomb = format!("a0: &a0 [x,x,x,x,x,x,x,x,x]\n{}names: *a9\n", (1..10).map(aliases).collect::<String>());
    for text in [bomb, "- ".repeat(30_000), "[".repeat(30_000), "kpt_shape: [2, 3]\nnames: [dark]\n".to_owned()] {
        fs::write(&yaml, text).unwrap();
        let (status, err, _) = eval("yolo", &yaml, &[]);
        assert!(status == 2 && err.contains("data.yaml:"), "{err}");
    }
}

#[test]
fn a_panel_that_is_labelled_twice_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let table = cells(dir.path(), 60);
    let policy = dir.path().join("policy.toml");
    let calibrate = || program("calibrate", "elpv", dir.path()).args(["--max-miss", "0.1"]).option("--out", &policy);
    let (status, _, err) = calibrate().run();
    assert_eq!(status, 0, "{err}");
    fs::write(dir.path().join("labels.csv"), table.repeat(2)).unwrap();
    let says = "labels.csv:61: expected one label for each panel, found `cell 000` twice";
    let monitor = program("monitor", "elpv", dir.path()).option("--policy", &policy);
    for program in [calibrate(), monitor, program("eval", "elpv", dir.path())] {
        let (status, _, err) = program.run();
        assert!(status == 2 && err.contains(says), "{err}");
    }
}

#[test]
fn an_image_under_two_names_is_counted_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let table = cells(dir.path(), 60);
    for (from, to) in [("cell 001", "x"), ("cell 002", "y")] {
        let image = |name: &str| dir.path().join(format!("images/{name}.png"));
        fs::copy(image(from), image(to)).unwrap();
    }
    fs::write(dir.path().join("labels.csv"), format!("{table}images/x.png 1.0 mono\nimages/y.png 1.0 mono\n")).unwrap();
    let (status, err, e) = eval("elpv", dir.path(), &[]);
    let twice = "panelqc: labels: 2 panels have the image of another one, the first x, which is cell 001";
    let opposite = "1 panel has the image of another one, and the opposite label, the first y, which is cell 002";
    assert!(status == 0 && err.contains(twice) && err.contains(opposite), "{err}");
    assert_eq!((&e["notes"][0]["kind"], &e["notes"][1]["kind"]), (&"same-image".into(), &"contradiction".into()));
    let policy = dir.path().join("policy.toml");
    let calibrate = program("calibrate", "elpv", dir.path()).args(["--max-miss", "0.2"]).option("--out", &policy);
    let (status, _, err) = calibrate.run();
    assert!(status == 0 && err.contains(twice), "{err}");
    let (_, _, err) = program("monitor", "elpv", dir.path()).option("--policy", &policy).run();
    assert!(err.contains(twice), "{err}");
}

#[test]
fn a_list_names_panels_as_other_tools_do() {
    let dir = tempfile::tempdir().unwrap();
    cells(dir.path(), 6);
    let list = dir.path().join("list.txt");
    let split = ["--split", list.to_str().unwrap()];
    let here = dir.path().join("images/cell 002.png");
    for text in [
        "cell 001\ncell 002\n".to_owned(),
        "\u{feff}./images/cell 001.PNG\r\n\r\nimages\\cell 002.png\r\n".to_owned(),
        format!("\"cell 001\"\n{}\n", here.display()),
        "# ours\ncell 001.tif\ncell 002.jpeg\n".to_owned(),
    ] {
        fs::write(&list, &text).unwrap();
        let (status, err, e) = eval("elpv", dir.path(), &split);
        assert!(status == 0 && e["images"] == 2, "{text}: {err}");
    }
    fs::write(&list, "cell 001\ncells/9.png\n").unwrap();
    let (status, err, _) = eval("elpv", dir.path(), &split);
    let says = "list.txt:2: expected panels of the data set, such as `cell 000`, found 1 that it does not have, the first \
                `cells/9.png`";
    assert!(status == 2 && err.contains(says), "{err}");
}
