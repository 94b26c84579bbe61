use std::path::PathBuf;

use super::provider::Provider;
use crate::error::{Error, Result};

/// How a graph is opened and run; see [`ModelOptions`](crate::ModelOptions).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GraphOptions {
    /// What runs the graph. Default: the CPU.
    pub provider: Provider,
    /// Number of the provider's device, from 0; what it counts is with each [`Provider`]. Default 0, the only one of
    /// the CPU.
    pub device: u32,
    /// Lets the CPU run the operators that the provider does not have. Default `false`: a graph with such an operator
    /// is refused. Without effect where the CPU is the provider.
    pub share_with_cpu: bool,
    /// Folder that keeps the optimised graph for the next time, created when missing. Default: none, the graph is
    /// optimised whenever it is loaded. A file in it is used only by the same ONNX Runtime on the same kind of
    /// processor for the same graph; see `docs/PROVIDERS.md`.
    pub cache: Option<PathBuf>,
    /// On the CPU, `Softmax` over channels and `Split` of a 1x1 convolution's channels run as other operators, which
    /// are faster there and give the same up to rounding. Default `true`. The trace of a result tells whether a graph
    /// was rewritten.
    pub rewrite: bool,
}

impl Default for GraphOptions {
    fn default() -> Self {
        let provider = Provider::default();
        GraphOptions { provider, device: 0, share_with_cpu: false, cache: None, rewrite: true }
    }
}

impl GraphOptions {
    pub(super) fn check(&self) -> Result<()> {
        let single = matches!(self.provider, Provider::Cpu | Provider::CoreMl);
        let most = if single { 0 } else { i32::MAX.unsigned_abs() };
        if self.device > most {
            let (provider, found) = (self.provider, self.device);
            return Err(Error::argument(format!("device: expected at most {most} with {provider}, found {found}")));
        }
        if self.cache.is_some() && self.provider == Provider::DirectMl {
            let expected = "cache: expected none with directml, which optimises a graph while it is loaded";
            return Err(Error::argument(format!("{expected}, found one")));
        }
        Ok(())
    }
}
