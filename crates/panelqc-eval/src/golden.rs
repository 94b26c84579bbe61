use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use panelqc::{Defect, Error, FrameLimits, Inspector, Kind, Model, Panel, PanelFiles, PixelBox, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

/// Golden images of a model package: images with the tensors that they become and the defects found on them. Replaying
/// them tells whether a deployed model still does what it did where it was made.
///
/// In the folder that `[golden] folder` of the manifest names: the pictures; `golden.jsonl`, one line per picture; and
/// `tensors.safetensors`, an `f32` tensor `[C, H, W]` a picture under the picture's name. The tensors may as well be
/// written by the training pipeline (`safetensors.numpy.save_file`): then the replay compares with that.
#[derive(Debug)]
pub struct Golden {
    folder: PathBuf,
    entries: Vec<Entry>,
    tensors: HashMap<String, Vec<f32>>,
}

/// A line of `golden.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    score: f32,
    defects: Vec<Expected>,
}

/// What a golden line promises of a [`Defect`], and all that is compared: three keys that a training pipeline in any
/// language can write. Area, mask and frame follow from them and from the picture.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    kind: Kind,
    confidence: f32,
    #[serde(rename = "box")]
    bbox: PixelBox,
}

/// What a replay of one golden image gave.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Replay {
    /// The image's name.
    pub image: String,
    /// Largest difference of the tensor, in gray levels of 0 to 255.
    pub worst_level: f32,
    /// Mean difference of the tensor, in gray levels.
    pub mean_level: f32,
    /// Number of defects found.
    pub defects: usize,
    /// What is not as recorded; empty when all is.
    pub problems: Vec<String>,
}

/// Preprocessing may differ by one gray level in a pixel, and by this on average.
const MEAN_LEVEL: f32 = 0.02;
const LINES: &str = "golden.jsonl";
const TENSORS: &str = "tensors.safetensors";

impl Golden {
    /// The golden images of a model package; `None` when its manifest names none.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](panelqc::ErrorKind::Model) for a file that is missing or that cannot be used.
    pub fn load(model: &Model) -> Result<Option<Self>> {
        let Some(config) = &model.manifest().golden else { return Ok(None) };
        let folder = model.folder().unwrap_or(Path::new("")).join(&config.folder);
        let unusable = |file: &str, expected: &str, e: String| Error::model(&folder.join(file), expected, e);
        let text = fs::read_to_string(folder.join(LINES))
            .map_err(|e| unusable(LINES, "the golden images' results", e.to_string()))?;
        let mut entries = Vec::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let entry: Entry = serde_json::from_str(line)
                .map_err(|e| unusable(LINES, "one golden image per line", format!("line {}: {e}", number + 1)))?;
            entries.push(entry);
        }
        let bytes = fs::read(folder.join(TENSORS))
            .map_err(|e| unusable(TENSORS, "the golden images' tensors", e.to_string()))?;
        let stored = SafeTensors::deserialize(&bytes)
            .map_err(|e| unusable(TENSORS, "tensors in the safetensors format", e.to_string()))?;
        let mut tensors = HashMap::new();
        for entry in &entries {
            let view = stored
                .tensor(&entry.image)
                .map_err(|e| unusable(TENSORS, &format!("a tensor `{}`", entry.image), e.to_string()))?;
            if view.dtype() != Dtype::F32 {
                return Err(unusable(TENSORS, "tensors of f32", format!("`{}` of {:?}", entry.image, view.dtype())));
            }
            let numbers = view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            tensors.insert(entry.image.clone(), numbers);
        }
        Ok(Some(Golden { folder, entries, tensors }))
    }

    /// Copies images (and their references) into `folder` and records what the inspector makes of them.
    ///
    /// # Errors
    /// Those of the images, the model and the file system; two images of the same file name are an
    /// [`ErrorKind::Argument`](panelqc::ErrorKind::Argument).
    pub fn record(inspector: &Inspector, panels: &[PanelFiles], folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io("creating", folder))?;
        let mut golden = Golden { folder: folder.to_path_buf(), entries: Vec::new(), tensors: HashMap::new() };
        let copy = |from: &Path| -> Result<String> {
            let name = from.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let to = folder.join(&name);
            fs::copy(from, &to).map_err(Error::io("writing", &to))?;
            Ok(name)
        };
        for files in panels {
            let [image] = &files.frames[..] else {
                return Err(Error::argument(format!(
                    "golden images: expected one file per panel, found several in `{}`",
                    files.id
                )));
            };
            let panel = files.load(&FrameLimits::default())?;
            let report = inspector.inspect(&panel)?;
            let image = copy(image)?;
            if golden.tensors.insert(image.clone(), tensor(inspector, &panel)?).is_some() {
                return Err(Error::argument(format!(
                    "golden images: expected different file names, found `{image}` twice"
                )));
            }
            let defects = report.defects.iter().map(|d| Expected {
                kind: d.kind.clone(),
                confidence: d.confidence.get(),
                bbox: d.bbox,
            });
            golden.entries.push(Entry {
                image,
                reference: files.reference.as_deref().map(copy).transpose()?,
                score: report.score,
                defects: defects.collect(),
            });
        }
        golden.write(inspector)?;
        Ok(golden)
    }

    fn write(&self, inspector: &Inspector) -> Result<()> {
        let mut lines = String::new();
        for entry in &self.entries {
            lines.push_str(&serde_json::to_string(entry).map_err(|e| Error::internal(e.to_string()))?);
            lines.push('\n');
        }
        let path = self.folder.join(LINES);
        fs::write(&path, lines).map_err(Error::io("writing", &path))?;
        let input = &inspector.model().manifest().input;
        let bytes: Vec<(&str, usize, Vec<u8>)> = self
            .entries
            .iter()
            .map(|entry| {
                let numbers = &self.tensors[&entry.image];
                (entry.image.as_str(), numbers.len(), numbers.iter().flat_map(|v| v.to_le_bytes()).collect())
            })
            .collect();
        let views = bytes.iter().map(|(name, count, data)| {
            let channels = input.tensor_channels();
            let (width, height) = (input.size.width as usize, input.size.height as usize);
            // A frame of its own size has its shape in its picture.
            let whole = channels * height * width == *count;
            let shape = if whole { vec![channels, height, width] } else { vec![channels, count / channels] };
            TensorView::new(Dtype::F32, shape, data).map(|view| (*name, view))
        });
        let views = views.collect::<Result<Vec<_>, _>>().map_err(|e| Error::internal(e.to_string()))?;
        let bytes = safetensors::serialize(views, None).map_err(|e| Error::internal(e.to_string()))?;
        let path = self.folder.join(TENSORS);
        fs::write(&path, bytes).map_err(Error::io("writing", &path))
    }

    /// Number of golden images.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Inspects the golden images again and compares: tensors within one gray level per pixel and 0.02 on average, the
    /// same defects with boxes within 0.5 px and confidences within 1e-3.
    ///
    /// # Errors
    /// Those of the images and the model. A difference is not an error but a problem of its [`Replay`].
    pub fn replay(&self, inspector: &Inspector) -> Result<Vec<Replay>> {
        self.entries.iter().map(|entry| self.replay_one(inspector, entry)).collect()
    }

    fn replay_one(&self, inspector: &Inspector, entry: &Entry) -> Result<Replay> {
        let mut files = PanelFiles::from_files(entry.image.as_str(), vec![self.folder.join(&entry.image)]);
        files.reference = entry.reference.as_ref().map(|name| self.folder.join(name));
        let panel = files.load(&FrameLimits::default())?;
        let (got, want) = (tensor(inspector, &panel)?, &self.tensors[&entry.image]);
        let mut problems = Vec::new();
        let (mut worst, mut mean) = (f32::NAN, f32::NAN);
        if got.len() == want.len() {
            let input = &inspector.model().manifest().input;
            let channels = input.channels.count();
            let plane = got.len() / input.tensor_channels();
            // One gray level is `scale / std` of the channel.
            let levels = got.iter().zip(want).enumerate().map(|(i, (a, b))| {
                let channel = i / plane.max(1) % channels;
                let std = input.std.get(channel).or(input.std.first()).copied().unwrap_or(1.0);
                (a - b).abs() / (input.scale / std).abs() as f32
            });
            let (sum, most) = levels.fold((0.0f64, 0.0f32), |(sum, most), v| (sum + f64::from(v), most.max(v)));
            (worst, mean) = (most, (sum / got.len().max(1) as f64) as f32);
            // Written so that NaN is a problem.
            if !(worst <= 1.001 && mean <= MEAN_LEVEL) {
                problems.push(format!(
                    "tensor: expected at most 1 gray level and {MEAN_LEVEL} on average, found {worst:.3} and {mean:.4}"
                ));
            }
        } else {
            problems.push(format!("tensor: expected {} numbers, found {}", want.len(), got.len()));
        }
        let report = inspector.inspect(&panel)?;
        compare(&entry.defects, &report.defects, &mut problems);
        Ok(Replay {
            image: entry.image.clone(),
            worst_level: worst,
            mean_level: mean,
            defects: report.defects.len(),
            problems,
        })
    }
}

/// The input tensor of a panel's first frame.
fn tensor(inspector: &Inspector, panel: &Panel<'_>) -> Result<Vec<f32>> {
    let mut batch = inspector.model().manifest().batch(1);
    batch.push(&panel.frames()[0], panel.reference())?;
    Ok(batch.view().iter().copied().collect())
}

fn compare(want: &[Expected], got: &[Defect], problems: &mut Vec<String>) {
    let off = |a: &PixelBox, b: &PixelBox| {
        let (a, b): ([f32; 4], [f32; 4]) = ((*a).into(), (*b).into());
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    let mut open: Vec<&Defect> = got.iter().collect();
    for want in want {
        let same_kind = open.iter().enumerate().filter(|(_, d)| d.kind == want.kind);
        let near = same_kind.map(|(i, d)| (i, off(&d.bbox, &want.bbox))).min_by(|a, b| a.1.total_cmp(&b.1));
        let Some((i, distance)) = near.filter(|&(_, distance)| distance <= 0.5) else {
            problems
                .push(format!("expected {} {:.4} at {:?}, found none there", want.kind, want.confidence, want.bbox));
            continue;
        };
        let found = open.remove(i);
        if (found.confidence.get() - want.confidence).abs() > 1e-3 {
            problems.push(format!(
                "expected {} {:.4} at {:?}, found {:.4} ({distance:.2} px off)",
                want.kind, want.confidence, want.bbox, found.confidence
            ));
        }
    }
    let more = open.iter().map(|d| format!("expected no more, found {} {:.4} at {:?}", d.kind, d.confidence, d.bbox));
    problems.extend(more);
}
