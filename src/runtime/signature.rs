use std::fmt;

use ort::session::Session;
use ort::value::ValueType;

/// Inputs and outputs of a graph as it declares them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signature {
    /// Inputs in the graph's order.
    pub inputs: Vec<Port>,
    /// Outputs in the graph's order.
    pub outputs: Vec<Port>,
}

/// One input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its element type as ONNX Runtime names it, for example `f32`; of what is no tensor, the whole type.
    pub element: String,
    /// Its shape; `None` where a dimension is dynamic.
    pub shape: Vec<Option<usize>>,
}

/// What was expected of a graph and what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// What the manifest or the format needs.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl Mismatch {
    /// A mismatch.
    pub fn new(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Mismatch { expected: expected.into(), found: found.into() }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, found {}", self.expected, self.found)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.name, self.element)?;
        if !self.is_tensor() {
            return Ok(());
        }
        let shape: Vec<_> = self.shape.iter().map(|d| d.map_or_else(|| "?".to_owned(), |d| d.to_string())).collect();
        write!(f, "[{}]", shape.join(", "))
    }
}

impl Port {
    /// Whether it is a tensor, not a sequence, a map or an optional value.
    pub fn is_tensor(&self) -> bool {
        !self.element.contains('<')
    }

    /// Whether a tensor of `shape` fits; `None` there stands for any size.
    pub fn fits(&self, shape: &[Option<usize>]) -> bool {
        self.shape.len() == shape.len()
            && self.shape.iter().zip(shape).all(|(a, b)| a.is_none() || b.is_none() || a == b)
    }
}

impl Signature {
    /// The input of an image: the only one of three axes or of four.
    pub(crate) fn image(&self) -> Option<&Port> {
        let mut images = self.inputs.iter().filter(|port| matches!(port.shape.len(), 3 | 4));
        images.next().filter(|_| images.next().is_none())
    }

    /// What an open session declares.
    pub(super) fn of(session: &Session) -> Self {
        let port = |name: &str, dtype: &ValueType| {
            let (element, shape) = match dtype {
                ValueType::Tensor { ty, shape, .. } => {
                    (ty.to_string(), shape.iter().map(|&d| usize::try_from(d).ok()).collect())
                }
                other => (other.to_string(), Vec::new()),
            };
            Port { name: name.to_owned(), element, shape }
        };
        Signature {
            inputs: session.inputs().iter().map(|o| port(o.name(), o.dtype())).collect(),
            outputs: session.outputs().iter().map(|o| port(o.name(), o.dtype())).collect(),
        }
    }
}

/// The ports as one text: `a f32[1, 2], b f32[?]`.
pub(crate) fn list(ports: &[Port]) -> String {
    ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
