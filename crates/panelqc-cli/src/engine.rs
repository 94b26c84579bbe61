use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};
use panelqc::{
    Error, Inspector, InspectorBuilder, Model, ModelInfo, ModelOptions, PanelError, PanelInput, PanelRecord,
    PanelReport, Policy, Precision, Provider, find_panels, printable,
};

use super::Failure;
use super::terminal::say;

/// How a model package is loaded.
#[derive(clap::Args)]
pub(super) struct LoadArgs {
    /// Which graph to use if the package has two [default: as the manifest says].
    #[arg(long, value_parser = PossibleValuesParser::new(Precision::ALL.iter().map(|p| p.name())).try_map(|p| p.parse::<Precision>()))]
    precision: Option<Precision>,
    /// What runs the model: cpu, or cuda, tensorrt, openvino, directml, coreml if this program and ONNX Runtime were
    /// built with it (see docs/PROVIDERS.md).
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    provider: Provider,
    /// Number of the provider's device.
    #[arg(long, value_name = "N", default_value_t = 0)]
    device: u32,
    /// Let the CPU run operators that the provider lacks. Without this, a model with such an operator is refused.
    #[arg(long)]
    share_with_cpu: bool,
    /// Keep the optimised graph for the next start, in DIR, or without a DIR in `cache` beside the model.
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    cache: Option<Option<PathBuf>>,
    /// Run the graph exactly as in its file. Without this, parts that ONNX Runtime runs slowly on the CPU are replaced
    /// by operators that give the same result up to rounding.
    #[arg(long)]
    no_rewrite: bool,
}

impl LoadArgs {
    /// The model at `path` with these options.
    pub(super) fn load(&self, path: &Path) -> Result<Model, Error> {
        let mut options = ModelOptions::default();
        options.precision = self.precision;
        options.graph.provider = self.provider;
        options.graph.device = self.device;
        options.graph.share_with_cpu = self.share_with_cpu;
        options.graph.rewrite = !self.no_rewrite;
        let beside = || if path.is_dir() { path.join("cache") } else { path.with_file_name("cache") };
        options.graph.cache = self.cache.as_ref().map(|folder| folder.clone().unwrap_or_else(beside));
        Model::load_with(path, &options)
    }
}

/// The options of every command that inspects.
#[derive(clap::Args)]
pub(super) struct EngineArgs {
    /// Model package: a folder with model.onnx and model.toml, an .onnx file with a .toml beside it, or an .onnx file
    /// that Ultralytics exported.
    #[arg(long)]
    model: PathBuf,
    #[command(flatten)]
    load: LoadArgs,
    /// Policy: the rules for the verdict. Without one, any reported defect fails the panel.
    #[arg(long, value_name = "P.toml")]
    policy: Option<PathBuf>,
    /// Worker threads [default: as many as this process may use].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Images per run of the model [default: the graph's batch size if fixed, otherwise 1 on the CPU and 8 elsewhere].
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
}

impl EngineArgs {
    /// An inspector with these options.
    pub(super) fn builder(&self) -> Result<InspectorBuilder, Failure> {
        let policy = self.policy.as_ref().map(Policy::load).transpose()?;
        let builder = self.builder_without_policy()?;
        Ok(match policy {
            Some(policy) => builder.policy(policy),
            None => builder,
        })
    }

    /// The model without its graph, and the policy, for what is done with results that are there already.
    pub(super) fn info(&self) -> Result<(ModelInfo, Option<Policy>), Error> {
        let policy = self.policy.as_ref().map(Policy::load).transpose()?;
        Ok((ModelInfo::load(&self.model, self.load.precision)?, policy))
    }

    /// The policy's file.
    pub(super) fn policy(&self) -> Option<&Path> {
        self.policy.as_deref()
    }

    /// An inspector with these options but for the policy.
    pub(super) fn builder_without_policy(&self) -> Result<InspectorBuilder, Failure> {
        let mut builder = Inspector::builder(self.load.load(&self.model)?);
        if let Some(batch) = self.batch {
            builder = builder.batch(batch);
        }
        if let Some(threads) = self.threads {
            builder = builder.threads(threads);
        }
        Ok(builder)
    }
}

/// The panels below files and folders; what is left out is said on stderr.
pub(super) fn find(images: &[PathBuf], reference: Option<&Path>) -> Result<Vec<PanelInput>, Error> {
    let found = find_panels(images, reference)?;
    if !found.left_out.is_empty() {
        say!("panelqc: {}", found.left_out);
    }
    Ok(found.panels)
}

pub(super) fn progress_bar(panels: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {eta} left");
    let bar = ProgressBar::new(panels);
    // The template is a constant; were it wrong, the default would do.
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

/// What the results keep of a panel; of one that could not be inspected it says why on stderr, past the progress bar.
pub(super) fn recorded(result: Result<PanelReport, PanelError>, bar: &ProgressBar) -> PanelRecord {
    let record = PanelRecord::from(result);
    tell(&record, bar);
    record
}

/// Of a panel that could not be inspected, says why on stderr, past the progress bar.
pub(super) fn tell(record: &PanelRecord, bar: &ProgressBar) {
    if let Some(error) = record.error() {
        bar.suspend(|| say!("panelqc: panel {}: {error}", printable(record.panel())));
    }
}
