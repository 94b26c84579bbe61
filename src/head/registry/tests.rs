use super::*;
use crate::runtime::Port;

fn port(name: &str, element: &str, shape: &[i64]) -> Port {
    let shape = shape.iter().map(|&d| usize::try_from(d).ok()).collect();
    Port { name: name.to_owned(), element: element.to_owned(), shape }
}

/// The head as its debug text, which names the outputs that it reads.
fn look(task: Task, format: &str, kinds: usize, outputs: &[Port]) -> Result<String, Mismatch> {
    let mut output = OutputConfig::new((0..kinds).map(|k| Kind::new(format!("k{k}"))).collect());
    output.format = format.into();
    output.good = if task == Task::Segment { vec!["k0".into()] } else { Vec::new() };
    let signature = Signature { inputs: Vec::new(), outputs: outputs.to_vec() };
    find(task, &output, &signature, &[]).map(|head| format!("{head:?}"))
}

#[test]
fn auto_tells_the_formats_apart() {
    let f32 = |shape: &[i64]| port("output0", "f32", shape);
    let rows = |form, prototypes| format!("Rows {{ rows: 0, prototypes: {prototypes}, form: PhantomData<{form}> }}");
    let rows = |module: &str, form: &str, prototypes: &str| {
        rows(format!("panelqc::head::format::{module}::{form}"), prototypes.to_owned())
    };
    let proto = port("output1", "f32", &[1, 32, 16, 16]);
    let detr = [port("logits", "f32", &[-1, 100, 3]), port("pred_boxes", "f32", &[-1, 100, 4])];
    let rf_detr = [port("dets", "f32", &[1, 300, 4]), port("labels", "f32", &[1, 300, 3])];
    let boxes = [
        port("7", "f32", &[-1, 4]),
        port("9", "i64", &[-1]),
        port("8", "f32", &[-1]),
        port("m", "f32", &[-1, 1, 8, 8]),
    ];
    let set = |logits, boxes, how, nothing| {
        format!("Detr {{ logits: {logits}, boxes: {boxes}, activation: {how}, nothing: {nothing} }}")
    };
    let torchvision = |masks| format!("Boxes {{ boxes: 0, labels: 1, scores: 2, masks: {masks} }}");
    let scored = [port("pred_score", "f32", &[-1]), port("anomaly_map", "f32", &[-1, 1, 8, 8])];
    let cases = [
        (Task::Detect, 2, vec![f32(&[1, 6, 8400])], rows("yolo", "Yolo", "None")),
        (Task::Detect, 2, vec![f32(&[-1, 6, -1])], rows("yolo", "Yolo", "None")),
        (Task::Detect, 2, vec![port("o", "f16", &[1, 8400, 7])], rows("yolo_v5", "YoloV5", "None")),
        (Task::Detect, 3, vec![f32(&[1, 300, 6])], rows("end2end", "EndToEnd", "None")),
        (Task::Instance, 2, vec![f32(&[1, 38, 8400]), proto.clone()], rows("yolo", "Yolo", "Some(1)")),
        (Task::Instance, 2, vec![f32(&[1, 300, 38]), proto], rows("end2end", "EndToEnd", "Some(1)")),
        (Task::Detect, 3, detr.to_vec(), set(0, 1, "Sigmoid", false)),
        (Task::Detect, 2, detr.to_vec(), set(0, 1, "Softmax", true)),
        (Task::Detect, 2, rf_detr.to_vec(), set(1, 0, "Sigmoid", true)),
        (Task::Detect, 3, boxes[..3].to_vec(), torchvision("None")),
        (Task::Instance, 3, boxes.to_vec(), torchvision("Some(3)")),
        (Task::Segment, 3, vec![f32(&[1, 3, 64, 64])], "Segments { map: 0 }".to_owned()),
        (
            Task::Anomaly,
            1,
            vec![f32(&[1, 1, 64, 64])],
            "Anomaly { map: Some(0), score: None, scalar: false }".to_owned(),
        ),
        (Task::Anomaly, 1, scored.to_vec(), "Anomaly { map: Some(1), score: Some(0), scalar: false }".to_owned()),
    ];
    let nas = |names: [&str; 2]| vec![port(names[0], "f32", &[1, 20, 4]), port(names[1], "f32", &[1, 20, 2])];
    let own = |names: [&str; 3], whole: &str| {
        vec![port(names[0], whole, &[-1, 300]), port(names[1], "f32", &[-1, 300, 4]), port(names[2], "f32", &[-1, 300])]
    };
    let counted = |names: [&str; 4]| {
        let mut ports = own([names[0], names[1], names[2]], "i32");
        ports.push(port(names[3], "i32", &[-1, 1]));
        ports
    };
    let selected = |count: &str| format!("Detections {{ boxes: 1, labels: 0, first: 0, scores: 2, count: {count},");
    let cases = cases.into_iter().chain([
        (
            Task::Detect,
            2,
            nas(["graph2_pred_bboxes", "graph2_pred_scores"]),
            "YoloNas { boxes: 0, scores: 1 }".to_owned(),
        ),
        (Task::Detect, 2, nas(["pred_boxes", "logits"]), set(1, 0, "Sigmoid", false)),
        (Task::Detect, 2, own(["labels", "boxes", "scores"], "i64"), selected("None")),
        (Task::Detect, 2, counted(["det_classes", "det_boxes", "det_scores", "num_dets"]), selected("Some(3)")),
        (
            Task::Segment,
            3,
            vec![port("y", "i64", &[1, 64, 64])],
            "ClassMap { map: 0, rank: 2, batched: true }".to_owned(),
        ),
        (
            Task::Segment,
            3,
            vec![port("y", "u8", &[1, 1, 64, 64])],
            "ClassMap { map: 0, rank: 3, batched: true }".to_owned(),
        ),
        (
            Task::Segment,
            3,
            vec![port("y", "i32", &[64, 64])],
            "ClassMap { map: 0, rank: 2, batched: false }".to_owned(),
        ),
    ]);
    for (task, kinds, outputs, want) in cases {
        let found = look(task, "auto", kinds, &outputs);
        assert!(found.as_ref().is_ok_and(|head| head.starts_with(&want)), "{task:?} {}: {found:?}", list(&outputs));
    }
}

#[test]
fn what_fits_several_formats_is_not_guessed() {
    // One kind: objectness and a probability, or a confidence and a kind.
    let outputs = [port("output0", "f32", &[1, 300, 6])];
    let m = look(Task::Detect, "auto", 1, &outputs).unwrap_err();
    assert!(m.expected.contains("format") && m.found.contains("yolo-v5, end2end"), "{m}");
    for (format, form) in [("yolo-v5", "YoloV5"), ("end2end", "EndToEnd")] {
        assert!(look(Task::Detect, format, 1, &outputs).unwrap().contains(form));
    }
    // One number more than kinds and sides may be an angle or a forgotten kind.
    let outputs = [port("output0", "f32", &[1, 7, 8400])];
    let m = look(Task::Detect, "auto", 2, &outputs).unwrap_err();
    assert!(m.expected.contains("yolo-obb") && m.found.contains("f32[1, 7, 8400]"), "{m}");
    assert!(look(Task::Detect, "yolo-obb", 2, &outputs).is_ok());
    // Maps that are both ambiguous and unnamed.
    let outputs = [port("a", "f32", &[1, 2, 8, 8]), port("b", "f32", &[1, 2, 8, 8])];
    assert!(look(Task::Segment, "auto", 2, &outputs).is_err());
    assert_eq!(look(Task::Classify, "mask", 2, &outputs).unwrap_err().expected, "a format for task classify (scores)");
    let m = look(Task::Detect, "frobnicate", 2, &outputs).unwrap_err();
    assert!(m.expected.contains("grid, yolo, yolo-v5") && m.found == "`frobnicate`", "{m}");
}

#[test]
fn selected_detections_are_not_guessed_without_names() {
    let outputs = [port("a", "i64", &[-1, 300]), port("b", "f32", &[-1, 300, 4]), port("c", "f32", &[-1, 300])];
    assert!(look(Task::Detect, "auto", 2, &outputs).is_err());
    assert!(look(Task::Detect, "detections", 2, &outputs).is_ok());
}

#[test]
fn outputs_that_are_no_tensors_are_named() {
    let maps = Port { shape: Vec::new(), ..port("loss", "Sequence<Map<String, f32>>", &[]) };
    let outputs = [port("classLabel", "String", &[-1, 1]), maps];
    for format in ["auto", "scores"] {
        let m = look(Task::Classify, format, 2, &outputs[1..]).unwrap_err();
        assert!(m.found.starts_with("`loss` Sequence<Map<String, f32>>") && m.found.contains("ZipMap"), "{m}");
    }
    assert!(look(Task::Classify, "auto", 2, &outputs).unwrap_err().found.contains("`classLabel` String[?, 1]"));
    // Beside numbers they do no harm.
    let beside = [outputs[1].clone(), port("p", "f32", &[-1, 2])];
    assert!(look(Task::Classify, "auto", 2, &beside).is_ok());
}

#[test]
fn a_program_may_add_a_format_and_take_the_place_of_one() {
    fn none(_: &Search<'_>) -> Result<Arc<dyn Head>, Mismatch> {
        Err(Mismatch::new("mine", "yours"))
    }
    let outputs = vec![port("output0", "f32", &[1, 6, 8400])];
    let signature = Signature { inputs: Vec::new(), outputs };
    let mut output = OutputConfig::new(vec!["a".into(), "b".into()]);
    for name in ["mine", "yolo"] {
        output.format = name.into();
        let own = [HeadFormat::new(name, &[Task::Detect], none)];
        assert_eq!(find(Task::Detect, &output, &signature, &own).unwrap_err().found, "yours", "{name}");
        assert_ne!(find(Task::Segment, &output, &signature, &own).unwrap_err().found, "yours", "for another task");
    }
    output.format = Format::AUTO;
    let own = [HeadFormat::new("mine", &[Task::Detect], none)];
    assert!(find(Task::Detect, &output, &signature, &own).is_ok(), "not guessed unless it says so");
}
