use crate::error::ErrorKind;
use crate::geometry::Size;
use crate::head::{Activation, Decoded, Decoder, Format, Loss, Lost, OutputConfig, Task, find as find_head};
use crate::runtime::{Outputs, Port, Signature};
use crate::tensor::Preprocess;

/// Two kinds on a model input of 32x32; the frame is 64x32, so it lies at rows 8 to 24 at half its size.
fn decode(form: Format, shape: [usize; 2], numbers: &[f32]) -> crate::error::Result<Decoded> {
    let mut output = OutputConfig { confidence: 0.25, ..OutputConfig::new(vec!["a".into(), "b".into()]) };
    output.format = form;
    decode_as(output, shape, numbers)
}

fn decode_as(output: OutputConfig, shape: [usize; 2], numbers: &[f32]) -> crate::error::Result<Decoded> {
    let shape = vec![1, shape[0], shape[1]];
    let port =
        Port { name: "out".to_owned(), element: "f32".to_owned(), shape: shape.iter().copied().map(Some).collect() };
    let signature = Signature { inputs: Vec::new(), outputs: vec![port] };
    let head = find_head(Task::Detect, &output, &signature, &[]).unwrap();
    let outputs = Outputs::from_tensors([("out", shape, numbers.to_vec())]);
    let placement = Preprocess::new(Size::new(32, 32)).placement(Size::new(64, 32));
    Decoder::new(head, crate::head::Context::new(output)).decode(&outputs, 0, &placement, &mut Default::default())
}

fn found(decoded: &Decoded) -> Vec<(&str, f32, [f32; 4])> {
    decoded.defects.iter().map(|d| (d.kind.as_str(), d.confidence.get(), d.bbox.into())).collect()
}

#[test]
fn each_form_gives_the_same_box() {
    // Model pixels 8..16 x 12..20 are frame pixels 16..32 x 8..24.
    let want = [("b", 0.75, [16.0, 8.0, 32.0, 24.0])];
    let one = |form, numbers: &[f32]| found(&decode(form, [1, numbers.len()], numbers).unwrap()) == want;
    let column = |form, numbers: &[f32]| found(&decode(form, [numbers.len(), 1], numbers).unwrap()) == want;
    assert!(column(Format::YOLO, &[12.0, 16.0, 8.0, 8.0, 0.5, 0.75]));
    assert!(one(Format::YOLO_V5, &[12.0, 16.0, 8.0, 8.0, 0.9375, 0.2, 0.8]));
    assert!(column(Format::YOLO_OBB, &[12.0, 16.0, 8.0, 8.0, 0.5, 0.75, 0.0]));
    assert!(one(Format::END2END, &[8.0, 12.0, 16.0, 20.0, 0.75, 1.0]));
    assert!(one(Format::END2END_OBB, &[12.0, 16.0, 8.0, 8.0, 0.75, 1.0, 0.0]));
    assert!(one(Format::RTDETR, &[12.0 / 32.0, 0.5, 0.25, 0.25, 0.75, 1.0]));
}

#[test]
fn a_turned_box_has_corners_and_an_upright_one_around_it() {
    let quarter = std::f32::consts::FRAC_PI_2;
    for (form, shape, numbers) in [
        (Format::YOLO_OBB, [7, 1], [12.0, 16.0, 4.0, 8.0, 0.75, 0.5, quarter]),
        (Format::END2END_OBB, [1, 7], [12.0, 16.0, 4.0, 8.0, 0.75, 0.0, quarter]),
    ] {
        let decoded = decode(form, shape, &numbers).unwrap();
        let defect = &decoded.defects[0];
        // A quarter turn: 8 wide and 4 high. The box's top left corner is at its top right now.
        let corners = defect.corners.unwrap();
        for (got, want) in corners.iter().zip([[32.0, 12.0], [32.0, 20.0], [16.0, 20.0], [16.0, 12.0]]) {
            assert!((got[0] - want[0]).abs() < 1e-4 && (got[1] - want[1]).abs() < 1e-4, "{corners:?}");
        }
        assert_eq!(defect.area_px, 128);
        let b = defect.bbox;
        assert!((b.x0 - 16.0).abs() < 1e-4 && (b.y1 - 20.0).abs() < 1e-4, "{b:?}");
    }
}

#[test]
fn a_kind_that_does_not_exist_is_lost_unless_the_row_is_left_over() {
    let lost = |confidence, kind| {
        let decoded = decode(Format::END2END, [1, 6], &[8.0, 12.0, 16.0, 20.0, confidence, kind]).unwrap();
        assert!(decoded.defects.is_empty() && decoded.score == confidence, "{decoded:?}");
        decoded.lost
    };
    assert_eq!(lost(0.75, 2.0), [Lost::new(Loss::UnknownKind, "kind number 2", 0.75)]);
    assert_eq!(lost(0.75, -1.0), [Lost::new(Loss::UnknownKind, "kind number -1", 0.75)]);
    assert_eq!(lost(0.125, 2.0), [], "below the confidence of every kind");
    // Another layout.
    let bad = decode(Format::END2END, [1, 6], &[8.0, 12.0, 16.0, 20.0, 0.75, 0.5]).unwrap_err();
    assert!(bad.kind() == ErrorKind::Output && bad.name() == Some("out"), "{bad}");
    let rest = [8.0, 12.0, 16.0, 20.0, 0.75, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0];
    let decoded = decode(Format::END2END, [2, 6], &rest).unwrap();
    assert_eq!((decoded.defects.len(), decoded.lost.len()), (1, 0));
}

#[test]
fn logits_are_read_where_the_manifest_says_so() {
    let column = |activation, form: &'static str, numbers: &[f32]| {
        let mut output = OutputConfig { activation, ..OutputConfig::new(vec!["a".into(), "b".into()]) };
        output.format = form.into();
        decode_as(output, if form == "yolo" { [numbers.len(), 1] } else { [1, numbers.len()] }, numbers)
    };
    let logit = |p: f32| (p / (1.0 - p)).ln();
    let box_of = [12.0, 16.0, 8.0, 8.0];
    let yolo = [&box_of[..], &[logit(0.5), logit(0.75)]].concat();
    let v5 = [&box_of[..], &[logit(0.9375), logit(0.2), logit(0.8)]].concat();
    let end2end = [8.0, 12.0, 16.0, 20.0, logit(0.75), 1.0];
    for (form, numbers) in [("yolo", &yolo[..]), ("yolo-v5", &v5), ("end2end", &end2end)] {
        let decoded = column(Activation::Sigmoid, form, numbers).unwrap();
        assert!((decoded.score - 0.75).abs() < 1e-6 && decoded.defects.len() == 1, "{form}: {decoded:?}");
        let error = column(Activation::None, form, numbers).unwrap_err();
        assert!(error.to_string().contains("activation = \"sigmoid\""), "{form}: {error}");
    }
}
