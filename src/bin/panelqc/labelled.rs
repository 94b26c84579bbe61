use std::path::PathBuf;

use panelqc::dataset::{Sample, Split, read_deeppcb, read_elpv};
use panelqc::{Inspector, PanelReport};

use super::Failure;
use super::engine::{progress_bar, reported};

/// What is unsure counts too: average precision and calibration need the detections down to this confidence.
pub(super) const FLOOR: f32 = 0.01;

#[derive(Clone, Copy, clap::ValueEnum)]
enum DataFormat {
    /// Pairs of test image and template with boxes (DeepPCB).
    Deeppcb,
    /// Solar cells with a defect probability (ELPV).
    Elpv,
}

/// The options of every command that needs labelled panels.
#[derive(clap::Args)]
pub(super) struct DataArgs {
    /// Folder of labelled images.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// How the labels are laid out.
    #[arg(long, value_enum)]
    format: DataFormat,
    /// List of the panels to use, one id a line [default: all].
    #[arg(long, value_name = "FILE")]
    split: Option<PathBuf>,
}

impl DataArgs {
    pub(super) fn samples(&self) -> Result<Vec<Sample>, Failure> {
        let samples = match self.format {
            DataFormat::Deeppcb => read_deeppcb(&self.data)?,
            DataFormat::Elpv => read_elpv(&self.data)?,
        };
        let Some(list) = &self.split else { return Ok(samples) };
        let split = Split::load(list)?;
        if split.is_empty() {
            return Err(format!("--split {}: expected ids, found none", list.display()).into());
        }
        Ok(split.select(samples, list)?)
    }
}

/// Inspects labelled panels, in their order, with a progress bar.
pub(super) fn inspect(inspector: &Inspector, samples: &[Sample]) -> Vec<PanelReport> {
    let bar = progress_bar(samples.len() as u64);
    let reports = inspector
        .inspect_batch(samples.iter().map(|sample| sample.files.clone()))
        .map(|result| {
            bar.inc(1);
            reported(result, &bar)
        })
        .collect();
    bar.finish_and_clear();
    reports
}
