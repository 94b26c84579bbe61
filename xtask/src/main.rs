//! `cargo xtask`: the project's commands, set-up included.

mod bench;
mod check;
mod fetch;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const HELP: &str = "\
cargo xtask demo      calibrate a policy for the solar cells and inspect those that nobody has seen, on a fresh machine too
cargo xtask boards    the same for the boards, on a folder of DeepPCB [default: ../shared/data/deeppcb]
cargo xtask test      run all tests (arguments go to cargo test)
cargo xtask check     what CI asks beside tests and lints: each feature alone, docs, licences of dependencies, spelling
cargo xtask fetch     fetch ONNX Runtime and the solar-cell pictures into target/, nothing else
cargo xtask verify    measure both models on the labelled data that is there, and compare with Python's results
cargo xtask parity    make tests/parity anew with the exporters' own packages (minutes, some GB)
cargo xtask reference make the numbers of other implementations in tests/reference anew (minutes, some GB)
cargo xtask page      test the HTML page in headless Chromium (with FILES: photograph those pages instead)
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
        "boards" => boards(&rest),
        "test" => test(&rest),
        "check" => check::all(),
        "fetch" => fetch::runtime().and_then(|_| fetch::solar_cells()).map(|_| ()),
        "verify" => verify(),
        "parity" => parity(),
        "reference" => reference(),
        "page" => page(&rest),
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

/// The most cells that may be missed and overkilled: 125 defective cells in the calibration part can prove 2.4 % at
/// best, with none of them missed; two may be missed for 5 %.
const CELLS: [&str; 4] = ["--max-miss", "0.05", "--max-overkill", "0.07"];
/// 341 defective boards can prove 0.9 % at best.
const BOARDS: [&str; 2] = ["--max-miss", "0.01"];

/// Builds these packages in release, what of them `targets` name.
fn build(packages: &[&str], targets: &[&str]) -> Result<(), Failure> {
    eprintln!("building (takes minutes the first time) ...");
    let mut command = cargo()?;
    command.args(["build", "--release", "--quiet"]);
    for package in packages {
        command.args(["--package", package]);
    }
    run(command.args(targets))
}

/// A policy from the calibration part, then what it does to the part that nothing was chosen or trained by.
fn demo(rest: &[String]) -> Result<(), Failure> {
    let cells = fetch::solar_cells()?;
    let model = root().join("models/solar-cell");
    let out = target().join("demo");
    build(&["panelqc-cli"], &["--bins", "--example", "batch_inspection"])?;
    let policy = calibrate("solar-cell", &cells, "elpv", &CELLS, &out)?;
    println!("\n== held-out cells");
    let mut inspect = Command::new(target().join("release/examples/batch_inspection"));
    inspect.env("ORT_DYLIB_PATH", fetch::runtime()?).arg("--model").arg(&model).arg("--policy").arg(policy);
    run(inspect.arg("--split").arg(model.join("splits/test.txt")).arg("--out").arg(out).args(rest).arg(cells))
}

/// Templates are good panels, tests defective ones. The set's public test list is not among the data beside this
/// project: the policy is tried on the validation part, which chose the model's confidence limit.
fn boards(rest: &[String]) -> Result<(), Failure> {
    let data = rest.first().map_or_else(|| root().join("../shared/data/deeppcb"), PathBuf::from);
    if !data.is_dir() {
        return Err(format!("{}: expected a folder of DeepPCB, found none", data.display()).into());
    }
    let out = target().join("boards");
    build(&["panelqc-cli"], &["--bins"])?;
    let options = [&BOARDS[..], &["--templates"]].concat();
    let policy = calibrate("pcb", &data, "deeppcb", &options, &out)?;
    println!("\n== boards of the validation part");
    let mut eval = labelled("eval", "pcb", &data, "deeppcb", "validation")?;
    eval.arg("--templates").arg("--policy").arg(policy);
    run(eval.arg("--html").arg(out.join("report.html")).arg("--json").arg(out.join("evaluation.json")))
}

/// Chooses a policy's limits on the calibration part; gives the policy's file.
fn calibrate(model: &str, data: &Path, format: &str, options: &[&str], out: &Path) -> Result<PathBuf, Failure> {
    std::fs::create_dir_all(out).map_err(|e| format!("{}: {e}", out.display()))?;
    let policy = out.join("policy.toml");
    println!("== calibration of {model}");
    run(labelled("calibrate", model, data, format, "calibration")?.args(options).arg("--out").arg(&policy))?;
    Ok(policy)
}

/// A command of the built program on labelled data.
fn labelled(command: &str, model: &str, data: &Path, format: &str, part: &str) -> Result<Command, Failure> {
    let model = root().join("models").join(model);
    let mut program = Command::new(target().join("release/panelqc"));
    program.env("ORT_DYLIB_PATH", fetch::runtime()?).arg(command).arg("--model").arg(&model);
    program.arg("--data").arg(data).args(["--format", format]);
    program.arg("--split").arg(model.join(format!("splits/{part}.txt")));
    Ok(program)
}

fn test(rest: &[String]) -> Result<(), Failure> {
    run(cargo()?.args(["test", "--workspace"]).args(rest))
}

/// Makes the stored results of other pipelines anew, in a virtual environment that is thrown away with target/.
fn parity() -> Result<(), Failure> {
    // The pictures come first: all others need them.
    let cases = ["resize", "ultralytics", "torchvision", "form", "transformers", "rfdetr", "anomalib"];
    let cases = cases.map(|name| format!("{name}_cases.py"));
    recipes("parity", std::iter::once("images.py".to_owned()).chain(cases), &["--test", "tests", "--", "parity::"])
}

/// Makes the stored numbers of other implementations anew, likewise.
fn reference() -> Result<(), Failure> {
    let cases = ["guarantee", "metrics"].map(|name| format!("{name}_cases.py"));
    recipes("reference", cases, &["--test", "tests", "--", "reference::", "guarantee::"])
}

/// Runs recipes of the folder `tests/NAME` in an environment of that name, then the tests that compare with what they
/// made.
fn recipes(name: &str, scripts: impl IntoIterator<Item = String>, tests: &[&str]) -> Result<(), Failure> {
    let folder = root().join("tests").join(name);
    let python = fetch::environment(name, &folder.join("requirements.txt"))?;
    for script in scripts {
        let script = folder.join(script);
        println!("== {}", script.display());
        run(Command::new(&python).arg(&script).env("OMP_NUM_THREADS", "1"))?;
    }
    println!("== comparing");
    test(&tests.iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// A program of its own outside of the workspace, whose dependencies no other command pays for.
fn page(rest: &[String]) -> Result<(), Failure> {
    let mut command = cargo()?;
    command.args(["run", "--quiet", "--manifest-path"]).arg(root().join("xtask/page/Cargo.toml"));
    command.env("CARGO_TARGET_DIR", target()).arg("--").args(rest);
    eprintln!("building (takes minutes the first time) ...");
    run(&mut command)
}

/// Accuracy by `panelqc eval`, and the tests that compare with what Python gave, on all data that is there.
fn verify() -> Result<(), Failure> {
    let cells = fetch::solar_cells()?;
    let boards = root().join("../shared/data/deeppcb");
    build(&["panelqc-cli"], &["--bins"])?;
    let eval = |model: &str, data: &PathBuf, format: &str, part: &str| {
        println!("== {model}, {part}");
        let policy = root().join("models").join(model).join("policy.toml");
        run(labelled("eval", model, data, format, part)?.arg("--policy").arg(policy))
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
    run(cargo()?.args([
        "test",
        "--release",
        "--package",
        "panelqc-cli",
        "--test",
        "tests",
        "--",
        "--nocapture",
        "models::",
    ]))
}
