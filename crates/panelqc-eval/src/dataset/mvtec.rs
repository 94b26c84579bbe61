use std::collections::HashSet;
use std::path::{Path, PathBuf};

use panelqc::{Error, Kind, Result, find_images};

use super::collector::Collector;
use super::folders::is_good;
use super::locate::{Folders, child};
use super::masks::{masks_of, read_mask};
use super::note::NoteKind;
use super::options::ReadOptions;
use super::set::Dataset;
use super::visa::{VisaTable, visa_folders};
use super::{Label, Part, Sample, Truth, none_of, size_of};

/// Reads the layout of MVTec AD (Bergmann et al. 2019) and those that are like it. Names of folders count in any case.
///
/// * `test/good/*.png`, `test/<defect>/NAME.png`, and for each of the latter its mask in `ground_truth/<defect>/`,
///   where it is called `NAME_mask.*` (MVTec AD), `NAME.*` (BTAD, VisA) or `NAME_gt.*`, or is all images of a folder
///   `NAME` (MVTec LOCO). A folder of good panels is called `good`, `ok`, `normal`, or like one of
///   [`good`](ReadOptions::good). The part `train` is the folder `train`, `val` the folder `validation`. The id is the
///   path below that folder without extension.
/// * VisA (Zou et al. 2022): a table of images, labels and masks (`folder` itself, or `split_csv/1cls.csv` or
///   `image_anno.csv` in it), or the folders `Data/Images/Normal`, `Data/Images/Anomaly` and `Data/Masks/Anomaly`. The
///   id is the image's path without extension.
///
/// Each connected part of a mask (by sides or corners) is one truth of the kind `<defect>`. The defect is what is not 0
/// in a mask: in gray, in colour, or in opacity where all pixels have one colour; in a soft edge and in a lossy format
/// what is above half of white.
///
/// # Errors
/// [`ErrorKind::Io`](panelqc::ErrorKind::Io), [`ErrorKind::Frame`](panelqc::ErrorKind::Frame), and
/// [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) for a mask that is missing, of another size than its image, or
/// without a pixel of the defect, for a panel that is labelled twice, and for a part that the set does not have.
pub fn read_mvtec(folder: &Path, options: &ReadOptions) -> Result<Dataset> {
    if let Some(table) = VisaTable::find(folder) {
        return table.read(options);
    }
    if let Some((images, masks)) = visa_folders(folder) {
        let mut set = Collector::default();
        read_tree(&images, Some(&masks), options, &mut set)?;
        return set.finish(folder, "images Data/Images/Normal/* and Data/Images/Anomaly/*");
    }
    let part = options.part.unwrap_or(Part::Test);
    let candidates = match part {
        Part::Train => &["train"][..],
        Part::Val => &["validation", "valid", "val"],
        Part::Test => &["test", "test_public"],
    };
    let expected = || format!("a folder {}, as MVTec AD has it, or the table or the folders of VisA", candidates[0]);
    let images = candidates.iter().find_map(|name| child(folder, name)).filter(|images| images.is_dir());
    let images = images.ok_or_else(|| none_of(folder, &expected()))?;
    let masks = child(folder, "ground_truth").or_else(|| child(&images, "ground_truth"));
    let mut set = Collector::default();
    set.part = Some(part);
    read_tree(&images, masks.as_deref(), options, &mut set)?;
    set.finish(&images, "images good/*.png and <defect>/*.png")
}

/// Reads the images below `images`, whose masks lie below `masks` in folders of the same names.
fn read_tree(images: &Path, masks: Option<&Path>, options: &ReadOptions, set: &mut Collector) -> Result<()> {
    let mut folders = Folders::default();
    let mut used = HashSet::new();
    for image in find_images(images)? {
        if masks.is_some_and(|masks| image.path.starts_with(masks)) {
            continue;
        }
        let Some((defect, name)) = image.id.split_once('/') else {
            return Err(Error::labels(&image.path, None, "a folder `good` or of a defect around it", "none"));
        };
        let mut truths = Vec::new();
        if !is_normal(defect, options) {
            let folder = masks.and_then(|masks| child(masks, defect));
            let files = folder.as_deref().map(|folder| masks_of(folder, name, &mut folders)).unwrap_or_default();
            if files.is_empty() {
                let folder = folder.or(masks.map(|masks| masks.join(defect)));
                let folder = folder.unwrap_or_else(|| images.join("../ground_truth").join(defect));
                let expected = format!("its mask {name}_mask.*, {name}.* or {name}/* in {}", folder.display());
                return Err(Error::labels(&image.path, None, expected, "none"));
            }
            truths = truths_of(&files, &image.path, defect)?;
            used.extend(files);
        }
        let source = image.path.clone();
        set.push(Sample::of_image(image.id, image.path, Label::Boxes(truths)), &source, None)?;
    }
    // Other parts have no masks, those of good panels are empty.
    let Some(masks) = masks.filter(|_| set.part.is_none_or(|part| part == Part::Test)) else { return Ok(()) };
    for mask in find_images(masks)?.into_iter().filter(|mask| !used.contains(&mask.path)) {
        if mask.id.split_once('/').is_some_and(|(defect, _)| !is_normal(defect, options)) {
            set.notes.add(NoteKind::WithoutImage, || mask.path.display().to_string());
        }
    }
    Ok(())
}

/// Whether the panels of a folder or a row of this name are good.
pub(super) fn is_normal(name: &str, options: &ReadOptions) -> bool {
    name.eq_ignore_ascii_case("normal") || is_good(name, &options.good)
}

/// The truths of an image in its masks, of which there is one at least.
pub(super) fn truths_of(masks: &[PathBuf], image: &Path, kind: &str) -> Result<Vec<Truth>> {
    let size = size_of(image)?;
    let mut truths = Vec::new();
    for path in masks {
        let parts = read_mask(path, size)?.components();
        truths.extend(parts.into_iter().filter_map(|part| Truth::of_mask(Kind::from(kind), part)));
    }
    match (truths.is_empty(), masks) {
        (true, [first, ..]) => Err(Error::labels(first, None, "a mask with pixels of the defect (above 0)", "none")),
        _ => Ok(truths),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma};
    use std::fs;

    /// A set of images of 8x6, `spots` of them white.
    fn tree(files: &[(&str, &[(u32, u32)])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (file, spots) in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let white = |x, y| Luma([if spots.contains(&(x, y)) { 255 } else { 0 }]);
            GrayImage::from_fn(8, 6, white).save(path).unwrap();
        }
        dir
    }

    /// Id, kinds and areas of each panel.
    fn describe(set: &Dataset) -> Vec<String> {
        let truths = |sample: &Sample| match &sample.label {
            Label::Boxes(truths) => truths.iter().map(|t| format!(" {} {}", t.kind, t.area())).collect::<String>(),
            _ => panic!("boxes"),
        };
        set.samples.iter().map(|sample| format!("{}{}", sample.files.id, truths(sample))).collect()
    }

    const SPOTS: &[(u32, u32)] = &[(1, 1), (2, 2), (6, 4)];

    #[test]
    fn masks_are_truths() {
        let dir = tree(&[("test/good/000.png", &[]), ("test/cut/000.png", &[])]);
        let read = || read_mvtec(dir.path(), &ReadOptions::default());
        let message = || read().unwrap_err().to_string();
        assert!(message().contains("expected its mask 000_mask.*, 000.* or 000/* in"), "{}", message());
        let mask = |w, h, spots: &[(u32, u32)]| {
            let white = |x, y| Luma([if spots.contains(&(x, y)) { 255 } else { 0 }]);
            let path = dir.path().join("ground_truth/cut/000_mask.png");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            GrayImage::from_fn(w, h, white).save(path).unwrap();
        };
        mask(8, 6, &[]);
        assert!(message().contains("000_mask.png: expected a mask with pixels of the defect"), "{}", message());
        mask(6, 8, &[(1, 1)]);
        assert!(message().contains("expected a mask as large as its image, 8x6, found 6x8"), "{}", message());
        mask(8, 6, SPOTS);
        assert_eq!(describe(&read().unwrap()), ["cut/000 cut 2 cut 1", "good/000"], "corners connect");
        fs::write(dir.path().join("test/lost.png"), "").unwrap();
        assert!(message().contains("lost.png"), "{}", message());
    }

    #[test]
    fn layouts_that_are_like_it_are_read() {
        for files in [
            ["test/ok/000.png", "test/ko/000.png", "ground_truth/ko/000.png"],
            ["Test/Good/000.png", "Test/ko/000.png", "Ground_Truth/Ko/000_mask.png"],
            ["test/good/000.png", "test/ko/000.jpg", "ground_truth/ko/000.bmp"],
            ["test/good/000.png", "test/ko/000.png", "ground_truth/ko/000/000.png"],
            ["test_public/good/000.png", "test_public/ko/000.png", "test_public/ground_truth/ko/000_mask.png"],
            ["Data/Images/Normal/000.png", "Data/Images/ko/000.png", "Data/Masks/ko/000.png"],
        ] {
            let [good, bad, mask] = files;
            let dir = tree(&[(good, &[]), (bad, &[]), (mask, SPOTS), ("train/good/001.png", &[])]);
            let mut found = describe(&read_mvtec(dir.path(), &ReadOptions::default()).unwrap());
            found.sort_by_key(|line| !line.starts_with("ko/"));
            assert_eq!(found[0], "ko/000 ko 2 ko 1", "{files:?}");
            assert_eq!(found.len(), 2, "{files:?}");
        }
        let files = ["test/ko/0.png", "ground_truth/ko/0.png", "ground_truth/ko/1.png", "ground_truth/good/0.png"];
        let dir = tree(&files.map(|file| (file, SPOTS)));
        let set = read_mvtec(dir.path(), &ReadOptions::default()).unwrap();
        assert_eq!((set.notes[0].kind, set.notes[0].count), (NoteKind::WithoutImage, 1), "{}", set.notes[0]);
        let dir = tree(&[
            ("test/logical/000.png", &[]),
            ("ground_truth/logical/000/000.png", SPOTS),
            ("ground_truth/logical/000/001.png", &[(0, 5)]),
            ("validation/good/000.png", &[]),
        ]);
        let read = |options: ReadOptions| read_mvtec(dir.path(), &options);
        assert_eq!(describe(&read(ReadOptions::default()).unwrap()), ["logical/000 logical 2 logical 1 logical 1"]);
        let val = read(ReadOptions::default().with_part(Part::Val)).unwrap();
        assert_eq!((describe(&val), val.part), (vec!["good/000".to_owned()], Some(Part::Val)));
        let message = read(ReadOptions::default().with_part(Part::Train)).unwrap_err().to_string();
        assert!(message.contains("expected a folder train"), "{message}");
    }

    #[test]
    fn good_panels_may_have_the_names_of_the_manifest() {
        let dir = tree(&[("test/functional/000.png", &[])]);
        assert!(read_mvtec(dir.path(), &ReadOptions::default()).is_err());
        let good = ReadOptions::default().with_good([Kind::from("Functional")]);
        assert_eq!(describe(&read_mvtec(dir.path(), &good).unwrap()), ["functional/000"]);
    }
}
