use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Failure;

/// Answers `CASE SECONDS` lines on stdin with one line of JSON each, marked by `> ` so that whatever else a participant
/// prints is not taken for an answer. All participants speak this, those in Python too (`benches/peers/serve.py`).
pub(super) fn serve(
    versions: Value,
    mut measure: impl FnMut(&str, Duration) -> Result<Value, Failure>,
) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "> {versions}")?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (case, seconds) = line.split_once(' ').ok_or("expected `CASE SECONDS`")?;
        let answer = measure(case, Duration::try_from_secs_f64(seconds.parse()?)?)
            .unwrap_or_else(|failure| serde_json::json!({ "error": failure.to_string() }));
        writeln!(out, "> {answer}")?;
        out.flush()?;
    }
    Ok(())
}

/// Seconds that one call of `step` takes on average, over `time` and at least `least` calls; `step` is given the number
/// of the call.
pub(super) fn mean_seconds(
    time: Duration,
    least: usize,
    mut step: impl FnMut(usize) -> Result<(), Failure>,
) -> Result<f64, Failure> {
    let start = Instant::now();
    let mut calls = 0;
    while calls < least || start.elapsed() < time {
        step(calls)?;
        calls += 1;
    }
    Ok(start.elapsed().as_secs_f64() / calls as f64)
}
