use std::fmt;

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
    /// Its element type as ONNX Runtime names it, for example `f32`.
    pub element: String,
    /// Its shape; `None` where a dimension is dynamic.
    pub shape: Vec<Option<usize>>,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape: Vec<_> = self.shape.iter().map(|d| d.map_or_else(|| "?".to_owned(), |d| d.to_string())).collect();
        write!(f, "`{}` {}[{}]", self.name, self.element, shape.join(", "))
    }
}

impl Port {
    /// Whether a tensor of `shape` fits; `None` there stands for any size.
    pub(super) fn fits(&self, shape: &[Option<usize>]) -> bool {
        self.shape.len() == shape.len()
            && self.shape.iter().zip(shape).all(|(a, b)| a.is_none() || b.is_none() || a == b)
    }
}

/// The ports as one text: `a f32[1, 2], b f32[?]`.
pub(super) fn list(ports: &[Port]) -> String {
    ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
