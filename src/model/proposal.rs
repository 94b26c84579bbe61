use std::path::Path;

use super::form::InputForm;
use super::layout::{Layout, formats, name, names};
use super::manifest::{Format, Manifest, OutputConfig, Task};
use super::options::ModelOptions;
use super::package::{graph_sha256, read, signature};
use super::pool::Optimise;
use super::signature::{Port, Signature, list};
use super::{pool, ultralytics};
use crate::defect::Kind;
use crate::error::{Error, Result};
use crate::geometry::Size;
use crate::tensor::{Channels, Fit, Preprocess};

const TASKS: [Task; 5] = [Task::Detect, Task::Instance, Task::Segment, Task::Classify, Task::Anomaly];

impl Manifest {
    /// A manifest to begin with for the graph at `path`, from its metadata or else from the names and shapes of its
    /// inputs and outputs. Where those fit several tasks or formats, `task` and `format` decide. What a graph does not
    /// say (names of kinds, scale, mean, how scores become probabilities) is a guess, for a person to check.
    ///
    /// # Errors
    /// [`Error::Model`] for a file that is no graph, and for a graph that fits several formats (they are listed) or none;
    /// [`Error::Runtime`] when there is no usable ONNX Runtime.
    pub fn propose(path: impl AsRef<Path>, task: Option<Task>, format: Option<Format>) -> Result<Self> {
        let path = path.as_ref();
        let graph = read(path)?;
        let session = pool::open(&graph, path, &ModelOptions::default(), Optimise::Now, None)?;
        let signature = signature(&session);
        let fit = |(expected, found)| Error::model(path, expected, found);
        let metadata = session.metadata().map_err(|e| fit(("metadata".to_owned(), e.to_string())))?;
        let stated = ultralytics::manifest(path, &signature, |key| metadata.custom(key)).map_err(fit)?;
        let mut manifest = match stated.filter(|_| task.is_none() && format.is_none()) {
            Some(stated) => stated,
            None => from_shapes(path, &signature, task, format).map_err(fit)?,
        };
        InputForm::find(&manifest, &signature).map_err(fit)?;
        Layout::find(&manifest, &signature).map_err(fit)?;
        manifest.sha256 = Some(graph_sha256(&graph, path)?);
        Ok(manifest)
    }
}

fn from_shapes(
    path: &Path,
    signature: &Signature,
    task: Option<Task>,
    format: Option<Format>,
) -> Result<Manifest, (String, String)> {
    let input = input(signature)?;
    let mut fitting: Vec<Manifest> = Vec::new();
    for candidate in TASKS.into_iter().filter(|t| task.is_none_or(|task| task == *t)) {
        for &candidate_format in formats(candidate).iter().filter(|f| format.is_none_or(|format| format == **f)) {
            let Some(kinds) = kinds(candidate_format, signature) else { continue };
            let manifest = Manifest::derived(
                path,
                candidate,
                input.clone(),
                OutputConfig { format: candidate_format, ..OutputConfig::new(kinds) },
            );
            if Layout::find(&manifest, signature).is_ok() {
                fitting.push(manifest);
            }
        }
    }
    if fitting.len() > 1 {
        let candidates: Vec<String> =
            fitting.iter().map(|m| format!("task {} with format {}", name(&m.task), name(&m.output.format))).collect();
        return Err((
            "one task and format that fit (say which)".to_owned(),
            format!("{}, which fit {}", list(&signature.outputs), candidates.join("; ")),
        ));
    }
    fitting.pop().ok_or_else(|| {
        let known: Vec<Format> = TASKS.iter().flat_map(|&t| formats(t)).copied().collect();
        (format!("outputs of one of the formats {}", names(&known)), list(&signature.outputs))
    })
}

/// The `[input]` table: size and channels from the shape, 640 pixels where it is dynamic.
fn input(signature: &Signature) -> Result<Preprocess, (String, String)> {
    let bad = || ("one input of an image".to_owned(), list(&signature.inputs));
    let [port] = &signature.inputs[..] else { return Err(bad()) };
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

/// Names to begin with for as many kinds as the outputs would have in `format`.
fn kinds(format: Format, signature: &Signature) -> Option<Vec<Kind>> {
    let ports = &signature.outputs;
    let of_rank = |rank: usize| ports.iter().filter(move |p| p.shape.len() == rank);
    let prototypes = if ports.len() == 2 { of_rank(4).next().and_then(|p| p.shape[1]) } else { None };
    let dimension = |port: Option<&Port>, axis: usize| port.and_then(|p| p.shape[axis]);
    // A number of proposals is larger than the numbers of one.
    let along = |axis: usize, before: usize| {
        let port = of_rank(3).next()?;
        let (numbers, proposals) = (port.shape[axis]?, port.shape[3 - axis]);
        if proposals.is_some_and(|n| n < numbers) {
            return None;
        }
        numbers.checked_sub(before + prototypes.unwrap_or(0))
    };
    let numbered = |n: usize| (n > 0).then(|| (0..n).map(|i| Kind::new(format!("kind{i}"))).collect());
    match format {
        Format::Auto => None,
        Format::Scores => numbered(dimension(of_rank(2).next(), 1)?),
        Format::Grid => numbered(dimension(ports.iter().find(|p| p.name == "scores" && p.shape.len() == 4), 1)?),
        Format::Yolo => numbered(along(1, 4)?),
        Format::YoloV5 => numbered(along(2, 5)?),
        // One number more than without an angle: it cannot be told from one kind more.
        Format::YoloObb | Format::End2endObb | Format::Rtdetr => None,
        Format::End2end => (along(2, 6)? == 0).then(|| vec![Kind::new("kind0")]),
        Format::Detr => {
            // RF-DETR's exporter has a last number that is no kind.
            if let Some(labels) = of_rank(3).find(|p| p.name == "labels") {
                return numbered(labels.shape[2]?.checked_sub(1)?);
            }
            let named = of_rank(3).find(|p| matches!(&*p.name, "logits" | "pred_logits"));
            let logits = named.or_else(|| of_rank(3).find(|p| p.shape[2].is_some_and(|n| n != 4)))?;
            numbered(logits.shape[2]?)
        }
        Format::Boxes => Some(vec![Kind::new("background"), Kind::new("kind1")]),
        Format::Mask => match of_rank(4).next()?.shape[1] {
            Some(kinds) => numbered(kinds),
            None => Some(vec![Kind::new("kind0")]),
        },
        Format::Anomaly => Some(vec![Kind::new("anomaly")]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(count(vec![port("dets", 4), port("labels", 4)]), Ok((Format::Detr, 3)));
        assert_eq!(count(vec![port("logits", 4), port("pred_boxes", 4)]), Ok((Format::Detr, 4)));
        let (_, candidates) = count(vec![port("a", 7), port("b", 4)]).unwrap_err();
        assert!(candidates.contains("yolo-v5; task detect with format detr"), "{candidates}");
    }
}
