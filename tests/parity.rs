//! What exporters' own pipelines gave, stored by the recipes in `tests/parity`, against what this crate gives.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use panelqc::{
    Batch, Channels, Defect, Fit, Frame, Inspector, Kernel, Manifest, Mask, Model, Outputs, Panel, PanelReport,
    PixelView, Preprocess, Size,
};
use serde_json::Value;

use crate::util;

fn parity(path: &str) -> PathBuf {
    util::project("tests/parity").join(path)
}

/// The gray values that a frame of `size` (width, height) has after preprocessing, channels interleaved.
fn resized(frame: &Frame<'_>, size: (u32, u32), kernel: Kernel) -> Vec<u8> {
    let mut config = Preprocess::new(Size::new(size.0, size.1));
    config.fit = Fit::Stretch;
    config.resize = kernel;
    config.scale = 1.0;
    config.channels = if frame.channels() == 1 { Channels::Gray } else { Channels::Rgb };
    let mut batch = Batch::new(&config, 1);
    batch.push(frame, None).unwrap();
    let view = batch.view();
    let (_, channels, height, width) = view.dim();
    let at = |i: usize| view[[0, i % channels, i / channels / width, i / channels % width]];
    (0..channels * height * width)
        .map(|i| {
            let value = at(i);
            assert_eq!(value, value.round(), "gray values are whole");
            value as u8
        })
        .collect()
}

fn pixels<'a>(frame: &'a Frame<'_>) -> &'a [u8] {
    match frame.pixels() {
        PixelView::Eight(view) => view.as_slice().unwrap(),
        PixelView::Sixteen(view) => panic!("8 bits, not {}", view.format()),
    }
}

#[test]
fn kernels_give_what_the_library_of_their_name_gives() {
    let mut compared: BTreeMap<String, (usize, u8, f64)> = BTreeMap::new();
    let mut files: Vec<PathBuf> = fs::read_dir(parity("resize")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    for file in files {
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let parts: Vec<&str> = stem.split("--").collect();
        let [name, kernel, size] = parts[..] else { continue };
        let (width, height) = size.split_once('x').unwrap();
        let size = (width.parse().unwrap(), height.parse().unwrap());
        let kernel_of = |text: &str| serde_json::from_value::<Kernel>(text.into()).unwrap();
        let source = Frame::load(parity("resize").join(format!("{name}.png")), &Default::default()).unwrap();
        let want = Frame::load(&file, &Default::default()).unwrap();
        let got = resized(&source, size, kernel_of(kernel));
        let differences = || got.iter().zip(pixels(&want)).map(|(a, b)| a.abs_diff(*b));
        assert_eq!(got.len(), pixels(&want).len(), "{stem}");
        let worst = differences().max().unwrap();
        let mean = differences().map(f64::from).sum::<f64>() / got.len() as f64;
        println!("{stem}: worst {worst}, mean {mean:.4}");
        let entry = compared.entry(kernel.to_owned()).or_insert((0, 0, 0.0));
        *entry = (entry.0 + 1, entry.1.max(worst), entry.2.max(mean));
    }
    println!("{compared:#?}");
    for (kernel, (count, worst, mean)) in &compared {
        assert_eq!(*count, 36, "{kernel}");
        assert!(*worst <= 1 && *mean <= 0.02, "{kernel}: worst {worst}, mean {mean}");
    }
    assert_eq!(compared.len(), 6);
}

/// A case: what the exporter's pipeline gave, and the model, loaded as a user would load it.
struct Case {
    name: String,
    expected: Value,
    /// The model with the limits that the exporter's pipeline ran with.
    folder: tempfile::TempDir,
}

impl Case {
    fn open(name: &str) -> Self {
        Self::expecting(name, "expected.json", |_| ())
    }

    /// A case with other expectations, for another manifest.
    fn expecting(name: &str, expected: &str, change: impl Fn(&mut Manifest)) -> Self {
        let source = parity(name);
        let expected: Value = serde_json::from_str(&fs::read_to_string(source.join(expected)).unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::copy(source.join("model.onnx"), folder.path().join("model.onnx")).unwrap();
        if source.join("model.onnx.data").exists() {
            fs::copy(source.join("model.onnx.data"), folder.path().join("model.onnx.data")).unwrap();
        }
        let mut manifest = Model::load(&source).unwrap_or_else(|e| panic!("{name}: {e}")).manifest().clone();
        let number = |key: &str| expected[key].as_f64().map(|v| v as f32);
        manifest.output.confidence = number("confidence").unwrap_or(manifest.output.confidence);
        manifest.output.iou = number("iou").unwrap_or(manifest.output.iou);
        change(&mut manifest);
        fs::write(folder.path().join("model.toml"), manifest.to_toml()).unwrap();
        Case { name: name.to_owned(), expected, folder }
    }

    fn model(&self) -> Model {
        Model::load(self.folder.path()).unwrap()
    }

    /// How far a confidence may be from the exporter's. In half precision a step is 5e-4 near 1, and how many of them
    /// are lost depends on how a processor sums.
    fn within(&self) -> f64 {
        if self.name.ends_with("-half") { 5e-3 } else { 1e-3 }
    }

    fn images(&self) -> impl Iterator<Item = (PathBuf, &Value)> {
        let images = self.expected["images"].as_object().unwrap();
        images.iter().map(|(image, want)| (parity("images").join(image), want))
    }

    /// The defects of every image are those of the exporter's pipeline.
    fn defects(&self) {
        let inspector = Inspector::builder(self.model()).threads(1).build().unwrap();
        let (mut count, mut worst) = (0, Worst::default());
        for (image, want) in self.images() {
            let report = inspector.inspect_file(&image).unwrap();
            count += compare(&format!("{} {}", self.name, image.display()), &report, want, self.within(), &mut worst);
        }
        println!("{}: {count} defects; {worst:?}", self.name);
        assert!(count >= 5, "{}: {count} defects tell too little", self.name);
    }
}

/// The largest differences.
#[derive(Debug, Default)]
struct Worst {
    box_px: f64,
    confidence: f64,
    mask_iou: Option<f64>,
}

fn compare(place: &str, report: &PanelReport, want: &Value, within: f64, worst: &mut Worst) -> usize {
    let want = want["defects"].as_array().unwrap();
    let list = |report: &PanelReport| {
        report
            .defects
            .iter()
            .map(|d| format!("{} {:.4} {:?}", d.kind, d.confidence, d.bbox))
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(report.defects.len(), want.len(), "{place}:\n{}\n{want:#?}", list(report));
    let mut open: Vec<&Value> = want.iter().collect();
    for defect in &report.defects {
        let same_kind = open.iter().enumerate().filter(|(_, v)| v["kind"] == defect.kind.as_str());
        let near = same_kind.map(|(i, v)| (i, distance(defect, report, v))).min_by(|a, b| a.1.total_cmp(&b.1));
        let (i, off) = near.unwrap_or_else(|| panic!("{place}: no {} in {want:#?}", defect.kind));
        assert!(off <= 0.5 + slack(defect, report), "{place}: {} at {:?} is {off} px off", defect.kind, defect.bbox);
        let twin = open.remove(i);
        let confidence = (twin["confidence"].as_f64().unwrap() - f64::from(defect.confidence.get())).abs();
        assert!(confidence <= within, "{place}: confidence differs by {confidence}");
        worst.box_px = worst.box_px.max(off);
        worst.confidence = worst.confidence.max(confidence);
        if twin["mask"].is_object() {
            let counts = twin["mask"]["counts"].as_str().unwrap();
            let twin = Mask::from_coco_counts(report.size(), counts).unwrap();
            let mask = defect.mask.as_ref().expect("a mask");
            let iou = mask.iou(&twin);
            assert!(iou >= 0.99, "{place}: {} at {:?}: mask IoU {iou}", defect.kind, defect.bbox);
            worst.mask_iou = Some(worst.mask_iou.unwrap_or(1.0).min(iou));
        }
    }
    want.len()
}

/// How far a defect is from the exporter's, in pixels: the sides of their boxes, or the corners of turned ones.
fn distance(defect: &Defect, report: &PanelReport, want: &Value) -> f64 {
    let numbers = |v: &Value| v.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect::<Vec<_>>();
    if let Some(corners) = defect.corners {
        // The exporter begins at another corner: each is compared with the nearest.
        let want: Vec<_> = want["corners"].as_array().unwrap().iter().map(numbers).collect();
        let nearest = |[x, y]: [f32; 2]| {
            let off = |w: &Vec<f64>| (f64::from(x) - w[0]).hypot(f64::from(y) - w[1]);
            want.iter().map(off).fold(f64::INFINITY, f64::min)
        };
        return corners.map(nearest).into_iter().fold(0.0, f64::max);
    }
    // Transformers does not cut boxes to the image.
    let size = [report.size().width, report.size().height].map(f64::from);
    let want = numbers(&want["box"]).into_iter().enumerate().map(|(i, v)| v.clamp(0.0, size[i % 2]));
    let got = <[f32; 4]>::from(defect.bbox).map(f64::from);
    want.zip(got).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// The letterbox rounds sides to whole pixels, which stretches a turned box a little. Here its corners are stretched;
/// Ultralytics scales width and height of the box as if it were not turned.
fn slack(defect: &Defect, report: &PanelReport) -> f64 {
    let Some(corners) = defect.corners else { return 0.0 };
    let input = Preprocess::new(Size::new(160, 160)).placement(report.size());
    let (x, y) = input.scale();
    let longest =
        (0..4).map(|i| (corners[i][0] - corners[(i + 1) % 4][0]).hypot(corners[i][1] - corners[(i + 1) % 4][1]));
    f64::from(longest.fold(0.0, f32::max)) * (1.0 - x.min(y) / x.max(y))
}

#[test]
fn probabilities_are_the_exporters() {
    for name in ["yolo11-classify", "torchvision-classify"] {
        let case = Case::open(name);
        let model = case.model();
        let kinds = model.manifest().output.kinds.clone();
        let inspector = Inspector::builder(model).floor(0.0).threads(1).build().unwrap();
        let mut worst = 0.0f64;
        for (image, want) in case.images() {
            let report = inspector.inspect_file(&image).unwrap();
            for (kind, want) in kinds.iter().zip(want["probabilities"].as_array().unwrap()) {
                let Some(got) = report.defects.iter().find(|d| d.kind == *kind) else { continue };
                worst = worst.max((f64::from(got.confidence.get()) - want.as_f64().unwrap()).abs());
            }
            assert!(report.defects.len() + 1 >= kinds.len(), "{name}");
        }
        println!("{name}: probabilities within {worst:.1e}");
        assert!(worst <= 1e-3, "{name}: {worst}");
    }
}

#[test]
fn yolo_detections_are_ultralytics() {
    for name in ["yolov5-detect", "yolov5-segment", "yolov8-detect", "yolo11-detect-nms", "yolo26-detect"] {
        Case::open(name).defects();
    }
    // A graph of dynamic size: the exporter pads to multiples of the stride by default, and to a square with
    // rect=False.
    let model = Model::load(parity("yolo11-detect/model.onnx")).unwrap();
    assert_eq!(model.manifest().input.stride, Some(32));
    Case::expecting("yolo11-detect", "expected-rect.json", |_| ()).defects();
    Case::expecting("yolo11-detect", "expected.json", |manifest| manifest.input.stride = None).defects();
    for name in
        ["yolo11-detect-half", "rtdetr-detect", "yolo11-segment", "yolo26-segment", "yolo11-obb", "yolo11-obb-nms"]
    {
        Case::open(name).defects();
    }
}

/// Graphs that take half precision, whole gray values, channels last, a fixed batch or any size of picture.
#[test]
fn other_forms_of_input_and_output_give_the_same() {
    let case = Case::open("torchvision-classify");
    let manifest = case.model().manifest().clone();
    for form in ["f16", "nhwc", "u8", "u8-nhwc", "batch4", "size"] {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(parity("forms").join(format!("{form}.onnx")), folder.path().join("model.onnx")).unwrap();
        let mut manifest = manifest.clone();
        if form.starts_with("u8") {
            manifest.input.scale = 1.0;
            manifest.input.mean = vec![0.0];
            manifest.input.std = vec![1.0];
        }
        fs::write(folder.path().join("model.toml"), manifest.to_toml()).unwrap();
        let model = Model::load(folder.path()).unwrap();
        assert_eq!(model.max_batch(), (form == "batch4").then_some(4), "{form}");
        let inspector = Inspector::builder(model).floor(0.0).threads(2).build().unwrap();
        assert_eq!(inspector.batch(), if form == "batch4" { 4 } else { 1 });
        let (images, wanted): (Vec<_>, Vec<_>) = case.images().unzip();
        for (result, want) in inspector.inspect_batch(images).zip(wanted) {
            for defect in &result.unwrap().defects {
                let number = manifest.output.kinds.iter().position(|k| *k == defect.kind).unwrap();
                let want = want["probabilities"][number].as_f64().unwrap();
                let off = (want - f64::from(defect.confidence.get())).abs();
                // Half precision has three digits.
                assert!(off <= if form == "f16" { 2e-3 } else { 1e-4 }, "{form}: {} is {off} off", defect.kind);
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    fs::copy(parity("forms/u8.onnx"), folder.path().join("model.onnx")).unwrap();
    fs::write(folder.path().join("model.toml"), manifest.to_toml()).unwrap();
    let refused = Model::load(folder.path()).unwrap_err().to_string();
    assert!(refused.contains("expected scale 1, mean 0 and std 1"), "{refused}");
}

#[test]
fn torchvision_detections_are_torchvisions() {
    for name in ["torchvision-ssd", "torchvision-fasterrcnn", "torchvision-maskrcnn"] {
        Case::open(name).defects();
    }
    Case::expecting("torchvision-fasterrcnn", "expected-160x192.json", |manifest| {
        manifest.input.size = Size::new(192, 160);
        manifest.input.fit = Fit::Stretch;
        manifest.input.resize = Kernel::PillowBilinear;
    })
    .defects();
}

/// A frame that looks as the model sees `image`: of the model's size, so that its pixels are the source's pixels.
fn seen(manifest: &Manifest, image: &Path) -> Frame<'static> {
    let frame = Frame::load(image, &Default::default()).unwrap();
    let Size { width, height } = manifest.input.size;
    let values = resized(&frame, (width, height), manifest.input.resize);
    Frame::new(Size::new(width, height), frame.format(), values).unwrap()
}

/// A stored map: 16-bit gray, 65,535 for 1.
fn map(path: &Path) -> Vec<f64> {
    let frame = Frame::load(path, &Default::default()).unwrap();
    let PixelView::Sixteen(view) = frame.pixels() else { panic!("16 bits") };
    view.rows().flatten().map(|&v| f64::from(v) / 65_535.0).collect()
}

#[test]
fn segments_are_torchvisions() {
    for (name, kinds) in [("torchvision-segment", 4), ("segment-one", 1)] {
        let case = Case::open(name);
        let model = case.model();
        let manifest = model.manifest().clone();
        let inspector = Inspector::builder(model).threads(1).build().unwrap();
        let Size { width, height } = manifest.input.size;
        let (mut worst, mut least, mut count) = (0.0f64, 1.0f64, 0);
        for (image, want) in case.images() {
            // The numbers of every pixel: activation is left out, so that all of them are looked at.
            let mut batch = manifest.batch(1);
            batch.push(&Frame::load(&image, &Default::default()).unwrap(), None).unwrap();
            let mut outputs = Outputs::default();
            inspector.model().run(batch.view(), &mut outputs).unwrap();
            let logits = outputs.get(0).unwrap();
            let stored = map(&parity(name).join(want["map"].as_str().unwrap()));
            let size = (width * height) as usize;
            for pixel in 0..size {
                let (y, x) = (pixel / width as usize, pixel % width as usize);
                let power = |k: usize| f64::from(logits[[0, k, y, x]]).exp();
                let total: f64 = (0..kinds).map(power).sum::<f64>() + if kinds == 1 { 1.0 } else { 0.0 };
                for k in 0..kinds {
                    worst = worst.max((power(k) / total - stored[k * size + pixel]).abs());
                }
            }
            // Regions at the model's own size, where the exporter's classes are.
            let report = inspector.inspect(&Panel::new("seen", seen(&manifest, &image))).unwrap();
            for (number, kind) in manifest.output.kinds.iter().enumerate().filter(|(_, k)| k.as_str() != "background") {
                let mut found = vec![false; size];
                for (x, y, n) in
                    report.defects.iter().filter(|d| d.kind == *kind).flat_map(|d| d.mask.as_ref().unwrap().runs())
                {
                    (y..y + n).for_each(|y| found[(y * width + x) as usize] = true);
                }
                let found = Mask::from_fn(Size::new(width, height), |x, y| found[(y * width + x) as usize]);
                let want = if kinds == 1 {
                    Mask::from_coco_counts(Size::new(width, height), want["mask"]["counts"].as_str().unwrap()).unwrap()
                } else {
                    let classes =
                        Frame::load(parity(name).join(want["classes"].as_str().unwrap()), &Default::default());
                    let classes = pixels(classes.as_ref().unwrap()).to_vec();
                    Mask::from_fn(Size::new(width, height), |x, y| {
                        usize::from(classes[(y * width + x) as usize]) == number
                    })
                };
                if want.area() > 0 || found.area() > 0 {
                    least = least.min(found.iou(&want));
                    count += 1;
                }
            }
            let score = want["score"].as_f64();
            assert!(score.is_none_or(|score| (f64::from(report.score) - score).abs() < 1e-3), "{name}");
        }
        println!("{name}: probabilities within {worst:.1e}, {count} kinds, least IoU {least:.4}");
        assert!(worst <= 1e-3 && least >= 0.99 && count >= 4, "{name}: {worst}, {least}, {count}");
    }
}

/// A stored map of any scale: float32 `.npy` of version 1.
fn npy(path: &Path) -> Vec<f64> {
    let bytes = fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[start..].as_chunks().0.iter().map(|v| f64::from(f32::from_le_bytes(*v))).collect()
}

#[test]
fn anomalies_are_anomalibs() {
    for name in ["anomalib-padim", "anomalib-padim-external", "anomalib-patchcore", "anomalib-efficientad", "heatmap"] {
        let case = Case::open(name);
        let model = case.model();
        let place = model.signature().outputs.iter().position(|p| p.shape.len() == 4 && p.element == "f32").unwrap();
        let output = model.manifest().output.clone();
        let inspector = Inspector::builder(model).threads(1).build().unwrap();
        let (mut score_off, mut map_off, mut anomalous) = (0.0f64, 0.0f64, 0);
        for (image, want) in case.images() {
            let report = inspector.inspect_file(&image).unwrap();
            let score = want["score"].as_f64().unwrap();
            let score = output.normalize.map_or(score, |n| f64::from(n.apply(score as f32)));
            score_off = score_off.max((f64::from(report.score) - score).abs());
            assert_eq!(!report.defects.is_empty(), want["label"].as_bool().unwrap(), "{name} {}", image.display());
            anomalous += usize::from(!report.defects.is_empty());

            let mut batch = inspector.model().manifest().batch(1);
            batch.push(&Frame::load(&image, &Default::default()).unwrap(), None).unwrap();
            let mut outputs = Outputs::default();
            inspector.model().run(batch.view(), &mut outputs).unwrap();
            let file = parity(name).join(want["map"].as_str().unwrap());
            let stored = if file.extension().unwrap() == "npy" { npy(&file) } else { map(&file) };
            let got = outputs.get(place).unwrap();
            assert_eq!(got.len(), stored.len(), "{name}");
            let range =
                stored.iter().copied().fold(0.0, f64::max) - stored.iter().copied().fold(f64::INFINITY, f64::min);
            for (got, want) in got.iter().zip(&stored) {
                map_off = map_off.max((f64::from(*got) - want).abs() / range);
            }
        }
        println!("{name}: score within {score_off:.1e}, map within {map_off:.1e} of its range, {anomalous} anomalous");
        assert!(score_off <= 1e-4 && map_off <= 1e-3, "{name}: {score_off}, {map_off}");
        assert!((1..5).contains(&anomalous), "{name}: normal and anomalous ones");
    }
}

/// Weights in a file of their own belong to the model: they are found beside the graph, and are part of its hash.
#[test]
fn weights_beside_the_graph_are_part_of_the_model() {
    let folder = Case::open("anomalib-padim-external").folder;
    let hash = |folder: &Path| Model::load(folder).unwrap().sha256().to_string();
    let before = hash(folder.path());
    let weights = folder.path().join("model.onnx.data");
    let mut bytes = fs::read(&weights).unwrap();
    bytes[100] ^= 1;
    fs::write(&weights, &bytes).unwrap();
    assert_ne!(hash(folder.path()), before);
    fs::remove_file(&weights).unwrap();
    let missing = Model::load(folder.path()).unwrap_err().to_string();
    assert!(missing.contains("expected files of the package that can be read"), "{missing}");
}

#[test]
fn detr_detections_are_the_exporters() {
    for name in ["detr", "rt-detr", "d-fine", "rf-detr", "rf-detr-own"] {
        Case::open(name).defects();
    }
}

/// Where the exporter's package does not install beside the others, its rule in numpy decides.
#[test]
fn detections_follow_the_rules_of_their_repositories() {
    for name in ["yolox", "yolo-nas", "rt-detr-own", "tf-detections", "class-map"] {
        Case::open(name).defects();
    }
}

/// Limits are the manifest's and the policy's, also after the export, and each kind may have its own.
#[test]
fn limits_stay_editable() {
    let found = |change: &dyn Fn(&mut Manifest)| {
        let case = Case::expecting("yolo11-detect", "expected.json", change);
        let inspector = Inspector::builder(case.model()).threads(1).build().unwrap();
        let reports = case.images().map(|(image, _)| inspector.inspect_file(image).unwrap());
        reports.flat_map(|r| r.defects).map(|d| (d.kind.as_str().to_owned(), d.confidence.get())).collect::<Vec<_>>()
    };
    let all = found(&|_| ());
    let (kind, _) = all[0].clone();
    assert!(all.iter().any(|(k, c)| *k == kind && *c < 0.5) && all.iter().any(|(k, c)| *k != kind && *c < 0.5));
    let strict = found(&|m| m.output.confidence = 0.5);
    assert_eq!(strict, all.iter().filter(|(_, c)| *c >= 0.5).cloned().collect::<Vec<_>>());
    let own = found(&|m| m.output.confidences = [(kind.as_str().into(), 0.5)].into());
    assert_eq!(own, all.iter().filter(|(k, c)| *k != kind || *c >= 0.5).cloned().collect::<Vec<_>>());
}

/// The limits of an anomaly model too: from where on a frame is reported, and which pixels belong to it. They count on
/// the normalised scale, whether the graph normalises (anomalib) or the manifest does.
#[test]
fn limits_of_anomaly_stay_editable() {
    for name in ["anomalib-patchcore", "heatmap"] {
        let found = |confidence: f32, pixel: f32| {
            let case = Case::expecting(name, "expected.json", |manifest| {
                manifest.output.confidence = confidence;
                manifest.output.pixel_threshold = pixel;
            });
            let inspector = Inspector::builder(case.model()).threads(1).build().unwrap();
            let reports: Vec<_> = case.images().map(|(image, _)| inspector.inspect_file(image).unwrap()).collect();
            let scores: Vec<f32> = reports.iter().map(|r| r.score).collect();
            let flagged: Vec<bool> = reports.iter().map(|r| !r.defects.is_empty()).collect();
            // A frame whose regions are all below the limit is one defect without a mask.
            let masked = |r: &PanelReport| r.defects.iter().filter(|d| d.mask.is_some()).map(|d| d.area_px).sum();
            (scores, flagged, reports.iter().map(masked).collect::<Vec<u64>>())
        };
        let (scores, _, areas) = found(0.5, 0.5);
        for limit in scores.iter().map(|score| score + 1e-3).filter(|limit| (0.5..1.0).contains(limit)) {
            let (again, flagged, strict) = found(limit, 0.5);
            assert_eq!(again, scores, "{name}: scores do not hang on limits");
            assert_eq!(flagged, scores.iter().map(|score| *score >= limit).collect::<Vec<_>>(), "{name}: {limit}");
            assert!(strict.iter().zip(&areas).all(|(area, before)| area <= before), "{name}: {strict:?}, {areas:?}");
        }
        let (_, _, wide) = found(0.5, 0.4);
        assert!(
            wide.iter().zip(&areas).all(|(wide, area)| wide >= area) && wide != areas,
            "{name}: {wide:?}, {areas:?}"
        );
    }
}

/// The same panel alone, among pictures of other sizes, in a batch, and with other numbers of threads.
#[test]
fn a_panel_has_the_same_defects_in_any_company() {
    let free = ["yolo11-detect", "torchvision-classify", "torchvision-segment"];
    let one_at_a_time = ["yolov5-detect", "torchvision-fasterrcnn"];
    for name in free.into_iter().chain(one_at_a_time) {
        let case = Case::open(name);
        let images: Vec<PathBuf> = case.images().map(|(image, _)| image).collect();
        // Two of a size follow each other: a graph of dynamic size takes those together, and no others.
        let mixed: Vec<PathBuf> = images.iter().flat_map(|image| [image, image]).cycle().take(23).cloned().collect();
        let run = |batch: usize, threads: usize| {
            let inspector = Inspector::builder(case.model()).batch(batch).threads(threads).build().unwrap();
            inspector.inspect_batch(mixed.clone()).map(|r| r.unwrap().defects).collect::<Vec<_>>()
        };
        let alone: Vec<_> = {
            let inspector = Inspector::builder(case.model()).threads(1).build().unwrap();
            mixed.iter().map(|image| inspector.inspect_file(image).unwrap().defects).collect()
        };
        assert_eq!(run(1, 1), alone, "{name}");
        assert_eq!(run(1, 8), alone, "{name}: 8 threads");
        assert_eq!(case.model().max_batch().is_some(), one_at_a_time.contains(&name), "{name}");
        if case.model().max_batch().is_some() {
            continue;
        }
        assert_eq!(run(8, 1), run(8, 8), "{name}: 8 threads, batch 8");
        for (got, want) in run(8, 2).iter().zip(&alone) {
            assert_eq!(got.len(), want.len(), "{name}: batch 8");
            for (got, want) in got.iter().zip(want) {
                assert_eq!(got.kind, want.kind, "{name}: batch 8");
                let off = (got.confidence.get() - want.confidence.get()).abs();
                assert!(off <= 1e-4, "{name}: batch 8 differs by {off}");
                let (a, b): ([f32; 4], [f32; 4]) = (got.bbox.into(), want.bbox.into());
                assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 0.01), "{name}: batch 8, {a:?} and {b:?}");
            }
        }
    }
}
