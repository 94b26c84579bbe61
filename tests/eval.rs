//! `panelqc eval` and `compare`, the real program: every layout of labels, every gate.

use std::fs;
use std::path::{Path, PathBuf};

use image::{GrayImage, Luma};
use panelqc::{Inspector, Model, PanelReport, Size};
use panelqc_eval::dataset::{DataFormat, Label, ReadOptions, read};
use serde_json::{Value, json};

use crate::util::{Program, project, shared, write_cells};

/// The pictures that the exported models of tests/parity are compared on.
fn pictures() -> Vec<PathBuf> {
    let mut pictures: Vec<PathBuf> =
        fs::read_dir(project("tests/parity/images")).unwrap().map(|entry| entry.unwrap().path()).collect();
    pictures.sort();
    assert_eq!(pictures.len(), 5);
    pictures
}

fn model(name: &str) -> PathBuf {
    let package = project("tests/parity").join(name);
    if package.join("model.toml").is_file() { package } else { package.join("model.onnx") }
}

/// What a model says of the pictures: labels made of it have to be found again.
fn own_results(model: &Path) -> Vec<PanelReport> {
    let inspector = Inspector::builder(Model::load(model).unwrap()).keep_maps().build().unwrap();
    pictures().iter().map(|path| inspector.inspect_file(path).unwrap()).collect()
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Runs `eval` and gives its status, what it says on stderr, and the numbers.
fn eval(model: &Path, data: &Path, format: &str, args: &[&str]) -> (i32, String, Value) {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("e.json");
    let program = Program::new("eval").model(model).option("--data", data).args(["--format", format]);
    let (status, _, err) = program.args(args).option("--json", &json).run();
    let text = fs::read_to_string(&json).unwrap_or_else(|_| "null".to_owned());
    (status, err, serde_json::from_str(&text).unwrap())
}

/// One of the numbers.
fn at(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("no {key} in {value}"))
}

/// COCO instances of what a model found, with masks where it gives some; written to `folder`.
fn write_coco(folder: &Path, reports: &[PanelReport]) {
    let mut kinds: Vec<&str> = reports.iter().flat_map(|r| &r.defects).map(|d| d.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for (id, (picture, report)) in pictures().iter().zip(reports).enumerate() {
        fs::copy(picture, folder.join(name(picture))).unwrap();
        images.push(
            json!({"id": id, "file_name": name(picture), "width": report.size().width, "height": report.size().height}),
        );
        for defect in &report.defects {
            let b = defect.bbox;
            let kind = kinds.iter().position(|k| *k == defect.kind.as_str());
            let mut annotation = json!({
                "id": annotations.len(), "image_id": id, "category_id": kind, "iscrowd": 0,
                "bbox": [b.x0, b.y0, b.x1 - b.x0, b.y1 - b.y0],
            });
            if let Some(mask) = &defect.mask {
                annotation["segmentation"] = serde_json::to_value(mask).unwrap();
            }
            annotations.push(annotation);
        }
    }
    assert!(annotations.len() > 5, "the model finds too little to test with");
    let categories: Vec<_> = kinds.iter().enumerate().map(|(id, name)| json!({"id": id, "name": name})).collect();
    let set = json!({"images": images, "annotations": annotations, "categories": categories});
    fs::write(folder.join("annotations.json"), serde_json::to_string_pretty(&set).unwrap()).unwrap();
}

#[test]
fn a_detector_finds_its_own_results_in_coco_labels() {
    let model = model("yolo11-segment");
    let dir = tempfile::tempdir().unwrap();
    write_coco(dir.path(), &own_results(&model));
    let (status, err, e) = eval(&model, dir.path(), "coco", &[]);
    assert_eq!(status, 0, "{err}");
    for key in ["map", "map50", "map75", "f_score", "precision", "recall", "mean_iou", "dice"] {
        assert!((at(&e, key) - 1.0).abs() < 1e-3, "{key}: {}", e[key]);
    }
    assert!((at(&e["masks"], "map") - 1.0).abs() < 1e-3 && (at(&e["ar"], "100") - 1.0).abs() < 1e-3);
    assert_eq!((at(&e, "iou"), &e["defect_miss"]["count"]), (0.5, &0.into()));
    let matrix = &e["confusion_kinds"];
    assert_eq!(matrix["kinds"].as_array().unwrap().last().unwrap(), "background");
    let rows: Vec<Vec<u64>> = serde_json::from_value(matrix["counts"].clone()).unwrap();
    let wrong = rows.iter().enumerate().flat_map(|(i, row)| row.iter().enumerate().filter(move |(j, _)| *j != i));
    assert_eq!(wrong.map(|(_, count)| count).sum::<u64>(), 0);
    let curves = e["curves"]["precision_recall"].as_object().unwrap();
    assert!(curves.values().any(|points| points[0]["precision"] == 1.0), "{curves:?}");
    assert_eq!(e["panels"].as_array().unwrap().len(), 5);
    let detections: u64 =
        e["panels"].as_array().unwrap().iter().map(|p| p["counts"]["detections"].as_u64().unwrap()).sum();
    assert_eq!(Some(detections), e["detections"]["detections"].as_u64());
    // Under a policy that lets everything pass every single defect is missed, whatever was detected.
    let policy = dir.path().join("p.toml");
    fs::write(&policy, "schema = 1\nname = \"p\"\n[default]\nreview = 1.0\nfail = 1.0\n").unwrap();
    let (_, _, blind) = eval(&model, dir.path(), "coco", &["--policy", policy.to_str().unwrap()]);
    assert_eq!((&blind["defect_miss"]["count"], &blind["map"]), (&e["detections"]["truths"], &e["map"]));
    // With a defect a picture that no label knows, the model is no longer good enough.
    let mut fewer = own_results(&model);
    fewer.iter_mut().for_each(|report| drop(report.defects.pop()));
    write_coco(dir.path(), &fewer);
    let gates = ["--min-map", "0.999", "--min-f-score", "0.999"];
    let (status, err, _) = eval(&model, dir.path(), "coco", &gates);
    assert!(status == 1 && err.contains("gate map: expected at least 0.999, found 0."), "{err}");
    assert!(err.contains("gate f_score: expected at least 0.999, found 0."), "{err}");
    write_coco(dir.path(), &own_results(&model));
    assert_eq!(eval(&model, dir.path(), "coco", &["--min-map", "0.99", "--min-f-score", "0.99"]).0, 0);
    // The JSON file by name, and labels that are not found.
    let file = dir.path().join("annotations.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("\"iscrowd\": 0", "\"iscrowd\": 0, \"bbox\": [1, 1, 0, 5]", 1)).unwrap();
    let (status, err, _) = eval(&model, &file, "coco", &[]);
    assert!(status == 2 && err.contains("annotations.json:"), "{err}");
}

#[test]
fn a_detector_finds_its_own_results_in_voc_and_yolo_labels() {
    let model = model("yolo11-detect");
    let reports = own_results(&model);
    let dir = tempfile::tempdir().unwrap();
    let names = ["open", "short", "spur", "mousebite", "operator's mark"];
    for part in ["yolo/images", "yolo/labels", "voc/JPEGImages", "voc/Annotations"] {
        fs::create_dir_all(dir.path().join(part)).unwrap();
    }
    fs::write(dir.path().join("yolo/classes.txt"), names.join("\n")).unwrap();
    for (picture, report) in pictures().iter().zip(&reports) {
        let Size { width, height } = report.size();
        let (w, h) = (width as f32, height as f32);
        let (mut lines, mut objects) = (String::new(), String::new());
        for defect in &report.defects {
            let b = defect.bbox;
            let kind = names.iter().position(|n| *n == defect.kind.as_str()).unwrap();
            let centre = ((b.x0 + b.x1) / 2.0 / w, (b.y0 + b.y1) / 2.0 / h);
            lines += &format!("{kind} {} {} {} {}\n", centre.0, centre.1, b.width() / w, b.height() / h);
            let (x0, y0, x1, y1) = (b.x0.round() + 1.0, b.y0.round() + 1.0, b.x1.round(), b.y1.round());
            let kind = defect.kind.as_str();
            objects += &format!(
                "<object><name>{kind}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>\n"
            );
        }
        let stem = picture.file_stem().unwrap().to_str().unwrap();
        let file = name(picture);
        fs::copy(picture, dir.path().join("yolo/images").join(file)).unwrap();
        fs::copy(picture, dir.path().join("voc/JPEGImages").join(file)).unwrap();
        fs::write(dir.path().join(format!("yolo/labels/{stem}.txt")), lines).unwrap();
        let size = format!("<size><width>{width}</width><height>{height}</height><depth>1</depth></size>");
        let text = format!("<annotation><filename>{file}</filename>{size}\n{objects}</annotation>");
        fs::write(dir.path().join(format!("voc/Annotations/{stem}.xml")), text).unwrap();
    }
    for (format, least) in [("yolo", 0.999), ("voc", 0.8)] {
        let (status, err, e) = eval(&model, &dir.path().join(format), format, &[]);
        assert_eq!(status, 0, "{format}: {err}");
        // Whole pixels in VOC: only the IoU of small boxes suffers.
        assert!(at(&e, "map50") > 0.999 && at(&e, "map") > least && at(&e, "f_score") > 0.999, "{format}: {e}");
    }
    fs::write(dir.path().join("yolo/labels/gray-160x160.txt"), "0 0.5 0.5 2 2\n").unwrap();
    let (status, err, _) = eval(&model, &dir.path().join("yolo"), "yolo", &[]);
    assert!(status == 2 && err.contains("gray-160x160.txt:1: expected a box inside the image of 160x160"), "{err}");
}

#[test]
fn an_anomaly_map_has_the_pixels_above_its_own_limit() {
    let model = model("anomalib-padim");
    let reports = own_results(&model);
    let dir = tempfile::tempdir().unwrap();
    for part in ["test/good", "test/cut", "ground_truth/cut"] {
        fs::create_dir_all(dir.path().join(part)).unwrap();
    }
    for (i, (picture, report)) in pictures().iter().zip(&reports).enumerate() {
        let [map] = &report.maps[..] else { panic!("one map") };
        let (height, width) = map.dim();
        assert_eq!(report.size(), Size::new(width as u32, height as u32));
        if i == 0 {
            fs::copy(picture, dir.path().join("test/good").join(name(picture))).unwrap();
            continue;
        }
        fs::copy(picture, dir.path().join("test/cut").join(name(picture))).unwrap();
        // The most anomalous tenth of the picture, above a limit that all pictures share.
        let mask = GrayImage::from_fn(width as u32, height as u32, |x, y| {
            Luma([if map[[y as usize, x as usize]] > 0.5 || (x == 0 && y == 0) { 255 } else { 0 }])
        });
        let stem = picture.file_stem().unwrap().to_str().unwrap();
        mask.save(dir.path().join(format!("ground_truth/cut/{stem}_mask.png"))).unwrap();
    }
    let (status, err, e) = eval(&model, dir.path(), "mvtec", &[]);
    assert_eq!(status, 0, "{err}");
    assert!(at(&e, "pixel_auroc") > 0.9 && (0.0..=1.0).contains(&at(&e, "aupro")), "{e}");
    assert_eq!((&e["miss"]["of"], &e["overkill"]["of"]), (&4.into(), &1.into()));
    assert!(e["accuracy"].is_number() && e["ece"].is_number() && e["risk_coverage"]["aurc"].is_number());
    assert!(e.get("map").is_none() && e.get("defect_miss").is_none(), "kinds of defect are not told apart");
}

#[test]
fn classes_and_segments_are_found_again() {
    let classifier = model("torchvision-classify");
    let dir = tempfile::tempdir().unwrap();
    let inspector = Inspector::builder(Model::load(&classifier).unwrap()).floor(0.0).build().unwrap();
    let confidence = inspector.model().manifest().output.confidence;
    for picture in pictures() {
        let report = inspector.inspect_file(&picture).unwrap();
        let called = report.score >= confidence;
        let class = if called { report.defects[0].kind.as_str() } else { "good" };
        fs::create_dir_all(dir.path().join(class)).unwrap();
        fs::copy(&picture, dir.path().join(class).join(name(&picture))).unwrap();
    }
    let (status, err, e) = eval(&classifier, dir.path(), "folders", &[]);
    assert_eq!(status, 0, "{err}");
    assert_eq!((at(&e, "accuracy"), at(&e, "f1"), &e["images"]), (1.0, 1.0, &5.into()));
    assert!(e["f1_per_kind"].as_object().unwrap().keys().any(|kind| kind != "good"), "{e}");
    // A picture in the wrong folder is taken for what it was.
    fs::create_dir_all(dir.path().join("scratch")).unwrap();
    fs::copy(&pictures()[0], dir.path().join("scratch/x.png")).unwrap();
    let (_, err, e) = eval(&classifier, dir.path(), "folders", &[]);
    assert!(at(&e, "f1") < 1.0 && e["f1_per_kind"]["scratch"] == 0.0, "{e}");
    assert!(err.contains("kinds that the model does not know: scratch"), "{err}");

    let segmenter = model("torchvision-segment");
    let dir = tempfile::tempdir().unwrap();
    write_coco(dir.path(), &own_results(&segmenter));
    let (status, err, e) = eval(&segmenter, dir.path(), "coco", &[]);
    assert_eq!(status, 0, "{err}");
    assert_eq!((at(&e, "mean_iou"), at(&e, "dice")), (1.0, 1.0));
    assert!(!e["segments"].as_object().unwrap().is_empty() && e.get("map").is_none());
}

/// Cells with ELPV labels, every other one defective.
fn cells(folder: &Path, count: u32) -> PathBuf {
    write_cells(&folder.join("images"), count);
    let labels: String = (0..count).map(|i| format!("images/cell_{i:03}.png {} mono\n", i % 2)).collect();
    fs::write(folder.join("labels.csv"), labels).unwrap();
    folder.to_path_buf()
}

#[test]
fn each_gate_says_what_it_expected_and_what_it_found() {
    let dir = tempfile::tempdir().unwrap();
    let data = cells(dir.path(), 4);
    let model = project("models/solar-cell");
    // Everything passes: half of the panels are wrong, and every defective one is missed.
    let policy = dir.path().join("p.toml");
    fs::write(&policy, "schema = 1\nname = \"p\"\n[default]\nreview = 1.0\nfail = 1.0\n").unwrap();
    let strict = dir.path().join("s.toml");
    fs::write(&strict, "schema = 1\nname = \"s\"\n[default]\nreview = 0.0\nfail = 0.0\n").unwrap();
    let (blind, strict) = (["--policy", policy.to_str().unwrap()], ["--policy", strict.to_str().unwrap()]);
    let (status, err, e) = eval(&model, &data, "elpv", &blind);
    assert!(status == 0 && at(&e["miss"], "value") == 1.0, "{err}");
    for (policy, gate, kept, broken, says) in [
        (blind, "--max-miss", "1", "0.5", "miss: expected at most 0.5, found 1"),
        (strict, "--max-overkill", "1", "0.5", "overkill: expected at most 0.5, found 1"),
        (blind, "--min-accuracy", "0", "1", "accuracy: expected at least 1, found 0."),
        (blind, "--min-auroc", "0", "1", "auroc: expected at least 1, found 0"),
        (blind, "--max-latency-ratio", "100", "0.000000001", "latency ratio: expected at most 0.000000001, found 0.0"),
    ] {
        let with = |limit: &str| eval(&model, &data, "elpv", &[policy[0], policy[1], gate, limit]);
        let (status, err, e) = with(kept);
        assert!(status == 0 && !err.contains("gate"), "{gate} {kept}: {err}");
        let accuracy = at(&e, "accuracy");
        assert!(accuracy < 1.0, "the model is too good for this test");
        let (status, err, e) = with(broken);
        assert_eq!(status, 1, "{gate} {broken}: {err}");
        assert!(err.contains(&format!("gate {says}")), "{gate}: {err}");
        assert_eq!(e["errors"], 0, "the numbers are written all the same");
    }
    // Numbers that a classifier does not have keep no gate; two gates say two lines.
    let (status, err, _) =
        eval(&model, &data, "elpv", &["--min-map", "0.1", "--min-f-score", "0.1", "--min-auroc", "0"]);
    assert_eq!(status, 1);
    assert!(err.contains("gate map: expected at least 0.1, found none") && err.contains("gate f_score:"), "{err}");
    assert!(!err.contains("auroc"), "{err}");
    for bad in [["--min-map", "1.5"], ["--max-miss", "nan"], ["--max-latency-ratio", "0"]] {
        let (status, err, _) = eval(&model, &data, "elpv", &bad);
        assert!(status == 2 && err.contains("expected a number"), "{err}");
    }
}

#[test]
fn two_results_are_compared_panel_by_panel() {
    let dir = tempfile::tempdir().unwrap();
    let panels = |wrong: &dyn Fn(usize) -> bool| {
        let panel = |i: usize| {
            let (defective, right) = (i.is_multiple_of(2), !wrong(i));
            let fails = defective == right;
            json!({"id": format!("p{i}"), "defective": defective, "score": if fails { 0.9 } else { 0.1 },
                "verdict": if fails { "fail" } else { "pass" }, "right": right})
        };
        json!({"images": 100, "panels": (0..100).map(panel).collect::<Vec<_>>()})
    };
    let write = |name: &str, value: Value| {
        let path = dir.path().join(name);
        fs::write(&path, value.to_string()).unwrap();
        path
    };
    let good = write("good.json", panels(&|_| false));
    let bad = write("bad.json", panels(&|i| i % 5 == 0));
    let compare = |a: &Path, b: &Path, args: &[&str]| Program::new("compare").arg(a).arg(b).args(args).run();
    let (status, out, err) = compare(&bad, &good, &[]);
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("accuracy   A 0.8000  B 1.0000  gain +0.2000") && out.contains("better"), "{out}");
    let (status, _, err) = compare(&good, &bad, &[]);
    assert_eq!(status, 1);
    assert!(err.contains("gate accuracy: expected no loss, found -0.2000 (-0."), "{err}");
    assert_eq!(compare(&good, &good, &[]).0, 0, "no better and no worse");
    let (status, _, err) = compare(&bad, &good, &["--min-gain", "0.19"]);
    assert!(
        status == 1 && err.contains("expected a gain of at least 0.19 with 95 % confidence, found +0.2000"),
        "{err}"
    );
    assert_eq!(compare(&bad, &good, &["--min-gain", "0.1"]).0, 0);
    let json = dir.path().join("c.json");
    let (status, _, _) = compare(&bad, &good, &["--metric", "miss", "--json", json.to_str().unwrap()]);
    assert_eq!(status, 0);
    let value: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let accuracy = &value["differences"][0];
    assert_eq!((&accuracy["name"], &value["panels"]), (&"accuracy".into(), &100.into()));
    assert!(at(accuracy, "low") > 0.0 && at(accuracy, "low") < 0.2 && at(accuracy, "high") > 0.2);

    let mut other = panels(&|_| false);
    other["panels"][7]["id"] = "strange".into();
    let other = write("other.json", other);
    let (status, _, err) = compare(&good, &other, &[]);
    assert!(status == 2 && err.contains("found p7 in A only"), "{err}");
    let (status, _, err) = compare(&good, &write("none.json", json!({"images": 3})), &[]);
    assert!(status == 2 && err.contains("none.json:1: expected a result of `panelqc eval --json`"), "{err}");
    let (status, _, err) = compare(&good, &bad, &["--metric", "f_score"]);
    assert!(status == 2 && err.contains("expected one that both results have (accuracy, auroc"), "{err}");
}

#[test]
fn real_labels_are_read() {
    for (folder, images, truths, masked) in
        [("lens", 500, 8412, false), ("screen-scratch/training", 20, 57, true), ("screen-scratch/testing", 5, 18, true)]
    {
        let Some(folder) = shared(folder) else { continue };
        let samples = read(DataFormat::Coco, &folder, &ReadOptions::default()).unwrap().samples;
        let marked: Vec<_> = samples
            .iter()
            .flat_map(|sample| match &sample.label {
                Label::Boxes(truths) => &truths[..],
                _ => panic!("boxes"),
            })
            .collect();
        assert_eq!((samples.len(), marked.len()), (images, truths), "{}", folder.display());
        for truth in marked {
            assert_eq!(truth.mask.is_some(), masked);
            // A polygon covers about the area that its labels state.
            if let Some(mask) = &truth.mask {
                let (ours, stated) = (mask.area() as f64, truth.area());
                assert!((ours - stated).abs() < 0.05 * stated + 15.0, "{ours} and {stated}");
            }
        }
    }
}
