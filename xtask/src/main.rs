//! `cargo xtask`: the project's commands, set-up included.

mod bench;
mod fetch;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

const HELP: &str = "\
cargo xtask demo      inspect the solar cells that the model has not seen, on a fresh machine too
cargo xtask test      run all tests (arguments go to cargo test)
cargo xtask fetch     fetch ONNX Runtime and the solar-cell pictures into target/, nothing else
cargo xtask verify    measure both models on the labelled data that is there, and compare with Python's results
cargo xtask parity    make tests/parity anew with the exporters' own packages (minutes, some GB)
cargo xtask bench     measure speed against what the hardware allows and against other programs (--quick: minutes);
                      with --criterion first: run the criterion benches (arguments go to cargo bench)
";

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let task = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let done = match task.as_str() {
        "demo" => demo(&rest),
        "test" => test(&rest),
        "fetch" => fetch::runtime().and_then(|_| fetch::solar_cells()).map(|_| ()),
        "verify" => verify(),
        "parity" => parity(),
        "bench" => bench::run(&rest),
        _ => Err(HELP.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// The project's root.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}

/// Where cargo puts what it builds.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// A cargo command in the root, with the fetched runtime unless the user names one.
fn cargo() -> Result<Command, Failure> {
    let runtime = fetch::runtime()?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).env("ORT_DYLIB_PATH", runtime);
    Ok(command)
}

fn run(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|e| format!("cannot run {command:?}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("failed: {command:?}").into()) }
}

fn demo(rest: &[String]) -> Result<(), Failure> {
    let mut command = cargo()?;
    let cells = fetch::solar_cells()?;
    let model = root().join("models/solar-cell");
    command
        .args(["run", "--release", "--quiet", "--example", "batch_inspection", "--"])
        .arg("--model")
        .arg(&model)
        .arg("--policy")
        .arg(model.join("policy.toml"))
        .arg("--split")
        .arg(model.join("splits/test.txt"))
        .arg("--out")
        .arg(target().join("demo"))
        .args(rest)
        .arg(cells);
    eprintln!("building (minutes the first time) ...");
    run(&mut command)
}

fn test(rest: &[String]) -> Result<(), Failure> {
    run(cargo()?.args(["test", "--workspace"]).args(rest))
}

/// Makes the stored results of other pipelines anew, in a virtual environment that is thrown away with target/.
fn parity() -> Result<(), Failure> {
    let folder = root().join("tests/parity");
    let python = fetch::environment("parity", &folder.join("requirements.txt"))?;
    for recipe in ["images", "resize", "ultralytics", "torchvision", "form", "transformers", "anomalib"] {
        let script =
            folder.join(if recipe == "images" { "images.py".to_owned() } else { format!("{recipe}_cases.py") });
        println!("== {}", script.display());
        run(Command::new(&python).arg(&script).env("OMP_NUM_THREADS", "1"))?;
    }
    println!("== comparing");
    test(&["--test".to_owned(), "parity".to_owned()])
}

/// Accuracy by `panelqc eval`, and the tests that compare with what Python gave, on all data that is there.
fn verify() -> Result<(), Failure> {
    let cells = fetch::solar_cells()?;
    let boards = root().join("../shared/data/deeppcb");
    run(cargo()?.args(["build", "--release", "--quiet", "--bin", "panelqc"]))?;
    let eval = |model: &str, data: &PathBuf, format: &str, part: &str| {
        println!("== {model}, {part}");
        let model = root().join("models").join(model);
        let mut command = Command::new(target().join("release/panelqc"));
        command.env("ORT_DYLIB_PATH", fetch::runtime()?).arg("eval").arg("--model").arg(&model).arg("--data").arg(data);
        command.arg("--format").arg(format).arg("--policy").arg(model.join("policy.toml"));
        run(command.arg("--split").arg(model.join(format!("splits/{part}.txt"))))
    };
    for part in ["validation", "calibration", "test"] {
        eval("solar-cell", &cells, "elpv", part)?;
    }
    if boards.is_dir() {
        for part in ["validation", "calibration"] {
            eval("pcb", &boards, "deeppcb", part)?;
        }
    } else {
        println!("skipped: models/pcb, no boards in {}", boards.display());
    }
    run(cargo()?.args(["test", "--release", "--test", "models", "--", "--nocapture"]))
}
