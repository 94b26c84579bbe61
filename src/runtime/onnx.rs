//! The parts of an ONNX file (`onnx.proto`) that are read here: enough to tell one from other files, and to rewrite
//! single nodes.

use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

use super::signature::Mismatch;

/// Refuses bytes that are no whole ONNX model, and says what they are where that can be told.
pub(super) fn check(bytes: &[u8]) -> Result<(), Mismatch> {
    let refused = |found: String| Err(Mismatch::new("an ONNX model (.onnx)", found));
    if let Some(other) = other_kind(bytes) {
        return refused(format!("{other}, {} bytes", bytes.len()));
    }
    let Some(parts) = fields(bytes) else {
        return refused(format!("{} bytes that are none, or one that was cut off", bytes.len()));
    };
    match parts.iter().filter(|part| part.number == number::GRAPH).count() {
        1 => Ok(()),
        count => refused(format!("a file with {count} graphs, where a model has one")),
    }
}

/// What a file is that people take for an ONNX model, told by its first bytes.
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
    pub(in crate::runtime) const TENSOR_TYPE: u32 = 2;
    pub(in crate::runtime) const TENSOR_NAME: u32 = 8;
}

/// Element types of ONNX.
pub(super) const FLOAT: i32 = 1;
pub(super) const INT64: i32 = 7;
pub(super) const HALVES: [u64; 2] = [10, 16];

#[derive(Clone, PartialEq, Message)]
pub(super) struct Opset {
    #[prost(string, tag = "1")]
    pub(super) domain: String,
    #[prost(int64, tag = "2")]
    pub(super) version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Node {
    #[prost(string, repeated, tag = "1")]
    pub(super) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) output: Vec<String>,
    #[prost(string, tag = "3")]
    pub(super) name: String,
    #[prost(string, tag = "4")]
    pub(super) operator: String,
    /// Each an [`Attribute`], kept as it is for nodes that are copied.
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub(super) attributes: Vec<Vec<u8>>,
    #[prost(string, tag = "7")]
    pub(super) domain: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Attribute {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(int64, optional, tag = "3")]
    pub(super) int: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "6")]
    pub(super) graph: Option<Vec<u8>>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub(super) ints: Vec<i64>,
    #[prost(bytes = "vec", repeated, tag = "11")]
    pub(super) graphs: Vec<Vec<u8>>,
    #[prost(int32, tag = "20")]
    pub(super) kind: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Tensor {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub(super) dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub(super) element: i32,
    #[prost(int64, repeated, tag = "7")]
    pub(super) ints: Vec<i64>,
    #[prost(string, tag = "8")]
    pub(super) name: String,
    #[prost(bytes = "vec", tag = "9")]
    pub(super) raw: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) of: Option<ValueType>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ValueType {
    #[prost(message, optional, tag = "1")]
    pub(super) tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorType {
    #[prost(uint64, tag = "1")]
    pub(super) element: u64,
    #[prost(message, optional, tag = "2")]
    pub(super) shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Shape {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(super) dims: Vec<Vec<u8>>,
}

/// A field of a message: all of its bytes, and what it holds: bytes or a number.
pub(super) struct Field<'m> {
    pub(super) number: u32,
    pub(super) whole: &'m [u8],
    pub(super) content: &'m [u8],
    pub(super) value: u64,
}

pub(super) fn fields(message: &[u8]) -> Option<Vec<Field<'_>>> {
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

pub(super) fn push(message: &mut Vec<u8>, number: u32, content: &[u8]) {
    encode_key(number, WireType::LengthDelimited, message);
    encode_varint(content.len() as u64, message);
    message.extend_from_slice(content);
}

/// Name and element type of a tensor; its numbers are not copied.
pub(super) fn tensor_head(tensor: &[u8]) -> Option<(&str, u64)> {
    let fields = fields(tensor)?;
    let find = |number| fields.iter().find(|field| field.number == number);
    let name = std::str::from_utf8(find(number::TENSOR_NAME)?.content).ok()?;
    Some((name, find(number::TENSOR_TYPE).map_or(0, |field| field.value)))
}

/// The version of ONNX's own operators.
pub(super) fn opset(model: &[Field<'_>]) -> Option<i64> {
    let sets = model.iter().filter(|field| field.number == number::OPSET);
    let mut sets = sets.filter_map(|field| Opset::decode(field.content).ok());
    sets.find(|set| set.domain.is_empty() || set.domain == "ai.onnx").map(|set| set.version)
}

impl Node {
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
        self.attributes.push(attribute.encode_to_vec());
        self
    }

    pub(super) fn is(&self, operator: &str) -> bool {
        self.domain.is_empty() && self.operator == operator
    }

    pub(super) fn attribute(&self, name: &str) -> Option<Attribute> {
        let mut attributes = self.attributes.iter().filter_map(|bytes| Attribute::decode(&bytes[..]).ok());
        attributes.find(|attribute| attribute.name == name)
    }

    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name)?.int
    }
}

impl Attribute {
    pub(super) fn number(name: &str, int: i64) -> Self {
        Attribute { name: name.to_owned(), int: Some(int), kind: 2, ..Attribute::default() }
    }

    pub(super) fn numbers(name: &str, ints: Vec<i64>) -> Self {
        Attribute { name: name.to_owned(), ints, kind: 7, ..Attribute::default() }
    }
}

impl Tensor {
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
            (b"\x08", "cut off"),
            (b"\x08\x07", "0 graphs"),
        ] {
            assert!(found(bytes).contains(says), "{}", found(bytes));
        }
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pcb/model.onnx");
        let whole = std::fs::read(path).unwrap();
        assert_eq!(check(&whole), Ok(()));
        assert!(found(&whole[..whole.len() - 1]).contains("cut off"));
    }
}
