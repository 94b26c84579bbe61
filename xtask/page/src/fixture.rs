//! The page that is tested: rendered boards, inspected by the real model.

use std::fs;
use std::path::{Path, PathBuf};

use image::GrayImage;
use panelqc::{Frame, Inspector, Kind, Model, Panel, PanelInput, PanelRecord, PixelFormat, Policy, Size};
use panelqc_eval::dataset::{DataFormat, read_deeppcb, templates};
use panelqc_eval::metrics::{Evaluation, EvaluationOptions};
use panelqc_report::{HtmlLabel, HtmlOptions, HtmlPicture, HtmlReport};

use super::browser::Failure;

#[path = "../../../tests/util/render.rs"]
#[allow(dead_code)] // the tests need more of it
mod render;

/// What ends a script, an attribute and a line where it is taken for markup.
pub(crate) const NASTY: &str = "<script>alert(1)</script>\"&'";

/// Long edge of the pictures, as `panelqc inspect` makes them.
const EDGE: u32 = 640;

/// Panels with their labels and frames.
pub(crate) struct Fixture {
    inspector: Inspector,
    pub(crate) panels: Vec<(PanelRecord, Option<HtmlLabel>, Vec<Frame<'static>>)>,
}

impl Fixture {
    /// Inspects rendered boards with the model of `root`, one of whose kinds gets a name that no kind has.
    pub(crate) fn new(root: &Path, folder: &Path) -> Result<Self, Failure> {
        let model = folder.join("model");
        fs::create_dir_all(&model)?;
        for graph in ["model.onnx", "model.int8.onnx"] {
            fs::copy(root.join("models/pcb").join(graph), model.join(graph))?;
        }
        let manifest = fs::read_to_string(root.join("models/pcb/model.toml"))?;
        if !manifest.contains("\"open\"") {
            return Err("models/pcb/model.toml: expected the kind \"open\", found none".into());
        }
        fs::write(model.join("model.toml"), manifest.replace("\"open\"", &format!("{NASTY:?}")))?;
        let policy = "schema = 1\nname = \"page\"\n[default]\nreview = 0.38\nfail = 0.9\n";
        let inspector = Inspector::builder(Model::load(&model)?)
            .policy(Policy::parse(policy, Path::new("page.toml"))?)
            .floor(0.02)
            .build()?;

        let (mut inputs, mut labels, mut frames) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..30u32 {
            let (test, template) = render::board(number);
            // Every third board is a good one; the defects of the others are faint to clear.
            let good = number % 3 == 0;
            let strength = if good { 0.0 } else { 0.04 + (number * 7 % 30) as f32 / 75.0 };
            let test = faint(&test, &template, strength);
            let id = match number {
                4 => NASTY.to_owned(),
                number => format!("line 3/board {number:02}"),
            };
            let test = frame(&test)?;
            let panel = if number == 7 {
                Panel::from_frames(id, vec![test.clone(), frame(&pale(&template))?])?
            } else {
                Panel::new(id, test.clone())
            };
            // One has no template: it cannot be inspected.
            inputs.push(if number == 11 { panel.clone() } else { panel.clone().with_reference(frame(&template)?) });
            // One has no label, and one a wrong one.
            labels.push((number != 13).then(|| HtmlLabel::new(!good && number != 20)));
            frames.push(if number == 11 { Vec::new() } else { panel.frames().to_vec() });
        }
        let records = inspector.inspect_batch(inputs.into_iter().map(PanelInput::from)).map(PanelRecord::from);
        let panels = records.zip(labels).zip(frames).map(|((record, label), frames)| (record, label, frames));
        let panels = panels.collect();
        Ok(Fixture { panels, inspector })
    }

    /// Writes the page of the boards.
    pub(crate) fn boards(&self, path: PathBuf) -> Result<PathBuf, Failure> {
        let mut page = HtmlReport::new(format!("boards of {NASTY}"), self.options());
        for (record, label, frames) in &self.panels {
            let pictures = frames.iter().map(|frame| HtmlPicture::new(frame, EDGE)).collect::<Result<_, _>>()?;
            page.add(record, label.as_ref(), pictures)?;
        }
        page.save(&path)?;
        Ok(path)
    }

    /// Writes the page of labelled boards that were measured, as `panelqc eval --html` does it.
    pub(crate) fn measured(root: &Path, folder: &Path, path: PathBuf) -> Result<PathBuf, Failure> {
        let (boards, labels) = (folder.join("set/group1/1"), folder.join("set/group1/1_not"));
        fs::create_dir_all(&boards)?;
        fs::create_dir_all(&labels)?;
        for number in 0..6u32 {
            let (test, template) = render::board(number);
            test.save(boards.join(format!("{number}_test.jpg")))?;
            template.save(boards.join(format!("{number}_temp.jpg")))?;
            let s = number % 7 * 5;
            let text = format!(
                "{} {} {} {} 1\n400 {} 410 {} 2\n315 {} 325 {} 6\n",
                200 + s,
                128 + s,
                212 + s,
                146 + s,
                194 + s,
                230 + s,
                82 + s,
                92 + s
            );
            fs::write(labels.join(format!("{number}.txt")), text)?;
        }
        let mut samples = read_deeppcb(&folder.join("set"))?.samples;
        samples.extend(templates(&samples));
        let pcb = root.join("models/pcb");
        let policy = Policy::load(pcb.join("policy.toml"))?;
        let inspector = Inspector::builder(Model::load(&pcb)?).policy(policy).floor(0.01).build()?;
        let results = inspector.inspect_batch(samples.iter().map(|s| s.files.clone()));
        let records: Vec<PanelRecord> = results.map(PanelRecord::from).collect();
        let options = HtmlOptions::new(&inspector.model().manifest().output, inspector.policy());
        let mut page = HtmlReport::new("measured", options);
        for (sample, record) in samples.iter().zip(&records) {
            page.add(record, Some(&HtmlLabel::from(&sample.label)), Vec::new())?;
        }
        let measured = EvaluationOptions::from(&inspector).with_protocol(DataFormat::Deeppcb);
        page.evaluation(&Evaluation::new(measured, &samples, &records, 1.0))?;
        page.save(&path)?;
        Ok(path)
    }

    /// Writes a page of `count` panels with large pictures that compress badly.
    pub(crate) fn many(&self, count: usize, path: PathBuf) -> Result<PathBuf, Failure> {
        let mut page = HtmlReport::new(format!("{count} panels"), self.options());
        let noisy: Vec<Frame<'static>> = (0..30).map(noise).collect::<Result<_, _>>()?;
        for (number, ((record, ..), frame)) in self.panels.iter().zip(&noisy).cycle().take(count).enumerate() {
            let mut record = record.clone();
            let id = format!("panel {number:04}");
            match &mut record {
                PanelRecord::Inspected(report) => report.panel = id,
                PanelRecord::Failed(failed) => failed.panel = id,
            }
            page.add(&record, None, vec![HtmlPicture::new(frame, EDGE)?])?;
        }
        page.save(&path)?;
        Ok(path)
    }

    /// The kind of that number.
    pub(crate) fn kind(&self, number: usize) -> Option<&Kind> {
        self.inspector.model().manifest().output.kinds.get(number)
    }

    fn options(&self) -> HtmlOptions {
        HtmlOptions::new(&self.inspector.model().manifest().output, self.inspector.policy())
    }
}

fn frame(image: &GrayImage) -> Result<Frame<'static>, Failure> {
    Ok(Frame::new(Size::new(image.width(), image.height()), PixelFormat::Mono8, image.as_raw().clone())?)
}

/// The same in two near grays.
fn pale(image: &GrayImage) -> GrayImage {
    GrayImage::from_fn(image.width(), image.height(), |x, y| image::Luma([150 + image.get_pixel(x, y).0[0] / 4]))
}

/// The template with this part of what is different on the test image.
fn faint(test: &GrayImage, template: &GrayImage, strength: f32) -> GrayImage {
    GrayImage::from_fn(test.width(), test.height(), |x, y| {
        let [from, to] = [template, test].map(|image| f32::from(image.get_pixel(x, y).0[0]));
        image::Luma([(from + (to - from) * strength) as u8])
    })
}

/// A board under noise.
fn noise(seed: u32) -> Result<Frame<'static>, Failure> {
    let (mut board, _) = render::board(seed);
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    for pixel in board.pixels_mut() {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        pixel.0[0] = (pixel.0[0] / 2).saturating_add((state >> 28) as u8 * 2);
    }
    frame(&board)
}
