//! What lies anywhere in an ONNX file: in its graph, in graphs inside of nodes, in functions.

use std::collections::BTreeSet;

use super::onnx::{self, number};
use super::signature::Mismatch;
use super::wire::Fields;

/// Most bytes of one tensor: as many as a file of Protocol Buffers can hold.
const LARGEST: u64 = 1 << 31;

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
    let mut sides = dims.iter().map(|&dim| u64::try_from(dim).ok());
    let bytes = match dims.contains(&0) {
        true => Some(0),
        false => sides.try_fold(element, |bytes: u64, side| bytes.checked_mul(side?)),
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

#[cfg(test)]
mod tests {
    use super::super::wire::{push, push_number, push_text};
    use super::*;

    /// A message with one field that holds another.
    fn holding(number: u32, content: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        push(&mut message, number, content);
        message
    }

    fn entry(key: &str, value: &[u8]) -> Vec<u8> {
        let mut entry = holding(1, key.as_bytes());
        push(&mut entry, 2, value);
        holding(number::EXTERNAL_DATA, &entry)
    }

    /// A tensor in a file.
    fn outside(file: &str) -> Vec<u8> {
        [entry("offset", b"0"), entry("location", file.as_bytes())].concat()
    }

    fn model(graph: &[u8]) -> Vec<u8> {
        holding(number::GRAPH, graph)
    }

    fn files(model: &[u8]) -> Vec<String> {
        external_files(model).unwrap().into_iter().collect()
    }

    #[test]
    fn files_are_found_wherever_a_tensor_can_lie() {
        let node = |attribute: &[u8]| holding(number::NODE, &holding(5, attribute));
        let sparse = [holding(1, &outside("values")), holding(2, &outside("indices"))].concat();
        let initializer = |file: &str| holding(number::INITIALIZER, &outside(file));
        let branch = node(&holding(6, &[initializer("branch"), node(&holding(11, &initializer("deep")))].concat()));
        for (graph, want) in [
            (initializer("initializer"), vec!["initializer"]),
            (holding(15, &sparse), vec!["indices", "values"]),
            (node(&holding(5, &outside("constant"))), vec!["constant"]),
            (node(&holding(10, &outside("one of several"))), vec!["one of several"]),
            (node(&holding(22, &sparse)), vec!["indices", "values"]),
            (branch, vec!["branch", "deep"]),
        ] {
            assert_eq!(files(&model(&graph)), want);
        }
        let function = holding(25, &holding(7, &holding(5, &holding(5, &outside("function")))));
        let training = holding(20, &holding(1, &initializer("training")));
        let whole = [model(&initializer("a")), function, training].concat();
        assert_eq!(files(&whole), ["a", "function", "training"]);
        // The parts of a message that is written twice are one message.
        let halves = [holding(5, &entry("location", b"first")), holding(5, &entry("length", b"8"))].concat();
        assert_eq!(files(&model(&node(&halves))), ["first"]);
    }

    #[test]
    fn what_no_file_can_mean_is_refused() {
        let problem = |graph: &[u8]| external_files(&model(graph)).unwrap_err().found;
        let tensor = |content: &[u8]| holding(number::INITIALIZER, content);
        let sized = |dims: &[i64], element: i64| {
            let mut tensor = Vec::new();
            dims.iter().for_each(|&dim| push_number(&mut tensor, 1, dim));
            push_number(&mut tensor, 2, element);
            push_text(&mut tensor, 8, "w");
            tensor
        };
        assert!(problem(&tensor(&entry("location", b"\xff"))).contains("UTF-8"));
        assert!(problem(&tensor(&entry("location", b"*/_ORT_MEM_ADDR_/*"))).contains("an address in memory"));
        assert!(problem(&tensor(&[0x0a, 9])).contains("damaged"));
        for dims in [&[1 << 31][..], &[1 << 62, 1 << 62], &[-1], &[1 << 20, 1 << 20]] {
            assert!(problem(&tensor(&sized(dims, 1))).contains("more than the 2 GiB"), "{dims:?}");
        }
        assert!(
            problem(&holding(15, &{
                let mut sparse = Vec::new();
                push_number(&mut sparse, 3, 1 << 40);
                sparse
            }))
            .contains("more than the 2 GiB")
        );
        for (dims, element) in [(&[1 << 29][..], 1), (&[1 << 31], 2), (&[0, 1 << 62], 1), (&[], 1)] {
            assert_eq!(files(&model(&tensor(&sized(dims, element)))), Vec::<String>::new(), "{dims:?}");
        }
        let mut nested = tensor(&outside("deep"));
        for _ in 0..40 {
            nested = holding(number::NODE, &holding(5, &holding(6, &nested)));
        }
        assert!(problem(&nested).contains("more than 100 messages"));
    }

    #[test]
    fn operators_of_others_are_told() {
        let node = |operator: &str, domain: &str| {
            let mut node = Vec::new();
            push_text(&mut node, 4, operator);
            push_text(&mut node, 7, domain);
            holding(number::NODE, &node)
        };
        let graph = [
            node("Conv", ""),
            node("FusedConv", "com.microsoft"),
            node("ZipMap", "ai.onnx.ml"),
            node("EfficientNMS_TRT", ""),
            node("grid_sampler", "mmdeploy"),
            node("Own", "mine"),
        ];
        let own = holding(25, &[holding(1, b"Own"), holding(10, b"mine")].concat());
        let found = foreign_operators(&[model(&graph.concat()), own].concat());
        let named = |domain: &str, operator: &str| (domain.to_owned(), operator.to_owned());
        assert_eq!(Vec::from_iter(found), [named("", "EfficientNMS_TRT"), named("mmdeploy", "grid_sampler")]);
    }
}
