use proptest::prelude::*;

use super::*;
use crate::defect::{Confidence, Kind};
use crate::engine::{JsonlReader, JsonlWriter};
use crate::error::ErrorKind;
use crate::geometry::{Mask, PixelBox};
use crate::runtime::Provider;

const OK: &str = r#"{"panel":"a","image":"a.png","status":"ok","verdict":"fail","reasons":["crack >= 0.80"],"defects":[{"kind":"crack","confidence":0.9,"box":[1.0,2.0,3.0,4.5],"area_px":5,"area_mm2":null,"mask":null}],"score":0.9,"width":8,"height":6,"ms":{"decode":1.5,"preprocess":0.25,"infer":3.0,"postprocess":0.125},"trace":{"model":"m","manifest":"f","policy":null,"image":"i","version":"0.0.9"}}"#;
const FAILED: &str = r#"{"panel":"b","image":"b.png","status":"error","verdict":"review","reasons":[],"defects":[],"score":null,"width":null,"height":null,"ms":null,"trace":{"model":"m","manifest":"f","policy":"p","image":null,"version":"0.0.9"},"error":"image b.png: damaged"}"#;

fn read(text: &str) -> Vec<Result<PanelRecord, String>> {
    let records = JsonlReader::new(text.as_bytes(), "out/results.jsonl");
    let kind = |e: crate::error::Error| {
        assert_eq!(e.kind(), ErrorKind::Results);
        e.to_string()
    };
    records.map(|record| record.map_err(kind)).collect()
}

#[test]
fn lines_of_an_earlier_version_are_read() {
    let records = read(&format!("{OK}\n\n{FAILED}\n"));
    let [Ok(ok), Ok(failed)] = &records[..] else { panic!("{records:?}") };
    let frame = FrameInfo::new(Size::new(8, 6)).with_image("a.png").with_sha256("i");
    assert_eq!((ok.frames(), ok.score(), ok.verdict()), (&[frame][..], Some(0.9), Verdict::Fail));
    assert_eq!((ok.image(), failed.image()), (Some("a.png"), Some("b.png")));
    assert_eq!(failed.error(), Some("image b.png: damaged"));
    assert_eq!(failed.failed().and_then(FailedPanel::kind), None);
    // Written again they have what they had, and the frames behind it.
    let frames = r#","frames":[{"image":"a.png","width":8,"height":6,"bits":null,"sha256":"i"}]}"#;
    assert_eq!(serde_json::to_string(ok).unwrap(), format!("{}{frames}", OK.strip_suffix('}').unwrap()));
    assert_eq!(serde_json::to_string(failed).unwrap(), FAILED);
    // Of other frames it is known that they are there.
    let third = OK.replacen(r#""mask":null}"#, r#""mask":null,"frame":2}"#, 1);
    assert_eq!(read(&third)[0].as_ref().unwrap().frames().len(), 3);
}

#[test]
fn a_line_that_cannot_be_read_is_named_with_its_field_and_the_next_one_comes() {
    for (change, with, says) in [
        (r#""panel":"a","#, "", "found missing field `panel`"),
        (r#""panel":"a""#, r#""panel":1"#, "found `panel`: invalid type: integer `1`, expected a string"),
        (r#""status":"ok""#, r#""status":"fine""#, "`status`: unknown variant `fine`"),
        (r#""score":0.9"#, r#""score":null"#, "missing field `score`"),
        (r#""score":0.9"#, r#""score":1.5"#, "`score`: expected a number from 0 to 1, found 1.5"),
        (r#""width":8,"#, "", "missing field `width`"),
        (r#""width":8"#, r#""width":-8"#, "`width`: invalid value"),
        (r#""confidence":0.9"#, r#""confidence":1.5"#, "`defects`: expected a confidence from 0 to 1, found 1.5"),
        (r#""mask":null"#, r#""mask":{"size":[6,8],"counts":"9"}"#, "`defects`: expected run lengths of COCO"),
        (r#""mask":null"#, r#""mask":{"size":[0,48],"counts":"0"}"#, "a mask of its frame, 8 x 6, found one of 48 x 0"),
        (
            r#""mask":null"#,
            r#""mask":{"size":[1,4294967295],"counts":"0oooooo3"}"#,
            "a mask of its frame, 8 x 6, found",
        ),
        (r#""width":8"#, r#""width":0"#, "`frames`: expected at least one pixel, found a frame of 0 x 6"),
        (r#""mask":null"#, r#""mask":null,"frame":5000"#, "`frames`: expected at least 5001 of them, found 4096"),
        (r#""model":"m","#, "", "`trace`: missing field `model`"),
        (r#""image":"i""#, r#""image":"i","provider":"gpu""#, "`trace`: provider: expected one of cpu"),
        (r#""infer":3.0,"#, "", "`ms`: missing field `infer`"),
        (r#"{"panel""#, r#"["panel""#, "expected the result of a panel, found"),
        (r#""version":"0.0.9"}}"#, r#""version":"#, "EOF while parsing"),
    ] {
        let bad = OK.replacen(change, with, 1);
        assert_ne!(bad, OK, "{change}");
        let records = read(&format!("{OK}\n{bad}\n{FAILED}"));
        let message = records[1].as_ref().unwrap_err();
        assert!(message.starts_with("results out/results.jsonl:2: expected the result of a panel, found"), "{message}");
        assert!(message.contains(says) && !message.contains("line 1"), "{says}: {message}");
        assert!(records.len() == 3 && records[0].is_ok() && records[2].is_ok(), "{records:?}");
    }
    let message = read(&FAILED.replacen(r#""error":"image b.png: damaged""#, r#""why":1"#, 1)).remove(0).unwrap_err();
    assert!(message.contains("missing field `error`"), "{message}");
}

#[test]
fn what_a_later_version_adds_is_left_out() {
    let later = OK
        .replacen(r#""status""#, r#""line":{"a":[1]},"status""#, 1)
        .replacen(r#""kind""#, r#""depth":0.5,"kind""#, 1)
        .replacen(r#""manifest""#, r#""plans":[],"manifest""#, 1)
        .replacen(r#""infer""#, r#""wait":1,"infer""#, 1);
    assert_eq!(read(&later)[0], read(OK)[0]);
    let code = FAILED.replacen(r#""error":"#, r#""code":"novel","error":"#, 1);
    let record = read(&code).remove(0).unwrap();
    let failed = record.failed().unwrap();
    assert_eq!((failed.code.as_deref(), failed.kind()), (Some("novel"), None));
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 0..6).prop_map(|chars| chars.into_iter().collect())
}

fn tags() -> impl Strategy<Value = BTreeMap<String, String>> {
    proptest::collection::btree_map(text(), text(), 0..3)
}

fn frame() -> impl Strategy<Value = FrameInfo> {
    let size = (1u32..9, 1u32..9).prop_map(|(width, height)| Size::new(width, height));
    (size, proptest::option::of(text()), proptest::option::of(8u32..17), proptest::option::of(text()))
        .prop_map(|(size, image, bits, sha256)| FrameInfo { image, size, bits, sha256: sha256.map(Into::into) })
}

fn trace() -> impl Strategy<Value = Trace> {
    let provider = prop_oneof![Just(Provider::Cpu), Just(Provider::Cuda), Just(Provider::OpenVino)];
    let some = || proptest::option::of(text());
    (text(), text(), some(), some(), provider, any::<bool>(), text()).prop_map(
        |(model, manifest, policy, image, provider, rewritten, version)| {
            let trace = Trace::new(model, manifest).with_provider(provider).with_rewritten(rewritten);
            Trace { policy: policy.map(Into::into), image: image.map(Into::into), ..trace.with_version(version) }
        },
    )
}

fn defect(frames: &[FrameInfo]) -> impl Strategy<Value = Defect> + use<> {
    let sizes: Vec<Size> = frames.iter().map(|frame| frame.size).collect();
    let frames = sizes.len();
    let number = || any::<f32>().prop_filter("finite", |value| value.is_finite());
    let confidence = || (0f32..=1.0).prop_filter_map("0 to 1", Confidence::new);
    let mask = proptest::collection::vec(any::<bool>(), 64);
    (
        (text(), confidence(), proptest::option::of(confidence()), proptest::array::uniform4(number())),
        (any::<u64>(), proptest::option::of(0f64..1e12), proptest::option::of(mask)),
        (
            proptest::option::of(proptest::array::uniform4(proptest::array::uniform2(number()))),
            proptest::option::of(0..frames),
        ),
    )
        .prop_map(move |((kind, confidence, mean, bbox), (area_px, area_mm2, bits), (corners, frame))| Defect {
            mean_confidence: mean,
            area_px,
            area_mm2,
            mask: bits.map(|bits| Mask::from_fn(sizes[frame.unwrap_or(0)], |x, y| bits[(y * 8 + x) as usize])),
            corners,
            frame,
            ..Defect::new(Kind::new(kind), confidence, PixelBox::from(bbox))
        })
}

fn record() -> impl Strategy<Value = PanelRecord> {
    let ms = || 0f64..1e6;
    let verdict = prop_oneof![Just(Verdict::Pass), Just(Verdict::Review), Just(Verdict::Fail)];
    let inspected = proptest::collection::vec(frame(), 1..4).prop_flat_map(move |frames| {
        let reasons = proptest::collection::vec(text(), 0..3);
        let defects = proptest::collection::vec(defect(&frames), 0..3);
        let all = (text(), verdict.clone(), reasons, defects, 0f32..=1.0, (ms(), ms(), ms(), ms()), tags(), trace());
        all.prop_map(move |(panel, verdict, reasons, defects, score, ms, tags, trace)| {
            let first = frames[0].clone();
            let report = PanelReport::new(panel, first, trace)
                .with_defects(defects)
                .with_score(score)
                .with_verdict(verdict, reasons)
                .with_timings(Timings::new(ms.0, ms.1, ms.2, ms.3));
            let report = frames[1..].iter().cloned().fold(report, PanelReport::with_frame);
            PanelRecord::Inspected(PanelReport { tags, ..report })
        })
    });
    let kind = proptest::sample::select(&ErrorKind::ALL[..]);
    let frames = proptest::collection::vec(frame(), 0..3);
    let failed = (text(), proptest::option::of(text()), kind, text(), tags(), frames, trace()).prop_map(
        |(panel, image, kind, error, tags, frames, trace)| {
            let failed = FailedPanel::new(panel, kind, error, trace);
            PanelRecord::Failed(FailedPanel { image, tags, frames, ..failed })
        },
    );
    prop_oneof![3 => inspected, 1 => failed]
}

proptest! {
    #[test]
    fn a_record_comes_back_from_its_line(records in proptest::collection::vec(record(), 1..4)) {
        let write = |records: &[PanelRecord]| {
            let mut bytes = Vec::new();
            let mut writer = JsonlWriter::new(&mut bytes);
            records.iter().for_each(|record| writer.write(record).unwrap());
            bytes
        };
        let lines = write(&records);
        let back: Vec<PanelRecord> =
            JsonlReader::new(&lines[..], "test").collect::<crate::error::Result<_>>().unwrap();
        prop_assert_eq!(&back, &records);
        prop_assert_eq!(write(&back), lines);
    }

    #[test]
    fn no_text_makes_the_reader_panic(at in 0usize..600, with in any::<u8>()) {
        let mut bytes = format!("{OK}\n{FAILED}\n").into_bytes();
        let at = at % bytes.len();
        bytes[at] = with;
        // Whatever it says of them.
        prop_assert!(JsonlReader::new(&bytes[..], "test").count() >= 1);
    }
}
