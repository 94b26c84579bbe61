use std::path::Path;

use panelqc::{Error, PanelFiles, Result};

use super::collector::Collector;
use super::locate::{Folders, is_image};
use super::set::Dataset;
use super::text::{MOST_OF_SET, quote, read_text};
use super::{Label, Sample};

/// Reads the ELPV set of solar cells (Deitsch et al. 2019): `labels.csv` or a folder with it, whose lines are
/// `images/cell0001.png 1.0 mono` (path, defect probability, silicon type), as the PyPI package `elpv-dataset` has it
/// in `elpv_dataset/data`. The columns may also be separated by commas, semicolons or tabs, as spreadsheets do it, and
/// a line with their names may come first. The id is the file's stem.
///
/// # Errors
/// [`ErrorKind::Io`](panelqc::ErrorKind::Io) and [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) that names the file,
/// and the line of a malformed label, or of a cell that is labelled twice.
pub fn read_elpv(folder: &Path) -> Result<Dataset> {
    let path = if folder.is_dir() { folder.join("labels.csv") } else { folder.to_path_buf() };
    let text = read_text(&path, MOST_OF_SET)?;
    let places = [path.parent().unwrap_or(Path::new("")).to_path_buf()];
    let mut set = Collector::default();
    let mut folders = Folders::default();
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
    for (first, (number, line)) in lines.enumerate() {
        let columns = columns(line);
        if first == 0 && is_head(&columns) {
            continue;
        }
        let Some((file, probability)) = cell(&columns) else {
            return Err(Error::labels(
                &path,
                Some(number + 1),
                "`images/NAME.png probability mono|poly` with a probability from 0 to 1",
                quote(line),
            ));
        };
        // A cell without an image is an error of its inspection.
        let file = folders.image(file, &places).map_or_else(|| places[0].join(file), |found| found.path);
        let sample = Sample { files: PanelFiles::new(file), label: Label::Probability(probability) };
        set.push(sample, &path, Some(number + 1))?;
    }
    set.note_left_out(&mut folders);
    set.finish(&path, "labelled cells")
}

/// The columns of a line, by the separator that it has.
fn columns<'a>(line: &'a str) -> Vec<&'a str> {
    let columns: Vec<&str> = match [';', '\t', ','].into_iter().find(|separator| line.contains(*separator)) {
        Some(separator) => line.split(separator).collect(),
        // A path may have spaces, the columns behind it have none.
        None => {
            let last = |text: &'a str| text.trim_end().rsplit_once(char::is_whitespace);
            let parts =
                last(line).and_then(|(rest, kind)| last(rest).map(|(file, probability)| [file, probability, kind]));
            parts.map_or(vec![line], Vec::from)
        }
    };
    columns.into_iter().map(|column| column.trim().trim_matches('"')).collect()
}

/// File and probability.
fn cell<'a>(columns: &[&'a str]) -> Option<(&'a str, f32)> {
    let &[file, probability, kind] = columns else { return None };
    let known = ["mono", "poly"].iter().any(|known| known.eq_ignore_ascii_case(kind));
    // Spreadsheets of some countries write `0,3333`.
    let probability = probability.replace(',', ".").parse::<f32>().ok().filter(|p| (0.0..=1.0).contains(p));
    Some((file, probability?)).filter(|_| known && !file.is_empty())
}

/// Whether a line has the names of the columns.
fn is_head(columns: &[&str]) -> bool {
    let number = |column: &&str| column.replace(',', ".").parse::<f32>().is_ok();
    columns.len() > 1 && !columns.iter().any(|column| is_image(column)) && !columns.iter().any(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// The cells of a table, with their probabilities, and the number of notes.
    fn read(table: &str) -> Result<(Vec<String>, usize)> {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("images")).unwrap();
        for name in ["cell 1.png", "cell2.png"] {
            fs::write(dir.path().join("images").join(name), "").unwrap();
        }
        fs::write(dir.path().join("labels.csv"), table).unwrap();
        let set = read_elpv(dir.path())?;
        assert_eq!(set, read_elpv(&dir.path().join("labels.csv"))?);
        let cell = |sample: &Sample| match sample.label {
            Label::Probability(p) => {
                assert!(sample.files.frames[0].is_file(), "{}", sample.files.id);
                format!("{} {p:.2}", sample.files.id)
            }
            _ => panic!("a probability"),
        };
        Ok((set.samples.iter().map(cell).collect(), set.notes.len()))
    }

    #[test]
    fn lines_are_cells() {
        let cells = || vec!["cell 1 1.00".to_owned(), "cell2 0.33".to_owned()];
        for table in [
            "images/cell 1.png  1.0   mono\nimages/cell2.png  0.3333333333333333   poly\n",
            "\u{feff}images/cell 1.png  1.0   mono\r\nimages/cell2.png\t0.333\tpoly\r\n",
            "path,probability,type\nimages/cell 1.png,1.0,mono\n\"images/cell2.png\",0.333,\"poly\"\n",
            "path;probability;type\nimages\\cell 1.png;1;mono\nimages\\cell2.png;0,333;Poly\n",
            "path probability type\n./images/cell 1.png 1 mono\n./images/cell2.png 0.333 poly",
        ] {
            assert_eq!(read(table).unwrap(), (cells(), 0), "{table}");
        }
        assert_eq!(read("images/cell2.png 1 mono\n").unwrap().1, 1, "an image without a label is left out");
    }

    #[test]
    fn each_mistake_is_named_with_its_line() {
        for (table, says) in [
            ("images/cell2.png 1.0 mono\nimages/b.png 1.5 mono\n", "labels.csv:2: expected `images/NAME.png"),
            (
                "images/cell2.png 1.0 mono\nimages/cell2.png 1.0 mono\n",
                "labels.csv:2: expected one label for each panel",
            ),
            ("images/cell2.png 1.0 mono\n./images/cell2.png 0.0 mono\n", "found `cell2` twice"),
            (
                "images/cell2.png 1.0 mono\nother/cell2.png 0.0 mono\n",
                "labels.csv:2: expected one label for each panel",
            ),
            ("images/cell2.png 1.0\n", "labels.csv:1: expected `images/NAME.png"),
            ("images/cell2.png 1.0 amorphous\n", "labels.csv:1: expected"),
            ("images/cell2.png nan mono\n", "labels.csv:1: expected"),
            ("path,probability,type\npath,probability,type\n", "labels.csv:2: expected"),
            ("", "labelled cells"),
        ] {
            let message = read(table).unwrap_err().to_string();
            assert!(message.contains(says), "{message}");
        }
    }
}
