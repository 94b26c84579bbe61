//! Parts of a graph that ONNX Runtime's CPU provider runs slower than other operators that compute the same, written
//! anew before it gets the graph. Times are of ONNX Runtime 1.32, one thread, AVX-512.
//!
//! * `Softmax` over the channels of `[N, C, H, W]` moves all numbers so that the channels are last, and back. As
//!   `ReduceMax`, `Sub`, `Exp`, `ReduceSum`, `Div` it takes a fifth to a sixth: 3.0 and 0.5 ms for the boxes of a YOLO
//!   at 640x640, 57 and 10 ms for 21 kinds at 512x512.
//! * `Split` of the channels of a 1x1 convolution: the provider keeps channels in blocks of 8 or 16, but `Split` and
//!   all that follows want them plain. As one convolution for each part, the blocks stay (a YOLO11n: 34.4 and 33.3 ms).
//!
//! Results are the same up to the rounding of single operators. All bytes that are not of such a part stay as they are,
//! and a graph that cannot be read, or where anything is unusual, stays as a whole.

use std::collections::{HashMap, HashSet};

use super::onnx::{Attribute, FLOAT, HALVES, INT64, Node, Tensor, Value, number, opset, tensor_head};
use super::wire::{Field, fields, push};

/// The graph for the CPU provider; `None` when it stays as it is.
pub(super) fn for_cpu(model: &[u8]) -> Option<Vec<u8>> {
    let parts = fields(model)?;
    let graphs: Vec<_> = parts.iter().filter(|part| part.number == number::GRAPH).collect();
    let [bytes] = graphs[..] else { return None };
    let graph = Graph::read(bytes.bytes()?, opset(&parts)?)?;
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
                number::NODE => graph.nodes.push(Node::decode(field.bytes()?)?),
                number::INITIALIZER => {
                    let bytes = field.bytes()?;
                    let (name, element) = tensor_head(bytes)?;
                    graph.tensors.insert(name, bytes);
                    graph.half |= HALVES.contains(&element);
                }
                number::INPUT | number::OUTPUT | number::VALUE => {
                    let value = Value::decode(field.bytes()?)?;
                    if field.number == number::OUTPUT {
                        *graph.uses.entry(value.name.clone()).or_default() += 1;
                        graph.outputs.insert(value.name.clone());
                    }
                    if field.number == number::INPUT {
                        inputs.insert(value.name.clone());
                    }
                    let Some(element) = value.element else { continue };
                    graph.half |= HALVES.contains(&element);
                    if let Some(rank) = value.rank {
                        graph.ranks.insert(value.name, rank);
                    }
                }
                _ => {}
            }
        }
        // Values of a tensor that is an input as well are the caller's.
        graph.tensors.retain(|name, _| !inputs.contains(*name));
        for (place, node) in graph.nodes.iter().enumerate() {
            for bytes in &node.attributes {
                let attribute = Attribute::decode(bytes)?;
                // A graph in the graph uses values of this one by their names.
                if attribute.graphs {
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
        Tensor::decode(self.tensors.get(name)?).filter(|tensor| tensor.element == element)
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
                    let (name, _) = tensor_head(field.bytes()?)?;
                    if gone.contains(name) && !used.contains(name) && !self.outputs.contains(name) {
                        continue;
                    }
                    None
                }
                _ => None,
            };
            match new {
                Some(nodes) => nodes.iter().for_each(|node| push(&mut graph, number::NODE, &node.encode())),
                None => graph.extend_from_slice(field.whole),
            }
        }
        changes.tensors.iter().for_each(|new| push(&mut graph, number::INITIALIZER, &new.encode()));
        Some(graph)
    }
}

#[cfg(test)]
mod tests;
