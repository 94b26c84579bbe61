//! What a model is sure of and what it cannot mean: nothing passes by mistake.

use std::fs;
use std::path::Path;

use panelqc::{
    Defect, ErrorKind, Frame, Inspector, Judge, Judgement, Kind, Limits, Model, Panel, PanelReport, PixelFormat,
    Policy, Size, Verdict,
};

use crate::util::{Element, Given, Program, write_package};

fn panel() -> Panel<'static> {
    Panel::new("p", Frame::new(Size::new(64, 48), PixelFormat::Mono8, vec![90u8; 64 * 48]).unwrap())
}

/// What a package of these outputs makes of a panel.
fn inspect(task: &str, output: &str, outputs: &[Given<'_>], policy: Option<Policy>) -> panelqc::Result<PanelReport> {
    let dir = tempfile::tempdir().unwrap();
    write_package(dir.path(), task, output, outputs);
    let builder = Inspector::builder(Model::load(dir.path())?).threads(1);
    match policy {
        Some(policy) => builder.policy(policy).build()?.inspect(&panel()),
        None => builder.build()?.inspect(&panel()),
    }
}

/// Why a package of these outputs is refused.
fn refused(task: &str, output: &str, outputs: &[Given<'_>]) -> String {
    let dir = tempfile::tempdir().unwrap();
    write_package(dir.path(), task, output, outputs);
    let error = Model::load(dir.path()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model, "{error}");
    error.to_string()
}

const ROWS: &str = "format = \"end2end\"\nkinds = [\"a\", \"b\"]";

/// One row of corners, confidence and kind among empty ones.
fn row(numbers: [f32; 6]) -> Vec<Given<'static>> {
    let mut all = vec![0.0; 5 * 6];
    all[6..12].copy_from_slice(&numbers);
    vec![Given::new("rows", &[1, 5, 6], all)]
}

#[test]
fn a_detection_without_a_place_sends_the_panel_to_review_with_the_reason() {
    for (numbers, reason) in [
        ([40.0, 4.0, 50.0, 9.0, 0.95, 1.0], "detection lost: b 0.95, its box lies outside the frame"),
        ([4.0, 30.0, 9.0, 40.0, 0.95, 1.0], "detection lost: b 0.95, its box lies outside the frame"),
        ([4.0, 4.0, 4.0, 9.0, 0.95, 0.0], "detection lost: a 0.95, its box has no width or no height"),
        ([9.0, 4.0, 4.0, 9.0, 0.5, 0.0], "detection lost: a 0.50, its box is turned over"),
    ] {
        let report = inspect("detect", ROWS, &row(numbers), None).unwrap();
        assert_eq!((report.verdict, &*report.reasons), (Verdict::Review, &[reason.to_owned()][..]), "{numbers:?}");
        assert!(report.defects.is_empty() && report.score == numbers[4], "{report:?}");
        let line = serde_json::to_value(&report).unwrap();
        assert_eq!((&line["verdict"], &line["reasons"][0]), (&"review".into(), &reason.into()));
    }
    // Below the manifest's confidence it would not have been reported.
    let low = inspect("detect", ROWS, &row([40.0, 4.0, 50.0, 9.0, 0.2, 1.0]), None).unwrap();
    assert_eq!((low.verdict, low.reasons.len()), (Verdict::Pass, 0));
    // A worse verdict keeps its own reasons.
    let mut two = row([40.0, 4.0, 50.0, 9.0, 0.95, 1.0]);
    two[0].numbers[..6].copy_from_slice(&[4.0, 4.0, 9.0, 9.0, 0.75, 0.0]);
    let report = inspect("detect", ROWS, &two, None).unwrap();
    assert_eq!((report.verdict, &*report.reasons), (Verdict::Fail, &["a >= 0.25".to_owned()][..]));
}

#[test]
fn what_counts_as_sure_is_what_the_judge_looks_at() {
    let lost = || row([40.0, 4.0, 50.0, 9.0, 0.6, 1.0]);
    let verdict = |review, floor| {
        let dir = tempfile::tempdir().unwrap();
        write_package(dir.path(), "detect", ROWS, &lost());
        let policy = Policy::new("p", Limits::new(review, 0.9).unwrap()).unwrap();
        let builder = Inspector::builder(Model::load(dir.path()).unwrap()).threads(1).policy(policy).floor(floor);
        builder.build().unwrap().inspect(&panel()).unwrap().verdict
    };
    assert_eq!(verdict(0.5, 1.0), Verdict::Review);
    assert_eq!(verdict(0.6, 1.0), Verdict::Review);
    assert_eq!(verdict(0.7, 1.0), Verdict::Pass, "placed it would pass too");
    assert_eq!(verdict(0.7, 0.0), Verdict::Pass, "the verdict does not depend on what is reported");

    /// Passes whatever there is.
    #[derive(Debug)]
    struct Blind;

    impl Judge for Blind {
        fn judge(&self, _: &[Defect], _: &[Size]) -> Judgement {
            Judgement::new(Verdict::Pass, ["by its own rule"])
        }

        fn floor(&self, _: &Kind) -> f32 {
            0.5
        }
    }
    let dir = tempfile::tempdir().unwrap();
    write_package(dir.path(), "detect", ROWS, &lost());
    let inspector = Inspector::builder(Model::load(dir.path()).unwrap()).threads(1).judge(Blind).build().unwrap();
    let report = inspector.inspect(&panel()).unwrap();
    assert_eq!(report.verdict, Verdict::Review, "whoever judges");
    assert!(report.reasons[0].starts_with("detection lost: b 0.60"), "{:?}", report.reasons);
}

#[test]
fn a_label_that_does_not_exist_is_for_review() {
    let boxes = |label: f32| {
        let labels = Given { element: Element::I64, ..Given::new("labels", &[1], [label]) };
        vec![Given::new("boxes", &[1, 4], [4.0, 4.0, 9.0, 9.0]), labels, Given::new("scores", &[1], [0.875])]
    };
    let output = "format = \"boxes\"\nkinds = [\"background\", \"b\"]\ngood = [\"background\"]";
    assert_eq!(inspect("detect", output, &boxes(1.0), None).unwrap().verdict, Verdict::Fail);
    for label in [-1.0, 2.0] {
        let report = inspect("detect", output, &boxes(label), None).unwrap();
        let reason = format!("detection lost: kind number {label} 0.88, the manifest has no such kind");
        assert_eq!((report.verdict, report.reasons), (Verdict::Review, vec![reason]));
    }
}

#[test]
fn more_than_may_be_reported_is_told() {
    let mut rows = row([4.0, 4.0, 9.0, 9.0, 0.9, 0.0]);
    rows[0].numbers[12..18].copy_from_slice(&[14.0, 4.0, 19.0, 9.0, 0.8, 1.0]);
    let output = format!("{ROWS}\nmax_defects = 1");
    let waive = "schema = 1\nname = \"p\"\n[default]\nreview = 0.3\nfail = 0.6\n[[rules]]\nname = \"a\"\nkinds = \
                 [\"a\"]\nverdict = \"pass\"\n";
    let policy = Policy::parse(waive, Path::new("p.toml")).unwrap();
    let report = inspect("detect", &output, &rows, Some(policy)).unwrap();
    assert_eq!((report.verdict, report.defects.len()), (Verdict::Review, 1));
    assert_eq!(report.reasons, ["detection lost: b 0.80, there are more than max_defects"]);
}

#[test]
fn scores_that_are_no_probabilities_are_refused_with_the_output_and_the_key() {
    let kinds = "kinds = [\"a\", \"b\"]";
    let mut yolo = vec![0.0; 6 * 9];
    [16.0, 12.0, 8.0, 8.0, 0.0].iter().enumerate().for_each(|(n, &v)| yolo[n * 9] = v);
    let yolo = |confidence: f32| {
        let mut numbers = yolo.clone();
        numbers[5 * 9] = confidence;
        vec![Given::new("out", &[1, 6, 9], numbers)]
    };
    assert_eq!(inspect("detect", kinds, &yolo(0.9), None).unwrap().verdict, Verdict::Fail);
    assert_eq!(inspect("detect", kinds, &yolo(1.001), None).unwrap().score, 1.0, "rounding is no mistake");
    for confidence in [2.2, 90.0, -3.0] {
        let problem = refused("detect", kinds, &yolo(confidence));
        assert!(problem.contains("model output `out`") && problem.contains("activation = \"sigmoid\""), "{problem}");
        assert!(problem.contains(&format!("found {confidence}")), "{problem}");
    }
    let logits = format!("{kinds}\nactivation = \"sigmoid\"");
    let report = inspect("detect", &logits, &yolo(2.2), None).unwrap();
    assert!((report.score - 0.900_25).abs() < 1e-4, "{}", report.score);

    let scores = |numbers: [f32; 2]| vec![Given::new("scores", &[1, 2], numbers)];
    let good = format!("{kinds}\ngood = [\"b\"]");
    for numbers in [[2.3, -1.0], [12.0, -9.0], [0.45, -3.0], [0.2, 1.1]] {
        let problem = refused("classify", &good, &scores(numbers));
        assert!(
            problem.contains("model output `scores`") && problem.contains("\"softmax\" or \"sigmoid\""),
            "{problem}"
        );
    }
    assert_eq!(inspect("classify", &good, &scores([0.9, 0.1]), None).unwrap().verdict, Verdict::Fail);

    // Of a map every number counts, also where nothing is.
    for (low, high) in [(-3.0, 2.0), (0.0, 2.6), (-0.5, 0.5)] {
        let mut map = vec![low; 2 * 6 * 8];
        map[20] = high;
        let problem = refused("segment", &good, &[Given::new("map", &[1, 2, 6, 8], map)]);
        assert!(problem.contains("model output `map`") && problem.contains("activation"), "{problem}");
    }
    let anomaly = |score: f32| vec![Given::new("map", &[1, 1, 6, 8], [0.1; 48]), Given::new("score", &[1], [score])];
    for score in [3.0, 35.0, -1.0] {
        let problem = refused("anomaly", "kinds = [\"anomaly\"]", &anomaly(score));
        assert!(problem.contains("model output `score`") && problem.contains("normalize"), "{problem}");
    }
    let scale = "kinds = [\"anomaly\"]\nnormalize = { threshold = 20, min = 0, max = 40 }";
    assert!(inspect("anomaly", scale, &anomaly(3.0), None).unwrap().score < 0.1);
    assert!(inspect("anomaly", scale, &anomaly(35.0), None).unwrap().score > 0.8);
    // Normalised already, all of it would be normal.
    let scale = scale.replace("min = 0", "min = 2");
    assert!(refused("anomaly", &scale, &anomaly(0.97)).contains("they are normalised already"));
}

#[test]
fn auto_does_not_take_one_layout_for_another() {
    let kinds = "kinds = [\"a\", \"b\"]";
    // Rows of YOLOv8 with its axes exchanged look like those of a graph that suppresses.
    let mut rows = vec![0.0; 20 * 6];
    rows[..6].copy_from_slice(&[16.0, 12.0, 8.0, 8.0, 0.0, 0.9]);
    let problem = refused("detect", kinds, &[Given::new("out", &[1, 20, 6], rows.clone())]);
    assert!(
        problem.contains("whole numbers of kinds") && problem.contains("of these shapes: end2end, rtdetr"),
        "{problem}"
    );
    // ... also where the second kind is nowhere.
    let mut rows: Vec<f32> = [16.0, 12.0, 8.0, 8.0, 0.01, 0.0].repeat(20);
    rows[4] = 0.9;
    let problem = refused("detect", kinds, &[Given::new("out", &[1, 20, 6], rows)]);
    assert!(problem.contains("20 of 20 boxes that are turned over"), "{problem}");
    // Boxes in parts of the input.
    let mut parts = vec![0.01; 6 * 20];
    [0.5, 0.4, 0.25, 0.25, 0.0, 0.9].iter().enumerate().for_each(|(n, &v)| parts[n * 20] = v);
    let problem = refused("detect", kinds, &[Given::new("out", &[1, 6, 20], parts)]);
    assert!(problem.contains("boxes in pixels") && problem.contains("of these shapes: yolo"), "{problem}");
    let mut five = vec![0.01; 20 * 7];
    five[..7].copy_from_slice(&[0.5, 0.4, 0.25, 0.25, 1.0, 0.0, 0.9]);
    assert!(refused("detect", kinds, &[Given::new("out", &[1, 20, 7], five)]).contains("boxes in pixels"));
    // A set of proposals with boxes in pixels, and one with its logistic function in the graph.
    let set = |logits: f32, sides: [f32; 4]| {
        let mut numbers = vec![if logits > 1.0 { -6.0 } else { 0.0 }; 20 * 2];
        numbers[1] = logits;
        [Given::new("logits", &[1, 20, 2], numbers), Given::new("pred_boxes", &[1, 20, 4], sides.repeat(20))]
    };
    assert_eq!(inspect("detect", kinds, &set(2.2, [0.5, 0.4, 0.2, 0.2]), None).unwrap().defects.len(), 1);
    assert!(refused("detect", kinds, &set(2.2, [16.0, 12.0, 8.0, 8.0])).contains("boxes in parts"));
    let problem = refused("detect", kinds, &set(0.9, [0.5, 0.4, 0.2, 0.2]));
    assert!(problem.contains("expected logits") && problem.contains("`logits`"), "{problem}");
}

#[test]
fn an_anomaly_score_is_never_passed_over() {
    let kinds = "kinds = [\"anomaly\"]";
    let map = || Given::new("map", &[1, 1, 6, 8], [0.0; 48]);
    let two = || [map(), Given::new("level", &[1], [0.97]), Given::new("threshold", &[1], [0.5])];
    let problem = refused("anomaly", kinds, &two());
    assert!(problem.contains("one output with an anomaly score") && problem.contains("`threshold`"), "{problem}");
    let named = format!("{kinds}\nscores = \"level\"");
    assert_eq!(inspect("anomaly", &named, &two(), None).unwrap().score, 0.97);
    let of_map = format!("{kinds}\nscores = \"map\"");
    assert_eq!(inspect("anomaly", &of_map, &two(), None).unwrap().score, 0.0, "asked for");
    for name in ["pred_score", "out"] {
        let problem = refused("anomaly", kinds, &[map(), Given::new(name, &[1, 2], [0.1, 0.9])]);
        assert!(problem.contains("anomaly score") && problem.contains("[1, 2]"), "{problem}");
    }
    let maps = [map(), Given::new("other", &[1, 1, 6, 8], [0.9; 48]), Given::new("score", &[1], [0.1])];
    assert!(refused("anomaly", kinds, &maps).contains("one output with an anomaly map"));
    // A list that is always empty.
    let nothing = Given::new("rows", &[1, 0, 6], []);
    assert!(refused("detect", ROWS, &[nothing]).contains("outputs that can hold something"));
    // A score alone, with and without a batch axis.
    for shape in [&[][..], &[1], &[1, 1]] {
        let report = inspect("anomaly", kinds, &[Given::new("pred_score", shape, [0.875])], None).unwrap();
        assert_eq!((report.score, report.defects.len()), (0.875, 1), "{shape:?}");
    }
    assert_eq!(inspect("anomaly", kinds, &[map()], None).unwrap().score, 0.0, "a map alone");
}

#[test]
fn check_says_what_lets_panels_pass() {
    let dir = tempfile::tempdir().unwrap();
    let map = || [Given::new("map", &[1, 1, 6, 8], [0.1; 48])];
    write_package(dir.path(), "segment", "kinds = [\"a\"]\nmin_area = 9999", &map());
    let (status, out, err) = Program::bare().arg("check").arg(dir.path()).run();
    assert!(status == 0 && out.contains("doubt     min_area = 9999 is more than the 32 x 24 pixels"), "{out}{err}");
    // A frame that has not so many pixels would pass whatever is on it.
    let inspector = Inspector::builder(Model::load(dir.path()).unwrap()).threads(1).build().unwrap();
    let error = inspector.inspect(&panel()).unwrap_err();
    assert!(error.to_string().contains("at least 9999 pixels ([output] min_area), found 64 x 48"), "{error}");
    write_package(dir.path(), "segment", "kinds = [\"a\"]\npixel_threshold = 1.0", &map());
    let manifest = fs::read_to_string(dir.path().join("model.toml")).unwrap();
    fs::write(dir.path().join("model.toml"), manifest.replace("[output]", "scale = 0.00002\n[output]")).unwrap();
    let policy = dir.path().join("policy.toml");
    fs::write(&policy, "schema = 1\nname = \"p\"\n[default]\nreview = 0.5\nfail = 1.0\n").unwrap();
    let check = || Program::bare().arg("check").arg(dir.path()).option("--policy", &policy).run();
    let (status, out, err) = check();
    assert_eq!(status, 0, "{out}{err}");
    for says in ["doubt     scale: the graph gets 0 for black", "pixel_threshold = 1", "no panel can fail"] {
        assert!(out.contains(says), "{says}: {out}");
    }
    let waives = "schema = 1\nname = \"p\"\n[default]\nreview = 0.5\nfail = 0.9\n[[rules]]\nname = \"all\"\nverdict = \
                  \"pass\"\n";
    fs::write(&policy, waives).unwrap();
    let (status, out, err) = check();
    assert!(status == 2 && err.contains("every panel would pass"), "{out}{err}");
    for (change, says) in [
        ("max_defects = 0", "expected [output] max_defects of at least 1"),
        ("good = [\"a\"]", "expected a kind that is a defect"),
    ] {
        write_package(dir.path(), "segment", &format!("kinds = [\"a\"]\n{change}"), &map());
        let (status, out, err) = Program::bare().arg("check").arg(dir.path()).run();
        assert!(status == 2 && err.contains(says), "{out}{err}");
    }
}

#[test]
fn a_policy_made_in_code_is_in_the_trace() {
    let policy = Policy::new("line 3", Limits::new(0.25, 0.5).unwrap()).unwrap();
    let sha256 = policy.sha256().unwrap().to_owned();
    assert_eq!(sha256, panelqc::sha256_hex(policy.to_toml().as_bytes()));
    let report = inspect("detect", ROWS, &row([4.0, 4.0, 9.0, 9.0, 0.4, 0.0]), Some(policy)).unwrap();
    assert_eq!(report.trace.policy.as_deref(), Some(&*sha256));
    let other = Policy::new("line 3", Limits::new(0.25, 0.6).unwrap()).unwrap();
    assert_ne!(other.sha256(), Some(&*sha256));
}

#[test]
fn a_policy_and_a_manifest_of_very_many_kinds_are_read() {
    use std::fmt::Write;

    let mut text = "schema = 1\nname = \"p\"\n[default]\nreview = 0.25\nfail = 0.6\n".to_owned();
    let count = 40_000;
    (0..count).for_each(|i| writeln!(text, "[kinds.k{i}]\nreview = 0.1\nfail = 0.2").unwrap());
    let names: Vec<String> = (0..count).map(|i| format!("\"r{i}\"")).collect();
    for verdict in ["review", "fail"] {
        let own = if verdict == "fail" { "area_px = 50\n" } else { "length_px = 5\n" };
        writeln!(text, "[[rules]]\nname = \"{verdict}\"\nkinds = [{}]\n{own}verdict = \"{verdict}\"", names.join(", "))
            .unwrap();
    }
    text.push_str("[unknown]\nreview = 0.1\n");
    let policy = Policy::parse(&text, Path::new("p.toml"));
    let policy = policy.unwrap();
    assert_eq!(policy.limits(&"k39999".into()), Limits::new(0.1, 0.2).unwrap());
    assert!(policy.dead_rules().is_empty());
}
