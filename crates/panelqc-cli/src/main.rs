//! The command line of `panelqc`: one file per subcommand.

mod bench;
mod calibrate;
mod check;
mod compare;
mod data;
mod engine;
mod eval;
mod gates;
mod golden;
mod init;
mod inspect;
mod lines;
mod monitor;
mod output;
mod page;
mod resume;
mod run_folder;
mod signals;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use terminal::say;

/// Automatic visual inspection of industrial panels.
///
/// Exit status 0: done. 1: finished, but an image could not be inspected or a gate failed. 2: usage or set-up error, or
/// results that could not be written.
#[derive(Parser)]
// Not the name of the package.
#[command(name = "panelqc", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Inspect images and write one result per panel.
    Inspect(inspect::Args),
    /// Measure a model against labelled images.
    Eval(eval::Args),
    /// Measure speed on your own images: images per second, latency, stages, and how close that is to the limit.
    Bench(bench::Args),
    /// Check whether model B is better than model A, and by how much.
    Compare(compare::Args),
    /// Load a model package, check it and run it once.
    Check(check::Args),
    /// Record golden images, with their results, in a model package for `check` to replay.
    Golden(golden::Args),
    /// Choose a policy's limits so that the miss rate is guaranteed.
    Calibrate(calibrate::Args),
    /// Check, on newly labelled panels, that a policy's guarantee still holds.
    Monitor(monitor::Args),
    /// Write a starter manifest for an ONNX graph.
    Init(init::Args),
}

/// What stopped a command: the message for stderr.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    signals::let_writes_fail();
    let done = match Cli::parse().command {
        Command::Inspect(args) => inspect::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Golden(args) => golden::run(&args),
        Command::Calibrate(args) => calibrate::run(&args),
        Command::Monitor(args) => monitor::run(&args),
        Command::Init(args) => init::run(&args),
    };
    done.unwrap_or_else(|failure| {
        // Errors of files name them; these do not.
        let stdout = if failure.is::<std::io::Error>() { "writing to stdout: " } else { "" };
        say!("panelqc: {stdout}{failure}");
        ExitCode::from(2)
    })
}
