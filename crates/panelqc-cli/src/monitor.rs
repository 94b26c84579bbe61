use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use panelqc::{Error, Guarantee, PanelRecord, Verdict};
use panelqc_eval::Monitor;
use panelqc_eval::dataset::same_images;
use serde::{Deserialize, Serialize};

use super::Failure;
use super::data::{self, DataArgs};
use super::engine::EngineArgs;
use super::output::{reading, write_json};
use super::run_folder::lock;
use super::terminal::{say, stdout};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    engine: EngineArgs,
    /// The panels have to be drawn from the line without regard to their verdict.
    #[command(flatten)]
    data: DataArgs,
    /// Confidence of an alarm [default: the guarantee's, or 0.95].
    #[arg(long, value_name = "SHARE")]
    confidence: Option<f64>,
    /// Continue from the counts in this file, and update it. A panel is never counted twice.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
}

/// What was counted so far, as it is kept between runs.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    schema: u32,
    /// SHA-256 of the policy's file.
    policy: String,
    miss: Monitor,
    #[serde(skip_serializing_if = "Option::is_none")]
    overkill: Option<Monitor>,
    panels: BTreeSet<String>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let inspector = args.engine.builder()?.build()?;
    let policy = inspector.policy();
    let guarantee = policy.and_then(|policy| policy.guarantee());
    let (Some(guarantee), Some(hash)) = (guarantee, inspector.judge().sha256()) else {
        return Err("--policy: expected a policy with a guarantee, as `panelqc calibrate` writes, found none".into());
    };
    let _lock = args.state.as_deref().map(lock_state).transpose()?;
    let mut state = match &args.state {
        Some(path) if path.exists() => State::read(path, guarantee, hash, args.confidence)?,
        _ => State::new(guarantee, hash, args.confidence)?,
    };
    let mut samples = args.data.fair_samples(inspector.model().manifest())?.samples;
    let all = samples.len();
    samples.retain(|sample| !state.panels.contains(&sample.files.id));
    if samples.len() < all {
        say!("panelqc: {} of {all} panels were counted before", all - samples.len());
    }
    let records = data::inspect(&inspector, &samples);
    data::tell(&same_images(&samples, &records));
    for (sample, record) in samples.iter().zip(&records) {
        let PanelRecord::Inspected(report) = record else { continue }; // may be tried again once it can be read
        if sample.label.is_defective() {
            state.miss.add(u64::from(report.verdict == Verdict::Pass), 1)?;
        } else if let Some(overkill) = &mut state.overkill {
            overkill.add(u64::from(report.verdict == Verdict::Fail), 1)?;
        }
        state.panels.insert(sample.files.id.clone());
    }
    if let Some(path) = &args.state {
        write_json(path, &state)?;
    }
    let holds = state.print()?;
    let errors = records.iter().any(|r| !r.is_inspected());
    Ok(ExitCode::from(u8::from(!holds || errors)))
}

/// Two runs at once would each write the counts of their own panels.
fn lock_state(path: &Path) -> Result<File, Failure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    lock(&path.with_file_name(format!(".{name}.lock")), &format!("--state {}", path.display()))
}

impl State {
    fn new(guarantee: &Guarantee, policy: &str, confidence: Option<f64>) -> Result<Self, Error> {
        let confidence = confidence.or(guarantee.confidence).unwrap_or(0.95);
        Ok(State {
            schema: 1,
            policy: policy.to_owned(),
            miss: Monitor::new(guarantee.max_miss, confidence)?,
            overkill: guarantee.max_overkill.map(|level| Monitor::new(level, confidence)).transpose()?,
            panels: BTreeSet::new(),
        })
    }

    fn read(path: &Path, guarantee: &Guarantee, policy: &str, confidence: Option<f64>) -> Result<Self, Failure> {
        let bad = |expected: &str, found: &str| {
            Err(format!("--state {}: expected {expected}, found {found}", path.display()).into())
        };
        let text = fs::read_to_string(path).map_err(|e| reading(path, e))?;
        let state: State = match serde_json::from_str(&text) {
            Ok(state) => state,
            Err(problem) => return bad("the state of a monitor", &problem.to_string()),
        };
        if state.schema != 1 {
            return bad("schema 1", &state.schema.to_string());
        }
        if state.policy != policy {
            return bad(&format!("counts under the policy {policy}"), &format!("counts under {}", state.policy));
        }
        let levels = (state.miss.level(), state.overkill.as_ref().map(Monitor::level));
        if levels != (guarantee.max_miss, guarantee.max_overkill) {
            return bad("the rates that the policy guarantees", &format!("{levels:?}"));
        }
        let confidences = [Some(&state.miss), state.overkill.as_ref()].into_iter().flatten().map(Monitor::confidence);
        let asked = confidence.unwrap_or(state.miss.confidence());
        if let Some(other) = confidences.into_iter().find(|found| *found != asked) {
            return bad(&format!("counts with an alarm of confidence {asked}"), &other.to_string());
        }
        // Without a limit on overkill, good panels are among the panels and are not counted.
        let (counted, panels) =
            (state.miss.of() + state.overkill.as_ref().map_or(0, Monitor::of), state.panels.len() as u64);
        if counted > panels || (state.overkill.is_some() && counted != panels) {
            return bad(&format!("as many panels as were counted ({counted})"), &panels.to_string());
        }
        Ok(state)
    }

    fn print(&self) -> io::Result<bool> {
        let mut out = stdout();
        let mut holds = true;
        for (name, monitor) in [("miss rate", Some(&self.miss)), ("overkill rate", self.overkill.as_ref())] {
            let Some(monitor) = monitor else { continue };
            holds &= monitor.holds();
            let verdict = if monitor.holds() { "no evidence against it" } else { "no longer holds" };
            writeln!(
                out,
                "{name:<15} at most {:.2} %: {verdict} ({} of {}; the rate is {:.2} % or more; evidence {:.2}, alarm at {:.2})",
                monitor.level() * 100.0,
                monitor.count(),
                monitor.of(),
                monitor.lower_bound() * 100.0,
                monitor.log_evidence(),
                -(1.0 - monitor.confidence()).ln(),
            )?;
        }
        Ok(holds)
    }
}
