use std::fmt;

use crate::defect::Kind;

/// Why a detection that the model is sure of is no defect of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// Its box lies outside the frame: beyond its sides, or in the padding of the model's input.
    Outside,
    /// Its box has no width or no height.
    Flat,
    /// Its box is turned over: its right side lies left of its left one, or its bottom above its top.
    TurnedOver,
    /// Its box is not finite, or is not once it is computed.
    NotFinite,
    /// Its mask has no pixel.
    NoMask,
    /// Its kind has a number that the manifest's kinds do not have.
    UnknownKind,
    /// `max_defects` more confident ones are there.
    TooMany,
    /// The head was given it and made no defect of the frame at all.
    Unreported,
}

impl Loss {
    /// All of them, in the order of their declaration.
    const ALL: [Loss; 8] = [
        Loss::Outside,
        Loss::Flat,
        Loss::TurnedOver,
        Loss::NotFinite,
        Loss::NoMask,
        Loss::UnknownKind,
        Loss::TooMany,
        Loss::Unreported,
    ];
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Loss::Outside => "its box lies outside the frame",
            Loss::Flat => "its box has no width or no height",
            Loss::TurnedOver => "its box is turned over",
            Loss::NotFinite => "its box is not finite",
            Loss::NoMask => "its mask has no pixel",
            Loss::UnknownKind => "the manifest has no such kind",
            Loss::TooMany => "there are more than max_defects",
            Loss::Unreported => "no defect was made of it",
        })
    }
}

/// Detections on a frame that a verdict could depend on and that could not become defects: the panel is for review. Its
/// text is the reason:
///
/// ```
/// use panelqc::{Loss, Lost};
///
/// let lost = Lost::new(Loss::Outside, "scratch", 0.95).with_more(2);
/// assert_eq!(lost.to_string(), "detection lost: scratch 0.95, its box lies outside the frame (and 2 more)");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Lost {
    /// Why.
    pub why: Loss,
    /// What the most confident of them is: the name of its kind, or `kind number 7` where there is no such kind.
    pub kind: String,
    /// Its confidence, in `0..=1`.
    pub confidence: f32,
    /// How many others were lost for the same reason.
    pub more: usize,
}

impl Lost {
    /// One detection of this kind and confidence (`0..=1`).
    pub fn new(why: Loss, kind: impl Into<String>, confidence: f32) -> Self {
        Lost { why, kind: kind.into(), confidence, more: 0 }
    }

    /// The same with others that are no more confident. Default: 0.
    #[must_use]
    pub fn with_more(mut self, more: usize) -> Self {
        self.more = more;
        self
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "detection lost: {} {:.2}, {}", self.kind, self.confidence, self.why)?;
        match self.more {
            0 => Ok(()),
            more => write!(f, " (and {more} more)"),
        }
    }
}

/// What is known of a frame besides its candidates.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Notes {
    /// The highest confidence of any defect, reported or not.
    pub(super) score: f32,
    pub(super) lost: Losses,
}

impl Notes {
    /// Takes note of the confidence of a defect, reported or not.
    pub(super) fn notice(&mut self, confidence: f32) {
        self.score = self.score.max(confidence);
    }
}

/// What a frame lost so far, in fixed memory: a graph can lose thousands.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Losses([Tally; Loss::ALL.len()]);

/// The detections that were lost for one reason.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    count: usize,
    /// Of the most confident one.
    confidence: f32,
    number: f32,
}

impl Losses {
    /// Adds a detection whose kind has this number.
    pub(super) fn add(&mut self, why: Loss, number: f32, confidence: f32) {
        let tally = &mut self.0[why as usize];
        if tally.count == 0 || confidence > tally.confidence {
            (tally.confidence, tally.number) = (confidence, number);
        }
        tally.count += 1;
    }

    /// What was lost; nothing is allocated where that is nothing.
    pub(super) fn told(&self, kinds: &[Kind]) -> Vec<Lost> {
        let some = Loss::ALL.into_iter().zip(&self.0).filter(|(_, tally)| tally.count > 0);
        let told = some.map(|(why, tally)| {
            let known = (tally.number >= 0.0).then(|| kinds.get(tally.number as usize)).flatten();
            let kind = known.map_or_else(|| format!("kind number {}", tally.number), ToString::to_string);
            Lost::new(why, kind, tally.confidence.clamp(0.0, 1.0)).with_more(tally.count - 1)
        });
        told.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_confident_of_each_reason_is_told() {
        let mut losses = Losses::default();
        let kinds = ["a".into(), "b".into()];
        assert_eq!(losses.told(&kinds), []);
        losses.add(Loss::Flat, 0.0, 0.5);
        losses.add(Loss::UnknownKind, -1.0, 0.75);
        losses.add(Loss::Flat, 1.0, 0.875);
        losses.add(Loss::Flat, 0.0, 0.875);
        let told: Vec<String> = losses.told(&kinds).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "detection lost: b 0.88, its box has no width or no height (and 2 more)",
                "detection lost: kind number -1 0.75, the manifest has no such kind",
            ]
        );
        assert!(Loss::ALL.iter().enumerate().all(|(place, &why)| why as usize == place));
    }
}
