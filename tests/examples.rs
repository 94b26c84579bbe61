//! Every example runs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::util::{Program, project, write_cells};

/// The built example, which cargo puts beside the folder of the test programs.
fn example(name: &str) -> Program {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    Program::of(Command::new(path.join("examples").join(file)))
}

#[test]
fn embed() {
    let dir = tempfile::tempdir().unwrap();
    write_cells(dir.path(), 1);
    let program = example("embed").arg(project("models/solar-cell"));
    let (status, out, err) = program.arg(dir.path().join("cell_000.png")).run();
    assert_eq!(status, 0, "{err}");
    assert!(out.starts_with("cell_000: "), "{out}");
}

#[test]
fn batch_inspection_of_a_plain_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (images, out) = (dir.path().join("in"), dir.path().join("out"));
    write_cells(&images, 3);
    let program = example("batch_inspection").model(&project("models/solar-cell"));
    let (status, text, err) = program.option("--out", &out).arg(&images).run();
    assert_eq!(status, 0, "{err}");
    assert!(text.contains("images                 3\n") && text.contains("images a second"), "{text}");
    assert_eq!(fs::read_to_string(out.join("results.jsonl")).unwrap().lines().count(), 3);
    assert!(out.join("overlays/cell_002.png").is_file());
    assert!(text.contains("report.html\n") && out.join("report.html").is_file(), "{text}");
}

#[test]
fn batch_inspection_of_a_labelled_folder() {
    let dir = tempfile::tempdir().unwrap();
    write_cells(&dir.path().join("images"), 12);
    let labels: String = (0..12).map(|i| format!("images/cell_{i:03}.png {} mono\n", i % 2)).collect();
    fs::write(dir.path().join("labels.csv"), labels).unwrap();
    let out = dir.path().join("out");
    let program = example("batch_inspection").model(&project("models/solar-cell")).option("--policy", policy());
    let (status, text, err) = program.option("--out", &out).arg(dir.path()).run();
    assert_eq!(status, 0, "{err}");
    for part in ["accuracy", " of 12;", "confusion", "miss rate", "overkill", "decided without review", "p99", "2 s"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let pictures: Vec<PathBuf> = text
        .lines()
        .filter_map(|l| l.split_whitespace().last())
        .filter(|w| w.ends_with(".png"))
        .map(Into::into)
        .collect();
    assert_eq!(pictures.len(), 10, "the ten most uncertain cells");
    assert!(pictures.iter().all(|p| p.is_file()));
    assert!(out.join("evaluation.json").is_file());
}

fn policy() -> PathBuf {
    project("models/solar-cell/policy.toml")
}
