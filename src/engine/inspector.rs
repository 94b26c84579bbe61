use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::batch::InspectBatch;
use super::plan::{Plan, plan_of};
use super::report::PanelReport;
use super::trace::Trace;
use super::work::{Engine, Finish, JobResult};
use crate::error::{Error, Result};
use crate::frame::{FrameLimits, Panel, PanelInput};
use crate::idle::Idle;
use crate::judge::{Judge, Policy};
use crate::model::Model;

/// Inspects panels with one model: one at a time, or in parallel batches. Cheap to clone; threads and sessions are
/// shared.
#[derive(Clone)]
pub struct Inspector {
    engine: Arc<Engine>,
    threads: Arc<ThreadPool>,
    sessions: usize,
    batch: usize,
    in_flight: usize,
    /// The judge, where it is a policy.
    policy: Option<Arc<Policy>>,
}

/// Settings of an [`Inspector`], checked by [`build`](InspectorBuilder::build).
pub struct InspectorBuilder {
    model: Arc<Model>,
    /// Default: the manifest's.
    judge: Option<Chosen>,
    floor: f32,
    /// Default: the manifest's.
    plan: Option<Box<dyn Plan>>,
    keep_maps: bool,
    limits: FrameLimits,
    threads: Option<usize>,
    batch: Option<usize>,
    in_flight: Option<usize>,
}

/// Who gives the verdict.
enum Chosen {
    Policy(Arc<Policy>),
    Own(Arc<dyn Judge>),
}

impl InspectorBuilder {
    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Rules for the verdict. Default: any defect that reaches the manifest's confidence fails the panel.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.judge = Some(Chosen::Policy(Arc::new(policy)));
        self
    }

    /// A judge of your own, in place of a policy: of this and [`policy`](Self::policy), the last call counts. Default:
    /// as without a policy.
    #[must_use]
    pub fn judge(mut self, judge: impl Judge + 'static) -> Self {
        self.judge = Some(Chosen::Own(Arc::new(judge)));
        self
    }

    /// Also reports defects down to this confidence, `0..=1`. Default: the manifest's confidence, or for each kind the
    /// lowest that the policy's limits and rules, or the [`Judge`], look at, where that is lower. This can only lower
    /// the floor, so the verdict does not depend on it.
    #[must_use]
    pub fn floor(mut self, confidence: f32) -> Self {
        self.floor = confidence;
        self
    }

    /// Keeps the anomaly maps of the frames in [`PanelReport::maps`], four bytes per pixel. Default: they are dropped.
    #[must_use]
    pub fn keep_maps(mut self) -> Self {
        self.keep_maps = true;
        self
    }

    #[cfg(test)]
    pub(super) fn plan(mut self, plan: impl Plan + 'static) -> Self {
        self.plan = Some(Box::new(plan));
        self
    }

    /// Limits on image files.
    #[must_use]
    pub fn limits(mut self, limits: FrameLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Worker threads, each with a session of its own on the CPU; with another [`Provider`](crate::Provider) they share
    /// two sessions, and read and prepare frames while the device works. Default: what the operating system lets this
    /// process use, as [`std::thread::available_parallelism`] counts it: on Linux the CPU affinity and the control
    /// group's quota, rounded down to whole processors, at least 1; on Windows and macOS all logical processors,
    /// limited or not.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Panels that go through the model together. Default: what the graph is fixed to, otherwise 1 on the
    /// CPU, where that is the fastest, and 8 with another [`Provider`](crate::Provider).
    #[must_use]
    pub fn batch(mut self, batch: usize) -> Self {
        self.batch = Some(batch);
        self
    }

    /// Maximum number of panels between the input and the results: this bounds the memory. Default: twice the threads
    /// times the batch.
    #[must_use]
    pub fn frames_in_flight(mut self, panels: usize) -> Self {
        self.in_flight = Some(panels);
        self
    }

    /// Checks the settings, opens the sessions and starts the threads.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`](crate::ErrorKind::Argument) for a number of 0 or a confidence that cannot be used,
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) for a policy that does not belong to the model,
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) for a batch that the graph does not take or when a session cannot
    /// be opened.
    pub fn build(self) -> Result<Inspector> {
        let argument = |text: String| Err(Error::argument(text));
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
        let (judge, policy): (Arc<dyn Judge>, _) = match self.judge {
            Some(Chosen::Own(judge)) => (judge, None),
            Some(Chosen::Policy(policy)) => (policy.clone(), Some(policy)),
            None => {
                let policy = Arc::new(Policy::of_manifest(output));
                (policy.clone(), Some(policy))
            }
        };
        judge.check(&self.model)?;
        if !(0.0..=1.0).contains(&self.floor) {
            return argument(format!("floor: expected a confidence from 0 to 1, found {}", self.floor));
        }
        let decoder = self
            .model
            .decoder()
            .with_floors(|kind| output.confidence_of(kind).min(judge.floor(kind)).min(self.floor))
            .with_sure(|kind| judge.floor(kind));
        let sessions = provider.sessions(threads);
        self.model.reserve(sessions)?;
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("panelqc-{i}"))
            .build()
            .map_err(|e| Error::threads(format_args!("threads: cannot start {threads}"), e))?;
        let mut trace = Trace::new(Arc::clone(self.model.sha256()), Arc::clone(self.model.manifest_sha256()))
            .with_files(Arc::clone(self.model.files()))
            .with_provider(provider)
            .with_rewritten(self.model.rewritten());
        trace.policy = judge.sha256().map(Into::into);
        Ok(Inspector {
            engine: Arc::new(Engine {
                decoder,
                plan: self.plan.unwrap_or_else(|| plan_of(&self.model.manifest().input)),
                keep_maps: self.keep_maps,
                judge,
                limits: self.limits,
                batch,
                trace,
                workspaces: Mutex::new(Idle::new()),
                model: self.model,
            }),
            threads: Arc::new(pool),
            sessions,
            batch,
            in_flight,
            policy,
        })
    }
}

/// Whether the model takes this many panels together.
fn check_batch(model: &Model, batch: usize) -> Result<()> {
    if !(1..=1024).contains(&batch) {
        return Err(Error::argument(format!("batch: expected 1 to 1024, found {batch}")));
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
            judge: None,
            floor: 1.0,
            plan: None,
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

    /// What gives the verdict.
    pub fn judge(&self) -> &Arc<dyn Judge> {
        &self.engine.judge
    }

    /// The rules of the verdict, those of the manifest where none were given; `None` with a [`Judge`] of your own.
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_deref()
    }

    /// The trace of every result of this inspector; its `image` is `None`.
    pub fn trace(&self) -> Trace {
        self.engine.trace.clone()
    }

    /// Number of worker threads.
    pub fn threads(&self) -> usize {
        self.threads.current_num_threads()
    }

    /// Maximum number of panels that go through the model together.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Maximum number of inferences that run at a time.
    pub(super) fn sessions(&self) -> usize {
        self.sessions
    }

    pub(crate) fn check_batch(&self, batch: usize) -> Result<()> {
        check_batch(&self.engine.model, batch)
    }

    /// Maximum number of panels between the input and the results.
    pub(super) fn frames_in_flight(&self) -> usize {
        self.in_flight
    }

    /// Inspects panels together on one of the threads, and gives the results, one per panel, to `done` there; a panic
    /// is a result too. Once `stopped`, no inference begins.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        inputs: Vec<PanelInput>,
        stopped: impl Fn() -> bool + Send + 'static,
        finish: Arc<Finish<T>>,
        done: impl FnOnce(JobResult<T>) + Send + 'static,
    ) {
        let engine = Arc::clone(&self.engine);
        self.threads.spawn(move || {
            let results = engine.run_guarded(inputs, &stopped, &*finish);
            // Whoever waits for the results may end the program next: nothing of the runtime is freed here after that.
            drop((engine, finish));
            done(results);
        });
    }

    /// Inspects one panel on the calling thread.
    ///
    /// # Errors
    /// Errors of the image, the model or the runtime; see [`Error::fault`].
    pub fn inspect(&self, panel: &Panel<'_>) -> Result<PanelReport> {
        self.engine.inspect(panel)
    }

    /// Reads and inspects one image file on the calling thread.
    ///
    /// # Errors
    /// As [`Inspector::inspect`] and [`Frame::load`](crate::Frame::load).
    pub fn inspect_file(&self, path: impl AsRef<Path>) -> Result<PanelReport> {
        self.engine.inspect_file(path.as_ref())
    }

    /// Inspects panels or image files in parallel. Results come as a stream in input order; a panel that cannot be
    /// inspected is an `Err` in its place, and the rest go on. The input is read only as results are taken, so that at
    /// most [`frames_in_flight`](InspectorBuilder::frames_in_flight) panels are in memory.
    pub fn inspect_batch<I>(&self, inputs: I) -> InspectBatch<I::IntoIter>
    where
        I: IntoIterator,
        I::Item: Into<PanelInput>,
    {
        InspectBatch::new(self.clone(), inputs.into_iter())
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
