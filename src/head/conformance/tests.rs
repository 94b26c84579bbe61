use super::*;
use crate::head::{Activation, Format, Task, find};
use crate::runtime::{Port, Signature};

/// Every format, with outputs for two kinds and a batch of two.
#[test]
fn every_head_holds() {
    let labels = |shapes: &[Vec<usize>], numbers: &mut [Vec<f32>]| {
        let _ = shapes;
        numbers[1].iter_mut().for_each(|v| *v = (v.abs() % 2.0).floor());
    };
    let kinds = |shapes: &[Vec<usize>], numbers: &mut [Vec<f32>]| {
        let whole = |v: &mut f32| *v = (v.abs() % 2.0).floor();
        numbers[0].iter_mut().skip(5).step_by(shapes[0][2]).for_each(whole);
    };
    let detections = |_: &[Vec<usize>], numbers: &mut [Vec<f32>]| {
        numbers[1].iter_mut().for_each(|v| *v = (v.abs() % 2.0).floor());
        numbers[3].fill(5.0);
    };
    let whole = |_: &[Vec<usize>], numbers: &mut [Vec<f32>]| {
        numbers[0].iter_mut().for_each(|v| *v = (v.abs() % 2.0).floor());
    };
    // Offsets within a few cells, and logarithms of a few cells.
    let cells = |shapes: &[Vec<usize>], numbers: &mut [Vec<f32>]| {
        let rows = numbers[0].chunks_mut(shapes[0][2]);
        rows.for_each(|row| row[..4].iter_mut().filter(|v| v.is_finite()).for_each(|v| *v %= 1.0));
    };
    let cases: [(&str, Task, &[&[usize]]); 27] = [
        ("scores", Task::Classify, &[&[2, 2], &[2, 2, 3, 4]]),
        ("grid", Task::Detect, &[&[2, 2, 3, 4], &[2, 4, 3, 4]]),
        ("yolo", Task::Detect, &[&[2, 6, 9]]),
        ("yolo", Task::Instance, &[&[2, 9, 5], &[2, 3, 4, 4]]),
        // Prototypes of a quarter of the input.
        ("yolo", Task::Instance, &[&[2, 9, 5], &[2, 3, 6, 8]]),
        ("yolo-v5", Task::Detect, &[&[2, 9, 7]]),
        ("yolo-v5", Task::Instance, &[&[2, 5, 10], &[2, 3, 4, 4]]),
        // An input of 32x24: 4 * 3 cells of 8 pixels, 2 * 2 of 16 or parts of them, 1 of 32.
        ("yolox", Task::Detect, &[&[2, 17, 7]]),
        ("yolo-nas", Task::Detect, &[&[2, 9, 4], &[2, 9, 2]]),
        ("detections", Task::Detect, &[&[2, 5, 4], &[2, 5], &[2, 5], &[2, 1]]),
        ("detections", Task::Detect, &[&[2, 5, 4], &[2, 5], &[2, 5], &[2]]),
        ("tf-detections", Task::Detect, &[&[2, 5, 4], &[2, 5], &[2, 5], &[2], &[2, 7, 2]]),
        ("class-map", Task::Segment, &[&[2, 4, 5]]),
        ("class-map", Task::Segment, &[&[2, 1, 4, 5]]),
        ("class-map", Task::Segment, &[&[4, 5]]),
        ("yolo-obb", Task::Detect, &[&[2, 7, 9]]),
        ("end2end", Task::Detect, &[&[2, 9, 6]]),
        ("end2end", Task::Instance, &[&[2, 5, 9], &[2, 3, 4, 4]]),
        ("end2end-obb", Task::Detect, &[&[2, 9, 7]]),
        ("rtdetr", Task::Detect, &[&[2, 9, 6]]),
        ("detr", Task::Detect, &[&[2, 5, 2], &[2, 5, 4]]),
        ("detr", Task::Detect, &[&[2, 5, 3], &[2, 5, 4]]),
        ("boxes", Task::Detect, &[&[4, 4], &[4], &[4]]),
        ("boxes", Task::Instance, &[&[4, 4], &[4], &[4], &[4, 1, 8, 8]]),
        ("mask", Task::Segment, &[&[2, 2, 4, 5]]),
        ("anomaly", Task::Anomaly, &[&[2, 1, 4, 5], &[2]]),
        ("anomaly", Task::Anomaly, &[&[2, 4, 5]]),
    ];
    let mut seen: Vec<&str> = Vec::new();
    for (format, task, shapes) in cases {
        for activation in [Activation::None, Activation::Sigmoid, Activation::Softmax] {
            let mut output = OutputConfig::new(vec!["a".into(), "b".into()]);
            (output.confidence, output.activation, output.format) = (0.3, activation, Format::named(format));
            let names: &[&str] = match format {
                "scores" => &["scores", "cam"],
                "grid" => &["scores", "boxes"],
                "boxes" => &["boxes", "labels", "scores", "masks"],
                "detr" => &["logits", "pred_boxes"],
                "yolo-nas" => &["pred_boxes", "pred_scores"],
                "detections" => &["boxes", "labels", "scores", "num_dets"],
                "tf-detections" => &[
                    "detection_boxes",
                    "detection_classes",
                    "detection_scores",
                    "num_detections",
                    "raw_detection_scores",
                ],
                _ => &["first", "second"],
            };
            output.good = if format == "class-map" { vec!["a".into()] } else { Vec::new() };
            output.cam = (format == "scores").then(|| "cam".to_owned());
            let port = |(name, shape): (&&str, &&[usize])| Port {
                name: (*name).to_owned(),
                element: if *name == "labels" || format == "class-map" { "i64" } else { "f32" }.to_owned(),
                shape: shape.iter().map(|&side| Some(side)).collect(),
            };
            let outputs = names.iter().zip(shapes).map(port).collect();
            let signature = Signature { inputs: Vec::new(), outputs };
            let head = find(task, &output, &signature, &[]).unwrap_or_else(|m| panic!("{format}: {m}"));
            let case = Case::new(head, output, shapes.iter().map(|shape| shape.to_vec()).collect());
            let case = match format {
                "boxes" => case.with_whole_numbers(vec![1]).with_mended(labels),
                "end2end" | "end2end-obb" | "rtdetr" => case.with_mended(kinds),
                // Nine rows are one for each cell of some smaller input.
                "yolo-v5" => case.with_fixed_size(),
                "yolox" => case.with_fixed_size().with_mended(cells),
                "detections" | "tf-detections" => case.with_whole_numbers(vec![1, 3]).with_mended(detections),
                "class-map" => case.with_whole_numbers(vec![0]).with_mended(whole),
                _ => case,
            };
            check(&case).unwrap_or_else(|problem| panic!("{format} {shapes:?} {activation:?}: {problem}"));
        }
        seen.push(format);
    }
    for format in crate::head::format::FORMATS {
        assert!(seen.contains(&format.name()), "{} is not held to anything", format.name());
    }
}

/// A head that gives what it is told.
#[derive(Debug)]
struct Wrong(fn(&Context, &Slot<'_>, &mut Proposals) -> Result<Decoded>);

impl Head for Wrong {
    fn outputs(&self) -> Vec<usize> {
        vec![0]
    }

    fn propose(&self, context: &Context, slot: &Slot<'_>, found: &mut Proposals) -> Result<()> {
        let numbers = slot.array(0, 1)?;
        slot.finite(0, &numbers)?;
        (self.0)(context, slot, found).map(|_| ())
    }

    fn assemble(&self, context: &Context, found: &mut Proposals) -> Result<Decoded> {
        let placement = found.views()[0];
        let outputs = Outputs::default();
        (self.0)(context, &Slot::new(&outputs, 0, &placement), found)
    }
}

#[test]
fn a_head_that_does_not_hold_is_told() {
    use crate::defect::{Confidence, Defect};
    use crate::geometry::PixelBox;

    let problem = |wrong| {
        let output = OutputConfig::new(vec!["a".into()]);
        check(&Case::new(Arc::new(Wrong(wrong)), output, vec![vec![2, 3]])).unwrap_err()
    };
    assert!(problem(|_, _, _| Ok(Decoded::new(Vec::new(), 1.5))).contains("score 1.5"));
    let outside = problem(|_, _, _| {
        let defect = |c| Defect::new("a".into(), Confidence::new(c).unwrap(), PixelBox::new(0.0, 0.0, 999.0, 1.0));
        Ok(Decoded::new(vec![defect(0.5)], 0.5))
    });
    assert!(outside.contains("the box"), "{outside}");
    let unordered = problem(|_, _, _| {
        let defect = |c| Defect::new("a".into(), Confidence::new(c).unwrap(), PixelBox::new(0.0, 0.0, 1.0, 1.0));
        Ok(Decoded::new(vec![defect(0.5), defect(0.6)], 0.5))
    });
    assert!(unordered.contains("ordered"), "{unordered}");
}
