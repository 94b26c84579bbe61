use std::any::Any;
use std::collections::VecDeque;
use std::iter::Fuse;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use super::cancel::CancelToken;
use super::inspector::Inspector;
use super::panel_error::PanelError;
use super::report::PanelReport;
use super::work::{Finish, JobResult};
use crate::frame::{Panel, PanelInput};

/// Progress of a batch inspection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Progress {
    /// Results given so far.
    pub done: u64,
    /// Those of them that are errors.
    pub errors: u64,
    /// Panels in total, if the input tells.
    pub total: Option<u64>,
}

/// The results of [`Inspector::inspect_batch`], in input order. Dropping it stops the inspection, and waits for the
/// inferences that have begun.
///
/// A panic of the input reaches the caller of `next` in its place, after the results of the panels before it; one of
/// the progress callback at once. No result is lost by either: whoever catches it and calls `next` again gets the rest.
pub struct InspectBatch<I> {
    stream: Stream<I, ()>,
}

/// The results of [`InspectBatch::with_panels`], in input order, each with what the hook returned. Dropping it stops
/// the inspection; see [`InspectBatch`] for that, and for panics.
pub struct InspectBatchWith<I, T> {
    stream: Stream<I, T>,
}

impl<I: Iterator> InspectBatch<I> {
    pub(super) fn new(inspector: Inspector, inputs: I) -> Self {
        InspectBatch { stream: Stream::new(inspector, inputs.fuse(), Arc::new(|_, panel| ((), Some(panel)))) }
    }
}

impl<I> InspectBatch<I> {
    /// Stops when `token` is cancelled.
    #[must_use]
    pub fn cancel_with(mut self, token: &CancelToken) -> Self {
        self.stream.cancel = token.clone();
        self
    }

    /// Calls `f` for each result, on the thread that takes the results.
    #[must_use]
    pub fn on_progress(mut self, f: impl FnMut(Progress) + Send + 'static) -> Self {
        self.stream.progress = Some(Box::new(f));
        self
    }

    /// Calls `hook` with each panel that was inspected and its report, on the worker and while the panel's frames are
    /// still in memory: to draw, shrink or store the very pixels that were inspected, without a second read. Each
    /// result comes with what the hook returned. A panic in it becomes the error of that panel alone.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use panelqc::{Frame, Inspector, Model, Panel, PixelFormat, Size};
    /// # let inspector = Inspector::builder(Model::load("models/solar-cell")?).build()?;
    /// # let panels = [Panel::new("a", Frame::new(Size::new(300, 300), PixelFormat::Mono8, vec![120u8; 90_000])?)];
    /// for result in inspector.inspect_batch(panels).with_panels(|_, panel| panel.frames()[0].size()) {
    ///     let (report, size) = result?;
    ///     println!("{}: {} ({size})", report.panel, report.verdict);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_panels<T, F>(self, hook: F) -> InspectBatchWith<I, T>
    where
        T: Send + 'static,
        F: Fn(&PanelReport, &Panel<'static>) -> T + Send + Sync + 'static,
    {
        let Stream { inspector, inputs, cancel, progress, .. } = self.stream;
        let finish: Arc<Finish<T>> = Arc::new(move |report, panel| (hook(report, &panel), Some(panel)));
        InspectBatchWith { stream: Stream { cancel, progress, ..Stream::new(inspector, inputs, finish) } }
    }
}

impl<I> Iterator for InspectBatch<I>
where
    I: Iterator,
    I::Item: Into<PanelInput>,
{
    type Item = Result<PanelReport, PanelError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.stream.next()?.map(|(report, ())| report))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

impl<I, T> Iterator for InspectBatchWith<I, T>
where
    I: Iterator,
    I::Item: Into<PanelInput>,
    T: Send + 'static,
{
    type Item = Result<(PanelReport, T), PanelError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.stream.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

/// Jobs under way, and their results.
struct Stream<I, T> {
    // Before the inspector: when both are dropped, the inspector's sessions are closed here and not on a worker.
    jobs: Jobs<T>,
    inspector: Inspector,
    inputs: Fuse<I>,
    /// A panic of the input, until its turn comes.
    panic: Option<Box<dyn Any + Send>>,
    finish: Arc<Finish<T>>,
    ready: VecDeque<Result<(PanelReport, T), PanelError>>,
    cancel: CancelToken,
    progress: Option<Box<dyn FnMut(Progress) + Send>>,
    count: Progress,
}

/// Work under way, in input order: number of panels, and where its results will come.
struct Jobs<T> {
    queue: VecDeque<(usize, Receiver<JobResult<T>>)>,
    /// Set once nobody wants the results any more.
    abandoned: Arc<AtomicBool>,
}

impl<T> Drop for Jobs<T> {
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Release);
        // No inference begins any more. Those that have begun are waited for: a program that ends while one runs would
        // take ONNX Runtime apart under it.
        for (_, receiver) in self.queue.drain(..) {
            let _ = receiver.recv();
        }
    }
}

impl<I, T> Stream<I, T> {
    fn new(inspector: Inspector, inputs: Fuse<I>, finish: Arc<Finish<T>>) -> Self {
        Stream {
            jobs: Jobs { queue: VecDeque::new(), abandoned: Arc::default() },
            inspector,
            inputs,
            panic: None,
            finish,
            ready: VecDeque::new(),
            cancel: CancelToken::new(),
            progress: None,
            count: Progress::default(),
        }
    }

    /// Panels given to the threads whose results have not been taken yet.
    fn in_flight(&self) -> usize {
        self.jobs.queue.iter().map(|(panels, _)| panels).sum()
    }
}

impl<I, T> Stream<I, T>
where
    I: Iterator,
    I::Item: Into<PanelInput>,
    T: Send + 'static,
{
    /// Hands work to the threads until enough panels are in flight.
    fn feed(&mut self) {
        let mut in_flight = self.in_flight();
        while in_flight < self.inspector.frames_in_flight() {
            let room = self.inspector.batch().min(self.inspector.frames_in_flight() - in_flight);
            let mut inputs = Vec::with_capacity(room);
            while inputs.len() < room && self.panic.is_none() && !self.cancel.is_cancelled() {
                match catch_unwind(AssertUnwindSafe(|| self.inputs.next().map(Into::into))) {
                    Ok(Some(input)) => inputs.push(input),
                    Ok(None) => break,
                    Err(panic) => self.panic = Some(panic),
                }
            }
            if inputs.is_empty() {
                return;
            }
            let panels = inputs.len();
            in_flight += panels;
            let (sender, receiver) = sync_channel(1);
            let (cancel, abandoned) = (self.cancel.clone(), Arc::clone(&self.jobs.abandoned));
            let stopped = move || cancel.is_cancelled() || abandoned.load(Ordering::Acquire);
            self.inspector.spawn(inputs, stopped, Arc::clone(&self.finish), move |results| {
                // The receiver is gone when nobody wants the results any more.
                let _ = sender.send(results);
            });
            self.jobs.queue.push_back((panels, receiver));
        }
    }

    fn next(&mut self) -> Option<Result<(PanelReport, T), PanelError>> {
        if self.count.done == 0 && self.jobs.queue.is_empty() {
            self.count.total = match self.inputs.size_hint() {
                (low, Some(high)) if low == high => u64::try_from(high).ok(),
                _ => None,
            };
        }
        while self.ready.is_empty() {
            self.feed();
            let Some((_, receiver)) = self.jobs.queue.pop_front() else {
                match self.panic.take() {
                    Some(panic) => resume_unwind(panic),
                    None => return None,
                }
            };
            // A sender that vanished took its panels along: the engine does not let that happen.
            self.ready.extend(receiver.recv().unwrap_or_default());
        }
        self.feed();
        let mut count = self.count;
        count.done += 1;
        count.errors += u64::from(self.ready.front()?.is_err());
        if let Some(progress) = &mut self.progress {
            progress(count);
        }
        // Only now: if the callback panics, the result is still here.
        self.count = count;
        self.ready.pop_front()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let held = self.ready.len() + self.in_flight();
        // After a cancellation no more than what is held will come.
        let (_, high) = self.inputs.size_hint();
        (held, high.map(|high| high + held))
    }
}
