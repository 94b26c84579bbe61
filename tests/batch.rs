//! The batch engine from the outside: order, bounds, damage, cancellation, threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use panelqc::{CancelToken, ErrorKind, Inspector, Model, Panel, PanelInput, PanelRecord, Verdict};

use crate::util::{cell_panel, project, timeless, write_cells};

fn inspector(threads: usize, batch: usize) -> Inspector {
    let model = Model::load(project("models/solar-cell")).unwrap();
    Inspector::builder(model).threads(threads).batch(batch).floor(0.0).build().unwrap()
}

#[test]
fn a_batch_gives_what_single_inspections_give_in_input_order() {
    let inspector = inspector(3, 1);
    let alone: Vec<_> = (0..12).map(|i| timeless(inspector.inspect(&cell_panel(i)).unwrap())).collect();
    let batch: Vec<_> = inspector.inspect_batch((0..12).map(cell_panel)).map(|r| timeless(r.unwrap())).collect();
    assert_eq!(batch, alone);
    assert!(alone.iter().all(|r| (0.0..=1.0).contains(&r.score)));
    assert!(alone[1].defects[0].mask.is_some(), "the class-activation map gives a region");
}

#[test]
fn eight_threads_in_a_pool_of_the_host_do_not_hang() {
    let inspector = Arc::new(inspector(8, 1));
    let host = rayon::ThreadPoolBuilder::new().num_threads(8).build().unwrap();
    let scores = Mutex::new(Vec::new());
    host.scope(|scope| {
        for round in 0..4 {
            let (inspector, scores) = (Arc::clone(&inspector), &scores);
            scope.spawn(move |_| {
                for i in 0..6 {
                    let single = inspector.inspect(&cell_panel(i)).unwrap().score;
                    scores.lock().unwrap().push((i, single.to_bits()));
                }
                for (i, report) in inspector.inspect_batch((0..6).map(cell_panel)).enumerate() {
                    scores.lock().unwrap().push((i as u32, report.unwrap().score.to_bits()));
                }
                let _ = round;
            });
        }
    });
    let mut scores = scores.into_inner().unwrap();
    assert_eq!(scores.len(), 4 * 12);
    scores.sort_unstable();
    scores.dedup();
    assert_eq!(scores.len(), 6, "the same panel gives the same score, bit for bit, on every thread");
}

#[test]
fn input_is_read_only_as_far_as_results_are_taken() {
    let model = Model::load(project("models/solar-cell")).unwrap();
    let inspector = Inspector::builder(model).threads(2).frames_in_flight(3).build().unwrap();
    let pulled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&pulled);
    let inputs = (0..20).map(move |i| {
        counter.fetch_add(1, Ordering::SeqCst);
        cell_panel(i)
    });
    let mut results = inspector.inspect_batch(inputs);
    for taken in 1..=20 {
        results.next().unwrap().unwrap();
        let ahead = pulled.load(Ordering::SeqCst) - taken;
        assert!(ahead <= 3, "{ahead} panels in flight after {taken} results");
    }
    assert!(results.next().is_none());
}

#[test]
fn damaged_images_keep_their_place_in_a_batch() {
    let dir = tempfile::tempdir().unwrap();
    write_cells(dir.path(), 7);
    std::fs::write(dir.path().join("cell_003.png"), "no image").unwrap();
    let paths = || (0..7).map(|i| dir.path().join(format!("cell_{i:03}.png")));
    for batch in [1, 4] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let results: Vec<_> = inspector(2, batch)
            .inspect_batch(paths())
            .on_progress(move |p| log.lock().unwrap().push((p.done, p.errors, p.total)))
            .collect();
        assert_eq!(results.len(), 7);
        for (i, result) in results.iter().enumerate() {
            match result {
                Ok(report) => assert_eq!(report.panel, format!("cell_{i:03}")),
                Err(failed) => {
                    assert_eq!((i, failed.panel.as_str()), (3, "cell_003"));
                    assert!(failed.error.to_string().contains("cell_003.png"), "{failed}");
                    assert_eq!(PanelRecord::from(failed).verdict(), Verdict::Review);
                }
            }
        }
        assert_eq!(results.iter().filter(|r| r.is_err()).count(), 1);
        let seen = seen.lock().unwrap();
        assert_eq!(seen.first(), Some(&(1, 0, Some(7))));
        assert_eq!(seen.last(), Some(&(7, 1, Some(7))));
    }
}

#[test]
fn cancelling_ends_the_stream_and_passes_nothing() {
    let token = CancelToken::new();
    let inspector = inspector(2, 1);
    let mut results = inspector.inspect_batch((0..1000).map(cell_panel)).cancel_with(&token);
    assert!(results.next().unwrap().is_ok());
    token.cancel();
    let rest: Vec<_> = results.collect();
    assert!(rest.len() <= 5, "{} results after the cancellation", rest.len());
    assert!(rest.iter().all(|r| r.as_ref().map_or_else(|e| e.error.kind() == ErrorKind::Cancelled, |_| true)));
    assert!(token.is_cancelled());
    // A stream that is dropped early leaves an inspector that works.
    drop(inspector.inspect_batch((0..50).map(cell_panel)).next());
    assert!(inspector.inspect(&cell_panel(1)).is_ok());
}

/// What `next` gives until the end, and how often it panicked on the way.
fn taken<T>(mut results: impl Iterator<Item = Result<T, panelqc::PanelError>>) -> (Vec<T>, usize) {
    let (mut all, mut panics) = (Vec::new(), 0);
    loop {
        match catch_unwind(AssertUnwindSafe(|| results.next())) {
            Ok(Some(result)) => all.push(result.unwrap()),
            Ok(None) => return (all, panics),
            Err(_) => panics += 1,
        }
    }
}

#[test]
fn a_panic_of_the_input_or_of_a_callback_loses_no_result() {
    for batch in [1, 4] {
        let inspector = inspector(2, batch);
        let inputs = || {
            (0..20).filter(|i| i % 10 != 9 || *i == 9).map(|i| {
                assert!(i != 9, "the tenth panel");
                cell_panel(i)
            })
        };
        let ids = |reports: &[panelqc::PanelReport]| reports.iter().map(|r| r.panel.clone()).collect::<Vec<_>>();
        let names = |numbers: &mut dyn Iterator<Item = u32>| numbers.map(|i| format!("panel {i}")).collect::<Vec<_>>();
        let (reports, panics) = taken(inspector.inspect_batch(inputs()));
        assert_eq!((ids(&reports), panics), (names(&mut (0..19).filter(|i| *i != 9)), 1), "batch {batch}");

        // The panic comes in its place, after the panels before it.
        let mut results = inspector.inspect_batch(inputs());
        assert_eq!(results.by_ref().take(9).filter(Result::is_ok).count(), 9);
        assert!(catch_unwind(AssertUnwindSafe(|| results.next())).is_err());

        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let progress = move |p: panelqc::Progress| {
            assert!(counter.fetch_add(1, Ordering::SeqCst) != 4, "the fifth call");
            assert!(p.done <= 8);
        };
        let (reports, panics) = taken(inspector.inspect_batch((0..8).map(cell_panel)).on_progress(progress));
        assert_eq!((ids(&reports), panics), (names(&mut (0..8)), 1));
        assert_eq!(calls.load(Ordering::SeqCst), 9);
    }
}

#[test]
fn a_hook_that_panics_costs_its_panel_and_no_other() {
    let inspector = inspector(2, 4);
    let hook = |report: &panelqc::PanelReport, _: &Panel<'static>| assert!(report.panel != "panel 2", "not this one");
    let results: Vec<_> = inspector.inspect_batch((0..8).map(cell_panel)).with_panels(hook).collect();
    for (i, result) in results.iter().enumerate() {
        match result {
            Ok((report, ())) => assert_eq!(report.panel, format!("panel {i}")),
            Err(failed) => {
                assert!(i == 2 && failed.error.kind() == ErrorKind::Internal, "{failed}");
                assert!(failed.error.to_string().contains("not this one") && failed.frames.len() == 1, "{failed}");
            }
        }
    }
    assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
}

#[test]
fn a_stream_that_is_dropped_waits_for_what_has_begun() {
    let inspector = inspector(3, 1);
    let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (first, last) = (Arc::clone(&begun), Arc::clone(&ended));
    let mut results = inspector.inspect_batch((0..50).map(cell_panel)).with_panels(move |_, _| {
        first.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(40));
        last.fetch_add(1, Ordering::SeqCst);
    });
    results.next().unwrap().unwrap();
    drop(results);
    let (begun, ended) = (begun.load(Ordering::SeqCst), ended.load(Ordering::SeqCst));
    assert!(begun == ended && begun < 50, "{begun} begun, {ended} ended");
}

#[test]
fn a_cancelled_worker_begins_no_further_inference() {
    // Panels of so many frames that each takes a second or more.
    let inspector = inspector(1, 1);
    let frame = cell_panel(0).frames()[0].clone();
    let many: Vec<_> = (0..3).map(|i| Panel::from_frames(format!("{i}"), vec![frame.clone(); 400]).unwrap()).collect();
    let token = CancelToken::new();
    let (taken, begun) = std::sync::mpsc::channel();
    let results: Vec<_> = std::thread::scope(|scope| {
        let cancel = token.clone();
        scope.spawn(move || {
            begun.recv().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(100));
            token.cancel();
        });
        let panels = many.into_iter().inspect(|_| taken.send(()).unwrap_or_default());
        inspector.inspect_batch(panels).cancel_with(&cancel).collect()
    });
    assert!(!results.is_empty());
    for result in results {
        let Err(failed) = result else { panic!("neither the panel under way nor those that wait are finished") };
        assert!(failed.error.kind() == ErrorKind::Cancelled, "{failed}");
    }
}

#[test]
fn frames_of_a_panel_are_judged_together() {
    let inspector = inspector(1, 1);
    let frame = |seed: u32| cell_panel(seed).frames()[0].clone();
    let both = Panel::from_frames("two", vec![frame(0), frame(1)]).unwrap();
    let report = inspector.inspect(&both).unwrap();
    let single = |seed: u32| inspector.inspect(&cell_panel(seed)).unwrap();
    let frames: Vec<_> = report.defects.iter().map(|d| d.frame).collect();
    assert_eq!(frames, [Some(0), Some(1)]);
    assert_eq!(report.score, f32::max(single(0).score, single(1).score));
    assert_eq!(report.verdict, single(0).verdict.max(single(1).verdict));
    assert!(Panel::from_frames("none", vec![]).is_err());
}

#[test]
fn settings_that_cannot_be_used_are_refused_when_building() {
    let model = Arc::new(Model::load(project("models/solar-cell")).unwrap());
    let builder = || Inspector::builder(Arc::clone(&model));
    for (built, says) in [
        (builder().threads(0).build(), "threads: expected 1 to 1024, found 0"),
        (builder().batch(0).build(), "batch: expected 1 to 1024, found 0"),
        (builder().frames_in_flight(0).build(), "frames in flight"),
        (builder().floor(f32::NAN).build(), "floor: expected a confidence from 0 to 1, found NaN"),
    ] {
        let error = built.unwrap_err();
        assert_eq!(error.fault(), panelqc::Fault::Caller);
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn a_missing_file_is_an_error_in_its_place() {
    let inputs = [PanelInput::from(Path::new("no/such.png")), PanelInput::from(cell_panel(2))];
    let results: Vec<_> = inspector(2, 2).inspect_batch(inputs).collect();
    assert_eq!(results[0].as_ref().unwrap_err().panel, "such");
    assert_eq!(results[1].as_ref().unwrap().panel, "panel 2");
}
