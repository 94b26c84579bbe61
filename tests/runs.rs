//! Runs into a folder: what is there after a kill, a full disk, a second run, or other images, and what each of them
//! says.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use panelqc::{JsonlReader, PanelRecord};

use crate::util::{Program, board, cell, project, without_times, write_boards, write_cells};

fn inspect() -> Program {
    Program::new("inspect").model(&project("models/solar-cell"))
}

fn records(out: &Path) -> Vec<PanelRecord> {
    JsonlReader::open(out.join("results.jsonl")).unwrap().collect::<Result<_, _>>().unwrap()
}

fn text(file: &Path) -> String {
    fs::read_to_string(file).unwrap()
}

/// Leaves this many whole lines of the results, and a part of the next, as a kill does.
fn cut(out: &Path, lines: usize) {
    let file = out.join("results.jsonl");
    let whole = text(&file);
    let end = whole.match_indices('\n').nth(lines - 1).unwrap().0 + 1;
    fs::write(file, &whole[..(end + 40).min(whole.len())]).unwrap();
}

/// Waits until a run that was started has written something.
fn wait_for_lines(out: &Path) {
    while fs::metadata(out.join("results.jsonl")).map_or(0, |file| file.len()) == 0 {
        thread::sleep(Duration::from_millis(1));
    }
}

/// A folder of cells, and one for results, in a folder that is there as long as the first value.
fn folders(cells: u32) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (images, out) = (dir.path().join("in"), dir.path().join("out"));
    write_cells(&images, cells);
    (dir, images, out)
}

#[test]
fn a_folder_with_results_is_refused_continued_or_begun_anew() {
    let (_dir, images, out) = folders(2);
    let go = |more: &[&str]| inspect().args(more).option("--out", &out).arg(&images).run();
    assert_eq!(go(&["--overlay", "--html"]).0, 0);
    let before = text(&out.join("results.jsonl"));
    let (status, _, err) = go(&[]);
    assert_eq!(status, 2);
    assert!(err.contains("found results.jsonl, report.html, overlays (--resume continues"), "{err}");
    assert_eq!(text(&out.join("results.jsonl")), before);
    // Nothing old lies beside what a new run writes.
    fs::remove_file(images.join("cell_001.png")).unwrap();
    let (status, _, err) = go(&["--overwrite"]);
    assert_eq!(status, 0, "{err}");
    assert_eq!(records(&out).len(), 1);
    assert!(!out.join("overlays").exists() && !out.join("report.html").exists());
    // A run that cannot begin takes nothing away.
    let (status, _, err) = inspect().args(["--overwrite", "--threads", "0"]).option("--out", &out).arg(&images).run();
    assert!(status == 2 && records(&out).len() == 1, "{err}");
    let (status, _, err) = go(&["--overwrite", "--resume"]);
    assert!(status == 2 && err.contains("cannot be used with"), "{err}");
}

#[test]
fn one_run_at_a_time_writes_into_a_folder() {
    let (_dir, images, out) = folders(60);
    let mut first = inspect().args(["--threads", "1"]).option("--out", &out).arg(&images).command();
    let mut first = first.stderr(Stdio::null()).spawn().unwrap();
    wait_for_lines(&out);
    let lock = File::open(out.join(".panelqc.lock")).unwrap();
    assert!(matches!(lock.try_lock(), Err(fs::TryLockError::WouldBlock)), "held while it writes");
    assert_eq!(first.wait().unwrap().code(), Some(0));
    // Held here, since the first run may end while the second one starts.
    lock.lock().unwrap();
    for more in ["--resume", "--overwrite"] {
        let (status, _, err) = inspect().arg(more).option("--out", &out).arg(&images).run();
        assert!(status == 2 && err.contains("found another run at work"), "{err}");
    }
    drop(lock);
    assert_eq!(inspect().arg("--resume").option("--out", &out).arg(&images).run().0, 0);
    assert_eq!(records(&out).len(), 60);
}

#[test]
fn what_was_replaced_or_repaired_is_inspected_again_in_its_place() {
    let (_dir, images, out) = folders(5);
    fs::write(images.join("cell_001.png"), "damaged").unwrap();
    fs::write(images.join("cell_003.png"), "damaged too").unwrap();
    let go =
        |more: &[&str]| inspect().args(["--overlay", "--html"]).args(more).option("--out", &out).arg(&images).run();
    assert_eq!(go(&[]).0, 1);
    let first = records(&out);
    assert!(first[1].trace().image.is_some(), "the hash of a file that is no image is known too");
    let (status, _, err) = go(&["--resume"]);
    assert!(status == 1 && err.contains("0 panels in") && err.contains("5 more were done before"), "{err}");

    cell(1, true).save(images.join("cell_001.png")).unwrap();
    cell(40, true).save(images.join("cell_004.png")).unwrap();
    let (status, _, err) = go(&["--resume"]);
    assert!(status == 1 && err.contains("2 earlier results are made again") && err.contains("2 panels in"), "{err}");
    let second = records(&out);
    let ids: Vec<_> = second.iter().map(PanelRecord::panel).collect();
    assert_eq!(ids, ["cell_000", "cell_001", "cell_002", "cell_003", "cell_004"], "in the order of the images");
    assert_eq!((&second[0], &second[2], &second[3]), (&first[0], &first[2], &first[3]));
    assert!(second[1].is_inspected() && second[4].trace().image != first[4].trace().image);
    for panel in ["cell_001", "cell_004"] {
        assert!(out.join(format!("overlays/{panel}.png")).is_file());
    }

    // Unchanged, one that failed is tried again where that is asked for.
    let (status, _, err) = go(&["--resume", "--retry-errors"]);
    assert!(status == 1 && err.contains("1 panels in") && err.contains("4 more were done before"), "{err}");
    cell(3, true).save(images.join("cell_003.png")).unwrap();
    assert_eq!(go(&["--resume"]).0, 0);
    assert!(records(&out).iter().all(PanelRecord::is_inspected));
}

#[test]
fn other_images_of_the_same_names_are_inspected() {
    let (_dir, images, out) = folders(3);
    let other = images.parent().unwrap().join("other");
    fs::create_dir(&other).unwrap();
    for i in 0..3 {
        cell(70 + i, true).save(other.join(format!("cell_{i:03}.png"))).unwrap();
    }
    let go = |folder: &Path| inspect().arg("--resume").option("--out", &out).arg(folder).run();
    assert_eq!(go(&images).0, 0);
    let (status, _, err) = go(&other);
    assert!(status == 0 && err.contains("3 earlier results are made again") && err.contains("3 panels in"), "{err}");
    assert!(records(&out).iter().all(|record| record.image().unwrap().contains("other")));
    // The same files by another path are the same.
    let (_, _, err) = go(&other.join("../other"));
    assert!(err.contains("0 panels in") && err.contains("3 more were done before"), "{err}");
    // Panels that are not among the images now keep their lines.
    fs::remove_file(other.join("cell_001.png")).unwrap();
    cell(9, false).save(other.join("new.png")).unwrap();
    let (status, _, err) = go(&other);
    assert!(status == 0 && err.contains("1 earlier results are of panels that are not among these images"), "{err}");
    let left = records(&out);
    assert_eq!(left.iter().map(PanelRecord::panel).collect::<Vec<_>>(), ["cell_001", "cell_000", "cell_002", "new"]);
}

#[test]
fn another_reference_is_another_result() {
    let dir = tempfile::tempdir().unwrap();
    let (images, out) = (dir.path().join("in"), dir.path().join("out"));
    let (first, second) = (dir.path().join("r1"), dir.path().join("r2"));
    for folder in [&images, &first, &second] {
        fs::create_dir(folder).unwrap();
    }
    for i in 0..3 {
        let (test, template) = board(i);
        test.save(images.join(format!("{i}_test.png"))).unwrap();
        template.save(first.join(format!("{i}_temp.png"))).unwrap();
        // The defect-free one of the second lot is the defective one of the first.
        test.save(second.join(format!("{i}_temp.png"))).unwrap();
    }
    let go = |reference: &Path| {
        let program = Program::new("inspect").model(&project("models/pcb")).option("--reference", reference);
        program.arg("--resume").option("--out", &out).arg(&images).run()
    };
    assert_eq!(go(&first).0, 0);
    let lines = text(&out.join("results.jsonl"));
    let line = lines.lines().next().unwrap();
    let reference = line.rsplit_once(r#","reference":{"image":""#).unwrap().1;
    assert!(reference.contains("r1/0_temp.png\",\"width\":640,\"height\":640,\"bits\":8,\"sha256\":\""), "{line}");
    let of_first = records(&out);
    assert_eq!(of_first[0].reference().unwrap().sha256, of_first[0].trace().reference);
    cut(&out, 2);
    assert_eq!(go(&second).0, 0);
    let all = records(&out);
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|record| record.reference().unwrap().image.as_ref().unwrap().contains("r2")));
    assert!(all.iter().zip(&of_first).all(|(a, b)| a.verdict() != b.verdict()), "they are compared with themselves");
    // The same path with another picture.
    fs::copy(first.join("1_temp.png"), second.join("1_temp.png")).unwrap();
    let (_, _, err) = go(&second);
    assert!(err.contains("1 panels in") && err.contains("2 more were done before"), "{err}");
}

#[test]
fn overlays_are_complete_after_a_resumed_run() {
    let (_dir, images, out) = folders(4);
    let go = |more: &[&str]| inspect().args(more).option("--out", &out).arg(&images).run();
    assert_eq!(go(&["--overlay"]).0, 0);
    let picture = |i: u32| out.join(format!("overlays/cell_{i:03}.png"));
    let whole = fs::read(picture(2)).unwrap();
    fs::remove_file(picture(0)).unwrap();
    fs::write(picture(2), &whole[..whole.len() / 2]).unwrap();
    let (status, _, err) = go(&["--overlay", "--resume"]);
    assert!(status == 0 && err.contains("2 panels in"), "{err}");
    assert!(picture(0).is_file() && fs::read(picture(2)).unwrap() == whole);
    // Without pictures, those of what is inspected again go: none lies beside another image's result.
    cell(80, true).save(images.join("cell_001.png")).unwrap();
    assert_eq!(go(&["--resume"]).0, 0);
    assert!(!picture(1).exists() && picture(3).exists());
}

#[test]
fn two_files_of_one_id_keep_their_lines() {
    let (_dir, images, out) = folders(2);
    cell(5, true).save(images.join("cell_000.tif")).unwrap();
    cell(6, true).save(images.join("cell_000.bmp")).unwrap();
    let go = || inspect().arg("--resume").option("--out", &out).arg(&images).run();
    let (status, _, err) = go();
    assert_eq!(status, 0, "{err}");
    let whole = without_times(&text(&out.join("results.jsonl")));
    let ids: Vec<_> = whole.iter().map(|line| line["panel"].as_str().unwrap()).collect();
    assert_eq!(ids, ["cell_000", "cell_000.png", "cell_000.tif", "cell_001"]);
    for lines in 1..4 {
        cut(&out, lines);
        assert_eq!(go().0, 0);
        assert_eq!(without_times(&text(&out.join("results.jsonl"))), whole, "cut after {lines}");
    }
}

#[test]
fn tables_are_made_of_the_lines_and_can_be_resumed() {
    let (_dir, images, out) = folders(4);
    let alone = out.parent().unwrap().join("alone");
    for (format, file) in [("csv", "results.csv"), ("coco", "results.coco.json")] {
        let go = |out: &Path, more: &[&str]| {
            inspect().args(["--format", format]).args(more).option("--out", out).arg(&images).run()
        };
        assert_eq!(go(&out, &["--overwrite"]).0, 0);
        assert_eq!(go(&alone, &["--overwrite"]).0, 0);
        let whole = text(&out.join(file));
        assert_eq!(text(&alone.join(file)), whole);
        cut(&out, 2);
        fs::remove_file(out.join(file)).unwrap();
        let (status, _, err) = go(&out, &["--resume"]);
        assert!(status == 0 && err.contains("2 panels in"), "{err}");
        assert_eq!(text(&out.join(file)), whole);
        assert_eq!(go(&out, &[]).0, 2, "{file} is a result too");
    }
    // A table of lines that have changed since is not left beside them.
    cell(90, true).save(images.join("cell_002.png")).unwrap();
    let (status, _, err) = inspect().arg("--resume").option("--out", &out).arg(&images).run();
    assert!(status == 0 && err.contains("results.coco.json was of the earlier results and is removed"), "{err}");
    assert!(!out.join("results.coco.json").exists());
}

#[test]
fn overlays_are_not_inspected() {
    let (_dir, images, _) = folders(2);
    let out = images.join("out");
    let go = || inspect().args(["--overlay", "--resume"]).option("--out", &out).arg(&images).run();
    assert_eq!(go().0, 0);
    let (status, _, err) = go();
    assert!(status == 0 && err.contains("0 panels in") && err.contains("left out 2 images in"), "{err}");
    assert_eq!(records(&out).len(), 2);
    let (status, _, err) = inspect().arg("--resume").option("--out", &out).arg(out.join("overlays")).run();
    assert!(status == 2 && err.contains("expected images, found none but in"), "{err}");
}

#[test]
fn names_of_any_kind_have_their_own_overlays() {
    let (_dir, images, out) = folders(1);
    let picture = fs::read(images.join("cell_000.png")).unwrap();
    let long = format!("{}.png", "n".repeat(251));
    for name in ["b.jpg", "x~y.png", "CON.png", "a:b.png", &long, "d.png/c.png"] {
        let path = images.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &picture).unwrap();
    }
    fs::write(images.join("...png"), &picture).unwrap();
    cell(2, true).save(images.join("d.jpg")).unwrap();
    let dots = images.join("...png");
    let (status, _, err) = inspect().arg("--overlay").option("--out", &out).arg(&images).arg(&dots).run();
    assert_eq!(status, 0, "{err}");
    assert!(err.contains("left out 1 hidden file or folder, or one of a system (...png)"), "{err}");
    assert_eq!(records(&out).len(), 9);
    let mut pictures = Vec::new();
    let mut folders = vec![out.join("overlays")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { pictures.push(entry) }
        }
    }
    assert_eq!(pictures.len(), 9, "{pictures:?}");
    assert!(!out.join("overlays.png").exists());
}

#[test]
#[cfg(unix)]
fn what_is_no_file_is_an_error_line_and_the_rest_is_inspected() {
    use std::os::unix::fs::symlink;
    let (_dir, images, out) = folders(2);
    symlink("gone.png", images.join("a.png")).unwrap();
    symlink("b.png", images.join("b.png")).unwrap();
    symlink(".", images.join("d")).unwrap();
    let pipe = images.join("e.png");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(images.join("f.png")).unwrap();
    let (status, _, err) = inspect().args(["--overlay", "--html"]).option("--out", &out).arg(&images).run();
    assert_eq!(status, 1, "{err}");
    let lines = records(&out);
    let told: Vec<_> = lines.iter().map(|record| (record.panel(), record.is_inspected())).collect();
    assert_eq!(
        told,
        [("a", false), ("b", false), ("cell_000", true), ("cell_001", true), ("d", false), ("e", false), ("f", false)]
    );
    assert!(lines[5].error().unwrap().contains("expected a regular file, found a pipe"));
    // Named on the command line too, and as a reference.
    let (status, out, err) = inspect().arg(&pipe).arg("/dev/zero").arg(images.join("cell_000.png")).run();
    assert_eq!((status, out.lines().count()), (1, 3), "{err}");
    assert!(out.contains("found a pipe") && out.contains("found a device"), "{out}");
}

#[test]
fn names_are_shown_and_not_acted_on() {
    let (_dir, images, _) = folders(0);
    fs::create_dir_all(&images).unwrap();
    let name = "bad\u{1b}[31m\u{7}\u{9b}2J\u{202e}.png";
    fs::write(images.join(name), "no image").unwrap();
    let acts = |text: &str| text.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']);
    for format in ["jsonl", "csv"] {
        let (status, out, err) = inspect().args(["--format", format]).arg(&images).run();
        assert_eq!(status, 1);
        assert!(!acts(&out) && !acts(&err), "{out}{err}");
        assert!(err.contains("panel bad\\u{1b}[31m\\u{7}\\u{9b}2J\\u{202e}: image "), "{err}");
        if format == "jsonl" {
            let record: PanelRecord = serde_json::from_str(&out).unwrap();
            assert_eq!(record.panel(), name.strip_suffix(".png").unwrap(), "programs get the name itself");
        }
    }
}

#[test]
fn a_reader_that_is_gone_is_told() {
    let (_dir, images, _) = folders(3);
    for format in ["jsonl", "csv", "coco"] {
        let mut run = inspect().args(["--format", format]).arg(&images).command();
        let mut run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(run.stdout.take());
        let done = run.wait_with_output().unwrap();
        let err = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(2), "{format}: {err}");
        assert!(err.contains("writing to stdout: ") && err.contains(" of 3 panels are missing"), "{format}: {err}");
    }
    // Nobody has to read stderr.
    let mut run = inspect().arg(&images).command();
    let mut run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(run.stderr.take());
    let done = run.wait_with_output().unwrap();
    assert_eq!((done.status.code(), String::from_utf8(done.stdout).unwrap().lines().count()), (Some(0), 3));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_told() {
    let (_dir, images, _) = folders(2);
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    for command in [inspect().arg(&images).command(), Program::new("check").arg(project("models/solar-cell")).command()]
    {
        let mut command = command;
        let done = command.stdout(full()).output().unwrap();
        let err = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.code() == Some(2) && err.contains("writing to stdout: No space left"), "{err}");
    }
}

#[test]
#[cfg(unix)]
fn a_limit_on_the_size_of_files_is_told_and_the_run_can_be_resumed() {
    let (_dir, images, out) = folders(12);
    let run = inspect().option("--out", &out).arg(&images).command();
    let mut limited = Command::new("sh");
    // 4 kB: some lines, and a part of one.
    limited.args(["-c", "ulimit -f 8; exec \"$0\" \"$@\""]).arg(run.get_program()).args(run.get_args());
    let done = limited.output().unwrap();
    let err = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(2), "{err}");
    assert!(err.contains("results.jsonl: ") && err.contains(" of 12 panels are missing (--resume continues)"), "{err}");
    let written = text(&out.join("results.jsonl"));
    assert!(written.ends_with('\n') && (1..12).contains(&written.lines().count()), "whole lines: {written}");
    let (status, _, err) = inspect().arg("--resume").option("--out", &out).arg(&images).run();
    assert!(status == 0 && records(&out).len() == 12, "{err}");
}

#[test]
fn a_folder_that_is_taken_away_is_told() {
    let (_dir, images, out) = folders(60);
    let mut run = inspect().args(["--threads", "1"]).option("--out", &out).arg(&images).command();
    let run = run.stderr(Stdio::piped()).spawn().unwrap();
    wait_for_lines(&out);
    fs::remove_dir_all(&out).unwrap();
    let done = run.wait_with_output().unwrap();
    let err = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(2), "{err}");
    assert!(err.contains("found that the file was removed or changed meanwhile"), "{err}");
    assert!(!err.contains("results in"), "{err}");
}

#[test]
fn overlays_that_are_taken_away_are_told() {
    let (_dir, images, out) = folders(40);
    let mut run = inspect().args(["--overlay", "--threads", "1"]).option("--out", &out).arg(&images).command();
    let run = run.stderr(Stdio::piped()).spawn().unwrap();
    wait_for_lines(&out);
    fs::remove_file(out.join("overlays/cell_000.png")).unwrap();
    let done = run.wait_with_output().unwrap();
    let err = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.code() == Some(1) && err.contains("1 overlays are not in"), "{err}");
    let (status, _, err) = inspect().args(["--overlay", "--resume"]).option("--out", &out).arg(&images).run();
    assert!(status == 0 && err.contains("1 panels in"), "{err}");
}

#[test]
fn a_mask_that_no_frame_has_is_refused_with_its_line() {
    let (_dir, images, out) = folders(2);
    let go = |more: &[&str]| inspect().args(more).option("--out", &out).arg(&images).run();
    assert_eq!(go(&[]).0, 0);
    let lines = text(&out.join("results.jsonl"));
    for (size, counts) in [("[0,1000]", "0"), ("[1000,0]", "0"), ("[1,4294967295]", "0oooooo3")] {
        let defect = format!(
            r#""defects":[{{"kind":"x","confidence":0.5,"box":[1,2,3,4],"area_px":4,"area_mm2":null,"mask":{{"size":{size},"counts":"{counts}"}}}}]"#
        );
        let first = lines.lines().next().unwrap();
        let (head, rest) = first.split_once(r#""defects":["#).unwrap();
        let tail = &rest[rest.find(r#"],"score""#).unwrap() + 1..];
        let bad = format!("{head}{defect}{tail}\n{}", lines.split_once('\n').unwrap().1);
        fs::write(out.join("results.jsonl"), bad).unwrap();
        let (status, _, err) = go(&["--resume", "--html"]);
        assert!(
            status == 2 && err.contains("results.jsonl:1: ") && err.contains("`defects`: expected"),
            "{size}: {err}"
        );
    }
}

#[test]
fn boards_keep_their_lines_whatever_their_references_are_called() {
    let dir = tempfile::tempdir().unwrap();
    let (images, out) = (dir.path().join("in"), dir.path().join("out"));
    write_boards(&images, 3);
    let go = || {
        let program = Program::new("inspect").model(&project("models/pcb")).option("--reference", &images);
        program.arg("--resume").option("--out", &out).arg(&images).run()
    };
    assert_eq!(go().0, 0);
    let whole = without_times(&text(&out.join("results.jsonl")));
    cut(&out, 1);
    let (status, _, err) = go();
    assert!(status == 0 && err.contains("2 panels in") && err.contains("1 more were done before"), "{err}");
    assert_eq!(without_times(&text(&out.join("results.jsonl"))), whole);
}
