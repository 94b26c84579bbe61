use std::cell::Cell;
use std::time::{Duration, Instant};

use panelqc::{Frame, Inspector, Model, ModelOptions, Panel, PanelInput, Precision, init_runtime};
use serde_json::{Value, json};

use super::Failure;
use super::cases::Cases;
use super::serve::serve as answer;

/// Most bytes of pictures that wait in memory for the clock to start.
const MOST_WAITING: usize = 768 << 20;

/// Images per second through `inspect_batch`, all workers, sessions and buffers warm; the graph of `precision`, or the
/// one that the package chooses.
pub(super) fn serve(model: &str, cases: &str, precision: Option<Precision>) -> Result<(), Failure> {
    let cases = Cases::load(cases)?;
    let mut options = ModelOptions::default();
    options.precision = precision;
    let inspector = Inspector::builder(Model::load_with(model, &options)?).threads(cases.workers).build()?;
    let versions = json!({
        "panelqc": inspector.trace().version,
        "onnxruntime": init_runtime(None)?.build,
    });
    answer(versions, |name, time| {
        let case = cases.get(name)?;
        let mut total = Window::default();
        if case.memory {
            // The engine takes panels by value, as a camera would hand them over: they are copied before the clock.
            let panels = case.loaded()?;
            let bytes = panels.iter().map(bytes).max().unwrap_or(1);
            let most = (MOST_WAITING / bytes).max(8 * cases.workers);
            let mut room = 16 * cases.workers;
            while total.seconds < time.as_secs_f64() {
                let waiting: Vec<Panel> = panels.iter().cycle().take(room.min(most)).cloned().collect();
                let left = time.saturating_sub(Duration::from_secs_f64(total.seconds));
                let window = Window::measure(&inspector, waiting, left)?;
                room = window.room(left).max(room);
                total = total + window;
            }
        } else {
            total = Window::measure(&inspector, case.panels().into_iter().cycle(), time)?;
        }
        Ok(total.to_json())
    })
}

/// What went through in a stretch of time.
#[derive(Default, Clone, Copy)]
pub(super) struct Window {
    images: usize,
    defects: usize,
    seconds: f64,
}

impl Window {
    /// Takes results for `time`. The first ones, while the workers start, do not count, and no more do the last ones,
    /// while they run out. Both ends lie after a multiple of the workers' number, since results come in groups of
    /// about that many. Nothing is under way any more when it returns.
    pub(super) fn measure<I>(inspector: &Inspector, inputs: I, time: Duration) -> Result<Self, Failure>
    where
        I: IntoIterator,
        I::Item: Into<PanelInput>,
    {
        let step = inspector.threads() * inspector.batch();
        let enough = Cell::new(false);
        let mut results = inspector.inspect_batch(inputs.into_iter().take_while(|_| !enough.get()));
        for result in results.by_ref().take(2 * step) {
            result?;
        }
        let start = Instant::now();
        let (mut counted, mut window) = (Window::default(), Window::default());
        for result in results {
            let defects = result?.defects.len();
            if enough.get() {
                continue;
            }
            window.images += 1;
            window.defects += defects;
            if window.images % step == 0 {
                window.seconds = start.elapsed().as_secs_f64();
                counted = window;
                enough.set(start.elapsed() >= time);
            }
        }
        if counted.images == 0 { Err("too few images for a measurement".into()) } else { Ok(counted) }
    }

    /// Images that fill `time`, those at both ends that do not count included.
    fn room(&self, time: Duration) -> usize {
        (time.as_secs_f64() / self.seconds * self.images as f64 * 1.2) as usize
    }

    pub(super) fn images_per_s(&self) -> f64 {
        self.images as f64 / self.seconds
    }

    fn to_json(self) -> Value {
        json!({ "images_per_s": self.images_per_s(), "images": self.images, "defects": self.defects })
    }
}

impl std::ops::Add for Window {
    type Output = Window;

    fn add(self, more: Window) -> Window {
        Window {
            images: self.images + more.images,
            defects: self.defects + more.defects,
            seconds: self.seconds + more.seconds,
        }
    }
}

fn bytes(panel: &Panel<'_>) -> usize {
    let frames = panel.frames().iter().chain(panel.reference());
    let bytes = |frame: &Frame<'_>| {
        frame.size().area() as usize * frame.channels() * frame.format().storage_bits() as usize / 8
    };
    frames.map(bytes).sum()
}
