use std::path::Path;

use crate::judge::Policy;

/// Rules of one line each: `limits verdict`.
fn rules(lines: &[&str]) -> String {
    let lines = lines.iter().enumerate().map(|(i, line)| {
        let (limits, verdict) = line.rsplit_once(' ').unwrap();
        let limits = if limits.is_empty() { String::new() } else { format!("{limits}, ") };
        format!("  {{ name = \"{i}\", {limits}verdict = \"{verdict}\" }},\n")
    });
    format!("rules = [\n{}]\n", lines.collect::<String>())
}

/// What is wrong with these rules, of which the first is on line 5, and tables after them.
fn together(lines: &[&str], tables: &str) -> Option<String> {
    let text = format!(
        "schema = 1\nname = \"t\"\npixel_pitch_mm = 0.1\n{}[default]\nreview = 0.2\nfail = 0.6\n{tables}",
        rules(lines)
    );
    let error = Policy::parse(&text, Path::new("p.toml")).err()?.to_string();
    Some(error.strip_prefix("policy p.toml: ").unwrap().to_owned())
}

#[test]
fn rules_that_can_never_apply_or_contradict_are_refused_on_their_line() {
    let zones = "[zones.a]\nmargin = { px = 3 }\n[zones.b]\nmargin = { px = 9 }\n";
    for (lines, says) in [
        (
            vec![" review", "kinds = [\"x\"] fail"],
            "line 6: rule \"1\" can never apply: rule \"0\" (line 5) matches everything that it does",
        ),
        (
            vec![" fail", " review"],
            "line 6: rule \"1\" (review) contradicts rule \"0\" (line 5, fail): both match the same defects",
        ),
        (
            vec![" fail", " fail"],
            "line 6: rule \"1\" can never apply: rule \"0\" (line 5) matches everything that it does",
        ),
        (
            vec!["length_px = 5 fail", "length_px = 7 pass"],
            "line 6: rule \"1\" can never apply: rule \"0\" (line 5) matches everything that it does",
        ),
        // The same in another unit.
        (
            vec!["length_px = 70 fail", "length_mm = 7 pass"],
            "line 6: rule \"1\" (pass) contradicts rule \"0\" (line 5, fail): both match the same defects",
        ),
        (
            vec!["area_px = 500 fail", "area_mm2 = 5 pass"],
            "line 6: rule \"1\" (pass) contradicts rule \"0\" (line 5, fail): both match the same defects",
        ),
        (
            vec!["confidence = 0.2 fail", " pass"],
            "line 6: rule \"1\" (pass) contradicts rule \"0\" (line 5, fail): both match the same defects",
        ),
        (
            vec!["zones = [\"a\", \"b\"] fail", "zones = [\"b\"] pass"],
            "line 6: rule \"1\" can never apply: rule \"0\" (line 5) matches everything that it does",
        ),
        (
            vec!["kinds = [\"x\"] pass", "kinds = [\"x\"], count = 3 fail"],
            "line 6: rule \"1\" can never apply: rule \"0\" (line 5) matches everything that it does",
        ),
        (
            vec!["kinds = [\"x\"] fail", "kinds = [\"x\"], count = 3 review"],
            "line 6: rule \"1\" can never apply: rule \"0\" (line 5) matches everything that it does",
        ),
        (
            vec!["count = 3 fail", "count = 5 fail"],
            "line 6: rule \"1\" can never change a verdict: whenever it applies, rule \"0\" (line 5) does too",
        ),
        (
            vec!["count = 5 review", "count = 3 fail"],
            "line 5: rule \"0\" can never change a verdict: whenever it applies, rule \"1\" (line 6) does too",
        ),
        (
            vec!["count = 3 fail", "count = 3 review"],
            "line 6: rule \"1\" (review) contradicts rule \"0\" (line 5, fail): both match the same defects",
        ),
        (
            vec!["distance_px = { below = 50 } fail", "distance_mm = { below = 4 }, count = 3 review"],
            "line 6: rule \"1\" can never change a verdict: whenever it applies, rule \"0\" (line 5) does too",
        ),
        (
            vec!["length_px = 5 fail", " review", "count = 3 review"],
            "line 7: rule \"2\" can never apply: rule \"1\" (line 6) matches everything that it does",
        ),
        (
            vec!["count = 5 review", "area_px = { below = 9 } review", "count = 3 fail"],
            "line 5: rule \"0\" can never change a verdict: whenever it applies, rule \"2\" (line 7) does too",
        ),
        (
            vec!["count = { below = 5 } pass", "count = { below = 3 } pass"],
            "line 6: rule \"1\" can never change a verdict: whenever it applies, rule \"0\" (line 5) does too",
        ),
    ] {
        let tables = if lines.iter().any(|line| line.contains("zones")) { zones } else { "" };
        let found = together(&lines, tables);
        assert_eq!(found.as_deref(), Some(says), "{lines:?}");
    }
}

#[test]
fn rules_that_matter_are_taken() {
    for lines in [
        vec!["kinds = [\"x\"] fail", " pass"],
        vec!["length_px = 7 fail", "length_px = 5 review", "length_px = 3 pass"],
        vec!["length_px = 70 fail", "length_mm = 6.99 pass"],
        // Below the review limit there are defects left.
        vec![" fail", "confidence = 0.1 review"],
        vec!["count = 3 review", "count = 5 fail"],
        // A group counts what a rule on single defects has decided.
        vec!["kinds = [\"x\"] review", "kinds = [\"x\"], count = 3 fail"],
        vec!["kinds = [\"x\"], count = 3 fail", "kinds = [\"x\"] review"],
        vec!["distance_px = { below = 50 } fail", "distance_px = { below = 60 } review"],
        vec!["density_px = 0.1 review", "area_share = 0.1 review"],
        // Three long ones are reviewed one by one, and fail together.
        vec!["length_px = 5 review", " fail", "count = 3 fail"],
        // Five with the small ones may be only two without them.
        vec!["count = 5 review", "area_px = { below = 9 } pass", "count = 3 fail"],
    ] {
        assert_eq!(together(&lines, ""), None, "{lines:?}");
    }
    let zones = "[zones.a]\nmargin = { px = 3 }\n[zones.b]\nmargin = { px = 9 }\n";
    assert_eq!(together(&["zones = [\"b\"] fail", "zones = [\"a\", \"b\"] pass"], zones), None);
    // The density is of another area.
    assert_eq!(together(&["density_px = 0.1 fail", "zones = [\"a\", \"b\"], density_px = 0.1 review"], zones), None);
}

#[test]
fn tables_that_can_never_apply_are_refused_on_their_line() {
    let kinds = "[kinds.x]\nreview = 0.3\nfail = 0.4\n";
    assert_eq!(together(&["kinds = [\"y\"] fail"], kinds), None);
    assert_eq!(
        together(&["kinds = [\"x\"] fail"], kinds).as_deref(),
        Some("line 10: limits of kind `x`: can never apply: rules decide about every such defect")
    );
    let unknown = "[unknown]\nreview = 0.3\n";
    assert_eq!(together(&["kinds = [\"x\"] fail"], unknown), None);
    assert_eq!(
        together(&["kinds = [\"x\"] fail", " review"], unknown).as_deref(),
        Some("line 11: `[unknown]`: can never apply: rules decide about every such defect")
    );
}
