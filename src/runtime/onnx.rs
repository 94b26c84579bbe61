//! The parts of an ONNX file (`onnx.proto`) that are read here: enough to tell one from other files, and to rewrite
//! single nodes.

use super::signature::Mismatch;
use super::wire::{Field, Fields, fields, push, push_number, push_text};

/// Refuses bytes that are not a whole ONNX model, and says what they are where that is known.
pub(super) fn check(bytes: &[u8]) -> Result<(), Mismatch> {
    let refused = |found: String| Err(Mismatch::new("an ONNX model (.onnx)", found));
    if let Some(other) = other_kind(bytes) {
        return refused(format!("{other}, {} bytes", bytes.len()));
    }
    let mut graphs = 0;
    for part in Fields::of(bytes) {
        match part {
            Some(part) if part.number == number::GRAPH => graphs += 1,
            Some(_) => {}
            None => return refused(format!("{} bytes that are not one, or a truncated one", bytes.len())),
        }
    }
    match graphs {
        1 => Ok(()),
        count => refused(format!("a file with {count} graphs, where a model has one")),
    }
}

/// What a file mistaken for an ONNX model is, by its first bytes.
fn other_kind(bytes: &[u8]) -> Option<&'static str> {
    let starts: [(&[u8], &str); 10] = [
        (b"version https://git-lfs", "a Git LFS pointer, whose file was not fetched"),
        (b"PK\x03\x04", "a ZIP archive (PyTorch's .pt files are such): export it to ONNX"),
        (b"\x80\x02", "a Python pickle (an old PyTorch file): export it to ONNX"),
        (b"\x89HDF", "an HDF5 file (Keras): export it to ONNX"),
        (b"\x1f\x8b", "a gzip archive: unpack it"),
        (b"<?xml", "an XML file (OpenVINO's model description is one): export it to ONNX"),
        (b"<!DOCTYPE", "a web page"),
        (b"<html", "a web page"),
        (b"ftrt", "a TensorRT engine: it has no ONNX graph"),
        (b"{", "a JSON file"),
    ];
    if bytes.is_empty() {
        return Some("an empty file");
    }
    if bytes.get(4..8) == Some(b"ORTM") {
        return Some("a model in ONNX Runtime's own format (.ort): use the .onnx file that it was made of");
    }
    if bytes.get(4..8) == Some(b"TFL3") {
        return Some("a TensorFlow Lite model: export it to ONNX");
    }
    starts.iter().find(|(start, _)| bytes.starts_with(start)).map(|(_, kind)| *kind)
}

/// Numbers of the fields that are read one by one, as in `onnx.proto`.
pub(super) mod number {
    pub(in crate::runtime) const GRAPH: u32 = 7;
    pub(in crate::runtime) const OPSET: u32 = 8;
    pub(in crate::runtime) const NODE: u32 = 1;
    pub(in crate::runtime) const INITIALIZER: u32 = 5;
    pub(in crate::runtime) const INPUT: u32 = 11;
    pub(in crate::runtime) const OUTPUT: u32 = 12;
    pub(in crate::runtime) const VALUE: u32 = 13;
    pub(in crate::runtime) const TENSOR_DIMS: u32 = 1;
    pub(in crate::runtime) const TENSOR_TYPE: u32 = 2;
    pub(in crate::runtime) const TENSOR_NAME: u32 = 8;
    pub(in crate::runtime) const EXTERNAL_DATA: u32 = 13;
}

/// Element types of ONNX.
pub(super) const FLOAT: i32 = 1;
pub(super) const INT64: i32 = 7;
pub(super) const HALVES: [u64; 2] = [10, 16];

/// What a node computes, of `NodeProto`.
#[derive(Clone, PartialEq, Default)]
pub(super) struct Node {
    pub(super) input: Vec<String>,
    pub(super) output: Vec<String>,
    pub(super) name: String,
    pub(super) operator: String,
    /// Each an [`Attribute`], kept as it is for nodes that are copied.
    pub(super) attributes: Vec<Vec<u8>>,
    pub(super) domain: String,
}

/// Of `AttributeProto`.
#[derive(Clone, PartialEq, Default)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) int: Option<i64>,
    pub(super) ints: Vec<i64>,
    /// Whether it holds a graph, or several.
    pub(super) graphs: bool,
    pub(super) kind: i64,
}

/// Of `TensorProto`.
#[derive(Clone, PartialEq, Default)]
pub(super) struct Tensor {
    pub(super) dims: Vec<i64>,
    pub(super) element: i32,
    pub(super) ints: Vec<i64>,
    pub(super) name: String,
    pub(super) raw: Vec<u8>,
}

/// Of `ValueInfoProto`.
#[derive(Clone, PartialEq, Default)]
pub(super) struct Value {
    pub(super) name: String,
    /// Element type, of a tensor.
    pub(super) element: Option<u64>,
    /// Number of axes, where a shape is declared.
    pub(super) rank: Option<usize>,
}

/// Name and element type of a tensor; its numbers are not copied.
pub(super) fn tensor_head(tensor: &[u8]) -> Option<(&str, u64)> {
    let fields = fields(tensor)?;
    let find = |number| fields.iter().find(|field| field.number == number);
    let name = find(number::TENSOR_NAME)?.text()?;
    Some((name, find(number::TENSOR_TYPE).map_or(Some(0), Field::number)?))
}

/// The version of ONNX's own operators.
pub(super) fn opset(model: &[Field<'_>]) -> Option<i64> {
    model.iter().filter(|field| field.number == number::OPSET).find_map(|set| {
        let (mut domain, mut version) = ("", 0);
        for field in fields(set.bytes()?)? {
            match field.number {
                1 => domain = field.text()?,
                2 => version = field.number()? as i64,
                _ => {}
            }
        }
        matches!(domain, "" | "ai.onnx").then_some(version)
    })
}

impl Node {
    /// `None` for bytes that are not a node.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut node = Node::default();
        for field in fields(bytes)? {
            match field.number {
                1 => node.input.push(field.text()?.to_owned()),
                2 => node.output.push(field.text()?.to_owned()),
                3 => node.name = field.text()?.to_owned(),
                4 => node.operator = field.text()?.to_owned(),
                5 => node.attributes.push(field.bytes()?.to_vec()),
                7 => node.domain = field.text()?.to_owned(),
                _ => {}
            }
        }
        Some(node)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.input.iter().for_each(|name| push(&mut bytes, 1, name.as_bytes()));
        self.output.iter().for_each(|name| push(&mut bytes, 2, name.as_bytes()));
        push_text(&mut bytes, 3, &self.name);
        push_text(&mut bytes, 4, &self.operator);
        self.attributes.iter().for_each(|attribute| push(&mut bytes, 5, attribute));
        push_text(&mut bytes, 7, &self.domain);
        bytes
    }

    pub(super) fn new(operator: &str, input: &[&str], output: &str) -> Self {
        Node {
            operator: operator.to_owned(),
            input: input.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: output.to_owned(),
            ..Node::default()
        }
    }

    pub(super) fn with(mut self, attribute: &Attribute) -> Self {
        self.attributes.push(attribute.encode());
        self
    }

    pub(super) fn is(&self, operator: &str) -> bool {
        self.domain.is_empty() && self.operator == operator
    }

    pub(super) fn attribute(&self, name: &str) -> Option<Attribute> {
        let mut attributes = self.attributes.iter().filter_map(|bytes| Attribute::decode(bytes));
        attributes.find(|attribute| attribute.name == name)
    }

    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name)?.int
    }
}

impl Attribute {
    /// `None` for bytes that are not an attribute.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut attribute = Attribute::default();
        for field in fields(bytes)? {
            match field.number {
                1 => attribute.name = field.text()?.to_owned(),
                3 => attribute.int = Some(field.number()? as i64),
                6 | 11 => attribute.graphs |= field.bytes().map(|_| true)?,
                8 => field.numbers(&mut attribute.ints)?,
                20 => attribute.kind = field.number()? as i64,
                _ => {}
            }
        }
        Some(attribute)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        push_text(&mut bytes, 1, &self.name);
        self.int.iter().for_each(|&int| push_number(&mut bytes, 3, int));
        self.ints.iter().for_each(|&int| push_number(&mut bytes, 8, int));
        push_number(&mut bytes, 20, self.kind);
        bytes
    }

    pub(super) fn number(name: &str, int: i64) -> Self {
        Attribute { name: name.to_owned(), int: Some(int), kind: 2, ..Attribute::default() }
    }

    pub(super) fn numbers(name: &str, ints: Vec<i64>) -> Self {
        Attribute { name: name.to_owned(), ints, kind: 7, ..Attribute::default() }
    }
}

impl Tensor {
    /// `None` for bytes that are not a tensor.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut tensor = Tensor::default();
        for field in fields(bytes)? {
            match field.number {
                1 => field.numbers(&mut tensor.dims)?,
                2 => tensor.element = i32::try_from(field.number()?).ok()?,
                7 => field.numbers(&mut tensor.ints)?,
                8 => tensor.name = field.text()?.to_owned(),
                9 => tensor.raw = field.bytes()?.to_vec(),
                _ => {}
            }
        }
        Some(tensor)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.dims.iter().for_each(|&dim| push_number(&mut bytes, 1, dim));
        push_number(&mut bytes, 2, i64::from(self.element));
        self.ints.iter().for_each(|&int| push_number(&mut bytes, 7, int));
        push_text(&mut bytes, 8, &self.name);
        if !self.raw.is_empty() {
            push(&mut bytes, 9, &self.raw);
        }
        bytes
    }

    /// The bytes of parts along the first axis, of a tensor of [`FLOAT`] that holds its numbers itself.
    pub(super) fn parts(&self, sizes: &[i64]) -> Option<Vec<Vec<u8>>> {
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

    pub(super) fn int64(&self) -> Vec<i64> {
        if self.raw.is_empty() {
            return self.ints.clone();
        }
        self.raw.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()
    }
}

impl Value {
    /// `None` for bytes that declare no value.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut value = Value::default();
        for field in fields(bytes)? {
            match field.number {
                1 => value.name = field.text()?.to_owned(),
                // The type: a tensor is its first field.
                2 => {
                    for of in fields(field.bytes()?)?.iter().filter(|of| of.number == 1) {
                        value.tensor(of.bytes()?)?;
                    }
                }
                _ => {}
            }
        }
        Some(value)
    }

    fn tensor(&mut self, bytes: &[u8]) -> Option<()> {
        let element = self.element.get_or_insert(0);
        for field in fields(bytes)? {
            match field.number {
                1 => *element = field.number()?,
                2 => {
                    let dims = fields(field.bytes()?)?;
                    self.rank = Some(dims.iter().filter(|dim| dim.number == 1).count());
                }
                _ => {}
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_no_model_are_told_by_their_name() {
        let found = |bytes: &[u8]| check(bytes).unwrap_err().found;
        for (bytes, says) in [
            (&b""[..], "an empty file"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer"),
            (b"PK\x03\x04rest", "a ZIP archive"),
            (b"\x18\0\0\0ORTM\0\0", "ONNX Runtime's own format"),
            (b"\x1c\0\0\0TFL3\0\0", "TensorFlow Lite"),
            (b"{\"error\": \"not found\"}", "a JSON file"),
            (b"\x08", "truncated"),
            (b"\x08\x07", "0 graphs"),
        ] {
            assert!(found(bytes).contains(says), "{}", found(bytes));
        }
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pcb/model.onnx");
        let whole = std::fs::read(path).unwrap();
        assert_eq!(check(&whole), Ok(()));
        assert!(found(&whole[..whole.len() - 1]).contains("truncated"));
    }
}
