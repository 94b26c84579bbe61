//! A folder as a stream: a line of JSON for each panel as it is done, and a picture of each that failed, drawn on the
//! worker from the pixels that were inspected. No file is read twice, and memory does not grow with the folder.
//!
//! ```text
//! cargo run --release --package panelqc-cli --example failed_overlays -- models/solar-cell FOLDER OUT
//! ```

use std::error::Error;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use panelqc::{Inspector, JsonlWriter, Model, Panel, PanelRecord, PanelReport, Verdict, find_panels};
use panelqc_report::Overlay;

/// Draws each frame of a panel that failed: the files written.
fn draw(overlay: &Overlay, report: &PanelReport, panel: &Panel<'_>, out: &Path) -> panelqc::Result<Vec<PathBuf>> {
    if report.verdict != Verdict::Fail {
        return Ok(Vec::new());
    }
    let files = (0..).zip(panel.frames()).map(|(index, frame)| {
        // An id is a path with `/`: one folder of pictures is easier to look through.
        let file = out.join(format!("{}.{index}.png", report.panel.replace('/', "_")));
        overlay.save(frame, index, report, &file).map(|()| file)
    });
    files.collect()
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(model), Some(folder), Some(out)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: failed_overlays MODEL FOLDER OUT".into());
    };
    fs::create_dir_all(&out)?;
    let inspector = Inspector::builder(Model::load(model)?).build()?;
    let mut results = JsonlWriter::new(BufWriter::new(File::create(out.join("results.jsonl"))?));

    let (overlay, pictures) = (Overlay::new()?, out.clone());
    let panels = find_panels(&[folder], None)?;
    let stream =
        inspector.inspect_batch(panels).with_panels(move |report, panel| draw(&overlay, report, panel, &pictures));
    let mut troubles = 0;
    for result in stream {
        let record = match result {
            Ok((report, drawn)) => {
                match drawn {
                    Ok(files) => files.iter().for_each(|file| println!("{} failed: {}", report.panel, file.display())),
                    // The result stands, only its picture is missing.
                    Err(error) => {
                        eprintln!("{}: {error}", report.panel);
                        troubles += 1;
                    }
                }
                PanelRecord::from(report)
            }
            // Not inspected: its verdict is review, and the other panels go on.
            Err(failed) => {
                eprintln!("{failed}");
                troubles += 1;
                PanelRecord::from(failed)
            }
        };
        results.write(&record)?;
    }
    results.finish()?;
    Ok(if troubles == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
