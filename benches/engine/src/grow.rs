use std::fs;
use std::time::{Duration, Instant};

use panelqc::{Inspector, Model};
use serde_json::json;

use super::Failure;
use super::cases::Cases;
use super::stream::Window;

/// One run of `count` images with `threads` workers, in a process of its own: images per second from the first image to
/// the last, and the memory that the process had at most and has at the end. A count of `4.5s` is a time instead.
pub(super) fn run(model: &str, cases: &str, case: &str, threads: &str, count: &str) -> Result<(), Failure> {
    let cases = Cases::load(cases)?;
    let panels = cases.get(case)?.panels();
    let inspector = Inspector::builder(Model::load(model)?).threads(threads.parse()?).build()?;
    let rate = if let Some(seconds) = count.strip_suffix('s') {
        let time = Duration::try_from_secs_f64(seconds.parse()?)?;
        Window::measure(&inspector, panels.into_iter().cycle(), time)?.images_per_s()
    } else {
        let count: usize = count.parse()?;
        let start = Instant::now();
        for result in inspector.inspect_batch(panels.into_iter().cycle().take(count)) {
            result?;
        }
        count as f64 / start.elapsed().as_secs_f64()
    };
    println!("> {}", json!({ "images_per_s": rate, "peak_mb": memory("VmHWM"), "end_mb": memory("VmRSS") }));
    Ok(())
}

/// A line of this process's status, in MB; Linux alone has it.
fn memory(line: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':'))?;
    Some(value.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}
