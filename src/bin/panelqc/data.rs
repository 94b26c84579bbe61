use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use panelqc::dataset::{DataFormat, Sample, Split, read, templates};
use panelqc::{Inspector, Kind, Model, PanelReport};

use super::Failure;
use super::engine::{progress_bar, reported};

/// What is unsure counts too: average precision and calibration need the defects down to this confidence.
pub(super) const FLOOR: f32 = 0.01;

/// The options of every command that takes labelled images.
#[derive(clap::Args)]
pub(super) struct DataArgs {
    /// Folder of labelled images (for `coco` the JSON file will do too).
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// How the labels are laid out: see docs/METRICS.md.
    #[arg(long, value_parser = PossibleValuesParser::new(DataFormat::ALL.map(DataFormat::as_str)).try_map(|name| name.parse::<DataFormat>()))]
    pub(super) format: DataFormat,
    /// List of the panels to use, one id a line [default: all].
    #[arg(long, value_name = "FILE")]
    split: Option<PathBuf>,
    /// Take each panel's reference as a good panel too (the templates of boards).
    #[arg(long)]
    templates: bool,
}

impl DataArgs {
    /// The labelled panels; what labels and model call differently is said on stderr.
    pub(super) fn samples(&self, model: &Model) -> Result<Vec<Sample>, Failure> {
        let output = &model.manifest().output;
        let mut samples = read(self.format, &self.data, &output.good)?;
        if let Some(list) = &self.split {
            let split = Split::load(list)?;
            if split.is_empty() {
                return Err(format!("--split {}: expected ids, found none", list.display()).into());
            }
            samples = split.select(samples, list)?;
        }
        if self.templates {
            let good = templates(&samples);
            if good.is_empty() {
                return Err("--templates: expected panels with a reference, found none".into());
            }
            samples.extend(good);
        }
        let mut strange: Vec<Kind> = samples.iter().flat_map(|sample| sample.label.kinds()).collect();
        strange.sort();
        strange.dedup();
        strange.retain(|kind| !output.kinds.contains(kind));
        if !strange.is_empty() && model.manifest().task != panelqc::Task::Anomaly {
            let names: Vec<_> = strange.iter().map(Kind::as_str).collect();
            eprintln!("panelqc: the labels have kinds that the model does not know: {}", names.join(", "));
        }
        Ok(samples)
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
