//! Steps that change pixels, as later ones will: what they are given, and what is done with their results.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Prepare, Refused, SampleScratch, Step};
use crate::frame::{Frame, PixelFormat, PixelView, View};
use crate::geometry::{Region, Size};
use crate::tensor::{Batch, Channels, Fit, Preprocess, White};

/// Black for white: a step that writes samples, and owns a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invert {
    table: String,
}

impl Prepare for Invert {
    fn problem(&self) -> Option<String> {
        None
    }

    fn files(&self) -> Vec<&Path> {
        vec![Path::new(&self.table)]
    }

    fn apply<'v>(&self, view: PixelView<'v>, scratch: &'v mut SampleScratch) -> Result<PixelView<'v>, Refused> {
        fn written<'v, T: Copy>(view: View<'v, T>, out: &'v mut Vec<T>, invert: impl Fn(T) -> T) -> View<'v, T> {
            out.clear();
            out.extend(view.rows().flatten().map(|&value| invert(value)));
            view.replaced(out, view.format())
        }
        let white = view.white();
        Ok(match view {
            PixelView::Eight(view) => {
                PixelView::Eight(written(view, &mut scratch.eight, |value| (white - u16::from(value)) as u8))
            }
            PixelView::Sixteen(view) => PixelView::Sixteen(written(view, &mut scratch.sixteen, |value| white - value)),
        })
    }
}

/// The frame without a border: a step that gives back a part of what it got, and refuses where nothing is left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    border: u32,
}

impl Prepare for Cut {
    fn problem(&self) -> Option<String> {
        None
    }

    fn region(&self, frame: Size, region: Region) -> Region {
        let border = self.border;
        let (left, top) = (region.x.max(border), region.y.max(border));
        let right = region.right().min(frame.width.saturating_sub(border));
        let bottom = region.bottom().min(frame.height.saturating_sub(border));
        Region::new(left, top, Size::new(right.saturating_sub(left), bottom.saturating_sub(top)))
    }

    fn reads_samples(&self) -> bool {
        false
    }

    fn apply<'v>(&self, view: PixelView<'v>, _: &'v mut SampleScratch) -> Result<PixelView<'v>, Refused> {
        let refused = || Refused { expected: "a frame larger than its border".to_owned(), found: "none".to_owned() };
        view.part(self.region(view.frame(), view.region())).ok_or_else(refused)
    }
}

fn steps() -> [Step; 3] {
    let invert = Step::Invert(Invert { table: "table.bin".to_owned() });
    [Step::White(White::new(1000)), Step::Cut(Cut { border: 1 }), invert]
}

fn batch(steps: &[Step]) -> Batch {
    let mut config = Preprocess::new(Size::new(2, 1));
    (config.channels, config.fit, config.scale) = (Channels::Gray, Fit::Source, 1.0);
    Batch::new(&config, 1).with_steps(steps)
}

#[test]
fn steps_are_taken_in_their_order() {
    let values: Vec<u16> = (0..12).map(|i| i * 100).map(|v: u16| v.min(1000)).collect();
    let frame = Frame::strided(Size::new(4, 3), PixelFormat::Mono12, &values, 4).unwrap();
    let mut batch = batch(&steps());
    batch.push(&frame, None).unwrap();
    // The middle of the frame is 500, 600 of 1000.
    let levels: Vec<f32> = batch.view().iter().copied().collect();
    assert_eq!(levels, [500.0 * 255.0 / 1000.0, 400.0 * 255.0 / 1000.0]);
    let placement = batch.placements()[0];
    assert_eq!(placement.region(), Region::new(1, 1, Size::new(2, 1)));
    assert_eq!(placement.to_frame(0.0, 0.0), (1.0, 1.0), "boxes lie where they are in the frame");
    batch.clear();
    assert!(batch.takes(&frame));
    // A value above white is one also where a later step would have hidden it.
    let mut bright = values.clone();
    bright[5] = 1001;
    let frame = Frame::new(Size::new(4, 3), PixelFormat::Mono12, bright).unwrap();
    assert!(batch.push(&frame, None).unwrap_err().to_string().ends_with("found 1001 in the pixel (1, 1)"));
    let small = Frame::new(Size::new(2, 2), PixelFormat::Mono12, vec![0u16; 4]).unwrap();
    assert!(batch.push(&small, None).unwrap_err().to_string().contains("a frame larger than its border"));
}

#[test]
fn memory_of_a_step_is_used_again() {
    let frame = Frame::new(Size::new(40, 30), PixelFormat::Mono12, vec![7u16; 1200]).unwrap();
    let mut batch = batch(&steps());
    batch.push(&frame, None).unwrap();
    let counted = allocation_counter::measure(|| {
        batch.clear();
        batch.push(&frame, None).unwrap();
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn a_step_says_which_files_it_owns() {
    let files: Vec<_> =
        steps().iter().flat_map(|step| step.files().into_iter().map(Path::to_path_buf).collect::<Vec<_>>()).collect();
    assert_eq!(files, [Path::new("table.bin")]);
}
