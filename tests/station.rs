//! The station from the outside: who goes together, whose result is whose, damage, closing.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use panelqc::{
    ErrorKind, Fault, Frame, Inspector, Model, Panel, PanelInput, PanelRecord, PanelReport, PixelFormat, Size, Station,
    StationOptions, Verdict,
};

use crate::util::{cell_panel, project, timeless};

/// Longer than any test runs: what comes back did not wait for it.
const NEVER: Duration = Duration::from_secs(3600);

fn inspector(threads: usize) -> Inspector {
    let model = Model::load(project("models/solar-cell")).unwrap();
    Inspector::builder(model).threads(threads).floor(0.0).build().unwrap()
}

fn station(inspector: &Inspector, max_batch: usize, max_wait: Duration) -> Station {
    let mut options = StationOptions::new(inspector);
    options.max_batch = max_batch;
    options.max_wait = max_wait;
    Station::new(inspector.clone(), options).unwrap()
}

/// The same but for what a batch may change.
fn assert_near(a: &PanelReport, b: &PanelReport) {
    assert_eq!((&a.panel, a.verdict, a.defects.len()), (&b.panel, b.verdict, b.defects.len()));
    assert!((a.score - b.score).abs() <= 1e-4, "{}: {:?} {:?}", a.panel, a.score, b.score);
    for (a, b) in a.defects.iter().zip(&b.defects) {
        assert_eq!(a.kind, b.kind);
        assert!(
            (a.confidence.get() - b.confidence.get()).abs() <= 1e-4,
            "{} {}",
            a.confidence.get(),
            b.confidence.get()
        );
    }
}

#[test]
fn a_full_batch_goes_at_once_and_each_caller_gets_its_own_result() {
    let inspector = inspector(2);
    let alone: Vec<_> = (0..8).map(|i| inspector.inspect(&cell_panel(i)).unwrap()).collect();
    let station = station(&inspector, 4, NEVER);
    let together: Vec<_> = thread::scope(|scope| {
        let callers: Vec<_> = (0..8).map(|i| (i, &station)).collect();
        let callers: Vec<_> = callers
            .into_iter()
            .map(|(i, station)| scope.spawn(move || station.inspect(cell_panel(i)).unwrap()))
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    for (a, b) in alone.iter().zip(&together) {
        assert_near(a, b);
    }
    // One inference of four took each a quarter: nobody went alone.
    let infer = |report: &PanelReport| report.ms.infer.to_bits();
    for report in &together {
        let same = together.iter().filter(|other| infer(other) == infer(report)).count();
        assert!(same >= 4, "{} shares its inference with {same}", report.panel);
    }
}

#[test]
fn a_lone_caller_comes_back_after_the_wait() {
    let inspector = inspector(1);
    let report = station(&inspector, 8, Duration::from_micros(500)).inspect(cell_panel(3)).unwrap();
    assert_eq!(timeless(report), timeless(inspector.inspect(&cell_panel(3)).unwrap()));
    let report = station(&inspector, 8, Duration::ZERO).inspect(cell_panel(3)).unwrap();
    assert_eq!(report.panel, "panel 3");
}

#[test]
fn one_at_a_time_the_results_are_the_same_to_the_bit() {
    let inspector = inspector(3);
    let station = station(&inspector, 1, NEVER);
    assert_eq!(StationOptions::new(&inspector).max_batch, 1, "the CPU's default");
    let tickets: Vec<_> = (0..20).map(|i| station.submit(cell_panel(i))).collect();
    for (i, ticket) in tickets.into_iter().enumerate() {
        let expected = inspector.inspect(&cell_panel(i as u32)).unwrap();
        assert_eq!(timeless(ticket.wait().unwrap()), timeless(expected));
    }
}

#[test]
fn tickets_may_be_taken_in_any_order_or_given_up() {
    let inspector = inspector(2);
    let station = station(&inspector, 3, NEVER);
    let mut tickets: Vec<_> = (0..6).map(|i| (i, station.submit(cell_panel(i)))).collect();
    drop(tickets.remove(1));
    for (i, ticket) in tickets.into_iter().rev() {
        assert_eq!(ticket.wait().unwrap().panel, format!("panel {i}"));
    }
}

#[test]
fn a_bad_panel_costs_the_good_ones_nothing() {
    let inspector = inspector(1);
    let station = station(&inspector, 4, NEVER);
    let inputs = [
        cell_panel(0).into(),
        PanelInput::from(Path::new("no/such.png")),
        cell_panel(2).into(),
        PanelInput::from(cell_panel(3)),
    ];
    let tickets = inputs.map(|input| station.submit(input));
    for (i, ticket) in tickets.into_iter().enumerate() {
        match ticket.wait() {
            Ok(report) => assert_near(&report, &inspector.inspect(&cell_panel(i as u32)).unwrap()),
            Err(failed) => {
                assert_eq!((i, failed.panel.as_str(), failed.error.fault()), (1, "such", Fault::System));
                assert!(failed.to_string().contains("such.png"), "{failed}");
                assert_eq!(PanelRecord::from(failed).verdict(), Verdict::Review);
            }
        }
    }
}

#[test]
fn dropping_the_station_answers_those_that_wait() {
    let inspector = inspector(1);
    let station = station(&inspector, 8, NEVER);
    let tickets: Vec<_> = (0..3).map(|i| station.submit(cell_panel(i))).collect();
    // A thread that waits already.
    let begun = Arc::new(Barrier::new(2));
    let waiting = thread::spawn({
        let (begun, ticket) = (Arc::clone(&begun), station.submit(cell_panel(3)));
        move || {
            begun.wait();
            ticket.wait()
        }
    });
    begun.wait();
    drop(station);
    let results = tickets.into_iter().map(|ticket| ticket.wait()).chain([waiting.join().unwrap()]);
    for (i, result) in results.enumerate() {
        let failed = result.unwrap_err();
        assert_eq!(failed.panel, format!("panel {i}"));
        assert!(failed.error.kind() == ErrorKind::Cancelled, "{failed}");
        assert_eq!(PanelRecord::from(failed).verdict(), Verdict::Review);
    }
    assert!(inspector.inspect(&cell_panel(1)).is_ok(), "the inspector is another's too");
}

#[test]
fn dropping_a_busy_station_ends() {
    let inspector = inspector(2);
    let station = station(&inspector, 2, NEVER);
    let frame = cell_panel(0).frames()[0].clone();
    // Panels of so many frames that each takes a while.
    let many = |i: usize| Panel::from_frames(format!("{i}"), vec![frame.clone(); 50]).unwrap();
    let tickets: Vec<_> = (0..6).map(|i| station.submit(many(i))).collect();
    drop(station);
    for ticket in tickets {
        assert!(ticket.wait().map_or_else(|e| e.error.kind() == ErrorKind::Cancelled, |_| true));
    }
}

#[test]
fn many_cameras_with_an_absurd_number_of_panels_do_not_hang() {
    let inspector = inspector(4);
    let station = station(&inspector, 3, Duration::from_micros(200));
    let expected: Vec<_> = (0..4).map(|i| inspector.inspect(&cell_panel(i)).unwrap()).collect();
    thread::scope(|scope| {
        for camera in 0..8 {
            let (station, expected) = (&station, &expected);
            scope.spawn(move || {
                // More than fits into the queue, so that handing over has to wait.
                let tickets: Vec<_> = (0..10).map(|i| station.submit(cell_panel((camera + i) % 4))).collect();
                for (i, ticket) in (0..).zip(tickets) {
                    assert_near(&ticket.wait().unwrap(), &expected[(camera as usize + i) % 4]);
                }
            });
        }
    });
}

#[test]
fn settings_that_cannot_be_used_are_refused() {
    let inspector = inspector(1);
    let refused = |max_batch, max_wait| {
        let mut options = StationOptions::new(&inspector);
        (options.max_batch, options.max_wait) = (max_batch, max_wait);
        Station::new(inspector.clone(), options).unwrap_err()
    };
    let short = Duration::from_millis(1);
    for (error, says) in [
        (refused(0, short), "batch: expected 1 to 1024, found 0"),
        (refused(5000, short), "batch: expected 1 to 1024, found 5000"),
        (refused(2, Duration::MAX), "max_wait: expected at most an hour"),
    ] {
        assert_eq!(error.fault(), Fault::Caller);
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn a_fixed_batch_is_respected() {
    let (folder, source) = (tempfile::tempdir().unwrap(), project("tests/parity"));
    fs::copy(source.join("forms/batch4.onnx"), folder.path().join("model.onnx")).unwrap();
    let manifest = Model::load(source.join("torchvision-classify/model.onnx")).unwrap().manifest().to_toml();
    fs::write(folder.path().join("model.toml"), manifest).unwrap();
    let inspector = Inspector::builder(Model::load(folder.path()).unwrap()).threads(1).build().unwrap();
    let mut options = StationOptions::new(&inspector);
    assert_eq!(options.max_batch, 4);
    options.max_batch = 5;
    let error = Station::new(inspector.clone(), options).unwrap_err();
    assert!(error.fault() == Fault::Model && error.to_string().contains("found a batch fixed to 4"), "{error}");
    // Fewer than the graph takes are filled up.
    let colour = |seed: u8| Frame::new(Size::new(300, 200), PixelFormat::Rgb8, vec![seed; 180_000]).unwrap();
    let panel = |seed: u8| Panel::new(format!("{seed}"), colour(seed));
    let station = station(&inspector, 3, NEVER);
    let tickets = [40, 90, 200].map(|seed| (seed, station.submit(panel(seed))));
    for (seed, ticket) in tickets {
        assert_near(&ticket.wait().unwrap(), &inspector.inspect(&panel(seed)).unwrap());
    }
}
