//! The inference that tries a model when it is loaded: what the graph gives has to be what its format may give.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::options::ModelOptions;
use super::package::Model;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Frame, FrameLimits, FrameScratch, Panel, PanelFiles, PanelInput, PixelFormat};
use crate::geometry::Size;
use crate::head::{self, Format, Loss, Proposals, Slot};
use crate::runtime::Outputs;

/// What is read of a golden image's line: see `panelqc_eval::Golden`.
#[derive(Deserialize)]
struct GoldenLine {
    image: String,
    reference: Option<String>,
}

impl Model {
    /// Runs the graph on one picture and refuses outputs that do not fit the format.
    pub(super) fn try_out(&self, options: &ModelOptions) -> Result<()> {
        let mut batch = self.manifest().batch(1);
        let panel = self.first_golden().map_or_else(|| self.test_picture(), Ok)?;
        if let Err(problem) = batch.push(&panel.frames()[0], panel.reference()) {
            // Steps may take frames of a certain size only. Each panel is checked in any case.
            tracing::debug!(model = %self.path().display(), %problem, "the model was not tried");
            return Ok(());
        }
        let mut outputs = Outputs::default();
        self.run(batch.view(), &mut outputs)?;
        // Every row counts here, also those that no panel would report.
        let decoder = self.decoder().with_sure(|_| 0.0);
        let mut found = Proposals::default();
        decoder.begin(&mut found, panel.frames()[0].size());
        match decoder.propose(&Slot::new(&outputs, 0, &batch.placements()[0]), &mut found) {
            Err(error) if error.kind() == ErrorKind::Output => {
                let found = error.to_string();
                Err(self.unfit(&found, options).with_source(error))
            }
            Err(error) => Err(error),
            Ok(()) => match found.lost(decoder.kinds()).iter().find(|lost| lost.why == Loss::UnknownKind) {
                Some(lost) => Err(self.unfit(&lost.to_string(), options)),
                None => Ok(()),
            },
        }
    }

    /// The error for outputs that their format cannot have; it lists the formats that have such shapes.
    fn unfit(&self, found: &str, options: &ModelOptions) -> Error {
        let output = &self.manifest().output;
        let chosen = match output.format == Format::AUTO {
            true => "the format that `auto` found by the shapes".to_owned(),
            false => format!("format `{}`", output.format),
        };
        let fitting = head::fitting(self.manifest().task, output, self.signature(), &options.formats);
        Error::model(
            self.path(),
            format!("numbers of {chosen} in an inference on one picture (formats of these shapes: {fitting})"),
            found,
        )
    }

    /// The package's first golden image; `None` where there is none, or it cannot be read: whether golden images are in
    /// order is a question for `panelqc check`.
    fn first_golden(&self) -> Option<Panel<'static>> {
        let folder = self.folder()?.join(&self.manifest().golden.as_ref()?.folder);
        let text = fs::read_to_string(folder.join("golden.jsonl")).ok()?;
        let line: GoldenLine = serde_json::from_str(text.lines().find(|line| !line.trim().is_empty())?).ok()?;
        let inside = |name: &str| Path::new(name).file_name().is_some_and(|file| file == name);
        let names = std::iter::once(&line.image).chain(&line.reference);
        if !names.into_iter().all(|name| inside(name)) {
            return None;
        }
        let mut files = PanelFiles::from_files("golden", vec![folder.join(&line.image)]);
        files.reference = line.reference.map(|name| folder.join(name));
        let input = PanelInput::Files(files);
        input.into_panel_with(&FrameLimits::default(), self.manifest().white(), &mut FrameScratch::default()).ok()
    }

    /// A picture of the input's size with areas, edges, a spot and a gradient in it, so that a graph has something to
    /// answer to.
    fn test_picture(&self) -> Result<Panel<'static>> {
        let Size { width, height } = self.manifest().input.size;
        let white = self.manifest().white().unwrap_or(255);
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
        Ok(if self.manifest().input.reference { panel.with_reference(frame) } else { panel })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Activation;
    use crate::model::Manifest;

    #[test]
    fn the_test_picture_has_everything_a_graph_could_answer_to() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/yolov8-detect/model.onnx");
        let model = Model::load(path).unwrap();
        let panel = model.test_picture().unwrap();
        let size = model.manifest().input.size;
        assert_eq!(panel.frames()[0].size(), size);
        let mut batch = model.manifest().batch(1);
        batch.push(&panel.frames()[0], None).unwrap();
        let (low, high) = batch.view().iter().fold((1.0f32, 0.0f32), |(low, high), &v| (low.min(v), high.max(v)));
        assert!(low < 0.1 && high > 0.9, "{low} to {high}");
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
        assert!(
            text.contains("formats of these shapes: scores") && text.contains("activation = \"softmax\""),
            "{text}"
        );
        let untried = ModelOptions::default().with_untried(true);
        assert!(Model::from_bytes_with(graph, manifest, &untried).is_ok());
    }
}
