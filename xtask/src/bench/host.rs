use std::fs;
use std::process::Command;

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

/// A warning where other programs take a good part of the machine: then no figure here is worth keeping.
pub(super) fn busy(load: Option<f64>, cores: usize) -> Option<String> {
    let load = load?;
    (load > 0.25 * cores as f64).then(|| {
        format!("WARNING: load average {load:.2} on {cores} cores: this machine is busy, do not keep these figures")
    })
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
        assert!(busy(Some(1.0), 2).is_some_and(|warning| warning.contains("1.00 on 2 cores")));
        assert_eq!(busy(Some(0.2), 2), None);
        assert_eq!(busy(None, 2), None);
    }

    #[test]
    fn fields_of_proc() {
        let text = "processor\t: 0\nmodel name\t: A CPU: fast\nflags\t: x\n";
        assert_eq!(field(text, "model name").as_deref(), Some("A CPU: fast"));
        assert_eq!(field(text, "cache"), None);
    }
}
