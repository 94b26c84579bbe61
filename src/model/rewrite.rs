//! Parts of a graph that ONNX Runtime's CPU provider runs slower than other operators that compute the same, written
//! anew before it gets the graph. Times are of ONNX Runtime 1.32, one thread, AVX-512.
//!
//! * `Softmax` over the channels of `[N, C, H, W]` moves all numbers so that the channels are last, and back. As
//!   `ReduceMax`, `Sub`, `Exp`, `ReduceSum`, `Div` it takes a fifth to a sixth: 3.0 and 0.5 ms for the boxes of a YOLO at
//!   640x640, 57 and 10 ms for 21 kinds at 512x512.
//! * `Split` of the channels of a 1x1 convolution: the provider keeps channels in blocks of 8 or 16, but `Split` and all
//!   that follows want them plain. As one convolution for each part, the blocks stay (a YOLO11n: 34.4 and 33.3 ms).
//!
//! Results are the same up to the rounding of single operators. All bytes that are not of such a part stay as they are,
//! and a graph that cannot be read, or where anything is unusual, stays as a whole.

use std::collections::{HashMap, HashSet};

use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

/// The graph for the CPU provider; `None` when it stays as it is.
pub(super) fn for_cpu(model: &[u8]) -> Option<Vec<u8>> {
    let parts = fields(model)?;
    let graphs: Vec<_> = parts.iter().filter(|part| part.number == number::GRAPH).collect();
    let [bytes] = graphs[..] else { return None };
    let graph = Graph::read(bytes.content, opset(&parts)?)?;
    let mut changes = Changes::default();
    for place in 0..graph.nodes.len() {
        let _ = graph.softmax(place, &mut changes);
        let _ = graph.split(place, &mut changes);
    }
    if changes.nodes.is_empty() {
        return None;
    }
    let graph = graph.write(&changes)?;
    let mut whole = Vec::with_capacity(model.len());
    for part in &parts {
        match part.number {
            number::GRAPH => push(&mut whole, number::GRAPH, &graph),
            _ => whole.extend_from_slice(part.whole),
        }
    }
    Some(whole)
}

/// Numbers of the fields that are read one by one, as in `onnx.proto`.
mod number {
    pub(super) const GRAPH: u32 = 7;
    pub(super) const OPSET: u32 = 8;
    pub(super) const NODE: u32 = 1;
    pub(super) const INITIALIZER: u32 = 5;
    pub(super) const INPUT: u32 = 11;
    pub(super) const OUTPUT: u32 = 12;
    pub(super) const VALUE: u32 = 13;
    pub(super) const TENSOR_TYPE: u32 = 2;
    pub(super) const TENSOR_NAME: u32 = 8;
}

/// Element types of ONNX.
const FLOAT: i32 = 1;
const INT64: i32 = 7;
const HALVES: [u64; 2] = [10, 16];

#[derive(Clone, PartialEq, Message)]
struct Opset {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    operator: String,
    /// Each an [`Attribute`], kept as it is for nodes that are copied.
    #[prost(bytes = "vec", repeated, tag = "5")]
    attributes: Vec<Vec<u8>>,
    #[prost(string, tag = "7")]
    domain: String,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int64, optional, tag = "3")]
    int: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "6")]
    graph: Option<Vec<u8>>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    ints: Vec<i64>,
    #[prost(bytes = "vec", repeated, tag = "11")]
    graphs: Vec<Vec<u8>>,
    #[prost(int32, tag = "20")]
    kind: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    element: i32,
    #[prost(int64, repeated, tag = "7")]
    ints: Vec<i64>,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    of: Option<ValueType>,
}

#[derive(Clone, PartialEq, Message)]
struct ValueType {
    #[prost(message, optional, tag = "1")]
    tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorType {
    #[prost(uint64, tag = "1")]
    element: u64,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(bytes = "vec", repeated, tag = "1")]
    dims: Vec<Vec<u8>>,
}

/// A field of a message: all of its bytes, and what it holds: bytes or a number.
struct Field<'m> {
    number: u32,
    whole: &'m [u8],
    content: &'m [u8],
    value: u64,
}

fn fields(message: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut rest = message;
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let start = rest;
        let (number, wire) = decode_key(&mut rest).ok()?;
        let mut value = 0;
        let length = match wire {
            WireType::Varint => {
                value = decode_varint(&mut rest).ok()?;
                0
            }
            WireType::ThirtyTwoBit => 4,
            WireType::SixtyFourBit => 8,
            WireType::LengthDelimited => decode_varint(&mut rest).ok()?,
            WireType::StartGroup | WireType::EndGroup => return None,
        };
        let content;
        (content, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        fields.push(Field { number, whole: &start[..start.len() - rest.len()], content, value });
    }
    Some(fields)
}

fn push(message: &mut Vec<u8>, number: u32, content: &[u8]) {
    encode_key(number, WireType::LengthDelimited, message);
    encode_varint(content.len() as u64, message);
    message.extend_from_slice(content);
}

/// Name and element type of a tensor; its numbers are not copied.
fn tensor_head(tensor: &[u8]) -> Option<(&str, u64)> {
    let fields = fields(tensor)?;
    let find = |number| fields.iter().find(|field| field.number == number);
    let name = std::str::from_utf8(find(number::TENSOR_NAME)?.content).ok()?;
    Some((name, find(number::TENSOR_TYPE).map_or(0, |field| field.value)))
}

/// The version of ONNX's own operators.
fn opset(model: &[Field<'_>]) -> Option<i64> {
    let sets = model.iter().filter(|field| field.number == number::OPSET);
    let mut sets = sets.filter_map(|field| Opset::decode(field.content).ok());
    sets.find(|set| set.domain.is_empty() || set.domain == "ai.onnx").map(|set| set.version)
}

impl Node {
    fn new(operator: &str, input: &[&str], output: &str) -> Self {
        Node {
            operator: operator.to_owned(),
            input: input.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: output.to_owned(),
            ..Node::default()
        }
    }

    fn with(mut self, attribute: &Attribute) -> Self {
        self.attributes.push(attribute.encode_to_vec());
        self
    }

    fn is(&self, operator: &str) -> bool {
        self.domain.is_empty() && self.operator == operator
    }

    fn attribute(&self, name: &str) -> Option<Attribute> {
        let mut attributes = self.attributes.iter().filter_map(|bytes| Attribute::decode(&bytes[..]).ok());
        attributes.find(|attribute| attribute.name == name)
    }

    fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name)?.int
    }
}

impl Attribute {
    fn number(name: &str, int: i64) -> Self {
        Attribute { name: name.to_owned(), int: Some(int), kind: 2, ..Attribute::default() }
    }

    fn numbers(name: &str, ints: Vec<i64>) -> Self {
        Attribute { name: name.to_owned(), ints, kind: 7, ..Attribute::default() }
    }
}

impl Tensor {
    /// The bytes of parts along the first axis, of a tensor of [`FLOAT`] that holds its numbers itself.
    fn parts(&self, sizes: &[i64]) -> Option<Vec<Vec<u8>>> {
        let row = self
            .dims
            .iter()
            .skip(1)
            .try_fold(size_of::<f32>(), |row, &dim| row.checked_mul(usize::try_from(dim).ok()?))?;
        let mut rest = &self.raw[..];
        let mut parts = Vec::new();
        for &size in sizes {
            let part;
            (part, rest) = rest.split_at_checked(usize::try_from(size).ok()?.checked_mul(row)?)?;
            parts.push(part.to_vec());
        }
        rest.is_empty().then_some(parts)
    }

    fn int64(&self) -> Vec<i64> {
        if self.raw.is_empty() {
            return self.ints.clone();
        }
        self.raw.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()
    }
}

struct Graph<'m> {
    fields: Vec<Field<'m>>,
    opset: i64,
    /// Where it computes in half precision, single operators must not take the place of one that sums more exactly.
    half: bool,
    nodes: Vec<Node>,
    /// Which node makes a value, and how often nodes and the graph's outputs use one.
    makers: HashMap<String, usize>,
    uses: HashMap<String, usize>,
    outputs: HashSet<String>,
    tensors: HashMap<&'m str, &'m [u8]>,
    /// How many axes a value has, where it is declared.
    ranks: HashMap<String, usize>,
}

/// What takes the place of a node, and new tensors.
#[derive(Default)]
struct Changes {
    nodes: HashMap<usize, Vec<Node>>,
    tensors: Vec<Tensor>,
}

impl<'m> Graph<'m> {
    fn read(graph: &'m [u8], opset: i64) -> Option<Self> {
        let mut graph = Graph {
            fields: fields(graph)?,
            opset,
            half: false,
            nodes: Vec::new(),
            makers: HashMap::new(),
            uses: HashMap::new(),
            outputs: HashSet::new(),
            tensors: HashMap::new(),
            ranks: HashMap::new(),
        };
        let mut inputs = HashSet::new();
        for field in &graph.fields {
            match field.number {
                number::NODE => graph.nodes.push(Node::decode(field.content).ok()?),
                number::INITIALIZER => {
                    let (name, element) = tensor_head(field.content)?;
                    graph.tensors.insert(name, field.content);
                    graph.half |= HALVES.contains(&element);
                }
                number::INPUT | number::OUTPUT | number::VALUE => {
                    let value = Value::decode(field.content).ok()?;
                    if field.number == number::OUTPUT {
                        *graph.uses.entry(value.name.clone()).or_default() += 1;
                        graph.outputs.insert(value.name.clone());
                    }
                    if field.number == number::INPUT {
                        inputs.insert(value.name.clone());
                    }
                    let Some(tensor) = value.of.and_then(|of| of.tensor) else { continue };
                    graph.half |= HALVES.contains(&tensor.element);
                    if let Some(shape) = tensor.shape {
                        graph.ranks.insert(value.name, shape.dims.len());
                    }
                }
                _ => {}
            }
        }
        // Values of a tensor that is an input as well are the caller's.
        graph.tensors.retain(|name, _| !inputs.contains(*name));
        for (place, node) in graph.nodes.iter().enumerate() {
            for bytes in &node.attributes {
                let attribute = Attribute::decode(&bytes[..]).ok()?;
                // A graph in the graph uses values of this one by their names.
                if attribute.graph.is_some() || !attribute.graphs.is_empty() {
                    return None;
                }
                graph.half |= node.is("Cast") && attribute.int.is_some_and(|to| HALVES.contains(&(to as u64)));
            }
            for name in &node.input {
                *graph.uses.entry(name.clone()).or_default() += 1;
            }
            for name in &node.output {
                graph.makers.insert(name.clone(), place);
            }
        }
        Some(graph)
    }

    /// Where the node is that makes a value, one of ONNX's own operators.
    fn maker(&self, value: &str, operator: &str) -> Option<usize> {
        self.makers.get(value).copied().filter(|&place| self.nodes[place].is(operator))
    }

    fn used(&self, value: &str, times: usize) -> bool {
        self.uses.get(value) == Some(&times)
    }

    fn tensor(&self, name: &str, element: i32) -> Option<Tensor> {
        Tensor::decode(*self.tensors.get(name)?).ok().filter(|tensor| tensor.element == element)
    }

    fn rank(&self, value: &str) -> Option<usize> {
        let turned = |place: usize| self.nodes[place].attribute("perm").map(|perm| perm.ints.len());
        self.ranks.get(value).copied().or_else(|| self.maker(value, "Transpose").and_then(turned))
    }

    fn softmax(&self, place: usize, changes: &mut Changes) -> Option<()> {
        let node = &self.nodes[place];
        let ([from], [to]) = (&node.input[..], &node.output[..]) else { return None };
        // Before version 13, all axes from `axis` on were one.
        if !node.is("Softmax") || self.opset < 13 || self.half || ![1, -3].contains(&node.int("axis")?) {
            return None;
        }
        if self.rank(from).or_else(|| self.rank(to)) != Some(4) {
            return None;
        }
        let [highest, below, power, sum, axis] =
            ["highest", "below", "power", "sum", "axis"].map(|name| format!("{to}/{name}"));
        let kept = Attribute::number("keepdims", 1);
        let maximum = match self.opset {
            ..18 => Node::new("ReduceMax", &[from], &highest).with(&Attribute::numbers("axes", vec![1])),
            _ => Node::new("ReduceMax", &[from, &axis], &highest),
        };
        let nodes = vec![
            maximum.with(&kept),
            Node::new("Sub", &[from, &highest], &below),
            Node::new("Exp", &[&below], &power),
            Node::new("ReduceSum", &[&power, &axis], &sum).with(&kept),
            Node::new("Div", &[&power, &sum], to),
        ];
        changes.tensors.push(Tensor { dims: vec![1], element: INT64, ints: vec![1], name: axis, ..Tensor::default() });
        changes.nodes.insert(place, nodes);
        Some(())
    }

    fn split(&self, place: usize, changes: &mut Changes) -> Option<()> {
        let split = &self.nodes[place];
        let from = split.input.first()?;
        if !split.is("Split") || ![1, -3].contains(&split.int("axis")?) || !self.used(from, 1) {
            return None;
        }
        let (conv, activation) = self.convolution(from)?;
        let convolution = &self.nodes[conv];
        let weights = self.tensor(convolution.input.get(1)?, FLOAT)?;
        let &[count, _, 1, 1] = &weights.dims[..] else { return None };
        let sizes = self.sizes(split, count)?;
        if convolution.int("group").unwrap_or(1) != 1 {
            return None;
        }
        let mut tensors = vec![("weights", &weights.dims[1..], weights.parts(&sizes)?)];
        let bias = match convolution.input.get(2).filter(|name| !name.is_empty()) {
            Some(name) => Some(self.tensor(name, FLOAT).filter(|bias| bias.dims == [count])?),
            None => None,
        };
        if let Some(bias) = &bias {
            tensors.push(("bias", &[], bias.parts(&sizes)?));
        }
        let mut nodes = Vec::new();
        for (part, (to, &size)) in split.output.iter().zip(&sizes).enumerate() {
            let plain = if activation.is_empty() { to.clone() } else { format!("{to}/convolution") };
            let mut one = Node { output: vec![plain.clone()], name: plain.clone(), ..convolution.clone() };
            one.input.truncate(1);
            for (name, others, parts) in &tensors {
                let name = format!("{to}/{name}");
                let dims = std::iter::once(size).chain(others.iter().copied()).collect();
                let raw = parts[part].clone();
                changes.tensors.push(Tensor { dims, element: FLOAT, name: name.clone(), raw, ..Tensor::default() });
                one.input.push(name);
            }
            nodes.push(one);
            match activation[..] {
                [] => {}
                [single] => {
                    let output = vec![to.clone()];
                    nodes.push(Node { input: vec![plain], output, name: to.clone(), ..self.nodes[single].clone() });
                }
                _ => {
                    let gate = format!("{to}/gate");
                    nodes.push(Node::new("Sigmoid", &[&plain], &gate));
                    nodes.push(Node::new("Mul", &[&plain, &gate], to));
                }
            }
        }
        changes.nodes.insert(place, nodes);
        changes.nodes.extend(activation.into_iter().chain([conv]).map(|gone| (gone, Vec::new())));
        Some(())
    }

    /// The convolution that a value comes from, used for nothing else, and the nodes of its activation: none, a single
    /// one, or `Sigmoid` and `Mul` (SiLU).
    fn convolution(&self, value: &str) -> Option<(usize, Vec<usize>)> {
        if let Some(place) = self.maker(value, "Conv") {
            return Some((place, Vec::new()));
        }
        for operator in ["Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Elu", "Mish"] {
            if let Some(place) = self.maker(value, operator) {
                let plain = self.nodes[place].input.first().filter(|plain| self.used(plain, 1))?;
                return Some((self.maker(plain, "Conv")?, vec![place]));
            }
        }
        let product = self.maker(value, "Mul")?;
        let [a, b] = &self.nodes[product].input[..] else { return None };
        let (plain, gate) = if self.maker(a, "Conv").is_some() { (a, b) } else { (b, a) };
        let sigmoid = self.maker(gate, "Sigmoid").filter(|&place| self.nodes[place].input[..] == [plain.clone()])?;
        let alone = self.used(plain, 2) && self.used(gate, 1);
        alone.then_some((self.maker(plain, "Conv")?, vec![sigmoid, product]))
    }

    /// How many of `count` channels each output of a `Split` has: whole blocks, or there is nothing to keep.
    fn sizes(&self, split: &Node, count: i64) -> Option<Vec<i64>> {
        let parts = split.output.len();
        let sizes = match (split.input.get(1).filter(|name| !name.is_empty()), split.attribute("split")) {
            (Some(name), _) => self.tensor(name, INT64)?.int64(),
            (None, Some(sizes)) => sizes.ints,
            (None, None) => vec![count / i64::try_from(parts).ok().filter(|&parts| parts > 0)?; parts],
        };
        let whole = sizes.iter().all(|size| (16..=count).contains(size) && size % 16 == 0);
        let sum = sizes.iter().try_fold(0i64, |sum, &size| sum.checked_add(size));
        (whole && sizes.len() == parts && sum == Some(count)).then_some(sizes)
    }

    /// The graph with its changes; `None` when a new name is taken already.
    fn write(&self, changes: &Changes) -> Option<Vec<u8>> {
        let replaced = |place: usize| changes.nodes.get(&place);
        let kept = (0..self.nodes.len()).filter(|&place| replaced(place).is_none()).map(|place| &self.nodes[place]);
        let new = || changes.nodes.values().flatten();
        let used: HashSet<&str> = kept.chain(new()).flat_map(|node| &node.input).map(String::as_str).collect();
        let old = || changes.nodes.keys().map(|&place| &self.nodes[place]);
        let gone: HashSet<&str> = old().flat_map(|node| &node.input).map(String::as_str).collect();
        let outputs: HashSet<&String> = old().flat_map(|node| &node.output).collect();
        let mut names = new().flat_map(|node| &node.output).chain(changes.tensors.iter().map(|tensor| &tensor.name));
        let taken = |name: &String| self.makers.contains_key(name) || self.tensors.contains_key(&name[..]);
        if names.any(|name| taken(name) && !outputs.contains(name)) {
            return None;
        }
        let mut graph = Vec::new();
        let mut places = 0..;
        for field in &self.fields {
            let new = match field.number {
                number::NODE => places.next().and_then(replaced),
                number::INITIALIZER => {
                    let (name, _) = tensor_head(field.content)?;
                    if gone.contains(name) && !used.contains(name) && !self.outputs.contains(name) {
                        continue;
                    }
                    None
                }
                _ => None,
            };
            match new {
                Some(nodes) => nodes.iter().for_each(|node| push(&mut graph, number::NODE, &node.encode_to_vec())),
                None => graph.extend_from_slice(field.whole),
            }
        }
        changes.tensors.iter().for_each(|new| push(&mut graph, number::INITIALIZER, &new.encode_to_vec()));
        Some(graph)
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use ort::value::TensorRef;
    use proptest::prelude::*;

    use super::*;
    use crate::model::ModelOptions;
    use crate::model::pool::{self, Optimise};

    fn exported(name: &str) -> (PathBuf, Vec<u8>) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(name).join("model.onnx");
        let graph = std::fs::read(&file).unwrap();
        (file, graph)
    }

    /// Operators of a graph, in its order.
    fn operators(model: &[u8]) -> Vec<String> {
        let parts = fields(model).unwrap();
        let graph = parts.iter().find(|part| part.number == number::GRAPH).unwrap();
        let graph = Graph::read(graph.content, opset(&parts).unwrap()).unwrap();
        graph.nodes.into_iter().map(|node| node.operator).collect()
    }

    /// What a graph gives for noise, output by output.
    fn run(graph: &[u8], path: &Path) -> Vec<Vec<f32>> {
        let mut session = pool::open(graph, path, &ModelOptions::default(), Optimise::Now, None).unwrap();
        let names: Vec<String> = session.outputs().iter().map(|output| output.name().to_owned()).collect();
        let shape = session.inputs()[0].dtype().tensor_shape().unwrap();
        // Where a side is free: one picture, and one of 64x64.
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
            let value = |name: &str| {
                let dims = [1u8, 8, 6, 10].iter().map(|&side| vec![8, side]).take(self.rank).collect();
                let tensor = TensorType { element: FLOAT as u64, shape: Some(Shape { dims }) };
                Value { name: name.to_owned(), of: Some(ValueType { tensor: Some(tensor) }) }.encode_to_vec()
            };
            // An output without a shape.
            let plain = |name: &&str| {
                let tensor = TensorType { element: FLOAT as u64, shape: None };
                Value { name: (*name).to_owned(), of: Some(ValueType { tensor: Some(tensor) }) }.encode_to_vec()
            };
            let mut graph = Vec::new();
            self.nodes.iter().for_each(|node| push(&mut graph, number::NODE, &node.encode_to_vec()));
            push(&mut graph, 2, b"sketch");
            self.tensors.iter().for_each(|tensor| push(&mut graph, number::INITIALIZER, &tensor.encode_to_vec()));
            self.inputs.iter().for_each(|name| match *name {
                "x" => push(&mut graph, number::INPUT, &value("x")),
                other => push(&mut graph, number::INPUT, &plain(&other)),
            });
            self.outputs.iter().for_each(|name| push(&mut graph, number::OUTPUT, &plain(name)));
            // The version of the format, 9, comes first; a field that nobody knows comes last.
            let mut model = vec![8, 9];
            push(&mut model, number::OPSET, &Opset { version: self.opset, ..Opset::default() }.encode_to_vec());
            push(&mut model, number::GRAPH, &graph);
            push(&mut model, 900, b"unknown");
            model
        }
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
            ("groups", edited(silu(), |s| s.nodes[0].attributes.push(Attribute::number("group", 2).encode_to_vec()))),
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
                    let inner = Attribute { graph: Some(Vec::new()), kind: 5, ..Attribute::default() };
                    s.nodes.push(Node::new("If", &["z"], "q").with(&inner));
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
}
