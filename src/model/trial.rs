//! The inference that tries a model when it is loaded: what the graph gives has to be what its format may give.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::manifest::Manifest;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Frame, FrameLimits, FrameScratch, Panel, PanelFiles, PanelInput, PixelFormat};
use crate::geometry::Size;
use crate::head::{self, Context, Decoder, Head, HeadFormat, Proposals, Slot};
use crate::runtime::{Graph, InputForm, Outputs};
use crate::tensor::Fit;

/// What is read of a golden image's line: see `panelqc_eval::Golden`.
#[derive(Deserialize)]
struct GoldenLine {
    image: String,
    reference: Option<String>,
}

/// A graph with its manifest and head, before they are a model.
pub(super) struct Trial<'a> {
    pub(super) graph: &'a Graph,
    pub(super) form: &'a InputForm,
    pub(super) head: &'a Arc<dyn Head>,
    pub(super) manifest: &'a Manifest,
    /// The package's folder.
    pub(super) folder: Option<&'a Path>,
}

impl Trial<'_> {
    /// Runs the graph on one picture and refuses outputs that do not fit the format; `own` are formats of the program.
    pub(super) fn run(&self, own: &[HeadFormat]) -> Result<()> {
        // As many as will go through together, where a device makes itself ready for that number.
        let most = self.graph.provider().default_batch().min(self.form.batch().unwrap_or(usize::MAX));
        let count = if self.head.single() || self.manifest.input.fit == Fit::Source { 1 } else { most.max(1) };
        let mut batch = self.manifest.batch(count);
        let panel = self.first_golden().map_or_else(|| self.test_picture(), Ok)?;
        let mut push = || batch.push(&panel.frames()[0], panel.reference());
        if let Err(problem) = (0..count).try_for_each(|_| push()) {
            // Steps may take frames of a certain size only. Each panel is checked in any case.
            tracing::debug!(model = %self.graph.path().display(), %problem, "the model was not tried");
            return Ok(());
        }
        let mut outputs = Outputs::default();
        self.graph.run(self.form, batch.view(), count, &self.head.outputs(), &mut outputs)?;
        let decoder = Decoder::new(Arc::clone(self.head), Context::new(self.manifest.output.clone()));
        let mut found = Proposals::default();
        decoder.begin(&mut found, panel.frames()[0].size());
        decoder.propose(&Slot::new(&outputs, 0, &batch.placements()[0]), &mut found).map_err(|error| {
            match error.kind() {
                ErrorKind::Output => self.unfit(&error.to_string(), own).with_source(error),
                _ => error,
            }
        })
    }

    /// The error for outputs that their format cannot have; it lists the formats that have such shapes.
    fn unfit(&self, found: &str, own: &[HeadFormat]) -> Error {
        let output = &self.manifest.output;
        let fitting = head::fitting(self.manifest.task, output, self.graph.signature(), own);
        Error::model(
            self.graph.path(),
            format!("a first inference to give what format `{}` may give (of these shapes: {fitting})", output.format),
            found,
        )
    }

    /// The package's first golden image; `None` where there is none, or it cannot be read: whether golden images are in
    /// order is a question for `panelqc check`.
    fn first_golden(&self) -> Option<Panel<'static>> {
        let folder = self.folder?.join(&self.manifest.golden.as_ref()?.folder);
        let text = fs::read_to_string(folder.join("golden.jsonl")).ok()?;
        let line: GoldenLine = serde_json::from_str(text.lines().find(|line| !line.trim().is_empty())?).ok()?;
        let inside = |name: &str| Path::new(name).file_name().is_some_and(|file| file == name);
        if !std::iter::once(&line.image).chain(&line.reference).all(|name| inside(name)) {
            return None;
        }
        let mut files = PanelFiles::from_files("golden", vec![folder.join(&line.image)]);
        files.reference = line.reference.map(|name| folder.join(name));
        let input = PanelInput::Files(files);
        input.into_panel_with(&FrameLimits::default(), self.manifest.white(), &mut FrameScratch::default()).ok()
    }

    /// A picture of the input's size with areas, edges, a spot and a gradient in it, so that a graph has something to
    /// answer to.
    fn test_picture(&self) -> Result<Panel<'static>> {
        let Size { width, height } = self.manifest.input.size;
        let white = self.manifest.white().unwrap_or(255);
        let gray = |x: u32, y: u32| -> u16 {
            let parts = match (8 * u64::from(x) / u64::from(width), 8 * u64::from(y) / u64::from(height)) {
                (1 | 2, 1 | 2) => 15,
                (5, 2 | 3) => 1,
                (3..=6, 5) => 12,
                _ => 5 + 4 * u64::from(x) / u64::from(width),
            };
            // At most `white`, which has 16 bits.
            (u64::from(white) * parts / 16) as u16
        };
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let size = Size::new(width, height);
        let frame = match white > 255 {
            true => Frame::new(size, PixelFormat::Mono16, places.map(|(x, y)| gray(x, y)).collect::<Vec<u16>>())?,
            false => Frame::new(size, PixelFormat::Mono8, places.map(|(x, y)| gray(x, y) as u8).collect::<Vec<u8>>())?,
        };
        let panel = Panel::new("test picture", frame.clone());
        Ok(if self.manifest.input.reference { panel.with_reference(frame) } else { panel })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Activation;
    use crate::model::{Model, ModelOptions};

    #[test]
    fn a_golden_image_takes_the_place_of_the_test_picture() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/torchvision-classify");
        let dir = tempfile::tempdir().unwrap();
        fs::copy(source.join("model.onnx"), dir.path().join("model.onnx")).unwrap();
        let manifest = fs::read_to_string(source.join("model.toml")).unwrap();
        fs::write(dir.path().join("model.toml"), format!("{manifest}\n[golden]\nfolder = \"golden\"\n")).unwrap();
        fs::create_dir(dir.path().join("golden")).unwrap();
        let picture = |line: &str| {
            fs::write(dir.path().join("golden/golden.jsonl"), line).unwrap();
            let model = Model::load(dir.path()).unwrap();
            model.trial().first_golden().map(|panel| panel.frames()[0].size())
        };
        image::GrayImage::new(9, 7).save(dir.path().join("golden/a.png")).unwrap();
        assert_eq!(picture("\n{\"image\":\"a.png\",\"score\":0,\"defects\":[]}\n"), Some(Size::new(9, 7)));
        for other in ["", "{}", "{\"image\":\"b.png\"}", "{\"image\":\"../golden/a.png\"}"] {
            assert_eq!(picture(other), None, "{other}: the test picture");
        }
        // It has dark, bright, edges and a gradient.
        let model = Model::load(dir.path()).unwrap();
        let panel = model.trial().test_picture().unwrap();
        assert_eq!(panel.frames()[0].size(), model.manifest().input.size);
        let mut batch = model.manifest().batch(1);
        batch.push(&panel.frames()[0], None).unwrap();
        let span = |of: &mut dyn Iterator<Item = f32>| of.fold((9.0f32, -9.0f32), |(l, h), v| (l.min(v), h.max(v)));
        let (low, high) = span(&mut batch.view().iter().copied());
        let white = 2.0 * (0.5 * (255.0 * model.manifest().input.scale) as f32);
        assert!(high - low > 0.8 * white, "{low} to {high}");
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_formats_that_have_its_shapes() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/torchvision-classify");
        let graph = fs::read(folder.join("model.onnx")).unwrap();
        let path = folder.join("model.toml");
        let mut manifest = Manifest::parse(&fs::read_to_string(&path).unwrap(), &path).unwrap();
        assert!(Model::from_bytes(graph.clone(), manifest.clone()).is_ok());
        // Its scores are logits.
        manifest.output.activation = Activation::None;
        let error = Model::from_bytes(graph.clone(), manifest.clone()).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Model, "{text}");
        assert!(text.contains("of these shapes: scores") && text.contains("activation = \"softmax\""), "{text}");
        let untried = ModelOptions::default().with_untried(true);
        assert!(Model::from_bytes_with(graph, manifest, &untried).is_ok());
    }
}
