use super::lost::{Lost, Notes};
use super::maps::Maps;
use super::surface::SurfaceScratch;
use crate::defect::Kind;
use crate::geometry::{PixelBox, Placement, Size};

/// A defect that a view proposes, before suppression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// How sure the model is, in `0..=1`.
    pub confidence: f32,
    /// Place of its kind among the manifest's kinds.
    pub kind: usize,
    /// Its box, in pixels of the view's model input; in pixels of the frame where it [is placed](Self::placed).
    pub bbox: PixelBox,
    /// How far the box is turned about its centre, in radians from x towards y; `None` for an upright box.
    pub(super) angle: Option<f32>,
    /// The last tie-breaker: the place in the graph's output.
    pub(super) rank: usize,
    /// Its row among the proposals of its view, for formats that have rows.
    pub(super) row: usize,
    /// Which view of the frame it is from.
    pub(super) view: usize,
    /// Whether `bbox` is in frame pixels.
    pub(super) in_frame: bool,
    /// Its part of a mask among the frame's [`Maps`].
    pub(super) part: Option<usize>,
}

impl Candidate {
    /// A candidate whose box is in pixels of the view's model input.
    pub fn new(kind: usize, confidence: f32, bbox: PixelBox) -> Self {
        Candidate { confidence, kind, bbox, angle: None, rank: 0, row: 0, view: 0, in_frame: false, part: None }
    }

    /// The same with its place in the graph's output, which orders candidates of equal confidence. Default 0.
    #[must_use]
    pub fn with_rank(mut self, rank: usize) -> Self {
        self.rank = rank;
        self
    }

    /// The same turned about its centre, by an angle in radians from x towards y.
    #[must_use]
    pub fn turned(mut self, angle: f32) -> Self {
        self.angle = Some(angle);
        self
    }

    /// The same with a box that is in pixels of the frame.
    #[must_use]
    pub fn placed(mut self) -> Self {
        self.in_frame = true;
        self
    }
}

/// What the views of one frame gave so far: candidates, maps, and the highest confidence of any defect. The memory is
/// reused from frame to frame; one for each frame under way.
#[derive(Debug, Default)]
pub struct Proposals {
    frame: Size,
    pub(super) views: Vec<Placement>,
    pub(super) notes: Notes,
    pub(super) candidates: Vec<Candidate>,
    pub(super) maps: Maps,
    pub(super) scratch: HeadScratch,
}

/// Memory that heads use again. What is in it between two views does not matter.
#[derive(Debug, Default)]
pub(super) struct HeadScratch {
    /// The highest confidence of each proposal, and its kind.
    pub(super) best: Vec<f32>,
    pub(super) kinds: Vec<u32>,
    /// The highest of each block of numbers.
    pub(super) peaks: Vec<f32>,
    /// The candidates of one view.
    pub(super) own: Vec<Candidate>,
    /// Place, kind, confidence.
    pub(super) ranked: Vec<(usize, usize, f32)>,
    pub(super) numbers: Vec<f32>,
    pub(super) enlarged: Vec<f32>,
    /// The cell of each column of a view.
    pub(super) columns: Vec<usize>,
    /// Which kinds there are.
    pub(super) seen: Vec<bool>,
    /// For each pixel, the kind that is highest.
    pub(super) winners: Vec<u16>,
    pub(super) surface: SurfaceScratch,
}

impl Proposals {
    /// Begins a frame of this size: what was there of another one is gone.
    pub fn begin(&mut self, frame: Size) {
        self.frame = frame;
        self.views.clear();
        self.notes = Notes::default();
        self.candidates.clear();
        self.maps.clear();
    }

    /// Begins a view.
    pub(super) fn view(&mut self, placement: Placement) {
        self.views.push(placement);
    }

    /// Size of the frame.
    pub fn frame(&self) -> Size {
        self.frame
    }

    /// How each view so far lies in the frame.
    pub fn views(&self) -> &[Placement] {
        &self.views
    }

    /// Adds a candidate of the view that is read, which is known to have its place in the frame.
    pub(super) fn push(&mut self, candidate: Candidate) {
        let view = self.views.len().saturating_sub(1);
        self.candidates.push(Candidate { view, ..candidate });
    }

    /// The candidates so far.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Takes note of the confidence of a defect, reported or not.
    pub fn notice(&mut self, confidence: f32) {
        self.notes.notice(confidence);
    }

    /// The highest confidence noticed, 0 without any.
    pub fn score(&self) -> f32 {
        self.notes.score
    }

    /// What was lost so far, of a model with these kinds.
    pub(super) fn lost(&self, kinds: &[Kind]) -> Vec<Lost> {
        self.notes.lost.told(kinds)
    }

    /// Puts the candidates of several views on the frame's pixels, where they can be compared. Those of a single view
    /// stay in the pixels of the model, in which its exporter compares them.
    pub(super) fn merge(&mut self) {
        if self.views.len() < 2 {
            return;
        }
        for candidate in self.candidates.iter_mut().filter(|candidate| !candidate.in_frame) {
            let Some(view) = self.views.get(candidate.view) else { continue };
            let b = candidate.bbox;
            let (x0, y0) = view.to_frame(f64::from(b.x0), f64::from(b.y0));
            let (x1, y1) = view.to_frame(f64::from(b.x1), f64::from(b.y1));
            candidate.bbox = PixelBox::new(x0 as f32, y0 as f32, x1 as f32, y1 as f32);
            candidate.in_frame = true;
        }
    }
}
