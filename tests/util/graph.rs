//! Small ONNX graphs, written by hand: what they give does not depend on the picture.

use std::fs;
use std::path::Path;

/// A field of a message: its number and the bytes that follow its key.
fn field(number: u8, wire: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | wire];
    bytes.extend(value);
    bytes
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 127 {
        bytes.push(value as u8 | 128);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn number(of: u8, value: u64) -> Vec<u8> {
    field(of, 0, &varint(value))
}

fn bytes(of: u8, value: &[u8]) -> Vec<u8> {
    field(of, 2, &[varint(value.len() as u64), value.to_vec()].concat())
}

fn text(of: u8, value: &str) -> Vec<u8> {
    bytes(of, value.as_bytes())
}

/// The element types of outputs.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Element {
    F32 = 1,
    I64 = 7,
}

/// An output of a graph: its name, its type, its shape and its numbers.
pub(crate) struct Given<'a> {
    pub(crate) name: &'a str,
    pub(crate) element: Element,
    pub(crate) shape: &'a [usize],
    pub(crate) numbers: Vec<f32>,
}

impl<'a> Given<'a> {
    /// Numbers of single precision.
    pub(crate) fn new(name: &'a str, shape: &'a [usize], numbers: impl Into<Vec<f32>>) -> Self {
        Given { name, element: Element::F32, shape, numbers: numbers.into() }
    }
}

fn port(name: &str, element: Element, shape: &[usize]) -> Vec<u8> {
    let dimensions: Vec<u8> = shape.iter().flat_map(|&side| bytes(1, &number(1, side as u64))).collect();
    let tensor = [number(1, element as u64), bytes(2, &dimensions)].concat();
    [text(1, name), bytes(2, &bytes(1, &tensor))].concat()
}

/// A graph that takes a picture `[1, 1, height, width]` and gives the same whatever is on it.
pub(crate) fn graph((height, width): (usize, usize), outputs: &[Given<'_>]) -> Vec<u8> {
    let mut graph = text(2, "g");
    graph.extend(bytes(11, &port("image", Element::F32, &[1, 1, height, width])));
    for Given { name, element, shape, numbers } in outputs {
        let constant = format!("{name}_is");
        graph.extend(bytes(1, &[text(1, &constant), text(2, name), text(4, "Identity")].concat()));
        let raw: Vec<u8> = match element {
            Element::F32 => numbers.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Element::I64 => numbers.iter().flat_map(|v| (*v as i64).to_le_bytes()).collect(),
        };
        let dimensions: Vec<u8> = shape.iter().flat_map(|&side| number(1, side as u64)).collect();
        let tensor = [dimensions, number(2, *element as u64), text(8, &constant), bytes(9, &raw)].concat();
        graph.extend(bytes(5, &tensor));
        graph.extend(bytes(12, &port(name, *element, shape)));
    }
    let opset = [text(1, ""), number(2, 17)].concat();
    [number(1, 8), bytes(7, &graph), bytes(8, &opset)].concat()
}

/// Writes a package of a graph of 24 x 32 pixels with these outputs: its task, and the `[output]` table.
pub(crate) fn write_package(folder: &Path, task: &str, output: &str, outputs: &[Given<'_>]) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("model.onnx"), graph((24, 32), outputs)).unwrap();
    let manifest = format!(
        "schema = 1\nname = \"m\"\ntask = \"{task}\"\n[input]\nsize = [24, 32]\nchannels = \"gray\"\nfit = \
         \"stretch\"\n[output]\n{output}\n"
    );
    fs::write(folder.join("model.toml"), manifest).unwrap();
}
