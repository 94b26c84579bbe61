//! Policies with rules: the examples of the documentation, and the program on rendered boards and cells.

use std::fs;
use std::path::Path;

use std::sync::Arc;

use panelqc::{
    Confidence, Defect, ErrorKind, Frame, Inspector, Judge, Judgement, Kind, Model, Panel, PixelBox, PixelFormat,
    Policy, Size, Verdict,
};
use serde_json::Value;

use crate::util::{Program, cell, project, write_boards, write_cells};

/// A scratch, speck or chip: kind, confidence, box.
fn defect(kind: &str, confidence: f32, [x0, y0, x1, y1]: [f32; 4]) -> Defect {
    Defect::new(kind.into(), Confidence::new(confidence).unwrap(), PixelBox::new(x0, y0, x1, y1))
}

#[test]
fn the_example_in_the_documentation_judges_as_its_table_says() {
    let text = fs::read_to_string(project("docs/POLICY.md")).unwrap();
    let (_, after) = text.split_once("```toml\n").unwrap();
    let (toml, table) = after.split_once("```\n").unwrap();
    let policy = Policy::parse(toml, Path::new("docs/POLICY.md")).unwrap();
    let scratch = |length: f32, y: f32| defect("scratch", 0.5, [600.0, y, 600.0 + length, y + 4.0]);
    let dust =
        |gap: f32| (0..3).map(move |i| i as f32 * (4.0 + gap)).map(|x| defect("dust", 0.5, [x, 0.0, x + 4.0, 4.0]));
    let chip = |y: f32| defect("chip", 0.5, [600.0, y, 620.0, y + 20.0]);
    let cases: [Vec<Defect>; 9] = [
        vec![scratch(155.0, 500.0)],
        vec![scratch(155.0, 20.0)],
        vec![scratch(20.0, 500.0)],
        (0..10).map(|i| scratch(20.0, 400.0 + 10.0 * i as f32)).collect(),
        dust(40.0).collect(),
        dust(200.0).collect(),
        vec![chip(0.0)],
        vec![chip(500.0)],
        vec![defect("stain", 0.95, [600.0, 500.0, 620.0, 520.0])],
    ];
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert_eq!(rows.len(), cases.len());
    for (row, defects) in rows.iter().zip(&cases) {
        let judgement = policy.judge(defects, &[Size::new(1920, 1080)]);
        let found = format!("| {} | `{}` |", judgement.verdict, judgement.reasons.join("; "));
        assert!(row.ends_with(&found), "the table has {row}, the policy gives {found}");
    }
}

/// Judges one rendered board (an open, a short, a pin-hole, each surer than 0.9) by a policy that is `tables` after a
/// head of six lines.
fn inspect(tables: &str) -> (i32, Value, String) {
    let dir = tempfile::tempdir().unwrap();
    write_boards(dir.path(), 1);
    let policy = dir.path().join("p.toml");
    let head = "schema = 1\nname = \"t\"\npixel_pitch_mm = 0.02\n[default]\nreview = 0.38\nfail = 0.6\n";
    fs::write(&policy, format!("{head}{tables}")).unwrap();
    let program = Program::new("inspect").model(&project("models/pcb")).option("--reference", dir.path());
    let (status, out, err) = program.option("--policy", &policy).arg(dir.path()).run();
    (status, if out.is_empty() { Value::Null } else { serde_json::from_str(&out).unwrap() }, err)
}

/// The verdict and the reasons; numbers with a fraction in them are the model's and become `N`.
fn verdict(line: &Value) -> (String, Vec<String>) {
    let reasons = line["reasons"].as_array().unwrap().iter().map(|reason| {
        let words = reason.as_str().unwrap().split(' ').scan(false, |limit, word| {
            let number = !*limit && word.contains('.') && word.parse::<f64>().is_ok();
            *limit = word == ">=" || word == "<";
            Some(if number { "N" } else { word })
        });
        words.collect::<Vec<_>>().join(" ")
    });
    (line["verdict"].as_str().unwrap().to_owned(), reasons.collect())
}

fn list(reasons: &[&str]) -> Vec<String> {
    reasons.iter().map(|reason| (*reason).to_owned()).collect()
}

#[test]
fn rules_decide_on_a_real_run_and_are_named() {
    // The short lies about (390, 180) to (420, 244), the two others more to the left and higher.
    let zones = "[zones.right]\npolygon = [[380, 0], [640, 0], [640, 640], [380, 640]]\n\
                 [zones.rim]\nmargin = { mm = 1 }\n";
    let (status, line, err) = inspect(&format!(
        "{zones}[[rules]]\nname = \"long on the right\"\nzones = [\"right\"]\nlength_mm = 1.0\nseverity = \"major\"\nverdict = \"fail\"\n\
         [[rules]]\nname = \"rim\"\nzones = [\"rim\"]\nverdict = \"fail\"\n\
         [[rules]]\nname = \"the rest\"\nverdict = \"pass\"\n"
    ));
    assert_eq!(status, 0, "{err}");
    assert_eq!(verdict(&line), ("fail".into(), list(&["rule \"long on the right\" (major): length N mm >= 1 mm"])));
    for defect in line["defects"].as_array().unwrap() {
        let (px, mm2) = (defect["area_px"].as_f64().unwrap(), defect["area_mm2"].as_f64().unwrap());
        assert!((mm2 - px * 0.0004).abs() < 1e-12, "{px} px are not {mm2} mm2");
    }
}

#[test]
fn groups_decide_on_a_real_run_and_are_named() {
    let (_, line, _) = inspect(
        "[[rules]]\nname = \"three\"\ncount = 3\nverdict = \"review\"\n[[rules]]\nname = \"any\"\nverdict = \"pass\"\n",
    );
    assert_eq!(verdict(&line), ("review".into(), list(&["rule \"three\": count 3 >= 3"])));
    // The gaps are more than 40 px, 0.8 mm, and less than 200 px, 4 mm.
    let near = |mm: f32| {
        format!(
            "[[rules]]\nname = \"near\"\ndistance_mm = {{ below = {mm} }}\nverdict = \"fail\"\n\
             [[rules]]\nname = \"any\"\nverdict = \"pass\"\n"
        )
    };
    assert_eq!(verdict(&inspect(&near(4.0)).1), ("fail".into(), list(&["rule \"near\": distance N mm < 4 mm"])));
    let (passed, reasons) = verdict(&inspect(&near(0.8)).1);
    assert_eq!(passed, "pass");
    assert!(reasons.len() == 1 && reasons[0].starts_with("rule \"any\": "), "{reasons:?}");
    let (_, line, _) = inspect("[[rules]]\nname = \"few\"\ncount = { below = 4 }\nverdict = \"pass\"\n");
    assert_eq!(verdict(&line), ("pass".into(), list(&["rule \"few\": count 3 < 4"])));
}

#[test]
fn kinds_that_the_policy_does_not_name_are_reviewed() {
    let (_, line, _) = inspect("[unknown]\nreview = 0.5\n[kinds.open]\nreview = 0.99\nfail = 0.99\n");
    let unknown = |kind: &str| format!("{kind} >= 0.50, a kind that the policy does not name");
    assert_eq!(verdict(&line), ("review".into(), vec![unknown("pin-hole"), unknown("short")]));
}

#[test]
fn a_rule_sees_defects_that_the_manifest_would_not_report() {
    let dir = tempfile::tempdir().unwrap();
    write_cells(dir.path(), 1);
    let policy = dir.path().join("p.toml");
    let judge = |rules: &str| {
        fs::write(&policy, format!("schema = 1\nname = \"t\"\n[default]\nreview = 0.9\nfail = 0.9\n{rules}")).unwrap();
        let program = Program::new("inspect").model(&project("models/solar-cell")).option("--policy", &policy);
        let (_, out, err) = program.arg(dir.path().join("cell_000.png")).run();
        serde_json::from_str::<Value>(&out).unwrap_or_else(|_| panic!("{err}"))
    };
    let plain = judge("");
    let score = plain["score"].as_f64().unwrap();
    // The manifest reports from 0.5 on.
    assert!(score < 0.5 && plain["defects"].as_array().unwrap().is_empty(), "{plain}");
    let line = judge("[[rules]]\nname = \"faint\"\nconfidence = 0.01\nverdict = \"fail\"\n");
    assert_eq!(line["defects"][0]["confidence"].as_f64(), Some(score));
    assert_eq!(verdict(&line), ("fail".into(), list(&["rule \"faint\": confidence N >= 0.01"])));
}

#[test]
fn a_policy_that_cannot_be_meant_stops_the_program_with_its_line() {
    for (tables, says) in [
        (
            "[[rules]]\nname = \"a\"\nkinds = [\n\"open\",\n\"shot\",\n]\nverdict = \"fail\"\n",
            "line 11: expected kinds of the model",
        ),
        ("[kinds.shot]\nreview = 0.1\nfail = 0.2\n", "line 7: expected kinds of the model"),
        (
            "[[rules]]\nname = \"a\"\nverdict = \"fail\"\n[[rules]]\nname = \"b\"\nverdict = \"pass\"\n",
            "line 10: rule \"b\" (pass) contradicts rule \"a\" (line 7, fail)",
        ),
        ("[zones.a]\nmargin = { px = 9 }\n", "line 7: zone `a` is used by no rule"),
        ("[[rules]]\nname = \"a\"\nlength = 2\nverdict = \"fail\"\n", "unknown field `length`"),
    ] {
        let (status, line, err) = inspect(tables);
        assert_eq!((status, line), (2, Value::Null), "{tables}");
        assert!(err.contains("p.toml: ") && err.contains(says), "{err}");
    }
}

#[test]
fn check_names_the_rules_that_several_others_leave_nothing_to() {
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("p.toml");
    let head = "schema = 1\nname = \"t\"\n[default]\nreview = 0.38\nfail = 0.6\n";
    let check = |rules: &str| {
        fs::write(&policy, format!("{head}{rules}")).unwrap();
        Program::new("check").arg(project("models/pcb")).option("--policy", &policy).run()
    };
    let halves = "[[rules]]\nname = \"long\"\nlength_px = 40\nverdict = \"fail\"\n\
                  [[rules]]\nname = \"short\"\nlength_px = { below = 40 }\nverdict = \"review\"\n";
    let (status, out, err) = check(halves);
    assert_eq!(status, 0, "{err}");
    assert!(out.ends_with("ok\n") && !out.contains("policy "), "{out}");
    let (status, out, err) =
        check(&format!("{halves}[[rules]]\nname = \"open\"\nkinds = [\"open\"]\nverdict = \"pass\"\n"));
    assert_eq!(status, 1, "{err}");
    let says = "policy    line 14: rule \"open\" can never apply: the rules before it (lines 6, 10) together match \
                everything that it does\nfailed    1 parts of the policy can never apply\n";
    assert!(out.ends_with(says), "{out}");
}

#[test]
fn frames_of_one_panel_are_judged_together() {
    let frame = |seed: u32| Frame::new(Size::new(300, 300), PixelFormat::Mono8, cell(seed, true).into_raw()).unwrap();
    let text = |count: u32| {
        format!(
            "schema = 1\nname = \"t\"\npixel_pitch_mm = 0.5\n[default]\nreview = 0\nfail = 1\n\
             [[rules]]\nname = \"count\"\ncount = {count}\nverdict = \"fail\"\n"
        )
    };
    let judge = |count: u32, frames: Vec<Frame>| {
        let policy = Policy::parse(&text(count), Path::new("p.toml")).unwrap();
        let model = Model::load(project("models/solar-cell")).unwrap();
        let inspector = Inspector::builder(model).policy(policy).threads(1).build().unwrap();
        inspector.inspect(&Panel::from_frames("p", frames).unwrap()).unwrap()
    };
    // With review from 0 on each cell has a defect, however unsure.
    let one = judge(2, vec![frame(1)]);
    let each = one.defects.len();
    assert!(each >= 1 && one.defects.iter().all(|defect| defect.area_mm2 == Some(defect.area_px as f64 * 0.25)));
    let three = judge(3, vec![frame(1), frame(1), frame(1)]);
    assert_eq!(three.reasons, [format!("rule \"count\": count {} >= 3", 3 * each)]);
}

/// Tells what it was asked. It does not like frames of another size than 300 x 300.
#[derive(Debug)]
struct Clerk(Arc<str>);

impl Judge for Clerk {
    fn judge(&self, defects: &[Defect], frames: &[Size]) -> Judgement {
        assert_eq!(frames, [Size::new(300, 300)], "a frame of another size");
        Judgement::new(Verdict::Review, [format!("{} defects", defects.len()), "as asked".to_owned()])
    }

    fn floor(&self, _: &Kind) -> f32 {
        0.01
    }

    fn sha256(&self) -> Option<&str> {
        Some(&self.0)
    }

    fn pixel_pitch_mm(&self) -> Option<f64> {
        Some(0.5)
    }

    fn check(&self, model: &Model) -> panelqc::Result<()> {
        match &*model.manifest().name {
            "solar-cell" => Ok(()),
            other => Err(panelqc::Error::policy(Path::new("clerk"), format!("not for {other}"))),
        }
    }
}

#[test]
fn a_judge_of_ones_own_decides_and_is_traced() {
    let model = Arc::new(Model::load(project("models/solar-cell")).unwrap());
    let frame = |side: u32| {
        let image = image::imageops::crop_imm(&cell(1, false), 0, 0, side, side).to_image();
        Frame::new(Size::new(side, side), PixelFormat::Mono8, image.into_raw()).unwrap()
    };
    let panel = |i: usize| Panel::new(i.to_string(), frame(if i == 1 { 200 } else { 300 }));
    let plain = Inspector::builder(Arc::clone(&model)).threads(1).build().unwrap();
    assert!(plain.policy().is_some());
    let inspector = Inspector::builder(model).judge(Clerk("cafe".into())).threads(1).batch(2).build().unwrap();
    assert!(inspector.policy().is_none());
    assert_eq!(inspector.judge().floor(&"x".into()), 0.01);

    let report = inspector.inspect(&panel(0)).unwrap();
    // The model is not sure of anything on this cell: only the judge's floor lets it be reported.
    assert!(plain.inspect(&panel(0)).unwrap().defects.is_empty());
    assert!(!report.defects.is_empty() && report.defects[0].confidence.get() < 0.5, "{:?}", report.defects);
    assert_eq!((report.verdict, report.trace.policy.as_deref()), (Verdict::Review, Some("cafe")));
    assert_eq!(report.reasons, [format!("{} defects", report.defects.len()), "as asked".to_owned()]);
    assert_eq!(report.defects[0].area_mm2, Some(report.defects[0].area_px as f64 * 0.25));

    // The second panel makes it panic; the first is in the same batch.
    let results: Vec<_> = inspector.inspect_batch((0..4).map(panel)).collect();
    let failed: Vec<bool> = results.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, true, false, false]);
    let error = &results[1].as_ref().unwrap_err().error;
    assert!(error.kind() == ErrorKind::Internal && error.to_string().contains("of another size"), "{error}");

    let boards = Model::load(project("models/pcb")).unwrap();
    let refused = Inspector::builder(boards).judge(Clerk("cafe".into())).build().unwrap_err();
    assert!(refused.to_string().starts_with("policy clerk: not for "), "{refused}");
}
