use crate::error::ErrorKind;
use crate::geometry::Size;
use crate::head::{Decoded, Decoder, Format, OutputConfig, Task, find as find_head};
use crate::runtime::{Outputs, Port, Signature};
use crate::tensor::Preprocess;

/// Two kinds on a model input of 32x32; the frame is 64x32, so it lies at rows 8 to 24 at half its size.
fn decode(form: Format, shape: [usize; 2], numbers: &[f32]) -> crate::error::Result<Decoded> {
    let mut output = OutputConfig { confidence: 0.25, ..OutputConfig::new(vec!["a".into(), "b".into()]) };
    output.format = form;
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
fn an_unknown_kind_is_an_error_unless_the_row_is_left_over() {
    let bad = decode(Format::END2END, [1, 6], &[8.0, 12.0, 16.0, 20.0, 0.75, 2.0]).unwrap_err();
    assert!(bad.kind() == ErrorKind::Output && bad.name() == Some("out"), "{bad}");
    assert!(decode(Format::END2END, [1, 6], &[8.0, 12.0, 16.0, 20.0, 0.75, 0.5]).is_err());
    let rest = [8.0, 12.0, 16.0, 20.0, 0.75, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0];
    assert_eq!(decode(Format::END2END, [2, 6], &rest).unwrap().defects.len(), 1);
}
