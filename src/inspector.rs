use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::iter::Fuse;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ndarray::{Array2, Axis, Slice};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::decode::{DecodeScratch, Decoded, Decoder};
use crate::error::{Error, Result};
use crate::frame::{Frame, FrameLimits, FrameScratch, Panel, PanelInput};
use crate::geometry::Size;
use crate::idle::Idle;
use crate::model::{Model, Outputs, Provider};
use crate::report::{PanelError, PanelReport, Status, Timings, Trace};
use crate::tensor::Batch;
use crate::verdict::Policy;

/// Inspects panels with one model: one at a time, or in parallel batches. Cheap to clone; threads and sessions are
/// shared.
#[derive(Clone)]
pub struct Inspector {
    engine: Arc<Engine>,
    threads: Arc<ThreadPool>,
    sessions: usize,
    batch: usize,
    in_flight: usize,
}

/// Settings of an [`Inspector`], checked by [`build`](InspectorBuilder::build).
pub struct InspectorBuilder {
    model: Arc<Model>,
    policy: Option<Policy>,
    floor: f32,
    keep_maps: bool,
    limits: FrameLimits,
    threads: Option<usize>,
    batch: Option<usize>,
    in_flight: Option<usize>,
}

impl InspectorBuilder {
    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Rules for the verdict. Default: any defect that reaches the manifest's confidence fails the panel.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Reports defects down to this confidence too, `0..=1`. Default: the manifest's confidence, or for each kind the
    /// least that the policy's limits and rules look at where that is lower. It can only lower that, so the verdict does not depend on it.
    #[must_use]
    pub fn floor(mut self, confidence: f32) -> Self {
        self.floor = confidence;
        self
    }

    /// Keeps the anomaly maps of the frames in [`PanelReport::maps`], four bytes a pixel. Default: they are dropped.
    #[must_use]
    pub fn keep_maps(mut self) -> Self {
        self.keep_maps = true;
        self
    }

    /// What an image file may ask for.
    #[must_use]
    pub fn limits(mut self, limits: FrameLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Worker threads, each with a session of its own on the CPU; with another [`Provider`] they share two sessions,
    /// and read and prepare frames while the device works. Default: what the operating system lets this process use, as
    /// [`std::thread::available_parallelism`] counts it: on Linux the affinity and the quota of the control group, whole
    /// processors, rounded down, at least 1; on Windows and macOS all logical processors, limited or not.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Panels that go through the model together. Default: what the graph is fixed to, otherwise 1 on the
    /// CPU, where that is the fastest, and 8 with another [`Provider`].
    #[must_use]
    pub fn batch(mut self, batch: usize) -> Self {
        self.batch = Some(batch);
        self
    }

    /// Most panels between the input and the results: memory is bounded by this many panels. Default: twice the
    /// threads times the batch.
    #[must_use]
    pub fn frames_in_flight(mut self, panels: usize) -> Self {
        self.in_flight = Some(panels);
        self
    }

    /// Checks the settings, opens the sessions and starts the threads.
    ///
    /// # Errors
    /// [`Error::Argument`] for a number of 0 or a confidence that cannot be used, [`Error::Policy`] for a policy that
    /// does not belong to the model, [`Error::Model`] for a batch that the graph does not take or when a session
    /// cannot be opened.
    pub fn build(self) -> Result<Inspector> {
        let argument = |text: String| Err(Error::Argument(text));
        let threads = self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        if !(1..=1024).contains(&threads) {
            return argument(format!("threads: expected 1 to 1024, found {threads}"));
        }
        let provider = self.model.provider();
        let batch = self.batch.or(self.model.max_batch()).unwrap_or(provider.default_batch());
        check_batch(&self.model, batch)?;
        let in_flight = self.in_flight.unwrap_or(2 * threads * batch);
        if in_flight == 0 {
            return argument("frames in flight: expected at least 1, found 0".to_owned());
        }
        let output = &self.model.manifest().output;
        if let Some(policy) = &self.policy {
            policy.check(&self.model)?;
        }
        let policy = self.policy.unwrap_or_else(|| Policy::of_manifest(output));
        if !(0.0..=1.0).contains(&self.floor) {
            return argument(format!("floor: expected a confidence of 0 to 1, found {}", self.floor));
        }
        let decoder = Decoder::new(&self.model)
            .with_floors(|kind| output.confidence_of(kind).min(policy.floor(kind)).min(self.floor));
        let sessions = provider.sessions(threads);
        self.model.reserve(sessions)?;
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("panelqc-{i}"))
            .build()
            .map_err(|e| Error::Argument(format!("threads: cannot start {threads}: {e}")))?;
        let trace = Trace {
            model: Arc::clone(self.model.sha256()),
            manifest: Arc::clone(self.model.manifest_sha256()),
            policy: policy.sha256().cloned(),
            image: None,
            provider: Some(provider).filter(|&provider| provider != Provider::Cpu),
            version: env!("CARGO_PKG_VERSION"),
        };
        Ok(Inspector {
            engine: Arc::new(Engine {
                decoder,
                keep_maps: self.keep_maps,
                policy,
                limits: self.limits,
                trace,
                workspaces: Mutex::new(Idle::new()),
                model: self.model,
            }),
            threads: Arc::new(pool),
            sessions,
            batch,
            in_flight,
        })
    }
}

/// Whether the model takes so many panels together.
fn check_batch(model: &Model, batch: usize) -> Result<()> {
    if !(1..=1024).contains(&batch) {
        return Err(Error::Argument(format!("batch: expected 1 to 1024, found {batch}")));
    }
    match model.max_batch().filter(|&max| batch > max) {
        None => Ok(()),
        Some(max) => Err(Error::model(
            model.path(),
            format!("a dynamic batch axis (a batch of {batch} was asked for)"),
            format!("a batch fixed to {max}"),
        )),
    }
}

impl Inspector {
    /// Settings for inspecting with `model`.
    pub fn builder(model: impl Into<Arc<Model>>) -> InspectorBuilder {
        InspectorBuilder {
            model: model.into(),
            policy: None,
            floor: 1.0,
            keep_maps: false,
            limits: FrameLimits::default(),
            threads: None,
            batch: None,
            in_flight: None,
        }
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.engine.model
    }

    /// The rules of the verdict.
    pub fn policy(&self) -> &Policy {
        &self.engine.policy
    }

    /// What every result of this inspector is made with; `image` is `None`.
    pub fn trace(&self) -> Trace {
        self.engine.trace.clone()
    }

    /// Number of worker threads.
    pub fn threads(&self) -> usize {
        self.threads.current_num_threads()
    }

    /// Most panels that go through the model together.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Most inferences that run at a time.
    pub(crate) fn sessions(&self) -> usize {
        self.sessions
    }

    pub(crate) fn check_batch(&self, batch: usize) -> Result<()> {
        check_batch(&self.engine.model, batch)
    }

    /// Inspects panels together on one of the threads, and gives the results, one a panel, to `done` there; a panic
    /// is a result too. Once `stopped`, no inference begins.
    pub(crate) fn spawn(
        &self,
        inputs: Vec<PanelInput>,
        stopped: impl Fn() -> bool + Send + 'static,
        done: impl FnOnce(Vec<Result<PanelReport, PanelError>>) + Send + 'static,
    ) {
        let engine = Arc::clone(&self.engine);
        self.threads.spawn(move || done(engine.run_guarded(inputs, &stopped)));
    }

    /// Inspects one panel on the calling thread.
    ///
    /// # Errors
    /// Those of the image, the model or the runtime; see [`Error::fault`].
    pub fn inspect(&self, panel: &Panel<'_>) -> Result<PanelReport> {
        self.engine.inspect(panel)
    }

    /// Reads and inspects one image file on the calling thread.
    ///
    /// # Errors
    /// As [`Inspector::inspect`] and [`Frame::load`].
    pub fn inspect_file(&self, path: impl AsRef<Path>) -> Result<PanelReport> {
        self.engine.inspect_file(path.as_ref())
    }

    /// Inspects panels or image files in parallel. Results come as a stream in input order; a panel that cannot be
    /// inspected is an `Err` in its place and the rest goes on. The input is read from only as results are taken, so
    /// that at most [`frames_in_flight`](InspectorBuilder::frames_in_flight) panels are in memory.
    pub fn inspect_batch<I>(&self, inputs: I) -> InspectBatch<I::IntoIter>
    where
        I: IntoIterator,
        I::Item: Into<PanelInput>,
    {
        InspectBatch {
            inspector: self.clone(),
            inputs: inputs.into_iter().fuse(),
            jobs: VecDeque::new(),
            ready: VecDeque::new(),
            cancel: CancelToken::new(),
            progress: None,
            count: Progress::default(),
            abandoned: Arc::new(AtomicBool::new(false)),
        }
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspector")
            .field("model", &self.engine.model)
            .field("threads", &self.threads())
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}

/// Stops batch inspections from another thread. Clones stop the same ones.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels: no further input is read, and panels that wait for their turn become [`Error::Cancelled`]. An inference
    /// that has begun is finished, and none begins after it, also of a panel of several frames.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// How far a batch inspection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Progress {
    /// Results given so far.
    pub done: u64,
    /// Those of them that are errors.
    pub errors: u64,
    /// Panels in all, where the input tells.
    pub total: Option<u64>,
}

type JobResult = Vec<Result<PanelReport, PanelError>>;

/// The results of [`Inspector::inspect_batch`], in input order. Dropping it stops the inspection.
pub struct InspectBatch<I> {
    inspector: Inspector,
    inputs: Fuse<I>,
    /// Work under way, in input order: number of panels, and where its results will come.
    jobs: VecDeque<(usize, Receiver<JobResult>)>,
    ready: VecDeque<Result<PanelReport, PanelError>>,
    cancel: CancelToken,
    progress: Option<Box<dyn FnMut(Progress) + Send>>,
    count: Progress,
    abandoned: Arc<AtomicBool>,
}

impl<I> InspectBatch<I> {
    /// Stops when `token` is cancelled.
    #[must_use]
    pub fn cancel_with(mut self, token: &CancelToken) -> Self {
        self.cancel = token.clone();
        self
    }

    /// Calls `f` for each result, on the thread that takes the results.
    #[must_use]
    pub fn on_progress(mut self, f: impl FnMut(Progress) + Send + 'static) -> Self {
        self.progress = Some(Box::new(f));
        self
    }

    /// Panels given to the threads whose results were not taken yet.
    fn in_flight(&self) -> usize {
        self.jobs.iter().map(|(panels, _)| panels).sum()
    }
}

impl<I> InspectBatch<I>
where
    I: Iterator,
    I::Item: Into<PanelInput>,
{
    /// Hands work to the threads until enough panels are in flight.
    fn feed(&mut self) {
        let mut in_flight = self.in_flight();
        while in_flight < self.inspector.in_flight && !self.cancel.is_cancelled() {
            let room = self.inspector.batch.min(self.inspector.in_flight - in_flight);
            let inputs: Vec<PanelInput> = self.inputs.by_ref().take(room).map(Into::into).collect();
            if inputs.is_empty() {
                return;
            }
            let panels = inputs.len();
            in_flight += panels;
            let (sender, receiver) = sync_channel(1);
            let (cancel, abandoned) = (self.cancel.clone(), Arc::clone(&self.abandoned));
            let stopped = move || cancel.is_cancelled() || abandoned.load(Ordering::Acquire);
            self.inspector.spawn(inputs, stopped, move |results| {
                // The receiver is gone when nobody wants the results any more.
                let _ = sender.send(results);
            });
            self.jobs.push_back((panels, receiver));
        }
    }
}

impl<I> Iterator for InspectBatch<I>
where
    I: Iterator,
    I::Item: Into<PanelInput>,
{
    type Item = Result<PanelReport, PanelError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.count.done == 0 && self.jobs.is_empty() {
            self.count.total = match self.inputs.size_hint() {
                (low, Some(high)) if low == high => u64::try_from(high).ok(),
                _ => None,
            };
        }
        while self.ready.is_empty() {
            self.feed();
            let (_, receiver) = self.jobs.pop_front()?;
            // A sender that vanished took its panels along: `run_guarded` does not let that happen.
            self.ready.extend(receiver.recv().unwrap_or_default());
        }
        self.feed();
        let result = self.ready.pop_front()?;
        self.count.done += 1;
        self.count.errors += u64::from(result.is_err());
        if let Some(progress) = &mut self.progress {
            progress(self.count);
        }
        Some(result)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let held = self.ready.len() + self.in_flight();
        // After a cancellation no more than what is held will come.
        let (_, high) = self.inputs.size_hint();
        (held, high.map(|high| high + held))
    }
}

impl<I> Drop for InspectBatch<I> {
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Release);
    }
}

/// What all workers share.
struct Engine {
    model: Arc<Model>,
    decoder: Decoder,
    keep_maps: bool,
    policy: Policy,
    limits: FrameLimits,
    trace: Trace,
    workspaces: Mutex<Idle<Workspace>>,
}

/// Buffers of one worker, used again from job to job.
struct Workspace {
    buffers: FrameScratch,
    batch: Batch,
    outputs: Outputs,
    scratch: DecodeScratch,
}

/// A panel that was read, and what became of its frames so far.
struct Entry<'a> {
    id: &'a str,
    image: Option<&'a Path>,
    state: Result<Opened<'a>>,
}

struct Opened<'a> {
    panel: Cow<'a, Panel<'a>>,
    /// Whether it was read here, into the worker's buffers.
    read: bool,
    ms: Timings,
    decoded: Vec<Decoded>,
    maps: Vec<Array2<f32>>,
}

impl<'a> Opened<'a> {
    fn new(panel: Cow<'a, Panel<'a>>, read: bool, reading: Duration) -> Self {
        let ms = Timings { decode: ms(reading), ..Timings::default() };
        Opened { panel, read, ms, decoded: Vec::new(), maps: Vec::new() }
    }
}

impl Engine {
    /// A worker's buffers, for `capacity` panels at a time.
    fn workspace(&self, capacity: usize) -> Workspace {
        let idle = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut workspace = idle.unwrap_or_else(|| Workspace {
            buffers: FrameScratch::default(),
            batch: self.model.manifest().batch(capacity),
            outputs: Outputs::default(),
            scratch: DecodeScratch::default(),
        });
        workspace.buffers.begin();
        workspace
    }

    fn put_back(&self, workspace: Workspace) {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).put_back(workspace);
    }

    fn inspect(&self, panel: &Panel<'_>) -> Result<PanelReport> {
        let image = panel.frames().first().and_then(Frame::source);
        let state = Ok(Opened::new(Cow::Borrowed(panel), false, Duration::ZERO));
        self.inspect_one(Entry { id: panel.id(), image, state }, self.workspace(1))
    }

    fn inspect_file(&self, path: &Path) -> Result<PanelReport> {
        let input = PanelInput::from(path);
        let id = input.id().to_owned();
        let mut workspace = self.workspace(1);
        let state = self.open(input, &mut workspace.buffers);
        self.inspect_one(Entry { id: &id, image: Some(path), state }, workspace)
    }

    fn inspect_one(&self, entry: Entry<'_>, mut workspace: Workspace) -> Result<PanelReport> {
        let mut entries = [entry];
        self.work(&mut entries, &mut workspace, 1, &|| false);
        let [entry] = entries;
        let report = self.close(entry, &mut workspace.buffers);
        self.put_back(workspace);
        report.map_err(|e| e.error)
    }

    /// Reads a panel, if it is not in memory yet.
    fn open<'a>(&self, input: PanelInput, buffers: &mut FrameScratch) -> Result<Opened<'a>> {
        let start = Instant::now();
        let read = matches!(input, PanelInput::Files(_));
        let panel = input.into_panel_with(&self.limits, buffers)?;
        Ok(Opened::new(Cow::Owned(panel), read, start.elapsed()))
    }

    /// Inspects the panels of one job. A panic becomes an error of each of them.
    fn run_guarded(&self, inputs: Vec<PanelInput>, stopped: &dyn Fn() -> bool) -> JobResult {
        let names: Vec<_> =
            inputs.iter().map(|input| (input.id().to_owned(), input.image().map(Path::to_path_buf))).collect();
        let capacity = inputs.len();
        let run = AssertUnwindSafe(|| {
            let mut workspace = self.workspace(capacity);
            let buffers = &mut workspace.buffers;
            let mut entries: Vec<Entry> = inputs
                .into_iter()
                .zip(&names)
                .map(|(input, (id, image))| {
                    let state = if stopped() { Err(Error::Cancelled) } else { self.open(input, buffers) };
                    Entry { id, image: image.as_deref(), state }
                })
                .collect();
            self.work(&mut entries, &mut workspace, capacity, stopped);
            let results = entries.into_iter().map(|entry| self.close(entry, &mut workspace.buffers)).collect();
            self.put_back(workspace);
            results
        });
        catch_unwind(run).unwrap_or_else(|panic| {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("a panic");
            names
                .into_iter()
                .map(|(panel, image)| {
                    Err(PanelError { panel, image, error: Error::Internal(text.to_owned()), trace: self.trace.clone() })
                })
                .collect()
        })
    }

    /// Takes every frame of the panels through the model, `capacity` at a time. Once `stopped`, no inference begins.
    fn work(&self, entries: &mut [Entry<'_>], workspace: &mut Workspace, capacity: usize, stopped: &dyn Fn() -> bool) {
        let mut members = Vec::new();
        workspace.batch.clear();
        for at in 0..entries.len() {
            let frames = entries[at].state.as_ref().map_or(0, |opened| opened.panel.frames().len());
            for frame in 0..frames {
                let fits = |opened: &Opened<'_>| workspace.batch.takes(&opened.panel.frames()[frame]);
                if entries[at].state.as_ref().is_ok_and(|opened| !fits(opened)) {
                    self.flush(workspace, entries, &mut members, stopped);
                }
                if let Ok(opened) = &mut entries[at].state {
                    let start = Instant::now();
                    let pushed = workspace.batch.push(&opened.panel.frames()[frame], opened.panel.reference());
                    opened.ms.preprocess += ms(start.elapsed());
                    match pushed {
                        Ok(()) => members.push(at),
                        Err(error) => entries[at].state = Err(error),
                    }
                }
                if workspace.batch.len() == capacity {
                    self.flush(workspace, entries, &mut members, stopped);
                }
            }
        }
        self.flush(workspace, entries, &mut members, stopped);
    }

    /// Runs the model on what the batch holds; `members` are the entries that its frames belong to.
    fn flush(
        &self,
        workspace: &mut Workspace,
        entries: &mut [Entry<'_>],
        members: &mut Vec<usize>,
        stopped: &dyn Fn() -> bool,
    ) {
        if members.is_empty() {
            return;
        }
        let start = Instant::now();
        let cancelled = stopped();
        let together = !cancelled && self.model.run(workspace.batch.view(), &mut workspace.outputs).is_ok();
        let share = ms(start.elapsed()) / members.len() as f64;
        for (slot, &at) in members.iter().enumerate() {
            let Ok(opened) = &mut entries[at].state else { continue };
            opened.ms.infer += share;
            let mut result = Ok(slot);
            // A runtime that fails on the batch is asked frame by frame, so that one of them does not take the others
            // along, and each gets an error of its own.
            if !together && (cancelled || stopped()) {
                result = Err(Error::Cancelled);
            } else if !together {
                let start = Instant::now();
                let mut one = workspace.batch.view();
                one.slice_axis_inplace(Axis(0), Slice::from(slot..=slot));
                result = self.model.run(one, &mut workspace.outputs).map(|()| 0);
                opened.ms.infer += ms(start.elapsed());
            }
            let start = Instant::now();
            let Workspace { batch, outputs, scratch, .. } = &mut *workspace;
            let placement = &batch.placements()[slot];
            let decoded = result.and_then(|i| Ok((i, self.decoder.decode_with(outputs, i, placement, scratch)?)));
            opened.ms.postprocess += ms(start.elapsed());
            let decoded = decoded.and_then(|(i, decoded)| {
                // Kept for measuring only: it is no part of the time an image takes.
                let map = self.keep_maps.then(|| self.decoder.anomaly_map(outputs, i, placement));
                Ok((decoded, map.transpose()?.flatten()))
            });
            match decoded {
                Ok((decoded, map)) => {
                    opened.decoded.push(decoded);
                    opened.maps.extend(map);
                }
                Err(error) => entries[at].state = Err(error),
            }
        }
        members.clear();
        workspace.batch.clear();
    }

    /// Judges a panel whose frames are all decoded, and takes its memory back.
    fn close(&self, entry: Entry<'_>, buffers: &mut FrameScratch) -> Result<PanelReport, PanelError> {
        let Opened { panel, read, mut ms, decoded, maps } = match entry.state {
            Ok(opened) => opened,
            Err(error) => {
                let (panel, image) = (entry.id.to_owned(), entry.image.map(Path::to_path_buf));
                return Err(PanelError { panel, image, error, trace: self.trace.clone() });
            }
        };
        let start = Instant::now();
        let several = panel.frames().len() > 1;
        let score = decoded.iter().map(|d| d.score).fold(0.0, f32::max);
        let pitch = self.policy.pixel_pitch_mm();
        let mut defects = Vec::new();
        for (number, frame) in decoded.into_iter().enumerate() {
            defects.extend(frame.defects.into_iter().map(|mut defect| {
                defect.frame = several.then_some(number);
                defect.area_mm2 = pitch.map(|pitch| square_millimetres(defect.area_px, pitch));
                defect
            }));
        }
        let sizes: Vec<Size> = panel.frames().iter().map(Frame::size).collect();
        let judgement = self.policy.judge(&defects, &sizes);
        ms.postprocess += self::ms(start.elapsed());
        let first = &panel.frames()[0];
        let report = PanelReport {
            panel: entry.id.to_owned(),
            image: entry.image.map(|path| path.display().to_string()),
            status: Status::Ok,
            verdict: judgement.verdict,
            reasons: judgement.reasons,
            defects,
            score: Some(score),
            width: Some(first.width()),
            height: Some(first.height()),
            ms: Some(ms),
            trace: Trace { image: first.sha256().cloned(), ..self.trace.clone() },
            error: None,
            maps,
        };
        if let (true, Cow::Owned(panel)) = (read, panel) {
            buffers.take_back(panel);
        }
        Ok(report)
    }
}

fn square_millimetres(area_px: u64, pitch: f64) -> f64 {
    // Nine digits after the point: more would be rounding.
    (area_px as f64 * pitch * pitch * 1e9).round() / 1e9
}

fn ms(duration: Duration) -> f64 {
    // Whole microseconds: more digits would be noise.
    duration.as_micros() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;

    #[test]
    fn a_panic_in_a_worker_is_an_error_of_its_panels_and_stops_nothing_else() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/solar-cell");
        let model = Arc::new(Model::load(folder).unwrap());
        // A panel that cannot be made from outside: a worker runs into its missing frame and panics.
        let panel = |i: usize| match i % 4 {
            2 => Panel::without_frames(format!("{i}")),
            _ => Panel::new(format!("{i}"), {
                let pixels = vec![i as u8; 90_000];
                Frame::new(Size::new(300, 300), PixelFormat::Mono8, pixels).unwrap()
            }),
        };
        for (batch, lost) in [(1, vec![2, 6, 10]), (2, vec![2, 3, 6, 7, 10, 11])] {
            let inspector = Inspector::builder(Arc::clone(&model)).threads(2).batch(batch).build().unwrap();
            let results: Vec<_> = inspector.inspect_batch((0..12).map(panel)).collect();
            let mut found = Vec::new();
            for (i, result) in results.iter().enumerate() {
                match result {
                    Ok(report) => assert_eq!(report.panel, i.to_string()),
                    Err(failed) => {
                        assert_eq!(failed.panel, i.to_string());
                        assert!(matches!(&failed.error, Error::Internal(text) if text.contains("out of bounds")));
                        found.push(i);
                    }
                }
            }
            assert_eq!((results.len(), found), (12, lost), "batch {batch}");
            assert!(inspector.inspect(&panel(1)).is_ok(), "sessions and buffers are in order");
        }
    }
}
