//! Masks as images, and which of their pixels are the defect.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageDecoder, ImageFormat, Limits};
use panelqc::{Error, Mask, Result, Size};

use super::locate::{Folders, is_image};

/// The most values besides 0 that a mask of numbered defects has; more are the shades of a soft edge.
const NUMBERS: usize = 8;

/// The masks of an image `name` (without extension) in `folder`: `NAME_mask.*`, `NAME.*`, `NAME_gt.*`, or all images
/// in a folder `NAME`. None is there if it is empty.
pub(super) fn masks_of(folder: &Path, name: &str, folders: &mut Folders) -> Vec<PathBuf> {
    let (folder, name) = match name.rsplit_once('/') {
        Some((below, name)) => (folder.join(below), name),
        None => (folder.to_path_buf(), name),
    };
    let files = folders.files(&folder);
    for end in ["_mask", "", "_gt"] {
        let found: Vec<PathBuf> = files.images(&format!("{name}{end}")).map(|file| folder.join(file)).collect();
        if !found.is_empty() {
            return found;
        }
    }
    let inner = folder.join(name);
    folders.files(&inner).names.iter().filter(|file| is_image(file)).map(|file| inner.join(file)).collect()
}

/// The defect in a mask of an image of `size`.
///
/// It is what is not 0: in gray, in colour (of a palette too), or, where all pixels have one colour, in opacity. In a
/// gray mask with the shades of a soft edge, and in one of a lossy format, it is what is above half of white.
pub(super) fn read_mask(path: &Path, size: (u32, u32)) -> Result<Mask> {
    let reader = image::ImageReader::open(path).and_then(image::ImageReader::with_guessed_format);
    let reader = reader.map_err(Error::io("reading", path))?;
    let lossy = matches!(reader.format(), Some(ImageFormat::Jpeg | ImageFormat::WebP));
    let bad = |e: image::ImageError| Error::labels(path, None, "a mask", e.to_string());
    let mut decoder = reader.into_decoder().map_err(bad)?;
    if decoder.dimensions() != size {
        let text = |(w, h): (u32, u32)| format!("{w}x{h}");
        let expected = format!("a mask as large as its image, {}", text(size));
        return Err(Error::labels(path, None, expected, text(decoder.dimensions())));
    }
    let mut limits = Limits::default();
    limits.reserve(decoder.total_bytes()).and_then(|()| decoder.set_limits(limits)).map_err(bad)?;
    let (values, white, coloured) = match DynamicImage::from_decoder(decoder).map_err(bad)? {
        DynamicImage::ImageLuma8(image) => (image.into_raw().into_iter().map(u16::from).collect(), 255, false),
        DynamicImage::ImageLuma16(image) => (image.into_raw(), u16::MAX, false),
        image if image.color().bytes_per_pixel() / image.color().channel_count() > 1 => {
            let (values, coloured) = strength(image.into_rgba16().pixels().map(|pixel| pixel.0));
            (values, u16::MAX, coloured)
        }
        image => {
            let (values, coloured) = strength(image.into_rgba8().pixels().map(|pixel| pixel.0.map(u16::from)));
            (values, 255, coloured)
        }
    };
    let limit = limit(&values, white, lossy, coloured);
    let at = |x: u32, y: u32| y as usize * size.0 as usize + x as usize;
    Ok(Mask::from_fn(Size::new(size.0, size.1), |x, y| values.get(at(x, y)).is_some_and(|value| *value > limit)))
}

/// How much each pixel is of the defect, and whether one of them is coloured.
fn strength(pixels: impl Iterator<Item = [u16; 4]> + Clone) -> (Vec<u16>, bool) {
    let mut first = pixels.clone();
    let [r, g, b, a] = first.next().unwrap_or_default();
    let one_colour = first.clone().all(|[x, y, z, _]| [x, y, z] == [r, g, b]);
    let one_opacity = first.all(|[_, _, _, opacity]| opacity == a);
    let coloured = pixels.clone().any(|[r, g, b, _]| r != g || g != b);
    let values = pixels.map(|[r, g, b, a]| match (one_colour, one_opacity) {
        (true, false) => a,
        (false, false) => r.max(g).max(b).min(a),
        (_, true) => r.max(g).max(b),
    });
    (values.collect(), coloured && !one_colour)
}

/// What a pixel of the defect is above.
fn limit(values: &[u16], white: u16, lossy: bool, coloured: bool) -> u16 {
    let half = white / 2;
    let mut different = BTreeSet::new();
    for value in values.iter().copied().filter(|value| *value > 0) {
        if different.len() > NUMBERS {
            break;
        }
        different.insert(value);
    }
    let faint = values.iter().all(|value| *value <= half);
    if !lossy && (coloured || faint || different.len() <= NUMBERS) { 0 } else { half }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayAlphaImage, GrayImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage, Rgba, RgbaImage};

    /// The pixels of the defect in a mask that `save` writes.
    fn defect(name: &str, save: impl Fn(&Path)) -> Vec<(u32, u32)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        save(&path);
        let mask = read_mask(&path, (4, 2)).unwrap();
        mask.runs().flat_map(|(x, y, n)| (y..y + n).map(move |y| (x, y))).collect()
    }

    /// Two pixels are the defect.
    const SPOT: [(u32, u32); 2] = [(1, 0), (2, 1)];

    fn is_spot(x: u32, y: u32) -> bool {
        SPOT.contains(&(x, y))
    }

    #[test]
    fn masks_of_all_kinds_have_the_same_defect() {
        for value in [1u8, 3, 128, 255] {
            let gray = GrayImage::from_fn(4, 2, |x, y| Luma([if is_spot(x, y) { value } else { 0 }]));
            assert_eq!(defect("m.png", |path| gray.save(path).unwrap()), SPOT, "gray {value}");
            assert_eq!(defect("m.bmp", |path| gray.save(path).unwrap()), SPOT, "bmp {value}");
        }
        for value in [1u16, 255, u16::MAX] {
            let gray: ImageBuffer<Luma<u16>, Vec<u16>> =
                ImageBuffer::from_fn(4, 2, |x, y| Luma([if is_spot(x, y) { value } else { 0 }]));
            assert_eq!(defect("m.png", |path| gray.save(path).unwrap()), SPOT, "16 bits, {value}");
        }
        // The first colours of Pascal VOC's palette.
        let colour = RgbImage::from_fn(4, 2, |x, y| match (x, y) {
            (1, 0) => Rgb([128, 0, 0]),
            (2, 1) => Rgb([0, 64, 0]),
            _ => Rgb([0, 0, 0]),
        });
        assert_eq!(defect("m.png", |path| colour.save(path).unwrap()), SPOT);
        for paint in [[255, 255, 255], [0, 0, 0], [255, 0, 0]] {
            let opacity = |x, y| if is_spot(x, y) { 255 } else { 0 };
            let alpha = RgbaImage::from_fn(4, 2, |x, y| Rgba([paint[0], paint[1], paint[2], opacity(x, y)]));
            assert_eq!(defect("m.png", |path| alpha.save(path).unwrap()), SPOT, "by opacity, {paint:?}");
        }
        let opaque = GrayAlphaImage::from_fn(4, 2, |x, y| LumaA([if is_spot(x, y) { 255 } else { 0 }, 255]));
        assert_eq!(defect("m.png", |path| opaque.save(path).unwrap()), SPOT);
        let hidden = GrayAlphaImage::from_fn(4, 2, |x, y| match (is_spot(x, y), x) {
            (true, _) => LumaA([255, 255]),
            (_, 3) => LumaA([255, 0]),
            _ => LumaA([0, 255]),
        });
        assert_eq!(defect("m.png", |path| hidden.save(path).unwrap()), SPOT, "what is transparent is no defect");
    }

    #[test]
    fn soft_edges_and_numbered_defects_are_told_apart() {
        let values = |values: &[u16]| values.to_vec();
        assert_eq!(limit(&values(&[0, 1, 2, 3]), 255, false, false), 0);
        assert_eq!(limit(&values(&[0, 100, 200, 255]), 255, false, false), 0, "few values are numbers");
        let soft: Vec<u16> = (0..=255).collect();
        assert_eq!(limit(&soft, 255, false, false), 127);
        assert_eq!(limit(&soft, 255, false, true), 0, "colours are kinds");
        assert_eq!(limit(&values(&[0, 1, 255]), 255, true, false), 127, "a lossy format has noise");
        let many: Vec<u16> = (0..=100).collect();
        assert_eq!(limit(&many, 255, false, false), 0, "all of them faint");
    }

    #[test]
    fn masks_are_found_by_their_names() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["000_mask.png", "000.png", "001.PNG", "002_GT.bmp", "003/001.png", "003/000.png", "sub/004.png"] {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        for (name, found) in [
            ("000", &["000_mask.png"][..]),
            ("001", &["001.PNG"]),
            ("002", &["002_GT.bmp"]),
            ("003", &["003/000.png", "003/001.png"]),
            ("sub/004", &["sub/004.png"]),
            ("005", &[]),
        ] {
            let wanted: Vec<PathBuf> = found.iter().map(|file| dir.path().join(file)).collect();
            assert_eq!(masks_of(dir.path(), name, &mut Folders::default()), wanted, "{name}");
        }
    }
}
