use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::frame::PanelInput;
use crate::inspector::{CancelToken, Inspector};
use crate::report::{PanelError, PanelReport, Trace};

/// An inspection station that several camera threads share: their panels are collected and go through the model
/// together, and each thread gets the result of its own.
///
/// A job begins with [`max_batch`](StationOptions::max_batch) panels, or with fewer once the first of them has waited
/// [`max_wait`](StationOptions::max_wait), but not before there is a session for it: while the model is busy, panels
/// gather to a fuller batch. On the CPU as many jobs run at a time as the inspector has threads.
///
/// [`submit`](Station::submit) returns a [`Ticket`] at once, so that a camera can take its next picture while the last
/// one is inspected, and so that one camera alone can fill a batch; [`inspect`](Station::inspect) is for the thread that
/// has nothing else to do. At most twice `max_batch` panels wait: then `submit` blocks, and memory stays bounded.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use panelqc::{Frame, Inspector, Model, Panel, PixelFormat, Size, Station, StationOptions};
///
/// let inspector = Inspector::builder(Model::load("models/solar-cell")?).build()?;
/// let mut options = StationOptions::new(&inspector);
/// options.max_batch = 2;
/// let station = Station::new(inspector, options)?;
/// let frame = || Frame::new(Size::new(300, 300), PixelFormat::Mono8, vec![120u8; 90_000]);
/// std::thread::scope(|scope| {
///     for camera in ["left", "right"] {
///         let station = &station;
///         scope.spawn(move || match frame().map(|frame| station.inspect(Panel::new(camera, frame))) {
///             Ok(Ok(report)) => println!("{}: {}", report.panel, report.verdict),
///             Ok(Err(failed)) => println!("{failed}: for review"),
///             Err(error) => println!("{error}"),
///         });
///     }
/// });
/// # Ok(())
/// # }
/// ```
pub struct Station {
    shared: Arc<Shared>,
    collector: Option<JoinHandle<()>>,
}

/// Settings of a [`Station`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StationOptions {
    /// Most panels that go through the model together, `1..=1024`. Default: the inspector's batch, which is 1 on the CPU.
    pub max_batch: usize,
    /// How long the first panel waits for others, at most an hour. Default: 2 milliseconds. With zero a job takes what
    /// is there.
    pub max_wait: Duration,
}

impl StationOptions {
    /// The defaults for this inspector.
    pub fn new(inspector: &Inspector) -> Self {
        StationOptions { max_batch: inspector.batch(), max_wait: Duration::from_millis(2) }
    }

    fn check(&self, inspector: &Inspector) -> Result<()> {
        const HOUR: Duration = Duration::from_secs(3600);
        if self.max_wait > HOUR {
            return Err(Error::Argument(format!("max_wait: expected at most an hour, found {:?}", self.max_wait)));
        }
        inspector.check_batch(self.max_batch)
    }
}

impl Station {
    /// Starts a station; its one thread collects, the inspector's threads work.
    ///
    /// # Errors
    /// [`Error::Argument`] for settings out of range or when the thread cannot be started, [`Error::Model`] for a batch
    /// that the graph does not take.
    pub fn new(inspector: Inspector, options: StationOptions) -> Result<Self> {
        options.check(&inspector)?;
        let shared = Arc::new(Shared {
            inspector,
            options,
            state: Mutex::new(State { waiting: VecDeque::new(), jobs: 0 }),
            changed: Condvar::new(),
            closed: CancelToken::new(),
        });
        let own = Arc::clone(&shared);
        let collector = thread::Builder::new()
            .name("panelqc-station".to_owned())
            .spawn(move || own.collect())
            .map_err(|e| Error::Argument(format!("station: cannot start a thread: {e}")))?;
        Ok(Station { shared, collector: Some(collector) })
    }

    /// The inspector that works here.
    pub fn inspector(&self) -> &Inspector {
        &self.shared.inspector
    }

    /// The settings.
    pub fn options(&self) -> StationOptions {
        self.shared.options
    }

    /// Hands a panel, or image files to read, over. Blocks only while twice `max_batch` panels wait already.
    pub fn submit(&self, input: impl Into<PanelInput>) -> Ticket {
        let input = input.into();
        let (answer, receiver) = sync_channel(1);
        let ticket = Ticket {
            panel: input.id().to_owned(),
            image: input.image().map(Path::to_path_buf),
            trace: self.shared.inspector.trace(),
            receiver,
        };
        let mut state = self.shared.lock();
        while state.waiting.len() >= 2 * self.shared.options.max_batch && !self.shared.closed.is_cancelled() {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // Nobody would take it out of a closed queue: without its sender the ticket says so.
        if !self.shared.closed.is_cancelled() {
            state.waiting.push_back(Waiting { input, since: Instant::now(), answer });
            self.shared.changed.notify_all();
        }
        ticket
    }

    /// Inspects a panel, or image files, together with those that others hand over, and waits for the result.
    ///
    /// # Errors
    /// As [`Ticket::wait`].
    pub fn inspect(&self, input: impl Into<PanelInput>) -> Result<PanelReport, PanelError> {
        self.submit(input).wait()
    }
}

/// Panels whose inference has not begun become [`Error::Cancelled`]; returns when no job runs any more.
impl Drop for Station {
    fn drop(&mut self) {
        self.shared.close();
        if let Some(collector) = self.collector.take() {
            // A panic there is a defect, and the waiting ones were answered all the same.
            let _ = collector.join();
        }
    }
}

impl fmt::Debug for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { inspector, options, .. } = &*self.shared;
        f.debug_struct("Station").field("inspector", inspector).field("options", options).finish_non_exhaustive()
    }
}

/// The claim to the result of one panel. Dropping it gives the result up, not the inspection.
#[must_use = "the result comes through `wait`"]
pub struct Ticket {
    panel: String,
    image: Option<PathBuf>,
    trace: Trace,
    receiver: Receiver<Result<PanelReport, PanelError>>,
}

impl Ticket {
    /// Waits for the result.
    ///
    /// # Errors
    /// Those of the image, the model or the runtime, of this panel alone; [`Error::Cancelled`] when the station was
    /// dropped before.
    pub fn wait(self) -> Result<PanelReport, PanelError> {
        let Ticket { panel, image, trace, receiver } = self;
        receiver.recv().unwrap_or_else(|_| Err(PanelError { panel, image, error: Error::Cancelled, trace }))
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("panel", &self.panel).finish_non_exhaustive()
    }
}

struct Shared {
    inspector: Inspector,
    options: StationOptions,
    state: Mutex<State>,
    /// Panels came or went, a job ended, or the station was closed.
    changed: Condvar,
    closed: CancelToken,
}

struct State {
    waiting: VecDeque<Waiting>,
    /// Jobs under way.
    jobs: usize,
}

struct Waiting {
    input: PanelInput,
    since: Instant,
    answer: SyncSender<Result<PanelReport, PanelError>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the answers of those that wait, which their tickets notice.
    fn close(&self) {
        self.closed.cancel();
        self.lock().waiting.clear();
        self.changed.notify_all();
    }

    /// Begins jobs until the station is closed and the last job has ended.
    fn collect(self: &Arc<Self>) {
        let _closing = Closing(self);
        while let Some(taken) = self.take() {
            let (inputs, answers): (Vec<_>, Vec<_>) = taken.into_iter().map(|w| (w.input, w.answer)).unzip();
            let (stop, shared) = (self.closed.clone(), Arc::clone(self));
            self.inspector.spawn(
                inputs,
                move || stop.is_cancelled(),
                move |results| {
                    for (answer, result) in answers.into_iter().zip(results) {
                        // The ticket is gone when nobody wants the result any more.
                        let _ = answer.send(result);
                    }
                    shared.lock().jobs -= 1;
                    shared.changed.notify_all();
                },
            );
        }
    }

    /// The panels of the next job, counted as under way, once it is to begin; `None` when there will be none.
    fn take(&self) -> Option<Vec<Waiting>> {
        let StationOptions { max_batch, max_wait } = self.options;
        let mut state = self.lock();
        loop {
            let closed = self.closed.is_cancelled();
            if closed && state.jobs == 0 {
                return None;
            }
            let first = state.waiting.front().filter(|_| !closed && state.jobs < self.inspector.sessions());
            let left = first.map(|first| max_wait.saturating_sub(first.since.elapsed()));
            state = match left {
                Some(left) if left.is_zero() || state.waiting.len() >= max_batch => {
                    state.jobs += 1;
                    let count = max_batch.min(state.waiting.len());
                    let taken = state.waiting.drain(..count).collect();
                    // There is room for those that want to hand over.
                    self.changed.notify_all();
                    return Some(taken);
                }
                Some(left) => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// Closes the station however its collector ends, so that nobody waits for one that is gone.
struct Closing<'a>(&'a Shared);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Frame, Panel, PixelFormat};
    use crate::geometry::Size;
    use crate::model::Model;

    #[test]
    fn a_panic_in_a_worker_is_an_error_of_its_panels_and_no_hang() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/solar-cell");
        let inspector = Inspector::builder(Model::load(folder).unwrap()).threads(2).batch(2).build().unwrap();
        let mut options = StationOptions::new(&inspector);
        options.max_wait = Duration::from_secs(3600);
        let station = Station::new(inspector, options).unwrap();
        let frame = || Frame::new(Size::new(300, 300), PixelFormat::Mono8, vec![9u8; 90_000]).unwrap();
        let good = |id: &str| Panel::new(id, frame());
        // A panel that cannot be made from outside: a worker runs into its missing frame and panics.
        let lost = [station.submit(good("beside")), station.submit(Panel::without_frames("frameless".to_owned()))];
        for (ticket, id) in lost.into_iter().zip(["beside", "frameless"]) {
            let failed = ticket.wait().unwrap_err();
            assert_eq!(failed.panel, id);
            assert!(matches!(&failed.error, Error::Internal(text) if text.contains("out of bounds")), "{failed}");
        }
        let next = [station.submit(good("a")), station.submit(good("b"))];
        assert_eq!(next.map(|ticket| ticket.wait().unwrap().panel), ["a", "b"], "the station goes on");
    }
}
