use std::path::Path;

use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use super::options::GraphOptions;
use super::provider::Provider;
use super::{contents, library};
use crate::error::{Error, Result};

/// What is done to the graph when a session is opened.
#[derive(Clone, Copy)]
pub(super) enum Optimise<'a> {
    /// It is optimised.
    Now,
    /// It is optimised, and written to this file.
    Into(&'a Path),
    /// Nothing: it was optimised before.
    Done,
}

/// Most bytes of a constant that is computed while the graph is optimised.
const FOLDED: &str = "268435456";

/// One session: a single thread that sleeps while it has nothing to do, since the workers around it are the
/// parallelism. `files` is a folder for what the provider keeps of its own.
pub(super) fn open(
    graph: &[u8],
    path: &Path,
    options: &GraphOptions,
    optimise: Optimise<'_>,
    files: Option<&Path>,
) -> Result<Session> {
    let environment = library::environment()?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.to_string_lossy();
    // Errors of the builder carry the builder, which cannot cross threads.
    let plain = |e: ort::Error<SessionBuilder>| -> ort::Error { e.into() };
    let prepare = || -> Result<SessionBuilder, ort::Error> {
        let builder = Session::builder(&environment)?
            .with_intra_threads(1)
            .map_err(plain)?
            .with_inter_threads(1)
            .map_err(plain)?
            .with_intra_op_spinning(false)
            .map_err(plain)?
            .with_inter_op_spinning(false)
            .map_err(plain)?
            // DirectML takes no session with it.
            .with_memory_pattern(options.provider != Provider::DirectMl)
            .map_err(plain)?
            // Where the graph's weights lie, when they are a file of their own.
            .with_config_entry("session.model_external_initializers_file_folder_path", &folder)
            .map_err(plain)?
            // Larger values are computed when they are needed, and not kept for each session.
            .with_config_entry("optimization.constant_folding_max_output_size_in_bytes", FOLDED)
            .map_err(plain)?;
        match optimise {
            Optimise::Now => Ok(builder),
            Optimise::Into(file) => builder.with_optimized_model_path(file).map_err(plain),
            Optimise::Done => builder.with_optimization_level(GraphOptimizationLevel::Disable).map_err(plain),
        }
    };
    let unusable =
        |e: ort::Error| Error::model(path, "an ONNX graph that ONNX Runtime can load", e.to_string()).with_source(e);
    let mut builder = options.provider.register(prepare().map_err(unusable)?, options, files)?;
    builder.commit_from_memory(graph).map_err(|e| {
        if e.to_string().contains("fallback to CPU EP has been explicitly disabled") {
            let share = "`--share-with-cpu` or `ModelOptions::with_shared_cpu` lets the CPU run the others";
            options.provider.failed(format!("every operator of {} on it ({share})", path.display()), e)
        } else {
            match lacking(graph) {
                Some((expected, found)) => Error::model(path, expected, found).with_source(e),
                None => unusable(e),
            }
        }
    })
}

/// What ONNX Runtime lacks of a graph that it does not open, where that is known, as expected and found.
fn lacking(graph: &[u8]) -> Option<(String, String)> {
    let operators = contents::foreign_operators(graph);
    let (domain, first) = operators.first()?;
    let names: Vec<String> = operators.iter().map(|(_, name)| format!("`{name}`")).collect();
    let names = names.join(", ");
    Some(if first.ends_with("_TRT") || domain.starts_with("trt") {
        let expected =
            "a graph that ONNX Runtime can run: export it without TensorRT's suppression, which is done here";
        (expected.to_owned(), format!("{names}, a plug-in of TensorRT (the provider `tensorrt` may have it)"))
    } else {
        let expected = "a graph of ONNX's own operators: export it without those of another library";
        (expected.to_owned(), format!("{names} of the domain `{domain}`"))
    })
}
