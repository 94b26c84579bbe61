//! A head of your own: a format that the library does not know, as a type that implements `Head`, and a manifest that
//! names it. Here each bright spot of a class-activation map becomes a box; the library's own head of this model makes
//! one region of the brightest.
//!
//! ```text
//! cargo run --release --example own_head -- models/solar-cell cell.png
//! ```

use std::path::Path;
use std::sync::Arc;

use panelqc::conformance::{Case, check};
use panelqc::{
    Candidate, Context, Head, HeadFormat, Inspector, Manifest, Mismatch, Model, ModelOptions, PixelBox, Proposals,
    Result, Search, Slot, Task,
};

/// Scores `[B, K]` as logits, and a map `[B, 1, h, w]` whose bright cells are where the defects are.
#[derive(Debug)]
struct Spots {
    scores: usize,
    map: usize,
}

/// The format: its name in a manifest, the tasks that it is for, and how its outputs are found in a graph.
const SPOTS: HeadFormat = HeadFormat::new("spots", &[Task::Detect], find);

fn find(search: &Search<'_>) -> Result<Arc<dyn Head>, Mismatch> {
    Ok(Arc::new(Spots {
        scores: search.shaped(None, "logits", &[None, Some(search.kinds())])?,
        map: search.shaped(None, "a map", &[None, Some(1), None, None])?,
    }))
}

impl Head for Spots {
    fn outputs(&self) -> Vec<usize> {
        vec![self.scores, self.map]
    }

    fn propose(&self, context: &Context, slot: &Slot<'_>, found: &mut Proposals) -> Result<()> {
        let (scores, map) = (slot.array(self.scores, 1)?, slot.array(self.map, 3)?);
        slot.finite(self.scores, &scores)?;
        slot.finite(self.map, &map)?;
        let probability = |logit: f32| 1.0 / (1.0 + (-logit).exp());
        let best = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        let Some((kind, score)) = best.map(|(kind, &logit)| (kind, probability(logit))) else { return Ok(()) };
        let (rows, columns) = (map.shape()[1], map.shape()[2]);
        let (low, high) = map.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
        let model = slot.placement().model();
        let (width, height) = (model.width as f32 / columns as f32, model.height as f32 / rows as f32);
        for (rank, (place, &value)) in map.indexed_iter().enumerate() {
            let (x, y) = (place[2] as f32 * width, place[1] as f32 * height);
            // As bright as the brightest cell: as likely as the whole panel is defective.
            let confidence = if high > low { score * (value - low) / (high - low) } else { score };
            // A box half a cell larger on each side, so that neighbours overlap and the brightest of them is kept.
            let bbox = PixelBox::new(x - width / 2.0, y - height / 2.0, x + width * 1.5, y + height * 1.5);
            context.propose(slot, self.scores, Candidate::new(kind, confidence, bbox).with_rank(rank), found)?;
        }
        Ok(())
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(model), Some(image)) = (args.next(), args.next()) else {
        return Err("usage: own_head MODEL IMAGE".into());
    };
    let package = Path::new(&model).join("model.toml");
    let mut manifest = Manifest::parse(&std::fs::read_to_string(&package)?, &package)?;
    manifest.task = Task::Detect;
    manifest.output.format = SPOTS.name().into();
    manifest.output.iou = 0.05;

    // Every head must satisfy this, whatever the graph returns.
    let kinds = manifest.output.kinds.len();
    let shapes = vec![vec![2, kinds], vec![2, 1, 6, 8]];
    check(&Case::new(Arc::new(Spots { scores: 0, map: 1 }), manifest.output.clone(), shapes))?;

    let graph = std::fs::read(Path::new(&model).join(manifest.precision.graph(Path::new("model.onnx"))))?;
    let options = ModelOptions::default().with_format(SPOTS);
    let inspector = Inspector::builder(Model::from_bytes_with(graph, manifest, &options)?).build()?;
    let report = inspector.inspect_file(image)?;
    println!("{}: {} with {} spots", report.panel, report.verdict, report.defects.len());
    for defect in &report.defects {
        println!("  {} {:.2} at {:?}", defect.kind, defect.confidence, defect.bbox);
    }
    Ok(())
}
