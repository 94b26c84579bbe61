use std::path::Path;
use std::sync::Arc;

use super::files::{graph_sha256, read};
use super::manifest::Manifest;
use super::trial::Trial;
use super::ultralytics;
use crate::error::{Error, Result};
use crate::geometry::Size;
use crate::head::{self, Activation, Format, Head, OutputConfig, Task};
use crate::runtime::{Graph, GraphOptions, InputForm, Mismatch, Signature, list};
use crate::tensor::{Channels, Fit, Preprocess};

impl Manifest {
    /// A starter manifest for the graph at `path`, from its metadata or else from the names and shapes of its inputs
    /// and outputs, and from what it gives for a test picture: where its scores are no probabilities, `activation`
    /// makes them ones. Where those fit several tasks or formats, `task` and `format` decide. What a graph does not say
    /// (names of kinds, scale, mean, how scores become probabilities) is a guess, for a person to check.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) for a file that is not a graph, and for a graph that fits several
    /// formats (they are listed) or none; [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) when there is no usable
    /// ONNX Runtime.
    pub fn propose(path: impl AsRef<Path>, task: Option<Task>, format: Option<Format>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = read(path)?;
        let sha256 = graph_sha256(&bytes, path)?;
        let graph = Graph::open(bytes, path, &sha256, &GraphOptions::default())?;
        let signature = graph.signature();
        let fit = |m: Mismatch| Error::model(path, m.expected, m.found);
        let stated = graph.metadata(|get| ultralytics::manifest(path, signature, get))?.map_err(fit)?;
        let mut manifest = match stated.filter(|_| task.is_none() && format.is_none()) {
            Some(stated) => stated,
            None => from_shapes(path, signature, task, format).map_err(fit)?,
        };
        let form = graph.input(&manifest.input).map_err(fit)?;
        let head = head::find(manifest.task, &manifest.output, signature, &[]).map_err(fit)?;
        manifest.output.activation = activation(&graph, &form, &head, &manifest);
        manifest.sha256 = Some(sha256);
        Ok(manifest)
    }
}

/// How the graph's scores become probabilities: not at all, where they are some; `none` also where nothing makes them
/// ones, so that loading the model says what is wrong.
fn activation(graph: &Graph, form: &InputForm, head: &Arc<dyn Head>, manifest: &Manifest) -> Activation {
    let together = matches!(manifest.task, Task::Classify | Task::Segment) && manifest.output.kinds.len() > 1;
    let most = if together { Activation::Softmax } else { Activation::Sigmoid };
    let fits = |activation: &Activation| {
        let mut manifest = manifest.clone();
        manifest.output.activation = *activation;
        Trial { graph, form, head, manifest: &manifest, folder: None }.run(&[]).is_ok()
    };
    [Activation::None, most].into_iter().find(fits).unwrap_or_default()
}

fn from_shapes(
    path: &Path,
    signature: &Signature,
    task: Option<Task>,
    format: Option<Format>,
) -> Result<Manifest, Mismatch> {
    let input = input(signature)?;
    let mut fitting: Vec<Manifest> = Vec::new();
    for candidate in Task::ALL.iter().copied().filter(|t| task.is_none_or(|task| task == *t)) {
        let asked = |name: &str| format.as_ref().is_none_or(|format| format.as_str() == name);
        for known in head::formats(candidate).filter(|known| asked(known.name())) {
            let Some(kinds) = head::starter_kinds(known, signature) else { continue };
            let good = kinds.iter().filter(|kind| kind.as_str() == "background").cloned().collect();
            let output = OutputConfig { format: Format::named(known.name()), good, ..OutputConfig::new(kinds) };
            if head::find(candidate, &output, signature, &[]).is_ok() {
                fitting.push(Manifest::derived(path, candidate, input.clone(), output));
            }
        }
    }
    if fitting.len() > 1 {
        let candidates: Vec<String> =
            fitting.iter().map(|m| format!("task {} with format {}", m.task.name(), m.output.format)).collect();
        return Err(Mismatch::new(
            "one task and format that fit (say which)",
            format!("{}, which fit {}", list(&signature.outputs), candidates.join("; ")),
        ));
    }
    fitting.pop().ok_or_else(|| {
        let known = Task::ALL.iter().copied().flat_map(head::formats);
        Mismatch::new(format!("outputs of one of the formats {}", head::names(known)), list(&signature.outputs))
    })
}

/// The `[input]` table: size and channels from the shape, 640 pixels where it is dynamic.
fn input(signature: &Signature) -> Result<Preprocess, Mismatch> {
    let bad = || Mismatch::new("one input of an image", list(&signature.inputs));
    let port = signature.image().ok_or_else(bad)?;
    let shape = match port.shape.len() {
        4 => &port.shape[1..],
        3 => &port.shape[..],
        _ => return Err(bad()),
    };
    let few = |side: Option<usize>| side.is_some_and(|n| matches!(n, 1 | 2 | 3 | 6));
    let (channels, height, width) = match *shape {
        [c, h, w] if few(c) => (c, h, w),
        [h, w, c] if few(c) => (c, h, w),
        _ => return Err(bad()),
    };
    let side = |side: Option<usize>| u32::try_from(side.unwrap_or(640)).unwrap_or(640);
    let mut input = Preprocess::new(Size::new(side(width), side(height)));
    (input.channels, input.reference) = match channels {
        Some(1) => (Channels::Gray, false),
        Some(2) => (Channels::Gray, true),
        Some(6) => (Channels::Rgb, true),
        _ => (Channels::Rgb, false),
    };
    input.fit = Fit::Stretch;
    if port.element == "u8" {
        input.scale = 1.0;
    }
    Ok(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Port;

    #[test]
    fn kinds_of_a_set_of_proposals_are_counted_by_name() {
        let port = |name: &str, last: usize| Port {
            name: name.to_owned(),
            element: "f32".to_owned(),
            shape: vec![Some(1), Some(20), Some(last)],
        };
        let count = |outputs: Vec<Port>| {
            let input = Port { shape: [1, 3, 64, 64].map(Some).to_vec(), ..port("input", 0) };
            let signature = Signature { inputs: vec![input], outputs };
            let proposed = from_shapes(Path::new("m.onnx"), &signature, None, None);
            proposed.map(|manifest| (manifest.output.format, manifest.output.kinds.len()))
        };
        assert_eq!(count(vec![port("dets", 4), port("labels", 4)]), Ok((Format::DETR, 3)));
        assert_eq!(count(vec![port("logits", 4), port("pred_boxes", 4)]), Ok((Format::DETR, 4)));
        let candidates = count(vec![port("a", 7), port("b", 4)]).unwrap_err().found;
        assert!(candidates.contains("yolo-v5; task detect with format detr"), "{candidates}");
    }
}
