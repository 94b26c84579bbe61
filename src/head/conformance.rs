//! What every [`Head`] must satisfy, whatever its graph returns. The library's own heads are checked with it, and yours
//! should be.
//!
//! ```
//! # use panelqc::conformance::{Case, check};
//! # use panelqc::{Context, Head, OutputConfig, Proposals, Result, Slot};
//! # use std::sync::Arc;
//! # #[derive(Debug)]
//! # struct MyHead;
//! # impl Head for MyHead {
//! #     fn outputs(&self) -> Vec<usize> { vec![0] }
//! #     fn propose(&self, _: &Context, slot: &Slot<'_>, _: &mut Proposals) -> Result<()> {
//! #         let numbers = slot.array(0, 2)?;
//! #         slot.finite(0, &numbers)
//! #     }
//! # }
//! // Two kinds, and one output of 9 rows of 6 numbers for a batch of two.
//! let output = OutputConfig::new(vec!["scratch".into(), "stain".into()]);
//! let case = Case::new(Arc::new(MyHead), output, vec![vec![2, 9, 6]]);
//! assert_eq!(check(&case), Ok(()));
//! ```

use std::fmt;
use std::sync::Arc;

use super::{Context, Decoded, Decoder, Head, OutputConfig, Proposals, Slot};
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::{Mask, Placement, Region, Size};
use crate::runtime::Outputs;
use crate::tensor::{Fit, Preprocess};

/// A head with outputs to run it on.
#[derive(Clone)]
pub struct Case {
    head: Arc<dyn Head>,
    output: OutputConfig,
    shapes: Vec<Vec<usize>>,
    whole: Vec<usize>,
    fixed: bool,
    mend: fn(&[Vec<usize>], &mut [Vec<f32>]),
    detection: Option<WriteDetection>,
}

/// Writes a detection: see [`Case::with_detection`].
pub type WriteDetection = fn(&Detection, &[Vec<usize>], &mut [Vec<f32>]) -> bool;

/// One detection that a graph may give, good or bad.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Detection {
    /// The number of its kind; most often a whole one that exists.
    pub kind: f32,
    /// Its confidence; most often in `0..=1`.
    pub confidence: f32,
    /// Left, top, right and bottom side of its box in pixels of the model's input, which has 32 x 24 of them; most
    /// often in this order and inside it.
    pub sides: [f32; 4],
}

impl Case {
    /// A head, the `[output]` table that it was made for, and the shapes of the graph's outputs for a batch of two
    /// views.
    pub fn new(head: Arc<dyn Head>, output: OutputConfig, shapes: Vec<Vec<usize>>) -> Self {
        Case { head, output, shapes, whole: Vec::new(), fixed: false, mend: |_, _| (), detection: None }
    }

    /// The same with outputs that hold whole numbers in the graph, which cannot be non-finite.
    #[must_use]
    pub fn with_whole_numbers(mut self, outputs: Vec<usize>) -> Self {
        self.whole = outputs;
        self
    }

    /// The same for outputs that only an input of 32 x 24 pixels has, not a smaller one.
    #[must_use]
    pub fn with_fixed_size(mut self) -> Self {
        self.fixed = true;
        self
    }

    /// The same with a function that is given shapes and numbers of all outputs and turns numbers that a graph never
    /// gives into ones that it may give, for example any number in the place of a kind.
    #[must_use]
    pub fn with_mended(mut self, mend: fn(&[Vec<usize>], &mut [Vec<f32>])) -> Self {
        self.mend = mend;
        self
    }

    /// The same with a function that writes one detection of the first view into outputs of these shapes, which are all
    /// zeros, so that nothing else is found; it says `false` of what the format cannot say. With it the head is checked
    /// against boxes without a place, kinds that do not exist, and confidences that are no probabilities. Default: that
    /// is not checked.
    #[must_use]
    pub fn with_detection(mut self, write: WriteDetection) -> Self {
        self.detection = Some(write);
        self
    }

    fn decoder(&self) -> Decoder {
        Decoder::new(Arc::clone(&self.head), Context::new(self.output.clone()))
    }

    fn outputs(&self, shapes: &[Vec<usize>], mut numbers: Vec<Vec<f32>>) -> Outputs {
        (self.mend)(shapes, &mut numbers);
        let names = (0..).map(name);
        Outputs::from_tensors(names.zip(shapes).zip(numbers).map(|((name, shape), data)| (name, shape.clone(), data)))
    }

    fn numbers(&self, shapes: &[Vec<usize>], mut next: impl FnMut() -> f32) -> Vec<Vec<f32>> {
        shapes.iter().map(|shape| (0..shape.iter().product()).map(|_| next()).collect()).collect()
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("head", &self.head).field("shapes", &self.shapes).finish_non_exhaustive()
    }
}

fn name(output: usize) -> String {
    format!("output{output}")
}

/// Numbers without order, the same at every run (xorshift, Marsaglia 2003).
struct Noise(u64);

impl Noise {
    fn seeded(seed: u64) -> Self {
        Noise(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }

    fn below(&mut self, end: u32) -> u32 {
        (self.next() * end as f32) as u32
    }

    /// Probabilities for most, some non-finite values, and some that are far off.
    fn wild(&mut self) -> f32 {
        match self.below(8) {
            0 => 0.0,
            1 => (self.next() - 0.5) * 2e6,
            2 => (self.next() - 0.5) * 4.0,
            3 => self.next() * 30.0,
            _ => self.next(),
        }
    }

    fn placement(&mut self, fixed: bool) -> Placement {
        let fit = [Fit::Letterbox, Fit::Stretch, Fit::Crop][self.below(3) as usize];
        let mut input = Preprocess::new(Size::new(32, 24));
        input.fit = fit;
        input.stride = (fit == Fit::Letterbox && self.below(2) == 0 && !fixed).then_some(8);
        input.placement(Size::new(1 + self.below(90), 1 + self.below(90)))
    }
}

/// Checks a head against all that it must satisfy.
///
/// # Errors
/// What it does not satisfy, with the input.
pub fn check(case: &Case) -> std::result::Result<(), String> {
    finite_outputs_give_defects_inside_the_frame(case)?;
    views_of_a_batch_are_kept_apart(case)?;
    several_views_give_defects_inside_the_frame(case)?;
    non_finite_values_name_their_output(case)?;
    another_shape_is_an_error(case)?;
    what_is_sure_is_never_lost(case)
}

fn finite_outputs_give_defects_inside_the_frame(case: &Case) -> std::result::Result<(), String> {
    let decoder = case.decoder();
    let mut used = Proposals::default();
    for seed in 1..=200 {
        let mut noise = Noise::seeded(seed);
        let placement = noise.placement(case.fixed);
        // Every other time probabilities alone, which have to be read.
        let wild = seed % 2 == 0;
        let numbers = case.numbers(&case.shapes, || if wild { noise.wild() } else { noise.next() });
        let outputs = case.outputs(&case.shapes, numbers);
        for index in 0..2 {
            let decoded = match decoder.decode(&outputs, index, &placement, &mut used) {
                Err(e) if wild && e.kind() == ErrorKind::Output => continue,
                decoded => decoded.map_err(|e| format!("finite outputs, seed {seed}: {e}"))?,
            };
            sound(&decoded, placement.frame()).map_err(|problem| format!("finite outputs, seed {seed}: {problem}"))?;
            told(case, &decoded).map_err(|problem| format!("finite outputs, seed {seed}: {problem}"))?;
            let fresh = decoder.decode(&outputs, index, &placement, &mut Proposals::default());
            if fresh.ok().as_ref() != Some(&decoded) {
                return Err(format!("seed {seed}: another result with memory that was used before"));
            }
        }
    }
    Ok(())
}

/// What is wrong with the defects of a frame, if anything.
fn sound(decoded: &Decoded, frame: Size) -> std::result::Result<(), String> {
    if !(0.0..=1.0).contains(&decoded.score) {
        return Err(format!("score {}, expected 0 to 1", decoded.score));
    }
    if decoded.defects.windows(2).any(|pair| pair[0].confidence < pair[1].confidence) {
        return Err("defects that are not ordered by confidence".to_owned());
    }
    for defect in &decoded.defects {
        let b = defect.bbox;
        if b.area() <= 0.0 || b != b.clip(frame) {
            return Err(format!("the box {b:?}, expected one inside {frame}"));
        }
        let wrong = |mask: &&Mask| (mask.size(), mask.area()) != (frame, defect.area_px);
        if let Some(mask) = defect.mask.as_ref().filter(wrong) {
            let found = format!("{} pixels of {}", mask.area(), mask.size());
            return Err(format!("a mask of {found}, expected {} of {frame}", defect.area_px));
        }
    }
    Ok(())
}

/// What is wrong with a frame on which the head is sure of a defect that it does not tell of, if so.
fn told(case: &Case, decoded: &Decoded) -> std::result::Result<(), String> {
    let floor = case.output.kinds.iter().map(|kind| case.output.confidence_of(kind)).fold(0.0, f32::max);
    if decoded.score >= floor && decoded.defects.is_empty() && decoded.lost.is_empty() {
        return Err(format!("a score of {}, but no defect and nothing that was lost", decoded.score));
    }
    Ok(())
}

fn views_of_a_batch_are_kept_apart(case: &Case) -> std::result::Result<(), String> {
    if case.head.single() {
        return Ok(());
    }
    let decoder = case.decoder();
    let mut noise = Noise(7);
    let placement = noise.placement(case.fixed);
    let one = case.numbers(&case.shapes, || noise.next());
    let mut two = one.clone();
    for (shape, numbers) in case.shapes.iter().zip(&mut two) {
        let size: usize = shape.iter().product();
        numbers[size / shape[0]..].iter_mut().for_each(|v| *v = 1.0 - *v);
    }
    let decode =
        |numbers| decoder.decode(&case.outputs(&case.shapes, numbers), 0, &placement, &mut Proposals::default());
    let problem = |e: Error| format!("probabilities: {e}");
    if decode(one).map_err(problem)? == decode(two).map_err(problem)? {
        Ok(())
    } else {
        Err("the first view of a batch changes with the second".to_owned())
    }
}

fn several_views_give_defects_inside_the_frame(case: &Case) -> std::result::Result<(), String> {
    let decoder = case.decoder();
    let input = Preprocess::new(Size::new(32, 24));
    let frame = Size::new(60, 40);
    let mut found = Proposals::default();
    for seed in 1..=50 {
        let mut noise = Noise::seeded(seed);
        decoder.begin(&mut found, frame);
        let mut views = || -> Result<Decoded> {
            for region in [Region::new(0, 0, Size::new(40, 40)), Region::new(20, 0, Size::new(40, 40))] {
                let outputs = case.outputs(&case.shapes, case.numbers(&case.shapes, || noise.wild()));
                let placement = input.placement_of(frame, region);
                decoder.propose(&Slot::new(&outputs, 0, &placement), &mut found)?;
            }
            decoder.assemble(&mut found)
        };
        let decoded = match views() {
            Err(e) if e.kind() == ErrorKind::Output => continue,
            decoded => decoded.map_err(|e| format!("two views, seed {seed}: {e}"))?,
        };
        told(case, &decoded).map_err(|problem| format!("two views, seed {seed}: {problem}"))?;
        sound(&decoded, frame).map_err(|problem| format!("two views, seed {seed}: {problem}"))?;
    }
    Ok(())
}

fn non_finite_values_name_their_output(case: &Case) -> std::result::Result<(), String> {
    let placement = Preprocess::new(Size::new(32, 24)).placement(Size::new(40, 40));
    for output in case.head.outputs().into_iter().filter(|output| !case.whole.contains(output)) {
        for bad in [f32::NAN, f32::INFINITY] {
            // All above the limits, so that nothing is passed over.
            let mut noise = Noise(11);
            let mut numbers = case.numbers(&case.shapes, || 0.4 + 0.5 * noise.next());
            (case.mend)(&case.shapes, &mut numbers);
            let size = numbers[output].len();
            let view = if case.head.single() { size } else { size / case.shapes[output][0] };
            numbers[output][view - 1] = bad;
            let named = (0..).map(name).zip(&case.shapes).zip(numbers);
            let outputs = Outputs::from_tensors(named.map(|((name, shape), data)| (name, shape.clone(), data)));
            match case.decoder().decode(&outputs, 0, &placement, &mut Proposals::default()) {
                Err(e) if e.kind() == ErrorKind::Output && e.name() == Some(&name(output)) => {}
                other => {
                    return Err(format!("{bad} in output {output}: expected an error with its name, found {other:?}"));
                }
            }
        }
    }
    Ok(())
}

fn another_shape_is_an_error(case: &Case) -> std::result::Result<(), String> {
    let placement = Preprocess::new(Size::new(32, 24)).placement(Size::new(40, 40));
    for output in case.head.outputs() {
        let mut wrong = case.shapes.clone();
        // A score may have one axis more.
        wrong[output].extend([1, 1]);
        let outputs = case.outputs(&wrong, case.numbers(&wrong, || 0.5));
        match case.decoder().decode(&outputs, 1, &placement, &mut Proposals::default()) {
            Err(e) if e.kind() == ErrorKind::Output => {}
            other => return Err(format!("output {output} of shape {:?}: found {other:?}", wrong[output])),
        }
    }
    Ok(())
}

fn what_is_sure_is_never_lost(case: &Case) -> std::result::Result<(), String> {
    let Some(write) = case.detection else { return Ok(()) };
    let mut input = Preprocess::new(Size::new(32, 24));
    input.fit = Fit::Stretch;
    let placement = input.placement(Size::new(64, 72));
    let plain = Detection { kind: 0.0, confidence: 0.875, sides: [8.0, 6.0, 16.0, 12.0] };
    let decode = |detection: &Detection| {
        let mut numbers = case.numbers(&case.shapes, || 0.0);
        write(detection, &case.shapes, &mut numbers).then(|| {
            let named = (0..).map(name).zip(&case.shapes).zip(numbers);
            let outputs = Outputs::from_tensors(named.map(|((name, shape), data)| (name, shape.clone(), data)));
            case.decoder().decode(&outputs, 0, &placement, &mut Proposals::default())
        })
    };
    match decode(&plain) {
        Some(Ok(decoded)) if decoded.defects.len() == 1 && decoded.lost.is_empty() => {}
        other => return Err(format!("{plain:?}: expected one defect, found {other:?}")),
    }
    let kinds = case.output.kinds.len() as f32;
    let sides = [
        [-20.0, 6.0, -10.0, 12.0],
        [40.0, 6.0, 50.0, 12.0],
        [8.0, -20.0, 16.0, -10.0],
        [8.0, 30.0, 16.0, 40.0],
        [8.0, 6.0, 8.0, 12.0],
        [8.0, 6.0, 16.0, 6.0],
        [8.0, 6.0, 8.0, 6.0],
        [16.0, 6.0, 8.0, 12.0],
        [8.0, 12.0, 16.0, 6.0],
        [16.0, 12.0, 8.0, 6.0],
        [1e30, 1e30, 2e30, 2e30],
        [-3e38, -3e38, 3e38, 3e38],
        [f32::MAX; 4],
        [f32::NAN, 6.0, 16.0, 12.0],
        [8.0, 6.0, f32::INFINITY, 12.0],
        [f32::NEG_INFINITY, 6.0, 16.0, 12.0],
    ];
    let placeless = sides.into_iter().map(|sides| Detection { sides, ..plain });
    let nameless = [-1.0, kinds, kinds + 90.0, 1e9, 0.5].into_iter().map(|kind| Detection { kind, ..plain });
    for detection in placeless.chain(nameless) {
        match decode(&detection) {
            None => {}
            Some(Err(e)) if e.kind() == ErrorKind::Output => {}
            Some(Ok(decoded)) if !(decoded.defects.is_empty() && decoded.lost.is_empty()) => {
                sound(&decoded, placement.frame()).map_err(|problem| format!("{detection:?}: {problem}"))?;
            }
            Some(other) => return Err(format!("{detection:?}: expected to be told of it, found {other:?}")),
        }
    }
    for confidence in [90.0, 2.2, 1.1, -3.0] {
        let detection = Detection { confidence, ..plain };
        match decode(&detection) {
            None => {}
            Some(Err(e)) if e.kind() == ErrorKind::Output && e.name().is_some() => {}
            Some(other) => return Err(format!("{detection:?}: expected an error with the output, found {other:?}")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
