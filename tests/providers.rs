//! Providers: a request that cannot be met is refused and says what would meet it; the CPU never takes its place.

use std::fs;

use panelqc::{ErrorKind, Fault, Model, ModelOptions, Provider};
use serde_json::Value;

use crate::util::{Program, project, skipped, write_cells};

fn options(provider: Provider) -> ModelOptions {
    let mut options = ModelOptions::default();
    options.graph.provider = provider;
    options
}

#[test]
fn a_provider_that_is_not_there_is_refused() {
    let compiled = |provider| match provider {
        Provider::Cuda => cfg!(feature = "cuda"),
        Provider::TensorRt => cfg!(feature = "tensorrt"),
        Provider::OpenVino => cfg!(feature = "openvino"),
        Provider::DirectMl => cfg!(feature = "directml"),
        _ => cfg!(feature = "coreml"),
    };
    let all = [Provider::Cuda, Provider::TensorRt, Provider::OpenVino, Provider::DirectMl, Provider::CoreMl];
    for provider in all {
        for share in [false, true] {
            let mut options = options(provider);
            options.graph.share_with_cpu = share;
            let error = match Model::load_with(project("models/solar-cell"), &options) {
                Err(error) => error,
                Ok(model) => {
                    // A runtime and a machine that have it: then it is that provider that runs.
                    assert!(compiled(provider) && model.provider() == provider);
                    continue;
                }
            };
            assert_eq!(error.fault(), Fault::Runtime);
            assert_eq!((error.kind(), error.name()), (ErrorKind::Provider, Some(provider.name())));
            if !compiled(provider) {
                assert!(error.expected().is_some_and(|e| e.contains(&format!("--features {provider}"))), "{error}");
                assert_eq!(error.found(), Some("one built without it"));
            }
        }
    }
}

#[test]
fn every_command_that_loads_a_model_takes_the_options() {
    let dir = tempfile::tempdir().unwrap();
    write_cells(dir.path(), 1);
    let (model, images) = (project("models/solar-cell"), dir.path().display().to_string());
    let model = model.display().to_string();
    let commands: [&[&str]; 7] = [
        &["inspect", "--model", &model, &images],
        &["bench", "--model", &model, &images],
        &["eval", "--model", &model, "--data", &images, "--format", "elpv"],
        &["monitor", "--model", &model, "--data", &images, "--format", "elpv"],
        &[
            "calibrate",
            "--model",
            &model,
            "--data",
            &images,
            "--format",
            "elpv",
            "--max-miss",
            "0.1",
            "--out",
            "p.toml",
        ],
        &["check", &model],
        &["golden", &model, &images],
    ];
    for command in commands {
        // Direct3D and Apple's units are never both there.
        let provider = if cfg!(windows) { "coreml" } else { "directml" };
        let (status, out, err) = Program::bare().args(command).args(["--provider", provider, "--share-with-cpu"]).run();
        assert_eq!((status, out.as_str()), (2, ""), "{command:?}");
        assert!(err.starts_with(&format!("panelqc: provider {provider}: expected ")), "{command:?}: {err}");
        let (status, _, err) = Program::bare().args(command).args(["--device", "3"]).run();
        assert!(status == 2 && err.contains("device: expected at most 0 with cpu, found 3"), "{command:?}: {err}");
        let (status, _, err) = Program::bare().args(command).args(["--provider", "gpu"]).run();
        assert!(
            status == 2 && err.contains("expected one of cpu, cuda") && err.contains("`gpu`"),
            "{command:?}: {err}"
        );
    }
    let mut cached = options(Provider::DirectMl);
    cached.graph.cache = Some(dir.path().to_path_buf());
    assert_eq!(Model::load_with(&model, &cached).unwrap_err().fault(), Fault::Caller);
}

#[test]
fn results_of_another_provider_are_not_continued() {
    let dir = tempfile::tempdir().unwrap();
    let (images, out) = (dir.path().join("in"), dir.path().join("out"));
    write_cells(&images, 2);
    let go = || {
        let program = Program::new("inspect").arg("--resume").model(&project("models/solar-cell"));
        program.option("--out", &out).arg(&images).run()
    };
    assert_eq!(go().0, 0);
    let file = out.join("results.jsonl");
    let lines = fs::read_to_string(&file).unwrap();
    assert!(!lines.contains("provider"), "the CPU is not named: {lines}");
    assert_eq!(go().0, 0);
    fs::write(&file, lines.replace("\"version\":", "\"provider\":\"cuda\",\"version\":")).unwrap();
    let (status, _, err) = go();
    assert!(status == 2 && err.contains("results.jsonl:1") && err.contains("found one of another provider"), "{err}");
}

/// The quota of a control group is counted by the same function; setting one takes rights that a test does not have.
#[test]
#[cfg(target_os = "linux")]
fn the_default_number_of_threads_follows_the_affinity() {
    use std::process::Command;
    let state = fs::read_to_string("/proc/self/status").unwrap();
    let allowed = state.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let first = allowed.split([',', '-']).next().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (images, json) = (dir.path().join("cells"), dir.path().join("b.json"));
    write_cells(&images, 1);
    let threads = |program: Program| {
        let program = program.args(["bench", "--rounds", "1"]).model(&project("models/solar-cell"));
        let (status, out, err) = program.option("--json", &json).arg(&images).run();
        assert_eq!(status, 0, "{err}");
        let value: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
        assert!(out.contains(&format!("{} threads", value["threads"])), "{out}");
        assert_eq!(value["provider"], "cpu");
        value["threads"].as_u64().unwrap()
    };
    let mut taskset = Command::new("taskset");
    if taskset.arg("--version").output().is_err() {
        return skipped("taskset, of util-linux");
    }
    let pinned = Program::of(Command::new("taskset")).args(["-c", first]);
    assert_eq!(threads(pinned.arg(Program::bare().command().get_program())), 1);
    let all = std::thread::available_parallelism().unwrap().get() as u64;
    assert_eq!(threads(Program::bare()), all);
}
