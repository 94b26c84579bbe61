//! The smallest use: one image file, one verdict.
//!
//! ```text
//! cargo run --example embed -- models/solar-cell cell.png
//! ```

use panelqc::{Inspector, Model};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(model), Some(image)) = (args.next(), args.next()) else {
        return Err("usage: embed MODEL IMAGE".into());
    };
    let inspector = Inspector::builder(Model::load(model)?).build()?;
    let report = inspector.inspect_file(image)?;
    println!("{}: {} ({})", report.panel, report.verdict, report.reasons.join("; "));
    for defect in &report.defects {
        println!("  {} {:.2} at {:?}", defect.kind, defect.confidence.get(), defect.bbox);
    }
    Ok(())
}
