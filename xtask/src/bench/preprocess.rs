//! From a frame in memory to a tensor of 640x640, on one thread: this crate's kernels beside `fast_image_resize` with a
//! normalisation after it, and OpenCV's `blobFromImage`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::participant::Participant;
use super::results::columns;
use super::setup::Setup;
use super::spread::Spread;
use crate::Failure;

const CASES: [&str; 4] = ["memory-640", "memory-640-rgb", "memory-1080", "memory-1080-rgb"];

/// This crate's kernel, and what it is compared with.
const PAIRS: [(&str, &str); 2] = [("bilinear", "fast_image_resize"), ("opencv_linear", "blob_from_image")];

/// The table of the report, its numbers, and the versions of the peers.
pub(super) struct Preprocessing {
    pub(super) table: String,
    pub(super) json: Value,
    pub(super) versions: Vec<(&'static str, Value)>,
}

/// Measures the cases that are wanted, taking turns.
pub(super) fn measure(
    setup: &Setup,
    cases: &Path,
    rounds: usize,
    seconds: f64,
    wanted: impl Fn(&str) -> bool,
) -> Result<Preprocessing, Failure> {
    let mut own = Participant::start(setup.bench().arg("preprocess").arg(cases), &setup.log())?;
    let peer = setup.participant("blob").and_then(|mut c| Participant::start(c.arg(cases), &setup.log()));
    let mut peer = peer.map_err(|failure| eprintln!("without blobFromImage: {failure}")).ok();
    let mut versions = vec![("preprocess", own.versions.clone())];
    versions.extend(peer.iter().map(|peer| ("blob", peer.versions.clone())));
    let head = ["ms per frame", "bilinear", "x fast_image_resize", "opencv-linear", "x blobFromImage"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    let mut all = Map::new();
    for case in CASES.into_iter().filter(|case| wanted(case)) {
        eprintln!("preprocessing: {case} ...");
        let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        // The first round opens files and fills caches: it does not count.
        for round in 0..=rounds {
            let ours = own.measure(case, seconds)?;
            let blob = peer.as_mut().and_then(|peer| peer.measure(case, seconds).ok()).unwrap_or_default();
            if round > 0 {
                for name in ["bilinear", "fast_image_resize", "opencv_linear"] {
                    let time = ours[format!("{name}_ms")].as_f64();
                    times.entry(name).or_default().push(time.unwrap_or(f64::NAN));
                }
                times.entry("blob_from_image").or_default().push(blob["ms"].as_f64().unwrap_or(f64::NAN));
            }
        }
        let mut row = vec![case.replace("memory-", "")];
        let mut numbers = Map::new();
        for (ours, theirs) in PAIRS {
            let text = |spread: &Option<Spread>| spread.as_ref().map_or("-".to_owned(), ToString::to_string);
            let (time, faster) = (Spread::of_good(&times[ours]), Spread::of_ratios(&times[theirs], &times[ours]));
            row.extend([text(&time), text(&faster)]);
            numbers.insert(format!("{ours}_ms"), json!(time.map(|s| s.median)));
            numbers.insert(format!("x_{theirs}"), json!(faster.map(|s| s.median)));
        }
        table.push(row);
        all.insert(case.to_owned(), Value::Object(numbers));
    }
    Ok(Preprocessing { table: columns(&table), json: Value::Object(all), versions })
}
