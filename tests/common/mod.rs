//! What several test programs need: rendered boards, folders, the real binary.
#![allow(dead_code)] // each test program uses a part
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::{GrayImage, Luma};

/// A file or folder of the project.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
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

/// The `panelqc` program, to be run on this project's runtime.
pub(crate) fn panelqc() -> Command {
    Command::new(env!("CARGO_BIN_EXE_panelqc"))
}

/// Runs and gives status, stdout and stderr.
pub(crate) fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("no signal"), text(stdout), text(stderr))
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

/// A rendered bare board of 640x640 pixels, black copper on white, and the same with defects: an interrupted trace
/// (open), two joined ones (short), and a hole in a pad (pin-hole).
pub(crate) fn board(seed: u32) -> (GrayImage, GrayImage) {
    let mut template = GrayImage::from_pixel(640, 640, Luma([255]));
    let shift = seed % 7 * 5;
    for i in 0..12 {
        rect(&mut template, 20, 30 + i * 50 + shift, 600, 14, 0);
    }
    for i in 0..5 {
        disc(&mut template, 80.0 + 120.0 * i as f32, 87.0 + shift as f32, 16.0, 0);
    }
    let mut test = template.clone();
    rect(&mut test, 200 + shift, 128 + shift, 12, 18, 255);
    rect(&mut test, 400, 194 + shift, 10, 36, 0);
    disc(&mut test, 320.0, 87.0 + shift as f32, 5.0, 255);
    (test, template)
}

fn rect(image: &mut GrayImage, x: u32, y: u32, width: u32, height: u32, value: u8) {
    for y in y..(y + height).min(image.height()) {
        for x in x..(x + width).min(image.width()) {
            image.put_pixel(x, y, Luma([value]));
        }
    }
}

fn disc(image: &mut GrayImage, cx: f32, cy: f32, radius: f32, value: u8) {
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        if (x as f32 + 0.5 - cx).hypot(y as f32 + 0.5 - cy) <= radius {
            pixel.0 = [value];
        }
    }
}

/// A rendered solar cell of 300x300 pixels: busbars, and a dark part when `dark`.
pub(crate) fn cell(seed: u32, dark: bool) -> GrayImage {
    GrayImage::from_fn(300, 300, |x, y| {
        let noise = (x * 7 + y * 13 + seed * 31) % 11;
        let bar = if y % 100 > 92 { 40 } else { 0 };
        let shade = if dark && x > 120 && x < 200 + seed % 40 && y > 60 && y < 240 { 90 } else { 0 };
        Luma([(170 + noise - bar - shade) as u8])
    })
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
