//! The page that the real program writes, and the decisions that come back from it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::util::{Program, project, write_cells};

fn cells(command: &str) -> Program {
    let program = Program::new(command).model(&project("models/solar-cell"));
    program.option("--policy", project("models/solar-cell/policy.toml"))
}

/// What a page holds.
fn data(page: &Path) -> Value {
    let page = fs::read_to_string(page).unwrap();
    let text = page.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
    serde_json::from_str(text).unwrap()
}

fn panels(data: &Value) -> Vec<String> {
    data["panels"].as_array().unwrap().iter().map(|p| p["panel"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn inspect_writes_a_page_with_all_panels_resumed_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let (images, out) = (dir.path().join("in"), dir.path().join("out"));
    write_cells(&images, 4);
    fs::write(images.join("broken.png"), "no picture").unwrap();
    let go = |more: &[&str]| cells("inspect").arg("--html").args(more).option("--out", &out).arg(&images).run();
    let (status, _, err) = go(&[]);
    assert_eq!(status, 1, "one image is broken: {err}");
    let whole = data(&out.join("report.html"));
    assert_eq!(panels(&whole), ["broken", "cell_000", "cell_001", "cell_002", "cell_003"]);
    let (broken, cell) = (&whole["panels"][0], &whole["panels"][1]);
    assert_eq!((broken["status"].as_str(), broken["verdict"].as_str()), (Some("error"), Some("review")));
    assert!(broken["pictures"].as_array().unwrap().is_empty() && broken["error"].as_str().unwrap().contains("broken"));
    assert_eq!((&cell["pictures"][0]["width"], cell.get("label")), (&300.into(), None));
    assert_eq!(whole["kinds"], serde_json::json!(["defective"]));
    assert!(whole["review_limit"].as_f64().unwrap() < whole["fail_limit"].as_f64().unwrap());

    // Killed in the middle of the fourth line: the page of the resumed run has the earlier panels too, with pictures.
    let file = out.join("results.jsonl");
    let lines = fs::read_to_string(&file).unwrap();
    let third = lines.match_indices('\n').nth(2).unwrap().0;
    fs::write(&file, &lines[..third + 40]).unwrap();
    let (status, _, err) = go(&["--resume"]);
    assert_eq!(status, 1, "{err}");
    let resumed = data(&out.join("report.html"));
    assert_eq!(panels(&resumed), panels(&whole));
    for (a, b) in whole["panels"].as_array().unwrap().iter().zip(resumed["panels"].as_array().unwrap()) {
        assert_eq!((&a["pictures"], &a["defects"], &a["score"]), (&b["pictures"], &b["defects"], &b["score"]));
    }
    let (status, _, err) = cells("inspect").arg("--html").arg(&images).run();
    assert_eq!(status, 2);
    assert!(err.contains("--out"), "{err}");
}

#[test]
fn eval_shows_labels_and_takes_decisions() {
    let dir = tempfile::tempdir().unwrap();
    write_cells(&dir.path().join("images"), 6);
    let labels: String = (0..6).map(|i| format!("images/cell_{i:03}.png {} mono\n", i % 2)).collect();
    fs::write(dir.path().join("labels.csv"), labels).unwrap();
    let (page, numbers) = (dir.path().join("page.html"), dir.path().join("numbers.json"));
    let go = |decisions: Option<&Path>| {
        let program = cells("eval").option("--data", dir.path()).args(["--format", "elpv"]);
        let program = program.option("--html", &page).option("--json", &numbers);
        match decisions {
            Some(file) => program.option("--decisions", file).run(),
            None => program.run(),
        }
    };
    let (status, _, err) = go(None);
    assert_eq!(status, 0, "{err}");
    let shown = data(&page);
    assert_eq!(shown["title"], "solar-cell: elpv");
    let defective: Vec<_> =
        shown["panels"].as_array().unwrap().iter().map(|p| p["label"]["defective"].as_bool().unwrap()).collect();
    assert_eq!(defective, [false, true, false, true, false, true]);
    let measured: Value = serde_json::from_str(&fs::read_to_string(&numbers).unwrap()).unwrap();
    let mut figures = measured.clone();
    figures.as_object_mut().unwrap().remove("panels");
    assert_eq!(shown["evaluation"], figures);
    assert_eq!((&measured["miss"]["of"], &measured["overkill"]["of"]), (&3.into(), &3.into()));

    let file = dir.path().join("decisions.json");
    let decided = |panel: &str, decision: &str| {
        let line = format!(
            "{{\"panel\":\"{panel}\",\"decision\":\"{decision}\",\"kind\":null,\"at\":\"2026-11-24T12:00:00Z\"}}"
        );
        let head = "{\"schema\":1,\"model\":null,\"manifest\":null,\"policy\":null,\"panels\":6,\"decisions\":[\n";
        fs::write(&file, format!("{head}{line}\n]}}\n")).unwrap();
    };
    decided("cell_000", "defective");
    let (status, _, err) = go(Some(&file));
    assert_eq!(status, 0, "{err}");
    assert!(err.contains("1 decisions, 1 against the label"), "{err}");
    let measured: Value = serde_json::from_str(&fs::read_to_string(&numbers).unwrap()).unwrap();
    assert_eq!((&measured["miss"]["of"], &measured["overkill"]["of"]), (&4.into(), &2.into()));
    assert_eq!(data(&page)["panels"][0]["label"]["defective"], true);

    decided("cell_999", "good");
    let (status, _, err) = go(Some(&file));
    assert_eq!(status, 2);
    assert!(
        err.contains("decisions.json: expected panels of the data set, found 1") && err.contains("cell_999"),
        "{err}"
    );
    decided("cell_000", "fine");
    let (status, _, err) = go(Some(&file));
    assert_eq!(status, 2);
    assert!(err.contains("decisions.json:2: expected decisions of schema 1"), "{err}");
}
