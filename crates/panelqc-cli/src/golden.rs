use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use panelqc::{Inspector, PanelFiles, PanelInput};
use panelqc_eval::Golden;

use super::Failure;
use super::engine::{LoadArgs, find};
use super::output::{reading, write_text};
use super::terminal::say;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Model package: a folder with model.onnx and model.toml.
    model: PathBuf,
    #[command(flatten)]
    load: LoadArgs,
    /// Folder of reference (defect-free) images, for a model that compares.
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,
    /// Images to record, typical of what the model will see.
    #[arg(required = true)]
    images: Vec<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let panels: Vec<PanelFiles> = find(&args.images, args.reference.as_deref())?
        .into_iter()
        .map(|input| match input {
            PanelInput::Files(files) => Ok(files),
            other => Err(other.into_panel(&Default::default()).err().map_or_else(|| "no file".into(), Failure::from)),
        })
        .collect::<Result<_, Failure>>()?;
    let model = args.load.load(&args.model)?;
    let manifest = model.manifest_path().to_path_buf();
    if !manifest.exists() {
        let expected =
            "expected a manifest that can name the golden images' folder, found none (`panelqc init` writes one)";
        return Err(format!("model {}: {expected}", manifest.display()).into());
    }
    let name = model.manifest().golden.as_ref().map_or("golden", |golden| &golden.folder).to_owned();
    let noted = model.manifest().golden.is_some();
    let folder = model.folder().unwrap_or(Path::new("")).join(&name);
    let inspector = Inspector::builder(model).threads(1).build()?;
    let golden = Golden::record(&inspector, &panels, &folder)?;
    if !noted {
        let mut text = fs::read_to_string(&manifest).map_err(|e| reading(&manifest, e))?;
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("\n[golden]\nfolder = \"{name}\"\n"));
        write_text(&manifest, &text)?;
    }
    say!("recorded {} images in {}; `panelqc check` replays them", golden.len(), folder.display());
    Ok(ExitCode::SUCCESS)
}
