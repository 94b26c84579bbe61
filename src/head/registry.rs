use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::config::{OutputConfig, Task};
use super::format::FORMATS;
use super::search::Search;
use super::{Head, Mismatch};
use crate::defect::Kind;
use crate::runtime::{Signature, list};

/// The name of a format: how the outputs of a graph are laid out. Each format is described in the file of its head and
/// in `docs/FORMATS.md`; its name is a constant here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Format(Cow<'static, str>);

impl Format {
    /// Detected from the graph's metadata, or from the names, ranks and shapes of its outputs; an error where they fit
    /// several formats or none. The default.
    pub const AUTO: Format = Format::named("auto");

    /// The format of this name.
    pub const fn named(name: &'static str) -> Self {
        Format(Cow::Borrowed(name))
    }

    /// Its name, as a manifest has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Format {
    fn default() -> Self {
        Format::AUTO
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<&str> for Format {
    fn from(name: &str) -> Self {
        Format(Cow::Owned(name.to_owned()))
    }
}

impl From<String> for Format {
    fn from(name: String) -> Self {
        Format(Cow::Owned(name))
    }
}

/// A format that a manifest can name: for which tasks, and how its [`Head`] is made for a graph. The library's own are
/// listed in one place; a program adds its own with [`ModelOptions::with_format`](crate::ModelOptions::with_format).
#[derive(Clone)]
pub struct HeadFormat {
    pub(super) format: Format,
    pub(super) tasks: &'static [Task],
    pub(super) guessed: bool,
    pub(super) find: fn(&Search<'_>) -> Result<Arc<dyn Head>, Mismatch>,
    pub(super) kinds: fn(&Signature) -> Option<Vec<Kind>>,
}

impl HeadFormat {
    /// A format for these tasks. `find` looks for its outputs among those of a graph and makes the head, or says what
    /// it expected. `format = "auto"` does not choose it, unless [`guessed`](Self::guessed) says so.
    pub const fn new(
        name: &'static str,
        tasks: &'static [Task],
        find: fn(&Search<'_>) -> Result<Arc<dyn Head>, Mismatch>,
    ) -> Self {
        HeadFormat { format: Format::named(name), tasks, guessed: false, find, kinds: |_| None }
    }

    /// The same, and `format = "auto"` chooses it where no other format fits. Shapes that another format could have too
    /// must not be guessed.
    #[must_use]
    pub const fn guessed(mut self) -> Self {
        self.guessed = true;
        self
    }

    /// The same with starter names for as many kinds as the outputs have, for a starter manifest.
    pub(super) const fn with_kinds(mut self, kinds: fn(&Signature) -> Option<Vec<Kind>>) -> Self {
        self.kinds = kinds;
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.format.as_str()
    }
}

impl fmt::Debug for HeadFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadFormat").field("name", &self.format).field("tasks", &self.tasks).finish_non_exhaustive()
    }
}

/// The formats of the library for a task.
pub(crate) fn formats(task: Task) -> impl Iterator<Item = &'static HeadFormat> {
    FORMATS.iter().filter(move |format| format.tasks.contains(&task))
}

/// The names of formats as one text.
pub(crate) fn names<'f>(formats: impl IntoIterator<Item = &'f HeadFormat>) -> String {
    formats.into_iter().map(HeadFormat::name).collect::<Vec<_>>().join(", ")
}

/// Starter names for the kinds of a graph whose outputs have this format.
pub(crate) fn starter_kinds(format: &HeadFormat, signature: &Signature) -> Option<Vec<Kind>> {
    (format.kinds)(signature)
}

/// The formats for a task whose outputs a graph has by names and shapes, guessed or not, as one text.
pub(crate) fn fitting(task: Task, output: &OutputConfig, signature: &Signature, own: &[HeadFormat]) -> String {
    let known = FORMATS.iter().chain(own).filter(|format| format.tasks.contains(&task));
    names(known.filter(|format| (format.find)(&Search::new(task, output, signature, false)).is_ok()))
}

/// The head for a graph: that of the format which the manifest names, or the only one that fits. `own` are formats of
/// the program.
pub(crate) fn find(
    task: Task,
    output: &OutputConfig,
    signature: &Signature,
    own: &[HeadFormat],
) -> Result<Arc<dyn Head>, Mismatch> {
    let all = FORMATS.iter().chain(own);
    let known: Vec<&HeadFormat> = all.filter(|format| format.tasks.contains(&task)).collect();
    let search = |guessing| Search::new(task, output, signature, guessing);
    let all = || names(known.iter().copied());
    if output.format != Format::AUTO {
        // A program's own format may take the place of one of the library.
        let Some(format) = known.iter().rev().find(|format| format.format == output.format) else {
            let expected = format!("a format for task {} ({})", task.name(), all());
            return Err(Mismatch::new(expected, format!("`{}`", output.format)));
        };
        return (format.find)(&search(false)).map_err(|mismatch| without_tensors(signature).unwrap_or(mismatch));
    }
    let fits = |format: &&&HeadFormat| format.guessed && (format.find)(&search(true)).is_ok();
    let found: Vec<&HeadFormat> = known.iter().filter(fits).copied().collect();
    match found[..] {
        // Once it is chosen, it says itself what it lacks.
        [only] => (only.find)(&search(false)),
        [] => {
            // What the only format misses says more than its name.
            let mut guessed = known.iter().filter(|format| format.guessed);
            if let (Some(only), None) = (guessed.next(), guessed.next()) {
                let named = |mismatch| without_tensors(signature).unwrap_or(mismatch);
                return (only.find)(&search(true)).map_err(named);
            }
            let expected = format!("outputs of one of the formats {} with {} kinds", all(), output.kinds.len());
            let unknown = || Mismatch::new(expected, list(&signature.outputs));
            Err(without_tensors(signature).unwrap_or_else(unknown))
        }
        _ => Err(Mismatch::new(
            "[output] format, since the outputs do not tell it",
            format!("{}, which fit {}", list(&signature.outputs), names(found)),
        )),
    }
}

/// What is wrong with a graph that has an output that no format can read, since it is no tensor of numbers.
fn without_tensors(signature: &Signature) -> Option<Mismatch> {
    let port = signature.outputs.iter().find(|port| !port.is_tensor() || port.element == "String")?;
    let how = match port.element.contains("Map<") {
        true => {
            ", which the operator `ZipMap` makes: export without it (skl2onnx: `options={\"zipmap\": False}`), or cut \
             the graph off before it (`onnx.utils.extract_model`)"
        }
        false => ": export the numbers alone",
    };
    Some(Mismatch::new("outputs that are tensors of numbers", format!("{port}{how}")))
}

#[cfg(test)]
mod tests;
