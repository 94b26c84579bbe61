use super::manifest::{Format, Manifest, Task};
use super::signature::{Port, Signature, list};

/// Which outputs of a graph hold what, settled when the model is loaded. Numbers are places among the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Scores `[B, K]`, and a class-activation map `[B, K or 1, h, w]`.
    Scores { scores: usize, cam: Option<usize> },
    /// Probabilities `[B, K, h, w]` and distances `[B, 4, h, w]`.
    Grid { scores: usize, boxes: usize },
}

/// What was expected of the graph and what it has.
pub(super) type Mismatch = (String, String);

impl Layout {
    /// Finds the outputs that the manifest speaks of.
    pub(super) fn find(manifest: &Manifest, signature: &Signature) -> Result<Self, Mismatch> {
        let outputs = Outputs { ports: &signature.outputs, kinds: manifest.output.kinds.len() };
        let format = match (manifest.output.format, manifest.task) {
            (Format::Auto, Task::Classify) => Format::Scores,
            (Format::Auto, Task::Detect) => Format::Grid,
            (format, _) => format,
        };
        if (format == Format::Scores) != (manifest.task == Task::Classify) {
            return Err(("a format that fits the task".to_owned(), format!("{format:?} for {:?}", manifest.task)));
        }
        match format {
            Format::Auto | Format::Scores => outputs.scores(manifest),
            Format::Grid => outputs.grid(manifest),
        }
    }

    /// Indices of the outputs that are read.
    pub(super) fn used(self) -> impl Iterator<Item = usize> {
        let (first, second) = match self {
            Layout::Scores { scores, cam } => (scores, cam),
            Layout::Grid { scores, boxes } => (scores, Some(boxes)),
        };
        std::iter::once(first).chain(second)
    }
}

struct Outputs<'a> {
    ports: &'a [Port],
    kinds: usize,
}

impl Outputs<'_> {
    fn named(&self, name: &str, shape: &[Option<usize>]) -> Result<usize, Mismatch> {
        let wanted = Port { name: name.to_owned(), element: "f32".to_owned(), shape: shape.to_vec() };
        let mismatch = || (format!("an output {wanted}"), list(self.ports));
        let index = self.ports.iter().position(|p| p.name == name).ok_or_else(mismatch)?;
        let port = &self.ports[index];
        if port.element == "f32" && port.fits(shape) { Ok(index) } else { Err(mismatch()) }
    }

    fn scores(&self, manifest: &Manifest) -> Result<Layout, Mismatch> {
        let shape = [None, Some(self.kinds)];
        let cam = match &manifest.output.cam {
            None => None,
            Some(name) => Some(
                self.named(name, &[None, Some(1), None, None])
                    .or_else(|_| self.named(name, &[None, Some(self.kinds), None, None]))?,
            ),
        };
        let scores = match &manifest.output.scores {
            Some(name) => self.named(name, &shape)?,
            None => {
                let fitting: Vec<usize> = (0..self.ports.len())
                    .filter(|&i| self.ports[i].element == "f32" && self.ports[i].fits(&shape))
                    .collect();
                match fitting[..] {
                    [only] => only,
                    _ => {
                        return Err((
                            format!("one output f32[?, {}] with scores (or its name as [output] scores)", self.kinds),
                            list(self.ports),
                        ));
                    }
                }
            }
        };
        Ok(Layout::Scores { scores, cam })
    }

    fn grid(&self, manifest: &Manifest) -> Result<Layout, Mismatch> {
        let name = |given: &Option<String>, default: &str| given.clone().unwrap_or_else(|| default.to_owned());
        let scores = self.named(&name(&manifest.output.scores, "scores"), &[None, Some(self.kinds), None, None])?;
        let boxes = self.named(&name(&manifest.output.boxes, "boxes"), &[None, Some(4), None, None])?;
        let cells = |i: usize| &self.ports[i].shape[2..];
        if !self.ports[boxes].fits(&[&[None, None], cells(scores)].concat()) {
            return Err((
                "scores and boxes on the same grid".to_owned(),
                format!("{} and {}", self.ports[scores], self.ports[boxes]),
            ));
        }
        Ok(Layout::Grid { scores, boxes })
    }
}
