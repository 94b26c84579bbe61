//! What lies anywhere in an ONNX file: in its graph, in graphs inside of nodes, in functions.

use std::collections::BTreeSet;

use super::onnx::{self, number};
use super::signature::Mismatch;
use super::wire::Fields;

/// Most bytes of one tensor: as many as a file of Protocol Buffers can hold.
pub(super) const LARGEST: u64 = 1 << 31;

/// Levels of messages inside of one another that Protocol Buffers reads.
const DEEPEST: usize = 100;

/// The messages of `onnx.proto` in which tensors and nodes can lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Training,
    Function,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
}

impl Message {
    /// What a field of it holds, if that can hold tensors or nodes.
    fn inside(self, field: u32) -> Option<Message> {
        Some(match (self, field) {
            (Message::Model, 7) | (Message::Training, 1 | 2) | (Message::Attribute, 6 | 11) => Message::Graph,
            (Message::Model, 20) => Message::Training,
            (Message::Model, 25) => Message::Function,
            (Message::Graph, 1) | (Message::Function, 7) => Message::Node,
            (Message::Graph, 5) | (Message::Attribute, 5 | 10) | (Message::SparseTensor, 1 | 2) => Message::Tensor,
            (Message::Graph, 15) | (Message::Attribute, 22 | 23) => Message::SparseTensor,
            (Message::Node, 5) | (Message::Function, 11) => Message::Attribute,
            _ => return None,
        })
    }
}

/// Checks that bytes are an ONNX model whose tensors can be held, and gives the names of the files in which some of
/// them lie, as the model has them: paths beside it.
pub(crate) fn external_files(model: &[u8]) -> Result<BTreeSet<String>, Mismatch> {
    onnx::check(model)?;
    let mut files = BTreeSet::new();
    walk(model, |message, fields| match message {
        Message::Tensor => tensor(fields, &mut files),
        Message::SparseTensor => sparse_tensor(fields),
        _ => Ok(()),
    })?;
    Ok(files)
}

/// The operators that ONNX Runtime lacks and that are known to come from elsewhere, each with its domain.
pub(super) fn foreign_operators(model: &[u8]) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let mut functions = BTreeSet::new();
    let walked = walk(model, |message, fields| {
        let (operator, domain) = match message {
            Message::Node => (4, 7),
            Message::Function => (1, 10),
            _ => return Ok(()),
        };
        let text = |number| {
            let mut texts = fields.clone().flatten().filter(move |field| field.number == number);
            texts.find_map(|field| field.text()).unwrap_or_default().to_owned()
        };
        let named = (text(domain), text(operator));
        if message == Message::Function {
            functions.insert(named.0);
        } else if !is_of_the_runtime(&named.0, &named.1) {
            found.insert(named);
        }
        Ok(())
    });
    if walked.is_err() {
        return BTreeSet::new();
    }
    found.retain(|(domain, _)| !functions.contains(domain));
    found
}

/// Whether ONNX Runtime has the operators of a domain, as far as that can be told without asking it.
fn is_of_the_runtime(domain: &str, operator: &str) -> bool {
    let known = matches!(domain, "" | "ai.onnx" | "org.pytorch.aten")
        || ["ai.onnx.", "com.microsoft", "com.ms."].iter().any(|start| domain.starts_with(start));
    known && !operator.ends_with("_TRT")
}

/// Gives `visit` every message in which tensors or nodes can lie, from the outside to the inside.
fn walk<'m>(
    model: &'m [u8],
    mut visit: impl FnMut(Message, Fields<'m>) -> Result<(), Mismatch>,
) -> Result<(), Mismatch> {
    // Open messages, not calls: a file decides how deep they lie in one another.
    let mut open = vec![(Message::Model, Fields::of(model))];
    while let Some((message, fields)) = open.last_mut() {
        let message = *message;
        let Some(field) = fields.next() else {
            open.pop();
            continue;
        };
        let field = field.ok_or_else(damaged)?;
        let Some((inside, bytes)) = message.inside(field.number).zip(field.bytes()) else { continue };
        if open.len() >= DEEPEST {
            return Err(refused(format!("more than {DEEPEST} messages inside of one another")));
        }
        visit(inside, Fields::of(bytes))?;
        open.push((inside, Fields::of(bytes)));
    }
    Ok(())
}

/// Notes the file in which a tensor lies; refuses one whose numbers would not fit into a file.
fn tensor(fields: Fields<'_>, files: &mut BTreeSet<String>) -> Result<(), Mismatch> {
    let (mut dims, mut element, mut outside) = (Vec::new(), 0, false);
    for field in fields {
        let field = field.ok_or_else(damaged)?;
        match field.number {
            1 => field.numbers(&mut dims).ok_or_else(damaged)?,
            2 => element = field.number().unwrap_or(0),
            number::EXTERNAL_DATA => {
                if let Some(name) = location(Fields::of(field.bytes().ok_or_else(damaged)?))? {
                    outside = true;
                    files.insert(name);
                }
            }
            _ => {}
        }
    }
    // A file has its own size, which ONNX Runtime compares.
    if outside { Ok(()) } else { held(&dims, element_bytes(element)) }
}

/// The file that an entry of a tensor's external data names; `None` for the other entries.
fn location(entry: Fields<'_>) -> Result<Option<String>, Mismatch> {
    let (mut key, mut value) = (&b""[..], &b""[..]);
    for field in entry {
        let field = field.ok_or_else(damaged)?;
        match field.number {
            1 => key = field.bytes().unwrap_or_default(),
            2 => value = field.bytes().unwrap_or_default(),
            _ => {}
        }
    }
    if key != b"location" {
        return Ok(None);
    }
    let name = std::str::from_utf8(value).map_err(|_| refused("the name of a file that is not UTF-8".to_owned()))?;
    // ONNX Runtime's own mark for numbers that a program holds: an address, which no file may choose.
    if name.starts_with("*/_ORT_MEM") {
        return Err(refused(format!("a tensor in the place of a file `{name}`, an address in memory")));
    }
    Ok(Some(name.to_owned()))
}

/// Refuses a sparse tensor that would be too large in full, which is how ONNX Runtime holds it.
fn sparse_tensor(fields: Fields<'_>) -> Result<(), Mismatch> {
    let mut dims = Vec::new();
    for field in fields {
        let field = field.ok_or_else(damaged)?;
        if field.number == 3 {
            field.numbers(&mut dims).ok_or_else(damaged)?;
        }
    }
    held(&dims, element_bytes(onnx::FLOAT as u64))
}

fn held(dims: &[i64], element: u64) -> Result<(), Mismatch> {
    let sides = dims.iter().map(|&dim| u64::try_from(dim).ok());
    let bytes = match dims.contains(&0) {
        true => Some(0),
        false => sides.fold(Some(element), |bytes, side| bytes?.checked_mul(side?)),
    };
    if bytes.is_some_and(|bytes| bytes <= LARGEST) {
        return Ok(());
    }
    Err(refused(format!("a tensor {dims:?}, more than the {} GiB that one can hold", LARGEST >> 30)))
}

/// Bytes of a number of an element type of ONNX.
fn element_bytes(element: u64) -> u64 {
    match element {
        1 | 6 | 12 => 4,
        4 | 5 | 10 | 16 => 2,
        7 | 11 | 13 | 14 => 8,
        15 => 16,
        _ => 1,
    }
}

fn refused(found: String) -> Mismatch {
    Mismatch::new("an ONNX model (.onnx)", found)
}

fn damaged() -> Mismatch {
    refused("a damaged one: a part of it is no message of Protocol Buffers".to_owned())
}
