use std::path::{Path, PathBuf};

use ort::value::TensorRef;
use proptest::prelude::*;

use super::super::wire::{push_number, push_text};
use super::*;
use crate::runtime::GraphOptions;
use crate::runtime::session::{self, Optimise};

fn exported(name: &str) -> (PathBuf, Vec<u8>) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(name).join("model.onnx");
    let graph = std::fs::read(&file).unwrap();
    (file, graph)
}

/// Operators of a graph, in its order.
fn operators(model: &[u8]) -> Vec<String> {
    let parts = fields(model).unwrap();
    let graph = parts.iter().find(|part| part.number == number::GRAPH).unwrap();
    let graph = Graph::read(graph.bytes().unwrap(), opset(&parts).unwrap()).unwrap();
    graph.nodes.into_iter().map(|node| node.operator).collect()
}

/// What a graph gives for noise, output by output.
fn run(graph: &[u8], path: &Path) -> Vec<Vec<f32>> {
    let mut session = session::open(graph, path, &GraphOptions::default(), Optimise::Now, None).unwrap();
    let names: Vec<String> = session.outputs().iter().map(|output| output.name().to_owned()).collect();
    let shape = session.inputs()[0].dtype().tensor_shape().unwrap();
    // Where a side is free: one image, and one of 64x64.
    let free = [1, 8, 64, 64];
    let shape: Vec<usize> = shape.iter().zip(free).map(|(&side, free)| side.try_into().unwrap_or(free)).collect();
    let mut noise = fastrand::Rng::with_seed(7);
    let input: Vec<f32> = (0..shape.iter().product()).map(|_| noise.f32()).collect();
    let results = session.run([TensorRef::from_array_view((shape, &input[..])).unwrap().into()]).unwrap();
    let numbers = |name: &String| results[&name[..]].try_extract_tensor::<f32>().unwrap().1.to_vec();
    names.iter().map(numbers).collect()
}

fn close(graph: &[u8], other: &[u8], path: &Path) {
    let (one, two) = (run(graph, path), run(other, path));
    assert_eq!(one.len(), two.len());
    for (one, two) in one.iter().zip(&two) {
        assert_eq!(one.len(), two.len());
        let scale = one.iter().fold(1f32, |most, v| most.max(v.abs()));
        let worst = one.iter().zip(two).fold(0f32, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(worst <= 2e-5 * scale, "{worst} of {scale}");
    }
}

#[test]
fn the_boxes_of_exported_detectors_are_the_same() {
    for name in ["yolov8-detect", "yolo11-detect", "yolo11-segment", "yolo11-obb"] {
        let (path, graph) = exported(name);
        let new = for_cpu(&graph).unwrap();
        let softmax = |graph| operators(graph).into_iter().filter(|name| name == "Softmax").count();
        assert_eq!(softmax(&graph) - softmax(&new), 1, "{name}");
        assert_eq!(for_cpu(&new), None, "{name}: once is enough");
        close(&graph, &new, &path);
    }
    assert_eq!(for_cpu(&exported("yolo11-detect-half").1), None);
}

/// A graph from `x`, `[1, 8, 6, 10]`, to `y` and perhaps others.
#[derive(Clone)]
struct Sketch {
    opset: i64,
    nodes: Vec<Node>,
    tensors: Vec<Tensor>,
    inputs: Vec<&'static str>,
    outputs: Vec<&'static str>,
    rank: usize,
}

impl Sketch {
    fn model(&self) -> Vec<u8> {
        let value = |name: &str| declared(name, Some(self.rank));
        // An output without a shape.
        let plain = |name: &&str| declared(name, None);
        let mut graph = Vec::new();
        self.nodes.iter().for_each(|node| push(&mut graph, number::NODE, &node.encode()));
        push(&mut graph, 2, b"sketch");
        self.tensors.iter().for_each(|tensor| push(&mut graph, number::INITIALIZER, &tensor.encode()));
        self.inputs.iter().for_each(|name| match *name {
            "x" => push(&mut graph, number::INPUT, &value("x")),
            other => push(&mut graph, number::INPUT, &plain(&other)),
        });
        self.outputs.iter().for_each(|name| push(&mut graph, number::OUTPUT, &plain(name)));
        // The version of the format, 9, comes first; a field that nobody knows comes last.
        let mut model = vec![8, 9];
        let mut set = Vec::new();
        push_number(&mut set, 2, self.opset);
        push(&mut model, number::OPSET, &set);
        push(&mut model, number::GRAPH, &graph);
        push(&mut model, 900, b"unknown");
        model
    }
}

/// A tensor of numbers under this name, as an input or output declares it.
fn declared(name: &str, rank: Option<usize>) -> Vec<u8> {
    let (mut value, mut of, mut tensor) = (Vec::new(), Vec::new(), Vec::new());
    push_number(&mut tensor, 1, i64::from(FLOAT));
    if let Some(rank) = rank {
        let mut shape = Vec::new();
        [1u8, 8, 6, 10].iter().take(rank).for_each(|&side| push(&mut shape, 1, &[8, side]));
        push(&mut tensor, 2, &shape);
    }
    push(&mut of, 1, &tensor);
    push_text(&mut value, 1, name);
    push(&mut value, 2, &of);
    value
}

fn weights(name: &str, dims: &[i64]) -> Tensor {
    let mut noise = fastrand::Rng::with_seed(11);
    let raw = (0..dims.iter().product()).flat_map(|_| (noise.f32() - 0.5).to_le_bytes()).collect();
    Tensor { dims: dims.to_vec(), element: FLOAT, name: name.to_owned(), raw, ..Tensor::default() }
}

fn split(input: &[&str], axis: i64) -> Node {
    let node = Node::new("Split", input, "a").with(&Attribute::number("axis", axis));
    Node { output: vec!["a".to_owned(), "b".to_owned()], ..node }
}

fn concat() -> Node {
    Node::new("Concat", &["b", "a"], "y").with(&Attribute::number("axis", 1))
}

/// SiLU of a convolution, split into 16 and 32 channels.
fn silu() -> Sketch {
    let sizes = Tensor { dims: vec![2], element: INT64, ints: vec![16, 32], name: "s".into(), ..Tensor::default() };
    Sketch {
        opset: 17,
        nodes: vec![
            Node::new("Conv", &["x", "w", "v"], "c"),
            Node::new("Sigmoid", &["c"], "g"),
            Node::new("Mul", &["g", "c"], "m"),
            split(&["m", "s"], 1),
            concat(),
        ],
        tensors: vec![weights("w", &[48, 8, 1, 1]), weights("v", &[48]), sizes],
        inputs: vec!["x"],
        outputs: vec!["y"],
        rank: 4,
    }
}

fn softmax(axis: i64) -> Sketch {
    let node = Node::new("Softmax", &["x"], "y").with(&Attribute::number("axis", axis));
    let (inputs, outputs) = (vec!["x"], vec!["y"]);
    Sketch { opset: 17, nodes: vec![node], tensors: Vec::new(), inputs, outputs, rank: 4 }
}

fn edited(sketch: Sketch, edit: impl FnOnce(&mut Sketch)) -> Sketch {
    let mut sketch = sketch;
    edit(&mut sketch);
    sketch
}

#[test]
fn each_part_of_a_split_gets_a_convolution() {
    let ints = |ints: [i64; 2]| ints.iter().flat_map(|int| int.to_le_bytes()).collect();
    let bare = |sketch: &mut Sketch| {
        sketch.nodes.drain(1..3);
        sketch.nodes[1].input[0] = "c".to_owned();
    };
    let relu = |sketch: &mut Sketch| {
        let relu = Node::new("LeakyRelu", &["c"], "m");
        sketch.nodes.splice(1..3, [relu.with(&Attribute { kind: 1, ..Attribute::number("unknown", 0) })]);
        sketch.nodes[1].attributes.clear();
    };
    for (name, sketch) in [
        ("SiLU", silu()),
        ("sizes as bytes", edited(silu(), |s| (s.tensors[2].ints, s.tensors[2].raw) = (vec![], ints([32, 16])))),
        ("no bias", edited(silu(), |s| s.nodes[0].input.truncate(2))),
        ("axis from behind", edited(silu(), |s| s.nodes[3] = split(&["m", "s"], -3))),
        (
            "equal parts",
            edited(silu(), |s| {
                s.tensors[0] = weights("w", &[64, 8, 1, 1]);
                s.tensors[1] = weights("v", &[64]);
                s.nodes[3].input.truncate(1);
            }),
        ),
        (
            "sizes as an attribute",
            edited(silu(), |s| {
                s.opset = 12;
                s.nodes[3] = split(&["m"], 1).with(&Attribute::numbers("split", vec![32, 16]));
            }),
        ),
        ("no activation", edited(silu(), bare)),
        ("an activation of one node", edited(silu(), relu)),
    ] {
        let graph = sketch.model();
        let new = for_cpu(&graph).unwrap_or_else(|| panic!("{name} stays"));
        let after = operators(&new);
        assert!(!after.contains(&"Split".to_owned()), "{name}: {after:?}");
        assert_eq!(after.iter().filter(|operator| *operator == "Conv").count(), 2, "{name}");
        assert!(new.ends_with(b"unknown") && !new.windows(3).any(|bytes| bytes == [66, 1, b'w']), "{name}");
        close(&graph, &new, Path::new(name));
    }
}

#[test]
fn softmax_over_the_channels_is_written_out() {
    for (axis, opset) in [(1, 13), (1, 17), (1, 18), (-3, 21)] {
        let graph = edited(softmax(axis), |s| s.opset = opset).model();
        let new = for_cpu(&graph).unwrap();
        assert_eq!(operators(&new), ["ReduceMax", "Sub", "Exp", "ReduceSum", "Div"]);
        close(&graph, &new, Path::new("softmax"));
    }
}

#[test]
fn what_is_another_case_stays() {
    let cast = |to| Node::new("Cast", &["z"], "q").with(&Attribute::number("to", to));
    for (name, sketch) in [
        ("the last axis", softmax(3)),
        ("the last axis from behind", softmax(-1)),
        ("rows", softmax(2)),
        ("three axes", edited(softmax(1), |s| s.rank = 3)),
        ("axes as one", edited(softmax(1), |s| s.opset = 12)),
        ("half precision", edited(softmax(1), |s| s.nodes.push(cast(10)))),
        ("another domain", edited(softmax(1), |s| s.nodes[0].domain = "com.example".into())),
        ("the name is taken", edited(softmax(1), |s| s.tensors.push(weights("y/axis", &[1])))),
        ("rows of a convolution", edited(silu(), |s| s.nodes[3] = split(&["m", "s"], 2))),
        ("no whole blocks", edited(silu(), |s| s.tensors[2].ints = vec![24, 24])),
        ("sizes of another sum", edited(silu(), |s| s.tensors[2].ints = vec![16, 16])),
        ("sizes without end", edited(silu(), |s| s.tensors[2].ints = vec![i64::MAX - 15, 16])),
        ("a wide kernel", edited(silu(), |s| s.tensors[0] = weights("w", &[48, 8, 3, 3]))),
        ("groups", edited(silu(), |s| s.nodes[0].attributes.push(Attribute::number("group", 2).encode()))),
        ("weights in another file", edited(silu(), |s| s.tensors[0].raw.clear())),
        ("weights cut short", edited(silu(), |s| s.tensors[0].raw.truncate(100))),
        ("weights of the caller", edited(silu(), |s| s.inputs.push("w"))),
        ("another bias", edited(silu(), |s| s.tensors[1].dims = vec![1])),
        ("the convolution is an output", edited(silu(), |s| s.outputs.push("c"))),
        ("the product is used twice", edited(silu(), |s| s.nodes.push(Node::new("Relu", &["m"], "r")))),
        ("a gate of something else", edited(silu(), |s| s.nodes[1].input[0] = "x".into())),
        (
            "a graph in the graph",
            edited(silu(), |s| {
                // Field 6 of an attribute is a graph.
                let inner = Node { attributes: vec![vec![6 << 3 | 2, 0]], ..Node::new("If", &["z"], "q") };
                s.nodes.push(inner);
            }),
        ),
    ] {
        assert_eq!(for_cpu(&sketch.model()), None, "{name}");
    }
}

proptest! {
    #[test]
    fn damaged_bytes_do_no_harm(cut in 0usize..4000, wrong in proptest::collection::vec((0usize..4000, 0u8..), 0..6)) {
        for sketch in [silu(), softmax(1)] {
            let mut model = sketch.model();
            for &(place, byte) in &wrong {
                let length = model.len();
                model[place % length] = byte;
            }
            model.truncate(model.len().saturating_sub(cut.saturating_sub(2000)));
            // What comes out can be read again.
            if let Some(new) = for_cpu(&model) {
                prop_assert!(fields(&new).is_some());
            }
        }
    }
}
