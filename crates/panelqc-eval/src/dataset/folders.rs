use std::collections::BTreeSet;
use std::path::Path;

use panelqc::{Error, Kind, Result, find_images};

use super::{Label, Sample, none_of};

/// Names of the folder of good panels that need no manifest, compared without case.
const GOOD: [&str; 2] = ["good", "ok"];

/// Reads class folders: `DIR/<class>/**/*.png`. A class named `good`, `ok` or like one of `good` (without case) holds
/// good panels, any other is a kind of defect. The id is the path below `folder` without extension.
///
/// # Errors
/// [`ErrorKind::Io`](panelqc::ErrorKind::Io), and [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) for an image that
/// lies in no class folder, or when there is none.
pub fn read_folders(folder: &Path, good: &[Kind]) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for image in find_images(folder)? {
        let Some((class, _)) = image.id.split_once('/') else {
            return Err(Error::labels(&image.path, None, "a folder named after a class around it", "none"));
        };
        let is_good = GOOD.iter().copied().chain(good.iter().map(Kind::as_str)).any(|g| g.eq_ignore_ascii_case(class));
        let kinds = if is_good { BTreeSet::new() } else { BTreeSet::from([class.into()]) };
        samples.push(Sample::of_image(image.id, image.path, Label::Kinds(kinds)));
    }
    if samples.is_empty() {
        return Err(none_of(folder, "images in folders named after classes"));
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_folder_is_a_class() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["crack/b.png", "Good/a.png", "functional/x/c.png"] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let kinds = |good: &[Kind]| -> Vec<String> {
            let samples = read_folders(dir.path(), good).unwrap();
            samples.iter().map(|s| format!("{} {:?}", s.files.id, s.label.kinds())).collect()
        };
        assert_eq!(kinds(&["functional".into()]), ["Good/a {}", "crack/b {Kind(\"crack\")}", "functional/x/c {}"]);
        assert_eq!(kinds(&[])[2], "functional/x/c {Kind(\"functional\")}");
        fs::write(dir.path().join("lost.png"), "").unwrap();
        assert!(read_folders(dir.path(), &[]).unwrap_err().to_string().contains("lost.png"));
        assert!(read_folders(&dir.path().join("crack/none"), &[]).is_err());
    }
}
