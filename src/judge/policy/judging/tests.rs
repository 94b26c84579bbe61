use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::defect::Confidence;
use crate::geometry::PixelBox;
use crate::judge::limits::Limits;

const FRAMES: [Size; 2] = [Size::new(200, 100), Size::new(200, 100)];

/// A policy at 0.1 mm a pixel with review from 0.2 and fail from 0.6.
fn policy(rules: &str) -> Policy {
    let head = "schema = 1\nname = \"t\"\npixel_pitch_mm = 0.1\n[default]\nreview = 0.2\nfail = 0.6\n";
    Policy::parse(&format!("{head}{rules}"), Path::new("p.toml")).unwrap()
}

/// One rule `r`.
fn rule(limits: &str, verdict: &str) -> Policy {
    policy(&format!("[[rules]]\nname = \"r\"\n{limits}\nverdict = \"{verdict}\"\n"))
}

fn defect(kind: &str, confidence: f32, [x0, y0, x1, y1]: [f32; 4]) -> Defect {
    Defect::new(kind.into(), Confidence::new(confidence).unwrap(), PixelBox::new(x0, y0, x1, y1))
}

/// A box of `w` x `h` pixels at (50, 50), as sure as to be reviewed.
fn sized(w: f32, h: f32) -> Defect {
    defect("x", 0.3, [50.0, 50.0, 50.0 + w, 50.0 + h])
}

fn on(frame: usize, mut defect: Defect) -> Defect {
    defect.frame = Some(frame);
    defect
}

#[track_caller]
fn says(policy: &Policy, defects: &[Defect], verdict: Verdict, reasons: &[&str]) {
    let judgement = policy.judge(defects, &FRAMES);
    assert_eq!(
        (judgement.verdict, judgement.reasons.iter().map(String::as_str).collect::<Vec<_>>()),
        (verdict, reasons.to_vec())
    );
}

#[test]
fn each_limit_on_single_defects_includes_its_lower_end_only() {
    let review = ["x >= 0.20"];
    for (limits, beyond, at, short) in [
        ("length_px = 30", "length 30 px >= 30 px", sized(30.0, 2.0), sized(29.9, 2.0)),
        ("length_mm = 3", "length 3 mm >= 3 mm", sized(2.0, 30.0), sized(2.0, 29.9)),
        ("width_px = 5", "width 5 px >= 5 px", sized(30.0, 5.0), sized(30.0, 4.9)),
        ("width_mm = 0.3", "width 0.3 mm >= 0.3 mm", sized(3.0, 5.0), sized(2.9, 5.0)),
        ("area_px = 60", "area 60 px2 >= 60 px2", sized(30.0, 2.0), sized(59.0, 1.0)),
        ("area_mm2 = 0.6", "area 0.6 mm2 >= 0.6 mm2", sized(30.0, 2.0), sized(59.0, 1.0)),
        ("confidence = 0.7", "confidence 0.7 >= 0.7", defect("x", 0.7, [0.0; 4]), sized(1.0, 1.0)),
    ] {
        let policy = rule(limits, "fail");
        says(&policy, std::slice::from_ref(&at), Verdict::Fail, &[&format!("rule \"r\": {beyond}")]);
        says(&policy, std::slice::from_ref(&short), Verdict::Review, &review);
        // The same limit as an upper end.
        let (key, value) = limits.split_once(" = ").unwrap();
        let policy = rule(&format!("{key} = {{ below = {value} }}"), "fail");
        assert_eq!(policy.judge(&[short], &FRAMES).verdict, Verdict::Fail, "{limits}");
        let mut unsure = at;
        unsure.confidence = Confidence::new(unsure.confidence.get().min(0.7)).unwrap();
        let expected = if key == "confidence" { "x >= 0.60" } else { "x >= 0.20" };
        assert_eq!(policy.judge(&[unsure], &FRAMES).reasons, [expected], "{limits}");
    }
}

#[test]
fn the_first_rule_that_matches_a_defect_decides_about_it() {
    let policy = policy(
        "[[rules]]\nname = \"long\"\nkinds = [\"x\"]\nlength_mm = 3\nseverity = \"critical\"\nverdict = \"fail\"\n\
         [[rules]]\nname = \"thin\"\nwidth_px = { below = 2 }\nverdict = \"pass\"\n\
         [[rules]]\nname = \"any y\"\nkinds = [\"y\"]\nseverity = \"minor\"\nverdict = \"review\"\n",
    );
    says(&policy, &[], Verdict::Pass, &[]);
    says(&policy, &[sized(40.0, 1.0)], Verdict::Fail, &["rule \"long\" (critical): length 4 mm >= 3 mm"]);
    // Of several the worst is shown, wherever it stands.
    let two = [sized(35.0, 1.0), sized(45.0, 1.0)];
    says(&policy, &two, Verdict::Fail, &["rule \"long\" (critical): length 4.5 mm >= 3 mm"]);
    says(&policy, &[sized(20.0, 1.0)], Verdict::Pass, &["rule \"thin\": width 1 px < 2 px"]);
    let y = |w: f32| defect("y", 0.9, [50.0, 50.0, 50.0 + w, 52.0]);
    says(&policy, &[y(40.0)], Verdict::Review, &["rule \"any y\" (minor): y 0.90 >= 0.20"]);
    says(&policy, &[y(1.0)], Verdict::Pass, &["rule \"thin\": width 1 px < 2 px"]);
    // What no rule matches falls to the limits on confidence; the panel gets the worst.
    let z = defect("z", 0.6, [50.0, 50.0, 60.0, 60.0]);
    says(&policy, &[y(40.0), z.clone()], Verdict::Fail, &["z >= 0.60"]);
    says(
        &policy,
        &[sized(40.0, 1.0), z],
        Verdict::Fail,
        &["rule \"long\" (critical): length 4 mm >= 3 mm", "z >= 0.60"],
    );
}

#[test]
fn a_rule_looks_from_the_review_limit_on_unless_it_says_otherwise() {
    let unsure = [defect("x", 0.19, [50.0, 50.0, 90.0, 60.0])];
    says(&rule("length_px = 30", "fail"), &unsure, Verdict::Pass, &[]);
    let policy = rule("length_px = 30\nconfidence = 0.05", "fail");
    says(&policy, &unsure, Verdict::Fail, &["rule \"r\": confidence 0.19 >= 0.05, length 40 px >= 30 px"]);
    assert_eq!(policy.floor(&"x".into()), 0.05);
    assert_eq!(rule("confidence = 0.5", "fail").floor(&"x".into()), 0.2);
    assert_eq!(rule("confidence = { below = 0.5 }", "fail").floor(&"x".into()), 0.2);
    assert_eq!(rule("kinds = [\"y\"]\nconfidence = 0.05", "fail").floor(&"x".into()), 0.2);
    // Waiving what passes anyway needs no look at it; counting what is waived does.
    assert_eq!(rule("confidence = 0.05", "pass").floor(&"x".into()), 0.2);
    says(&rule("confidence = 0.05", "pass"), &unsure, Verdict::Pass, &[]);
    assert_eq!(rule("confidence = 0.05\ncount = { below = 3 }", "pass").floor(&"x".into()), 0.05);
}

#[test]
fn counts_run_over_all_frames() {
    let policy = rule("kinds = [\"x\"]\ncount = 3", "fail");
    let x = || sized(2.0, 2.0);
    says(&policy, &[x(), x(), defect("y", 0.3, [0.0; 4])], Verdict::Review, &["x >= 0.20", "y >= 0.20"]);
    says(&policy, &[on(0, x()), on(1, x()), on(1, x())], Verdict::Fail, &["rule \"r\": count 3 >= 3"]);
}

#[test]
fn density_and_share_are_of_the_area_that_the_rule_looks_at() {
    // Two frames of 20000 px2, 200 mm2 each.
    let four = [sized(10.0, 10.0), sized(10.0, 10.0), on(1, sized(10.0, 10.0)), on(1, sized(10.0, 10.0))];
    says(
        &rule("density_px = 0.0001", "fail"),
        &four,
        Verdict::Fail,
        &["rule \"r\": density 0.0001 per px2 >= 0.0001 per px2"],
    );
    says(
        &rule("density_mm2 = 0.01", "fail"),
        &four,
        Verdict::Fail,
        &["rule \"r\": density 0.01 per mm2 >= 0.01 per mm2"],
    );
    says(&rule("density_mm2 = 0.01", "fail"), &four[..3], Verdict::Review, &["x >= 0.20"]);
    says(&rule("area_share = 0.01", "fail"), &four, Verdict::Fail, &["rule \"r\": area share 0.01 >= 0.01"]);
    says(&rule("area_share = 0.011", "fail"), &four, Verdict::Review, &["x >= 0.20"]);
    // A zone of 2000 px2 on the first frame only.
    let zone = "[zones.z]\npolygon = [[50, 50], [90, 50], [90, 100], [50, 100]]\nframe = 0\n";
    let zoned =
        |limit: &str| policy(&format!("{zone}[[rules]]\nname = \"r\"\nzones = [\"z\"]\n{limit}\nverdict = \"fail\"\n"));
    says(&zoned("density_px = 0.001"), &four, Verdict::Fail, &["rule \"r\": density 0.001 per px2 >= 0.001 per px2"]);
    says(&zoned("density_px = 0.0011"), &four, Verdict::Review, &["x >= 0.20"]);
    says(&zoned("area_share = 0.1"), &four, Verdict::Fail, &["rule \"r\": area share 0.1 >= 0.1"]);
    says(&zoned("area_share = 0.1"), &four[2..], Verdict::Review, &["x >= 0.20"]);
}

#[test]
fn distance_is_measured_within_a_frame_only() {
    let at = |x: f32| defect("x", 0.3, [x, 50.0, x + 4.0, 54.0]);
    let policy = rule("distance_mm = { below = 0.6 }", "fail");
    says(&policy, &[at(0.0), at(9.9)], Verdict::Fail, &["rule \"r\": distance 0.59 mm < 0.6 mm"]);
    // Exactly at the limit is far enough.
    says(&policy, &[at(0.0), at(10.0)], Verdict::Review, &["x >= 0.20"]);
    says(&policy, &[at(0.0), on(1, at(9.0))], Verdict::Review, &["x >= 0.20"]);
    says(&policy, &[at(0.0)], Verdict::Review, &["x >= 0.20"]);
    // With a count: so many that have a neighbour.
    let policy = rule("count = 3\ndistance_px = { below = 6 }", "fail");
    says(&policy, &[at(0.0), at(9.0), at(40.0)], Verdict::Review, &["x >= 0.20"]);
    let three = [at(0.0), at(9.0), at(17.0), at(40.0)];
    says(&policy, &three, Verdict::Fail, &["rule \"r\": distance 4 px < 6 px, count 3 >= 3"]);
}

#[test]
fn a_pass_rule_on_a_group_holds_while_they_are_few_and_far_between() {
    let at = |x: f32| defect("x", 0.9, [x, 50.0, x + 4.0, 54.0]);
    let policy = rule("count = { below = 3 }\ndistance_px = { at_least = 6 }", "pass");
    says(&policy, &[at(0.0)], Verdict::Pass, &["rule \"r\": count 1 < 3"]);
    says(&policy, &[at(0.0), at(10.0)], Verdict::Pass, &["rule \"r\": distance 6 px >= 6 px, count 2 < 3"]);
    says(&policy, &[at(0.0), at(9.9)], Verdict::Fail, &["x >= 0.60"]);
    says(&policy, &[at(0.0), at(20.0), at(40.0)], Verdict::Fail, &["x >= 0.60"]);
}

#[test]
fn a_group_counts_all_but_what_an_earlier_rule_let_pass() {
    let rules = |order: [&str; 3]| {
        let rule = |name: &&str| {
            let (limits, verdict) = match *name {
                "small" => ("area_px = { below = 5 }", "pass"),
                "many" => ("count = 3", "fail"),
                _ => ("length_px = 10", "review"),
            };
            format!("[[rules]]\nname = \"{name}\"\n{limits}\nverdict = \"{verdict}\"\n")
        };
        policy(&order.iter().map(rule).collect::<String>())
    };
    let defects = [sized(2.0, 2.0), sized(12.0, 2.0), sized(12.0, 2.0)];
    let many = "rule \"many\": count 3 >= 3";
    says(&rules(["small", "long", "many"]), &defects, Verdict::Review, &["rule \"long\": length 12 px >= 10 px"]);
    says(&rules(["many", "small", "long"]), &defects, Verdict::Fail, &[many]);
    says(&rules(["long", "many", "small"]), &defects, Verdict::Fail, &[many]);
}

#[test]
fn a_zone_holds_what_overlaps_it() {
    let zones = "[zones.rim]\nmargin = { mm = 1 }\n[zones.inner]\nmargin = { mm = 1 }\ninvert = true\n\
                 [zones.corner]\npolygon = [[0, 0], [30, 0], [0, 30]]\nframe = 1\n";
    let policy = policy(&format!(
        "{zones}[[rules]]\nname = \"corner\"\nzones = [\"corner\"]\nverdict = \"fail\"\n\
         [[rules]]\nname = \"edge\"\nzones = [\"rim\"]\nverdict = \"pass\"\n\
         [[rules]]\nname = \"inner\"\nzones = [\"inner\"]\nverdict = \"review\"\n"
    ));
    let at = |x: f32| defect("x", 0.9, [x, 5.0, x + 4.0, 12.0]);
    says(&policy, &[at(0.0)], Verdict::Pass, &["rule \"edge\": x 0.90 >= 0.20"]);
    says(&policy, &[on(1, at(0.0))], Verdict::Fail, &["rule \"corner\": x 0.90 >= 0.20"]);
    let inner = defect("x", 0.9, [10.0, 10.0, 190.0, 90.0]);
    says(&policy, &[inner], Verdict::Review, &["rule \"inner\": x 0.90 >= 0.20"]);
    let unknown = "a defect on frame 2, whose size is not known";
    says(&policy, &[on(2, at(0.0))], Verdict::Fail, &["x >= 0.60"]);
    let mut unsure = on(2, at(0.0));
    unsure.confidence = Confidence::new(0.1).unwrap();
    says(&policy, &[unsure], Verdict::Review, &[unknown]);
}

#[test]
fn a_kind_that_the_policy_does_not_name_is_reviewed_and_never_fails() {
    let text = "[unknown]\nreview = 0.3\n[kinds.k]\nreview = 0.2\nfail = 0.5\n\
                [[rules]]\nname = \"r\"\nkinds = [\"x\"]\nlength_px = 9\nverdict = \"fail\"\n";
    let policy = policy(text);
    let of = |kind: &str, confidence: f32| [defect(kind, confidence, [0.0, 0.0, 1.0, 1.0])];
    says(&policy, &of("new", 1.0), Verdict::Review, &["new >= 0.30, a kind that the policy does not name"]);
    says(&policy, &of("new", 0.29), Verdict::Pass, &[]);
    says(&policy, &of("x", 1.0), Verdict::Fail, &["x >= 0.60"]);
    says(&policy, &of("k", 0.5), Verdict::Fail, &["k >= 0.50"]);
    assert_eq!((policy.floor(&"new".into()), policy.floor(&"x".into())), (0.3, 0.2));
}

/// A policy with every kind of limit.
fn rich() -> Policy {
    policy(
        "[unknown]\nreview = 0.4\n[kinds.y]\nreview = 0.1\nfail = 0.8\n\
         [zones.rim]\nmargin = { px = 20 }\n\
         [zones.part]\npolygon = [[20, 20], [120, 30], [60, 90]]\nframe = 1\n\
         [[rules]]\nname = \"a\"\nzones = [\"rim\"]\narea_mm2 = { below = 0.5 }\ncount = { below = 3 }\nverdict = \"pass\"\n\
         [[rules]]\nname = \"b\"\nkinds = [\"x\"]\nlength_mm = 2\nverdict = \"review\"\n\
         [[rules]]\nname = \"c\"\nkinds = [\"x\", \"y\"]\ndistance_px = { below = 10 }\nconfidence = 0.05\nverdict = \"review\"\n\
         [[rules]]\nname = \"d\"\ncount = 4\nverdict = \"fail\"\n\
         [[rules]]\nname = \"e\"\nzones = [\"part\", \"rim\"]\ndensity_mm2 = 0.02\nverdict = \"review\"\n\
         [[rules]]\nname = \"f\"\nkinds = [\"y\"]\nwidth_px = { below = 4 }\nverdict = \"pass\"\n\
         [[rules]]\nname = \"g\"\narea_share = 0.05\nverdict = \"fail\"\n\
         [[rules]]\nname = \"h\"\nkinds = [\"y\"]\ndistance_px = { at_least = 30 }\nverdict = \"pass\"\n",
    )
}

fn any_defect() -> impl Strategy<Value = Defect> {
    let kind = prop_oneof![Just("x"), Just("y"), Just("new")];
    let bbox = (0f32..180.0, 0f32..90.0, 1f32..20.0, 1f32..10.0);
    (kind, 0u8..=20, bbox, 0usize..2).prop_map(|(kind, confidence, (x, y, w, h), frame)| {
        on(frame, defect(kind, f32::from(confidence) / 20.0, [x, y, x + w, y + h]))
    })
}

fn odd() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => -10f32..210.0,
        4 => (-1i8..20).prop_map(|v| f32::from(v) * 10.0),
        1 => prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::MAX), Just(f32::MIN), Just(1e20), Just(f32::MIN_POSITIVE)],
    ]
}

proptest! {
    #[test]
    fn the_judgement_does_not_depend_on_the_order_of_the_defects(
        (defects, mixed) in proptest::collection::vec(any_defect(), 0..8)
            .prop_flat_map(|defects| (Just(defects.clone()), Just(defects).prop_shuffle())),
    ) {
        prop_assert_eq!(rich().judge(&defects, &FRAMES), rich().judge(&mixed, &FRAMES));
    }

    #[test]
    fn one_defect_more_never_makes_the_verdict_better(
        defects in proptest::collection::vec(any_defect(), 1..8), place in any::<proptest::sample::Index>(),
    ) {
        let mut fewer = defects.clone();
        fewer.remove(place.index(defects.len()));
        let (all, fewer) = (rich().judge(&defects, &FRAMES), rich().judge(&fewer, &FRAMES));
        prop_assert!(all.verdict >= fewer.verdict, "{:?} of all, {:?} without one", all, fewer);
    }

    /// A box may be anything: from a model that went astray, or from a caller.
    #[test]
    fn no_box_is_too_odd_to_be_judged(boxes in proptest::collection::vec([odd(), odd(), odd(), odd()], 0..5), turned: bool) {
        let mut defects: Vec<Defect> = boxes.into_iter().map(|bbox| {
            let mut defect = defect("x", 1.0, bbox);
            let [x0, y0, x1, y1] = bbox;
            defect.corners = turned.then_some([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]);
            on(1, defect)
        }).collect();
        let judgement = rich().judge(&defects, &FRAMES);
        defects.reverse();
        prop_assert_eq!(judgement, rich().judge(&defects, &FRAMES));
    }

    #[test]
    fn what_lies_below_the_floors_changes_nothing(defects in proptest::collection::vec(any_defect(), 0..8)) {
        let policy = rich();
        let reported = |defect: &&Defect| defect.confidence.get() >= policy.floor(&defect.kind);
        let above: Vec<Defect> = defects.iter().filter(reported).cloned().collect();
        prop_assert_eq!(policy.judge(&defects, &FRAMES), policy.judge(&above, &FRAMES));
    }

    #[test]
    fn a_policy_without_rules_goes_by_the_confidence_alone(defects in proptest::collection::vec(any_defect(), 0..8)) {
        let limits = |kind: &Kind| if kind.as_str() == "y" { (0.1, 0.8) } else { (0.2, 0.6) };
        let worst = defects.iter().map(|defect| {
            let (review, fail) = limits(&defect.kind);
            match defect.confidence.get() {
                c if c >= fail => Verdict::Fail,
                c if c >= review => Verdict::Review,
                _ => Verdict::Pass,
            }
        });
        let expected = worst.max().unwrap_or(Verdict::Pass);
        let plain = policy("[kinds.y]\nreview = 0.1\nfail = 0.8\n");
        prop_assert_eq!(plain.judge(&defects, &[]).verdict, expected);
        let whole = Policy::new("n", Limits { review: 0.2, fail: 0.6 }).unwrap().judge(&defects, &[]);
        let of = |verdict: Verdict| if verdict == Verdict::Fail { "0.60" } else { "0.20" };
        prop_assert!(whole.reasons.iter().all(|reason| reason.ends_with(of(whole.verdict))));
        prop_assert_eq!(whole.reasons.is_empty(), whole.verdict == Verdict::Pass);
    }
}
