use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use panelqc::{Inspector, Kind, Manifest, PanelInput, PanelRecord};
use panelqc_eval::dataset::{DataFormat, Decisions, Sample, Split, read, templates};

use super::Failure;
use super::engine::{find, progress_bar, recorded};
use super::terminal::say;

/// The options of every command that takes labelled images.
#[derive(clap::Args)]
pub(super) struct DataArgs {
    /// Folder of labelled images (for `coco`, the JSON file also works).
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Layout of the labelled data: see docs/METRICS.md. Not needed if the decisions are the only labels.
    #[arg(long, required_unless_present = "decisions", value_parser = PossibleValuesParser::new(DataFormat::ALL.map(DataFormat::as_str)).try_map(|name| name.parse::<DataFormat>()))]
    format: Option<DataFormat>,
    /// Reviewers' decisions from the HTML page; they replace the labels.
    #[arg(long, value_name = "decisions.json")]
    decisions: Option<PathBuf>,
    /// List of the panels to use, one id per line [default: all].
    #[arg(long, value_name = "FILE")]
    split: Option<PathBuf>,
    /// Also use each panel's reference (template) as a good panel.
    #[arg(long)]
    templates: bool,
}

impl DataArgs {
    /// How the labels are laid out; decisions alone are classes of panels.
    pub(super) fn format(&self) -> DataFormat {
        self.format.unwrap_or(DataFormat::Folders)
    }

    /// What the set is called, with its part, for a title.
    pub(super) fn title(&self) -> String {
        let set = self.format.map_or("decisions", DataFormat::as_str);
        let part = self.split.as_ref().and_then(|list| list.file_stem()).unwrap_or_default().to_string_lossy();
        format!("{set} {part}").trim_end().to_owned()
    }

    /// As [`samples`](Self::samples), for what is guaranteed: decisions alone have to be on every panel of their
    /// report.
    pub(super) fn fair_samples(&self, manifest: &Manifest) -> Result<Vec<Sample>, Failure> {
        let decisions = self.decisions()?;
        if let (None, Some(decisions)) = (self.format, decisions.as_ref().filter(|d| !d.is_complete())) {
            return Err(format!(
                "--decisions {}: expected a decision on each of the {} panels of the report, found {}: panels chosen by \
                 their verdict are not a fair sample of the line (give --format if the others have labels)",
                decisions.path().display(),
                decisions.panels(),
                decisions.iter().len()
            )
            .into());
        }
        self.samples_with(manifest, decisions.as_ref())
    }

    /// The labelled panels; what labels and model call differently is said on stderr.
    pub(super) fn samples(&self, manifest: &Manifest) -> Result<Vec<Sample>, Failure> {
        self.samples_with(manifest, self.decisions()?.as_ref())
    }

    fn decisions(&self) -> Result<Option<Decisions>, Failure> {
        Ok(self.decisions.as_ref().map(Decisions::load).transpose()?)
    }

    fn samples_with(&self, manifest: &Manifest, decisions: Option<&Decisions>) -> Result<Vec<Sample>, Failure> {
        let output = &manifest.output;
        let mut samples = match (self.format, decisions) {
            (Some(format), _) => read(format, &self.data, &output.good)?,
            (None, Some(decisions)) => {
                let panels = find(std::slice::from_ref(&self.data), None)?.into_iter();
                decisions.samples(panels.filter_map(|panel| match panel {
                    PanelInput::Files(files) => Some(files),
                    _ => None,
                }))?
            }
            (None, None) => return Err("--format: expected one, or --decisions, found none".into()),
        };
        if let (Some(_), Some(decisions)) = (self.format, decisions) {
            let changed = decisions.apply(&mut samples)?;
            say!("panelqc: {} decisions, {changed} against the label", decisions.iter().len());
        }
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
        if !strange.is_empty() && manifest.task != panelqc::Task::Anomaly {
            let names: Vec<_> = strange.iter().map(Kind::as_str).collect();
            say!("panelqc: the labels have kinds that the model does not know: {}", names.join(", "));
        }
        Ok(samples)
    }
}

/// Inspects labelled panels, in their order, with a progress bar.
pub(super) fn inspect(inspector: &Inspector, samples: &[Sample]) -> Vec<PanelRecord> {
    let bar = progress_bar(samples.len() as u64);
    let records = inspector
        .inspect_batch(samples.iter().map(|sample| sample.files.clone()))
        .map(|result| {
            bar.inc(1);
            recorded(result, &bar)
        })
        .collect();
    bar.finish_and_clear();
    records
}
