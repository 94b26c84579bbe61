//! The manifest that Ultralytics' exporters write into a graph's metadata: task, names, image size, and whether
//! suppression is inside (checked with ultralytics 8.4); the repository of YOLOv5 writes names and stride alone.

use std::path::Path;

use super::manifest::Manifest;
use super::python::Literal;
use crate::defect::Kind;
use crate::geometry::Size;
use crate::head::{Activation, Format, OutputConfig, Task};
use crate::runtime::{Mismatch, Signature, list};
use crate::tensor::{Channels, Fit, Kernel, Preprocess};

/// The manifest of a graph that Ultralytics exported; `None` when another program did.
///
/// Confidence and IoU are the defaults of Ultralytics' `predict`: 0.25 and 0.7.
pub(super) fn manifest(
    path: &Path,
    signature: &Signature,
    metadata: impl Fn(&str) -> Option<String>,
) -> Result<Option<Manifest>, Mismatch> {
    let Some(names) = metadata("names") else { return Ok(None) };
    let (task, size) = match (metadata("task"), metadata("imgsz")) {
        (Some(task), Some(size)) => (task, size),
        _ if metadata("stride").is_some() => return yolo_v5(path, signature, &names),
        _ => return Ok(None),
    };
    let kinds = kinds(&names)?;
    let size = size_of(&size).ok_or_else(|| Mismatch::new("metadata `imgsz` as [height, width]", size.clone()))?;
    let args = metadata("args").and_then(|args| Literal::parse(&args));
    let nms = args.is_some_and(|args| args.get("nms") == Some(&Literal::Truth(true)));
    let in_graph = nms || metadata("end2end").is_some_and(|v| v == "True");
    let rtdetr = metadata("head").is_some_and(|head| head == "RTDETRDecoder");
    let (task, format) = match (&*task, in_graph) {
        ("detect", _) if rtdetr => (Task::Detect, Format::RTDETR),
        ("detect", false) => (Task::Detect, Format::YOLO),
        ("detect", true) => (Task::Detect, Format::END2END),
        ("segment", false) => (Task::Instance, Format::YOLO),
        ("segment", true) => (Task::Instance, Format::END2END),
        ("obb", false) => (Task::Detect, Format::YOLO_OBB),
        ("obb", true) => (Task::Detect, Format::END2END_OBB),
        ("classify", _) => (Task::Classify, Format::SCORES),
        ("semantic", _) => (Task::Segment, Format::CLASS_MAP),
        _ => {
            return Err(Mismatch::new(
                "metadata `task` of detect, segment, semantic, obb or classify".to_owned(),
                format!("`{task}`, which is no inspection of defects"),
            ));
        }
    };
    let channels = match metadata("channels").as_deref() {
        Some("1") => Channels::Gray,
        _ => Channels::Rgb,
    };
    let mut input = Preprocess::new(size);
    input.channels = channels;
    if rtdetr {
        input.fit = Fit::Stretch;
    }
    if task == Task::Classify {
        input.fit = Fit::Crop;
        input.resize = Kernel::PillowBilinear;
    } else {
        input.resize = Kernel::OpencvLinear;
    }
    let port = signature.inputs.first();
    if port.is_some_and(|port| port.element == "u8") {
        input.scale = 1.0;
    }
    // `predict` feeds the smallest rectangle to a graph that takes any size.
    let dynamic = port.is_some_and(|port| port.shape.len() == 4 && port.shape[2].is_none() && port.shape[3].is_none());
    if dynamic && input.fit == Fit::Letterbox {
        let stride = metadata("stride").and_then(|text| text.parse().ok());
        input.stride =
            stride.filter(|&stride| stride > 0 && [size.width, size.height].iter().all(|side| side % stride == 0));
    }
    let output = match task {
        Task::Segment => semantic(kinds, signature)?,
        _ => OutputConfig { format, iou: 0.7, ..OutputConfig::new(kinds) },
    };
    Ok(Some(Manifest::derived(path, task, input, output)))
}

/// The outputs of a semantic task, whose every pixel has some kind. The one of a sound surface is called `background`:
/// Ultralytics adds it to several kinds that were drawn as polygons. Without one it is the first, as masks have it. A
/// single kind has no number for it: pixels are 0 without and 1 with the kind.
fn semantic(kinds: Vec<Kind>, signature: &Signature) -> Result<OutputConfig, Mismatch> {
    let is_background = |kind: &&Kind| kind.as_str().eq_ignore_ascii_case("background");
    let scores = signature.outputs.first().is_some_and(|port| port.element.starts_with('f'));
    let background = kinds.iter().find(is_background).cloned();
    let (kinds, good) = match (&kinds[..], background) {
        ([only], Some(_)) => return Err(Mismatch::new("metadata `names` with a kind of defect", format!("`{only}`"))),
        ([_], None) if scores => (kinds, Vec::new()),
        ([only], None) => (vec![Kind::new("background"), only.clone()], vec![Kind::new("background")]),
        (_, Some(background)) => (kinds, vec![background]),
        ([first, ..], None) => (kinds.clone(), vec![first.clone()]),
        ([], None) => return Err(Mismatch::new("metadata `names` with a kind of defect", "none")),
    };
    let (format, activation) = match (scores, kinds.len()) {
        (false, _) => (Format::CLASS_MAP, Activation::None),
        (true, 1) => (Format::MASK, Activation::Sigmoid),
        (true, _) => (Format::MASK, Activation::Softmax),
    };
    Ok(OutputConfig { format, good, activation, ..OutputConfig::new(kinds) })
}

/// YOLOv5's own exports: `detect.py`'s limits, the size that the graph is fixed to.
fn yolo_v5(path: &Path, signature: &Signature, names: &str) -> Result<Option<Manifest>, Mismatch> {
    let kinds = kinds(names)?;
    let side = |axis: usize| {
        let side = signature.inputs.first().and_then(|port| *port.shape.get(axis)?);
        side.and_then(|side| u32::try_from(side).ok())
    };
    let (Some(height), Some(width)) = (side(2), side(3)) else {
        return Err(Mismatch::new(
            "metadata `imgsz`, or a graph of a fixed size (or a manifest beside the model)".to_owned(),
            list(&signature.inputs),
        ));
    };
    let mut input = Preprocess::new(Size::new(width, height));
    input.resize = Kernel::OpencvLinear;
    let prototypes = signature.outputs.iter().any(|port| port.shape.len() == 4);
    Ok(Some(Manifest::derived(
        path,
        if prototypes { Task::Instance } else { Task::Detect },
        input,
        OutputConfig { format: Format::YOLO_V5, iou: 0.45, ..OutputConfig::new(kinds) },
    )))
}

fn kinds(names: &str) -> Result<Vec<Kind>, Mismatch> {
    names_of(names).ok_or_else(|| {
        Mismatch::new(
            "metadata `names` as {0: 'name', 1: 'name'} or ['name', 'name'] (or a manifest beside the model)",
            names,
        )
    })
}

/// The kinds of `{0: 'a', 1: 'b'}`, in the order of their numbers, which have to be 0, 1, 2 ..., or of `['a', 'b']`, as
/// YOLOv5 wrote them up to release 6.1.
fn names_of(text: &str) -> Option<Vec<Kind>> {
    let names = Literal::parse(text)?;
    let mut names: Vec<(u32, &str)> = match &names {
        Literal::Dictionary(items) => {
            items.iter().map(|(number, name)| Some((key(number)?, name.text()?))).collect::<Option<_>>()?
        }
        Literal::List(items) => (0..).zip(items).map(|(i, name)| Some((i, name.text()?))).collect::<Option<_>>()?,
        _ => return None,
    };
    names.sort_unstable();
    let counted = (0..).zip(&names).all(|(i, &(number, _))| i == number);
    (counted && !names.is_empty()).then(|| names.into_iter().map(|(_, name)| Kind::new(name)).collect())
}

/// The number of a name, which JSON can only write as text.
fn key(number: &Literal) -> Option<u32> {
    number.whole().or_else(|| number.text()?.parse().ok())
}

/// `[height, width]`, or one side of a square.
fn size_of(text: &str) -> Option<Size> {
    let size = Literal::parse(text)?;
    if let Some(side) = size.whole() {
        return Some(Size::new(side, side));
    }
    let Literal::List(sides) = size else { return None };
    let [height, width] = sides.iter().map(Literal::whole).collect::<Option<Vec<_>>>()?.try_into().ok()?;
    Some(Size::new(width, height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Port;

    fn propose(metadata: &[(&str, &str)]) -> Result<Option<Manifest>, Mismatch> {
        propose_for([1, 3, 64, 96].map(Some), metadata)
    }

    fn propose_for(shape: [Option<usize>; 4], metadata: &[(&str, &str)]) -> Result<Option<Manifest>, Mismatch> {
        let port = Port { name: "images".to_owned(), element: "f32".to_owned(), shape: shape.to_vec() };
        let signature = Signature { inputs: vec![port], outputs: Vec::new() };
        let find = |key: &str| metadata.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned());
        manifest(Path::new("m.onnx"), &signature, find)
    }

    #[test]
    fn tasks_and_formats() {
        let names = ("names", "{0: 'a', 1: 'b'}");
        let of = |task, more: (&'static str, &'static str)| {
            let manifest = propose(&[("task", task), names, ("imgsz", "[64, 96]"), more]).unwrap().unwrap();
            (manifest.task, manifest.output.format, manifest.input.fit)
        };
        let nothing = ("stride", "32");
        assert_eq!(of("detect", nothing), (Task::Detect, Format::YOLO, Fit::Letterbox));
        assert_eq!(of("detect", ("end2end", "True")), (Task::Detect, Format::END2END, Fit::Letterbox));
        assert_eq!(of("detect", ("args", "{'nms': True}")), (Task::Detect, Format::END2END, Fit::Letterbox));
        assert_eq!(of("detect", ("args", "{'nms': None}")), (Task::Detect, Format::YOLO, Fit::Letterbox));
        assert_eq!(of("segment", nothing), (Task::Instance, Format::YOLO, Fit::Letterbox));
        assert_eq!(of("obb", ("end2end", "True")), (Task::Detect, Format::END2END_OBB, Fit::Letterbox));
        assert_eq!(of("detect", ("head", "RTDETRDecoder")), (Task::Detect, Format::RTDETR, Fit::Stretch));
        assert_eq!(of("classify", nothing), (Task::Classify, Format::SCORES, Fit::Crop));
        // The repositories of YOLOv5 and YOLOv7 write names and stride alone.
        let v5 = propose(&[names, nothing]).unwrap().unwrap();
        assert_eq!((v5.output.format, v5.input.size, v5.output.iou), (Format::YOLO_V5, Size::new(96, 64), 0.45));
        assert_eq!(propose(&[]), Ok(None));
    }

    #[test]
    fn names_may_be_a_list() {
        let kinds = |metadata: &[(&str, &str)]| propose(metadata).unwrap().unwrap().output.kinds;
        let want: Vec<Kind> = vec!["a".into(), "b".into()];
        for names in ["['a', 'b']", "('a', 'b')", "{1: 'b', 0: 'a'}", r#"["a", "b"]"#, r#"{"0": "a", "1": "b"}"#] {
            assert_eq!(kinds(&[("names", names), ("stride", "32")]), want);
            assert_eq!(kinds(&[("names", names), ("task", "detect"), ("imgsz", "[64, 96]")]), want);
        }
        let square = propose(&[("names", "['a']"), ("task", "detect"), ("imgsz", "64")]).unwrap().unwrap();
        assert_eq!(square.input.size, Size::new(64, 64));
    }

    #[test]
    fn a_semantic_task_has_one_kind_that_is_no_defect() {
        let port = |element: &str| Port { name: "o".to_owned(), element: element.to_owned(), shape: vec![None; 3] };
        let of = |names: &str, element: &str| {
            let signature = Signature { inputs: Vec::new(), outputs: vec![port(element)] };
            let find = |key: &str| match key {
                "names" => Some(names.to_owned()),
                "task" => Some("semantic".to_owned()),
                "imgsz" => Some("[64, 96]".to_owned()),
                _ => None,
            };
            manifest(Path::new("m.onnx"), &signature, find).map(|manifest| {
                let output = manifest.unwrap().output;
                let words = |kinds: Vec<Kind>| kinds.iter().map(Kind::as_str).collect::<Vec<_>>().join(" ");
                (output.format.to_string(), words(output.kinds), words(output.good), output.activation)
            })
        };
        let text = |format: &str, kinds: &str, good: &str, activation| {
            Ok((format.to_owned(), kinds.to_owned(), good.to_owned(), activation))
        };
        let none = Activation::None;
        assert_eq!(of("{0: 'a', 1: 'b'}", "u8"), text("class-map", "a b", "a", none));
        assert_eq!(of("{0: 'a', 1: 'Background'}", "i32"), text("class-map", "a Background", "Background", none));
        assert_eq!(of("{0: 'a'}", "u8"), text("class-map", "background a", "background", none));
        assert_eq!(of("{0: 'a'}", "f32"), text("mask", "a", "", Activation::Sigmoid));
        assert_eq!(of("{0: 'a', 1: 'b'}", "f16"), text("mask", "a b", "a", Activation::Softmax));
        assert!(of("{0: 'background'}", "u8").is_err());
    }

    #[test]
    fn a_graph_of_any_size_is_fed_the_smallest_rectangle() {
        let stride = |shape, task, stride| {
            let metadata = [("task", task), ("names", "{0: 'a'}"), ("imgsz", "[64, 96]"), ("stride", stride)];
            propose_for(shape, &metadata).unwrap().unwrap().input.stride
        };
        let any = [None, Some(3), None, None];
        assert_eq!(stride(any, "detect", "32"), Some(32));
        assert_eq!(stride(any, "detect", "64"), None, "96 is no multiple of 64");
        assert_eq!(stride(any, "classify", "32"), None);
        assert_eq!(stride([None, Some(3), Some(64), Some(96)], "detect", "32"), None);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let problem = |metadata: &[(&str, &str)]| propose(metadata).unwrap_err();
        let rest = [("imgsz", "[64, 96]"), ("task", "detect")];
        for names in ["[1]", "[]", "{1: 'a'}", "{0: 'a', 0: 'b'}", "{0: 1}", "{}"] {
            assert_eq!(problem(&[("names", names), rest[0], rest[1]]).found, names);
        }
        assert_eq!(problem(&[("names", "{0: 'a'}"), ("imgsz", "[64]"), rest[1]]).found, "[64]");
        assert!(problem(&[("names", "{0: 'a'}"), rest[0], ("task", "pose")]).found.contains("`pose`"));
    }
}
