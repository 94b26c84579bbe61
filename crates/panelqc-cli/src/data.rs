use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use panelqc::{Inspector, Kind, Manifest, PanelInput, PanelRecord};
use panelqc_eval::dataset::{DataFormat, Dataset, Decisions, Note, Part, ReadOptions, Sample, Split, read, templates};

use super::Failure;
use super::engine::{find, progress_bar, recorded};
use super::terminal::say;

/// The options of every command that takes labelled images.
#[derive(clap::Args)]
pub(super) struct DataArgs {
    /// Folder of labelled images, or the file that names them: for `yolo` data.yaml, for `coco` the JSON file, for
    /// `elpv` and VisA (`mvtec`) the table.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Layout of the labelled data: see docs/METRICS.md. Not needed if the decisions are the only labels.
    #[arg(long, required_unless_present = "decisions", value_parser = PossibleValuesParser::new(DataFormat::ALL.map(DataFormat::as_str)).try_map(|name| name.parse::<DataFormat>()))]
    format: Option<DataFormat>,
    /// Reviewers' decisions from the HTML page; they replace the labels.
    #[arg(long, value_name = "decisions.json")]
    decisions: Option<PathBuf>,
    /// The panels to use: `train`, `val` or `test`, a part that the set itself names, or a list of panels, one per line
    /// (`./test` is a list of that name) [default: all; of a set with parts `val`, `test` or `train`, the first there
    /// is].
    #[arg(long, value_name = "PART|FILE")]
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

    /// The part of the set that `--split` names, if it is no list.
    fn part(&self) -> Option<Part> {
        self.split.as_ref()?.to_str()?.parse().ok()
    }

    /// As [`samples`](Self::samples), for what is guaranteed: decisions alone have to be on every panel of their
    /// report.
    pub(super) fn fair_samples(&self, manifest: &Manifest) -> Result<Dataset, Failure> {
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

    /// The labelled panels; what was noticed while they were read, and what labels and model call differently, is said
    /// on stderr.
    pub(super) fn samples(&self, manifest: &Manifest) -> Result<Dataset, Failure> {
        self.samples_with(manifest, self.decisions()?.as_ref())
    }

    fn decisions(&self) -> Result<Option<Decisions>, Failure> {
        Ok(self.decisions.as_ref().map(Decisions::load).transpose()?)
    }

    fn samples_with(&self, manifest: &Manifest, decisions: Option<&Decisions>) -> Result<Dataset, Failure> {
        let output = &manifest.output;
        let mut options = ReadOptions::default().with_good(output.good.clone());
        options.part = self.part();
        let mut set = match (self.format, decisions) {
            (Some(format), _) => read(format, &self.data, &options)?,
            (None, Some(_)) if options.part.is_some() => {
                return Err("--split: expected a list of panels with --decisions alone, found a part".into());
            }
            (None, Some(decisions)) => {
                let panels = find(std::slice::from_ref(&self.data), None)?.into_iter();
                decisions
                    .samples(panels.filter_map(|panel| match panel {
                        PanelInput::Files(files) => Some(files),
                        _ => None,
                    }))?
                    .into()
            }
            (None, None) => return Err("--format: expected one, or --decisions, found none".into()),
        };
        if let (Some(_), Some(decisions)) = (self.format, decisions) {
            let changed = decisions.apply(&mut set.samples)?;
            say!("panelqc: {} decisions, {changed} against the label", decisions.iter().len());
        }
        tell(&set.notes);
        if let Some(list) = self.split.as_ref().filter(|_| options.part.is_none()) {
            let split = Split::load(list)?;
            if split.is_empty() {
                return Err(format!("--split {}: expected ids, found none", list.display()).into());
            }
            set.samples = split.select(set.samples, list)?;
        }
        if self.templates {
            let good = templates(&set.samples);
            if good.is_empty() {
                return Err("--templates: expected panels with a reference, found none".into());
            }
            set.samples.extend(good);
        }
        let mut strange: Vec<Kind> = set.samples.iter().flat_map(|sample| sample.label.kinds()).collect();
        strange.sort();
        strange.dedup();
        strange.retain(|kind| !output.kinds.contains(kind));
        if !strange.is_empty() && manifest.task != panelqc::Task::Anomaly {
            let names: Vec<_> = strange.iter().map(Kind::as_str).collect();
            say!("panelqc: the labels have kinds that the model does not know: {}", names.join(", "));
        }
        Ok(set)
    }
}

/// Says on stderr, one line each, what was noticed about labelled panels.
pub(super) fn tell(notes: &[Note]) {
    for note in notes {
        say!("panelqc: labels: {note}");
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
