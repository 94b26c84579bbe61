//! Frames as a camera's driver gives them: borrowed, padded, of any depth.

use std::fs;
use std::sync::Arc;

use crate::util::{cell, project};
use image::{ImageBuffer, Luma};
use panelqc::{Frame, Inspector, Model, ModelOptions, Panel, PanelReport, PixelFormat, Precision, Size};

const CELL: Size = Size::new(300, 300);

fn inspector(model: &std::path::Path) -> Inspector {
    // In floating point: 8-bit integers make jumps of the differences that rounding leaves. Down to any confidence, so
    // that each cell has a defect to be compared.
    let options = ModelOptions::default().with_precision(Precision::Fp32);
    Inspector::builder(Model::load_with(model, &options).unwrap()).threads(1).floor(0.0).build().unwrap()
}

/// The solar-cell model, its manifest with `line` in the `[input]` table, in a folder of its own.
fn model_with(line: &str) -> tempfile::TempDir {
    let (folder, source) = (tempfile::tempdir().unwrap(), project("models/solar-cell"));
    let manifest = fs::read_to_string(source.join("model.toml")).unwrap();
    fs::write(folder.path().join("model.toml"), manifest.replacen("[input]\n", &format!("[input]\n{line}\n"), 1))
        .unwrap();
    for graph in ["model.onnx", "model.int8.onnx"] {
        fs::copy(source.join(graph), folder.path().join(graph)).unwrap();
    }
    folder
}

/// A picture of 8 bits at another depth, rows `stride` samples apart with rubbish between them.
fn deepened(values: &[u8], format: PixelFormat, stride: usize) -> Vec<u16> {
    let white = u32::from(format.white());
    let rows = values.chunks_exact(CELL.width as usize).map(|row| {
        let mut row: Vec<u16> = row.iter().map(|&value| ((u32::from(value) * white + 127) / 255) as u16).collect();
        row.resize(stride, 0xFFFF);
        row
    });
    rows.collect::<Vec<_>>().concat()
}

fn assert_same(got: &PanelReport, want: &PanelReport, name: &str) {
    assert_eq!((got.verdict, got.defects.len()), (want.verdict, want.defects.len()), "{name}");
    for (got, want) in got.defects.iter().zip(&want.defects) {
        assert_eq!(got.kind, want.kind, "{name}");
        let off = (got.confidence.get() - want.confidence.get()).abs();
        assert!(off < 0.01, "{name}: confidence {} and {}", got.confidence, want.confidence);
        let iou = got.bbox.iou(&want.bbox);
        assert!(iou > 0.9, "{name}: boxes {:?} and {:?}", got.bbox, want.bbox);
    }
}

#[test]
fn every_depth_has_the_defects_of_eight_bits() {
    let inspector = inspector(&project("models/solar-cell"));
    let mut found = 0;
    for seed in 0..4 {
        let cell = cell(seed, seed % 2 == 1).into_raw();
        let eight = Panel::new("eight", Frame::new(CELL, PixelFormat::Mono8, &cell).unwrap());
        let want = inspector.inspect(&eight).unwrap();
        found += want.defects.len();
        for format in [PixelFormat::Mono10, PixelFormat::Mono12, PixelFormat::Mono14, PixelFormat::Mono16] {
            // Borrowed with padding, as it lies in the driver's memory.
            let driver = deepened(&cell, format, 320);
            let frame = Frame::strided(CELL, format, &driver, 320).unwrap();
            assert_same(&inspector.inspect(&Panel::new("deep", frame)).unwrap(), &want, &format.to_string());
        }
    }
    assert!(found >= 4, "defects: {found}");
}

#[test]
fn shared_frames_go_through_a_stream() {
    let inspector = inspector(&project("models/solar-cell"));
    let ring: Vec<Arc<Vec<u8>>> = (0..3).map(|seed| Arc::new(cell(seed, seed == 1).into_raw())).collect();
    let panel = |(at, buffer): (usize, &Arc<Vec<u8>>)| {
        Panel::new(at.to_string(), Frame::new(CELL, PixelFormat::Mono8, Arc::clone(buffer)).unwrap())
    };
    let reports: Vec<_> = inspector.inspect_batch(ring.iter().enumerate().map(panel)).map(Result::unwrap).collect();
    assert_eq!(reports.iter().map(|report| report.panel.as_str()).collect::<Vec<_>>(), ["0", "1", "2"]);
    for (report, buffer) in reports.iter().zip(&ring) {
        let borrowed = Frame::new(CELL, PixelFormat::Mono8, &buffer[..]).unwrap();
        let alone = inspector.inspect(&Panel::new("alone", borrowed)).unwrap();
        assert_eq!((&report.defects, report.score), (&alone.defects, alone.score));
    }
    assert!(ring.iter().all(|buffer| Arc::strong_count(buffer) == 1), "every buffer is the driver's again");
}

#[test]
fn twelve_bits_in_a_file_of_sixteen_are_inspected_with_the_manifests_white() {
    let cell = cell(1, true).into_raw();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep.png");
    let deep = deepened(&cell, PixelFormat::Mono12, 300);
    ImageBuffer::<Luma<u16>, _>::from_raw(300, 300, deep).unwrap().save(&path).unwrap();
    let eight = Panel::new("eight", Frame::new(CELL, PixelFormat::Mono8, &cell).unwrap());
    let plain = project("models/solar-cell");
    let want = inspector(&plain).inspect(&eight).unwrap();
    assert!(!want.defects.is_empty());
    let short = model_with("white = 4095");
    let step = model_with("");
    let manifest = fs::read_to_string(step.path().join("model.toml")).unwrap();
    let manifest = manifest.replacen("[input]", "[[prepare]]\nstep = \"white\"\nvalue = 4095\n\n[input]", 1);
    fs::write(step.path().join("model.toml"), manifest).unwrap();
    for model in [short, step] {
        let twelve = inspector(model.path());
        assert_same(&twelve.inspect_file(&path).unwrap(), &want, "12 bits in a file of 16");
        let refused = twelve.inspect(&eight).unwrap_err().to_string();
        assert!(refused.contains("pixels of 16 bits (the manifest's white is 4095), found Mono8"), "{refused}");
    }
}
