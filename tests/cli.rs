//! The real program: what it writes, its exit status, and each way in which it refuses.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::util;
use crate::util::{Program, project, shared, without_times, write_boards, write_cells};

fn inspect_boards(folder: &Path) -> Program {
    Program::new("inspect").model(&project("models/pcb")).option("--reference", folder)
}

fn inspect_cells(folder: &Path) -> Program {
    Program::new("inspect").model(&project("models/solar-cell")).arg(folder)
}

#[test]
fn a_line_has_the_fields_of_the_contract_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    write_boards(dir.path(), 1);
    let (status, out, err) = inspect_boards(dir.path()).arg(dir.path()).run();
    assert_eq!(status, 0, "{err}");
    let fields = [
        "{\"panel\":\"00_test\",\"image\":\"",
        "\"status\":\"ok\"",
        "\"verdict\":\"",
        "\"reasons\":[",
        "\"defects\":[",
        "\"score\":",
        "\"width\":640",
        "\"height\":640",
        "\"ms\":{\"decode\":",
        "\"preprocess\":",
        "\"infer\":",
        "\"postprocess\":",
        "\"trace\":{\"model\":\"",
        "\"manifest\":\"",
        "\"policy\":null",
        "\"image\":\"",
        "\"version\":\"",
    ];
    let mut at = 0;
    for field in fields {
        at += out[at..].find(field).unwrap_or_else(|| panic!("{field} is missing or out of order in {out}")) + 1;
    }
    let value: Value = serde_json::from_str(&out).unwrap();
    let defect = &value["defects"][0];
    assert_eq!(
        defect.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["area_mm2", "area_px", "box", "confidence", "kind", "mask"]
    );
    assert!(err.contains("1 panels in"), "{err}");
}

#[test]
fn the_rendered_defects_are_found_where_they_are() {
    let dir = tempfile::tempdir().unwrap();
    write_boards(dir.path(), 1);
    let (_, out, _) = inspect_boards(dir.path()).arg(dir.path()).run();
    let value: Value = serde_json::from_str(&out).unwrap();
    for (kind, x, y) in [("open", 206.0, 137.0), ("short", 405.0, 212.0)] {
        let found = value["defects"].as_array().unwrap().iter().any(|d| {
            let side = |i: usize| d["box"][i].as_f64().unwrap();
            d["kind"] == kind && side(0) < x && x < side(2) && side(1) < y && y < side(3)
        });
        assert!(found, "no {kind} at {x}, {y} in {out}");
    }
    assert_eq!(value["verdict"], "fail");
}

#[test]
fn results_do_not_depend_on_threads_or_batch() {
    let dir = tempfile::tempdir().unwrap();
    write_boards(dir.path(), 9);
    // Images of other sizes among them.
    let (test, template) = util::board(3);
    for (image, name) in [(&test, "04b_test.png"), (&template, "04b_temp.png")] {
        image::imageops::crop_imm(image, 0, 0, 500, 320).to_image().save(dir.path().join(name)).unwrap();
    }
    let lines = |threads: &str, batch: &str| {
        let program = inspect_boards(dir.path()).args(["--threads", threads, "--batch", batch]);
        let (status, out, err) = program.arg(dir.path()).run();
        assert_eq!(status, 0, "{err}");
        without_times(&out)
    };
    let one = lines("1", "1");
    let ids: Vec<_> = one.iter().map(|v| v["panel"].as_str().unwrap()).collect();
    assert_eq!(
        ids,
        ["00_test", "01_test", "02_test", "03_test", "04_test", "04b_test", "05_test", "06_test", "07_test", "08_test"]
    );
    assert!(one.iter().any(|v| !v["defects"].as_array().unwrap().is_empty()));
    for threads in ["2", "8"] {
        assert_eq!(lines(threads, "1"), one, "{threads} threads");
    }
    for (threads, batch) in [("2", "4"), ("1", "8")] {
        for (a, b) in one.iter().zip(&lines(threads, batch)) {
            assert_eq!(a["verdict"], b["verdict"]);
            let defects = |v: &Value| v["defects"].as_array().unwrap().clone();
            assert_eq!(defects(a).len(), defects(b).len());
            for (a, b) in defects(a).iter().zip(&defects(b)) {
                assert_eq!(a["kind"], b["kind"]);
                let near = |x: &Value, y: &Value, by: f64| (x.as_f64().unwrap() - y.as_f64().unwrap()).abs() <= by;
                assert!(near(&a["confidence"], &b["confidence"], 1e-4), "{a} {b}");
                assert!((0..4).all(|i| near(&a["box"][i], &b["box"][i], 0.05)), "{a} {b}");
            }
        }
    }
}

/// 90 good cells, and ten files that are none.
fn damaged_folder(folder: &Path) {
    write_cells(folder, 90);
    let good = fs::read(folder.join("cell_000.png")).unwrap();
    let mut jpeg = std::io::Cursor::new(Vec::new());
    util::cell(1, true).write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
    let jpeg = jpeg.into_inner();
    // A BMP and a PNG header of 60,000 x 60,000 pixels.
    let mut bmp = b"BM".to_vec();
    bmp.extend([0u8; 8]);
    bmp.extend([54, 0, 0, 0, 40, 0, 0, 0]);
    bmp.extend(60_000u32.to_le_bytes());
    bmp.extend(60_000u32.to_le_bytes());
    bmp.extend([1, 0, 8, 0]);
    bmp.extend([0u8; 1100]);
    let mut png = good.clone();
    png[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    png[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    let damaged: [(&str, &[u8]); 10] = [
        ("bad_0_truncated.png", &good[..good.len() / 2]),
        ("bad_1_truncated.jpg", &jpeg[..jpeg.len() * 2 / 3]),
        ("bad_2_header_only.png", &good[..20]),
        ("bad_3_empty.png", b""),
        ("bad_4_empty.tif", b""),
        ("bad_5_text.png", b"this is a text that somebody renamed"),
        ("bad_6_text.jpg", b"{\"json\": true}"),
        ("bad_7_huge.bmp", &bmp),
        ("bad_8_huge.png", &png),
        ("bad_9_zeros.webp", &[0; 64]),
    ];
    for (name, bytes) in damaged {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { 0xEDB8_8320 ^ (c >> 1) } else { c >> 1 })
    })
}

#[test]
fn ten_damaged_images_of_a_hundred_cost_ten_lines_and_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    damaged_folder(dir.path());
    let results = dir.path().join("results.txt");
    let mut child = inspect_cells(dir.path())
        .args(["--threads", "2"])
        .command()
        .stdout(fs::File::create(&results).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The peak of resident memory, as the kernel counts it; looked up until the program has ended.
    let mut peak_kb = 0;
    let status = loop {
        let state = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let peak = state.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse().ok());
        peak_kb = peak_kb.max(peak.unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    assert_eq!(status.code(), Some(1));
    let lines = without_times(&fs::read_to_string(&results).unwrap());
    assert_eq!(lines.len(), 100);
    let (errors, good): (Vec<_>, Vec<_>) = lines.iter().partition(|v| v["status"] == "error");
    assert_eq!((errors.len(), good.len()), (10, 90));
    for (number, line) in errors.iter().enumerate() {
        let id = line["panel"].as_str().unwrap();
        assert!(id.starts_with(&format!("bad_{number}_")));
        assert_eq!(line["verdict"], "review", "never pass");
        let message = line["error"].as_str().unwrap();
        assert!(message.contains(id) && message.contains("expected") && message.contains("found"), "{message}");
    }
    assert!(errors[7]["error"].as_str().unwrap().contains("60000 x 60000"));
    assert!(errors[8]["error"].as_str().unwrap().contains("60000 x 60000"));
    if cfg!(target_os = "linux") {
        assert!(peak_kb > 10_000, "the peak was not seen: {peak_kb} kB");
        assert!(peak_kb < 500_000, "{peak_kb} kB");
    }
}

#[test]
fn a_panel_without_its_reference_is_an_error_line() {
    let dir = tempfile::tempdir().unwrap();
    write_boards(dir.path(), 2);
    fs::remove_file(dir.path().join("01_temp.png")).unwrap();
    let (status, out, err) = inspect_boards(dir.path()).arg(dir.path()).run();
    assert_eq!(status, 1);
    let lines = without_times(&out);
    assert_eq!((&lines[0]["status"], &lines[1]["status"]), (&"ok".into(), &"error".into()));
    assert!(err.contains("01_test") && err.contains("reference"), "{err}");
    // Without --reference at all, each board is told that it needs one.
    let program = Program::new("inspect").model(&project("models/pcb"));
    let (status, out, _) = program.arg(dir.path().join("00_test.png")).run();
    assert_eq!(status, 1);
    assert!(out.contains("expected a reference image"), "{out}");
}

#[test]
fn out_holds_results_and_pictures_in_every_format() {
    let dir = tempfile::tempdir().unwrap();
    let (images, out) = (dir.path().join("in"), dir.path().join("out"));
    write_boards(&images.join("deep/er"), 2);
    // Of the second on, the others are made of the lines that are there.
    for (format, file) in [("jsonl", "results.jsonl"), ("csv", "results.csv"), ("coco", "results.coco.json")] {
        let program = inspect_boards(&images).args(["--overlay", "--resume", "--format", format, "--out"]);
        let (status, stdout, err) = program.arg(&out).arg(&images).run();
        assert_eq!((status, stdout.as_str()), (0, ""), "{err}");
        assert!(out.join(file).is_file());
    }
    let picture = image::open(out.join("overlays/deep/er/01_test.png")).unwrap().to_rgb8();
    assert_eq!(picture.width(), 640);
    assert!(picture.height() > 640, "the banner is above the picture");
    assert!(picture.pixels().any(|p| p.0[0] != p.0[1]), "boxes have colours");

    let jsonl = without_times(&fs::read_to_string(out.join("results.jsonl")).unwrap());
    let defects: usize = jsonl.iter().map(|v| v["defects"].as_array().unwrap().len()).sum();
    let coco: Value = serde_json::from_str(&fs::read_to_string(out.join("results.coco.json")).unwrap()).unwrap();
    assert_eq!(coco.as_array().unwrap().len(), defects);
    let (first, same) = (&coco[0], &jsonl[0]["defects"][0]);
    let number = |v: &Value| v.as_f64().unwrap();
    assert_eq!(first["image_id"], 1);
    assert_eq!(number(&first["bbox"][0]), number(&same["box"][0]));
    assert!((number(&first["bbox"][2]) - (number(&same["box"][2]) - number(&same["box"][0]))).abs() < 1e-3);
    let mut csv = fs::read_to_string(out.join("results.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + defects);
    csv.truncate(csv.find('\n').unwrap());
    assert_eq!(csv, "panel,image,status,verdict,reasons,score,kind,confidence,x0,y0,x1,y1,area_px,error");
}

#[test]
fn an_interrupted_run_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let (images, out) = (dir.path().join("in"), dir.path().join("out"));
    write_cells(&images, 6);
    let go = |resume: bool| inspect_cells(&images).option("--out", &out).args(resume.then_some("--resume")).run();
    assert_eq!(go(false).0, 0);
    let file = out.join("results.jsonl");
    let whole = fs::read_to_string(&file).unwrap();
    let third = whole.match_indices('\n').nth(2).unwrap().0;
    // Killed in the middle of the fourth line.
    fs::write(&file, &whole[..third + 40]).unwrap();
    let (status, _, err) = go(true);
    assert_eq!(status, 0, "{err}");
    assert!(err.starts_with("3 panels in") && err.contains("3 more were done before"), "{err}");
    assert_eq!(without_times(&fs::read_to_string(&file).unwrap()), without_times(&whole));
    // Results of another model are not continued.
    fs::write(&file, whole.replace("\"model\":\"", "\"model\":\"0")).unwrap();
    let (status, _, err) = go(true);
    assert_eq!(status, 2);
    assert!(err.contains("results.jsonl:1") && err.contains("this model"), "{err}");
}

#[test]
fn a_policy_decides_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    write_boards(dir.path(), 1);
    let policy = dir.path().join("p.toml");
    let judge = |text: &str| {
        fs::write(&policy, text).unwrap();
        inspect_boards(dir.path()).arg(dir.path()).option("--policy", &policy).run()
    };
    let limits =
        |review: f32, fail: f32| format!("schema = 1\nname = \"t\"\n[default]\nreview = {review}\nfail = {fail}\n");
    let (status, out, _) = judge(&limits(0.05, 1.0));
    assert_eq!(status, 0);
    let line = &without_times(&out)[0];
    assert_eq!(line["verdict"], "review");
    let reasons = line["reasons"].as_array().unwrap();
    assert!(reasons.contains(&"short >= 0.05".into()), "{reasons:?}");
    assert_eq!(line["trace"]["policy"].as_str().unwrap().len(), 64);
    assert!(judge(&limits(0.05, 0.05)).1.contains("\"verdict\":\"fail\""));
    for (text, says) in [
        (limits(0.5, 0.2), "line 3: expected 0 <= review <= fail <= 1"),
        (limits(0.2, 0.5) + "[kinds.crakc]\nreview = 0.1\nfail = 0.2\n", "found `crakc`"),
        (limits(0.2, 0.5).replace("[default]", "model = \"00\"\n[default]"), "expected the model 00"),
        (limits(0.2, 0.5).replace("fail", "fial"), "unknown field `fial`"),
    ] {
        let (status, out, err) = judge(&text);
        assert_eq!((status, out.as_str()), (2, ""));
        assert!(err.contains(says) && err.contains("p.toml"), "{err}");
    }
}

/// A copy of a model package in floating point, whose files can be spoilt.
fn package(model: &str) -> tempfile::TempDir {
    let (dir, folder) = (tempfile::tempdir().unwrap(), project("models").join(model));
    fs::copy(folder.join("model.onnx"), dir.path().join("model.onnx")).unwrap();
    let manifest = fs::read_to_string(folder.join("model.toml")).unwrap();
    let kept = manifest.lines().filter(|l| !l.starts_with("int8") && !l.starts_with("precision"));
    fs::write(dir.path().join("model.toml"), kept.map(|l| l.to_owned() + "\n").collect::<String>()).unwrap();
    dir
}

fn check(model: &Path) -> (i32, String, String) {
    Program::new("check").arg(model).run()
}

#[test]
fn both_models_pass_the_check() {
    for model in ["solar-cell", "pcb"] {
        let (status, out, err) = check(&project("models").join(model));
        assert_eq!((status, err.as_str()), (0, ""));
        assert!(out.ends_with("ok\n") && out.contains("input     `"), "{out}");
    }
}

#[test]
fn a_package_has_the_precisions_that_its_manifest_names() {
    let check = |model: &Path, precision: &str| Program::new("check").arg(model).args(["--precision", precision]).run();
    let pcb = project("models/pcb");
    for (precision, file) in [("fp32", "pcb/model.onnx"), ("int8", "pcb/model.int8.onnx")] {
        let (status, out, err) = check(&pcb, precision);
        assert!(status == 0 && out.contains(file), "{out}{err}");
    }
    let dir = package("pcb");
    let (status, _, err) = check(dir.path(), "int8");
    assert!(status == 2 && err.contains("found a package without that precision"), "{err}");
    // A graph that is not the one that the manifest speaks of.
    fs::copy(pcb.join("model.toml"), dir.path().join("model.toml")).unwrap();
    fs::copy(pcb.join("model.onnx"), dir.path().join("model.int8.onnx")).unwrap();
    let (status, _, err) = check(dir.path(), "int8");
    assert!(status == 2 && err.contains("model.int8.onnx: expected the SHA-256"), "{err}");
    // The limits of a policy belong to one graph.
    let policy = pcb.join("policy.toml");
    let inspect = |precision: &str| {
        Program::new("check").option("--policy", &policy).arg(&pcb).args(["--precision", precision]).run()
    };
    assert_eq!(inspect("int8").0, 0);
    let (status, _, err) = inspect("fp32");
    assert!(status == 2 && err.contains("that it was made for"), "{err}");
}

#[test]
fn a_package_that_does_not_fit_is_refused_when_it_is_loaded() {
    let edits: [(&str, &str, &str); 6] = [
        ("size = [640, 640]", "size = [640, 320]", "f32[?, 2, 640, 320]"),
        ("channels = \"gray\"", "channels = \"rgb\"", "f32[?, 6, 640, 640]"),
        ("reference = true", "reference = false", "f32[?, 1, 640, 640]"),
        ("\"spur\", ", "", "`scores` with probabilities f32[?, 5, ?, ?]"),
        ("task = \"detect\"", "task = \"classify\"", "a format for task classify (scores)"),
        ("schema = 1", "schema = 1\nsurprise = 2", "unknown field `surprise`"),
    ];
    for (from, to, says) in edits {
        let dir = package("pcb");
        let manifest = dir.path().join("model.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        assert!(text.contains(from), "the manifest of models/pcb has no {from}");
        fs::write(&manifest, text.replace(from, to)).unwrap();
        let (status, out, err) = check(dir.path());
        assert_eq!((status, out.as_str()), (2, ""), "{to}");
        assert!(err.contains("expected") && err.contains(says), "{to}: {err}");
        assert!(!err.contains("panicked"), "{err}");
    }
    let dir = package("pcb");
    let graph = dir.path().join("model.onnx");
    let mut bytes = fs::read(&graph).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&graph, &bytes).unwrap();
    assert!(check(dir.path()).2.contains("SHA-256"));
    let manifest = dir.path().join("model.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let unhashed: String = text.lines().filter(|l| !l.starts_with("sha256")).map(|l| l.to_owned() + "\n").collect();
    fs::write(&manifest, unhashed).unwrap();
    fs::write(&graph, "no graph").unwrap();
    let (status, _, err) = check(dir.path());
    assert_eq!(status, 2);
    assert!(err.contains("expected an ONNX model (.onnx), found 8 bytes that are not one"), "{err}");
}

#[test]
fn a_missing_model_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("none");
    let (status, _, err) = check(&missing);
    assert_eq!(status, 2);
    assert!(err.contains(&missing.display().to_string()) && err.contains("found nothing there"), "{err}");
    let (status, _, err) = check(dir.path());
    assert_eq!(status, 2);
    assert!(err.contains("model.onnx") && err.contains("No such file"), "{err}");
    let alone = package("pcb");
    fs::remove_file(alone.path().join("model.toml")).unwrap();
    let (status, _, err) = check(alone.path());
    assert_eq!(status, 2);
    assert!(err.contains("model.toml: expected a manifest, since") && err.contains("panelqc init"), "{err}");
}

#[test]
fn a_missing_runtime_lists_every_place_tried() {
    let model = project("models/solar-cell");
    let named = |path: &Path| Program::new("check").arg(&model).env("ORT_DYLIB_PATH", path).run();
    let (status, _, err) = named(Path::new("/no/such/libonnxruntime.so"));
    assert_eq!(status, 2);
    assert!(err.contains("/no/such/libonnxruntime.so (ORT_DYLIB_PATH): no such file"), "{err}");
    assert!(err.contains("pip install") && !err.contains("panicked"), "{err}");
    assert_eq!(err.matches("(ORT_DYLIB_PATH)").count(), 1);
    assert!(!err.contains("beside the program"), "ORT_DYLIB_PATH is exclusive: {err}");

    let dir = tempfile::tempdir().unwrap();
    let fake = dir.path().join("libonnxruntime.so");
    fs::write(&fake, "no library").unwrap();
    let (status, _, err) = named(&fake);
    assert_eq!(status, 2);
    assert!(err.contains("no usable ONNX Runtime"), "{err}");

    // With nothing set, every place of the search is listed, unless this machine has a runtime installed.
    let program = Program::new("check").arg(&model).env_remove("ORT_DYLIB_PATH").env("VIRTUAL_ENV", dir.path());
    let (status, _, err) = program.run();
    if status != 0 {
        assert_eq!(status, 2);
        for place in ["beside the program", "lib (beside", "VIRTUAL_ENV", "the system's loader"] {
            assert!(err.contains(place), "{place} in {err}");
        }
    }
}

#[test]
fn a_runtime_that_is_too_old_is_refused() {
    // A shared library that says that it is ONNX Runtime 1.17.
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("old.rs");
    fs::write(
        &source,
        r#"
        use std::ffi::{c_char, c_void};
        #[repr(C)]
        pub struct Base(extern "C" fn(u32) -> *const c_void, extern "C" fn() -> *const c_char);
        extern "C" fn api(_: u32) -> *const c_void { std::ptr::null() }
        extern "C" fn version() -> *const c_char { b"1.17.0\0".as_ptr().cast() }
        static BASE: Base = Base(api, version);
        #[unsafe(no_mangle)]
        pub extern "C" fn OrtGetApiBase() -> *const Base { &BASE }
        "#,
    )
    .unwrap();
    let library = dir.path().join("libonnxruntime.so");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    let built = command.args(["--edition", "2024", "--crate-type", "cdylib", "-o"]).arg(&library).arg(&source).output();
    let built = built.expect("rustc runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let program = Program::new("check").arg(project("models/pcb")).env("ORT_DYLIB_PATH", &library);
    let (status, out, err) = program.run();
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(err.contains("1.17.0") && err.contains("1.24") && !err.contains("panicked"), "{err}");
}

#[test]
fn wrong_usage_is_status_2() {
    for args in [&["inspect"][..], &["nonsense"], &["inspect", "--model", "m", "--overlay", "x.png"], &[]] {
        assert_eq!(Program::bare().args(args).run().0, 2, "{args:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    write_cells(dir.path(), 1);
    for (args, says) in [(["--threads", "0"], "threads"), (["--batch", "0"], "batch"), (["--threads", "5000"], "1024")]
    {
        let (status, _, err) = inspect_cells(dir.path()).args(args).run();
        assert_eq!(status, 2);
        assert!(err.contains(says), "{err}");
    }
    let (status, _, err) = inspect_cells(&dir.path().join("none.png")).run();
    assert_eq!(status, 1, "a file that is not there is that image's error");
    assert!(err.contains("none.png"), "{err}");
    fs::create_dir(dir.path().join("empty")).unwrap();
    let (status, _, err) = inspect_cells(&dir.path().join("empty")).run();
    assert_eq!(status, 2);
    assert!(err.contains("found none"), "{err}");
}

#[test]
fn eval_measures_labelled_cells() {
    let dir = tempfile::tempdir().unwrap();
    write_cells(&dir.path().join("images"), 4);
    let labels: String = (0..4).map(|i| format!("images/cell_{i:03}.png {} mono\n", i % 2)).collect();
    fs::write(dir.path().join("labels.csv"), labels).unwrap();
    let list = dir.path().join("list.txt");
    fs::write(&list, "# two of them\ncell_001\ncell_002\n").unwrap();
    let json = dir.path().join("e.json");
    let eval = || {
        let program = Program::new("eval").args(["--format", "elpv"]).model(&project("models/solar-cell"));
        program.option("--data", dir.path()).option("--split", &list).option("--json", &json).run()
    };
    let (status, out, err) = eval();
    assert_eq!(status, 0, "{err}");
    let value: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!((&value["images"], &value["errors"]), (&2.into(), &0.into()));
    assert_eq!((&value["miss"]["of"], &value["overkill"]["of"]), (&1.into(), &1.into()));
    assert!(value["accuracy"].is_number() && value["ms"]["total"]["p99"].is_number() && value.get("map").is_none());
    assert!(out.contains("accuracy"), "{out}");
    fs::write(&list, "cell_001\ncell_999\n").unwrap();
    let (status, _, err) = eval();
    assert_eq!(status, 2);
    assert!(err.contains("cell_999"), "{err}");
}

#[test]
fn eval_measures_boards_and_inspect_walks_them_in_order() {
    let Some(boards) = shared("deeppcb") else { return };
    let list = project("models/pcb/splits/validation.txt");
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("e.json");
    let program = Program::new("eval").args(["--format", "deeppcb"]).model(&project("models/pcb"));
    let program = program.option("--data", &boards).option("--split", &list).option("--json", &json);
    let (status, out, err) = program.run();
    assert_eq!(status, 0, "{err}");
    let value: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!((&value["images"], &value["iou"]), (&50.into(), &0.33.into()));
    assert!(value["map"].as_f64().unwrap() > 0.9 && value["per_kind"].as_object().unwrap().len() == 6, "{out}");
    let group = boards.join("group50600");
    let (status, out, _) = inspect_boards(&boards).arg(&group).run();
    assert_eq!(status, 0);
    let ids: Vec<_> = without_times(&out).iter().map(|v| v["panel"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 50, "templates are not inspected");
    assert!(ids.is_sorted());
}

#[test]
fn golden_images_are_replayed_by_check() {
    let dir = package("pcb");
    write_boards(&dir.path().join("boards"), 2);
    let boards = dir.path().join("boards");
    let record = || Program::new("golden").arg(dir.path()).option("--reference", &boards).arg(&boards).run();
    let (status, out, err) = record();
    assert_eq!((status, out.as_str()), (0, ""), "{err}");
    assert!(err.contains("recorded 2 images"), "{err}");
    let (status, out, err) = check(dir.path());
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    assert_eq!(out.matches(": as recorded; ").count(), 2, "{out}");
    assert!(out.contains("tensor within 0.000 gray levels") && out.ends_with("ok\n"), "{out}");

    // Recording again notes the folder once.
    record();
    let manifest = dir.path().join("model.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    assert_eq!(text.matches("[golden]").count(), 1);

    // Preprocessing that differs from the recorded one is found, and so are other defects.
    fs::write(&manifest, text.replace("std = [1.0]", "std = [0.9]")).unwrap();
    let (status, out, _) = check(dir.path());
    assert_eq!(status, 1);
    assert!(out.contains("NOT as recorded") && out.contains("tensor: expected at most 1 gray level"), "{out}");
    assert!(out.ends_with("failed    2 golden images are not as recorded\n"), "{out}");
    fs::write(&manifest, text.replace("confidence = 0.38", "confidence = 0.999")).unwrap();
    let (status, out, _) = check(dir.path());
    assert!(status == 1 && out.contains("found none there"), "{out}");

    for (file, says) in
        [("golden.jsonl", "one golden image per line, found line 1"), ("tensors.safetensors", "tensors in")]
    {
        fs::write(&manifest, &text).unwrap();
        record();
        fs::write(dir.path().join("golden").join(file), "x").unwrap();
        let (status, _, err) = check(dir.path());
        assert!(status == 2 && err.contains(says) && err.contains(file), "{err}");
    }
    fs::write(&manifest, text.replace("folder = \"golden\"", "folder = \"../elsewhere\"")).unwrap();
    let (status, _, err) = check(dir.path());
    assert!(status == 2 && err.contains("[golden] folder below the package, found `../elsewhere`"), "{err}");
}

#[test]
fn a_manifest_to_begin_with_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let init = |case: &str, more: &[&str]| {
        let graph = dir.path().join(format!("{case}.onnx"));
        fs::copy(project("tests/parity").join(case).join("model.onnx"), &graph).unwrap();
        let result = Program::new("init").arg(&graph).args(more).run();
        (result, graph)
    };
    // What the graph's metadata say.
    let ((status, out, err), graph) = init("yolo11-detect", &[]);
    assert_eq!((status, out.as_str()), (0, ""), "{err}");
    let text = fs::read_to_string(graph.with_extension("toml")).unwrap();
    for line in [
        "task = \"detect\"",
        "format = \"yolo\"",
        "resize = \"opencv-linear\"",
        "\"operator's mark\"",
        "# height, width",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let (status, out, err) = check(&graph);
    assert!(status == 0 && out.ends_with("ok\n"), "{err}");
    let ((status, _, err), _) = init("yolo11-detect", &[]);
    assert!(status == 2 && err.contains("yolo11-detect.toml"), "what is there is not overwritten: {err}");
    assert_eq!(init("yolo11-detect", &["--force"]).0.0, 0);

    // What shapes say, with names from the command line.
    let ((status, _, err), graph) = init("torchvision-classify", &["--kinds", "good,open,short,spur"]);
    assert_eq!(status, 0, "{err}");
    let text = fs::read_to_string(graph.with_extension("toml")).unwrap();
    assert!(text.contains("task = \"classify\"") && text.contains("size = [128, 128]"), "{text}");
    assert!(text.contains("activation = \"softmax\""), "its scores are no probabilities: {text}");
    assert_eq!(check(&graph).0, 0);

    // What several formats fit is not guessed.
    let ((status, _, err), _) = init("segment-one", &[]);
    assert_eq!(status, 2);
    assert!(err.contains("task segment with format mask; task anomaly with format anomaly"), "{err}");
    let ((status, _, err), graph) = init("segment-one", &["--task", "segment"]);
    assert_eq!(status, 0, "{err}");
    assert_eq!(check(&graph).0, 0);
    let ((status, _, err), _) = init("segment-one", &["--task", "guess"]);
    assert!(status == 2 && err.contains("expected one of detect, instance, segment"), "{err}");
}

#[test]
fn bench_measures_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    write_cells(dir.path(), 4);
    let json = dir.path().join("numbers.json");
    let model = project("models/solar-cell");
    let program = Program::new("bench").args(["--threads", "2", "--rounds", "2", "--json"]).arg(&json).model(&model);
    let (status, out, err) = program.arg(dir.path()).run();
    assert_eq!(status, 0, "{err}");
    let numbers: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!((&numbers["images"], &numbers["rounds"], &numbers["threads"]), (&4.into(), &2.into(), &2.into()));
    let number = |value: &Value| value.as_f64().unwrap();
    let rate = number(&numbers["images_per_s"]["median"]);
    assert!(rate > 0.0 && (number(&numbers["ms_per_image_core"]) - 2000.0 / rate).abs() < 1e-6);
    // One panel takes at least as long as its stages.
    assert!(number(&numbers["single_ms"]["p50"]) >= number(&numbers["ms"]["infer"]["p50"]));
    assert!(out.contains("efficiency") && out.contains("solar-cell, 2 threads"), "{out}");
}

#[test]
fn bench_refuses_images_that_cannot_be_inspected() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("torn.png"), b"\x89PNG").unwrap();
    let (status, _, err) = Program::new("bench").model(&project("models/solar-cell")).arg(dir.path()).run();
    assert_eq!(status, 2);
    assert!(err.contains("torn.png"), "{err}");
}
