use std::path::Path;

use crate::judge::Policy;

/// The head takes lines 1 to 7: what follows begins on line 8.
const HEAD: &str = "schema = 1\nname = \"t\"\npixel_pitch_mm = 0.1\n[default]\nreview = 0.2\nfail = 0.6\n\n";

fn problem(text: &str) -> Option<String> {
    let error = Policy::parse(&format!("{HEAD}{text}"), Path::new("p.toml")).err()?.to_string();
    Some(error.strip_prefix("policy p.toml: ").unwrap().to_owned())
}

fn refused(text: &str, says: &str) {
    assert_eq!(problem(text).as_deref(), Some(says), "{text}");
}

#[test]
fn a_limit_that_cannot_be_meant_is_refused_on_its_line() {
    let rule = |limit: &str, verdict: &str| format!("[[rules]]\nname = \"r\"\n{limit}\nverdict = \"{verdict}\"\n");
    for (limit, verdict, says) in [
        (
            "length_mm = { at_least = 3, below = 2 }",
            "fail",
            "length: expected at_least < below, found the empty range from 3 to 2",
        ),
        (
            "length_mm = { at_least = 2, below = 2 }",
            "pass",
            "length: expected at_least < below, found the empty range from 2 to 2",
        ),
        ("area_px = { }", "fail", "area: expected `at_least`, `below` or both, found neither"),
        ("area_px = -1", "fail", "area: expected a number from 0 on, found -1"),
        ("width_px = nan", "fail", "width: expected a number from 0 on, found NaN"),
        ("width_px = { below = 0 }", "fail", "width: nothing is below 0"),
        ("confidence = 1.5", "fail", "confidence: expected at most 1, found 1.5"),
        ("area_share = 1.5", "fail", "area share: expected at most 1, found 1.5"),
        ("count = 1", "fail", "count: expected a whole number from 2 on, found 1; leave `count` out for any number"),
        (
            "count = 2.5",
            "fail",
            "count: expected a whole number from 2 on, found 2.5; leave `count` out for any number",
        ),
        (
            "count = { below = 3 }",
            "fail",
            "count: a fail rule takes `{ at_least = ... }` only: otherwise one defect more could make the verdict better",
        ),
        (
            "count = 3",
            "pass",
            "count: a pass rule takes `{ below = ... }` only: otherwise one defect more could make the verdict better",
        ),
        (
            "distance_px = 3",
            "review",
            "distance: a review rule takes `{ below = ... }` only: otherwise one defect more could make the verdict better",
        ),
        (
            "distance_px = { below = 3 }",
            "pass",
            "distance: a pass rule takes `{ at_least = ... }` only: otherwise one defect more could make the verdict better",
        ),
        (
            "density_mm2 = { at_least = 1, below = 3 }",
            "fail",
            "density: a fail rule takes `{ at_least = ... }` only: otherwise one defect more could make the verdict better",
        ),
        ("density_px = 0", "fail", "density: expected a number above 0, found 0"),
    ] {
        refused(&rule(limit, verdict), &format!("line 10: rule \"r\": {says}"));
    }
    refused(&rule("length_px = 9\nlength_mm = 2", "fail"), "line 11: rule \"r\": length: expected one unit, found two");
    refused(
        &rule("kinds = []", "fail"),
        "line 10: rule \"r\": expected some kinds, found none; leave `kinds` out for all",
    );
    refused(
        &rule("confidence = { below = 0.2 }", "fail"),
        "line 8: rule \"r\" can never apply: it takes defects below a confidence of 0.2, and without `at_least` no rule looks below the review limit of their kind",
    );
}

#[test]
fn what_the_file_form_does_not_know_is_refused_on_its_line() {
    for (text, line, says) in [
        ("[[rules]]\nname = \"r\"\nverdict = \"fial\"\n", 10, "unknown variant `fial`"),
        ("[[rules]]\nname = \"r\"\nlenght_mm = 2\nverdict = \"fail\"\n", 10, "unknown field `lenght_mm`"),
        ("[[rules]]\nname = \"r\"\nlength_mm = { min = 2 }\nverdict = \"fail\"\n", 10, "unknown field `min`"),
        ("[[rules]]\nname = \"r\"\nlength_mm = \"2\"\nverdict = \"fail\"\n", 10, "a number, or a table with"),
        ("[[rules]]\nname = \"r\"\nseverity = \"bad\"\nverdict = \"fail\"\n", 10, "unknown variant `bad`"),
        ("[[rules]]\nverdict = \"fail\"\n", 8, "missing field `name`"),
        ("[zones.a]\npolygon = [1, 2, 3]\n", 9, "expected a sequence"),
        ("[zones.a]\nmargin = { inch = 2 }\n", 9, "unknown field `inch`"),
    ] {
        let found = problem(text).unwrap();
        assert!(found.contains(&format!("at line {line}, ")) && found.contains(says), "{found}");
    }
}

#[test]
fn a_limit_in_millimetres_needs_a_pitch() {
    let text = |pitch: &str, rest: &str| {
        format!(
            "schema = 1\nname = \"t\"\n{pitch}\n[default]\nreview = 0.2\nfail = 0.6\n[[rules]]\nname = \"r\"\n{rest}\nverdict = \"fail\"\n"
        )
    };
    let problem = |text: String| Policy::parse(&text, Path::new("p.toml")).map_err(|e| e.to_string());
    for (rest, says) in [
        ("area_mm2 = 2", "line 9: rule \"r\": area: a limit in mm needs `pixel_pitch_mm`, found none"),
        (
            "distance_mm = { below = 2 }",
            "line 9: rule \"r\": distance: a limit in mm needs `pixel_pitch_mm`, found none",
        ),
    ] {
        assert_eq!(problem(text("", rest)), Err(format!("policy p.toml: {says}")));
        assert!(problem(text("pixel_pitch_mm = 0.1", rest)).is_ok());
    }
    let zone = text("", "zones = [\"rim\"]") + "[zones.rim]\nmargin = { mm = 2 }\n";
    assert_eq!(
        problem(zone),
        Err("policy p.toml: line 11: zone `rim`: expected `pixel_pitch_mm` for a margin in mm, found none".to_owned())
    );
    for pitch in ["0", "-0.1", "inf", "nan"] {
        let found = problem(text(&format!("pixel_pitch_mm = {pitch}"), "area_px = 2")).unwrap_err();
        assert!(found.starts_with("policy p.toml: line 3: expected a pixel pitch above 0 mm"), "{found}");
    }
}

#[test]
fn a_zone_without_area_or_form_is_refused_on_its_line() {
    let zone =
        |zone: &str| format!("[zones.a]\n{zone}\n[[rules]]\nname = \"r\"\nzones = [\"a\"]\nverdict = \"fail\"\n");
    for (form, says) in [
        ("polygon = [[0, 0], [5, 5], [5]]", "expected a polygon of points [x, y]"),
        ("polygon = [[0, 0], [5, 5], [5, 0, 1]]", "expected a polygon of points [x, y]"),
        ("polygon = []", "expected a polygon of at least three points that are not on one line: it is empty"),
        (
            "polygon = [[0, 0], [5, 5]]",
            "expected a polygon of at least three points that are not on one line: it is empty",
        ),
        (
            "polygon = [[0, 0], [5, 5], [9, 9]]",
            "expected a polygon of at least three points that are not on one line: it is empty",
        ),
        (
            "polygon = [[0, 0], [9, 9], [9, 0], [0, 9]]",
            "expected a polygon whose sides neither cross nor touch each other",
        ),
        (
            "polygon = [[0, 0], [9, 0], [9, 9], [4, 0], [0, 9]]",
            "expected a polygon whose sides neither cross nor touch each other",
        ),
        (
            "polygon = [[-9, 0], [-5, 0], [-5, 9]]",
            "expected a polygon that reaches into the frame, found none of it right of and below 0",
        ),
        ("polygon = [[nan, 0], [5, 0], [5, 9]]", "expected a polygon of finite numbers"),
        ("margin = { px = 0 }", "expected a margin above 0, found 0"),
        ("margin = { mm = -1 }", "expected a margin above 0, found -1"),
        ("margin = { px = 1, mm = 1 }", "expected a margin in one of `px`, `mm` and `percent`"),
        ("margin = { percent = 1, mm = 1 }", "expected a margin in one of `px`, `mm` and `percent`"),
        ("margin = { percent = 0 }", "expected a margin above 0, found 0"),
        ("margin = { percent = 50 }", "expected a margin below 50 percent of the shorter side, found 50"),
        ("margin = { px = 1 }\npolygon = [[0, 0], [9, 0], [9, 9]]", "expected either `polygon` or `margin`"),
        ("invert = true", "expected either `polygon` or `margin`"),
    ] {
        refused(&zone(form), &format!("line 8: zone `a`: {says}"));
    }
    assert_eq!(problem(&zone("polygon = [[0, 0], [9, 0], [9, 9], [0, 0]]")), None, "a ring may be closed");
    refused("[zones.a]\nmargin = { px = 3 }\n", "line 8: zone `a` is used by no rule");
    refused(
        "[zones.a]\nmargin = { px = 3 }\n[[rules]]\nname = \"r\"\nzones = [\n  \"a\",\n  \"b\",\n]\nverdict = \"fail\"\n",
        "line 14: rule \"r\": expected a zone of the policy (a), found `b`",
    );
    refused(
        "[[rules]]\nname = \"r\"\nzones = []\nverdict = \"fail\"\n",
        "line 10: rule \"r\": expected some zones, found none; leave `zones` out for all",
    );
}

#[test]
fn all_mistakes_are_told_at_once() {
    let found = problem(
        "[zones.a]\nmargin = { px = 0 }\n[[rules]]\nname = \"r\"\nzones = [\"a\"]\nlength_mm = -1\nverdict = \"fail\"\n\
         [[rules]]\nname = \"r\"\nverdict = \"pass\"\n",
    );
    assert_eq!(
        found.as_deref(),
        Some(
            "line 8: zone `a`: expected a margin above 0, found 0; line 13: rule \"r\": length: expected a number \
             from 0 on, found -1; line 16: expected a name of its own, found `r` of line 10"
        )
    );
}

#[test]
fn a_table_for_unknown_kinds_needs_known_ones() {
    refused(
        "[unknown]\nreview = 0.3\n",
        "line 8: `[unknown]` is about kinds that are not named, but no kind is: use `[default]`",
    );
    let found = problem("[kinds.x]\nreview = 0.1\nfail = 0.2\n[unknown]\nreview = 1.3\n").unwrap();
    assert_eq!(found, "line 11: expected 0 <= review <= 1, found review = 1.3");
}
