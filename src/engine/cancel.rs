use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Stops batch inspections from another thread. Clones stop the same ones.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels: no further input is read, and panels that wait for their turn become
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled). An inference that has begun is finished, and no other
    /// begins, not even for the other frames of that panel.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it has been cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
