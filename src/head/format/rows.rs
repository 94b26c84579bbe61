//! What the formats with one row (or column) per proposal share. A proposal has the kind of its highest probability,
//! the first where two are equal. With `M` mask coefficients behind its numbers, the mask of a proposal is where the
//! prototypes `[B, M, h, w]`, weighted by them, are above `pixel_threshold` (as the logistic function of the sum),
//! inside its box (YOLACT, Bolya et al. 2019). A proposal whose mask is empty is no defect, as with Ultralytics, but
//! lost.
//!
//! Scores are probabilities, or logits where the manifest says `activation = "sigmoid"`.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use ndarray::{ArrayView2, Axis, Slice};

use super::prototypes::Weighted;
use crate::defect::Kind;
use crate::error::{Error, Result};
use crate::geometry::{PixelBox, Placement};
use crate::head::activation::sigmoid;
use crate::head::lost::Loss;
use crate::head::proposals::{Candidate, HeadScratch, Proposals};
use crate::head::scan;
use crate::head::slot::{LOGITS, plane, slice};
use crate::head::suppression::{Suppression, suppress};
use crate::head::surface::Window;
use crate::head::{Activation, Context, Head, Mismatch, Search, Slot};
use crate::runtime::Signature;

/// What the numbers of a box are measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Pixels of the model's input.
    Pixels,
    /// Parts of the model's input, 0 to 1.
    Parts,
    /// Something of the form's own, which [`Form::place`] checks.
    Cells,
}

/// How the numbers of one proposal lie.
pub(super) trait Form: fmt::Debug + Send + Sync + 'static {
    /// Which axis of the output, behind the batch axis, counts the numbers of a proposal: 0 or 1.
    const NUMBERS_AXIS: usize;

    /// Whether the graph suppresses, and how it is done otherwise.
    const SUPPRESSION: Suppression = Suppression::Greedy;

    /// Whether probabilities are enlarged to the frame for masks. Otherwise sums are, of which the logistic function is
    /// above the threshold where they are above its inverse.
    const ENLARGES_PROBABILITIES: bool = false;

    /// What the numbers of a box are measured in.
    const UNIT: Unit = Unit::Pixels;

    /// Whether the four numbers of a box are its corners.
    const CORNERS: bool = false;

    /// Numbers before the mask coefficients.
    fn numbers(kinds: usize) -> usize;

    /// Writes confidence and kind of each proposal into `best` and `kinds`, which are empty. Refuses scores that are no
    /// probabilities.
    fn best(table: &Table<'_>, context: &Context, best: &mut Vec<f32>, kinds: &mut Vec<u32>) -> Result<()>;

    /// The box in model pixels of a proposal's first four numbers; of a turned one, before it is turned. Default: they
    /// are centre x, centre y, width, height.
    fn bbox(sides: [f32; 4], _placement: &Placement) -> PixelBox {
        let [x, y, w, h] = sides;
        PixelBox::new(x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0)
    }

    /// The box in model pixels of a proposal of the table. Default: what [`bbox`](Self::bbox) makes of its first four
    /// numbers.
    fn place(table: &Table<'_>, row: usize, placement: &Placement) -> Result<PixelBox> {
        Ok(Self::bbox([0, 1, 2, 3].map(|i| table.numbers[[row, i]]), placement))
    }

    /// The place of the angle among a proposal's numbers, for a form of turned boxes.
    fn angle(_kinds: usize) -> Option<usize> {
        None
    }
}

/// The head of a form.
#[derive(Debug)]
struct Rows<F> {
    rows: usize,
    prototypes: Option<usize>,
    form: PhantomData<F>,
}

/// Finds the outputs of a form.
pub(super) fn find<F: Form>(search: &Search<'_>) -> Result<Arc<dyn Head>, Mismatch> {
    let prototypes = search.prototypes()?;
    let masks = prototypes.map_or(0, |(_, count)| count);
    let rows = search.proposals(1 + F::NUMBERS_AXIS, F::numbers(search.kinds()) + masks)?;
    Ok(Arc::new(Rows { rows, prototypes: prototypes.map(|(index, _)| index), form: PhantomData::<F> }))
}

impl<F: Form> Head for Rows<F> {
    fn outputs(&self) -> Vec<usize> {
        std::iter::once(self.rows).chain(self.prototypes).collect()
    }

    fn suppression(&self) -> Suppression {
        F::SUPPRESSION
    }

    fn propose(&self, context: &Context, slot: &Slot<'_>, found: &mut Proposals) -> Result<()> {
        let prototypes = match self.prototypes {
            None => None,
            Some(output) => {
                let prototypes = slot.array(output, 3)?;
                slot.finite(output, &prototypes)?;
                Some(prototypes)
            }
        };
        let masks = prototypes.as_ref().map_or(0, |p| p.shape()[0]);
        let table = Table::of::<F>(context, slot, self.rows, masks)?;
        let Proposals { views, candidates, notes, maps, scratch, .. } = found;
        let HeadScratch { best, kinds, .. } = scratch;
        best.clear();
        kinds.clear();
        F::best(&table, context, best, kinds)?;
        let placement = slot.placement();
        if F::CORNERS {
            in_order(slot, self.rows, table.sides())?;
        }
        let angle = F::angle(context.kinds());
        let view = views.len().saturating_sub(1);
        let first = candidates.len();
        for (row, (&confidence, &kind)) in best.iter().zip(kinds.iter()).enumerate() {
            let kind = kind as usize;
            // Most proposals end here.
            if context.passes_over(kind, confidence, notes) {
                continue;
            }
            if kind >= context.kinds() {
                context.unknown(table.numbers[[row, 5]], confidence, notes);
                continue;
            }
            let bbox = F::place(&table, row, placement)?;
            let rank = if F::SUPPRESSION == Suppression::InGraph { row } else { kind * best.len() + row };
            let candidate = Candidate {
                view,
                row,
                angle: angle.map(|place| table.numbers[[row, place]]),
                ..Candidate::new(kind, confidence.clamp(0.0, 1.0), bbox).with_rank(rank)
            };
            if context.placed(&candidate, placement, notes).is_some() {
                candidates.push(candidate);
            }
        }
        // A form says more of boxes that it cannot have.
        match F::UNIT {
            Unit::Pixels => in_pixels(slot, self.rows, table.sides())?,
            Unit::Parts => in_parts(slot, self.rows, table.sides())?,
            Unit::Cells => {}
        }
        let Some(planes) = &prototypes else { return Ok(()) };
        // Masks are drawn of what is left of the view only. What suppression drops now it would drop later, too.
        let own = &mut scratch.own;
        own.clear();
        own.extend(candidates.drain(first..));
        let output = context.output();
        suppress(own, F::SUPPRESSION, false, output.iou, output.iou_across);
        context.truncate(own, &mut notes.lost);
        for at in 0..scratch.own.len() {
            let candidate = scratch.own[at];
            let bbox = placement.box_to_frame(&candidate.bbox);
            let weights = table.numbers.row(candidate.row).slice_axis_move(Axis(0), Slice::from(table.before..));
            let mask = Weighted { planes, weights, probabilities: F::ENLARGES_PROBABILITIES };
            let window = Window::of(&bbox, placement.frame()).within(placement.region());
            let part = mask.add(output.pixel_threshold, &window, placement, scratch, maps);
            match part {
                Some(part) => candidates.push(Candidate { part: Some(part), ..candidate }),
                None => context.lose(Loss::NoMask, &candidate, &mut notes.lost),
            }
        }
        Ok(())
    }
}

/// The proposals of one view, one per row.
pub(super) struct Table<'a> {
    pub(super) numbers: ArrayView2<'a, f32>,
    pub(super) slot: Slot<'a>,
    /// The graph's output that they are from.
    pub(super) output: usize,
    /// Numbers before the mask coefficients.
    before: usize,
}

impl<'a> Table<'a> {
    fn of<F: Form>(context: &Context, slot: &Slot<'a>, output: usize, masks: usize) -> Result<Self> {
        // What a graph suppressed is a list, and may be empty.
        let table = match F::SUPPRESSION {
            Suppression::InGraph => slot.list(output, 2)?,
            _ => slot.array(output, 2)?,
        };
        let table = plane(table)?;
        let numbers = if F::NUMBERS_AXIS == 0 { table.reversed_axes() } else { table };
        let before = F::numbers(context.kinds());
        if numbers.ncols() != before + masks {
            let expected = format!("{} numbers per proposal", before + masks);
            return Err(slot.misshapen(output, expected, numbers.shape()));
        }
        if F::NUMBERS_AXIS == 0 {
            // `highest_kinds` looks at the scores, which are most of it.
            slot.finite(output, &table.slice_axis(Axis(0), Slice::from(..4)))?;
            slot.finite(output, &table.slice_axis(Axis(0), Slice::from(4 + context.kinds()..)))?;
        } else {
            slot.finite(output, &table)?;
        }
        Ok(Table { numbers, slot: *slot, output, before })
    }

    /// For forms whose numbers are rows in the graph's memory, with the kinds from number 4 on: the highest of them for
    /// each proposal.
    pub(super) fn highest_kinds(&self, context: &Context, best: &mut Vec<f32>, kinds: &mut Vec<u32>) -> Result<()> {
        let columns = self.numbers.slice_axis_move(Axis(1), Slice::from(4..4 + context.kinds()));
        let kind_by_kind = columns.reversed_axes();
        let logits = context.output().activation == Activation::Sigmoid;
        match logits {
            true => self.slot.finite(self.output, &kind_by_kind)?,
            false => self.slot.probabilities(self.output, &kind_by_kind, LOGITS)?,
        }
        scan::highest(slice(&kind_by_kind)?, kind_by_kind.ncols(), best, kinds);
        if logits {
            best.iter_mut().for_each(|score| *score = sigmoid(*score));
        }
        Ok(())
    }

    /// The four numbers of each proposal's box.
    fn sides(&self) -> impl Iterator<Item = [f32; 4]> + '_ {
        self.numbers.rows().into_iter().map(|row| [0, 1, 2, 3].map(|side| row[side]))
    }

    /// The probability that a score is.
    fn probability(&self, context: &Context, score: f32) -> Result<f32> {
        context.probability(&self.slot, self.output, score)
    }

    /// For forms with objectness as number 4 and the kinds from number 5 on: the highest product for each proposal.
    pub(super) fn weighed_kinds(&self, context: &Context, best: &mut Vec<f32>, kinds: &mut Vec<u32>) -> Result<()> {
        for row in self.numbers.rows() {
            let scores = row.iter().skip(5).take(context.kinds()).zip(0..);
            let mut lowest = f32::INFINITY;
            let mut highest = (f32::NEG_INFINITY, 0);
            for (&score, kind) in scores {
                lowest = if score < lowest { score } else { lowest };
                highest = if score > highest.0 { (score, kind) } else { highest };
            }
            self.probability(context, lowest)?;
            best.push(self.probability(context, highest.0)? * self.probability(context, row[4])?);
            kinds.push(highest.1);
        }
        Ok(())
    }

    /// The error for the numbers of a box that are not those of the form.
    pub(super) fn unlikely(&self, expected: &str, sides: [f32; 4]) -> Error {
        self.slot.unusual(self.output, expected, format!("{sides:?}"))
    }

    /// For forms with confidence and number of the kind as numbers 4 and 5.
    pub(super) fn stated_kinds(&self, context: &Context, best: &mut Vec<f32>, kinds: &mut Vec<u32>) -> Result<()> {
        for row in self.numbers.rows() {
            best.push(self.probability(context, row[4])?);
            let kind = context.kind_of(&self.slot, self.output, row[5])?;
            kinds.push(kind.map_or(u32::MAX, |kind| kind as u32));
        }
        Ok(())
    }
}

/// Beyond this no box is in parts of the model's input, and in pixels there are some.
const MOST_PARTS: f32 = 2.0;

/// Refuses boxes in parts of the model's input, 0 to 1, for a format in pixels: all of the proposals would lie in its
/// first pixel.
pub(super) fn in_pixels(slot: &Slot<'_>, output: usize, boxes: impl Iterator<Item = [f32; 4]>) -> Result<()> {
    let model = slot.placement().model();
    if f64::from(model.width.min(model.height)) <= 2.0 * f64::from(MOST_PARTS) {
        return Ok(());
    }
    let mut largest = 0.0f32;
    for side in boxes.flatten() {
        largest = largest.max(side.abs());
        // With pixels that is the first proposal, most often.
        if largest > MOST_PARTS {
            return Ok(());
        }
    }
    // Rows that are left over are zeros.
    if largest == 0.0 {
        return Ok(());
    }
    let expected =
        format!("boxes in pixels of the model's input of {model} (or a format whose boxes are in other units)");
    Err(slot.unusual(output, expected, format!("no number beyond {largest}")))
}

/// So many rows are not turned over by chance.
const MANY_ROWS: usize = 16;

/// Refuses rows most of whose boxes would be turned over, for a format of corners: they are centre and size.
pub(super) fn in_order(slot: &Slot<'_>, output: usize, boxes: impl Iterator<Item = [f32; 4]>) -> Result<()> {
    let (mut turned, mut count) = (0usize, 0usize);
    for [x0, y0, x1, y1] in boxes.filter(|sides| *sides != [0.0; 4]) {
        count += 1;
        turned += usize::from(x1 < x0 || y1 < y0);
    }
    if turned < MANY_ROWS || 2 * turned <= count {
        return Ok(());
    }
    let expected = "corners x0, y0, x1, y1 (is this another format, or are its axes transposed?)";
    Err(slot.unusual(output, expected, format!("{turned} of {count} boxes that are turned over")))
}

/// Refuses boxes in pixels for a format in parts of the model's input.
pub(super) fn in_parts(slot: &Slot<'_>, output: usize, boxes: impl Iterator<Item = [f32; 4]>) -> Result<()> {
    let (mut beyond, mut count, mut largest) = (0usize, 0usize, 0.0f32);
    for sides in boxes {
        let most = sides.into_iter().map(f32::abs).fold(0.0, f32::max);
        count += 1;
        beyond += usize::from(most > MOST_PARTS);
        largest = largest.max(most);
    }
    // A proposal of nothing may lie anywhere.
    if 2 * beyond <= count || beyond == 0 {
        return Ok(());
    }
    let expected = "boxes in parts of the model's input, 0 to 1 (or a format whose boxes are in pixels)";
    Err(slot.unusual(output, expected, format!("{largest}")))
}

/// How many numbers a proposal of the graph has, along `axis` (1 or 2), beyond `before` and the mask coefficients;
/// `None` for a graph without proposals. For a starter manifest.
pub(super) fn numbers(signature: &Signature, axis: usize, before: usize) -> Option<usize> {
    let ports = &signature.outputs;
    let of_rank = |rank: usize| ports.iter().find(move |port| port.shape.len() == rank);
    let prototypes = if ports.len() == 2 { of_rank(4).and_then(|port| port.shape[1]) } else { None };
    let port = of_rank(3)?;
    let (numbers, proposals) = (port.shape[axis]?, port.shape[3 - axis]);
    // A number of proposals is larger than the numbers of one.
    if proposals.is_some_and(|n| n < numbers) {
        return None;
    }
    numbers.checked_sub(before + prototypes.unwrap_or(0))
}

/// Starter names for the kinds of such proposals.
pub(super) fn starter_kinds(signature: &Signature, axis: usize, before: usize) -> Option<Vec<Kind>> {
    numbered(numbers(signature, axis, before)?)
}

/// `kind0`, `kind1`, and so on; `None` for no kinds.
pub(super) fn numbered(kinds: usize) -> Option<Vec<Kind>> {
    (kinds > 0).then(|| (0..kinds).map(|i| Kind::new(format!("kind{i}"))).collect())
}

#[cfg(test)]
mod tests;
