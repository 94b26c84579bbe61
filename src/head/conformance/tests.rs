use super::*;
use crate::defect::{Confidence, Defect};
use crate::geometry::PixelBox;
use crate::head::{Activation, Candidate, Loss, Task, find};
use crate::runtime::{Port, Signature};

type Shapes<'a> = &'a [Vec<usize>];
/// A format and a task, the shapes that a graph declares, and those that it gives.
type Given<'a> = (&'a str, Task, &'a [&'a [usize]], &'a [&'a [usize]]);
type Mend = fn(Shapes<'_>, &mut [Vec<f32>]);

/// Where the numbers of one proposal of the first output lie: along axis 1 or 2.
fn places(shapes: Shapes<'_>, axis: usize, row: usize, view: usize) -> impl Fn(usize) -> usize {
    let (first, step) = if axis == 1 { (row, shapes[0][2]) } else { (row * shapes[0][2], 1) };
    let start = view * shapes[0][1] * shapes[0][2] + first;
    move |number| start + number * step
}

/// Makes boxes in pixels and, of numbers `from..to` of each proposal, probabilities.
fn rows(shapes: Shapes<'_>, numbers: &mut [Vec<f32>], axis: usize, (from, to): (usize, usize)) {
    for view in 0..shapes[0][0] {
        for row in 0..shapes[0][3 - axis] {
            let place = places(shapes, axis, row, view);
            (0..4).for_each(|n| numbers[0][place(n)] *= 24.0);
            (from..to).for_each(|n| probability(&mut numbers[0][place(n)]));
        }
    }
}

fn probability(v: &mut f32) {
    *v = v.abs() % 1.0;
}

fn whole(v: &mut f32) {
    *v = (v.abs() % 2.0).floor();
}

fn kind_numbers(shapes: Shapes<'_>, numbers: &mut [Vec<f32>]) {
    numbers[0].iter_mut().skip(5).step_by(shapes[0][2]).for_each(whole);
}

/// Whole numbers of kinds, probabilities, and how many of them count.
fn selected(numbers: &mut [Vec<f32>]) {
    numbers[1].iter_mut().for_each(whole);
    numbers[2].iter_mut().for_each(probability);
    numbers[3].fill(5.0);
}

/// What makes numbers of any kind outputs that the format may have.
fn mend(format: &str, activation: Activation) -> Mend {
    match (format, activation) {
        ("scores" | "mask" | "grid", Activation::None) => |_, numbers| numbers[0].iter_mut().for_each(probability),
        ("grid", Activation::Softmax) => |_, numbers| numbers[0].iter_mut().for_each(probability),
        ("anomaly", _) => |_, numbers| numbers.iter_mut().flatten().for_each(probability),
        ("yolo", _) => |shapes, numbers| rows(shapes, numbers, 1, (4, 6)),
        ("yolo-obb", _) => |shapes, numbers| rows(shapes, numbers, 1, (4, 6)),
        ("yolo-v5", _) => |shapes, numbers| rows(shapes, numbers, 2, (4, 7)),
        ("end2end" | "end2end-obb", _) => |shapes, numbers| {
            rows(shapes, numbers, 2, (4, 5));
            kind_numbers(shapes, numbers);
        },
        ("rtdetr", _) => |shapes, numbers| {
            // Parts of the input stay what they are.
            rows(shapes, numbers, 2, (4, 5));
            numbers[0]
                .iter_mut()
                .enumerate()
                .filter(|(place, _)| place % 6 < 4)
                .for_each(|(_, v)| *v = *v / 24.0 % 2.0);
            kind_numbers(shapes, numbers);
        },
        ("detr", _) => |_, numbers| {
            numbers[0].iter_mut().for_each(|v| *v = *v * 8.0 - 4.0);
            numbers[1].iter_mut().for_each(|v| *v %= 2.0);
        },
        ("boxes", _) => |_, numbers| {
            numbers[0].iter_mut().for_each(|v| *v *= 24.0);
            numbers[1].iter_mut().for_each(whole);
            numbers[2..].iter_mut().flatten().for_each(probability);
        },
        ("yolo-nas", _) => |_, numbers| {
            numbers[0].iter_mut().for_each(|v| *v *= 24.0);
            numbers[1].iter_mut().for_each(probability);
        },
        ("detections", _) => |_, numbers| {
            numbers[0].iter_mut().for_each(|v| *v *= 24.0);
            selected(numbers);
        },
        ("tf-detections", _) => |_, numbers| {
            // Parts of the input stay what they are.
            numbers[0].iter_mut().for_each(|v| *v %= 2.0);
            selected(numbers);
        },
        ("class-map", _) => |_, numbers| numbers[0].iter_mut().for_each(whole),
        ("yolox", _) => |shapes, numbers| {
            rows(shapes, numbers, 2, (4, 7));
            // Offsets within a few cells, and logarithms of a few cells.
            let rows = numbers[0].chunks_mut(shapes[0][2]);
            rows.for_each(|row| row[..4].iter_mut().filter(|v| v.is_finite()).for_each(|v| *v %= 1.0));
        },
        _ => |_, _| (),
    }
}

/// Whether a kind has a place of its own in the output: it has a name.
fn has_place(detection: &Detection) -> bool {
    detection.kind == 0.0 || detection.kind == 1.0
}

/// Centre and size of a box.
fn centred([x0, y0, x1, y1]: [f32; 4]) -> [f32; 4] {
    [x0 / 2.0 + x1 / 2.0, y0 / 2.0 + y1 / 2.0, x1 - x0, y1 - y0]
}

/// Writes the numbers of the first proposal, and masks that are everywhere.
fn write(shapes: Shapes<'_>, numbers: &mut [Vec<f32>], axis: usize, proposal: &[f32]) -> bool {
    let place = places(shapes, axis, 0, 0);
    let (count, weights) = (shapes[0][axis], proposal.len());
    proposal.iter().enumerate().for_each(|(n, &value)| numbers[0][place(n)] = value);
    (weights..count).for_each(|n| numbers[0][place(n)] = 1.0);
    numbers[1..].iter_mut().flatten().for_each(|v| *v = 9.0);
    true
}

/// How a detection is written in a format; `None` for those without boxes.
fn detection(format: &str) -> Option<WriteDetection> {
    Some(match format {
        "yolo" => |d, shapes, numbers| {
            let [x, y, w, h] = centred(d.sides);
            let at = |kind: f32| if d.kind == kind { d.confidence } else { 0.0 };
            has_place(d) && write(shapes, numbers, 1, &[x, y, w, h, at(0.0), at(1.0)])
        },
        "yolo-obb" => |d, shapes, numbers| {
            let [x, y, w, h] = centred(d.sides);
            let at = |kind: f32| if d.kind == kind { d.confidence } else { 0.0 };
            has_place(d) && write(shapes, numbers, 1, &[x, y, w, h, at(0.0), at(1.0), 0.0])
        },
        "yolo-v5" => |d, shapes, numbers| {
            let [x, y, w, h] = centred(d.sides);
            let at = |kind: f32| if d.kind == kind { d.confidence } else { 0.0 };
            has_place(d) && write(shapes, numbers, 2, &[x, y, w, h, 1.0, at(0.0), at(1.0)])
        },
        "end2end" => |d, shapes, numbers| {
            let [x0, y0, x1, y1] = d.sides;
            write(shapes, numbers, 2, &[x0, y0, x1, y1, d.confidence, d.kind])
        },
        "end2end-obb" => |d, shapes, numbers| {
            let [x, y, w, h] = centred(d.sides);
            write(shapes, numbers, 2, &[x, y, w, h, d.confidence, d.kind, 0.0])
        },
        "rtdetr" => |d, shapes, numbers| {
            let [x, y, w, h] = centred(d.sides);
            write(shapes, numbers, 2, &[x / 32.0, y / 24.0, w / 32.0, h / 24.0, d.confidence, d.kind])
        },
        "detr" => |d, shapes, numbers| {
            let [x, y, w, h] = centred(d.sides);
            numbers[0].iter_mut().for_each(|v| *v = -9.0);
            if !has_place(d) || !(0.0..1.0).contains(&d.confidence) {
                return false;
            }
            // The last of three is for nothing.
            numbers[0].iter_mut().skip(2).step_by(3).filter(|_| shapes[0][2] == 3).for_each(|v| *v = 0.0);
            numbers[0][d.kind as usize] = 9.0;
            numbers[1][..4].copy_from_slice(&[x / 32.0, y / 24.0, w / 32.0, h / 24.0]);
            true
        },
        "boxes" => |d, _, numbers| {
            numbers[0][..4].copy_from_slice(&d.sides);
            (numbers[1][0], numbers[2][0]) = (d.kind, d.confidence);
            numbers[3..].iter_mut().flatten().for_each(|v| *v = 1.0);
            true
        },
        "yolo-nas" => |d, _, numbers| {
            numbers[0][..4].copy_from_slice(&d.sides);
            if !has_place(d) {
                return false;
            }
            numbers[1][d.kind as usize] = d.confidence;
            true
        },
        "detections" => |d, _, numbers| {
            numbers[0][..4].copy_from_slice(&d.sides);
            (numbers[1][0], numbers[2][0]) = (d.kind, d.confidence);
            numbers[3].fill(1.0);
            true
        },
        "tf-detections" => |d, _, numbers| {
            let [x0, y0, x1, y1] = d.sides;
            numbers[0][..4].copy_from_slice(&[y0 / 24.0, x0 / 32.0, y1 / 24.0, x1 / 32.0]);
            (numbers[1][0], numbers[2][0]) = (d.kind, d.confidence);
            numbers[3].fill(1.0);
            true
        },
        "grid" => |d, _, numbers| {
            // The first of 4 x 3 cells has its centre at (4, 4).
            let [x0, y0, x1, y1] = d.sides;
            if !has_place(d) {
                return false;
            }
            numbers[0][d.kind as usize * 12] = d.confidence;
            [4.0 - x0, 4.0 - y0, x1 - 4.0, y1 - 4.0].iter().enumerate().for_each(|(n, &v)| numbers[1][n * 12] = v);
            true
        },
        _ => return None,
    })
}

/// Every format, with outputs for two kinds and a batch of two.
#[test]
fn every_head_holds() {
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
            let (head, output) = head(format, task, shapes, activation);
            let case = Case::new(head, output, shapes.iter().map(|shape| shape.to_vec()).collect());
            let case = case.with_mended(mend(format, activation));
            let case = match format {
                "boxes" => case.with_whole_numbers(vec![1]),
                // Nine rows are one for each cell of some smaller input.
                "yolo-v5" | "yolox" => case.with_fixed_size(),
                "detections" | "tf-detections" => case.with_whole_numbers(vec![1, 3]),
                "class-map" => case.with_whole_numbers(vec![0]),
                _ => case,
            };
            let case = match detection(format).filter(|_| activation == Activation::None) {
                Some(write) => case.with_detection(write),
                None => case,
            };
            check(&case).unwrap_or_else(|problem| panic!("{format} {shapes:?} {activation:?}: {problem}"));
        }
        seen.push(format);
    }
    for format in crate::head::format::FORMATS {
        assert!(seen.contains(&format.name()), "{} is not held to anything", format.name());
    }
}

fn head(format: &str, task: Task, shapes: &[&[usize]], activation: Activation) -> (Arc<dyn Head>, OutputConfig) {
    let mut output = OutputConfig::new(vec!["a".into(), "b".into()]);
    (output.confidence, output.activation, output.format) = (0.3, activation, format.into());
    let names: &[&str] = match format {
        "scores" => &["scores", "cam"],
        "grid" => &["scores", "boxes"],
        "boxes" => &["boxes", "labels", "scores", "masks"],
        "detr" => &["logits", "pred_boxes"],
        "yolo-nas" => &["pred_boxes", "pred_scores"],
        "detections" => &["boxes", "labels", "scores", "num_dets"],
        "tf-detections" => {
            &["detection_boxes", "detection_classes", "detection_scores", "num_detections", "raw_detection_scores"]
        }
        _ => &["first", "second"],
    };
    output.good = if format == "class-map" { vec!["a".into()] } else { Vec::new() };
    output.cam = (format == "scores").then(|| "cam".to_owned());
    let port = |(name, shape): (&&str, &&[usize])| Port {
        name: (*name).to_owned(),
        element: if *name == "labels" || format == "class-map" { "i64" } else { "f32" }.to_owned(),
        shape: shape.iter().map(|&side| Some(side)).collect(),
    };
    let signature = Signature { inputs: Vec::new(), outputs: names.iter().zip(shapes).map(port).collect() };
    let head = find(task, &output, &signature, &[]).unwrap_or_else(|m| panic!("{format}: {m}"));
    (head, output)
}

/// Outputs that a graph of dynamic sizes may give, and that would pass every panel.
#[test]
fn outputs_of_no_cells_are_an_error() {
    let decode = |format, task, declared: &[&[usize]], given: &[&[usize]]| {
        let (head, output) = head(format, task, declared, Activation::None);
        let tensors = (0..).map(name).zip(given);
        let tensors = tensors.map(|(name, shape)| (name, shape.to_vec(), vec![0.5; shape.iter().product()]));
        let placement = Preprocess::new(Size::new(32, 24)).placement(Size::new(40, 40));
        let decoder = Decoder::new(head, Context::new(output));
        decoder.decode(&Outputs::from_tensors(tensors), 0, &placement, &mut Proposals::default())
    };
    let refused: [Given<'_>; 12] = [
        ("scores", Task::Classify, &[&[1, 2], &[1, 2, 3, 4]], &[&[1, 2], &[1, 2, 0, 0]]),
        ("grid", Task::Detect, &[&[1, 2, 3, 4], &[1, 4, 3, 4]], &[&[1, 2, 0, 4], &[1, 4, 0, 4]]),
        ("grid", Task::Detect, &[&[1, 2, 3, 4], &[1, 4, 3, 4]], &[&[1, 2, 3, 4], &[1, 4, 2, 4]]),
        ("yolo", Task::Detect, &[&[1, 6, 9]], &[&[1, 6, 0]]),
        ("yolo", Task::Instance, &[&[1, 9, 5], &[1, 3, 4, 4]], &[&[1, 9, 5], &[1, 3, 0, 4]]),
        ("yolo-v5", Task::Detect, &[&[1, 9, 7]], &[&[1, 0, 7]]),
        ("detr", Task::Detect, &[&[1, 5, 2], &[1, 5, 4]], &[&[1, 0, 2], &[1, 0, 4]]),
        ("boxes", Task::Instance, &[&[4, 4], &[4], &[4], &[4, 1, 8, 8]], &[&[4, 4], &[4], &[4], &[4, 1, 0, 0]]),
        ("mask", Task::Segment, &[&[1, 2, 4, 5]], &[&[1, 2, 0, 5]]),
        ("mask", Task::Segment, &[&[1, 2, 4, 5]], &[&[1, 2, 0, 0]]),
        ("anomaly", Task::Anomaly, &[&[1, 1, 4, 5]], &[&[1, 1, 4, 0]]),
        ("anomaly", Task::Anomaly, &[&[1, 1, 4, 5], &[1, 1]], &[&[1, 1, 4, 5], &[1, 0]]),
    ];
    for (format, task, declared, given) in refused {
        let error = decode(format, task, declared, given).unwrap_err();
        assert!(error.kind() == ErrorKind::Output && error.name().is_some(), "{format} {given:?}: {error}");
    }
    // What a graph has suppressed may be nothing.
    let nothing: [Given<'_>; 3] = [
        ("end2end", Task::Detect, &[&[1, 9, 6]], &[&[1, 0, 6]]),
        ("boxes", Task::Detect, &[&[4, 4], &[4], &[4]], &[&[0, 4], &[0], &[0]]),
        ("boxes", Task::Instance, &[&[4, 4], &[4], &[4], &[4, 1, 8, 8]], &[&[0, 4], &[0], &[0], &[0, 1, 8, 8]]),
    ];
    for (format, task, declared, given) in nothing {
        assert_eq!(decode(format, task, declared, given).unwrap(), Decoded::default(), "{format} {given:?}");
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
    let problem = |wrong| {
        let output = OutputConfig::new(vec!["a".into()]);
        check(&Case::new(Arc::new(Wrong(wrong)), output, vec![vec![2, 3]])).unwrap_err()
    };
    assert!(problem(|_, _, _| Ok(Decoded::new(Vec::new(), 1.5))).contains("score 1.5"));
    assert!(problem(|_, _, _| Ok(Decoded::new(Vec::new(), 0.5))).contains("a score of 0.5, but no defect"));
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

/// Rows of a head of the program's own: corners, confidence, kind. `drops` loses some of them by itself.
#[derive(Debug)]
struct Own {
    drops: bool,
}

impl Head for Own {
    fn outputs(&self) -> Vec<usize> {
        vec![0]
    }

    fn propose(&self, context: &Context, slot: &Slot<'_>, found: &mut Proposals) -> Result<()> {
        let rows = slot.array(0, 2)?;
        slot.finite(0, &rows)?;
        for row in rows.outer_iter() {
            let bbox = PixelBox::new(row[0], row[1], row[2], row[3]);
            let seen = !self.drops || bbox.area() > 0.0;
            if seen {
                context.propose(slot, 0, Candidate::new(row[5].max(0.0) as usize, row[4], bbox), found)?;
            }
        }
        Ok(())
    }
}

#[test]
fn a_head_of_ones_own_loses_nothing_either_and_one_that_drops_boxes_is_told() {
    let case = |drops| {
        Case::new(Arc::new(Own { drops }), OutputConfig::new(vec!["a".into(), "b".into()]), vec![vec![2, 3, 6]])
            .with_mended(|_, numbers| numbers[0].iter_mut().skip(4).step_by(6).for_each(probability))
            .with_detection(|d, _, numbers| {
                numbers[0][..4].copy_from_slice(&d.sides);
                (numbers[0][4], numbers[0][5]) = (d.confidence, d.kind);
                d.kind >= 0.0 && d.kind.fract() == 0.0
            })
    };
    assert_eq!(check(&case(false)), Ok(()));
    let problem = check(&case(true)).unwrap_err();
    assert!(problem.contains("expected to be told of it"), "{problem}");
}

/// A head whose own assembly makes nothing of what it proposed.
#[derive(Debug)]
struct Forgets;

impl Head for Forgets {
    fn outputs(&self) -> Vec<usize> {
        vec![0]
    }

    fn propose(&self, context: &Context, slot: &Slot<'_>, found: &mut Proposals) -> Result<()> {
        let scores = slot.array(0, 1)?;
        slot.probabilities(0, &scores, "the graph has to make them")?;
        let region = PixelBox::from(slot.placement().region());
        scores.iter().enumerate().try_for_each(|(kind, &score)| {
            context.propose(slot, 0, Candidate::new(kind, score, region).placed(), found)
        })
    }

    fn assemble(&self, _: &Context, found: &mut Proposals) -> Result<Decoded> {
        Ok(Decoded::new(Vec::new(), found.score()))
    }
}

#[test]
fn what_a_head_makes_nothing_of_is_lost() {
    let output = OutputConfig { confidence: 0.5, ..OutputConfig::new(vec!["a".into(), "b".into()]) };
    let outputs = Outputs::from_tensors([("scores", vec![1, 2], vec![0.75, 0.25])]);
    let placement = Preprocess::new(Size::new(8, 8)).placement(Size::new(8, 8));
    let lost = |decoder: Decoder| {
        let decoded = decoder.decode(&outputs, 0, &placement, &mut Proposals::default()).unwrap();
        decoded.lost.iter().map(|lost| (lost.why, lost.kind.clone(), lost.more)).collect::<Vec<_>>()
    };
    let decoder = || Decoder::new(Arc::new(Forgets), Context::new(output.clone()));
    assert_eq!(lost(decoder()), [(Loss::Unreported, "a".to_owned(), 0)]);
    // Reporting more does not make the model surer.
    assert_eq!(lost(decoder().with_floors(|_| 0.1)), [(Loss::Unreported, "a".to_owned(), 0)]);
    assert_eq!(lost(decoder().with_sure(|_| 0.8)), []);
}
