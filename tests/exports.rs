//! Graphs laid out as several exporters write them, from the picture to the defects. Each gives one defect at pixels 20
//! to 40 across and 10 to 30 down of a frame of 64x48.

use std::fs;

use panelqc::{Format, Inspector, Manifest, Model, Panel, PanelReport, Result, Task};
use panelqc::{Frame, PixelFormat, Size};

use crate::util::onnx::{BOOL, F32, I32, I64, Onnx, U8, floats, longs};

const SIZE: Size = Size { width: 64, height: 48 };
/// 6 * 8 + 3 * 4 + 1 * 2 cells of 8, 16 and 32 pixels.
const CELLS: i64 = 62;

fn image() -> Onnx {
    Onnx::new().input("x", F32, &[1, 3, 48, 64])
}

/// An output that is the same for every frame.
fn constant(graph: Onnx, name: &str, element: u64, dims: &[i64], raw: &[u8]) -> Onnx {
    let held = format!("{name} held");
    graph.tensor(&held, element, dims, raw).node("Identity", &[&held], &[name]).output(name, element, dims)
}

fn manifest(task: &str, output: &str) -> String {
    format!(
        "schema = 1\nname = \"m\"\ntask = \"{task}\"\n[input]\nsize = [48, 64]\nfit = \"stretch\"\n[output]\n{output}\n"
    )
}

fn load(graph: Onnx, manifest: &str) -> Result<Model> {
    let manifest = Manifest::parse(manifest, "model.toml".as_ref()).unwrap();
    Model::from_bytes(graph.bytes(), manifest)
}

/// What is found on a gray frame of `size`.
fn inspect(model: Model, size: Size) -> Result<PanelReport> {
    let frame = Frame::new(size, PixelFormat::Mono8, vec![128u8; size.area() as usize]).unwrap();
    Inspector::builder(model).threads(1).build()?.inspect(&Panel::new("p", frame))
}

fn found(model: Model) -> Vec<(String, [f32; 4])> {
    let report = inspect(model, SIZE).unwrap();
    report.defects.iter().map(|d| (d.kind.as_str().to_owned(), d.bbox.into())).collect()
}

const PLACE: [f32; 4] = [20.0, 10.0, 40.0, 30.0];

fn one(kind: &str) -> Vec<(String, [f32; 4])> {
    vec![(kind.to_owned(), PLACE)]
}

/// YOLOX for two kinds: rows of zeros, and one for the cell at column 3 and row 2 of 8 pixels, the place of the box's
/// centre (30, 20).
fn yolox(decoded: bool) -> Onnx {
    let mut rows = vec![0.0; CELLS as usize * 7];
    let log = 2.5f32.ln();
    let own = match decoded {
        false => [0.75, 0.5, log, log, 0.9, 0.1, 1.0],
        true => [30.0, 20.0, 20.0, 20.0, 0.9, 0.1, 1.0],
    };
    rows[(2 * 8 + 3) * 7..][..7].copy_from_slice(&own);
    constant(image(), "output", F32, &[1, CELLS, 7], &floats(&rows))
}

#[test]
fn yolox_with_and_without_its_decoding() {
    let two = "kinds = [\"a\", \"b\"]";
    let with = |format: &str| manifest("detect", &format!("{two}\nformat = \"{format}\""));
    let near = |found: Vec<(String, [f32; 4])>| {
        let [(kind, sides)] = &found[..] else { panic!("{found:?}") };
        kind == "b" && sides.iter().zip(PLACE).all(|(a, b)| (a - b).abs() < 1e-4)
    };
    assert!(near(found(load(yolox(false), &with("yolox")).unwrap())));
    assert!(near(found(load(yolox(true), &with("yolo-v5")).unwrap())));
    for (decoded, format, says) in [(false, "yolo-v5", "`yolox`"), (true, "yolox", "`yolo-v5`")] {
        let error = load(yolox(decoded), &with(format)).unwrap_err().to_string();
        assert!(error.contains("model output `output`") && error.contains(says), "{error}");
    }
    let error = load(yolox(false), &manifest("detect", two)).unwrap_err().to_string();
    assert!(error.contains("[output] format") && error.contains("yolo-v5, yolox"), "{error}");
}

#[test]
fn yolo_nas_is_known_by_its_names() {
    let mut boxes = vec![1.0; 20 * 4];
    boxes[12..16].copy_from_slice(&PLACE);
    let mut scores = vec![0.001; 20 * 2];
    scores[3 * 2 + 1] = 0.9;
    let graph = constant(image(), "graph2_pred_bboxes", F32, &[1, 20, 4], &floats(&boxes));
    let graph = constant(graph, "graph2_pred_scores", F32, &[1, 20, 2], &floats(&scores));
    assert_eq!(found(load(graph, &manifest("detect", "kinds = [\"a\", \"b\"]")).unwrap()), one("b"));
}

#[test]
fn yolo_nas_without_names_is_known_by_its_cells() {
    let mut boxes = vec![1.0; CELLS as usize * 4];
    boxes[12..16].copy_from_slice(&PLACE);
    let mut scores = vec![0.001; CELLS as usize * 2];
    scores[3 * 2 + 1] = 0.9;
    let graph = constant(image(), "812", F32, &[1, CELLS, 4], &floats(&boxes));
    let graph = constant(graph, "804", F32, &[1, CELLS, 2], &floats(&scores));
    assert_eq!(found(load(graph, &manifest("detect", "kinds = [\"a\", \"b\"]")).unwrap()), one("b"));
}

/// RT-DETR, D-FINE and DEIM: boxes times the sizes that a second input gives, width first.
fn two_inputs(second: &str, element: u64) -> Onnx {
    let graph = Onnx::new().input("images", F32, &[-1, 3, 48, 64]).input(second, element, &[-1, 2]);
    let parts = [20.0 / 64.0, 10.0 / 48.0, 40.0 / 64.0, 30.0 / 48.0];
    let graph = graph
        .node_with("Cast", &[second], &["sizes"], &[("to", 1)])
        .node_with("Concat", &["sizes", "sizes"], &["twice"], &[("axis", 1)])
        .tensor("axis", I64, &[1], &longs(&[1]))
        .node("Unsqueeze", &["twice", "axis"], &["scale"])
        .tensor("parts", F32, &[1, 1, 4], &floats(&parts))
        .node("Mul", &["parts", "scale"], &["boxes"])
        .output("boxes", F32, &[-1, 1, 4]);
    let graph = constant(graph, "labels", I64, &[1, 1], &longs(&[1]));
    constant(graph, "scores", F32, &[1, 1], &floats(&[0.9]))
}

#[test]
fn a_second_input_is_given_the_size_of_the_first() {
    let text = manifest("detect", "kinds = [\"a\", \"b\"]");
    let model = load(two_inputs("orig_target_sizes", I64), &text).unwrap();
    assert_eq!(model.head().outputs().len(), 3);
    assert_eq!(found(model), one("b"));
    // Under another name the manifest says what it is, and in which order.
    let error = load(two_inputs("im_shape", F32), &text).unwrap_err().to_string();
    assert!(error.contains("`target_sizes` in [input]") && error.contains("`im_shape` f32[?, 2]"), "{error}");
    for element in [F32, I32, I64] {
        let stated = text.replace("[output]", "target_sizes = \"width-height\"\n[output]");
        assert_eq!(found(load(two_inputs("im_shape", element), &stated).unwrap()), one("b"));
    }
    let turned = text.replace("[output]", "target_sizes = \"height-width\"\n[output]");
    let [(_, sides)] = &found(load(two_inputs("im_shape", F32), &turned).unwrap())[..] else { panic!("one defect") };
    assert_eq!(sides[0], 20.0 / 64.0 * 48.0);
    // A key for an input that is not there would do nothing.
    let error = load(yolox(true), &turned).unwrap_err().to_string();
    assert!(error.contains("since `target_sizes` in [input] is stated"), "{error}");
}

/// The size is the input's, not the frame's: the placement leads from there to the frame.
#[test]
fn boxes_of_a_letterboxed_frame_come_back_to_it() {
    let text = manifest("detect", "kinds = [\"a\", \"b\"]").replace("fit = \"stretch\"\n", "");
    let report = inspect(load(two_inputs("orig_target_sizes", I64), &text).unwrap(), Size::new(128, 48)).unwrap();
    // 128x48 becomes 64x24 at row 12: rows 10 to 30 of the input are rows 0 to 36 of the frame.
    assert_eq!(<[f32; 4]>::from(report.defects[0].bbox), [40.0, 0.0, 80.0, 36.0]);
}

#[test]
fn a_starter_manifest_knows_two_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    fs::write(&path, two_inputs("orig_target_sizes", I64).bytes()).unwrap();
    let manifest = Manifest::propose(&path, Some(Task::Detect), None).unwrap();
    assert_eq!((manifest.output.format, manifest.input.size), (Format::DETECTIONS, SIZE));
}

#[test]
fn tensorflows_object_detection_is_read_rows_first_and_in_parts() {
    let parts = [10.0 / 48.0, 20.0 / 64.0, 30.0 / 48.0, 40.0 / 64.0, 0.0, 0.0, 0.0, 0.0];
    let graph = constant(image(), "detection_boxes", F32, &[1, 2, 4], &floats(&parts));
    let graph = constant(graph, "detection_classes", F32, &[1, 2], &floats(&[2.0, 1.0]));
    let graph = constant(graph, "detection_scores", F32, &[1, 2], &floats(&[0.9, 0.0]));
    let graph = constant(graph, "num_detections", F32, &[1], &floats(&[1.0]));
    let graph = constant(graph, "raw_detection_boxes", F32, &[1, 30, 4], &floats(&[0.0; 120]));
    let graph = constant(graph, "raw_detection_scores", F32, &[1, 30, 3], &floats(&[0.0; 90]));
    let report = found(
        load(graph, &manifest("detect", "kinds = [\"background\", \"a\", \"b\"]\ngood = [\"background\"]")).unwrap(),
    );
    let [(kind, sides)] = &report[..] else { panic!("{report:?}") };
    assert!(kind == "b" && sides.iter().zip(PLACE).all(|(a, b)| (a - b).abs() < 1e-4), "{report:?}");
}

/// A detector whose labels count from 1 is not shifted by one kind without a word.
#[test]
fn tensorflows_labels_need_a_background() {
    let graph = || {
        let graph = constant(image(), "detection_boxes:0", F32, &[1, 1, 4], &floats(&[0.25, 0.25, 0.75, 0.75]));
        let graph = constant(graph, "detection_classes:0", F32, &[1, 1], &floats(&[1.0]));
        constant(graph, "detection_scores:0", F32, &[1, 1], &floats(&[0.9]))
    };
    let stated = manifest("detect", "kinds = [\"a\", \"b\"]\nformat = \"tf-detections\"");
    let error = load(graph(), &stated).unwrap_err().to_string();
    assert!(error.contains("the background as the first") && error.contains("a, b"), "{error}");
    let raw = constant(graph(), "raw_detection_scores:0", F32, &[1, 1, 3], &floats(&[0.0; 3]));
    assert_eq!(found(load(raw, &stated).unwrap()), [("a".to_owned(), [16.0, 12.0, 48.0, 36.0])]);
}

/// The numbers of a class map: 1 in the place, 0 around it.
fn map() -> Vec<i64> {
    (0..48).flat_map(|y| (0..64).map(move |x| i64::from((20..40).contains(&x) && (10..30).contains(&y)))).collect()
}

#[test]
fn class_maps_of_any_whole_numbers() {
    let text = manifest("segment", "kinds = [\"bg\", \"scratch\"]\ngood = [\"bg\"]");
    let short: Vec<u8> = map().iter().flat_map(|&v| (v as i32).to_le_bytes()).collect();
    let bytes: Vec<u8> = map().iter().map(|&v| v as u8).collect();
    for dims in [&[1, 48, 64][..], &[1, 1, 48, 64], &[48, 64]] {
        for (element, raw) in [(I64, longs(&map())), (I32, short.clone()), (U8, bytes.clone())] {
            let model = load(constant(image(), "y", element, dims, &raw), &text).unwrap();
            assert_eq!(found(model), one("scratch"), "{dims:?} of type {element}");
        }
    }
    // As real numbers they could be probabilities: the manifest has to say it.
    let real =
        || constant(image(), "y", F32, &[1, 48, 64], &floats(&map().iter().map(|&v| v as f32).collect::<Vec<_>>()));
    assert!(load(real(), &text).is_err());
    assert_eq!(found(load(real(), &format!("{text}format = \"class-map\"\n")).unwrap()), one("scratch"));
    // Every pixel has some kind: without one that is good nothing could pass.
    let graph = constant(image(), "y", U8, &[1, 48, 64], &bytes);
    let error = load(graph, &text.replace("good = [\"bg\"]", ""));
    assert!(error.unwrap_err().to_string().contains("[output] good with the kind of a sound surface"));
    let model = load(constant(image(), "y", BOOL, &[1, 48, 64], &bytes), &text).unwrap();
    assert_eq!(found(model), one("scratch"));
    // A number beyond the kinds is no sound surface.
    let graph = constant(image(), "y", U8, &[1, 48, 64], &bytes.iter().map(|v| v * 255).collect::<Vec<_>>());
    let error = load(graph, &text).unwrap_err().to_string();
    assert!(error.contains("numbers of the 2 kinds") && error.contains("255"), "{error}");
}

#[test]
fn a_semantic_task_of_ultralytics_needs_no_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let bytes: Vec<u8> = map().iter().map(|&v| v as u8).collect();
    let of = |names: &str| {
        let graph = constant(image(), "output0", U8, &[1, 48, 64], &bytes);
        let graph = graph.metadata("task", "semantic").metadata("imgsz", "[48, 64]").metadata("stride", "32");
        fs::write(&path, graph.metadata("names", names).bytes()).unwrap();
        found(Model::load(&path).unwrap())
    };
    assert_eq!(of("{0: 'a', 1: 'b'}"), one("b"));
    assert_eq!(of("{0: 'crack'}"), one("crack"), "a single kind is number 1");
    let graph = constant(image(), "output0", U8, &[1, 48, 64], &bytes);
    let graph = graph.metadata("task", "semantic").metadata("imgsz", "[48, 64]").metadata("names", "['a', 'a']");
    fs::write(&path, graph.bytes()).unwrap();
    assert!(Model::load(&path).unwrap_err().to_string().contains("`a` twice"));
    // Polygons: the background is last. Here it is the place, and all around it is a defect.
    assert_eq!(of("{0: 'a', 1: 'background'}"), [("a".to_owned(), [0.0, 0.0, 64.0, 48.0])]);
}
