use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ndarray::{Array2, Axis, Slice};

use super::frame_info::FrameInfo;
use super::panel_error::{Hashes, PanelError};
use super::plan::Plan;
use super::report::PanelReport;
use super::timings::Timings;
use super::trace::Trace;
use crate::error::{Error, Result};
use crate::frame::{Frame, FrameLimits, FrameScratch, Panel, PanelInput, Unread};
use crate::geometry::{Region, Size};
use crate::head::{Decoded, Decoder, Proposals, Slot};
use crate::idle::Idle;
use crate::judge::{Judge, Verdict};
use crate::model::Model;
use crate::runtime::Outputs;
use crate::tensor::Batch;

/// What is made of a panel that was inspected, on the worker. The panel comes back unless it is kept: its memory is
/// reused.
pub(super) type Finish<T> = dyn Fn(&PanelReport, Panel<'static>) -> (T, Option<Panel<'static>>) + Send + Sync;

/// The results of one job, one per panel.
pub(super) type JobResult<T> = Vec<Result<(PanelReport, T), PanelError>>;

/// What is known of a panel before it is opened, for its error.
struct Name {
    id: String,
    image: Option<PathBuf>,
    tags: BTreeMap<String, String>,
}

/// What all workers share: how a panel becomes a report.
pub(super) struct Engine {
    pub(super) model: Arc<Model>,
    pub(super) decoder: Decoder,
    pub(super) plan: Box<dyn Plan>,
    pub(super) keep_maps: bool,
    pub(super) judge: Arc<dyn Judge>,
    pub(super) limits: FrameLimits,
    /// Panels of a full job.
    pub(super) batch: usize,
    pub(super) trace: Trace,
    pub(super) workspaces: Mutex<Idle<Workspace>>,
}

/// Memory of one worker, reused from job to job.
pub(super) struct Workspace {
    frames: FrameScratch,
    batch: Batch,
    /// Slots of a full run.
    full: usize,
    outputs: Outputs,
    /// What the views in the batch show.
    members: Vec<Member>,
    views: Vec<Region>,
    /// For frames that are not under way.
    proposals: Vec<Proposals>,
}

/// One view in the batch.
#[derive(Clone, Copy)]
struct Member {
    /// The panel's place in the job.
    entry: usize,
    frame: Size,
    /// Whether it is the first, or the last, of its frame.
    first: bool,
    last: bool,
}

/// A panel of a job.
struct Entry<'n, 'p> {
    id: &'n str,
    panel: Option<Cow<'p, Panel<'p>>>,
    /// Whether it was read here, into the worker's buffers.
    read: bool,
    /// Of its files, where they could not all be used.
    hashes: Hashes,
    state: Result<Progress>,
}

/// What became of a panel's frames so far.
#[derive(Default)]
struct Progress {
    ms: Timings,
    decoded: Vec<Decoded>,
    maps: Vec<Array2<f32>>,
    /// What the views of the frame under way gave.
    proposals: Option<Proposals>,
}

impl<'n, 'p> Entry<'n, 'p> {
    fn new(id: &'n str, panel: Cow<'p, Panel<'p>>, read: bool, reading: Duration) -> Self {
        let ms = Timings { decode: ms(reading), ..Timings::default() };
        let state = Ok(Progress { ms, ..Progress::default() });
        Entry { id, panel: Some(panel), read, hashes: Hashes::default(), state }
    }

    fn failed(id: &'n str, error: Error) -> Self {
        Entry { id, panel: None, read: false, hashes: Hashes::default(), state: Err(error) }
    }

    fn frames(&self) -> &[Frame<'p>] {
        self.panel.as_ref().map_or(&[], |panel| panel.frames())
    }
}

impl Engine {
    /// Inspects one panel on the calling thread.
    pub(super) fn inspect(&self, panel: &Panel<'_>) -> Result<PanelReport> {
        guarded(|| {
            let entry = Entry::new(panel.id(), Cow::Borrowed(panel), false, Duration::ZERO);
            self.inspect_one(entry, self.workspace(1))
        })
    }

    /// Reads and inspects one image file on the calling thread.
    pub(super) fn inspect_file(&self, path: &Path) -> Result<PanelReport> {
        let input = PanelInput::from(path);
        let id = input.id().to_owned();
        guarded(|| {
            let mut workspace = self.workspace(1);
            let entry = self.open(&id, input, &mut workspace.frames);
            self.inspect_one(entry, workspace)
        })
    }

    fn inspect_one(&self, entry: Entry<'_, '_>, mut workspace: Workspace) -> Result<PanelReport> {
        let mut entries = [entry];
        workspace.full = 1;
        self.work(&mut entries, &mut workspace, 1, &|| false);
        let [mut entry] = entries;
        let report = self.close(&mut entry);
        if let (true, Some(Cow::Owned(panel))) = (entry.read, entry.panel) {
            workspace.frames.take_back(panel);
        }
        self.put_back(workspace);
        report
    }

    /// Inspects the panels of one job. A panic becomes an error of each of them.
    pub(super) fn run_guarded<T>(
        &self,
        inputs: Vec<PanelInput>,
        stopped: &dyn Fn() -> bool,
        finish: &Finish<T>,
    ) -> JobResult<T> {
        let names: Vec<Name> = inputs
            .iter()
            .map(|input| Name {
                id: input.id().to_owned(),
                image: input.image().map(Path::to_path_buf),
                tags: input.tags().clone(),
            })
            .collect();
        let run = AssertUnwindSafe(|| self.run(inputs, &names, stopped, finish));
        catch_unwind(run).unwrap_or_else(|panic| {
            let error = |_| internal(&*panic);
            names.iter().map(error).zip(&names).map(|(error, name)| Err(self.error(name, error))).collect()
        })
    }

    fn run<T>(
        &self,
        inputs: Vec<PanelInput>,
        names: &[Name],
        stopped: &dyn Fn() -> bool,
        finish: &Finish<T>,
    ) -> JobResult<T> {
        let capacity = inputs.len();
        let mut workspace = self.workspace(capacity);
        workspace.full = self.batch.max(capacity);
        let scratch = &mut workspace.frames;
        let mut entries: Vec<Entry<'_, 'static>> = inputs
            .into_iter()
            .zip(names)
            .map(|(input, Name { id, .. })| match (stopped(), input) {
                (false, input) => self.open(id, input, scratch),
                // It goes back to whom it came from.
                (true, PanelInput::Loaded(panel)) => {
                    let panel = Some(Cow::Owned(panel));
                    Entry { panel, ..Entry::failed(id, Error::cancelled()) }
                }
                (true, _) => Entry::failed(id, Error::cancelled()),
            })
            .collect();
        self.work(&mut entries, &mut workspace, capacity, stopped);
        let mut results = Vec::with_capacity(capacity);
        for (mut entry, name) in entries.into_iter().zip(names) {
            let report = self.close(&mut entry);
            let hashes = std::mem::take(&mut entry.hashes);
            let panel = entry.panel.map(Cow::into_owned);
            results.push(match (report, panel) {
                // A hook that panics must not affect the job's other panels.
                (Ok(report), Some(panel)) => match guarded(|| Ok(finish(&report, panel))) {
                    Ok((made, back)) => {
                        if let Some(panel) = back.filter(|_| entry.read) {
                            workspace.frames.take_back(panel);
                        }
                        Ok((report, made))
                    }
                    Err(error) => Err(self.error(name, error).after(report)),
                },
                (Ok(_), None) => Err(self.error(name, Error::internal("a panel is gone".to_owned()))),
                (Err(error), None) => Err(self.error(name, error).with_hashes(hashes)),
                (Err(error), Some(panel)) if entry.read => {
                    let error = self.error(name, error).with_files_of(&panel);
                    workspace.frames.take_back(panel);
                    Err(error)
                }
                // What came from memory goes back to whom it came from.
                (Err(error), Some(panel)) => Err(self.error(name, error).with_panel(panel)),
            });
        }
        self.put_back(workspace);
        results
    }

    fn error(&self, Name { id, image, tags }: &Name, error: Error) -> PanelError {
        PanelError::new(id.clone(), image.clone(), tags.clone(), error, self.trace.clone())
    }

    /// A worker's memory, for `capacity` views at a time.
    fn workspace(&self, capacity: usize) -> Workspace {
        let idle = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut workspace = idle.unwrap_or_else(|| Workspace {
            frames: FrameScratch::default(),
            batch: self.model.manifest().batch(capacity),
            full: 1,
            outputs: Outputs::default(),
            members: Vec::new(),
            views: Vec::new(),
            proposals: Vec::new(),
        });
        workspace.frames.begin();
        workspace
    }

    fn put_back(&self, workspace: Workspace) {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).put_back(workspace);
    }

    /// Reads a panel, if it is not in memory yet.
    fn open<'n>(&self, id: &'n str, input: PanelInput, scratch: &mut FrameScratch) -> Entry<'n, 'static> {
        let start = Instant::now();
        let read = matches!(input, PanelInput::Files(_));
        match input.into_panel_with(&self.limits, self.model.manifest().white(), scratch) {
            Ok(panel) => Entry::new(id, Cow::Owned(panel), read, start.elapsed()),
            Err(Unread { error, image, reference }) => Entry { hashes: (image, reference), ..Entry::failed(id, error) },
        }
    }

    /// Takes every view of the panels' frames through the model, `capacity` at a time. Once `stopped`, no inference
    /// begins.
    fn work(
        &self,
        entries: &mut [Entry<'_, '_>],
        workspace: &mut Workspace,
        capacity: usize,
        stopped: &dyn Fn() -> bool,
    ) {
        workspace.members.clear();
        workspace.batch.clear();
        for at in 0..entries.len() {
            for frame in 0..entries[at].frames().len() {
                let mut views = std::mem::take(&mut workspace.views);
                views.clear();
                self.plan.views(entries[at].frames()[frame].size(), &mut views);
                for (number, region) in views.iter().enumerate() {
                    let place = (number == 0, number + 1 == views.len());
                    self.push(entries, (at, frame, *region, place), workspace, stopped);
                    if workspace.batch.len() == capacity {
                        self.flush(workspace, entries, stopped);
                    }
                }
                workspace.views = views;
            }
        }
        self.flush(workspace, entries, stopped);
    }

    /// Puts one view into the batch; `(first, last)` tells its place among the views of its frame. Nothing is done for
    /// a panel that has failed.
    fn push(
        &self,
        entries: &mut [Entry<'_, '_>],
        (at, frame, region, (first, last)): (usize, usize, Region, (bool, bool)),
        workspace: &mut Workspace,
        stopped: &dyn Fn() -> bool,
    ) {
        if entries[at].state.is_err() {
            return;
        }
        if !workspace.batch.takes_region(&entries[at].frames()[frame], region) {
            self.flush(workspace, entries, stopped);
        }
        let entry = &mut entries[at];
        let (Ok(progress), Some(panel)) = (&mut entry.state, &entry.panel) else { return };
        let start = Instant::now();
        let pushed = workspace.batch.push_region(&panel.frames()[frame], panel.reference(), region);
        progress.ms.preprocess += ms(start.elapsed());
        match pushed {
            Ok(()) => {
                let frame = panel.frames()[frame].size();
                workspace.members.push(Member { entry: at, frame, first, last });
            }
            Err(error) => entry.state = Err(error),
        }
    }

    /// Runs the model on what the batch holds.
    fn flush(&self, workspace: &mut Workspace, entries: &mut [Entry<'_, '_>], stopped: &dyn Fn() -> bool) {
        if workspace.members.is_empty() {
            return;
        }
        let start = Instant::now();
        let cancelled = stopped();
        let together =
            !cancelled && self.model.run_in(workspace.batch.view(), workspace.full, &mut workspace.outputs).is_ok();
        let share = ms(start.elapsed()) / workspace.members.len() as f64;
        for slot in 0..workspace.members.len() {
            let member = workspace.members[slot];
            let Ok(progress) = &mut entries[member.entry].state else { continue };
            progress.ms.infer += share;
            let mut result = Ok(slot);
            // A runtime that fails on the batch is asked view by view, so that one of them does not take the others
            // along, and each gets an error of its own.
            if !together && (cancelled || stopped()) {
                result = Err(Error::cancelled());
            } else if !together {
                let start = Instant::now();
                let mut one = workspace.batch.view();
                one.slice_axis_inplace(Axis(0), Slice::from(slot..=slot));
                result = self.model.run_in(one, workspace.full, &mut workspace.outputs).map(|()| 0);
                progress.ms.infer += ms(start.elapsed());
            }
            let read = result.and_then(|index| self.read(member, (slot, index), workspace, progress));
            if let Err(error) = read {
                workspace.proposals.extend(progress.proposals.take());
                entries[member.entry].state = Err(error);
            }
        }
        workspace.members.clear();
        workspace.batch.clear();
    }

    /// Reads what the model gave for a view of the batch, at `index` of the outputs; assembles its frame with the last
    /// one.
    fn read(
        &self,
        member: Member,
        (slot, index): (usize, usize),
        workspace: &mut Workspace,
        progress: &mut Progress,
    ) -> Result<()> {
        let start = Instant::now();
        if member.first {
            // Of a frame that failed before its last view.
            workspace.proposals.extend(progress.proposals.take());
            let mut proposals = workspace.proposals.pop().unwrap_or_default();
            proposals.begin(member.frame);
            progress.proposals = Some(proposals);
        }
        let Some(proposals) = &mut progress.proposals else {
            return Err(Error::internal("a view of a frame that was not begun".to_owned()));
        };
        let slot = Slot::new(&workspace.outputs, index, &workspace.batch.placements()[slot]);
        self.decoder.propose(&slot, proposals)?;
        if !member.last {
            progress.ms.postprocess += ms(start.elapsed());
            return Ok(());
        }
        let decoded = self.decoder.assemble(proposals)?;
        progress.ms.postprocess += ms(start.elapsed());
        progress.decoded.push(decoded);
        if self.keep_maps {
            // Kept for measuring only: it is not part of the time an image takes.
            progress.maps.extend(self.decoder.anomaly_map(proposals));
        }
        workspace.proposals.extend(progress.proposals.take());
        Ok(())
    }

    /// Judges a panel whose frames are all decoded.
    fn close(&self, entry: &mut Entry<'_, '_>) -> Result<PanelReport> {
        let state = std::mem::replace(&mut entry.state, Err(Error::cancelled()));
        let Progress { mut ms, decoded, maps, .. } = state?;
        let Some(panel) = &entry.panel else { return Err(Error::internal("a panel is gone".to_owned())) };
        let start = Instant::now();
        let several = panel.frames().len() > 1;
        let score = decoded.iter().map(|d| d.score).fold(0.0, f32::max);
        let pitch = self.judge.pixel_pitch_mm();
        let mut defects = Vec::new();
        let mut lost = Vec::new();
        for (number, frame) in decoded.into_iter().enumerate() {
            lost.extend(frame.lost.iter().map(|lost| match several {
                true => format!("{lost} on frame {number}"),
                false => lost.to_string(),
            }));
            defects.extend(frame.defects.into_iter().map(|mut defect| {
                defect.frame = several.then_some(number);
                defect.area_mm2 = pitch.map(|pitch| square_millimetres(defect.area_px, pitch));
                defect
            }));
        }
        let sizes: Vec<Size> = panel.frames().iter().map(Frame::size).collect();
        // A judge that panics must not affect the job's other panels.
        let judgement = guarded(|| Ok(self.judge.judge(&defects, &sizes)))?;
        // Whoever judges: what the model is sure of and has no place cannot be judged by it, and neither can a frame
        // that may have been taken for another one.
        let judgement = judgement.and(Verdict::Review, lost).and(Verdict::Review, self.doubts(panel));
        ms.postprocess += self::ms(start.elapsed());
        Ok(PanelReport {
            panel: entry.id.to_owned(),
            verdict: judgement.verdict,
            reasons: judgement.reasons,
            defects,
            score,
            ms,
            tags: panel.tags().clone(),
            trace: Trace {
                image: panel.frames()[0].sha256().cloned(),
                reference: panel.reference().and_then(|reference| reference.sha256().cloned()),
                ..self.trace.clone()
            },
            maps,
            reference: panel.reference().map(FrameInfo::from),
            frames: panel.frames().iter().map(FrameInfo::from).collect(),
        })
    }
}

impl Engine {
    /// Why the frames of a panel may have been taken for something else than they are: such a panel is for review.
    fn doubts(&self, panel: &Panel<'_>) -> Vec<String> {
        let stated = self.model.manifest().white().is_some();
        if stated || !panel.frames().iter().chain(panel.reference()).any(|frame| frame.too_dark().is_some()) {
            return Vec::new();
        }
        let several = panel.frames().len() > 1;
        let frames = panel.frames().iter().enumerate().map(|(number, frame)| match several {
            true => (format!("frame {number}"), frame),
            false => ("the frame".to_owned(), frame),
        });
        let reference = panel.reference().map(|reference| ("the reference".to_owned(), reference));
        let dark = frames.chain(reference).filter_map(|(what, frame)| Some((what, frame.too_dark()?, frame.white())));
        dark.map(|(what, brightest, white)| {
            format!(
                "{what} is too dark: its brightest sample is {brightest}, below an eighth of white ({white}) \
                 (state `white` where samples have fewer bits)"
            )
        })
        .collect()
    }
}

/// What `run` gives; a panic in it becomes an error.
fn guarded<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(internal(&*panic)))
}

/// The error for a panic.
fn internal(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Error::internal(text.unwrap_or("a panic"))
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
mod tests;
