use std::fmt;
use std::path::Path;
use std::str::FromStr;

use panelqc::{Error, Result};

use super::options::ReadOptions;
use super::set::Dataset;
use super::{Part, Split, read_coco, read_deeppcb, read_elpv, read_folders, read_mvtec, read_voc, read_yolo};

/// How labelled data are laid out. Its text form is the lower-case name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataFormat {
    /// Boxes, polygons and masks in one JSON file: [`read_coco`].
    Coco,
    /// One XML file per image, with boxes (Pascal VOC): [`read_voc`].
    Voc,
    /// One text file per image, with boxes or polygons (YOLO): [`read_yolo`].
    Yolo,
    /// Pairs of test image and template, with boxes (DeepPCB): [`read_deeppcb`].
    Deeppcb,
    /// Solar cells with a defect probability (ELPV): [`read_elpv`].
    Elpv,
    /// Folders `test` and `ground_truth`, with masks (MVTec AD): [`read_mvtec`].
    Mvtec,
    /// One folder per class: [`read_folders`].
    Folders,
}

impl DataFormat {
    /// All of them, in the order of the documentation.
    pub const ALL: [DataFormat; 7] = [
        DataFormat::Coco,
        DataFormat::Voc,
        DataFormat::Yolo,
        DataFormat::Deeppcb,
        DataFormat::Elpv,
        DataFormat::Mvtec,
        DataFormat::Folders,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            DataFormat::Coco => "coco",
            DataFormat::Voc => "voc",
            DataFormat::Yolo => "yolo",
            DataFormat::Deeppcb => "deeppcb",
            DataFormat::Elpv => "elpv",
            DataFormat::Mvtec => "mvtec",
            DataFormat::Folders => "folders",
        }
    }
}

impl fmt::Display for DataFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for DataFormat {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        DataFormat::ALL.into_iter().find(|format| format.as_str() == name).ok_or_else(|| {
            let names: Vec<_> = DataFormat::ALL.iter().map(|format| format.as_str()).collect();
            Error::argument(format!("data format: expected {}, found `{name}`", names.join(", ")))
        })
    }
}

/// Reads a labelled set, or the part of it that `options` ask for: one that its files or folders are, else the list
/// `PART.txt` in `folder`, in its `ImageSets/Main` (Pascal VOC) or `ImageSets`.
///
/// # Errors
/// [`ErrorKind::Io`](panelqc::ErrorKind::Io), and [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) that names the
/// file, and the line of a malformed label or of a panel that is labelled twice, or a part that the set does not have;
/// [`ErrorKind::Frame`](panelqc::ErrorKind::Frame) for an image whose size cannot be read.
pub fn read(format: DataFormat, folder: &Path, options: &ReadOptions) -> Result<Dataset> {
    let mut set = match format {
        DataFormat::Coco => read_coco(folder, options),
        DataFormat::Voc => read_voc(folder, options),
        DataFormat::Yolo => read_yolo(folder, options),
        DataFormat::Deeppcb => read_deeppcb(folder),
        DataFormat::Elpv => read_elpv(folder),
        DataFormat::Mvtec => read_mvtec(folder, options),
        DataFormat::Folders => read_folders(folder, options),
    }?;
    if let Some(part) = options.part.filter(|_| set.part.is_none()) {
        let around = if folder.is_dir() { folder } else { folder.parent().unwrap_or(Path::new("")) };
        let names = if part == Part::Val { &["val", "valid"][..] } else { &[part.as_str()] };
        let folders = [around.to_path_buf(), around.join("ImageSets/Main"), around.join("ImageSets")];
        let lists = folders.iter().flat_map(|folder| names.iter().map(move |name| folder.join(format!("{name}.txt"))));
        let expected = || format!("the part `{part}`, as folders or as the list {part}.txt");
        let list = lists.into_iter().find(|list| list.is_file());
        let list = list.ok_or_else(|| Error::labels(folder, None, expected(), "a set without parts"))?;
        set.samples = Split::load(&list)?.select(set.samples, &list)?;
        set.part = Some(part);
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_part_may_be_a_list() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["good/a.png", "good/b.png"] {
            fs::create_dir_all(dir.path().join("good")).unwrap();
            fs::write(dir.path().join(file), "").unwrap();
        }
        let read = |part| read(DataFormat::Folders, dir.path(), &ReadOptions::default().with_part(part));
        let message = read(Part::Val).unwrap_err().to_string();
        assert!(message.contains("expected the part `val`, as folders or as the list val.txt"), "{message}");
        fs::create_dir_all(dir.path().join("ImageSets/Main")).unwrap();
        fs::write(dir.path().join("ImageSets/Main/val.txt"), "a\n").unwrap();
        fs::write(dir.path().join("test.txt"), "good/b.png\n").unwrap();
        for (part, id) in [(Part::Val, "good/a"), (Part::Test, "good/b")] {
            let set = read(part).unwrap();
            assert_eq!((set.samples[0].files.id.as_str(), set.samples.len(), set.part), (id, 1, Some(part)));
        }
    }

    #[test]
    fn names_go_there_and_back() {
        for format in DataFormat::ALL {
            assert_eq!(format.to_string().parse::<DataFormat>().unwrap(), format);
        }
        let message = "xml".parse::<DataFormat>().unwrap_err().to_string();
        assert!(message.contains("coco, voc") && message.contains("`xml`"), "{message}");
    }
}
