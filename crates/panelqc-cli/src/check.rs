use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use panelqc::{Frame, Inspector, Panel, PixelFormat, Policy, Size, init_runtime};
use panelqc_eval::Golden;

use super::Failure;
use super::engine::LoadArgs;
use super::terminal::stdout;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Model package: a folder with model.onnx and model.toml, or an .onnx file with a .toml beside it.
    model: PathBuf,
    #[command(flatten)]
    load: LoadArgs,
    /// Check this policy too: it must fit the model, and every rule must be able to apply.
    #[arg(long, value_name = "P.toml")]
    policy: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let policy = args.policy.as_ref().map(Policy::load).transpose()?;
    let dead = policy.as_ref().map(Policy::dead_rules).unwrap_or_default();
    let model = args.load.load(&args.model)?;
    let runtime = init_runtime(None)?;
    let manifest = model.manifest().clone();
    let mut out = stdout();
    writeln!(out, "model     {} ({:?}, {})", manifest.name, manifest.task, model.path().display())?;
    writeln!(out, "sha256    {}", model.sha256())?;
    writeln!(out, "manifest  {}", model.manifest_sha256())?;
    writeln!(out, "runtime   {runtime}")?;
    writeln!(out, "provider  {}", model.provider())?;
    for (name, ports) in [("input", &model.signature().inputs), ("output", &model.signature().outputs)] {
        for port in ports {
            writeln!(out, "{name:<9} {port}")?;
        }
    }
    let kinds: Vec<_> = manifest.output.kinds.iter().map(|kind| kind.as_str()).collect();
    writeln!(out, "kinds     {}", kinds.join(", "))?;

    // A gray image of the model's own size: the graph has to run on it and give numbers that decode.
    // One that has a region of `min_area`, as the frames to come hopefully do.
    let Size { width, height } = manifest.input.size;
    let larger = |times: u32| Size::new(width * times, height * times);
    let size = (1..=8).map(larger).find(|size| size.area() >= manifest.output.min_area).unwrap_or(larger(1));
    let pixels = size.area() as usize;
    let gray = match manifest.white() {
        Some(white) if white > 255 => Frame::new(size, PixelFormat::Mono16, vec![white / 2; pixels])?,
        white => Frame::new(size, PixelFormat::Mono8, vec![(white.unwrap_or(255) / 2) as u8; pixels])?,
    };
    let mut panel = Panel::new("gray", gray.clone());
    if manifest.input.reference {
        panel = panel.with_reference(gray);
    }
    let mut builder = Inspector::builder(model).threads(1);
    if let Some(policy) = policy {
        builder = builder.policy(policy);
    }
    let inspector = builder.build()?;
    let report = inspector.inspect(&panel)?;
    writeln!(out, "run       a gray image: score {}, {:.1} ms", report.score, report.ms.infer)?;
    for reason in &report.reasons {
        writeln!(out, "          {}: {reason}", report.verdict)?;
    }
    let mut failed = 0;
    for replay in
        Golden::load(inspector.model())?.map(|golden| golden.replay(&inspector)).transpose()?.unwrap_or_default()
    {
        let state = if replay.problems.is_empty() { "as recorded" } else { "NOT as recorded" };
        writeln!(
            out,
            "golden    {}: {state}; {} defects, tensor within {:.3} gray levels ({:.4} on average)",
            replay.image, replay.defects, replay.worst_level, replay.mean_level
        )?;
        for problem in &replay.problems {
            writeln!(out, "          {problem}")?;
        }
        failed += usize::from(!replay.problems.is_empty());
    }
    for doubt in inspector.model().manifest().doubts() {
        writeln!(out, "doubt     {doubt}")?;
    }
    for doubt in inspector.policy().map(|policy| policy.doubts(&manifest.output)).unwrap_or_default() {
        writeln!(out, "doubt     {doubt}")?;
    }
    for problem in &dead {
        writeln!(out, "policy    {problem}")?;
    }
    if failed > 0 {
        writeln!(out, "failed    {failed} golden images are not as recorded")?;
    }
    if !dead.is_empty() {
        writeln!(out, "failed    {} parts of the policy can never apply", dead.len())?;
    }
    if failed > 0 || !dead.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    writeln!(out, "ok")?;
    Ok(ExitCode::SUCCESS)
}
