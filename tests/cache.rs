//! The optimised graph that is kept: the same results with and without it, also of the real program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use panelqc::{ErrorKind, Fault, Inspector, Model, ModelOptions, PanelReport, Precision, find_panels};

use crate::util::{Program, project, timeless, without_times, write_boards, write_cells};

fn reports(model: &Path, options: &ModelOptions, images: &Path) -> Vec<PanelReport> {
    let panels = find_panels(&[images.to_path_buf()], model.ends_with("pcb").then_some(images)).unwrap();
    let inspector =
        Inspector::builder(Model::load_with(model, options).unwrap()).threads(2).floor(0.05).build().unwrap();
    inspector.inspect_batch(panels).map(|result| timeless(result.unwrap())).collect()
}

/// The kept graphs of a folder, with their contents.
fn kept(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| (file.clone(), fs::read(file).unwrap())).collect()
}

#[test]
fn results_with_and_without_it_are_the_same_to_the_bit() {
    for model in ["pcb", "solar-cell"] {
        let dir = tempfile::tempdir().unwrap();
        let images = dir.path().join("images");
        if model == "pcb" {
            write_boards(&images, 3)
        } else {
            write_cells(&images, 4)
        }
        for precision in [Precision::Fp32, Precision::Int8] {
            let model = project("models").join(model);
            let mut options = ModelOptions::default();
            options.precision = Some(precision);
            let plain = reports(&model, &options, &images);
            assert!(plain.iter().any(|report| !report.defects.is_empty()));
            let folder = dir.path().join(format!("{precision:?}/deep"));
            options.graph.cache = Some(folder.clone());
            assert_eq!(reports(&model, &options, &images), plain, "{precision:?}, made");
            let made = kept(&folder);
            assert_eq!(made.len(), 1);
            let sha256 = &plain[0].trace.model;
            assert!(made[0].0.file_name().unwrap().to_str().unwrap().starts_with(&**sha256));
            assert_eq!(reports(&model, &options, &images), plain, "{precision:?}, kept");
            assert!(kept(&folder) == made);
        }
    }
}

#[test]
fn weights_in_a_file_of_their_own_and_a_manifest_in_the_graph_work_too() {
    for case in ["anomalib-padim-external", "yolo11-detect/model.onnx"] {
        let (dir, model) = (tempfile::tempdir().unwrap(), project("tests/parity").join(case));
        let images = project("tests/parity/images/wide-233x141.png");
        let plain = reports(&model, &ModelOptions::default(), &images);
        let mut options = ModelOptions::default();
        options.graph.cache = Some(dir.path().to_path_buf());
        assert_eq!(reports(&model, &options, &images), plain, "{case}, made");
        assert_eq!(reports(&model, &options, &images), plain, "{case}, kept");
        assert_eq!(kept(dir.path()).len(), 1);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let mut options = ModelOptions::default();
    options.graph.cache = Some(file.join("cache"));
    let error = Model::load_with(project("models/solar-cell"), &options).unwrap_err();
    assert!(error.kind() == ErrorKind::Io && error.fault() == Fault::System);
    assert!(error.to_string().contains("file/cache") || error.to_string().contains("file\\cache"), "{error}");
}

/// A copy of a model package, beside which a folder may be made.
fn package(folder: &Path) -> PathBuf {
    let (package, source) = (folder.join("package"), project("models/solar-cell"));
    fs::create_dir(&package).unwrap();
    for file in ["model.onnx", "model.int8.onnx", "model.toml"] {
        fs::copy(source.join(file), package.join(file)).unwrap();
    }
    package
}

fn inspect(package: &Path, images: &Path) -> Program {
    Program::new("inspect").model(package).arg(images)
}

#[test]
fn the_program_keeps_it_beside_the_model_or_where_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (images, package) = (dir.path().join("images"), package(dir.path()));
    write_cells(&images, 2);
    let (status, plain, _) = inspect(&package, &images).run();
    assert_eq!(status, 0);
    assert!(!package.join("cache").exists(), "on request only");
    let elsewhere = dir.path().join("elsewhere");
    for (option, folder) in
        [("--cache".to_owned(), package.join("cache")), (format!("--cache={}", elsewhere.display()), elsewhere)]
    {
        for round in 0..2 {
            let (status, out, err) = inspect(&package, &images).arg(&option).run();
            assert_eq!(status, 0, "{err}");
            assert_eq!(without_times(&out), without_times(&plain), "{option}, round {round}");
            assert_eq!(kept(&folder).len(), 1);
        }
    }
    // A graph that is not what the manifest says is refused, whatever is kept.
    let graph = package.join("model.int8.onnx");
    let mut bytes = fs::read(&graph).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&graph, bytes).unwrap();
    let (status, _, err) = inspect(&package, &images).arg("--cache").run();
    assert!(status == 2 && err.contains("SHA-256"), "{err}");
}

#[test]
fn several_programs_make_it_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (images, package) = (dir.path().join("images"), package(dir.path()));
    write_cells(&images, 1);
    let start = || {
        let mut command = inspect(&package, &images).args(["--cache", "--threads", "1"]).command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let running: Vec<_> = (0..6).map(|_| start()).collect();
    let outputs: Vec<_> = running.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    for output in &outputs {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let line = |output: &[u8]| without_times(str::from_utf8(output).unwrap());
        assert_eq!(line(&output.stdout), line(&outputs[0].stdout));
    }
    assert_eq!(kept(&package.join("cache")).len(), 1);
}
