use std::path::Path;

use proptest::prelude::*;

use crate::judge::Policy;
use crate::judge::policy::file::read;
use crate::judge::policy::policy::Text;

const ZONES: &str = "[zones.a]\nmargin = { px = 3 }\n[zones.b]\nmargin = { px = 9 }\n";

/// Rules of one line each: `limits verdict`.
fn rules(lines: &[&str]) -> String {
    let lines = lines.iter().enumerate().map(|(i, line)| {
        let (limits, verdict) = line.rsplit_once(' ').unwrap();
        let limits = if limits.is_empty() { String::new() } else { format!("{limits}, ") };
        format!("  {{ name = \"{i}\", {limits}verdict = \"{verdict}\" }},\n")
    });
    format!("rules = [\n{}]\n", lines.collect::<String>())
}

/// These rules, of which the first is on line 5, and tables after them.
fn text(lines: &[&str], tables: &str) -> String {
    format!(
        "schema = 1\nname = \"t\"\npixel_pitch_mm = 0.1\n{}[default]\nreview = 0.2\nfail = 0.6\n{tables}",
        rules(lines)
    )
}

/// What is dead of rules that are taken one by one.
fn dead(lines: &[&str], tables: &str) -> Vec<String> {
    Policy::parse(&text(lines, tables), Path::new("p.toml")).unwrap().dead_rules()
}

#[test]
fn rules_that_several_together_leave_nothing_to_are_found_with_their_line() {
    assert_eq!(
        dead(&["length_px = 5 fail", "length_px = { below = 5 } review", "kinds = [\"x\"] pass"], ""),
        ["line 7: rule \"2\" can never apply: the rules before it (lines 5, 6) together match everything that it does"]
    );
    // What the second rule reviews of x lies in the zone, where the first one waives it.
    let lines = [
        "kinds = [\"x\"], zones = [\"a\", \"b\"] pass",
        "zones = [\"a\", \"b\"] review",
        "kinds = [\"x\"] fail",
        "kinds = [\"x\"], count = 3 fail",
    ];
    assert_eq!(
        dead(&lines, ZONES),
        ["line 8: rule \"3\" can never apply: rule \"2\" (line 7) matches everything that it does"]
    );
    // A zone and another one, which together are all that the third is about.
    assert_eq!(
        dead(&["zones = [\"a\"] fail", "zones = [\"b\"] review", "zones = [\"a\", \"b\"] pass"], ZONES).len(),
        1
    );
}

#[test]
fn rules_and_tables_that_can_apply_are_not_found() {
    for lines in [
        vec!["length_px = 5 fail", "length_px = { below = 4 } review", "kinds = [\"x\"] pass"],
        vec!["length_px = 5 review", " fail", "count = 3 fail"],
        vec!["length_px = 5 fail", "length_px = { below = 5 } review", "confidence = 0.1 pass"],
    ] {
        assert_eq!(dead(&lines, ""), [""; 0], "{lines:?}");
    }
}

#[test]
fn tables_that_several_rules_leave_nothing_to_are_found() {
    let halves = ["length_px = 5 fail", "length_px = { below = 5 } review"];
    let tables = "[kinds.x]\nreview = 0.3\nfail = 0.4\n[unknown]\nreview = 0.3\n";
    assert_eq!(
        dead(&halves, tables),
        [
            "line 11: limits of kind `x`: can never apply: rules decide about every such defect",
            "`[unknown]`: can never apply: rules decide about every such defect"
        ]
    );
    assert_eq!(dead(&halves[..1], tables), [""; 0]);
}

/// A rule on single defects: kinds (1 = x, 2 = y, 3 = all, also others), confidence and length from and to, in
/// steps.
type Single = (u8, Option<(u8, u8)>, Option<(u8, u8)>);

fn single() -> impl Strategy<Value = Single> {
    let range = || proptest::option::of((0u8..5, 1u8..4).prop_map(|(from, n)| (from, from + n)));
    (1u8..4, range(), range())
}

proptest! {
    /// What is said of a policy's rules is what trying every defect shows; and what is refused when it is read are
    /// some of these.
    #[test]
    fn a_rule_is_found_just_when_no_defect_reaches_it(rules in proptest::collection::vec(single(), 1..6)) {
        let matches = |&(kinds, confidence, length): &Single, kind: u8, c: u8, l: u8| {
            let inside = |range: Option<(u8, u8)>, v: u8| range.is_none_or(|(from, to)| (from..to).contains(&v));
            // The review limit, 0.2, is the second step.
            let looked_at = confidence.is_some() || c >= 2;
            (kinds == 3 || kinds == kind) && looked_at && inside(confidence, c) && inside(length, l)
        };
        let mut reached = vec![false; rules.len()];
        for (kind, c, l) in (1..4).flat_map(|k| (0..10).flat_map(move |c| (0..10).map(move |l| (k, c, l)))) {
            if let Some(first) = rules.iter().position(|rule| matches(rule, kind, c, l)) {
                reached[first] = true;
            }
        }
        let lines: Vec<String> = rules.iter().map(|&(kinds, confidence, length)| {
            let kinds = ["", "kinds = [\"x\"]", "kinds = [\"y\"]", ""][usize::from(kinds)];
            let range = |key: &str, range: Option<(u8, u8)>| range.map_or(String::new(), |(from, to)| {
                format!("{key} = {{ at_least = {}, below = {} }}", f64::from(from) / 10.0, f64::from(to) / 10.0)
            });
            let parts = [kinds.to_owned(), range("confidence", confidence), range("length_px", length)];
            format!("{} fail", parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(", "))
        }).collect();
        let text = text(&lines.iter().map(String::as_str).collect::<Vec<_>>(), "");
        let (draft, mut problems) = read(&text, Path::new("p.toml")).unwrap();
        let dead = draft.into_policy(Text::new(&text), &mut problems).dead_rules().join("; ");
        let refused = Policy::parse(&text, Path::new("p.toml")).err();
        let refused = refused.map(|error| error.to_string()).unwrap_or_default();
        for (i, reached) in reached.into_iter().enumerate() {
            let says = format!("line {}: rule \"{i}\" can never apply", 5 + i);
            prop_assert_eq!(dead.contains(&says), !reached, "rule {} of {:?}: {}", i, lines, dead);
            prop_assert!(!reached || !refused.contains(&says), "rule {} of {:?}: {}", i, lines, refused);
        }
    }
}
