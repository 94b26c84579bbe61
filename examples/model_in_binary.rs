//! A model that is part of the program: the graph's bytes and a manifest made in code, no file beside it.
//!
//! ```text
//! cargo run --release --example model_in_binary -- cell.png
//! ```

use panelqc::{Activation, Channels, Fit, Inspector, Manifest, Model, OutputConfig, Preprocess, Size, Task};

/// What `models/solar-cell/model.toml` says of this graph, in code.
static GRAPH: &[u8] = include_bytes!("../models/solar-cell/model.int8.onnx");

fn manifest() -> Manifest {
    let mut input = Preprocess::new(Size::new(300, 300));
    input.channels = Channels::Gray;
    input.fit = Fit::Stretch;
    input.mean = vec![127.0 / 255.0];
    input.std = vec![128.0 / 255.0];
    let mut output = OutputConfig::new(vec!["defective".into()]);
    output.activation = Activation::Sigmoid;
    output.confidence = 0.5;
    output.cam = Some("cam".to_owned());
    Manifest::new("solar-cell", Task::Classify, input, output)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let image = std::env::args().nth(1).ok_or("usage: model_in_binary IMAGE")?;
    let inspector = Inspector::builder(Model::from_bytes(GRAPH, manifest())?).build()?;
    let report = inspector.inspect_file(image)?;
    println!("{}: {} (model {})", report.panel, report.verdict, &report.trace.model[..12]);
    Ok(())
}
