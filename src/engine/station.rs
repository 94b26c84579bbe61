use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::cancel::CancelToken;
use super::inspector::Inspector;
use super::panel_error::PanelError;
use super::report::PanelReport;
use super::trace::Trace;
use crate::error::{Error, Result};
use crate::frame::{Panel, PanelInput};

/// An inspection station that several camera threads share: their panels are collected and go through the model
/// together, and each thread gets the results of its own panels.
///
/// A job begins with [`max_batch`](StationOptions::max_batch) panels, or with fewer once the first of them has waited
/// [`max_wait`](StationOptions::max_wait), but not before there is a session for it: while the model is busy, panels
/// gather into a fuller batch. On the CPU as many jobs run at a time as the inspector has threads.
///
/// [`submit`](Station::submit) returns a [`Ticket`] at once, so that a camera can take its next image while the last
/// one is inspected, and so that one camera alone can fill a batch; [`inspect`](Station::inspect) is for the thread
/// that has nothing else to do. At most [`queue`](StationOptions::queue) panels wait, so that memory stays bounded:
/// then `submit` blocks, and [`try_submit`](Station::try_submit) gives the panel back. A panel from memory that could
/// not be inspected comes back with its error: [`PanelError::into_panel`].
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use panelqc::{Frame, Inspector, Model, Panel, PixelFormat, Size, Station, StationOptions};
///
/// let inspector = Inspector::builder(Model::load("models/solar-cell")?).build()?;
/// let options = StationOptions::new(&inspector).with_max_batch(2);
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
    /// Maximum number of panels that go through the model together, `1..=1024`. Default: the inspector's batch, which
    /// is 1 on the CPU.
    pub max_batch: usize,
    /// How long the first panel waits for others, at most an hour. Default: 2 milliseconds. With zero a job takes what
    /// is there.
    pub max_wait: Duration,
    /// Maximum number of panels that wait for their turn, at least 1; those of jobs under way do not count. Default:
    /// twice `max_batch`.
    pub queue: Option<usize>,
    /// Gives each panel back with its report, frames and all: see [`Ticket::wait_with_panel`]. Default `false`.
    pub keep_panels: bool,
}

impl StationOptions {
    /// The defaults for this inspector.
    pub fn new(inspector: &Inspector) -> Self {
        let (max_batch, max_wait) = (inspector.batch(), Duration::from_millis(2));
        StationOptions { max_batch, max_wait, queue: None, keep_panels: false }
    }

    /// The same with at most this many panels that go through the model together.
    #[must_use]
    pub fn with_max_batch(mut self, panels: usize) -> Self {
        self.max_batch = panels;
        self
    }

    /// The same with this longest wait of the first panel for others.
    #[must_use]
    pub fn with_max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// The same with at most this many panels that wait.
    #[must_use]
    pub fn with_queue(mut self, panels: usize) -> Self {
        self.queue = Some(panels);
        self
    }

    /// The same, with panels given back with their reports or not.
    #[must_use]
    pub fn with_panels_kept(mut self, keep: bool) -> Self {
        self.keep_panels = keep;
        self
    }

    fn room(&self) -> usize {
        self.queue.unwrap_or(2 * self.max_batch)
    }

    fn check(&self, inspector: &Inspector) -> Result<()> {
        const HOUR: Duration = Duration::from_secs(3600);
        if self.max_wait > HOUR {
            return Err(Error::argument(format!("max_wait: expected at most an hour, found {:?}", self.max_wait)));
        }
        if self.queue == Some(0) {
            return Err(Error::argument("queue: expected at least 1 panel, found 0".to_owned()));
        }
        inspector.check_batch(self.max_batch)
    }
}

impl Station {
    /// Starts a station; its one thread collects, the inspector's threads work.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`](crate::ErrorKind::Argument) for settings out of range or when the thread cannot be
    /// started, [`ErrorKind::Model`](crate::ErrorKind::Model) for a batch that the graph does not take.
    pub fn new(inspector: Inspector, options: StationOptions) -> Result<Self> {
        options.check(&inspector)?;
        let shared = Arc::new(Shared { inspector, options, queue: Arc::default(), closed: CancelToken::new() });
        let own = Arc::clone(&shared);
        let collector = thread::Builder::new()
            .name("panelqc-station".to_owned())
            .spawn(move || own.collect())
            .map_err(|e| Error::threads("station: cannot start a thread", e))?;
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

    /// Hands over a panel, or image files to read. Blocks only while the [queue](StationOptions::queue) is full.
    pub fn submit(&self, input: impl Into<PanelInput>) -> Ticket {
        let (ticket, waiting) = self.ticket(input.into());
        let mut state = self.shared.queue.lock();
        while state.waiting.len() >= self.shared.options.room() && !self.shared.closed.is_cancelled() {
            state = self.shared.queue.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.shared.enqueue(&mut state, waiting);
        ticket
    }

    /// Hands over a panel if there is room in the [queue](StationOptions::queue), and never blocks.
    ///
    /// # Errors
    /// The panel, while the queue is full.
    pub fn try_submit(&self, input: impl Into<PanelInput>) -> Result<Ticket, PanelInput> {
        let input = input.into();
        let mut state = self.shared.queue.lock();
        if state.waiting.len() >= self.shared.options.room() {
            return Err(input);
        }
        let (ticket, waiting) = self.ticket(input);
        self.shared.enqueue(&mut state, waiting);
        Ok(ticket)
    }

    fn ticket(&self, input: PanelInput) -> (Ticket, Waiting) {
        let (answer, receiver) = sync_channel(1);
        let ticket = Ticket {
            panel: input.id().to_owned(),
            image: input.image().map(Path::to_path_buf),
            tags: input.tags().clone(),
            trace: self.shared.inspector.trace(),
            receiver,
        };
        (ticket, Waiting { input, since: Instant::now(), answer })
    }

    /// Inspects a panel, or image files, together with those that others hand over, and waits for the result.
    ///
    /// # Errors
    /// As [`Ticket::wait`].
    pub fn inspect(&self, input: impl Into<PanelInput>) -> Result<PanelReport, PanelError> {
        self.submit(input).wait()
    }
}

/// Panels whose inference has not begun become [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled); returns when no
/// job runs any more.
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

/// The claim to the result of one panel. Dropping it gives up the result; the panel is still inspected.
#[must_use = "the result comes through `wait`"]
pub struct Ticket {
    panel: String,
    image: Option<PathBuf>,
    tags: BTreeMap<String, String>,
    trace: Trace,
    receiver: Receiver<Answer>,
}

/// A report, and the panel where it is kept.
type Answer = Result<(PanelReport, Option<Panel<'static>>), PanelError>;

impl Ticket {
    /// Id of the panel.
    pub fn panel(&self) -> &str {
        &self.panel
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// Errors of the image, the model or the runtime, for this panel alone;
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) when the station was dropped before.
    pub fn wait(self) -> Result<PanelReport, PanelError> {
        self.wait_with_panel().map(|(report, _)| report)
    }

    /// Waits for the result, and gives the panel too where the station [keeps](StationOptions::keep_panels) it.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_with_panel(self) -> Result<(PanelReport, Option<Panel<'static>>), PanelError> {
        self.receiver.recv().unwrap_or_else(|_| Err(self.lost()))
    }

    /// The result, if it is there; otherwise the ticket back. Never blocks.
    ///
    /// # Errors
    /// The ticket, while there is no result.
    pub fn try_wait(self) -> Result<Result<PanelReport, PanelError>, Self> {
        match self.receiver.try_recv() {
            Ok(answer) => Ok(answer.map(|(report, _)| report)),
            Err(TryRecvError::Empty) => Err(self),
            Err(TryRecvError::Disconnected) => Ok(Err(self.lost())),
        }
    }

    /// Waits for the result, but at most this long: for a line that needs its answer in time. Otherwise gives the
    /// ticket back; the panel is still inspected, but one without a result is for review.
    ///
    /// # Errors
    /// The ticket, when there was no result in time.
    pub fn wait_timeout(self, most: Duration) -> Result<Result<PanelReport, PanelError>, Self> {
        match self.receiver.recv_timeout(most) {
            Ok(answer) => Ok(answer.map(|(report, _)| report)),
            Err(RecvTimeoutError::Timeout) => Err(self),
            Err(RecvTimeoutError::Disconnected) => Ok(Err(self.lost())),
        }
    }

    /// Its station is gone without an answer.
    fn lost(self) -> PanelError {
        PanelError::new(self.panel, self.image, self.tags, Error::cancelled(), self.trace)
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
    queue: Arc<Queue>,
    closed: CancelToken,
}

/// What workers tell when a job has ended. It is apart from the inspector, so that none of them is the last to hold
/// that: its sessions are closed by whoever drops the station.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    /// Panels came or went, a job ended, or the station was closed.
    changed: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Jobs under way.
    jobs: usize,
}

struct Waiting {
    input: PanelInput,
    since: Instant,
    answer: SyncSender<Answer>,
}

impl Shared {
    /// Gives those that wait back.
    fn close(&self) {
        self.closed.cancel();
        let waiting = std::mem::take(&mut self.queue.lock().waiting);
        waiting.into_iter().for_each(|waiting| self.refuse(waiting));
        self.queue.changed.notify_all();
    }

    /// Puts a panel into the queue; nobody would take it out of a closed one.
    fn enqueue(&self, state: &mut State, waiting: Waiting) {
        if self.closed.is_cancelled() {
            return self.refuse(waiting);
        }
        state.waiting.push_back(waiting);
        self.queue.changed.notify_all();
    }

    fn refuse(&self, Waiting { input, answer, .. }: Waiting) {
        let (panel, image) = (input.id().to_owned(), input.image().map(Path::to_path_buf));
        let error = PanelError::new(panel, image, input.tags().clone(), Error::cancelled(), self.inspector.trace());
        let error = if let PanelInput::Loaded(panel) = input { error.with_panel(panel) } else { error };
        let _ = answer.send(Err(error));
    }

    /// Begins jobs until the station is closed and the last job has ended.
    fn collect(self: &Arc<Self>) {
        let _closing = Closing(self);
        while let Some(taken) = self.take() {
            let (inputs, answers): (Vec<_>, Vec<_>) = taken.into_iter().map(|w| (w.input, w.answer)).unzip();
            let (stop, queue) = (self.closed.clone(), Arc::clone(&self.queue));
            let keep = self.options.keep_panels;
            self.inspector.spawn(
                inputs,
                move || stop.is_cancelled(),
                Arc::new(move |_: &PanelReport, panel| if keep { (Some(panel), None) } else { (None, Some(panel)) }),
                move |results| {
                    for (answer, result) in answers.into_iter().zip(results) {
                        // The ticket is gone when nobody wants the result any more.
                        let _ = answer.send(result);
                    }
                    queue.lock().jobs -= 1;
                    queue.changed.notify_all();
                },
            );
        }
    }

    /// The panels of the next job, counted as under way, once it is to begin; `None` when there will be none.
    fn take(&self) -> Option<Vec<Waiting>> {
        let StationOptions { max_batch, max_wait, .. } = self.options;
        let mut state = self.queue.lock();
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
                    self.queue.changed.notify_all();
                    return Some(taken);
                }
                Some(left) => self.queue.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.queue.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
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
    use crate::error::ErrorKind;
    use crate::frame::{Frame, PixelFormat};
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
            assert!(
                failed.error.kind() == ErrorKind::Internal && failed.error.to_string().contains("out of bounds"),
                "{failed}"
            );
        }
        let next = [station.submit(good("a")), station.submit(good("b"))];
        assert_eq!(next.map(|ticket| ticket.wait().unwrap().panel), ["a", "b"], "the station goes on");
    }

    fn cell(id: &str) -> Panel<'static> {
        Panel::new(id, Frame::new(Size::new(300, 300), PixelFormat::Mono8, vec![9u8; 90_000]).unwrap())
    }

    /// A station whose first job waits for a second panel, for as long as a test runs.
    fn waiting_station(options: impl Fn(StationOptions) -> StationOptions) -> Station {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/solar-cell");
        let inspector = Inspector::builder(Model::load(folder).unwrap()).threads(1).batch(2).build().unwrap();
        let slow = StationOptions::new(&inspector).with_max_wait(Duration::from_secs(3600));
        Station::new(inspector, options(slow)).unwrap()
    }

    #[test]
    fn a_full_queue_gives_the_panel_back_and_a_ticket_can_wait_in_parts() {
        let station = waiting_station(|options| options.with_queue(1));
        let first = station.try_submit(cell("first")).unwrap();
        let PanelInput::Loaded(back) = station.try_submit(cell("second")).unwrap_err() else { panic!("it was loaded") };
        assert_eq!(back, cell("second"), "frames and all");
        let first = first.try_wait().unwrap_err();
        let first = first.wait_timeout(Duration::from_millis(5)).unwrap_err();
        assert_eq!(first.panel(), "first");
        drop(station);
        // What was not begun is for review, and comes back.
        let failed = first.wait_timeout(Duration::from_secs(60)).unwrap().unwrap_err();
        assert!(failed.error.kind() == ErrorKind::Cancelled);
        assert_eq!(failed.into_panel(), Some(cell("first")));
    }

    #[test]
    fn panels_that_are_kept_come_with_their_reports() {
        let station = waiting_station(|options| options.with_panels_kept(true));
        let tickets = ["a", "b"].map(|id| station.submit(cell(id)));
        for (ticket, id) in tickets.into_iter().zip(["a", "b"]) {
            let (report, panel) = ticket.wait_with_panel().unwrap();
            assert_eq!((report.panel.as_str(), panel), (id, Some(cell(id))));
        }
        let refused = StationOptions { queue: Some(0), ..station.options() };
        assert!(Station::new(station.inspector().clone(), refused).is_err());
    }
}
