use super::config::{OutputConfig, Task};
use crate::geometry::Size;
use crate::runtime::{Mismatch, Port, Signature, list};

/// Looks for the outputs of a format among those of a graph, by the names that the manifest gives or else by element
/// type and shape. What fits several outputs is not guessed.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    task: Task,
    output: &'a OutputConfig,
    signature: &'a Signature,
    ports: &'a [Port],
    guessing: bool,
}

/// Element types that hold real numbers, and whole ones.
const REAL: [&str; 2] = ["f32", "f16"];
const WHOLE: [&str; 7] = ["i64", "i32", "u8", "i8", "u16", "i16", "bool"];

impl<'a> Search<'a> {
    pub(super) fn new(task: Task, output: &'a OutputConfig, signature: &'a Signature, guessing: bool) -> Self {
        Search { task, output, signature, ports: &signature.outputs, guessing }
    }

    /// The manifest's task.
    pub fn task(&self) -> Task {
        self.task
    }

    /// The manifest's `[output]` table.
    pub fn output(&self) -> &'a OutputConfig {
        self.output
    }

    /// Number of the manifest's kinds.
    pub fn kinds(&self) -> usize {
        self.output.kinds.len()
    }

    /// The graph's outputs.
    pub fn ports(&self) -> &'a [Port] {
        self.ports
    }

    /// Size of the graph's input of an image, where it is fixed.
    pub(super) fn input_size(&self) -> Option<Size> {
        let shape = &self.signature.image()?.shape;
        let sides = shape[shape.len() - 3..].iter().map(|&side| u32::try_from(side?).ok());
        let [first, middle, last] = sides.collect::<Vec<_>>()[..] else { return None };
        // Channels are few, in front or behind.
        let behind = last.is_some_and(|side| side <= 6) && first.is_none_or(|side| side > 6);
        let (height, width) = if behind { (first?, middle?) } else { (middle?, last?) };
        Some(Size::new(width, height))
    }

    /// The name of the only output that has this in its name.
    pub(super) fn named(&self, part: &str) -> Option<&'a str> {
        let mut names = self.ports.iter().map(|port| &*port.name).filter(|name| name.contains(part));
        names.next().filter(|_| names.next().is_none())
    }

    /// Whether the format is to be detected from the shapes, which a dynamic dimension does not allow.
    pub fn guessing(&self) -> bool {
        self.guessing
    }

    /// The output of a given name, or the only one, that holds real numbers and has this shape, where `None` stands for
    /// any size; `what` it is, for the message.
    pub fn shaped(&self, given: Option<&str>, what: &str, shape: &[Option<usize>]) -> Result<usize, Mismatch> {
        let text: Vec<String> = shape.iter().map(|d| d.map_or_else(|| "?".to_owned(), |d| d.to_string())).collect();
        self.one(given, &format!("{what} f32[{}]", text.join(", ")), |port| port.fits(shape) && real(port))
    }

    /// The output of a given name, or the only one, that `fits`.
    pub fn one(&self, given: Option<&str>, what: &str, fits: impl Fn(&Port) -> bool) -> Result<usize, Mismatch> {
        let fitting: Vec<usize> = match given {
            Some(name) => {
                (0..self.ports.len()).filter(|&i| self.ports[i].name == name && fits(&self.ports[i])).collect()
            }
            None => (0..self.ports.len()).filter(|&i| fits(&self.ports[i])).collect(),
        };
        let error = |expected: String| Err(Mismatch::new(expected, list(self.ports)));
        match (&fitting[..], given) {
            (&[only], _) => Ok(only),
            (_, Some(name)) => error(format!("an output `{name}` with {what}")),
            ([], None) => error(format!("an output with {what}")),
            (_, None) => error(format!("one output with {what}, or its name in the [output] table")),
        }
    }

    /// The first of the names that an output has.
    pub fn called<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        names.iter().copied().find(|name| self.ports.iter().any(|port| port.name == *name))
    }

    /// The prototypes `[B, M, h, w]` of masks and their number `M`, for a task that has masks.
    pub(super) fn prototypes(&self) -> Result<Option<(usize, usize)>, Mismatch> {
        if self.task != Task::Instance {
            return Ok(None);
        }
        let index = self.one(None, "prototypes f32[?, M, ?, ?]", |port| port.shape.len() == 4 && real(port))?;
        let count = self.ports[index].shape[1]
            .ok_or_else(|| Mismatch::new("prototypes of a number that is fixed", self.ports[index].to_string()))?;
        Ok(Some((index, count)))
    }

    /// An output of rank 3 with `numbers` per proposal along `axis`.
    pub(super) fn proposals(&self, axis: usize, numbers: usize) -> Result<usize, Mismatch> {
        let mut shape = [None; 3];
        shape[axis] = Some(numbers);
        let rows = self.shaped(self.output.boxes.as_deref(), "proposals", &shape)?;
        if self.guessing && self.ports[rows].shape[axis].is_none() {
            return Err(Mismatch::new("a fixed number of values per proposal", self.ports[rows].to_string()));
        }
        Ok(rows)
    }
}

/// Whether an output holds whole numbers.
pub(super) fn whole(port: &Port) -> bool {
    WHOLE.contains(&&*port.element)
}

/// Whether an output holds real numbers.
pub(super) fn real(port: &Port) -> bool {
    REAL.contains(&&*port.element)
}
