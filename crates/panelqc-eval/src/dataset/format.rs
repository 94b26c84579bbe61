use std::fmt;
use std::path::Path;
use std::str::FromStr;

use panelqc::{Error, Kind, Result};

use super::{Sample, read_coco, read_deeppcb, read_elpv, read_folders, read_mvtec, read_voc, read_yolo};

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

/// Reads a labelled set. `good` are the names that class folders of good panels may have besides `good` and `ok`: the
/// manifest's [`good`](panelqc::OutputConfig::good); the other formats do not need it.
///
/// # Errors
/// [`ErrorKind::Io`](panelqc::ErrorKind::Io), and [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) that names the
/// file, and the line of a malformed label; [`ErrorKind::Frame`](panelqc::ErrorKind::Frame) for a picture whose size
/// cannot be read.
pub fn read(format: DataFormat, folder: &Path, good: &[Kind]) -> Result<Vec<Sample>> {
    match format {
        DataFormat::Coco => read_coco(folder),
        DataFormat::Voc => read_voc(folder),
        DataFormat::Yolo => read_yolo(folder),
        DataFormat::Deeppcb => read_deeppcb(folder),
        DataFormat::Elpv => read_elpv(folder),
        DataFormat::Mvtec => read_mvtec(folder),
        DataFormat::Folders => read_folders(folder, good),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for format in DataFormat::ALL {
            assert_eq!(format.to_string().parse::<DataFormat>().unwrap(), format);
        }
        let message = "xml".parse::<DataFormat>().unwrap_err().to_string();
        assert!(message.contains("coco, voc") && message.contains("`xml`"), "{message}");
    }
}
