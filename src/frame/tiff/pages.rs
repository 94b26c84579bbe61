use std::collections::HashSet;

use super::directory::{Directory, Structure, tag};
use crate::frame::flaw::Flaw;

/// The directory of the picture that a file holds. Directories of reduced pictures (thumbnails, levels of a pyramid)
/// and of masks are passed over: none of them stands for the picture.
///
/// # Errors
/// For several pictures, or none.
pub(super) fn the_one_picture(structure: Structure<'_>, first: u64) -> Result<Directory<'_>, Flaw> {
    let mut picture = None;
    let (mut count, mut others) = (0, 0);
    let mut seen = HashSet::new();
    let mut at = first;
    while at != 0 {
        if !seen.insert(at) {
            return Err(Flaw::damaged("directories that go round in a circle"));
        }
        let (directory, next) = structure.directory(at)?;
        let (kind, old) = (directory.number(tag::SUBFILE), directory.number(tag::OLD_SUBFILE));
        // Bit 0: reduced; bit 2: a mask.
        if kind.is_some_and(|kind| kind & 0b101 != 0) || (kind.is_none() && old == Some(2)) {
            others += 1;
        } else {
            count += 1;
            picture = picture.or(Some(directory));
        }
        at = next;
    }
    match picture {
        None if others > 0 => Err(Flaw::unsupported("only pictures of reduced resolution, or masks, none in full")),
        None => Err(Flaw::damaged("no directory")),
        Some(_) if count > 1 => Err(Flaw::Several { count, kind: "TIFF" }),
        Some(picture) => match stacked(&picture) {
            Some(count) => Err(Flaw::Several { count, kind: "TIFF (a stack)" }),
            None => Ok(picture),
        },
    }
}

/// How many pictures the description of a single directory tells of, where they are several: ImageJ, tifffile and OME
/// write stacks whose further pictures have no directory.
fn stacked(directory: &Directory<'_>) -> Option<usize> {
    let text = String::from_utf8_lossy(directory.bytes(tag::DESCRIPTION)?);
    let number_after = |text: &str, key: &str| {
        let rest = text.split_once(key)?.1;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..digits].parse::<usize>().ok()
    };
    let count = if text.starts_with("ImageJ=") {
        number_after(&text, "\nimages=")?
    } else if let Some((_, shape)) = text.split_once("\"shape\": [").filter(|_| text.starts_with('{')) {
        let shape = shape.split(']').next()?.split(',').map(|side| side.trim().parse::<usize>());
        let samples = shape.collect::<Result<Vec<_>, _>>().ok()?.into_iter().try_fold(1usize, usize::checked_mul)?;
        let of = |tag| directory.number(tag).and_then(|number| usize::try_from(number).ok());
        let one = of(tag::WIDTH)?.checked_mul(of(tag::HEIGHT)?)?.checked_mul(of(tag::SAMPLES).unwrap_or(1))?;
        samples.checked_div(one)?
    } else if text.contains("<OME") && text.contains("SizeX=") {
        let of = |key| number_after(&text, key).unwrap_or(1);
        let planes = of("SizeZ=\"").checked_mul(of("SizeT=\""))?.checked_mul(of("SizeC=\""))?;
        planes / directory.number(tag::SAMPLES).map_or(1, |samples| samples.max(1) as usize)
    } else {
        return None;
    };
    (count > 1).then_some(count)
}
