//! What `cargo xtask bench` measures panelqc with: one program, so that each measurement has a process of its own.
//!
//! ```text
//! panelqc-bench images DIR COUNT                          render the pictures of all cases
//! panelqc-bench panelqc MODEL CASES.json                  serve: images per second through the engine
//! panelqc-bench fp32 MODEL CASES.json                     the same with the package's graph in floating point
//! panelqc-bench limit MODEL CASES.json                    serve: what decoding alone and the bare runtime allow
//! panelqc-bench preprocess CASES.json                     serve: a frame to a tensor, beside fast_image_resize
//! panelqc-bench latency MODEL CASES.json CASE COUNT       single panels, stages, heap allocations
//! panelqc-bench grow MODEL CASES.json CASE THREADS COUNT  images per second and memory of one long run
//! ```

mod cases;
mod grow;
mod images;
mod latency;
mod limit;
mod preprocess;
mod serve;
mod stream;

use std::process::ExitCode;

use panelqc::Precision;

/// What stopped a measurement.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["images", folder, count] => count.parse().map_err(Failure::from).and_then(|n| images::write(folder, n)),
        ["panelqc", model, cases] => stream::serve(model, cases, None),
        ["fp32", model, cases] => stream::serve(model, cases, Some(Precision::Fp32)),
        ["limit", model, cases] => limit::serve(model, cases),
        ["preprocess", cases] => preprocess::serve(cases),
        ["latency", model, cases, case, count] => latency::run(model, cases, case, count),
        ["grow", model, cases, case, threads, count] => grow::run(model, cases, case, threads, count),
        _ => Err(
            "usage: panelqc-bench images | panelqc | fp32 | limit | preprocess | latency | grow ARGUMENTS (see src/main.rs)"
                .into(),
        ),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("panelqc-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}
