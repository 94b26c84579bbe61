use std::path::{Path, PathBuf};

use panelqc::{Error, Result};

use super::collector::Collector;
use super::locate::{Folders, child};
use super::mvtec::{is_normal, truths_of};
use super::options::ReadOptions;
use super::set::Dataset;
use super::text::{MOST, read_text};
use super::{Label, Part, Sample};

/// A table of VisA: a row an image, with the columns `image`, `label`, `mask`, and in its splits `object` and `split`.
pub(super) struct VisaTable {
    path: PathBuf,
    /// The only object whose rows count.
    object: Option<String>,
}

/// The folders of images and of masks of an object of VisA.
pub(super) fn visa_folders(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let data = child(folder, "Data")?;
    Some((child(&data, "Images")?, child(&data, "Masks")?))
}

impl VisaTable {
    /// The table that `folder` is, or has; that of all objects also for the folder of one of them.
    pub(super) fn find(folder: &Path) -> Option<Self> {
        if folder.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv")) {
            return Some(VisaTable { path: folder.to_path_buf(), object: None });
        }
        let file = |path: PathBuf| Some(path).filter(|path| path.is_file());
        let split = |folder: &Path| file(folder.join("split_csv/1cls.csv"));
        if let Some(path) = split(folder) {
            return Some(VisaTable { path, object: None });
        }
        let own = file(folder.join("image_anno.csv"))?;
        let whole = folder.canonicalize().ok();
        let object = whole.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        match whole.as_deref().and_then(Path::parent).and_then(split) {
            Some(path) => Some(VisaTable { path, object }),
            None => Some(VisaTable { path: own, object: None }),
        }
    }

    pub(super) fn read(&self, options: &ReadOptions) -> Result<Dataset> {
        let path = &self.path;
        let text = read_text(path, MOST)?;
        let mut table = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let broken = |e: csv::Error| {
            let line = e.position().map(|position| position.line() as usize);
            Error::labels(path, line, "a table with a row for each image", e.to_string())
        };
        let head = table.headers().map_err(broken)?.clone();
        let column = |name: &str| head.iter().position(|column| column.eq_ignore_ascii_case(name));
        let needed = |name: &str| {
            let found = || format!("`{}`", head.iter().collect::<Vec<_>>().join(","));
            column(name).ok_or_else(|| Error::labels(path, Some(1), format!("a column `{name}`"), found()))
        };
        let (image, label, mask) = (needed("image")?, needed("label")?, needed("mask")?);
        let (object, split) = (column("object"), column("split"));
        let mut rows = Vec::new();
        for row in table.records() {
            let row = row.map_err(broken)?;
            let line = row.position().map(|position| position.line() as usize);
            let named = object.and_then(|at| row.get(at));
            if self.object.is_none() || named.is_none() || named == self.object.as_deref() {
                rows.push((line, split.and_then(|at| row.get(at)).and_then(Part::of_name), row));
            }
        }
        let mut set = Collector::default();
        let parts = rows.iter().filter_map(|(_, part, _)| *part);
        let part = Part::choose(options.part, parts, &mut set.notes)
            .map_err(|(expected, found)| Error::labels(path, None, expected, found))?;
        set.part = part;
        let mut folders = Folders::default();
        // Paths are given from the folder of all objects.
        let roots: Vec<PathBuf> = path.ancestors().skip(1).take(3).map(Path::to_path_buf).collect();
        for (line, of, row) in rows {
            if part.is_some() && of != part {
                continue;
            }
            let field = |at: usize| row.get(at).unwrap_or_default();
            let mut find = |at: usize, what: &str| {
                let found = || format!("no `{}`", field(at));
                folders.image(field(at), &roots).ok_or_else(|| Error::labels(path, line, what, found()))
            };
            let found = find(image, "an image file of this path")?;
            let kind = field(label);
            let truths = if is_normal(kind, options) {
                Vec::new()
            } else {
                truths_of(&[find(mask, "a mask of this path")?.path], &found.path, kind)?
            };
            set.push(Sample::of_image(found.id, found.path, Label::Boxes(truths)), path, line)?;
        }
        set.finish(path, "rows of images")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::read_mvtec;
    use image::{GrayImage, Luma};
    use std::fs;

    fn set(table: &str, text: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (file, value) in [
            ("candle/Data/Images/Normal/0.png", 0),
            ("candle/Data/Images/Anomaly/0.png", 0),
            ("candle/Data/Masks/Anomaly/0.png", 1),
        ] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            GrayImage::from_fn(4, 4, |x, _| Luma([if x == 0 { value } else { 0 }])).save(path).unwrap();
        }
        fs::create_dir_all(dir.path().join("split_csv")).unwrap();
        fs::write(dir.path().join(table), text).unwrap();
        dir
    }

    fn describe(folder: &Path, options: &ReadOptions) -> Vec<String> {
        let set = read_mvtec(folder, options).unwrap();
        set.samples.iter().map(|s| format!("{} {:?}", s.files.id, s.label.kinds())).collect()
    }

    const SPLIT: &str = "object,split,label,image,mask
candle,train,normal,candle/Data/Images/Normal/0.png,
candle,test,anomaly,candle/Data/Images/Anomaly/0.png,candle/Data/Masks/Anomaly/0.png
pcb1,train,normal,pcb1/Data/Images/Normal/0.png,
";

    #[test]
    fn tables_of_visa_are_read() {
        let dir = set("split_csv/1cls.csv", SPLIT);
        let test = ["candle/Data/Images/Anomaly/0 {Kind(\"anomaly\")}"];
        let table = dir.path().join("split_csv/1cls.csv");
        for folder in [dir.path(), &table] {
            assert_eq!(describe(folder, &ReadOptions::default()), test);
        }
        let message = read_mvtec(dir.path(), &ReadOptions::default().with_part(Part::Train)).unwrap_err().to_string();
        assert!(message.contains("1cls.csv:4: expected an image file of this path, found no `pcb1/"), "{message}");
        // The folder of one object has the rows of that object.
        fs::write(dir.path().join("candle/image_anno.csv"), "image,label,mask\n").unwrap();
        let candle = dir.path().join("candle");
        assert_eq!(describe(&candle, &ReadOptions::default()), test);
        let train = describe(&candle, &ReadOptions::default().with_part(Part::Train));
        assert_eq!(train, ["candle/Data/Images/Normal/0 {}"]);
    }

    #[test]
    fn an_object_alone_has_the_labels_of_its_own_table() {
        let rows = "image,label,mask\ncandle/Data/Images/Normal/0.png,normal,\n\
                    candle/Data/Images/Anomaly/0.png,\"wax, missing\",candle/Data/Masks/Anomaly/0.png\n";
        let dir = set("candle/image_anno.csv", rows);
        let candle = dir.path().join("candle");
        assert_eq!(
            describe(&candle, &ReadOptions::default()),
            ["candle/Data/Images/Normal/0 {}", "candle/Data/Images/Anomaly/0 {Kind(\"wax, missing\")}"]
        );
        for (bad, says) in [
            (rows.replace("label", "class"), "image_anno.csv:1: expected a column `label`"),
            (rows.replace("Masks/Anomaly/0", "Masks/Anomaly/1"), "image_anno.csv:3: expected a mask of this path"),
            (
                rows.replace("Anomaly/0.png,\"", "Normal/0.png,\""),
                "image_anno.csv:3: expected one label for each panel",
            ),
            (rows.replace(",normal,", ",normal"), "image_anno.csv:2: expected a table with a row"),
        ] {
            fs::write(candle.join("image_anno.csv"), bad).unwrap();
            let message = read_mvtec(&candle, &ReadOptions::default()).unwrap_err().to_string();
            assert!(message.contains(says), "{message}");
        }
    }
}
