//! ONNX graphs of a few nodes, written field by field (`onnx.proto`).

/// A model in the making.
#[derive(Default)]
pub(crate) struct Onnx {
    graph: Vec<u8>,
    metadata: Vec<u8>,
    domains: Vec<u8>,
}

/// Element types.
pub(crate) const F32: u64 = 1;
pub(crate) const U8: u64 = 2;
pub(crate) const I32: u64 = 6;
pub(crate) const I64: u64 = 7;
pub(crate) const BOOL: u64 = 9;

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn message(parts: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    parts(&mut out);
    out
}

/// Bytes of floating-point numbers, as tensors hold them.
pub(crate) fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Bytes of 64-bit numbers.
pub(crate) fn longs(values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

impl Onnx {
    pub(crate) fn new() -> Self {
        Onnx::default()
    }

    /// A tensor as input or output; dimensions of -1 are dynamic.
    fn value(&mut self, field: u64, name: &str, element: u64, dims: &[i64]) {
        let shape = message(|shape| {
            for &dim in dims {
                let dim = message(|out| {
                    if let Ok(side) = u64::try_from(dim) {
                        number(out, 1, side)
                    }
                });
                bytes(shape, 1, &dim);
            }
        });
        let tensor = message(|out| {
            number(out, 1, element);
            bytes(out, 2, &shape);
        });
        let value = message(|out| {
            bytes(out, 1, name.as_bytes());
            bytes(out, 2, &message(|kind| bytes(kind, 1, &tensor)));
        });
        bytes(&mut self.graph, field, &value);
    }

    pub(crate) fn input(mut self, name: &str, element: u64, dims: &[i64]) -> Self {
        self.value(11, name, element, dims);
        self
    }

    pub(crate) fn output(mut self, name: &str, element: u64, dims: &[i64]) -> Self {
        self.value(12, name, element, dims);
        self
    }

    /// An output that is a sequence of maps from whole numbers to real ones.
    pub(crate) fn output_of_maps(mut self, name: &str) -> Self {
        let real = message(|out| bytes(out, 1, &message(|tensor| number(tensor, 1, F32))));
        let map = message(|out| {
            number(out, 1, I64);
            bytes(out, 2, &real);
        });
        let sequence = message(|out| bytes(out, 1, &message(|kind| bytes(kind, 5, &map))));
        let value = message(|out| {
            bytes(out, 1, name.as_bytes());
            bytes(out, 2, &message(|kind| bytes(kind, 4, &sequence)));
        });
        bytes(&mut self.graph, 12, &value);
        self
    }

    /// A tensor of the graph.
    pub(crate) fn tensor(mut self, name: &str, element: u64, dims: &[i64], raw: &[u8]) -> Self {
        bytes(&mut self.graph, 5, &tensor(name, element, dims, |out| bytes(out, 9, raw)));
        self
    }

    /// A tensor whose numbers lie in a file.
    pub(crate) fn tensor_in(mut self, file: &str, name: &str, element: u64, dims: &[i64]) -> Self {
        bytes(&mut self.graph, 5, &tensor(name, element, dims, |out| outside(out, file)));
        self
    }

    /// A node `Constant` whose numbers lie in a file.
    pub(crate) fn constant_in(mut self, file: &str, name: &str, element: u64, dims: &[i64]) -> Self {
        let attribute = message(|out| {
            bytes(out, 1, b"value");
            bytes(out, 5, &tensor(name, element, dims, |out| outside(out, file)));
            number(out, 20, 4);
        });
        bytes(&mut self.graph, 1, &node("Constant", "", &[], &[name], &[attribute]));
        self
    }

    pub(crate) fn node(self, operator: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        self.node_with(operator, inputs, outputs, &[])
    }

    /// A node with whole numbers as attributes.
    pub(crate) fn node_with(mut self, operator: &str, inputs: &[&str], outputs: &[&str], ints: &[(&str, i64)]) -> Self {
        let attributes: Vec<Vec<u8>> = ints
            .iter()
            .map(|(name, value)| {
                message(|out| {
                    bytes(out, 1, name.as_bytes());
                    number(out, 3, *value as u64);
                    number(out, 20, 2);
                })
            })
            .collect();
        bytes(&mut self.graph, 1, &node(operator, "", inputs, outputs, &attributes));
        self
    }

    /// A node of another domain than ONNX's own.
    pub(crate) fn node_of(mut self, domain: &str, operator: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        let attributes = match operator {
            "ZipMap" => vec![message(|out| {
                bytes(out, 1, b"classlabels_int64s");
                number(out, 8, 0);
                number(out, 8, 1);
                number(out, 20, 7);
            })],
            _ => Vec::new(),
        };
        bytes(&mut self.graph, 1, &node(operator, domain, inputs, outputs, &attributes));
        let set = message(|out| {
            bytes(out, 1, domain.as_bytes());
            number(out, 2, 1);
        });
        bytes(&mut self.domains, 8, &set);
        self
    }

    pub(crate) fn metadata(mut self, key: &str, value: &str) -> Self {
        let entry = message(|out| {
            bytes(out, 1, key.as_bytes());
            bytes(out, 2, value.as_bytes());
        });
        bytes(&mut self.metadata, 14, &entry);
        self
    }

    /// The file.
    pub(crate) fn bytes(mut self) -> Vec<u8> {
        bytes(&mut self.graph, 2, b"graph");
        message(|out| {
            number(out, 1, 9);
            bytes(out, 7, &self.graph);
            bytes(out, 8, &message(|set| number(set, 2, 17)));
            out.extend_from_slice(&self.domains);
            out.extend_from_slice(&self.metadata);
        })
    }
}

fn node(operator: &str, domain: &str, inputs: &[&str], outputs: &[&str], attributes: &[Vec<u8>]) -> Vec<u8> {
    message(|out| {
        inputs.iter().for_each(|name| bytes(out, 1, name.as_bytes()));
        outputs.iter().for_each(|name| bytes(out, 2, name.as_bytes()));
        bytes(out, 4, operator.as_bytes());
        attributes.iter().for_each(|attribute| bytes(out, 5, attribute));
        bytes(out, 7, domain.as_bytes());
    })
}

fn tensor(name: &str, element: u64, dims: &[i64], data: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    message(|out| {
        dims.iter().for_each(|&dim| number(out, 1, dim as u64));
        number(out, 2, element);
        bytes(out, 8, name.as_bytes());
        data(out);
    })
}

fn outside(out: &mut Vec<u8>, file: &str) {
    let entry = message(|entry| {
        bytes(entry, 1, b"location");
        bytes(entry, 2, file.as_bytes());
    });
    bytes(out, 13, &entry);
    number(out, 14, 1);
}
