//! How large the values of a graph are, before anything of it is computed. A few bytes can ask for a value of any size
//! (`ConstantOfShape`, `Tile`, an outer product), which ONNX Runtime would compute while it optimises the graph.

use std::collections::HashSet;
use std::path::Path;

use super::onnx::{Node, Value, number, tensor_head};
use super::options::GraphOptions;
use super::session::{self, Optimise};
use super::signature::{Mismatch, Port, Signature};
use super::wire::{Fields, fields, push, push_number};

/// Most bytes of one value. Maps of 64 channels at 4096x4096 pixels are as large.
const LARGEST: u64 = 1 << 32;

/// Tensors of more bytes do not decide shapes. They become inputs, so that no weight is copied.
const WEIGHT: usize = 4096;

/// Refuses a graph with a value of more than [`LARGEST`] bytes, as far as its shape can be told from the graph alone:
/// ONNX Runtime tells the shapes of all values once each is an output. A dimension that only a frame decides counts as
/// 1.
///
/// Values in graphs inside of nodes, and those whose shape follows from computed numbers, are not seen.
pub(super) fn check(model: &[u8], path: &Path) -> Result<(), Mismatch> {
    let Some(told) = all_values_as_outputs(model) else { return Ok(()) };
    // What does not open in this form is left to the real one, which says what is wrong.
    let Ok(session) = session::open(&told, path, &GraphOptions::default(), Optimise::Done, None) else {
        return Ok(());
    };
    let too_large = |port: &&Port| bytes(port).is_none_or(|bytes| bytes > LARGEST);
    match Signature::of(&session).outputs.iter().find(too_large) {
        None => Ok(()),
        Some(port) => {
            let expected = format!("a graph with values of at most {} GiB", LARGEST >> 30);
            Err(Mismatch::new(expected, format!("{port}, which it would compute")))
        }
    }
}

/// Bytes of a value; `None` for more than can be counted.
fn bytes(port: &Port) -> Option<u64> {
    let element = match &*port.element {
        "f64" | "i64" | "u64" => 8,
        "f32" | "i32" | "u32" => 4,
        "f16" | "bf16" | "i16" | "u16" => 2,
        _ => 1,
    };
    port.shape.iter().try_fold(element, |bytes: u64, side| bytes.checked_mul(side.unwrap_or(1) as u64))
}

/// The graph with an output for every value of its own nodes, and inputs in the place of its weights. `None` for a file
/// that cannot be read so.
fn all_values_as_outputs(model: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    for part in Fields::of(model) {
        let part = part?;
        match part.number {
            number::GRAPH => push(&mut whole, number::GRAPH, &open_graph(part.bytes()?)?),
            _ => whole.extend_from_slice(part.whole),
        }
    }
    Some(whole)
}

fn open_graph(graph: &[u8]) -> Option<Vec<u8>> {
    let parts = fields(graph)?;
    let mut names: [HashSet<String>; 2] = Default::default();
    let [inputs, outputs] = &mut names;
    for part in &parts {
        match part.number {
            number::INPUT => _ = inputs.insert(Value::decode(part.bytes()?)?.name),
            number::OUTPUT => _ = outputs.insert(Value::decode(part.bytes()?)?.name),
            _ => {}
        }
    }
    let mut out = Vec::new();
    for part in &parts {
        match part.number {
            number::INITIALIZER if part.whole.len() > WEIGHT || is_external(part.bytes()?)? => {
                let (name, input) = declared(part.bytes()?)?;
                if inputs.insert(name.to_owned()) {
                    push(&mut out, number::INPUT, &input);
                }
            }
            number::NODE => {
                out.extend_from_slice(part.whole);
                for name in Node::decode(part.bytes()?)?.output {
                    if !name.is_empty() && outputs.insert(name.clone()) {
                        let mut output = Vec::new();
                        push(&mut output, 1, name.as_bytes());
                        push(&mut out, number::OUTPUT, &output);
                    }
                }
            }
            _ => out.extend_from_slice(part.whole),
        }
    }
    Some(out)
}

/// Whether a tensor lies in a file of its own.
fn is_external(tensor: &[u8]) -> Option<bool> {
    for field in Fields::of(tensor) {
        if field?.number == number::EXTERNAL_DATA {
            return Some(true);
        }
    }
    Some(false)
}

/// The name of a tensor, and a value of its type and shape as `ValueInfoProto`. Its numbers are not copied.
fn declared(tensor: &[u8]) -> Option<(&str, Vec<u8>)> {
    let (name, element) = tensor_head(tensor)?;
    let mut dims = Vec::new();
    for field in Fields::of(tensor) {
        let field = field?;
        if field.number == number::TENSOR_DIMS {
            field.numbers(&mut dims)?;
        }
    }
    let mut shape = Vec::new();
    for dim in dims {
        let mut side = Vec::new();
        push_number(&mut side, 1, dim);
        push(&mut shape, 1, &side);
    }
    let mut of = Vec::new();
    push_number(&mut of, 1, i64::try_from(element).ok()?);
    push(&mut of, 2, &shape);
    let mut kind = Vec::new();
    push(&mut kind, 1, &of);
    let mut value = Vec::new();
    push(&mut value, 1, name.as_bytes());
    push(&mut value, 2, &kind);
    Some((name, value))
}
