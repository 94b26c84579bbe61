use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Writes a file whole or not at all: `write` fills a new one beside `path`, which then takes its name. A full disk, an
/// error or a kill in between leaves what was there before. The permissions of an earlier file stay, and a link keeps
/// leading to the file that it leads to. What is no regular file, such as `/dev/stdout`, is written to directly.
///
/// A power failure leaves one of the two as well: the file is synchronised with the disk before it takes the name.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("state.json");
/// use std::io::Write;
///
/// panelqc::replace_file(&path, |file| file.write_all(b"{}\n"))?;
/// let failed = panelqc::replace_file(&path, |_| Err(std::io::Error::other("the disk is full")));
/// assert!(failed.is_err() && std::fs::read(&path)? == b"{}\n");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ErrorKind::Io`](crate::ErrorKind::Io) of `write`, or when the file cannot be made or renamed.
pub fn replace_file(path: impl AsRef<Path>, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let path = path.as_ref();
    replaced(path, write, File::sync_all).map_err(Error::io("writing", path))
}

/// The same without waiting for the disk, for one of many files that can be made again: a power failure can leave it
/// empty.
///
/// # Errors
/// As [`replace_file`].
pub fn replace_file_quickly(path: impl AsRef<Path>, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let path = path.as_ref();
    replaced(path, write, |_| Ok(())).map_err(Error::io("writing", path))
}

fn replaced(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
    synchronise: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let earlier = match fs::metadata(path) {
        Ok(earlier) if !earlier.is_file() => return write(&mut OpenOptions::new().write(true).open(path)?),
        Ok(earlier) => Some(earlier),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    // Where a link leads to, if there is something.
    let target = if earlier.is_some() { path.canonicalize()? } else { path.to_path_buf() };
    let new = New::beside(&target)?;
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&new.0)?;
    if let Some(earlier) = earlier {
        file.set_permissions(earlier.permissions())?;
    }
    write(&mut file)?;
    synchronise(&file)?;
    drop(file);
    fs::rename(&new.0, &target)
}

/// A file that is removed again, unless it was renamed before.
struct New(PathBuf);

impl New {
    fn beside(target: &Path) -> io::Result<Self> {
        if target.file_name().is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "expected the name of a file, found none"));
        }
        // The keys of a hash table are random: no other thread or process takes the same name. A short one, since the
        // file's own may be as long as the file system takes.
        let chance = RandomState::new().hash_one(std::process::id());
        Ok(New(target.with_file_name(OsString::from(format!(".panelqc-{chance:016x}.tmp")))))
    }
}

impl Drop for New {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_is_there_whole_or_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.toml");
        replace_file(&path, |file| file.write_all(b"first")).unwrap();
        let error = replace_file(&path, |file| {
            file.write_all(b"half of the sec")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("writing ") && error.contains("policy.toml: "), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"first");
        replace_file(&path, |file| file.write_all(b"second")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing lies beside it");
        assert!(replace_file(dir.path().join("no/such/folder.txt"), |_| Ok(())).is_err());
        assert!(replace_file("/", |_| Ok(())).is_err());
        let long = dir.path().join("n".repeat(255));
        replace_file(&long, |file| file.write_all(b"x")).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn links_and_permissions_stay_and_devices_are_written_to() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::write(&real, "first").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("real", &link).unwrap();
        replace_file(&link, |file| file.write_all(b"second")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"second");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        replace_file("/dev/null", |file| file.write_all(b"gone")).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file(), "it is what it was");
    }
}
