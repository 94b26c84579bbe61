use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::defect::{Confidence, Defect};
use crate::geometry::{Mask, PixelBox, Size};
use crate::judge::{Bounds, Judge, Judgement, Severity, Verdict};
use crate::printable::printable;

const FRAMES: [Size; 2] = [Size::new(200, 100), Size::new(160, 120)];

fn builder() -> PolicyBuilder {
    Policy::builder("t", Limits { review: 0.2, fail: 0.6 }).pixel_pitch_mm(0.1)
}

fn refused(builder: PolicyBuilder, says: &str) {
    assert_eq!(builder.build().unwrap_err().to_string(), format!("policy t: {says}"));
}

#[test]
fn what_cannot_be_meant_is_refused_by_the_name_of_the_rule_or_zone() {
    let rule = |name: &str| Rule::new(name, Verdict::Fail);
    let limits = |review, fail| Limits { review, fail };
    let range = "expected 0 <= review <= fail <= 1, found review";
    refused(Policy::builder("t", limits(0.5, 0.2)), &format!("`[default]`: {range} = 0.5, fail = 0.2"));
    refused(builder().kind("x", limits(0.5, 0.2)), &format!("limits of kind `x`: {range} = 0.5, fail = 0.2"));
    refused(
        builder().kind("x", limits(0.1, 0.2)).kind("x", limits(0.1, 0.3)),
        "limits of kind `x`: expected them once, found them twice",
    );
    refused(
        builder().kind("x", limits(0.1, 0.2)).unknown(1.5),
        "`[unknown]`: expected 0 <= review <= 1, found review = 1.5",
    );
    refused(builder().pixel_pitch_mm(0.0), "expected a pixel pitch above 0 mm, found 0");
    refused(
        Policy::builder("t", limits(0.2, 0.6)).rule(rule("r").length_mm(2.0..)),
        "rule \"r\": length: a limit in mm needs `pixel_pitch_mm`, found none",
    );
    refused(
        builder().rule(rule("r").length_mm(2.0..).length_px(2.0..)),
        "rule \"r\": length: expected one unit, found two",
    );
    refused(
        builder().rule(rule("r").count(..)),
        "rule \"r\": count: expected `at_least`, `below` or both, found neither",
    );
    refused(
        builder().rule(rule("r").count(..3)),
        "rule \"r\": count: a fail rule takes `{ at_least = ... }` only: otherwise one defect more could make the verdict better",
    );
    refused(
        builder().rule(rule("r").area_px(3.0..)).rule(rule("r").area_px(..2.0)),
        "rule \"r\": expected a name of its own, found it twice",
    );
    refused(builder().rule(rule("r").zones(["a"])), "rule \"r\": expected a zone of the policy (), found `a`");
    let (rim, inner) = (Zone::margin_px("rim", 3.0), Zone::margin_px("rim", 9.0).inverted());
    refused(
        builder().zone(rim.clone()).zone(inner).rule(rule("r").zones(["rim"])),
        "zone `rim`: expected a name of its own, found it twice",
    );
    refused(builder().zone(rim), "zone `rim` is used by no rule");
    refused(
        builder().zone(Zone::polygon("a", [[0.0, 0.0], [9.0, 9.0]])).rule(rule("r").zones(["a"])),
        "zone `a`: expected a polygon of at least three points that are not on one line: it is empty",
    );
    refused(
        builder().rule(rule("all")).rule(rule("x").kinds(["x"])),
        "rule \"x\" can never apply: rule \"all\" matches everything that it does",
    );
    refused(
        builder().rule(rule("all")).rule(Rule::new("other", Verdict::Pass)),
        "rule \"other\" (pass) contradicts rule \"all\" (fail): both match the same defects",
    );
    // All of it at once.
    let none: [&str; 0] = [];
    refused(
        builder().rule(rule("r").area_px(-1.0..)).rule(rule("s").kinds(none)),
        "rule \"r\": area: expected a number from 0 on, found -1; rule \"s\": expected some kinds, found none; leave \
         `kinds` out for all",
    );
}

#[test]
fn the_file_of_a_policy_is_as_one_would_write_it() {
    let policy = builder()
        .model("00ff")
        .kind("crack", Limits { review: 0.1, fail: 1.0 })
        .unknown(0.3)
        .zone(Zone::rectangle("plug", PixelBox::new(1.0, 2.0, 9.5, 8.0)).on_frame(1))
        .zone(Zone::margin_percent("active", 5.0).inverted())
        .rule(
            Rule::new("the \"long\" one\n", Verdict::Fail)
                .kinds(["scratch", "crack"])
                .zones(["plug", "active"])
                .length_mm(2.0..)
                .confidence(0.1..0.7)
                .count(3..)
                .severity(Severity::Major),
        )
        .build()
        .unwrap();
    assert_eq!(
        policy.to_toml(),
        r#"schema = 1
name = "t"
model = "00ff"
pixel_pitch_mm = 0.1

[default]
review = 0.2
fail = 0.6

[kinds."crack"]
review = 0.1
fail = 1.0

[unknown]
review = 0.3

[zones."active"]
margin = { percent = 5.0 }
invert = true

[zones."plug"]
polygon = [[1.0, 2.0], [9.5, 2.0], [9.5, 8.0], [1.0, 8.0]]
frame = 1

[[rules]]
name = "the \"long\" one\u000A"
kinds = ["scratch", "crack"]
zones = ["plug", "active"]
confidence = { at_least = 0.1, below = 0.7 }
length_mm = 2.0
count = 3
severity = "major"
verdict = "fail"
"#
    );
    let read = Policy::parse(policy.to_toml(), Path::new("t")).unwrap();
    assert_eq!((read.to_toml(), read.sha256()), (policy.to_toml(), policy.sha256()));
    assert_eq!(policy.sha256(), Some(&*crate::hash::sha256_hex(policy.to_toml().as_bytes())));
    assert!(policy.rules().eq(read.rules()));
}

/// A judge of your own beside a policy, as an inspector has them.
#[test]
fn any_judge_is_a_trait_object() {
    #[derive(Debug)]
    struct Most(usize);

    impl Judge for Most {
        fn judge(&self, defects: &[Defect], _: &[Size]) -> Judgement {
            match defects.len() > self.0 {
                true => Judgement::new(Verdict::Fail, ["too many", "many", "many"]),
                false => Judgement::new(Verdict::Pass, [""; 0]),
            }
        }

        fn floor(&self, kind: &Kind) -> f32 {
            if kind.as_str() == "dust" { 0.9 } else { 0.4 }
        }
    }

    let policy = builder().rule(Rule::new("dust", Verdict::Review).kinds(["dust"]).confidence(0.1..)).build().unwrap();
    let judges: [Box<dyn Judge>; 2] = [Box::new(Most(1)), Box::new(policy.clone())];
    let defect = Defect::new("dust".into(), Confidence::new(0.5).unwrap(), PixelBox::new(1.0, 1.0, 5.0, 5.0));
    let judged = |judge: &dyn Judge| judge.judge(&[defect.clone(), defect.clone()], &FRAMES);
    std::thread::scope(|scope| {
        let both = judges.each_ref().map(|judge| scope.spawn(|| judged(&**judge)).join().unwrap());
        assert_eq!(both[0], Judgement::new(Verdict::Fail, ["many", "too many"]));
        assert_eq!(both[1].reasons, [r#"rule "dust": confidence 0.5 >= 0.1"#]);
    });
    assert_eq!(judges.each_ref().map(|judge| judge.floor(&"dust".into())), [0.9, 0.1]);
    assert_eq!(judges.each_ref().map(|judge| judge.sha256()), [None, policy.sha256()]);
    assert_eq!(judges.each_ref().map(|judge| judge.pixel_pitch_mm()), [None, Some(0.1)]);
}

fn any_limit() -> impl Strategy<Value = Bounds> {
    let value = || prop_oneof![0f64..40.0, (0u8..40).prop_map(f64::from), (0u8..40).prop_map(|v| f64::from(v) / 10.0)];
    prop_oneof![
        value().prop_map(Bounds::at_least),
        value().prop_map(Bounds::below),
        (value(), value()).prop_map(|(a, b)| Bounds::at_least(a).and_below(a + b)),
    ]
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let names =
        |names: &'static [&'static str]| proptest::option::of(proptest::sample::subsequence(names, 1..=names.len()));
    let verdict = prop_oneof![Just(Verdict::Pass), Just(Verdict::Review), Just(Verdict::Fail)];
    let severity = proptest::option::of(prop_oneof![Just(Severity::Minor), Just(Severity::Critical)]);
    let limits = proptest::collection::vec((0u8..12, any_limit()), 0..3);
    let zones = names(&["a", "b", "c", "d"]);
    (verdict, names(&["x", "y \"z\"", "w"]), zones, severity, limits).prop_map(
        |(verdict, kinds, zones, severity, limits)| {
            let mut rule = Rule::new("", verdict);
            if let Some(kinds) = kinds {
                rule = rule.kinds(kinds);
            }
            if let Some(zones) = zones {
                rule = rule.zones(zones);
            }
            if let Some(severity) = severity {
                rule = rule.severity(severity);
            }
            for (which, bounds) in limits {
                let share = |v: f64| v / 40.0;
                let part = Bounds { at_least: bounds.at_least.map(share), below: bounds.below.map(share) };
                // The side that a group may be limited on.
                let value = bounds.at_least.or(bounds.below).unwrap_or_default() / 4.0 + 0.1;
                let (few, many) = match verdict {
                    Verdict::Pass => (Bounds::at_least(value), Bounds::below(value / 100.0)),
                    _ => (Bounds::below(value), Bounds::at_least(value / 100.0)),
                };
                let whole = value as u64 + 2;
                rule = match which {
                    0 => rule.confidence(part),
                    1 => rule.length_px(bounds),
                    2 => rule.length_mm(part),
                    3 => rule.width_px(bounds),
                    4 => rule.area_px(bounds),
                    5 => rule.area_mm2(part),
                    6 if verdict == Verdict::Pass => rule.count(..whole),
                    6 => rule.count(whole..),
                    7 => rule.density_px(many),
                    8 => rule.density_mm2(many),
                    9 => rule.area_share(many),
                    10 => rule.distance_px(few),
                    _ => rule.distance_mm(few),
                };
            }
            rule
        },
    )
}

fn any_builder() -> impl Strategy<Value = PolicyBuilder> {
    let limits = || (0f32..=1.0, 0f32..=1.0).prop_map(|(a, b)| Limits { review: a.min(b), fail: a.max(b) });
    let kind = proptest::option::of(limits());
    let rules = proptest::collection::vec(any_rule(), 0..4);
    (limits(), kind, proptest::option::of(0f32..=1.0), rules, 1f64..30.0).prop_map(
        |(all, kind, unknown, rules, width)| {
            let mut builder = Policy::builder("any \u{7f} \\ name", all).pixel_pitch_mm(width / 70.0);
            if let Some(kind) = kind {
                builder = builder.kind("y \"z\"", kind);
            }
            if let Some(unknown) = unknown {
                builder = builder.unknown(unknown);
            }
            let zones = [
                Zone::margin_percent("d", width),
                Zone::margin_mm("a", width / 10.0).inverted(),
                Zone::polygon("c", [[width, 3.3], [150.1, width / 7.0], [80.0, 90.0]]).on_frame(1),
                Zone::rectangle("b", PixelBox::new(0.1, 20.0, width as f32 + 1.0, 70.7)),
            ];
            let used =
                |zone: &Zone| rules.iter().any(|rule| rule.zones.iter().flatten().any(|name| *name == zone.name));
            for zone in zones.into_iter().filter(used) {
                builder = builder.zone(zone);
            }
            for (i, mut rule) in rules.into_iter().enumerate() {
                rule.name = format!("rule \"{i}\"\t");
                builder = builder.rule(rule);
            }
            builder
        },
    )
}

fn any_defect() -> impl Strategy<Value = Defect> {
    let kind = prop_oneof![Just("x"), Just("y \"z\""), Just("new")];
    (kind, 0u8..=20, 0f32..140.0, 0f32..80.0, 1f32..25.0, 1f32..15.0, 0usize..2, any::<u64>()).prop_map(
        |(kind, confidence, x, y, w, h, frame, bits)| {
            let confidence = Confidence::new(f32::from(confidence) / 20.0).unwrap();
            let mut defect = Defect::new(kind.into(), confidence, PixelBox::new(x, y, x + w, y + h));
            if bits % 3 == 0 {
                let inside = |px: u32, py: u32| {
                    let (px, py) = (px.wrapping_sub(x as u32), py.wrapping_sub(y as u32));
                    px < 8 && py < 8 && bits >> (px * 8 + py) & 1 == 1
                };
                defect = defect.with_mask(Mask::from_fn(FRAMES[frame], inside));
            }
            defect.frame = Some(frame);
            defect
        },
    )
}

/// The words of refusals, without the places.
fn words(error: &crate::error::Error) -> Vec<String> {
    let text = error.to_string().replacen(&*printable(error.name().unwrap_or_default()), "", 1);
    let mut words: Vec<String> =
        text.split([' ', ';']).map(|word| word.trim_matches(['(', ')', ',']).to_owned()).collect();
    words.sort();
    words
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_policy_built_in_code_judges_as_the_same_one_read_from_its_file(
        builder in any_builder(), defects in proptest::collection::vec(any_defect(), 0..7),
    ) {
        let mut draft = builder.draft.clone();
        draft.zones.sort_by(|a, b| a.name.cmp(&b.name));
        let text = to_toml(&draft);
        match (builder.build(), Policy::parse(&text, Path::new("p.toml"))) {
            (Ok(built), Ok(read)) => {
                prop_assert_eq!(built.to_toml(), &text);
                prop_assert_eq!(built.sha256(), read.sha256());
                prop_assert_eq!(built.judge(&defects, &FRAMES), read.judge(&defects, &FRAMES));
                for kind in ["x", "y \"z\"", "new"] {
                    prop_assert_eq!(built.floor(&kind.into()), read.floor(&kind.into()));
                    prop_assert_eq!(built.limits(&kind.into()), read.limits(&kind.into()));
                }
                prop_assert_eq!(built.dead_rules().len(), read.dead_rules().len());
            }
            (Err(built), Err(read)) => {
                // What is said is the same, up to where it is.
                let read = words(&read);
                let said = words(&built).into_iter().filter(|word| word.len() > 4 && !word.contains('`'));
                let lost: Vec<String> = said.filter(|word| !read.contains(word)).collect();
                prop_assert!(lost.iter().all(|word| word == "limits" || word.contains("name") || word.contains("\\u{7f}")), "{:?}", lost);
            }
            (built, read) => prop_assert!(false, "{:?}, but {:?} of\n{}", built.err(), read.err(), text),
        }
    }
}
