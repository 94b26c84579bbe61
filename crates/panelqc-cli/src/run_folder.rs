use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use panelqc::{Error, PanelInput};

use super::Failure;
use super::output::{OutputFormat, reading, writing};
use super::terminal::say;

/// What is locked while a run writes.
const LOCK: &str = ".panelqc.lock";
const PAGE: &str = "report.html";
const OVERLAYS: &str = "overlays";

/// What a run does with results that are there already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// It refuses to begin.
    New,
    /// It takes them away.
    Overwrite,
    /// It adds to them.
    Resume,
}

/// The folder of `--out`, which is this run's alone while the value lives.
pub(super) struct RunFolder {
    path: PathBuf,
    /// Unlocked when it is closed, however the program ends.
    _lock: File,
}

impl RunFolder {
    /// Makes the folder and locks it. It is an error if another run writes into it, or if it has results and this run
    /// is neither to add to them nor to replace them.
    pub(super) fn open(path: &Path, begin: Begin) -> Result<Self, Failure> {
        fs::create_dir_all(path).map_err(|e| writing(path, e))?;
        let lock = lock(&path.join(LOCK), &format!("--out {}", path.display()))?;
        let folder = RunFolder { path: path.to_path_buf(), _lock: lock };
        let mut found = Vec::new();
        for name in OutputFormat::ALL.map(OutputFormat::file_name).into_iter().chain([PAGE, OVERLAYS]) {
            if has_something(&path.join(name))? {
                found.push(name);
            }
        }
        if begin == Begin::New && !found.is_empty() {
            return Err(format!(
                "--out {}: expected a folder without results, found {} (--resume continues them, --overwrite deletes \
                 them)",
                path.display(),
                found.join(", ")
            )
            .into());
        }
        if begin == Begin::Overwrite {
            // Pictures that no results lie beside are not those of a run.
            let results = found.iter().any(|name| *name != OVERLAYS);
            if let (false, true) = (results, found.contains(&OVERLAYS)) {
                let folder = path.join(OVERLAYS);
                return Err(
                    format!("{}: expected pictures of a run, found no results beside them", folder.display()).into()
                );
            }
            found.into_iter().try_for_each(|name| folder.remove(name))?;
        }
        remove_unfinished(path)?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The results as lines, of which all others are made.
    pub(super) fn lines(&self) -> PathBuf {
        self.results(OutputFormat::Jsonl)
    }

    pub(super) fn results(&self, format: OutputFormat) -> PathBuf {
        self.path.join(format.file_name())
    }

    pub(super) fn page(&self) -> PathBuf {
        self.path.join(PAGE)
    }

    pub(super) fn overlays(&self) -> PathBuf {
        self.path.join(OVERLAYS)
    }

    /// The panels but for pictures in the folder of overlays, which an earlier run drew; gives their number.
    pub(super) fn leave_overlays_out(&self, panels: &mut Vec<PanelInput>) -> usize {
        let Ok(drawn) = self.overlays().canonicalize() else { return 0 };
        let mut folders: HashMap<PathBuf, bool> = HashMap::new();
        let all = panels.len();
        panels.retain(|panel| {
            let Some(folder) = panel.image().and_then(Path::parent) else { return true };
            let inside = folders.entry(folder.to_path_buf()).or_insert_with(|| {
                let real = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
                real.canonicalize().is_ok_and(|real| real.starts_with(&drawn))
            });
            !*inside
        });
        all - panels.len()
    }

    /// Removes what was made of earlier lines, and is not made anew by a run that changes them.
    pub(super) fn remove_outdated(&self, format: OutputFormat, page: bool) -> Result<(), Failure> {
        let made = OutputFormat::ALL.into_iter().filter(|made| ![OutputFormat::Jsonl, format].contains(made));
        for name in made.map(OutputFormat::file_name).chain((!page).then_some(PAGE)) {
            if has_something(&self.path.join(name))? {
                self.remove(name)?;
                say!("panelqc: {} was of the earlier results and is removed", self.path.join(name).display());
            }
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), Failure> {
        let path = self.path.join(name);
        let kind = fs::symlink_metadata(&path).map_err(|e| reading(&path, e))?;
        let removed = if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        Ok(removed.map_err(Error::io("removing", &path))?)
    }
}

/// A locked file at `path`, which is made; `what` stands in messages for what it guards.
pub(super) fn lock(path: &Path, what: &str) -> Result<File, Failure> {
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(|e| writing(path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(format!("{what}: expected to be the only one that writes there, found another run at work").into())
        }
        Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {
            say!("panelqc: {what}: cannot be locked here; let no second run write there");
            Ok(file)
        }
        Err(TryLockError::Error(e)) => Err(Error::io("locking", path)(e).into()),
    }
}

/// Removes what a run left behind that was killed while it wrote a file beside its place; nobody writes here now.
fn remove_unfinished(folder: &Path) -> Result<(), Failure> {
    let overlays = folder.join(OVERLAYS);
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let (path, kind) = entry.and_then(|e| Ok((e.path(), e.file_type()?))).map_err(|e| reading(&folder, e))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if kind.is_dir() && path.starts_with(&overlays) {
                folders.push(path);
            } else if kind.is_file() && name.starts_with(".panelqc-") && name.ends_with(".tmp") {
                fs::remove_file(&path).map_err(Error::io("removing", &path))?;
            }
        }
    }
    Ok(())
}

/// Whether there is a file that is not empty, a folder that is not, or anything else.
fn has_something(path: &Path) -> Result<bool, Failure> {
    match fs::symlink_metadata(path) {
        Ok(kind) if kind.is_dir() => Ok(fs::read_dir(path).map_err(|e| reading(path, e))?.next().is_some()),
        Ok(kind) => Ok(!kind.is_file() || kind.len() > 0),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(reading(path, e).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_runs_and_its_results_are_not_mixed() {
        let dir = tempfile::tempdir().unwrap();
        let open = |begin| RunFolder::open(dir.path(), begin).map_err(|e| e.to_string());
        let first = open(Begin::New).unwrap();
        for begin in [Begin::New, Begin::Overwrite, Begin::Resume] {
            let refused = open(begin).err().unwrap();
            assert!(refused.contains("found another run at work"), "{refused}");
        }
        drop(first);
        fs::write(dir.path().join("results.jsonl"), "").unwrap();
        assert!(open(Begin::New).is_ok(), "a run that wrote no line has no results");
        fs::write(dir.path().join("results.jsonl"), "{}\n").unwrap();
        fs::create_dir(dir.path().join("overlays")).unwrap();
        fs::write(dir.path().join("overlays/a.png"), "x").unwrap();
        let refused = open(Begin::New).err().unwrap();
        assert!(refused.contains("found results.jsonl, overlays (--resume"), "{refused}");
        fs::create_dir(dir.path().join("overlays/lot")).unwrap();
        let unfinished =
            ["report", "overlays/lot/a"].map(|place| dir.path().join(place).with_file_name(".panelqc-0a.tmp"));
        unfinished.iter().for_each(|file| fs::write(file, "half").unwrap());
        assert!(open(Begin::Resume).is_ok() && dir.path().join("overlays/a.png").exists());
        assert!(unfinished.iter().all(|file| !file.exists()));
        assert!(open(Begin::Overwrite).is_ok());
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [LOCK]);
    }

    #[test]
    fn pictures_of_somebody_else_are_not_deleted() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("overlays")).unwrap();
        fs::write(dir.path().join("overlays/mine.png"), "x").unwrap();
        for begin in [Begin::New, Begin::Overwrite] {
            assert!(RunFolder::open(dir.path(), begin).is_err());
        }
        assert!(dir.path().join("overlays/mine.png").exists());
    }
}
