use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use image::ImageFormat;
use ndarray::Array4;
use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use ort::value::TensorRef;
use panelqc::Manifest;
use serde_json::json;

use super::Failure;
use super::cases::{Case, Cases};
use super::serve::{mean_seconds, serve as answer};

/// What the hardware allows: workers / (decoding an image + running the graph), both alone, on one thread, with files
/// and tensors ready in memory; and the same two on all workers at once, which tells how much of the distance is
/// the cores' getting in each other's way.
///
/// This process never asks panelqc for its runtime: ONNX Runtime allows one environment a process.
pub(super) fn serve(model: &str, cases: &str) -> Result<(), Failure> {
    let cases = Cases::load(cases)?;
    let library = std::env::var_os("ORT_DYLIB_PATH").ok_or("ORT_DYLIB_PATH is not set")?;
    let environment = ort::init_from(Path::new(&library))?.with_telemetry(false).build()?;
    environment.set_log_level(ort::logging::LogLevel::Error);
    let (graph, manifest) = package(Path::new(model))?;
    let mut sessions =
        (0..cases.workers).map(|_| open(&environment, &graph)).collect::<Result<Vec<_>, ort::Error>>()?;
    // The rounds of a case come one after the other.
    let mut ready: Option<(String, Work)> = None;
    answer(json!({ "decoder": "image 0.25" }), |name, time| {
        let case = cases.get(name)?;
        let work = match ready.take() {
            Some((of, work)) if of == name => work,
            _ => Work::new(case, &manifest)?,
        };
        let decode = if case.memory { 0.0 } else { mean_seconds(time.mul_f64(0.3), 3, |i| work.decode(i))? };
        let run = mean_seconds(time.mul_f64(0.7), 3, |i| work.run(&mut sessions[0], i))?;
        let together = together(&work, &mut sessions, time, case.memory)?;
        ready = Some((name.to_owned(), work));
        Ok(json!({
            "images_per_s": cases.workers as f64 / (decode + run),
            "decode_ms": decode * 1e3,
            "run_ms": run * 1e3,
            "together_images_per_s": together,
        }))
    })
}

/// Images per second of the bare loop, one thread per session.
fn together(work: &Work, sessions: &mut [Session], time: Duration, memory: bool) -> Result<f64, Failure> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = sessions
            .iter_mut()
            .enumerate()
            .map(|(first, session)| {
                scope.spawn(move || {
                    let step = |i: usize| {
                        if !memory {
                            work.decode(first + i)?;
                        }
                        work.run(session, first + i)
                    };
                    mean_seconds(time, 3, step).map(f64::recip).map_err(|failure| failure.to_string())
                })
            })
            .collect();
        let rates = threads.into_iter().map(|thread| thread.join().map_err(|_| "a panic".to_owned())?);
        Ok(rates.sum::<Result<f64, String>>()?)
    })
}

/// Graph and manifest of a package, as `panelqc::Model::load` finds them.
fn package(model: &Path) -> Result<(PathBuf, Manifest), Failure> {
    let graph = if model.is_dir() { model.join("model.onnx") } else { model.to_path_buf() };
    let manifest = graph.with_extension("toml");
    let manifest = Manifest::parse(&fs::read_to_string(&manifest)?, &manifest)?;
    Ok((if model.is_dir() { manifest.precision.graph(&graph) } else { graph }, manifest))
}

/// A session with the settings of panelqc's.
fn open(environment: &Environment, graph: &Path) -> Result<Session, ort::Error> {
    let plain = |e: ort::Error<SessionBuilder>| -> ort::Error { e.into() };
    Session::builder(environment)?
        .with_intra_threads(1)
        .map_err(plain)?
        .with_inter_threads(1)
        .map_err(plain)?
        .with_intra_op_spinning(false)
        .map_err(plain)?
        .with_inter_op_spinning(false)
        .map_err(plain)?
        .commit_from_file(graph)
}

/// The inputs of both halves, ready.
struct Work {
    /// For each panel, its files: the picture and, where the model compares, the reference.
    files: Vec<Vec<(ImageFormat, Vec<u8>)>>,
    tensors: Vec<Array4<f32>>,
}

impl Work {
    fn new(case: &Case, manifest: &Manifest) -> Result<Self, Failure> {
        let mut batch = manifest.batch(1);
        let mut tensors = Vec::new();
        for panel in case.loaded()? {
            batch.clear();
            batch.push(&panel.frames()[0], panel.reference())?;
            tensors.push(batch.view().to_owned());
        }
        let read = |file: &PathBuf| -> Result<_, Failure> { Ok((ImageFormat::from_path(file)?, fs::read(file)?)) };
        let files = case.panels().into_iter().map(|p| p.frames.iter().chain(&p.reference).map(read).collect());
        Ok(Work { files: files.collect::<Result<_, _>>()?, tensors })
    }

    fn decode(&self, panel: usize) -> Result<(), Failure> {
        for (format, bytes) in &self.files[panel % self.files.len()] {
            black_box(image::load_from_memory_with_format(bytes, *format)?);
        }
        Ok(())
    }

    fn run(&self, session: &mut Session, panel: usize) -> Result<(), Failure> {
        let input = TensorRef::from_array_view(self.tensors[panel % self.tensors.len()].view())?;
        black_box(session.run([input.into()])?);
        Ok(())
    }
}
