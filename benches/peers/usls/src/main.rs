//! The crate usls on the pictures of `cargo xtask bench`: `usls-peer MODEL.onnx CASES.json`, then `CASE SECONDS` lines
//! on stdin, each answered by a line of JSON (see `benches/engine/src/serve.rs`).
//!
//! Two ways of use are tried and the faster one counts: one model whose runtime uses all cores, which is usls'
//! default, and a model with one thread on each core.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use usls::{Config, Image, Model, Runtime, YOLO};

const CONFIDENCE: f32 = 0.25;
const IOU: f32 = 0.7;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, model, cases] = &args[..] else { anyhow::bail!("usage: usls-peer MODEL.onnx CASES.json") };
    let cases: Value = serde_json::from_str(&std::fs::read_to_string(cases)?)?;
    let workers = cases["workers"].as_u64().unwrap_or(1) as usize;
    let mut one = vec![open(model, workers)?];
    let mut many = (0..workers).map(|_| open(model, 1)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut best = std::collections::HashMap::new();
    println!("> {}", json!({ "usls": "0.2.0-alpha.3" }));
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (name, seconds) = line.split_once(' ').ok_or_else(|| anyhow::anyhow!("expected `CASE SECONDS`"))?;
        let pictures = Pictures::of(&cases["cases"][name])?;
        let time = Duration::from_secs_f64(seconds.parse()?);
        if !best.contains_key(name) {
            let rate = |models: &mut Vec<Runtime<YOLO>>| -> anyhow::Result<f64> {
                run(models, &pictures, time.mul_f64(0.3))?;
                Ok(run(models, &pictures, time)?.0)
            };
            best.insert(name.to_owned(), rate(&mut many)? >= rate(&mut one)?);
        }
        let each = best[name];
        let (rate, images, defects) = run(if each { &mut many } else { &mut one }, &pictures, time)?;
        let way = if each { "a model on each core" } else { "one model on all cores" };
        println!("> {}", json!({ "images_per_s": rate, "images": images, "defects": defects, "way": way }));
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn open(model: &str, threads: usize) -> anyhow::Result<Runtime<YOLO>> {
    let config = Config::yolo_detect()
        .with_model_file(model)
        .with_version(11.into())
        .with_class_confs(&[CONFIDENCE])
        .with_iou(IOU)
        .with_model_num_intra_threads(threads)
        .with_model_num_dry_run(0)
        .commit()?;
    YOLO::new(config)
}

enum Pictures {
    Files(Vec<PathBuf>),
    Memory(Vec<Image>),
}

impl Pictures {
    fn of(case: &Value) -> anyhow::Result<Self> {
        let files: Vec<PathBuf> = serde_json::from_value(case["files"].clone())?;
        if case["memory"].as_bool() == Some(true) {
            return Ok(Pictures::Memory(files.iter().map(Image::try_read).collect::<anyhow::Result<_>>()?));
        }
        Ok(Pictures::Files(files))
    }
}

/// Images per second, images and boxes found, each model on a thread of its own.
fn run(models: &mut [Runtime<YOLO>], pictures: &Pictures, time: Duration) -> anyhow::Result<(f64, usize, usize)> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = models
            .iter_mut()
            .enumerate()
            .map(|(first, model)| scope.spawn(move || loop_over(model, pictures, first, time)))
            .collect();
        let mut all = (0.0, 0, 0);
        for thread in threads {
            let (rate, images, boxes) = thread.join().map_err(|_| anyhow::anyhow!("a panic"))??;
            all = (all.0 + rate, all.1 + images, all.2 + boxes);
        }
        Ok(all)
    })
}

fn loop_over(
    model: &mut Runtime<YOLO>,
    pictures: &Pictures,
    first: usize,
    time: Duration,
) -> anyhow::Result<(f64, usize, usize)> {
    let start = Instant::now();
    let (mut images, mut boxes) = (0, 0);
    while images < 3 || start.elapsed() < time {
        let at = first + images;
        let found = match pictures {
            Pictures::Files(files) => model.run(&[Image::try_read(&files[at % files.len()])?])?,
            Pictures::Memory(pictures) => model.run(std::slice::from_ref(&pictures[at % pictures.len()]))?,
        };
        boxes += found.iter().map(|y| y.hbbs().len()).sum::<usize>();
        images += 1;
    }
    Ok((images as f64 / start.elapsed().as_secs_f64(), images, boxes))
}
