//! The two models on real images, where they are: the Rust pipeline gives what the Python pipeline gave.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use panelqc::{Inspector, Model, ModelOptions, PanelReport, Precision};
use panelqc_eval::dataset::{Sample, Split, read_deeppcb, read_elpv};
use serde_json::Value;

use crate::util::{project, shared, skipped};

/// The solar-cell pictures: `ELPV_DATA`, or what `cargo xtask fetch` has put into target/.
fn solar_cells() -> Option<PathBuf> {
    let fetched = || {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| project("target"), PathBuf::from);
        target.join("fetched/elpv-dataset-1.0.0.post1/elpv_dataset/data")
    };
    let path = std::env::var_os("ELPV_DATA").map_or_else(fetched, PathBuf::from);
    if path.is_dir() {
        return Some(path);
    }
    skipped("the solar-cell pictures; `cargo xtask fetch` gets them");
    None
}

/// What Python gave for each validation panel.
fn python(model: &str) -> BTreeMap<String, Value> {
    let text = fs::read_to_string(project("models").join(model).join("reference.jsonl")).unwrap();
    text.lines()
        .map(|line| {
            let value: Value = serde_json::from_str(line).unwrap();
            (value["panel"].as_str().unwrap().to_owned(), value)
        })
        .collect()
}

fn rust(model: &str, samples: Vec<Sample>) -> Vec<PanelReport> {
    let list = project("models").join(model).join("splits/validation.txt");
    let samples = Split::load(&list).unwrap().select(samples, &list).unwrap();
    // Python's results are those of the graph in floating point.
    let mut options = ModelOptions::default();
    options.precision = Some(Precision::Fp32);
    let model = Model::load_with(project("models").join(model), &options).unwrap();
    let inspector = Inspector::builder(model).build().unwrap();
    inspector.inspect_batch(samples.into_iter().map(|s| s.files)).map(Result::unwrap).collect()
}

#[test]
fn solar_cell_scores_equal_python() {
    let Some(cells) = solar_cells() else { return };
    let python = python("solar-cell");
    let reports = rust("solar-cell", read_elpv(&cells).unwrap().samples);
    assert_eq!(reports.len(), python.len());
    let mut worst = 0.0f64;
    for report in &reports {
        let want = python[&report.panel]["score"].as_f64().unwrap();
        let got = f64::from(report.score);
        worst = worst.max((got - want).abs());
        assert!((got - want).abs() <= 1e-3, "{}: {got}, Python {want}", report.panel);
    }
    println!("solar-cell: {} scores equal Python's within {worst:.1e}", reports.len());
}

#[test]
fn board_defects_equal_python() {
    let Some(boards) = shared("deeppcb") else { return };
    let python = python("pcb");
    let reports = rust("pcb", read_deeppcb(&boards).unwrap().samples);
    assert_eq!(reports.len(), python.len());
    let (mut worst, mut worst_confidence, mut count) = (0.0f64, 0.0f64, 0);
    for report in &reports {
        let want = python[&report.panel]["defects"].as_array().unwrap();
        assert_eq!(report.defects.len(), want.len(), "{}", report.panel);
        // Confidences that differ in the last digits may swap places: each defect is looked for by kind and place.
        let mut open: Vec<&Value> = want.iter().collect();
        for defect in &report.defects {
            let sides: [f32; 4] = defect.bbox.into();
            let distance = |v: &Value| {
                (0..4).map(|i| (v["box"][i].as_f64().unwrap() - f64::from(sides[i])).abs()).fold(0.0, f64::max)
            };
            let same_kind = open.iter().enumerate().filter(|(_, v)| v["kind"] == defect.kind.as_str());
            let near = same_kind.map(|(i, v)| (i, distance(v))).min_by(|a, b| a.1.total_cmp(&b.1));
            let (i, off) = near.unwrap_or_else(|| panic!("{}: Python has no {}", report.panel, defect.kind));
            assert!(off <= 0.5, "{}: {} is {off} px from Python's box", report.panel, defect.kind);
            let confidence = open.remove(i)["confidence"].as_f64().unwrap();
            worst = worst.max(off);
            worst_confidence = worst_confidence.max((confidence - f64::from(defect.confidence.get())).abs());
            count += 1;
        }
    }
    assert!(worst_confidence <= 1e-3, "confidence differs by {worst_confidence}");
    println!("pcb: {count} boxes on {} boards equal Python's within {worst:.1e} px", reports.len());
}

#[test]
fn the_parts_of_the_data_never_mix() {
    for model in ["solar-cell", "pcb"] {
        let mut seen = BTreeMap::new();
        for part in ["train", "validation", "calibration", "test"] {
            let text = fs::read_to_string(project("models").join(model).join(format!("splits/{part}.txt"))).unwrap();
            for id in text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
                // Boards are kept apart by group, cells by themselves.
                let unit = if model == "pcb" { id.split('/').next().unwrap() } else { id };
                let first = *seen.entry(unit.to_owned()).or_insert(part);
                assert_eq!(first, part, "{model}: {unit} is in {first} and in {part}");
            }
        }
        assert!(seen.len() > 5, "{model}");
    }
}
