use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

/// What the numbers were measured on.
pub(super) fn describe() -> Value {
    let cpu = read("/proc/cpuinfo")
        .and_then(|text| field(&text, "model name"))
        .or_else(|| output("sysctl", &["-n", "machdep.cpu.brand_string"]))
        .unwrap_or_else(|| "unknown".to_owned());
    let os = read("/etc/os-release").and_then(|text| {
        text.lines().find_map(|l| l.strip_prefix("PRETTY_NAME=")).map(|name| name.trim_matches('"').to_owned())
    });
    let kernel = read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned());
    let siblings = read("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list");
    let memory = read("/proc/meminfo").and_then(|text| {
        let kilobytes: f64 = field(&text, "MemTotal")?.trim_end_matches("kB").trim().parse().ok()?;
        Some((kilobytes / 1e4).round() / 1e2)
    });
    json!({
        "cpu": cpu,
        "cores": cores(),
        "threads_a_core": siblings.map(|list| list.trim().split([',', '-']).count()),
        "memory_gb": memory,
        "os": os.unwrap_or_else(|| std::env::consts::OS.to_owned()),
        "kernel": kernel,
        "load_average": load_average(),
        "rustc": output("rustc", &["--version"]),
    })
}

/// What this process may use.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Of the last minute, as Linux counts it: programs that run or want to.
pub(super) fn load_average() -> Option<f64> {
    read("/proc/loadavg")?.split_whitespace().next()?.parse().ok()
}

/// Share of the machine, in `0..=1`, that others use while this program sleeps for `wait`, with the time that a
/// hypervisor took away. Unlike the load average it does not count what was built a minute ago. `None` but on Linux.
pub(super) fn in_use(wait: Duration) -> Option<f64> {
    let (busy, all) = ticks(&read("/proc/stat")?)?;
    std::thread::sleep(wait);
    let (busy_after, all_after) = ticks(&read("/proc/stat")?)?;
    (all_after > all).then(|| busy_after.saturating_sub(busy) as f64 / (all_after - all) as f64)
}

/// Ticks of all cores since the start, busy and all, of `/proc/stat`: user, nice, system, idle, waiting for a disk, two
/// kinds of interrupts, stolen. Guests are in the first two already.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let ticks = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().take(8);
    let ticks: Vec<u64> = ticks.map(str::parse).collect::<Result<_, _>>().ok()?;
    let all: u64 = ticks.iter().sum();
    Some((all - ticks.get(3)? - ticks.get(4)?, all))
}

/// A warning where other programs take a part of the machine: then no figure here is worth keeping.
pub(super) fn busy(in_use: Option<f64>) -> Option<String> {
    let in_use = in_use.filter(|&share| share > 0.05)?;
    Some(format!("WARNING: other programs use {:.0} % of this machine: do not keep these figures", 100.0 * in_use))
}

fn read(file: &str) -> Option<String> {
    fs::read_to_string(file).ok()
}

/// The value of a `name : value` line.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_machine_is_told() {
        assert!(busy(Some(0.12)).is_some_and(|warning| warning.contains("use 12 % of this machine")));
        assert_eq!(busy(Some(0.01)), None);
        assert_eq!(busy(None), None);
    }

    #[test]
    fn stolen_time_is_busy_and_waiting_for_a_disk_is_not() {
        assert_eq!(ticks("cpu  10 1 5 80 4 0 1 3 10 0\ncpu0 1 2\n"), Some((20, 104)));
        assert_eq!(ticks("cpu  10 1 5\n"), None);
        assert_eq!(ticks("intr 1"), None);
    }

    #[test]
    fn fields_of_proc() {
        let text = "processor\t: 0\nmodel name\t: A CPU: fast\nflags\t: x\n";
        assert_eq!(field(text, "model name").as_deref(), Some("A CPU: fast"));
        assert_eq!(field(text, "cache"), None);
    }
}
