//! What every format has to hold, whatever the graph returns.

use proptest::prelude::*;

use super::Decoder;
use crate::defect::Kind;
use crate::error::Error;
use crate::geometry::{Placement, Size};
use crate::model::{Activation, Layout, OutputConfig, Outputs, Rows};
use crate::tensor::{Fit, Preprocess};

/// A layout for two kinds, with the shapes of its outputs for a batch of two frames.
fn layouts() -> Vec<(&'static str, Layout, Vec<Vec<usize>>)> {
    let rows = |form, prototypes| Layout::Rows { rows: 0, form, prototypes };
    vec![
        ("scores", Layout::Scores { scores: 0, cam: Some(1) }, vec![vec![2, 2], vec![2, 2, 3, 4]]),
        ("grid", Layout::Grid { scores: 0, boxes: 1 }, vec![vec![2, 2, 3, 4], vec![2, 4, 3, 4]]),
        ("yolo", rows(Rows::Yolo, None), vec![vec![2, 6, 9]]),
        ("yolo with masks", rows(Rows::Yolo, Some(1)), vec![vec![2, 9, 5], vec![2, 3, 4, 4]]),
        ("yolo with masks of a quarter", rows(Rows::Yolo, Some(1)), vec![vec![2, 9, 5], vec![2, 3, 6, 8]]),
        ("yolo-v5", rows(Rows::YoloV5, None), vec![vec![2, 9, 7]]),
        ("yolo-v5 with masks", rows(Rows::YoloV5, Some(1)), vec![vec![2, 5, 10], vec![2, 3, 4, 4]]),
        ("yolo-obb", rows(Rows::Oriented, None), vec![vec![2, 7, 9]]),
        ("end2end", rows(Rows::EndToEnd, None), vec![vec![2, 9, 6]]),
        ("end2end with masks", rows(Rows::EndToEnd, Some(1)), vec![vec![2, 5, 9], vec![2, 3, 4, 4]]),
        ("end2end-obb", rows(Rows::EndToEndOriented, None), vec![vec![2, 9, 7]]),
        ("rtdetr", rows(Rows::Relative, None), vec![vec![2, 9, 6]]),
        (
            "detr",
            Layout::Detr { logits: 0, boxes: 1, activation: Activation::Sigmoid },
            vec![vec![2, 5, 2], vec![2, 5, 4]],
        ),
        (
            "detr with nothing",
            Layout::Detr { logits: 0, boxes: 1, activation: Activation::Softmax },
            vec![vec![2, 5, 3], vec![2, 5, 4]],
        ),
        (
            "detr with a number that is left out",
            Layout::Detr { logits: 0, boxes: 1, activation: Activation::Sigmoid },
            vec![vec![2, 5, 3], vec![2, 5, 4]],
        ),
        (
            "boxes",
            Layout::Boxes { boxes: 0, labels: 1, scores: 2, masks: Some(3) },
            vec![vec![4, 4], vec![4], vec![4], vec![4, 1, 8, 8]],
        ),
        ("mask", Layout::Mask { map: 0 }, vec![vec![2, 2, 4, 5]]),
        ("anomaly", Layout::Anomaly { map: Some(0), score: Some(1) }, vec![vec![2, 1, 4, 5], vec![2]]),
        ("anomaly map alone", Layout::Anomaly { map: Some(0), score: None }, vec![vec![2, 4, 5]]),
    ]
}

fn decoder(layout: Layout, activation: Activation) -> Decoder {
    let kinds: Vec<Kind> = vec!["a".into(), "b".into()];
    let output = OutputConfig { confidence: 0.3, activation, ..OutputConfig::new(kinds) };
    Decoder::of(layout, output, ["first", "second", "third", "fourth"].map(str::to_owned).to_vec())
}

/// Outputs of those shapes, filled from `values` again and again; where kinds are numbered, with numbers of kinds.
fn outputs(layout: Layout, shapes: &[Vec<usize>], values: &[f32]) -> Outputs {
    let mut source = values.iter().copied().cycle();
    let mut tensors: Vec<(Vec<usize>, Vec<f32>)> =
        shapes.iter().map(|shape| (shape.clone(), source.by_ref().take(shape.iter().product()).collect())).collect();
    let whole = |v: &mut f32| *v = (v.abs() % 2.0).floor();
    match layout {
        Layout::Boxes { labels, .. } => tensors[labels].1.iter_mut().for_each(whole),
        Layout::Rows { rows, form: Rows::EndToEnd | Rows::EndToEndOriented | Rows::Relative, .. } => {
            let width = shapes[rows][2];
            tensors[rows].1.iter_mut().skip(5).step_by(width).for_each(whole);
        }
        _ => {}
    }
    Outputs::from_tensors(tensors)
}

fn placement(fit: Fit, width: u32, height: u32) -> Placement {
    Preprocess { fit, ..Preprocess::new(Size::new(32, 24)) }.placement(Size::new(width, height))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_finite_output_gives_defects_inside_the_image(
        values in proptest::collection::vec(prop_oneof![-2f32..2.0, -1e6f32..1e6, Just(0.0), 0f32..30.0], 150),
        width in 1u32..90, height in 1u32..90,
        fit in prop_oneof![Just(Fit::Letterbox), Just(Fit::Stretch), Just(Fit::Crop)],
        stride in proptest::option::of(Just(8)),
        activation in prop_oneof![Just(Activation::None), Just(Activation::Sigmoid), Just(Activation::Softmax)],
    ) {
        let placement = Preprocess { fit, stride, ..Preprocess::new(Size::new(32, 24)) }.placement(Size::new(width, height));
        for (name, layout, shapes) in layouts() {
            let outputs = outputs(layout, &shapes, &values);
            for index in 0..2 {
                let decoded = decoder(layout, activation).decode(&outputs, index, &placement);
                let decoded = decoded.map_err(|e| TestCaseError::fail(format!("{name}: {e}")))?;
                prop_assert!((0.0..=1.0).contains(&decoded.score), "{name}: score {}", decoded.score);
                for pair in decoded.defects.windows(2) {
                    prop_assert!(pair[0].confidence >= pair[1].confidence, "{name}: the surest first");
                }
                for defect in &decoded.defects {
                    let b = defect.bbox;
                    let inside = b.x0 >= 0.0 && b.y0 >= 0.0 && b.x1 <= width as f32 && b.y1 <= height as f32;
                    prop_assert!(inside && b.area() > 0.0, "{name}: {b:?} in {width} x {height}");
                    if let Some(mask) = &defect.mask {
                        prop_assert_eq!((mask.size(), mask.area()), (Size::new(width, height), defect.area_px));
                    }
                }
            }
        }
    }
}

#[test]
fn a_number_that_is_none_names_its_output() {
    let placement = placement(Fit::Stretch, 40, 40);
    let values = [0.4, 0.6, 0.5, 0.2, 0.7];
    for (name, layout, shapes) in layouts() {
        let names = ["first", "second", "third", "fourth"];
        for (output, shape) in shapes.iter().enumerate() {
            // Labels are whole numbers in the graph: they cannot be NaN.
            if matches!(layout, Layout::Boxes { labels, .. } if labels == output) {
                continue;
            }
            for bad in [f32::NAN, f32::INFINITY] {
                let size: usize = shape.iter().product();
                let frame = if layout.single() { size } else { size / shape[0] };
                let mut tensors = Vec::new();
                for (other, shape) in shapes.iter().enumerate() {
                    let mut data: Vec<f32> = values.iter().copied().cycle().take(shape.iter().product()).collect();
                    if matches!(layout, Layout::Boxes { labels, .. } if labels == other) {
                        data.fill(1.0);
                    }
                    if matches!(
                        layout,
                        Layout::Rows { form: Rows::EndToEnd | Rows::EndToEndOriented | Rows::Relative, .. }
                    ) {
                        data.iter_mut().skip(5).step_by(shape[2]).for_each(|v| *v = 1.0);
                    }
                    if other == output {
                        data[frame - 1] = bad;
                    }
                    tensors.push((shape.clone(), data));
                }
                let error = decoder(layout, Activation::Sigmoid)
                    .decode(&Outputs::from_tensors(tensors), 0, &placement)
                    .expect_err(&format!("{name}: {bad} in output {output}"));
                assert!(matches!(&error, Error::Output { output: o, .. } if o == names[output]), "{name}: {error}");
            }
        }
    }
}

#[test]
fn another_shape_than_declared_is_an_error() {
    let placement = placement(Fit::Stretch, 40, 40);
    for (name, layout, shapes) in layouts() {
        for output in 0..shapes.len() {
            let mut wrong = shapes.clone();
            // An anomaly's score may have one axis more.
            wrong[output].extend([1, 1]);
            let outputs = outputs(layout, &wrong, &[0.5]);
            let error = decoder(layout, Activation::None).decode(&outputs, 1, &placement);
            assert!(matches!(error, Err(Error::Output { .. })), "{name}, output {output}: {error:?}");
        }
    }
}
