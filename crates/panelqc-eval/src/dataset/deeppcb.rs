use std::collections::BTreeSet;
use std::path::Path;

use panelqc::{Error, PanelFiles, PixelBox, Result, find_images};

use super::collector::Collector;
use super::locate::Folders;
use super::note::NoteKind;
use super::set::Dataset;
use super::text::{MOST, quote, read_text};
use super::{Label, Sample, Truth};

/// The kinds by their number in the labels, from 1.
const KINDS: [&str; 6] = ["open", "short", "mousebite", "spur", "copper", "pin-hole"];

/// Reads DeepPCB (Tang et al. 2019): `groupNNNNN/NNNNN/X_test.jpg` with its template `X_temp.jpg` beside it and its
/// labels `groupNNNNN/NNNNN_not/X.txt`, one `x1 y1 x2 y2 type` per line (some with commas). Samples come in name order;
/// a pair without labels is left out, and so are labels without a pair.
///
/// # Errors
/// [`ErrorKind::Io`](panelqc::ErrorKind::Io) and [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) that names the file,
/// and the line of a malformed label.
pub fn read_deeppcb(folder: &Path) -> Result<Dataset> {
    let mut set = Collector::default();
    let (mut used, mut places) = (BTreeSet::new(), BTreeSet::new());
    for image in find_images(folder)? {
        let stem = image.path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix("_test.jpg"));
        let (Some(stem), Some(board)) = (stem, image.path.parent()) else { continue };
        let name = board.file_name().unwrap_or_default().to_string_lossy();
        let place = board.with_file_name(format!("{name}_not"));
        let labels = place.join(format!("{stem}.txt"));
        places.insert(place);
        if !labels.is_file() {
            set.notes.add(NoteKind::LeftOut, || image.id.clone());
            continue;
        }
        let label = Label::Boxes(labels_of(&labels)?);
        let reference = board.join(format!("{stem}_temp.jpg"));
        let files = PanelFiles::from_files(image.id, vec![image.path]).with_reference(reference);
        set.push(Sample { files, label }, &labels, None)?;
        used.insert(labels);
    }
    let mut folders = Folders::default();
    for place in places {
        let texts = folders.files(&place).names.iter().filter(|name| name.ends_with(".txt"));
        for path in texts.map(|name| place.join(name)).filter(|path| !used.contains(path)) {
            set.notes.add(NoteKind::WithoutImage, || path.display().to_string());
        }
    }
    set.finish(folder, "pairs groupNNNNN/NNNNN/X_test.jpg with labels groupNNNNN/NNNNN_not/X.txt")
}

/// The templates of paired samples as good panels of their own: the frame and the reference are the template, the id
/// ends in `_temp` instead of `_test`. A sample without a reference has none.
pub fn templates(samples: &[Sample]) -> Vec<Sample> {
    let template = |sample: &Sample| {
        let reference = sample.files.reference.clone()?;
        let id = &sample.files.id;
        let id = format!("{}_temp", id.strip_suffix("_test").unwrap_or(id));
        let files = PanelFiles::from_files(id, vec![reference.clone()]).with_reference(reference);
        Some(Sample { files, label: Label::Boxes(Vec::new()) })
    };
    samples.iter().filter_map(template).collect()
}

fn labels_of(path: &Path) -> Result<Vec<Truth>> {
    let text = read_text(path, MOST)?;
    let mut truths = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let numbers: Option<Vec<u32>> =
            line.split([' ', ',', '\t']).filter(|w| !w.is_empty()).map(|w| w.parse().ok()).collect();
        let truth = match numbers.as_deref() {
            Some(&[x0, y0, x1, y1, kind @ 1..=6]) if x0 < x1 && y0 < y1 => {
                let bbox = PixelBox::new(x0 as f32, y0 as f32, x1 as f32, y1 as f32);
                Truth::new(KINDS[kind as usize - 1].into(), bbox)
            }
            _ => {
                return Err(Error::labels(
                    path,
                    Some(number + 1),
                    "`x1 y1 x2 y2 type` with x1 < x2, y1 < y2 and a type of 1 to 6",
                    quote(line.trim()),
                ));
            }
        };
        truths.push(truth);
    }
    Ok(truths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn set(label: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for part in ["group1/1", "group1/1_not"] {
            fs::create_dir_all(dir.path().join(part)).unwrap();
        }
        for name in ["7_test.jpg", "7_temp.jpg", "8_test.jpg"] {
            fs::write(dir.path().join("group1/1").join(name), "").unwrap();
        }
        fs::write(dir.path().join("group1/1_not/7.txt"), label).unwrap();
        dir
    }

    #[test]
    fn pairs_with_labels_are_read() {
        let dir = set("\u{feff}10 20 30 40 2\r\n\r\n1,2,3,4,6\r\n");
        fs::write(dir.path().join("group1/1_not/9.txt"), "1 2 3 4 5\n").unwrap();
        let set = read_deeppcb(dir.path()).unwrap();
        let notes: Vec<_> = set.notes.iter().map(|note| (note.kind, note.count)).collect();
        assert_eq!(notes, [(NoteKind::LeftOut, 1), (NoteKind::WithoutImage, 1)]);
        let samples = set.samples;
        assert_eq!(samples.len(), 1, "a pair without labels is left out");
        assert_eq!(samples[0].files.id, "group1/1/7_test");
        assert!(samples[0].files.reference.as_ref().unwrap().ends_with("group1/1/7_temp.jpg"));
        let Label::Boxes(boxes) = &samples[0].label else { panic!("boxes") };
        assert_eq!((boxes[0].kind.as_str(), boxes[0].bbox), ("short", PixelBox::new(10.0, 20.0, 30.0, 40.0)));
        assert_eq!(boxes[1].kind.as_str(), "pin-hole");
        assert!(samples[0].label.is_defective());
    }

    #[test]
    fn templates_are_good_panels() {
        let dir = set("10 20 30 40 2\n");
        let [template] = &templates(&read_deeppcb(dir.path()).unwrap().samples)[..] else { panic!("one") };
        assert_eq!(template.files.id, "group1/1/7_temp");
        assert_eq!(template.files.reference.as_ref(), template.files.frames.first());
        assert!(template.files.frames[0].ends_with("7_temp.jpg") && !template.label.is_defective());
    }

    #[test]
    fn a_malformed_label_is_named_with_its_line() {
        for bad in ["1 2 3 4", "1 2 3 4 7", "9 2 3 4 1", "1 2 3 x 1", "1 2 3 4 1 1"] {
            let dir = set(&format!("10 20 30 40 2\n{bad}\n"));
            let message = read_deeppcb(dir.path()).unwrap_err().to_string();
            assert!(message.contains("7.txt:2: expected") && message.contains(bad), "{message}");
        }
    }
}
