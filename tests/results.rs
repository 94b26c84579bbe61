//! Results and the pictures that come with them: made of what was inspected, written, and read back.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use panelqc::{
    FrameInfo, Inspector, JsonlReader, JsonlWriter, Model, Panel, PanelFiles, PanelRecord, PixelFormat, Size,
};
use serde_json::Value;

use crate::util::{Program, cell, cell_panel, project, write_cells};

fn cells(command: &str) -> Program {
    let program = Program::new(command).model(&project("models/solar-cell"));
    program.option("--policy", project("models/solar-cell/policy.toml"))
}

fn records(path: &Path) -> Vec<PanelRecord> {
    JsonlReader::open(path).unwrap().collect::<Result<_, _>>().unwrap()
}

/// What a page holds.
fn data(page: &Path) -> Value {
    let page = fs::read_to_string(page).unwrap();
    let text = page.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_line_has_every_frame_and_the_tags_of_its_panel_and_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    write_cells(dir.path(), 2);
    let inspector = Inspector::builder(Model::load(project("models/solar-cell")).unwrap()).threads(1).build().unwrap();
    let file = |i: u32| dir.path().join(format!("cell_{i:03}.png"));
    let files = PanelFiles::from_files("two", vec![file(0), file(1)]).with_tag("lot", "A-7");
    let missing = PanelFiles::from_files("gone", vec![file(9)]).with_tag("lot", "A-8");
    let memory = cell_panel(3).with_tag("shot", "12");
    let mut lines = Vec::new();
    let mut writer = JsonlWriter::new(&mut lines);
    let inputs: [panelqc::PanelInput; 3] = [files.into(), missing.into(), memory.into()];
    let made: Vec<PanelRecord> = inspector.inspect_batch(inputs).map(PanelRecord::from).collect();
    made.iter().for_each(|record| writer.write(record).unwrap());

    let text = String::from_utf8(lines).unwrap();
    let line: Vec<&str> = text.lines().collect();
    let frames =
        format!(r#","frames":[{{"image":"{}","width":300,"height":300,"bits":8,"sha256":""#, file(0).display());
    assert!(line[0].contains(&frames) && line[0].ends_with(r#""}],"tags":{"lot":"A-7"}}"#), "{}", line[0]);
    assert!(line[1].ends_with(r#","code":"io","tags":{"lot":"A-8"}}"#), "{}", line[1]);
    let frame = r#""frames":[{"image":null,"width":300,"height":300,"bits":8,"sha256":null}],"tags":{"shot":"12"}}"#;
    assert!(line[2].ends_with(frame), "{}", line[2]);

    let read: Vec<PanelRecord> = JsonlReader::new(text.as_bytes(), "lines").collect::<Result<_, _>>().unwrap();
    assert_eq!(read, made);
    assert_eq!(read[0].frames().len(), 2);
    assert_eq!(read[2].frames(), [FrameInfo::new(Size::new(300, 300)).with_bits(8)]);
}

#[test]
fn frames_of_other_sizes_and_bits_are_told() {
    let inspector = Inspector::builder(Model::load(project("models/solar-cell")).unwrap()).threads(1).build().unwrap();
    let eight = cell_panel(0).frames()[0].clone();
    let twelve = panelqc::Frame::new(Size::new(40, 30), PixelFormat::Mono12, vec![2000u16; 1200]).unwrap().hashed();
    let hash = twelve.sha256().unwrap().clone();
    let report = inspector.inspect(&Panel::from_frames("p", vec![eight, twelve]).unwrap()).unwrap();
    assert_eq!(report.sizes(), [Size::new(300, 300), Size::new(40, 30)]);
    assert_eq!((report.frames()[1].bits, &report.frames()[1].sha256), (Some(12), &Some(hash)));
}

#[test]
fn pictures_are_those_of_the_frames_that_were_inspected() {
    let dir = tempfile::tempdir().unwrap();
    let (images, out) = (dir.path().join("in"), dir.path().join("out"));
    write_cells(&images, 24);
    let program = cells("inspect").args(["--overlay", "--html", "--threads", "2"]).option("--out", &out).arg(&images);
    let mut run = program.command().spawn().unwrap();
    // With the first line the next panels are inspected already: no file is there any more, but other ones.
    let lines = out.join("results.jsonl");
    while run.try_wait().unwrap().is_none() && fs::metadata(&lines).map_or(0, |file| file.len()) == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    for (at, file) in fs::read_dir(&images).unwrap().map(|entry| entry.unwrap().path()).enumerate() {
        let other = image::GrayImage::from_pixel(20, 10, image::Luma([9]));
        if at % 2 == 0 { fs::remove_file(file).unwrap() } else { other.save(file).unwrap() }
    }
    let status = run.wait().unwrap().code();
    assert!(matches!(status, Some(0 | 1)), "the run goes on to its end: {status:?}");
    let records = records(&lines);
    let page = data(&out.join("report.html"));
    assert_eq!((records.len(), page["panels"].as_array().unwrap().len()), (24, 24));
    let mut drawn = 0;
    for (record, shown) in records.iter().zip(page["panels"].as_array().unwrap()) {
        let Some(report) = record.report() else {
            assert_eq!(shown["pictures"], serde_json::json!([]));
            continue;
        };
        let picture = &shown["pictures"][0];
        let size = [&picture["width"], &picture["height"]].map(|side| side.as_u64().unwrap() as u32);
        assert_eq!(Size::new(size[0], size[1]), report.size());
        let overlay = image::open(out.join(format!("overlays/{}.png", report.panel))).unwrap();
        assert_eq!(overlay.width(), report.size().width);
        drawn += usize::from(report.size() == Size::new(300, 300));
    }
    assert!(drawn > 0, "the first panels were inspected before the files were gone");
}

#[test]
fn a_picture_that_cannot_be_written_is_told_and_the_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (images, out) = (dir.path().join("in"), dir.path().join("out"));
    write_cells(&images, 3);
    // A folder is where the picture should be.
    fs::create_dir_all(out.join("overlays/cell_001.png")).unwrap();
    let (status, _, err) = cells("inspect").args(["--overlay", "--resume"]).option("--out", &out).arg(&images).run();
    assert_eq!(status, 1, "{err}");
    assert!(err.contains("panelqc: writing") && err.contains("cell_001.png: "), "{err}");
    assert!(err.contains("3 panels in") && err.contains("0 failed (sent to review)"), "{err}");
    assert!(records(&out.join("results.jsonl")).iter().all(PanelRecord::is_inspected));
    assert!(out.join("overlays/cell_000.png").is_file() && out.join("overlays/cell_002.png").is_file());
}

#[test]
fn a_resumed_page_shows_all_panels_with_their_own_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let (images, out) = (dir.path().join("in"), dir.path().join("out"));
    write_cells(&images, 3);
    let go = || cells("inspect").args(["--html", "--resume"]).option("--out", &out).arg(&images).run();
    assert_eq!(go().0, 0);
    let first = data(&out.join("report.html"));
    cell(9, true).save(images.join("cell_001.png")).unwrap();
    let (status, _, err) = go();
    assert!(status == 0 && err.contains("1 earlier results are made again"), "{err}");
    assert!(err.contains("1 panels in") && err.contains("2 more were done before"), "{err}");
    let page = data(&out.join("report.html"));
    let pictures = |page: &Value| -> Vec<String> {
        page["panels"].as_array().unwrap().iter().map(|p| p["pictures"][0]["jpeg"].to_string()).collect()
    };
    let (before, after) = (pictures(&first), pictures(&page));
    assert_eq!((&before[0], &before[2]), (&after[0], &after[2]));
    assert_ne!(before[1], after[1], "another picture is there now, and was inspected");
    // A line that cannot be read is named with its field.
    let file = out.join("results.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("\"score\":", "\"score\":\"high\",\"was\":", 1)).unwrap();
    let (status, _, err) = go();
    assert!(status == 2 && err.contains("results.jsonl:1: ") && err.contains("found `score`: invalid type"), "{err}");
}

/// The numbers of an evaluation without those that only a run has.
fn numbers(path: &Path) -> Value {
    let mut value: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    value.as_object_mut().unwrap().remove("images_per_s");
    value
}

#[test]
fn stored_results_give_the_numbers_of_the_run_that_made_them() {
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("images");
    write_cells(&images, 8);
    fs::write(images.join("cell_007.png"), "no picture").unwrap();
    let labels: String = (0..8).map(|i| format!("images/cell_{i:03}.png {} mono\n", i % 2)).collect();
    fs::write(dir.path().join("labels.csv"), labels).unwrap();
    let (lines, first, again) =
        (dir.path().join("results.jsonl"), dir.path().join("1.json"), dir.path().join("2.json"));
    let eval = |json: &Path| cells("eval").args(["--format", "elpv", "--data"]).arg(dir.path()).option("--json", json);
    let (status, _, err) = eval(&first).option("--store", &lines).run();
    assert!(status == 1 && err.contains("cell_007"), "{err}");
    // No runtime is needed.
    let stored = || eval(&again).option("--results", &lines).env("ORT_DYLIB_PATH", "/nowhere");
    let (status, out, err) = stored().option("--html", dir.path().join("page.html")).run();
    assert_eq!(status, 1, "one panel was not inspected: {err}");
    assert!(out.starts_with("images          8 (1 could not") && !out.contains("images/s"), "{out}");
    assert_eq!(numbers(&again), numbers(&first));
    assert_eq!(data(&dir.path().join("page.html"))["panels"][0]["pictures"].as_array().unwrap().len(), 1);

    // Not with other rules, not with other panels.
    let text = fs::read_to_string(&lines).unwrap();
    let other = Program::new("eval").model(&project("models/solar-cell")).args(["--format", "elpv", "--data"]);
    let (status, _, err) = other.arg(dir.path()).option("--results", &lines).run();
    assert!(status == 2 && err.contains("results.jsonl:1: expected a result of no policy, found the policy"), "{err}");
    fs::write(&lines, text.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let (status, _, err) = stored().run();
    assert!(status == 2 && err.contains("each of the 8 labelled panels, found none for cell_000"), "{err}");
    fs::write(&lines, text.clone() + &text.lines().next().unwrap().replace("cell_000", "cell_100") + "\n").unwrap();
    let (status, _, err) = stored().run();
    assert!(status == 2 && err.contains("found some for cell_100, without a label"), "{err}");
    fs::write(&lines, text.replace("\"manifest\":\"", "\"manifest\":\"0")).unwrap();
    let (status, _, err) = stored().run();
    assert!(status == 2 && err.contains("results.jsonl:1: expected a result of the manifest"), "{err}");
}
