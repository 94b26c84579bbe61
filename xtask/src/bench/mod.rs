//! `cargo xtask bench`: panelqc, what the hardware allows, and other programs, side by side in one run.

mod host;
mod options;
mod participant;
mod preprocess;
mod results;
mod setup;
mod spread;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use self::options::Options;
use self::participant::{Participant, once};
use self::results::{Results, columns};
use self::setup::{MAIN_CASE, Setup, Subject};
use self::spread::Spread;
use super::{Failure, cargo, root, run as run_command};

/// How long it is looked at what others use of the machine.
const LOOK: Duration = Duration::from_secs(3);

pub(super) fn run(args: &[String]) -> Result<(), Failure> {
    if let Some(("--criterion", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return run_command(cargo()?.args(["bench", "--package", "panelqc"]).args(rest));
    }
    let options = Options::parse(args)?;
    let setup = Setup::make(&options)?;
    let workers = host::cores();
    // The build is over, and nothing of ours runs yet: whatever is busy now is somebody else's.
    let in_use = host::in_use(LOOK);
    let host = host::describe();
    let warning = host::busy(in_use);
    if let Some(warning) = &warning {
        eprintln!("{warning}");
    }
    let mut all = Map::new();
    all.insert("host".to_owned(), host);
    all.insert("in_use".to_owned(), json!(in_use));
    all.insert("settings".to_owned(), setup::settings(&options, workers));

    let mut results = Results::default();
    let mut versions = Map::new();
    let mut lacking: Vec<Value> = setup.missing.iter().map(|(what, why)| json!({ "what": what, "why": why })).collect();
    let (mut latency, mut cold, mut memory) = (Map::new(), Map::new(), Map::new());
    for subject in &setup.subjects {
        if !subject.path.exists() {
            lacking.push(json!({ "what": subject.name, "why": "the model could not be made" }));
            continue;
        }
        let bench = Bench { options: &options, setup: &setup, subject, workers };
        bench.compare(&mut results, &mut versions, &mut lacking)?;
        eprintln!("{}: single panels ...", subject.name);
        latency.insert(subject.name.to_owned(), bench.latency()?);
        cold.insert(subject.name.to_owned(), bench.cold_start()?);
        memory.insert(subject.name.to_owned(), bench.grow(MAIN_CASE, workers, "3s")?["peak_mb"].clone());
    }
    let mut preprocessing = None;
    if let Some(subject) = setup.subjects.first() {
        let cases = setup.cases(subject, workers)?;
        let wanted = |case: &str| options.wants_case(case);
        let measured = preprocess::measure(&setup, &cases, options.rounds, options.seconds, wanted)?;
        versions.extend(measured.versions.iter().map(|(who, what)| ((*who).to_owned(), what.clone())));
        all.insert("preprocess".to_owned(), measured.json.clone());
        preprocessing = Some(measured.table);
    }
    all.extend(results.to_json(workers));
    all.insert("versions".to_owned(), Value::Object(versions));
    all.insert("latency".to_owned(), Value::Object(latency));
    all.insert("cold_start_ms".to_owned(), Value::Object(cold));
    all.insert("memory_peak_mb".to_owned(), Value::Object(memory));
    all.insert("growth".to_owned(), growth(&options, &setup, workers)?);
    all.insert("not_measured".to_owned(), Value::Array(lacking));
    all.insert("load_average_after".to_owned(), json!(host::load_average()));
    // What began midway and still runs shows here.
    let in_use_after = host::in_use(LOOK);
    all.insert("in_use_after".to_owned(), json!(in_use_after));
    all.insert("warning".to_owned(), json!(host::busy(in_use_after).or(warning)));
    let all = Value::Object(all);
    print!("{}", report(&all, &results, preprocessing.as_deref(), workers));
    if let Some(file) = &options.json {
        fs::write(file, serde_json::to_string_pretty(&all)? + "\n").map_err(|e| format!("{}: {e}", file.display()))?;
        eprintln!("wrote {}", file.display());
    }
    Ok(())
}

/// The measurements of one model.
struct Bench<'a> {
    options: &'a Options,
    setup: &'a Setup,
    subject: &'a Subject,
    workers: usize,
}

impl Bench<'_> {
    /// All participants on all cases, a round after the other, in turn: whatever slows the machine for a while slows
    /// all of them. Every other round goes backwards, so that no one always comes after the same neighbour.
    fn compare(
        &self,
        results: &mut Results,
        versions: &mut Map<String, Value>,
        lacking: &mut Vec<Value>,
    ) -> Result<(), Failure> {
        let model = self.subject.name;
        let cases = self.setup.cases(self.subject, self.workers)?;
        let others = self.subject.others(self.options);
        let mut participants = Vec::new();
        for name in ["panelqc", "limit"].iter().chain(&others) {
            eprintln!("{model}: starting {name} ...");
            let started = self.setup.participant(name).and_then(|mut command| {
                Participant::start(command.arg(&self.subject.path).arg(&cases), &self.setup.log())
            });
            match started {
                Ok(participant) => {
                    versions.insert((*name).to_owned(), participant.versions.clone());
                    participants.push((*name, participant));
                }
                Err(failure) if others.contains(name) => {
                    eprintln!("{model}: without {name}: {failure}");
                    lacking.push(json!({ "what": format!("{name} on {model}"), "why": failure.to_string() }));
                }
                Err(failure) => return Err(format!("{name}: {failure}").into()),
            }
        }
        for case in self.subject.cases(self.options) {
            eprintln!("{model}: {case} ...");
            // Opens files, fills caches, lets a peer choose its best way: does not count.
            for (_, participant) in &mut participants {
                let _ = participant.measure(&case, self.options.seconds.min(0.5));
            }
            for round in 0..self.options.rounds {
                let count = participants.len();
                for place in 0..count {
                    let (name, participant) = &mut participants[if round % 2 == 0 { place } else { count - 1 - place }];
                    let answer = participant.measure(&case, self.options.seconds);
                    if let Err(failure) = &answer {
                        eprintln!("{model}: {case}: {name}: {failure}");
                        if round == 0 {
                            let what = format!("{name} on {model} {case}");
                            lacking.push(json!({ "what": what, "why": failure.to_string() }));
                        }
                    }
                    let answer = answer.unwrap_or_default();
                    let number = |key: &str| answer[key].as_f64().unwrap_or(f64::NAN);
                    results.add(model, &case, name, number("images_per_s"));
                    if *name == "limit" {
                        results.add(model, &case, "together", number("together_images_per_s"));
                        results.add(model, &case, "decode_ms", number("decode_ms"));
                        results.add(model, &case, "run_ms", number("run_ms"));
                    } else if round + 1 == self.options.rounds {
                        let found = number("defects") / number("images");
                        results.note(model, &case, name, json!({ "way": answer["way"], "found_an_image": found }));
                    }
                }
            }
        }
        Ok(())
    }

    fn latency(&self) -> Result<Value, Failure> {
        let cases = self.setup.cases(self.subject, self.workers)?;
        let count = if self.options.quick { "100" } else { "500" };
        once(self.setup.bench().arg("latency").arg(&self.subject.path).arg(cases).args([MAIN_CASE, count]))
    }

    /// Milliseconds from the start of `panelqc inspect` to its first line of results.
    fn cold_start(&self) -> Result<Value, Failure> {
        let (picture, references) = self.setup.one_picture(self.subject);
        let mut times = Vec::new();
        for _ in 0..self.options.rounds {
            let mut command = self.setup.panelqc();
            command.arg("inspect").arg("--model").arg(&self.subject.path).arg(&picture);
            if let Some(folder) = &references {
                command.arg("--reference").arg(folder);
            }
            let start = Instant::now();
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
            let mut line = String::new();
            if let Some(out) = child.stdout.take() {
                BufReader::new(out).read_line(&mut line)?;
            }
            let time = start.elapsed().as_secs_f64() * 1e3;
            let status = child.wait()?;
            if !status.success() || line.is_empty() {
                return Err(format!("failed: {command:?}").into());
            }
            times.push(time);
        }
        Ok(spread_json(Spread::new(times)))
    }

    fn grow(&self, case: &str, workers: usize, count: &str) -> Result<Value, Failure> {
        let cases = self.setup.cases(self.subject, workers)?;
        let mut command = self.setup.bench();
        command.arg("grow").arg(&self.subject.path).arg(cases);
        once(command.args([case, &workers.to_string(), count]))
    }
}

/// How speed and memory change with workers, sessions and images.
fn growth(options: &Options, setup: &Setup, cores: usize) -> Result<Value, Failure> {
    let (counts, time): (&[usize], _) =
        if options.quick { (&[100, 1_000], "1s") } else { (&[100, 1_000, 10_000, 100_000], "4s") };
    let mut all = Map::new();
    for subject in setup.subjects.iter().filter(|s| matches!(s.name, "pcb" | "solar-cell")) {
        let bench = Bench { options, setup, subject, workers: cores };
        let mut steps = Vec::new();
        for workers in [1, 2, 4, 8, 16].into_iter().filter(|&n| !options.quick || n <= 2 * cores) {
            eprintln!("{}: {workers} workers ...", subject.name);
            let mut step = bench.grow(MAIN_CASE, workers, time)?;
            step["workers"] = json!(workers);
            // Each worker has a session of its own; beyond the cores they show what a session costs.
            step["more_than_cores"] = json!(workers > cores);
            steps.push(step);
        }
        all.insert(format!("workers_{}", subject.name), Value::Array(steps));
    }
    // A network so small that 100,000 images are a matter of minutes.
    let path = root().join("tests/parity/anomalib-patchcore");
    let tiny = Subject::tiny(path);
    let bench = Bench { options, setup, subject: &tiny, workers: cores };
    let mut steps = Vec::new();
    for count in counts {
        eprintln!("{count} images ...");
        let mut step = bench.grow("jpeg-160-rgb", cores, &count.to_string())?;
        step["images"] = json!(count);
        steps.push(step);
    }
    all.insert("images".to_owned(), Value::Array(steps));
    Ok(Value::Object(all))
}

fn spread_json(spread: Option<Spread>) -> Value {
    spread.map_or(Value::Null, |s| json!({ "median": s.median, "low": s.low, "high": s.high }))
}

/// The whole report as text, as docs/PERFORMANCE.md shows it.
fn report(all: &Value, results: &Results, preprocessing: Option<&str>, workers: usize) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let number = |value: &Value, digits: usize| value.as_f64().map_or("-".to_owned(), |v| format!("{v:.digits$}"));
    let percent = |value: &Value| value.as_f64().map_or("-".to_owned(), |share| format!("{:.0} %", 100.0 * share));
    let host = &all["host"];
    let mut out = format!(
        "machine   {}, {} cores ({} threads a physical core), {} GB, {}, kernel {}\nothers    {} of the machine before the run, {} after\n",
        text(&host["cpu"]),
        host["cores"],
        host["threads_a_core"],
        host["memory_gb"],
        text(&host["os"]),
        text(&host["kernel"]),
        percent(&all["in_use"]),
        percent(&all["in_use_after"])
    );
    if let Some(warning) = all["warning"].as_str() {
        out += &format!("{warning}\n");
    }
    out += &format!("versions  {}\n", text(&host["rustc"]));
    for (who, versions) in all["versions"].as_object().into_iter().flatten() {
        let parts = versions.as_object().into_iter().flatten();
        let parts: Vec<_> = parts.map(|(what, version)| format!("{what} {}", text(version))).collect();
        out += &format!("          {who}: {}\n", parts.join(", "));
    }
    out += &format!(
        "settings  {} rounds of {} s, {workers} workers; images per second and quotients: median (lowest to highest)\n\n",
        all["settings"]["rounds"], all["settings"]["seconds"]
    );
    out += &results.table(workers);
    if let Some(table) = preprocessing {
        out += &format!("{table}\n");
    }

    let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let mut single =
        vec![row(&["one panel, ms", "p50", "p95", "p99", "p99/p50", "from file p50", "cold start", "memory MB"])];
    let mut stages = vec![row(&["stage, p50 ms", "load", "preprocess", "infer", "postprocess"])];
    let mut heap = vec![row(&["heap allocations a panel", "load", "preprocess", "run", "decode"])];
    for (model, latency) in all["latency"].as_object().into_iter().flatten() {
        let inspect = &latency["inspect_ms"];
        single.push(vec![
            model.clone(),
            number(&inspect["p50"], 2),
            number(&inspect["p95"], 2),
            number(&inspect["p99"], 2),
            number(&inspect["p99_over_p50"], 2),
            number(&latency["file_ms"]["p50"], 2),
            number(&all["cold_start_ms"][model]["median"], 0),
            number(&all["memory_peak_mb"][model], 0),
        ]);
        let mut line = vec![model.clone()];
        line.extend(
            ["decode", "preprocess", "infer", "postprocess"].map(|s| number(&latency["stages_ms"][s]["p50"], 3)),
        );
        stages.push(line);
        let mut line = vec![model.clone()];
        line.extend(["load", "preprocess", "run", "decode"].map(|s| number(&latency["allocations"][s]["count"], 1)));
        heap.push(line);
    }
    let mut grown = vec![row(&["growth", "images/s", "peak MB", "MB at the end"])];
    for (name, steps) in all["growth"].as_object().into_iter().flatten() {
        for step in steps.as_array().into_iter().flatten() {
            let what = match (step["workers"].as_u64(), step["images"].as_u64()) {
                (Some(workers), _) => format!("{}, {workers} workers", name.trim_start_matches("workers_")),
                (_, images) => format!("{} images, tiny model", images.unwrap_or(0)),
            };
            let cells =
                [("images_per_s", 1), ("peak_mb", 0), ("end_mb", 0)].map(|(key, digits)| number(&step[key], digits));
            grown.push([vec![what], cells.to_vec()].concat());
        }
    }
    for table in [single, stages, heap, grown] {
        out += &columns(&table);
        out.push('\n');
    }
    for lacking in all["not_measured"].as_array().into_iter().flatten() {
        out += &format!("not measured: {}: {}\n", text(&lacking["what"]), text(&lacking["why"]));
    }
    out
}
