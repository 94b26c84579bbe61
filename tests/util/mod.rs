//! What several tests need: rendered boards, folders, the real program.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

pub(crate) use graph::{Element, Given, write_package};
use panelqc::{Frame, Panel, PanelReport, PixelFormat, Size, Timings};
pub(crate) use program::Program;
pub(crate) use render::{board, cell};

mod graph;
pub(crate) mod onnx;
mod program;
mod render;

/// A file or folder of the project.
pub(crate) fn project(path: &str) -> PathBuf {
    // The tests belong to crates/panelqc-cli, two folders below it.
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the root").join(path)
}

/// A folder of real labelled images beside the checkout. Where it is missing, says so in one line and gives `None`.
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
    let path = project("../shared/data").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    skipped(&format!("real images in shared/data/{folder}, which is not beside this checkout"));
    None
}

/// One line on stderr, past the test harness, which would keep what a passing test prints to itself.
pub(crate) fn skipped(needs: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: this test needs {needs}");
}

/// Results with the timings taken out: what has to be the same from run to run.
pub(crate) fn without_times(jsonl: &str) -> Vec<serde_json::Value> {
    jsonl
        .lines()
        .map(|line| {
            let mut value: serde_json::Value = serde_json::from_str(line).expect("a JSON line");
            value.as_object_mut().expect("an object").remove("ms");
            value
        })
        .collect()
}

/// Writes `count` boards as `NN_test.png` and `NN_temp.png`.
pub(crate) fn write_boards(folder: &Path, count: u32) {
    fs::create_dir_all(folder).unwrap();
    for i in 0..count {
        let (test, template) = board(i);
        test.save(folder.join(format!("{i:02}_test.png"))).unwrap();
        template.save(folder.join(format!("{i:02}_temp.png"))).unwrap();
    }
}

/// Writes `count` solar cells as `cell_NNN.png`, every other one with a dark part.
pub(crate) fn write_cells(folder: &Path, count: u32) {
    fs::create_dir_all(folder).unwrap();
    for i in 0..count {
        cell(i, i % 2 == 1).save(folder.join(format!("cell_{i:03}.png"))).unwrap();
    }
}

/// A picture of one cell, in memory; every other one with a dark part.
pub(crate) fn cell_panel(seed: u32) -> Panel<'static> {
    let image = cell(seed, seed % 2 == 1);
    let frame = Frame::new(Size::new(300, 300), PixelFormat::Mono8, image.into_raw()).unwrap();
    Panel::new(format!("panel {seed}"), frame)
}

/// A report with the timings taken out.
pub(crate) fn timeless(mut report: PanelReport) -> PanelReport {
    report.ms = Timings::default();
    report
}
