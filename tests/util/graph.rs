//! Small ONNX graphs: what they give does not depend on the picture.

use std::fs;
use std::path::Path;

use super::onnx::{self, Onnx};

/// The element types of outputs.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Element {
    F32,
    I64,
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

/// A graph that takes a picture `[1, 1, height, width]` and gives the same whatever is on it.
pub(crate) fn graph((height, width): (usize, usize), outputs: &[Given<'_>]) -> Vec<u8> {
    let image = Onnx::new().input("image", onnx::F32, &[1, 1, height as i64, width as i64]);
    let graph = outputs.iter().fold(image, |graph, Given { name, element, shape, numbers }| {
        let (element, raw) = match element {
            Element::F32 => (onnx::F32, onnx::floats(numbers)),
            Element::I64 => (onnx::I64, onnx::longs(&numbers.iter().map(|&v| v as i64).collect::<Vec<_>>())),
        };
        let dims: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
        let constant = format!("{name}_is");
        let graph = graph.tensor(&constant, element, &dims, &raw);
        graph.node("Identity", &[&constant], &[name]).output(name, element, &dims)
    });
    graph.bytes()
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
