use super::*;
use crate::defect::Defect;
use crate::engine::{FailedPanel, Inspector, PanelRecord};
use crate::error::ErrorKind;
use crate::frame::{PixelFormat, PixelView};
use crate::judge::Verdict;

fn mono8(side: u32, pixels: Vec<u8>) -> Result<Frame<'static>> {
    Frame::new(Size::new(side, side), PixelFormat::Mono8, pixels)
}

#[test]
fn a_panic_in_a_worker_is_an_error_of_its_panels_and_stops_nothing_else() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/solar-cell");
    let model = Arc::new(Model::load(folder).unwrap());
    // A panel that cannot be made from outside: a worker runs into its missing frame and panics.
    let panel = |i: usize| match i % 4 {
        2 => Panel::without_frames(format!("{i}")),
        _ => Panel::new(format!("{i}"), mono8(300, vec![i as u8; 90_000]).unwrap()),
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
                    assert!(
                        failed.error.kind() == ErrorKind::Internal
                            && failed.error.to_string().contains("out of bounds")
                    );
                    found.push(i);
                }
            }
        }
        assert_eq!((results.len(), found), (12, lost), "batch {batch}");
        assert!(inspector.inspect(&panel(1)).is_ok(), "sessions and buffers are in order");
    }
}

/// The left and the right part of a frame, which share 160 columns.
struct Halves;

impl Plan for Halves {
    fn views(&self, frame: Size, views: &mut Vec<Region>) {
        let width = frame.width / 2 + 80;
        let size = Size::new(width, frame.height);
        views.extend([Region::new(0, 0, size), Region::new(frame.width - width, 0, size)]);
    }
}

/// A board of 640x640 with traces, pads, and five defects: one of them where the halves overlap.
fn board() -> Panel<'static> {
    let mut template = vec![255u8; 640 * 640];
    let rect = |pixels: &mut Vec<u8>, (x, y, w, h): (usize, usize, usize, usize), value: u8| {
        (y..y + h).for_each(|y| pixels[y * 640 + x..y * 640 + x + w].fill(value));
    };
    (0..12).for_each(|i| rect(&mut template, (20, 30 + i * 50, 600, 14), 0));
    let mut test = template.clone();
    for (x, y) in [(60, 128), (200, 278), (318, 378), (430, 178), (560, 478)] {
        rect(&mut test, (x, y, 12, 18), 255);
    }
    let frame = |pixels| mono8(640, pixels).unwrap();
    Panel::new("board", frame(test)).with_reference(frame(template))
}

#[test]
fn two_views_that_overlap_give_the_defects_of_the_whole_frame() {
    let model = Arc::new(Model::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pcb")).unwrap());
    let whole = Inspector::builder(Arc::clone(&model)).threads(1).build().unwrap().inspect(&board()).unwrap();
    assert!(whole.defects.len() >= 5, "{:?}", whole.defects);
    // The views of a frame in one batch, in several, and with those of other panels in between.
    for batch in [1, 2, 3, 8] {
        let builder = Inspector::builder(Arc::clone(&model)).threads(2).batch(batch).plan(Halves);
        let inspector = builder.build().unwrap();
        for result in inspector.inspect_batch((0..4).map(|_| board())) {
            let report = result.unwrap();
            assert_eq!(report.defects.len(), whole.defects.len(), "{:?}", report.defects);
            for defect in &whole.defects {
                let same = |d: &&Defect| d.kind == defect.kind && d.bbox.iou(&defect.bbox) > 0.8;
                assert_eq!(report.defects.iter().filter(same).count(), 1, "{defect:?} in {:?}", report.defects);
            }
            assert_eq!(report.verdict, whole.verdict);
        }
    }
}

#[test]
fn a_hook_gets_the_frames_that_were_inspected() {
    let model = Model::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/solar-cell")).unwrap();
    let inspector = Inspector::builder(model).threads(2).build().unwrap();
    let panel = |i: u8| Panel::new(format!("{i}"), mono8(300, vec![i; 90_000]).unwrap());
    let seen = inspector.inspect_batch((0..6).map(panel)).with_panels(|report, panel| {
        let PixelView::Eight(view) = panel.frames()[0].pixels() else { return None };
        Some((report.panel.clone(), panel.id().to_owned(), view.row(0)[7]))
    });
    for (i, result) in seen.enumerate() {
        let (report, seen) = result.unwrap();
        assert_eq!(seen, Some((i.to_string(), i.to_string(), i as u8)), "{}", report.panel);
    }
    // A hook that panics loses its own panel, not the others.
    let results: Vec<_> = inspector
        .inspect_batch((0..4).map(panel))
        .with_panels(|report, _| {
            if report.panel == "2" {
                panic!("in the hook")
            }
        })
        .map(|result| result.map(|(report, ())| report.panel).map_err(|failed| failed.error.to_string()))
        .collect();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 3, "{results:?}");
    assert!(results[2].as_ref().is_err_and(|e| e.contains("in the hook")), "{results:?}");
}

#[test]
fn a_panel_from_memory_comes_back_with_its_error() {
    let model = Model::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pcb")).unwrap();
    let inspector = Inspector::builder(model).threads(1).build().unwrap();
    // The model compares, and there is nothing to compare with.
    let lonely = Panel::new("lonely", mono8(640, vec![9; 640 * 640]).unwrap());
    let lonely = lonely.with_tag("lot", "7");
    let failed = inspector.inspect_batch([lonely.clone()]).next().unwrap().unwrap_err();
    let record = PanelRecord::from(&failed);
    assert_eq!((record.verdict(), record.score(), record.tags()["lot"].as_str()), (Verdict::Review, None, "7"));
    assert_eq!(record.failed().and_then(FailedPanel::kind), Some(ErrorKind::MissingReference));
    assert_eq!(record.frames(), [FrameInfo::new(Size::new(640, 640)).with_bits(8)]);
    assert_eq!(failed.into_panel(), Some(lonely));
}

#[test]
fn a_file_of_12_bits_has_the_white_of_the_manifest_wherever_it_is_shown() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/solar-cell");
    let text = std::fs::read_to_string(source.join("model.toml")).unwrap();
    let text = text.replacen("[input]\n", "[input]\nwhite = 4095\n", 1);
    let manifest = crate::model::Manifest::parse(&text, Path::new("model.toml")).unwrap();
    let graph = std::fs::read(source.join("model.int8.onnx")).unwrap();
    let inspector = Inspector::builder(Model::from_bytes(graph, manifest).unwrap()).threads(1).build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep.png");
    image::ImageBuffer::from_pixel(300, 300, image::Luma([4095u16])).save(&path).unwrap();
    let shown = inspector.inspect_batch([&*path]).with_panels(|_, panel| panel.frames()[0].to_gray8().into_raw()[7]);
    assert_eq!(shown.map(|result| result.unwrap().1).collect::<Vec<_>>(), [255], "white, not a sixteenth of it");
}

#[test]
fn twelve_bits_in_sixteen_do_not_pass_unless_white_is_stated() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/solar-cell");
    let text = std::fs::read_to_string(source.join("model.toml")).unwrap();
    let graph = std::fs::read(source.join("model.int8.onnx")).unwrap();
    let inspector = |text: &str| {
        let manifest = crate::model::Manifest::parse(text, Path::new("model.toml")).unwrap();
        let model = Model::from_bytes(graph.clone(), manifest).unwrap();
        // A judge that lets everything pass.
        let judge = crate::judge::Policy::builder("all", crate::judge::Limits::new(1.0, 1.0).unwrap()).build().unwrap();
        Inspector::builder(model).judge(judge).threads(1).build().unwrap()
    };
    let frame = |value: u16| {
        let size = Size::new(300, 300);
        Frame::new(size, PixelFormat::Mono16, vec![value; 90_000]).unwrap()
    };
    let judged = |inspector: &Inspector, frames: Vec<Frame<'static>>| {
        let report = inspector.inspect(&Panel::from_frames("a", frames).unwrap()).unwrap();
        (report.verdict, report.reasons.join(" | "))
    };
    let open = inspector(&text);
    let (verdict, reasons) = judged(&open, vec![frame(4095)]);
    assert_eq!(verdict, Verdict::Review);
    assert_eq!(
        reasons,
        "the frame is too dark: its brightest sample is 4095, below an eighth of white (65535) \
         (state `white` where samples have fewer bits)"
    );
    assert_eq!(judged(&open, vec![frame(8192)]).0, Verdict::Pass);
    assert_eq!(judged(&open, vec![frame(4095).with_white(4095).unwrap()]).0, Verdict::Pass);
    assert_eq!(judged(&open, vec![frame(100).with_white(65_535).unwrap()]).0, Verdict::Pass, "dark, as stated");
    let (verdict, reasons) = judged(&open, vec![frame(9000), frame(0)]);
    assert!(verdict == Verdict::Review && reasons.starts_with("frame 1 is too dark"), "{reasons}");

    // A file is treated alike.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep.png");
    image::ImageBuffer::from_pixel(300, 300, image::Luma([4000u16])).save(&path).unwrap();
    let of_file = |inspector: &Inspector| inspector.inspect_batch([&*path]).next().unwrap().unwrap().verdict;
    assert_eq!(of_file(&open), Verdict::Review);
    let stated = inspector(&text.replacen("[input]\n", "[input]\nwhite = 4095\n", 1));
    assert_eq!(of_file(&stated), Verdict::Pass);
    assert_eq!(judged(&stated, vec![frame(4095)]).0, Verdict::Pass);
}
