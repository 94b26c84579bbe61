use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use panelqc::{Format, Manifest, Task};
use serde::Serialize;

use super::Failure;
use super::output::{write_text, writing};
use super::terminal::say;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The ONNX graph.
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// What the model does, if the graph fits several tasks: detect, instance, segment, classify, anomaly.
    #[arg(long)]
    task: Option<Task>,
    /// Format of its outputs, if they fit several (see docs/FORMATS.md).
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Names of the kinds, in the order of the graph's class numbers.
    #[arg(long, value_delimiter = ',', value_name = "A,B,...")]
    kinds: Vec<String>,
    /// Write the manifest to this file [default: beside the graph, ending in .toml].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite an existing file.
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut manifest = Manifest::propose(&args.model, args.task, args.format.clone())?;
    if !args.kinds.is_empty() {
        manifest.output.kinds = args.kinds.iter().map(|kind| kind.as_str().into()).collect();
    }
    let path = args.out.clone().unwrap_or_else(|| args.model.with_extension("toml"));
    if !args.force && path.try_exists().map_err(|e| writing(&path, e))? {
        return Err(writing(&path, io::ErrorKind::AlreadyExists.into()).into());
    }
    write_text(&path, &commented(&manifest)?)?;
    say!("wrote {}: check the lines marked (?), then run `panelqc check {}`", path.display(), args.model.display());
    Ok(ExitCode::SUCCESS)
}

/// The manifest as text, each key with what a person has to know about it.
fn commented(manifest: &Manifest) -> Result<String, Failure> {
    let mut text = String::from(
        "# What this model is fed and what its outputs mean. The graph tells only part of it. The rest is a guess, marked\n\
         # with (?): compare it with how the model was trained.\n",
    );
    for (key, value, comment) in table(manifest)? {
        if value.is_table() {
            continue;
        }
        line(&mut text, &key, &value, comment);
    }
    text.push_str("\n[input]\n");
    for (key, value, comment) in table(&manifest.input)? {
        line(&mut text, &key, &value, comment);
    }
    text.push_str("\n[output]\n");
    for (key, value, comment) in table(&manifest.output)? {
        line(&mut text, &key, &value, comment);
    }
    Ok(text)
}

fn table(value: &impl Serialize) -> Result<Vec<(String, toml::Value, &'static str)>, Failure> {
    let toml::Value::Table(table) = toml::Value::try_from(value)? else { return Ok(Vec::new()) };
    Ok(table.into_iter().map(|(key, value)| (key.clone(), value, comment(&key))).collect())
}

fn line(text: &mut String, key: &str, value: &toml::Value, comment: &str) {
    let space = if comment.is_empty() { "" } else { "   # " };
    text.push_str(&format!("{key} = {value}{space}{comment}\n"));
}

fn comment(key: &str) -> &'static str {
    match key {
        "task" => "detect | instance | segment | classify | anomaly",
        "sha256" => "of the graph; checked whenever it is loaded",
        "size" => "height, width",
        "channels" => "gray | rgb | bgr (?)",
        "fit" => "letterbox | corner | stretch | crop (?)",
        "resize" => {
            "nearest | bilinear | bicubic | area | pillow-bilinear | pillow-bicubic | torchvision-bilinear | torchvision-bicubic | torch-bilinear | opencv-linear | opencv-area (?)"
        }
        "stride" => "the graph takes any size: padding is cut to less than this many pixels",
        "antialias" => "for bilinear and bicubic",
        "pad" => "gray value around a letterboxed frame",
        "scale" => "tensor = (pixel * scale - mean) / std, with pixels from 0 to 255 (?)",
        "mean" => "one per channel, or one for all (?)",
        "std" => "the same (?)",
        "reference" => "true: the defect-free template is a second set of channels",
        "kinds" => "in the order of the graph's numbers (?)",
        "good" => "those of the kinds that mean \"no defect\" (?)",
        "confidence" => "defects below are not reported",
        "iou" => "of boxes of one kind that overlap more, the one with lower confidence is dropped",
        "max_defects" => "most defects a frame",
        "activation" => "none | sigmoid | softmax: how numbers become probabilities (?)",
        "cam_threshold" => "share of the map's range from which a pixel belongs to the defect",
        "pixel_threshold" => "probability from which a pixel belongs to a defect",
        "min_area" => "regions of fewer source pixels are not reported",
        _ => "",
    }
}
