use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// Which ONNX Runtime is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuntimeInfo {
    /// The shared library, as it was found. Empty when the runtime is linked into the program.
    pub library: PathBuf,
    /// What the library says of its own build.
    pub build: String,
}

/// The library, for messages.
impl fmt::Display for RuntimeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let linked = self.library.as_os_str().is_empty();
        if linked { f.write_str("the linked one") } else { self.library.display().fmt(f) }
    }
}

struct Loaded {
    environment: ort::environment::Environment,
    info: RuntimeInfo,
}

/// ONNX Runtime allows one environment per process, and it has to outlive every session.
static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// Finds and loads ONNX Runtime's shared library, once per process; [`Model::load`](crate::Model::load) calls it with
/// `None`. The first that can be used of:
///
/// 1. `path`, if given, and nothing else;
/// 2. the environment variable `ORT_DYLIB_PATH`, if set, and nothing else;
/// 3. the folder of the running program, and `lib` in it;
/// 4. `onnxruntime` in the Python virtual environment that `VIRTUAL_ENV` names;
/// 5. the system's loader (not on Windows, where it would look into the current folder too).
///
/// The current folder is never searched. When a runtime is loaded already, that one stays.
///
/// # Errors
/// [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) with every place tried and what was wrong with it, and how to get
/// the runtime.
pub fn init_runtime(path: Option<&Path>) -> Result<RuntimeInfo> {
    with_loaded(path, |loaded| Ok(loaded.info.clone()))
}

pub(super) fn environment() -> Result<ort::environment::Environment> {
    with_loaded(None, |loaded| Ok(loaded.environment.clone()))
}

/// What tells the loaded runtime from another: its own words, and the size of the library, since builds with and
/// without a provider say the same.
pub(super) fn build() -> Result<String> {
    with_loaded(None, |Loaded { info, .. }| {
        let bytes = std::fs::metadata(&info.library).map_or(0, |file| file.len());
        Ok(format!("{} ({bytes} bytes)", info.build))
    })
}

fn with_loaded<T>(path: Option<&Path>, then: impl FnOnce(&Loaded) -> Result<T>) -> Result<T> {
    let mut slot = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = slot.as_ref() {
        return then(loaded);
    }
    let loaded = load(path)?;
    tracing::debug!(library = %loaded.info, build = loaded.info.build, "loaded ONNX Runtime");
    then(slot.insert(loaded))
}

fn start(builder: ort::environment::EnvironmentBuilder, library: PathBuf) -> Result<Loaded, String> {
    let environment = builder.with_name("panelqc").with_telemetry(false).build().map_err(|e| e.to_string())?;
    // The runtime's own warnings go to stderr past any log of the host; errors come back as errors.
    environment.set_log_level(ort::logging::LogLevel::Error);
    Ok(Loaded { environment, info: RuntimeInfo { library, build: ort::info().to_owned() } })
}

#[cfg(not(feature = "load-dynamic"))]
fn load(_path: Option<&Path>) -> Result<Loaded> {
    start(ort::init(), PathBuf::new())
        .map_err(|problem| Error::runtime(vec![("the linked runtime".to_owned(), problem)]))
}

#[cfg(feature = "load-dynamic")]
fn load(path: Option<&Path>) -> Result<Loaded> {
    let mut tried = Vec::new();
    for (origin, candidate) in candidates(path) {
        let place = match &candidate {
            Ok(file) => format!("{} ({origin})", file.display()),
            Err(folder) => format!("{} ({origin})", folder.display()),
        };
        let problem = match candidate {
            Err(_) => "no ONNX Runtime library there".to_owned(),
            // A bare name is for the system's loader; everything else has to be a file.
            Ok(file) if file.components().count() > 1 && !file.is_file() => "no such file".to_owned(),
            Ok(file) => match ort::init_from(&file) {
                Ok(builder) => match start(builder, file) {
                    Ok(loaded) => return Ok(loaded),
                    Err(problem) => problem,
                },
                Err(e) => e.to_string(),
            },
        };
        tried.push((place, problem));
    }
    Err(Error::runtime(tried))
}

/// Where to look, in order: how the place was found, and the library's file or a folder without one.
#[cfg(feature = "load-dynamic")]
fn candidates(path: Option<&Path>) -> Vec<(&'static str, Result<PathBuf, PathBuf>)> {
    let absolute = |path: &Path| Ok(std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()));
    if let Some(path) = path {
        return vec![("given by the program", absolute(path))];
    }
    if let Some(path) = std::env::var_os("ORT_DYLIB_PATH").filter(|p| !p.is_empty()) {
        return vec![("ORT_DYLIB_PATH", absolute(Path::new(&path)))];
    }
    let mut found = Vec::new();
    if let Some(folder) = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_path_buf)) {
        for folder in [folder.join("lib"), folder].into_iter().rev() {
            found.push(("beside the program", library_in(&folder).ok_or(folder)));
        }
    }
    if let Some(environment) = std::env::var_os("VIRTUAL_ENV").filter(|p| !p.is_empty()) {
        let lib = Path::new(&environment).join(if cfg!(windows) { "Lib" } else { "lib" });
        let versions = std::fs::read_dir(&lib).into_iter().flatten().flatten().map(|entry| entry.path());
        let library = std::iter::once(lib.clone())
            .chain(versions)
            .find_map(|folder| library_in(&folder.join("site-packages/onnxruntime/capi")));
        found.push(("VIRTUAL_ENV", library.ok_or(lib)));
    }
    if !cfg!(windows) {
        let name = format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        found.push(("the system's loader", Ok(name.into())));
    }
    found
}

/// ONNX Runtime's library in a folder, with or without a version in its name; the last in name order.
#[cfg(feature = "load-dynamic")]
fn library_in(folder: &Path) -> Option<PathBuf> {
    let start = format!("{}onnxruntime.", std::env::consts::DLL_PREFIX);
    let mark = std::env::consts::DLL_SUFFIX.trim_start_matches('.');
    std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.strip_prefix(&start).is_some_and(|rest| rest.split('.').any(|part| part == mark))
        })
        .max()
}
