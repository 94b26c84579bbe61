//! Format `class-map`: semantic segmentation that has chosen in the graph (`ArgMax`): the number of a kind for each
//! pixel, `[B, h, w]`, `[B, 1, h, w]`, or `[h, w]` of one frame, in whole numbers of any type.
//!
//! Each pixel of the frame has the number of the cell that it lies in. The connected pixels of a kind (by sides or
//! corners) are one defect, from `min_area` pixels on. A map of numbers tells no probability: the confidence is 1.
//! Every pixel has some kind, so the kind of a sound surface has to be in `good`.

use std::sync::Arc;

use crate::defect::Kind;
use crate::error::Result;
use crate::geometry::{Placement, Region};
use crate::head::context::most_confident_first;
use crate::head::proposals::{HeadScratch, Proposals};
use crate::head::search::{real, whole};
use crate::head::slot::plane;
use crate::head::surface::{Blob, Rows, Tap};
use crate::head::{Context, Decoded, Format, Head, HeadFormat, Mismatch, Search, Slot, Task};
use crate::runtime::Port;

pub(super) const FORMAT: HeadFormat = HeadFormat::new("class-map", &[Task::Segment], find).guessed().with_kinds(
    |signature| match &signature.outputs[..] {
        [port] if whole(port) => Some(vec![Kind::new("background"), Kind::new("kind1")]),
        _ => None,
    },
);

impl Format {
    /// `class-map`: semantic segmentation with `ArgMax` in the graph: the number of a kind for each pixel, `[B, h, w]`,
    /// `[B, 1, h, w]` or `[h, w]`, in whole numbers. Confidences are 1.
    pub const CLASS_MAP: Format = Format::named("class-map");
}

/// Stands for pixels that no view shows.
const NONE: u16 = u16::MAX;

#[derive(Debug)]
struct ClassMap {
    map: usize,
    /// Axes without the batch axis, and whether there is one.
    rank: usize,
    batched: bool,
}

fn find(search: &Search<'_>) -> Result<Arc<dyn Head>, Mismatch> {
    if search.kinds() >= usize::from(NONE) {
        return Err(Mismatch::new(format!("fewer than {NONE} kinds"), format!("{} kinds", search.kinds())));
    }
    if search.output().good.is_empty() && !search.guessing() {
        let expected = "[output] good with the kind of a sound surface, since every pixel has some kind";
        return Err(Mismatch::new(expected, "none"));
    }
    let map = |port: &Port| match port.shape[..] {
        [_, _] | [_, _, _] => true,
        [_, one, _, _] => one.is_none_or(|channels| channels == 1),
        _ => false,
    };
    // Numbers of kinds may also be stored as real ones. Then a manifest has to say that they are no probabilities.
    let numbers = |port: &Port| whole(port) || real(port) && !search.guessing();
    let name = search.output().scores.as_deref();
    let what = "the number of a kind for each pixel i64[?, ?, ?]";
    let output = search.one(name, what, |port| numbers(port) && map(port))?;
    let axes = search.ports()[output].shape.len();
    Ok(Arc::new(ClassMap { map: output, rank: if axes == 4 { 3 } else { 2 }, batched: axes > 2 }))
}

impl Head for ClassMap {
    fn outputs(&self) -> Vec<usize> {
        vec![self.map]
    }

    fn single(&self) -> bool {
        !self.batched
    }

    fn propose(&self, context: &Context, slot: &Slot<'_>, found: &mut Proposals) -> Result<()> {
        let numbers = if self.batched { slot.array(self.map, self.rank)? } else { slot.whole(self.map, self.rank)? };
        slot.finite(self.map, &numbers)?;
        let numbers = match numbers.shape() {
            [1, _, _] => numbers.index_axis_move(ndarray::Axis(0), 0),
            [_, _] => numbers,
            other => return Err(slot.misshapen(self.map, "one number for each pixel", other)),
        };
        if numbers.is_empty() {
            return Err(slot.misshapen(self.map, "at least one pixel", numbers.shape()));
        }
        let cells = plane(numbers)?;
        let known = |&number: &f32| number >= 0.0 && number.fract() == 0.0 && (number as usize) < context.kinds();
        if let Some(&number) = cells.iter().find(|number| !known(number)) {
            let expected = format!("numbers of the {} kinds for each pixel", context.kinds());
            return Err(slot.unusual(self.map, expected, number.to_string()));
        }
        found.maps.add_layer(slot.placement(), cells.dim(), cells.iter().copied());
        Ok(())
    }

    fn assemble(&self, context: &Context, found: &mut Proposals) -> Result<Decoded> {
        let (frame, output) = (found.frame(), context.output());
        context.can_hold_regions(frame)?;
        let Proposals { views, maps, scratch, notes, .. } = found;
        let HeadScratch { winners, columns, seen, surface, .. } = scratch;
        let width = frame.width as usize;
        winners.clear();
        winners.resize(width * frame.height as usize, NONE);
        let is_defect = |number: u16| context.floors().get(usize::from(number)).is_some_and(Option::is_some);
        for (layer, placement) in views.iter().enumerate() {
            let Some((cells, numbers)) = maps.layer(layer) else { continue };
            let region = placement.region();
            columns.clear();
            columns.extend((region.x..region.right()).map(|x| column(x, cells.1, placement)));
            for y in region.y..region.bottom() {
                let numbers = &numbers[row(y, cells.0, placement) * cells.1..][..cells.1];
                let out = &mut winners[y as usize * width + region.x as usize..][..columns.len()];
                for (winner, &column) in out.iter_mut().zip(columns.iter()) {
                    // Where views overlap, what one of them calls a defect is one.
                    if !is_defect(*winner) {
                        *winner = numbers[column] as u16;
                    }
                }
            }
        }
        seen.clear();
        seen.resize(context.kinds(), false);
        for &number in winners.iter() {
            if let Some(seen) = seen.get_mut(usize::from(number)) {
                *seen = true;
            }
        }
        let mut defects = Vec::new();
        for (kind, _) in context.floors().iter().enumerate().filter(|&(kind, floor)| floor.is_some() && seen[kind]) {
            surface.find_blobs_where(&Sure(Region::whole(frame)), |_, x, y| {
                usize::from(winners[y as usize * width + x as usize]) == kind
            });
            for number in 0..surface.blobs.len() {
                let blob: Blob = surface.blobs[number];
                if blob.area >= output.min_area {
                    notes.notice(1.0);
                    defects.extend(context.blob(kind, &blob, frame, surface));
                }
            }
        }
        most_confident_first(&mut defects);
        Ok(Decoded::new(defects, notes.score))
    }
}

/// The column of cells that frame column `x` lies in.
fn column(x: u32, cells: usize, placement: &Placement) -> usize {
    let at = placement.to_model(f64::from(x) + 0.5, 0.0).0;
    nearest(at, cells, placement.model().width)
}

/// The row of cells that frame row `y` lies in.
fn row(y: u32, cells: usize, placement: &Placement) -> usize {
    let at = placement.to_model(0.0, f64::from(y) + 0.5).1;
    nearest(at, cells, placement.model().height)
}

fn nearest(at: f64, cells: usize, model: u32) -> usize {
    ((at * cells as f64 / f64::from(model)).max(0.0) as usize).min(cells - 1)
}

/// Certainty at every pixel of a region.
struct Sure(Region);

impl Rows for Sure {
    fn region(&self) -> Region {
        self.0
    }

    fn columns(&self, _columns: &mut Vec<Tap>) {}

    fn row(&self, _y: u32, _columns: &[Tap], out: &mut [f32]) {
        out.fill(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::geometry::{PixelBox, Size};
    use crate::head::{Decoder, OutputConfig, testing};
    use crate::runtime::Outputs;
    use crate::tensor::{Fit, Preprocess};

    fn kinds() -> OutputConfig {
        OutputConfig { good: vec!["ok".into()], ..OutputConfig::new(vec!["ok".into(), "a".into(), "b".into()]) }
    }

    /// A map of 8 by 4 cells over a frame of 16 by 8 pixels.
    fn decode(shape: &[usize], numbers: [f32; 32]) -> Result<Decoded> {
        let placement = Preprocess { fit: Fit::Stretch, ..Preprocess::new(Size::new(8, 4)) };
        let placement = placement.placement(Size::new(16, 8));
        let head = ClassMap { map: 0, rank: if shape.len() == 4 { 3 } else { 2 }, batched: shape.len() > 2 };
        testing::decode(head, kinds(), &[(shape.to_vec(), numbers.to_vec())], (0, &placement))
    }

    #[test]
    fn regions_of_a_kind_are_defects_to_the_pixel() {
        let mut numbers = [0.0; 32];
        // Two cells that touch at a corner, and one of another kind beside them.
        (numbers[8 + 1], numbers[16 + 2], numbers[8 + 2]) = (1.0, 1.0, 2.0);
        for shape in [&[1, 4, 8][..], &[1, 1, 4, 8], &[4, 8]] {
            let decoded = decode(shape, numbers).unwrap();
            let found: Vec<_> = decoded.defects.iter().map(|d| (d.kind.as_str(), d.bbox, d.area_px)).collect();
            let (a, b) = (PixelBox::new(2.0, 2.0, 6.0, 6.0), PixelBox::new(4.0, 2.0, 6.0, 4.0));
            assert_eq!(found, [("a", a, 8), ("b", b, 4)], "{shape:?}");
            assert!(decoded.score == 1.0 && decoded.defects[0].confidence.get() == 1.0);
        }
        let sound = decode(&[1, 4, 8], [0.0; 32]).unwrap();
        assert!(sound.defects.is_empty() && sound.score == 0.0);
    }

    #[test]
    fn a_number_that_is_no_kind_is_an_error() {
        for bad in [3.0, 255.0, -1.0, 0.5] {
            let mut numbers = [0.0; 32];
            numbers[7] = bad;
            let error = decode(&[1, 4, 8], numbers).unwrap_err();
            assert!(error.kind() == ErrorKind::Output && error.to_string().contains(&bad.to_string()), "{error}");
        }
    }

    #[test]
    fn where_views_overlap_a_defect_of_either_counts() {
        let frame = Size::new(6, 2);
        let decoder = Decoder::new(Arc::new(ClassMap { map: 0, rank: 2, batched: true }), Context::new(kinds()));
        let mut found = Proposals::default();
        decoder.begin(&mut found, frame);
        for (x, numbers) in [(0, [0.0, 0.0, 0.0, 1.0]), (2, [0.0, 0.0, 2.0, 0.0])] {
            let region = Region::new(x, 0, Size::new(4, 2));
            let placement = Placement::new(frame, region, Size::new(4, 1), region.size, (0, 0));
            let outputs = Outputs::from_tensors([("map", vec![1, 1, 4], numbers.to_vec())]);
            decoder.propose(&Slot::new(&outputs, 0, &placement), &mut found).unwrap();
        }
        let decoded = decoder.assemble(&mut found).unwrap();
        let found: Vec<_> = decoded.defects.iter().map(|d| (d.kind.as_str(), d.bbox.x0, d.bbox.x1)).collect();
        assert_eq!(found, [("a", 3.0, 4.0), ("b", 4.0, 5.0)]);
    }
}
