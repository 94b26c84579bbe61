use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use panelqc_eval::metrics::{Comparison, Results};

use super::Failure;
use super::output::write_json;
use super::terminal::{say, stdout};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Result of `panelqc eval --json` of the current model.
    a: PathBuf,
    /// That of the candidate, on the same panels.
    b: PathBuf,
    /// The number that decides [default: the F-score where both detect, otherwise the accuracy].
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,
    /// Fail unless B is better by at least this, with 95 % confidence [default: fail only if B is worse, with 95 %
    /// confidence].
    #[arg(long, value_name = "X")]
    min_gain: Option<f64>,
    /// Also write the comparison to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let (a, b) = (Results::load(&args.a)?, Results::load(&args.b)?);
    let comparison =
        Comparison::new(&a, &b).map_err(|e| format!("{} (A), {} (B): {e}", args.a.display(), args.b.display()))?;
    let names: Vec<&str> = comparison.differences.iter().map(|difference| difference.name).collect();
    let main = match &args.metric {
        None => comparison.main(),
        Some(name) => comparison.get(name),
    };
    let Some(main) = main else {
        let asked = args.metric.as_deref().unwrap_or("none");
        return Err(
            format!("--metric: expected one that both results have ({}), found {asked}", names.join(", ")).into()
        );
    };

    if let Some(path) = &args.json {
        write_json(path, &comparison)?;
    }
    let mut out = stdout();
    writeln!(out, "{} panels; gain of B with its 95 % interval (paired bootstrap)", comparison.panels)?;
    for d in &comparison.differences {
        let word = match (d.is_better(), d.is_worse()) {
            (true, _) => "better",
            (_, true) => "worse",
            _ => "no clear difference",
        };
        let (name, a, b) = (d.name, d.a, d.b);
        writeln!(out, "{name:<10} A {a:.4}  B {b:.4}  gain {:+.4} ({:+.4} to {:+.4})  {word}", d.gain, d.low, d.high)?;
    }
    let broken = match args.min_gain {
        Some(least) => (main.low < least).then(|| format!("a gain of at least {least} with 95 % confidence")),
        None => main.is_worse().then(|| "no loss".to_owned()),
    };
    if let Some(expected) = &broken {
        say!(
            "panelqc: gate {}: expected {expected}, found {:+.4} ({:+.4} to {:+.4})",
            main.name,
            main.gain,
            main.low,
            main.high
        );
    }
    Ok(ExitCode::from(u8::from(broken.is_some())))
}
