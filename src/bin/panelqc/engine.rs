use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use panelqc::{Error, Inspector, InspectorBuilder, Model, PanelError, PanelReport, Policy, Precision};

use super::Failure;

/// `--precision`.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum PrecisionArg {
    /// model.onnx
    Fp32,
    /// model.int8.onnx
    Int8,
}

/// The model with the graph that was asked for.
pub(super) fn load(model: &Path, precision: Option<PrecisionArg>) -> Result<Model, Error> {
    match precision {
        None => Model::load(model),
        Some(PrecisionArg::Fp32) => Model::load_with(model, Precision::Fp32),
        Some(PrecisionArg::Int8) => Model::load_with(model, Precision::Int8),
    }
}

/// The options of every command that inspects.
#[derive(clap::Args)]
pub(super) struct EngineArgs {
    /// Model package: a folder with model.onnx and model.toml, an .onnx file with a .toml beside it, or an .onnx file that Ultralytics exported.
    #[arg(long)]
    model: PathBuf,
    /// The graph to use of a package that has two [default: what the manifest says].
    #[arg(long, value_enum)]
    precision: Option<PrecisionArg>,
    /// Rules of the verdict. Without them any defect that the manifest reports fails the panel.
    #[arg(long, value_name = "P.toml")]
    policy: Option<PathBuf>,
    /// Worker threads [default: what this process may use].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Images that go through the model together [default: what the graph is fixed to, otherwise 1].
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

    /// The policy's file.
    pub(super) fn policy(&self) -> Option<&Path> {
        self.policy.as_deref()
    }

    /// An inspector with these options but for the policy.
    pub(super) fn builder_without_policy(&self) -> Result<InspectorBuilder, Failure> {
        let mut builder = Inspector::builder(load(&self.model, self.precision)?);
        if let Some(batch) = self.batch {
            builder = builder.batch(batch);
        }
        if let Some(threads) = self.threads {
            builder = builder.threads(threads);
        }
        Ok(builder)
    }
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

/// The report of a panel; of one that could not be inspected it says why on stderr, past the progress bar.
pub(super) fn reported(result: Result<PanelReport, PanelError>, bar: &ProgressBar) -> PanelReport {
    result.unwrap_or_else(|failed| {
        bar.suspend(|| eprintln!("panelqc: {failed}"));
        failed.to_report()
    })
}
