use std::path::Path;

use panelqc::{Error, Mask, Result, Size, find_images};

use super::{Label, Sample, Truth, none_of, size_of};

/// Reads the layout of MVTec AD (Bergmann et al. 2019): `test/good/*.png`, `test/<defect>/NAME.png` with its mask
/// `ground_truth/<defect>/NAME_mask.png` (white, above 127, where the defect is). Each connected part of a mask (by
/// sides or corners) is one truth of the kind `<defect>`. The id is the path below `test` without extension.
///
/// # Errors
/// [`ErrorKind::Io`](panelqc::ErrorKind::Io), [`ErrorKind::Frame`](panelqc::ErrorKind::Frame), and
/// [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) for a mask that is missing, of another size than its image, or
/// without a white pixel.
pub fn read_mvtec(folder: &Path) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for image in find_images(&folder.join("test"))? {
        let Some((defect, name)) = image.id.split_once('/') else {
            return Err(Error::labels(&image.path, None, "a folder `good` or of a defect around it", "none"));
        };
        let label = if defect == "good" {
            Vec::new()
        } else {
            let path = folder.join("ground_truth").join(defect).join(format!("{name}_mask.png"));
            let mask = mask_of(&path, size_of(&image.path)?)?;
            let truths = mask.components().into_iter().filter_map(|part| Truth::of_mask(defect.into(), part));
            let truths: Vec<Truth> = truths.collect();
            if truths.is_empty() {
                return Err(Error::labels(&path, None, "a mask with pixels above 127", "none"));
            }
            truths
        };
        samples.push(Sample::of_image(image.id, image.path, Label::Boxes(label)));
    }
    if samples.is_empty() {
        return Err(none_of(folder, "images test/good/*.png and test/<defect>/*.png"));
    }
    Ok(samples)
}

fn mask_of(path: &Path, size: (u32, u32)) -> Result<Mask> {
    let reader = image::ImageReader::open(path).and_then(image::ImageReader::with_guessed_format);
    let pixels = reader.map_err(Error::io("reading", path))?.decode();
    let pixels = pixels.map_err(|e| Error::labels(path, None, "a mask", e.to_string()))?.into_luma8();
    if pixels.dimensions() != size {
        let text = |(w, h): (u32, u32)| format!("{w}x{h}");
        let expected = format!("a mask as large as its image, {}", text(size));
        return Err(Error::labels(path, None, expected, text(pixels.dimensions())));
    }
    Ok(Mask::from_fn(Size::new(size.0, size.1), |x, y| pixels.get_pixel(x, y).0[0] > 127))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma};
    use std::fs;

    #[test]
    fn masks_are_truths() {
        let dir = tempfile::tempdir().unwrap();
        let at = |part: &str| dir.path().join(part);
        for part in ["test/good", "test/cut", "ground_truth/cut"] {
            fs::create_dir_all(at(part)).unwrap();
        }
        GrayImage::new(8, 6).save(at("test/good/000.png")).unwrap();
        GrayImage::new(8, 6).save(at("test/cut/000.png")).unwrap();
        let message = || read_mvtec(dir.path()).unwrap_err().to_string();
        assert!(message().contains("000_mask.png"), "{}", message());
        let mask = |w, h, spots: &[(u32, u32)]| {
            let white = |x, y| Luma([if spots.contains(&(x, y)) { 255 } else { 0 }]);
            GrayImage::from_fn(w, h, white).save(at("ground_truth/cut/000_mask.png")).unwrap();
        };
        mask(8, 6, &[]);
        assert!(message().contains("above 127"), "{}", message());
        mask(6, 8, &[(1, 1)]);
        assert!(message().contains("expected a mask as large as its image, 8x6, found 6x8"), "{}", message());
        mask(8, 6, &[(1, 1), (2, 2), (6, 4)]);
        let samples = read_mvtec(dir.path()).unwrap();
        assert_eq!(samples[0].files.id, "cut/000");
        let Label::Boxes(truths) = &samples[0].label else { panic!("boxes") };
        let areas: Vec<_> = truths.iter().map(|t| (t.kind.as_str(), t.area())).collect();
        assert_eq!(areas, [("cut", 2.0), ("cut", 1.0)], "corners connect");
        assert_eq!((samples[1].files.id.as_str(), samples[1].label.is_defective()), ("good/000", false));
    }
}
