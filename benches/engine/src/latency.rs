use std::hint::black_box;
use std::time::Instant;

use allocation_counter::measure;
use panelqc::{Batch, FrameLimits, Inspector, Model, Outputs, Proposals, Timings};
use panelqc_eval::metrics::{Percentiles, StageTimes};
use serde_json::{Value, json};

use super::Failure;
use super::cases::Cases;

/// Calls before the first that counts.
const WARM_UP: usize = 20;

/// Single panels on one thread, as an inline station inspects them: percentiles of a panel in memory and of one that is
/// read from its file, each stage, and the heap allocations of each in the steady state.
pub(super) fn run(model: &str, cases: &str, case: &str, count: &str) -> Result<(), Failure> {
    let count: usize = count.parse()?;
    let cases = Cases::load(cases)?;
    let files = cases.get(case)?.panels();
    let panels = cases.get(case)?.loaded()?;
    let model = Model::load(model)?;
    let allocations = allocations(&model, &files, &panels)?;
    let inspector = Inspector::builder(model).threads(1).build()?;

    let mut memory = Vec::new();
    for panel in panels.iter().cycle().take(WARM_UP + count) {
        let start = Instant::now();
        black_box(inspector.inspect(panel)?);
        memory.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let results = inspector.inspect_batch(files.iter().cycle().take(WARM_UP + count).cloned());
    let stages = results.skip(WARM_UP).map(|result| Ok(result?.ms));
    let stages: Vec<Timings> = stages.collect::<Result<_, Failure>>()?;
    let file: Vec<f64> = stages.iter().map(|ms| ms.decode + ms.preprocess + ms.infer + ms.postprocess).collect();
    let answer = json!({
        "inspect_ms": percentiles(&memory[WARM_UP..]),
        "file_ms": percentiles(&file),
        "stages_ms": StageTimes::new(&stages),
        "allocations": allocations,
        "panels": count,
    });
    println!("> {answer}");
    Ok(())
}

fn percentiles(times: &[f64]) -> Value {
    match Percentiles::new(times.iter().copied()) {
        Some(p) => json!({ "p50": p.p50, "p95": p.p95, "p99": p.p99, "p99_over_p50": p.p99 / p.p50 }),
        None => Value::Null,
    }
}

/// Heap allocations a panel and their bytes, by stage, in Rust code on the calling thread. What ONNX Runtime allocates
/// within itself is its own and is not seen. Loading is `PanelFiles::load`: the engine's workers read into memory that
/// is used again besides.
fn allocations(model: &Model, files: &[panelqc::PanelFiles], panels: &[panelqc::Panel]) -> Result<Value, Failure> {
    let mut batch = Batch::new(&model.manifest().input, 1);
    let (mut outputs, mut scratch) = (Outputs::default(), Proposals::default());
    let decoder = model.decoder();
    let limits = FrameLimits::default();
    let mut stages = [("load", Vec::new()), ("preprocess", Vec::new()), ("run", Vec::new()), ("decode", Vec::new())];
    let mut failed = None;
    for at in 0..3 * panels.len().max(WARM_UP) {
        let (file, panel) = (&files[at % files.len()], &panels[at % panels.len()]);
        batch.clear();
        let mut note = |stage: usize, step: &mut dyn FnMut() -> Result<(), Failure>| {
            let info = measure(|| failed = step().err().or(failed.take()));
            stages[stage].1.push((info.count_total, info.bytes_total));
        };
        note(0, &mut || file.load(&limits).map(|panel| drop(black_box(panel))).map_err(Failure::from));
        note(1, &mut || batch.push(&panel.frames()[0], panel.reference()).map_err(Failure::from));
        note(2, &mut || model.run(batch.view(), &mut outputs).map_err(Failure::from));
        note(3, &mut || {
            let decoded = decoder.decode(&outputs, 0, &batch.placements()[0], &mut scratch);
            decoded.map(|d| drop(black_box(d))).map_err(Failure::from)
        });
    }
    if let Some(failure) = failed {
        return Err(failure);
    }
    let mut all = serde_json::Map::new();
    for (name, counts) in stages {
        let steady = &counts[counts.len() / 3..];
        let mean = |of: fn(&(u64, u64)) -> u64| steady.iter().map(of).sum::<u64>() as f64 / steady.len() as f64;
        all.insert(name.to_owned(), json!({ "count": mean(|c| c.0), "bytes": mean(|c| c.1) }));
    }
    Ok(Value::Object(all))
}
