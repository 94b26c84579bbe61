//! `panelqc calibrate` and `panelqc monitor` by the real program, on rendered solar cells and a small anomaly model,
//! which finds the dark ones.

use std::fs;
use std::path::Path;

use panelqc::{ErrorKind, Inspector, Model, Policy};
use panelqc_eval::dataset::read_elpv;
use panelqc_eval::{CalibrateOptions, Calibration, calibrate};

use crate::util;
use crate::util::{Program, project};

const MODEL: &str = "tests/parity/heatmap";

/// `count` cells in the layout of ELPV, every other one dark; `defective` says which of them are labelled so.
fn cells(folder: &Path, count: u32, defective: impl Fn(u32) -> bool) {
    fs::create_dir_all(folder.join("images")).unwrap();
    for i in 0..count {
        let small = image::imageops::thumbnail(&util::cell(i, i % 2 == 1), 64, 64);
        small.save(folder.join(format!("images/cell_{i:03}.png"))).unwrap();
    }
    let lines: Vec<_> =
        (0..count).map(|i| format!("images/cell_{i:03}.png {} mono\n", f32::from(u8::from(defective(i))))).collect();
    fs::write(folder.join("labels.csv"), lines.concat()).unwrap();
}

fn on_cells(command: &str, folder: &Path) -> Program {
    Program::new(command).model(&project(MODEL)).args(["--format", "elpv", "--data"]).arg(folder)
}

#[test]
fn a_policy_is_calibrated_used_and_bound_to_what_it_was_made_for() {
    let dir = tempfile::tempdir().unwrap();
    cells(dir.path(), 60, |i| i % 2 == 1);
    let policy = dir.path().join("policy.toml");
    let calibrate = ["--max-miss", "0.1", "--max-overkill", "0.1", "--out"];
    let (status, stdout, stderr) = on_cells("calibrate", dir.path()).args(calibrate).arg(&policy).run();
    assert_eq!(status, 0, "{stderr}");
    assert!(stdout.contains("60 (30 defective, 30 good, 0 not inspected)"), "{stdout}");
    assert!(stdout.contains("with 95 % confidence at most 10 % of defective panels pass (0 of 30"), "{stdout}");
    let text = fs::read_to_string(&policy).unwrap();
    for key in
        ["method = \"exact-binomial\"", "max_miss = 0.1", "confidence = 0.95", "data = ", "date = \"20", "of = 30"]
    {
        assert!(text.contains(key), "{key}: {text}");
    }

    // It gives the verdicts that it was chosen by.
    let (status, stdout, stderr) = on_cells("eval", dir.path()).option("--policy", &policy).run();
    assert_eq!(status, 0, "{stderr}");
    assert!(stdout.contains("(0 of 30; 95 % interval 0.0 to 11.4)"), "{stdout}");

    // Changed rules, and another model's manifest.
    let inspect = |policy: &Path, model: &Path| {
        let program = Program::new("inspect").model(model).option("--policy", policy);
        program.arg(dir.path().join("images/cell_000.png")).run()
    };
    let model = project(MODEL);
    assert_eq!(inspect(&policy, &model).0, 0);
    let changed = dir.path().join("changed.toml");
    fs::write(&changed, text.replacen("review = 0.", "review = 0.0", 1)).unwrap();
    let (status, _, stderr) = inspect(&changed, &model);
    assert!(status == 2 && stderr.contains("calibrate again, or take the guarantee out"), "{stderr}");
    fs::write(&changed, text.clone() + "\n[kinds.anomaly]\nreview = 0.9\nfail = 0.9\n").unwrap();
    let (status, _, stderr) = inspect(&changed, &model);
    assert!(status == 2 && stderr.contains("to be the last table, found [kinds.anomaly]"), "{stderr}");

    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::copy(model.join("model.onnx"), other.join("model.onnx")).unwrap();
    let manifest = fs::read_to_string(model.join("model.toml")).unwrap();
    fs::write(other.join("model.toml"), manifest.replace("pillow-bilinear", "pillow-bicubic")).unwrap();
    let (status, _, stderr) = inspect(&policy, &other);
    assert!(status == 2 && stderr.contains("expected the manifest"), "{stderr}");
}

#[test]
fn a_program_calibrates_in_one_call() {
    let dir = tempfile::tempdir().unwrap();
    cells(dir.path(), 60, |i| i % 2 == 1);
    fs::write(dir.path().join("images/cell_000.png"), "no picture").unwrap();
    let samples = read_elpv(dir.path()).unwrap().samples;
    let builder = || Inspector::builder(Model::load(project(MODEL)).unwrap());
    let rules = "# ours\nschema = 1\nname = \"line 3\"\n[default]\nreview = 0.9 # to be chosen\nfail = 0.9\n";
    let options = CalibrateOptions::new(Calibration::new(0.1), "2026-11-24").with_rules(rules, "ours.toml");
    let mut seen = Vec::new();
    let made = calibrate(builder(), &samples, &options, |record| {
        seen.push((record.panel().to_owned(), record.is_inspected()))
    });
    let made = made.unwrap();
    assert_eq!((seen.len(), &seen[0], made.errors), (60, &("cell_000".to_owned(), false), 1));
    assert!(made.text.starts_with("# ours\n") && made.text.contains(" # to be chosen"), "{}", made.text);
    assert_eq!(Policy::parse(&made.text, Path::new("p.toml")).unwrap().guarantee(), Some(&made.guarantee));
    assert_eq!((made.calibrated.miss.count, made.calibrated.miss.of), (0, 30));
    assert_eq!((made.rates.miss.count, made.guarantee.errors), (0, 1));
    // Too few for that, and rules that are none.
    let few = CalibrateOptions::new(Calibration::new(0.001), "2026-11-24");
    assert_eq!(calibrate(builder(), &samples, &few, |_| ()).unwrap_err().kind(), ErrorKind::TooFewPanels);
    let error = calibrate(builder(), &samples, &options.with_rules("schema = 2", "bad.toml"), |_| ()).unwrap_err();
    assert!(error.kind() == ErrorKind::Policy && error.to_string().contains("bad.toml"), "{error}");
}

#[test]
fn the_rules_of_a_policy_are_kept_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    cells(dir.path(), 60, |i| i % 2 == 1);
    let (base, policy) = (dir.path().join("base.toml"), dir.path().join("policy.toml"));
    // A rule that fails every cell, good ones too: nothing passes at any limit, so nothing is missed at any.
    let text = "# ours\nschema = 1\nname = \"line 3\"\n[default]\nreview = 0.9 # to be chosen\nfail = 0.9\n\
                [[rules]]\nname = \"anything\"\nconfidence = 0.05\nverdict = \"fail\"\n";
    fs::write(&base, text).unwrap();
    let calibrate = |overkill: &[&str]| {
        let program = on_cells("calibrate", dir.path()).option("--policy", &base);
        program.args(["--max-miss", "0.1"]).args(overkill).option("--out", &policy).run()
    };
    let (status, stdout, stderr) = calibrate(&[]);
    assert_eq!(status, 0, "{stderr}");
    assert!(stdout.contains("overkill here   100.00 % (30 of 30)"), "{stdout}");
    let written = fs::read_to_string(&policy).unwrap();
    assert!(written.starts_with("# ours\nschema = 1\nname = \"line 3\"\nmodel = \""), "{written}");
    assert!(written.contains(" # to be chosen") && written.contains("name = \"anything\""), "{written}");
    let (status, _, stderr) = calibrate(&["--max-overkill", "0.1"]);
    assert!(status == 2 && stderr.contains("good panels that fail at any limit, found more"), "{stderr}");
}

#[test]
fn decisions_of_persons_are_labels() {
    let dir = tempfile::tempdir().unwrap();
    cells(dir.path(), 60, |i| i % 2 == 1);
    let (file, policy) = (dir.path().join("decisions.json"), dir.path().join("policy.toml"));
    let decide = |count: u32| {
        let lines: Vec<_> = (0..count)
            .map(|i| {
                let word = if i % 2 == 1 { "defective" } else { "good" };
                format!("{{\"panel\":\"cell_{i:03}\",\"decision\":\"{word}\",\"kind\":null,\"at\":\"2026-11-24T12:00:00Z\"}}")
            })
            .collect();
        let head = "{\"schema\":1,\"model\":null,\"manifest\":null,\"policy\":null,\"panels\":60,\"decisions\":[\n";
        fs::write(&file, format!("{head}{}\n]}}\n", lines.join(",\n"))).unwrap();
    };
    let calibrate = || {
        let program = Program::new("calibrate").model(&project(MODEL)).option("--data", dir.path().join("images"));
        program.option("--decisions", &file).args(["--max-miss", "0.1", "--out"]).arg(&policy).run()
    };
    decide(60);
    let (status, stdout, stderr) = calibrate();
    assert_eq!(status, 0, "{stderr}");
    assert!(stdout.contains("60 (30 defective, 30 good"), "{stdout}");
    // Only some of the panels: they may have been chosen by their verdict.
    decide(59);
    let (status, _, stderr) = calibrate();
    assert!(status == 2 && stderr.contains("each of the 60 panels of the report, found 59"), "{stderr}");
    // Beside labels they change those of their panels.
    decide(1);
    let text = fs::read_to_string(dir.path().join("labels.csv")).unwrap();
    fs::write(dir.path().join("labels.csv"), text.replacen(" 0 ", " 1 ", 1)).unwrap();
    let program = on_cells("calibrate", dir.path());
    let (status, stdout, stderr) =
        program.option("--decisions", &file).args(["--max-miss", "0.1", "--out"]).arg(&policy).run();
    assert_eq!(status, 0, "{stderr}");
    assert!(
        stderr.contains("1 decisions, 1 against the label") && stdout.contains("(30 defective, 30 good"),
        "{stderr}"
    );
}

#[test]
fn too_few_panels_are_refused_before_any_is_inspected() {
    let dir = tempfile::tempdir().unwrap();
    cells(dir.path(), 20, |i| i % 2 == 1);
    fs::remove_dir_all(dir.path().join("images")).unwrap();
    let policy = dir.path().join("policy.toml");
    let (status, _, stderr) =
        on_cells("calibrate", dir.path()).args(["--max-miss", "0.01", "--out"]).arg(&policy).run();
    assert_eq!(status, 2);
    assert!(
        stderr.contains("at least 299 defective panels") && stderr.contains("found 10, which can show 25.89 %"),
        "{stderr}"
    );
    assert!(!policy.exists());
}

#[test]
fn a_monitor_counts_each_panel_once_and_tells_when_the_rate_no_longer_holds() {
    let dir = tempfile::tempdir().unwrap();
    cells(dir.path(), 60, |i| i % 2 == 1);
    let (policy, state) = (dir.path().join("policy.toml"), dir.path().join("state.json"));
    let calibrate = ["--max-miss", "0.1", "--max-overkill", "0.1", "--out"];
    assert_eq!(on_cells("calibrate", dir.path()).args(calibrate).arg(&policy).run().0, 0);

    let monitor =
        |folder: &Path| on_cells("monitor", folder).option("--policy", &policy).option("--state", &state).run();
    for _ in 0..2 {
        let (status, stdout, stderr) = monitor(dir.path());
        assert_eq!(status, 0, "{stderr}");
        assert!(stdout.contains("no evidence against it (0 of 30"), "{stdout}");
    }
    // Good-looking cells that a person calls defective: the line has a defect that the model does not know.
    let drift = dir.path().join("drift");
    cells(&drift, 130, |_| true);
    let (status, stdout, stderr) = monitor(&drift);
    assert_eq!(status, 1, "{stdout}{stderr}");
    assert!(stderr.contains("60 of 130 panels were counted before"), "{stderr}");
    assert!(stdout.contains("no longer holds (35 of 100"), "{stdout}");

    // Counts that these panels cannot have given are not either.
    let good = fs::read_to_string(&state).unwrap();
    for (count, instead, says) in [
        ("\"count\": 35", "\"count\": 101", "found 101 of 100"),
        ("\"of\": 100", "\"of\": 101", "expected as many panels as were counted (131), found 130"),
        ("\"confidence\": 0.95", "\"confidence\": 0.9", "expected counts with an alarm of confidence 0.9, found 0.95"),
    ] {
        assert!(good.contains(count), "{good}");
        fs::write(&state, good.replacen(count, instead, 1)).unwrap();
        let (status, _, stderr) = monitor(dir.path());
        assert!(status == 2 && stderr.contains("state.json: expected") && stderr.contains(says), "{stderr}");
    }
    // Another policy's counts are not taken over.
    let text = good.replacen("\"policy\": \"", "\"policy\": \"0", 1);
    fs::write(&state, text).unwrap();
    let (status, _, stderr) = monitor(dir.path());
    assert!(status == 2 && stderr.contains("expected counts under the policy"), "{stderr}");
    let plain = dir.path().join("plain.toml");
    fs::write(&plain, "schema = 1\nname = \"plain\"\n[default]\nreview = 0.1\nfail = 0.5\n").unwrap();
    let (status, _, stderr) = on_cells("monitor", dir.path()).option("--policy", plain).run();
    assert!(status == 2 && stderr.contains("expected a policy with a guarantee"), "{stderr}");
}
