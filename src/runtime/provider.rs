use std::fmt;
use std::path::Path;
use std::str::FromStr;

use ort::ep::{ExecutionProvider, ExecutionProviderDispatch};
use ort::session::builder::SessionBuilder;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize, Serializer};

use super::library;
use super::options::GraphOptions;
use crate::error::{Error, Result};

/// What runs the graph: ONNX Runtime's execution provider. All but [`Provider::Cpu`] need the Cargo feature of the same
/// name, an ONNX Runtime that was built with them, and their own drivers and libraries. A requested one that cannot be
/// used is an [`ErrorKind::Provider`](crate::ErrorKind::Provider); the CPU never takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Provider {
    /// `cpu`: ONNX Runtime's own kernels, one thread per session.
    #[default]
    Cpu,
    /// `cuda`: NVIDIA, cuDNN. TF32 is off, since its 10 bits of fraction would break the promise that results do not
    /// depend on the batch.
    Cuda,
    /// `tensorrt`: NVIDIA, TensorRT; what it does not have runs through CUDA on the same device.
    TensorRt,
    /// `openvino`: Intel. Device 0 is the CPU, device N the graphics processor `GPU.{N-1}`. Numbers keep the graph's
    /// precision.
    OpenVino,
    /// `directml`: Direct3D 12 on Windows.
    DirectMl,
    /// `coreml`: Apple; it has device 0 only, and chooses by itself between the units of the chip.
    CoreMl,
}

impl Provider {
    const ALL: [Provider; 6] =
        [Provider::Cpu, Provider::Cuda, Provider::TensorRt, Provider::OpenVino, Provider::DirectMl, Provider::CoreMl];

    /// `cpu`, `cuda`, `tensorrt`, `openvino`, `directml` or `coreml`.
    pub fn name(self) -> &'static str {
        match self {
            Provider::Cpu => "cpu",
            Provider::Cuda => "cuda",
            Provider::TensorRt => "tensorrt",
            Provider::OpenVino => "openvino",
            Provider::DirectMl => "directml",
            Provider::CoreMl => "coreml",
        }
    }

    /// Panels that go through a graph of dynamic batch together, when nothing else is asked for: 1 on the CPU, where a
    /// larger batch was slower on every model, otherwise 8, with which a graphics processor is filled and which costs
    /// a panel little time.
    pub(crate) fn default_batch(self) -> usize {
        if self == Provider::Cpu { 1 } else { 8 }
    }

    /// Sessions for this many worker threads. On the CPU a session is a thread's work. Elsewhere the device does the
    /// work and its memory holds one copy of the weights per session: two of them, so that one runs while the input of
    /// the other is copied, and the threads take turns.
    pub(crate) fn sessions(self, threads: usize) -> usize {
        if self == Provider::Cpu { threads } else { threads.min(2) }
    }

    /// Whether all runs should have the same batch: for each shape that is not the last one's, a device compiles the
    /// graph or chooses its kernels anew, which takes longer than many runs.
    pub(super) fn wants_one_shape(self) -> bool {
        self != Provider::Cpu
    }

    /// Whether the optimised graph is ONNX's own, which another session can begin with.
    pub(super) fn optimises_to_onnx(self) -> bool {
        matches!(self, Provider::Cpu | Provider::Cuda)
    }

    /// Whether it compiles the graph to something of its own, and keeps that in a folder.
    pub(super) fn keeps_own_files(self) -> bool {
        matches!(self, Provider::TensorRt | Provider::OpenVino | Provider::CoreMl)
    }

    /// The builder with this provider and no other; `folder` is for files of the provider's own.
    pub(super) fn register(
        self,
        builder: SessionBuilder,
        options: &GraphOptions,
        folder: Option<&Path>,
    ) -> Result<SessionBuilder> {
        if self == Provider::Cpu {
            return Ok(builder);
        }
        let feature = || format!("a program built with `--features {self}`");
        let offered = self.offered(options, folder).ok_or_else(|| self.error(feature(), "one built without it"))?;
        let providers = offered?;
        let started = builder.with_execution_providers(providers);
        let builder = started.map_err(|e| {
            let e = ort::Error::<()>::from(e);
            let device = options.device;
            let expected = format!("device {device} and the provider's drivers and libraries (see docs/PROVIDERS.md)");
            self.failed(expected, e)
        })?;
        if options.share_with_cpu {
            return Ok(builder);
        }
        builder.with_disable_cpu_fallback().map_err(|e| self.failed("a session of its own".to_owned(), e.into()))
    }

    /// What is registered, the first choice first; `None` where the feature is not compiled in.
    fn offered(self, options: &GraphOptions, folder: Option<&Path>) -> Option<Result<Vec<ExecutionProviderDispatch>>> {
        // Used or not, as the features are.
        let (_device, _folder) = (i32::try_from(options.device).unwrap_or(i32::MAX), folder);
        match self {
            #[cfg(feature = "cuda")]
            Provider::Cuda => Some(self.of_runtime(cuda(_device)).map(|first| vec![first])),
            #[cfg(feature = "tensorrt")]
            Provider::TensorRt => {
                let mut first = ort::ep::TensorRT::default().with_device_id(_device);
                if let Some(folder) = _folder {
                    first = first.with_engine_cache(true).with_engine_cache_path(folder.display());
                }
                let both = self.of_runtime(first).and_then(|first| Ok(vec![first, self.of_runtime(cuda(_device))?]));
                Some(both)
            }
            #[cfg(feature = "openvino")]
            Provider::OpenVino => {
                let device = match options.device {
                    0 => "CPU".to_owned(),
                    gpu => format!("GPU.{}", gpu - 1),
                };
                let mut only = ort::ep::OpenVINO::default().with_device_type(device).with_precision("ACCURACY");
                if let Some(folder) = _folder {
                    only = only.with_cache_dir(folder.display());
                }
                Some(self.of_runtime(only).map(|only| vec![only]))
            }
            #[cfg(feature = "directml")]
            Provider::DirectMl => {
                Some(self.of_runtime(ort::ep::DirectML::default().with_device_id(_device)).map(|only| vec![only]))
            }
            #[cfg(feature = "coreml")]
            Provider::CoreMl => {
                let mut only = ort::ep::CoreML::default();
                if let Some(folder) = _folder {
                    only = only.with_model_cache_dir(folder.display());
                }
                Some(self.of_runtime(only).map(|only| vec![only]))
            }
            _ => None,
        }
    }

    /// The provider `ep`, if the loaded ONNX Runtime was built with it. Without `error_on_failure` one that does not
    /// start would be left out in silence.
    #[allow(dead_code)] // without any of the features nobody asks
    fn of_runtime<E>(self, ep: E) -> Result<ExecutionProviderDispatch>
    where
        E: ExecutionProvider + Into<ExecutionProviderDispatch>,
    {
        let expected = format!("an ONNX Runtime built with {} (ORT_DYLIB_PATH names the library to use)", E::NAME);
        match E::is_available() {
            Ok(true) => Ok(ep.into().error_on_failure()),
            Ok(false) => Err(self.error(expected, format!("{} without it", library::init_runtime(None)?))),
            Err(e) => Err(self.failed(expected, e)),
        }
    }

    pub(super) fn error(self, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::provider(self.name(), expected, found)
    }

    pub(super) fn failed(self, expected: String, e: ort::Error) -> Error {
        let found = e.to_string().trim().to_owned();
        Error::provider(self.name(), expected, found).with_source(e)
    }
}

#[cfg(any(feature = "cuda", feature = "tensorrt"))]
fn cuda(device: i32) -> ort::ep::CUDA {
    // The exhaustive search times the algorithms of a convolution and keeps the fastest: another one next time,
    // perhaps, and then another sum.
    let search = ort::ep::cuda::ConvAlgorithmSearch::Heuristic;
    ort::ep::CUDA::default().with_device_id(device).with_tf32(false).with_conv_algorithm_search(search)
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Provider {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Provider::ALL.into_iter().find(|provider| provider.name() == text);
        found.ok_or_else(|| {
            let names = Provider::ALL.map(Provider::name).join(", ");
            Error::argument(format!("provider: expected one of {names}, found `{text}`"))
        })
    }
}

impl Serialize for Provider {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Provider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for provider in Provider::ALL {
            assert_eq!(provider.to_string().parse::<Provider>().unwrap(), provider);
        }
        let error = "gpu".parse::<Provider>().unwrap_err().to_string();
        assert!(error.contains("expected one of cpu, cuda, tensorrt") && error.contains("found `gpu`"), "{error}");
    }

    #[test]
    fn a_device_has_few_sessions_and_larger_batches() {
        assert_eq!((Provider::Cpu.default_batch(), Provider::Cpu.sessions(6)), (1, 6));
        assert_eq!((Provider::Cuda.default_batch(), Provider::Cuda.sessions(6)), (8, 2));
        assert_eq!(Provider::Cuda.sessions(1), 1);
        assert!(Provider::Cuda.wants_one_shape() && !Provider::Cpu.wants_one_shape());
    }
}
