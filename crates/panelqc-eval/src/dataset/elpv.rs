use std::fs;
use std::path::Path;

use panelqc::{Error, PanelFiles, Result};

use super::{Label, Sample};

/// Reads the ELPV set of solar cells (Deitsch et al. 2019): a folder with `labels.csv`, whose lines are
/// `images/cell0001.png 1.0 mono` (path, defect probability, silicon type), as the PyPI package `elpv-dataset` has it
/// in `elpv_dataset/data`. The id is the file's stem.
///
/// # Errors
/// [`ErrorKind::Io`](panelqc::ErrorKind::Io) and [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) that names the file,
/// and the line of a malformed label.
pub fn read_elpv(folder: &Path) -> Result<Vec<Sample>> {
    let path = folder.join("labels.csv");
    let text = fs::read_to_string(&path).map_err(Error::io("reading", &path))?;
    let mut samples = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let label = match words[..] {
            [file, probability, "mono" | "poly"] => {
                probability.parse::<f32>().ok().filter(|p| (0.0..=1.0).contains(p)).map(|p| (file, p))
            }
            _ => None,
        };
        let Some((file, probability)) = label else {
            return Err(Error::labels(
                &path,
                Some(number + 1),
                "`images/NAME.png probability mono|poly` with a probability from 0 to 1",
                format!("`{}`", line.trim()),
            ));
        };
        samples.push(Sample { files: PanelFiles::new(folder.join(file)), label: Label::Probability(probability) });
    }
    if samples.is_empty() {
        return Err(Error::labels(&path, None, "labelled cells", "none"));
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cells() {
        let dir = tempfile::tempdir().unwrap();
        let labels = dir.path().join("labels.csv");
        fs::write(&labels, "images/cell0001.png  1.0   mono\nimages/cell0002.png  0.3333333333333333   poly\n")
            .unwrap();
        let samples = read_elpv(dir.path()).unwrap();
        assert_eq!(samples[0].files.id, "cell0001");
        assert!(samples[0].label.is_defective() && !samples[1].label.is_defective());
        fs::write(&labels, "images/a.png 1.0 mono\nimages/b.png 1.5 mono\n").unwrap();
        assert!(read_elpv(dir.path()).unwrap_err().to_string().contains("labels.csv:2: expected"));
        fs::write(&labels, "").unwrap();
        assert!(read_elpv(dir.path()).is_err());
    }
}
