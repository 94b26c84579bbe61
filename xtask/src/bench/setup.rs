use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::options::Options;
use crate::{Failure, build, cargo, fetch, root, run, target};

/// Different pictures of each case.
const PICTURES: usize = 12;

/// The case whose figures are the headline.
pub(super) const MAIN_CASE: &str = "jpeg-640";

/// A model that is measured.
pub(super) struct Subject {
    pub(super) name: &'static str,
    pub(super) path: PathBuf,
    /// Whether it compares with a defect-free picture.
    references: bool,
    /// Whether it has a graph in 8-bit integers, which is the one used.
    int8: bool,
    peers: &'static [&'static str],
    only: Option<&'static [&'static str]>,
}

/// Everything that the measurements need, built and rendered.
pub(super) struct Setup {
    pub(super) folder: PathBuf,
    pub(super) runtime: PathBuf,
    python: Option<PathBuf>,
    /// Why there is no Python, or no usls.
    pub(super) missing: Vec<(String, String)>,
    pub(super) subjects: Vec<Subject>,
}

impl Setup {
    pub(super) fn make(options: &Options) -> Result<Self, Failure> {
        let folder = target().join("bench");
        fs::create_dir_all(&folder)?;
        let mut setup =
            Setup { folder, runtime: fetch::runtime()?, python: None, missing: Vec::new(), subjects: Vec::new() };
        build(&["panelqc-cli", "panelqc-bench"], &["--bins"])?;
        let pictures = setup.folder.join("pictures");
        if !pictures.join("ready").is_file() {
            eprintln!("rendering the images ...");
            run(setup.bench().arg("images").arg(&pictures).arg(PICTURES.to_string()))?;
            fs::write(pictures.join("ready"), "")?;
        }
        let models = setup.folder.join("models");
        if options.peers || !models.join("padim/model.toml").is_file() {
            let found = options
                .python
                .clone()
                .map_or_else(|| fetch::environment("peers", &root().join("benches/peers/requirements.txt")), Ok);
            match found {
                Ok(python) => setup.python = Some(python),
                Err(failure) => setup.lacks("python", failure),
            }
        }
        if options.peers && options.wants_model("yolo11n") {
            eprintln!("building usls (takes minutes the first time) ...");
            let manifest = root().join("benches/peers/usls/Cargo.toml");
            let mut build = cargo()?;
            build.args(["build", "--release", "--quiet", "--locked", "--manifest-path"]).arg(manifest);
            if let Err(failure) = run(build.env("CARGO_TARGET_DIR", target().join("peers-usls"))) {
                setup.lacks("usls", failure);
            }
        }
        if let Some(python) = &setup.python {
            // What is there already is kept.
            let script = root().join("benches/peers/models.py");
            let mut make = Command::new(python);
            make.arg(script).arg(&models).arg(pictures.join("jpeg-640-rgb")).current_dir(&setup.folder);
            if let Err(failure) = logged(&mut make, &setup.log()) {
                setup.lacks("yolo11n and padim", failure);
            }
        }
        let detector = models.join("yolo11n.onnx");
        if detector.is_file() && !detector.with_extension("toml").is_file() {
            run(setup.panelqc().arg("init").arg(&detector))?;
        }
        let own = |name| root().join("models").join(name);
        let all = [
            Subject {
                name: "pcb",
                path: own("pcb"),
                references: true,
                int8: true,
                peers: &["python_loop"],
                only: None,
            },
            Subject {
                name: "solar-cell",
                path: own("solar-cell"),
                references: false,
                int8: true,
                peers: &["python_loop"],
                only: None,
            },
            Subject {
                name: "yolo11n",
                path: detector,
                references: false,
                int8: false,
                peers: &["python_loop", "ultralytics", "usls"],
                only: None,
            },
            Subject {
                name: "padim",
                path: models.join("padim"),
                references: false,
                int8: false,
                peers: &["anomalib"],
                only: Some(&["jpeg-640", "memory-640", "jpeg-640-rgb", "png-640-rgb", "memory-640-rgb"]),
            },
        ];
        setup.subjects = all.into_iter().filter(|s| options.wants_model(s.name)).collect();
        Ok(setup)
    }

    fn lacks(&mut self, what: &str, failure: Failure) {
        eprintln!("without {what}: {failure}");
        self.missing.push((what.to_owned(), failure.to_string()));
    }

    /// Where the participants' own messages go.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("log.txt")
    }

    pub(super) fn bench(&self) -> Command {
        self.program("panelqc-bench")
    }

    pub(super) fn panelqc(&self) -> Command {
        self.program("panelqc")
    }

    fn program(&self, name: &str) -> Command {
        self.on_runtime(&target().join("release").join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
    }

    fn on_runtime(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("ORT_DYLIB_PATH", &self.runtime).current_dir(&self.folder);
        command
    }

    /// The command that serves as `participant`; `Err` says why there is none.
    pub(super) fn participant(&self, name: &str) -> Result<Command, Failure> {
        match name {
            "panelqc" | "fp32" | "limit" => {
                let mut command = self.bench();
                command.arg(name);
                Ok(command)
            }
            "usls" => {
                let program =
                    target().join("peers-usls/release").join(format!("usls-peer{}", std::env::consts::EXE_SUFFIX));
                // One of an earlier run may still be there.
                let built = self.missing.iter().all(|(what, _)| what != "usls");
                if built && program.is_file() {
                    Ok(self.on_runtime(&program))
                } else {
                    Err("it could not be built".into())
                }
            }
            script => {
                let python = self.python.as_ref().ok_or("there is no Python environment for it")?;
                let file = match script {
                    "ultralytics" => "ultralytics_predict.py",
                    "anomalib" => "anomalib_predict.py",
                    "blob" => "blob.py",
                    _ => "python_loop.py",
                };
                let mut command = self.on_runtime(python);
                command.arg(root().join("benches/peers").join(file));
                Ok(command)
            }
        }
    }

    /// Writes the list of a model's cases for `workers` and gives its file.
    pub(super) fn cases(&self, subject: &Subject, workers: usize) -> Result<PathBuf, Failure> {
        let mut cases = serde_json::Map::new();
        for name in case_names().into_iter().chain(["jpeg-160-rgb".to_owned()]) {
            let folder = self.folder.join("pictures").join(name.replace("memory-", "png-"));
            let mut case = json!({ "files": files(&folder)?, "memory": name.starts_with("memory-") });
            if subject.references {
                case["references"] = json!(files(&folder.join("template"))?);
            }
            cases.insert(name, case);
        }
        let file = self.folder.join(format!("{}-{workers}.json", subject.name));
        fs::write(&file, json!({ "workers": workers, "cases": cases }).to_string())?;
        Ok(file)
    }

    /// One picture, and the folder of its reference where the model compares.
    pub(super) fn one_picture(&self, subject: &Subject) -> (PathBuf, Option<PathBuf>) {
        let folder = self.folder.join("pictures").join(MAIN_CASE);
        (folder.join("00.jpg"), subject.references.then(|| folder.join("template")))
    }
}

impl Subject {
    /// A model for long runs alone.
    pub(super) fn tiny(path: PathBuf) -> Self {
        Subject { name: "tiny", path, references: false, int8: false, peers: &[], only: None }
    }

    /// Who is measured with it beside panelqc and the limit.
    pub(super) fn others(&self, options: &Options) -> Vec<&'static str> {
        let fp32 = self.int8.then_some("fp32");
        let peers = if options.peers { self.peers } else { &[] };
        fp32.into_iter().chain(peers.iter().copied()).collect()
    }

    /// The cases to measure it with, in order.
    pub(super) fn cases(&self, options: &Options) -> Vec<String> {
        let quick =
            |name: &str| !options.quick || !options.cases.is_empty() || matches!(name, "jpeg-640" | "memory-640");
        let fits = |name: &str| self.only.is_none_or(|only| only.contains(&name));
        case_names().into_iter().filter(|name| options.wants_case(name) && quick(name) && fits(name)).collect()
    }
}

/// `jpeg-640`, `jpeg-640-rgb`, `png-640`, ...
pub(super) fn case_names() -> Vec<String> {
    let sources = ["jpeg", "png", "memory"].into_iter();
    let sizes = sources.flat_map(|source| ["640", "1080"].map(|size| format!("{source}-{size}")));
    sizes.flat_map(|name| [name.clone(), format!("{name}-rgb")]).collect()
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

/// Runs a program whose words go into the log.
fn logged(command: &mut Command, log: &Path) -> Result<(), Failure> {
    let log = fs::OpenOptions::new().create(true).append(true).open(log)?;
    run(command.stdout(log.try_clone()?).stderr(log))
}

/// What was measured with, for the report.
pub(super) fn settings(options: &Options, workers: usize) -> Value {
    json!({ "rounds": options.rounds, "seconds": options.seconds, "workers": workers, "quick": options.quick, "pictures": PICTURES })
}
