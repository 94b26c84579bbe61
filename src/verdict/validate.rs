use std::collections::BTreeSet;

use super::judge::Verdict;
use super::policy::Policy;
use super::rule::{Bounds, Limit, Quantity, Rule, RuleFile, reaches};
use crate::defect::Kind;

/// A kind that no policy names: it stands for all of these. No kind has a line break in its name.
const ANY_OTHER: &str = "\n";

/// Steps after which a rule is taken for reachable: far more than a policy written by hand needs.
const MOST_STEPS: usize = 200_000;

/// What is wrong with a policy, with the lines.
pub(super) struct Problems<'a> {
    text: &'a str,
    found: Vec<(usize, String)>,
    /// Zones that are wrong themselves: rules that use them are not blamed for it.
    zones: Vec<String>,
}

impl<'a> Problems<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Problems { text, found: Vec::new(), zones: Vec::new() }
    }

    /// The line, from 1, of a byte of the file.
    pub(super) fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1
    }

    pub(super) fn add(&mut self, at: usize, problem: impl Into<String>) {
        self.add_line(self.line(at), problem);
    }

    pub(super) fn add_line(&mut self, line: usize, problem: impl Into<String>) {
        self.found.push((line, problem.into()));
    }

    /// Remembers a zone that is wrong itself.
    pub(super) fn spoilt_zone(&mut self, name: String) {
        self.zones.push(name);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All problems in one text, in the order of their lines.
    pub(super) fn finish(mut self) -> Result<(), String> {
        self.found.sort();
        let lines: Vec<String> = self.found.iter().map(|(line, problem)| format!("line {line}: {problem}")).collect();
        if lines.is_empty() { Ok(()) } else { Err(lines.join("; ")) }
    }
}

/// The rule of a file's entry on `line`; what is wrong with it by itself goes to `problems`.
pub(super) fn rule(file: RuleFile, line: usize, policy: &Policy, problems: &mut Problems<'_>) -> Rule {
    let name = file.name.get_ref();
    if let Some(other) = policy.rules.iter().find(|rule| &rule.name == name) {
        problems
            .add(file.name.span().start, format!("expected a name of its own, found `{name}` of line {}", other.line));
    }
    for (key, at) in [
        ("kinds", file.kinds.as_ref().filter(|list| list.get_ref().is_empty()).map(|list| list.span().start)),
        ("zones", file.zones.as_ref().filter(|list| list.get_ref().is_empty()).map(|list| list.span().start)),
    ] {
        if let Some(at) = at {
            problems.add(at, format!("rule \"{name}\": expected some {key}, found none; leave `{key}` out for all"));
        }
    }
    let limits = file.limits();
    for (i, (limit, at)) in limits.iter().enumerate() {
        let twice = limits[..i].iter().any(|(before, _)| before.quantity == limit.quantity);
        let problem =
            if twice { Some("expected one unit, found two".to_owned()) } else { limit_problem(limit, &file, policy) };
        if let Some(problem) = problem {
            problems.add(*at, format!("rule \"{name}\": {}: {problem}", limit.quantity.name()));
        }
    }
    let mut places = Vec::new();
    for zone in file.zones.iter().flat_map(|zones| zones.get_ref()) {
        match policy.zones.iter().position(|known| &known.name == zone.get_ref()) {
            Some(place) => places.push(place),
            None if problems.zones.contains(zone.get_ref()) => {}
            None => {
                let known: Vec<&str> = policy.zones.iter().map(|zone| zone.name.as_str()).collect();
                let problem = format!(
                    "rule \"{name}\": expected a zone of the policy ({}), found `{}`",
                    known.join(", "),
                    zone.get_ref()
                );
                problems.add(zone.span().start, problem);
            }
        }
    }
    places.sort_unstable();
    places.dedup();
    let (group, limits) = limits.into_iter().map(|(limit, _)| limit).partition(|limit| limit.quantity.of_group());
    Rule {
        name: file.name.into_inner(),
        line,
        kinds: file.kinds.map(|kinds| kinds.into_inner().into_iter().map(toml::Spanned::into_inner).collect()),
        zones: file.zones.map(|_| places),
        limits,
        group,
        severity: file.severity,
        verdict: file.verdict,
    }
}

/// What is wrong with one limit.
fn limit_problem(limit: &Limit, file: &RuleFile, policy: &Policy) -> Option<String> {
    let Bounds { at_least, below } = limit.bounds;
    let quantity = limit.quantity;
    let number = |test: fn(f64) -> bool| at_least.into_iter().chain(below).find(|&v| test(v));
    if at_least.is_none() && below.is_none() {
        return Some("expected `at_least`, `below` or both, found neither".to_owned());
    }
    if let Some(bad) = number(|v| !(v >= 0.0 && v.is_finite())) {
        return Some(format!("expected a number from 0 on, found {bad}"));
    }
    if limit.millimetres && policy.pixel_pitch_mm.is_none() {
        return Some("a limit in mm needs `pixel_pitch_mm`, found none".to_owned());
    }
    if let (Some(from), Some(to)) = (at_least, below)
        && reaches(from, to)
    {
        return Some(format!("expected at_least < below, found the empty range from {from} to {to}"));
    }
    if below == Some(0.0) {
        return Some("nothing is below 0".to_owned());
    }
    let share = matches!(quantity, Quantity::Confidence | Quantity::AreaShare);
    if let Some(from) = at_least.filter(|&from| share && from > 1.0) {
        return Some(format!("expected at most 1, found {from}"));
    }
    if !quantity.of_group() {
        return None;
    }
    // Defects that are more, or closer together, must never make a verdict better.
    let (wanted, key) = match (quantity == Quantity::Distance) != (file.verdict == Verdict::Pass) {
        true => (below, "below"),
        false => (at_least, "at_least"),
    };
    if wanted.is_none() || (at_least.is_some() && below.is_some()) {
        let verdict = file.verdict;
        return Some(format!(
            "a {verdict} rule takes `{{ {key} = ... }}` only: otherwise one defect more could make the verdict better"
        ));
    }
    if quantity == Quantity::Count
        && let Some(bad) = number(|v| v < 2.0 || v.fract() != 0.0)
    {
        return Some(format!("expected a whole number from 2 on, found {bad}; leave `count` out for any number"));
    }
    number(|v| v == 0.0).map(|_| "expected a number above 0, found 0".to_owned())
}

/// Every zone is there for a rule.
pub(super) fn zones_are_used(policy: &Policy, problems: &mut Problems<'_>) {
    for (place, zone) in policy.zones.iter().enumerate() {
        if !policy.rules.iter().any(|rule| rule.zones.as_ref().is_some_and(|zones| zones.contains(&place))) {
            problems.add_line(zone.line, format!("zone `{}` is used by no rule", zone.name));
        }
    }
}

/// Every rule, every table of limits (`limited`, with the lines) and `[unknown]` can change a verdict, and none
/// contradicts another.
pub(super) fn rules_matter(policy: &Policy, limited: &[(Kind, usize)], unknown: usize, problems: &mut Problems<'_>) {
    let rules = &policy.rules;
    let mut kinds: BTreeSet<Kind> = rules.iter().flat_map(|rule| rule.kinds.iter().flatten()).cloned().collect();
    kinds.extend(limited.iter().map(|(kind, _)| kind.clone()));
    kinds.insert(ANY_OTHER.into());
    // Whether some defect matches `rule` and none of `others`.
    let escapes = |rule: &Rule, others: &[&Rule]| {
        kinds.iter().filter(|kind| rule.covers(kind)).any(|kind| {
            let others: Vec<Region> =
                others.iter().filter(|rule| rule.covers(kind)).map(|rule| Region::of(rule, kind, policy)).collect();
            Region::of(rule, kind, policy).escapes(&others, &mut 0)
        })
    };
    for (place, rule) in rules.iter().enumerate() {
        let name = format!("rule \"{}\"", rule.name);
        if !escapes(rule, &[]) {
            let below = rule.limit(Quantity::Confidence).and_then(|limit| limit.bounds.below).unwrap_or_default();
            problems.add_line(
                rule.line,
                format!(
                    "{name} can never apply: it takes defects below a confidence of {}, and without `at_least` no rule \
                 looks below the review limit of their kind",
                    below as f32
                ),
            );
            continue;
        }
        let passing = rule.verdict == Verdict::Pass;
        // Rules that leave nothing for this one. What they decide is still counted in the groups of a worse rule.
        let single = rule.group.is_empty();
        let takes = |other: &&Rule| {
            other.group.is_empty()
                && (single || passing || other.verdict == Verdict::Pass || other.verdict >= rule.verdict)
        };
        let before: Vec<&Rule> = rules[..place].iter().filter(takes).collect();
        if !escapes(rule, &before) {
            let problem = match before.iter().find(|other| !escapes(rule, &[other])) {
                Some(other) if single && other.verdict != rule.verdict && !escapes(other, &[rule]) => format!(
                    "{name} ({}) contradicts rule \"{}\" (line {}, {}): both match the same defects",
                    rule.verdict, other.name, other.line, other.verdict
                ),
                Some(other) => format!(
                    "{name} can never apply: rule \"{}\" (line {}) matches everything that it does",
                    other.name, other.line
                ),
                None => {
                    let lines: Vec<String> = before.iter().map(|rule| rule.line.to_string()).collect();
                    format!(
                        "{name} can never apply: the rules before it (lines {}) together match everything that it does",
                        lines.join(", ")
                    )
                }
            };
            problems.add_line(rule.line, problem);
            continue;
        }
        let implied = |(at, other): &(usize, &Rule)| {
            let worse = other.verdict > rule.verdict || (other.verdict == rule.verdict && *at < place);
            *at != place
                && !single
                && !other.group.is_empty()
                && passing == (other.verdict == Verdict::Pass)
                && worse
                && implies(rule, other, policy)
                && !escapes(rule, &[other])
                && (!passing || !escapes(other, &[rule]))
        };
        if let Some((_, other)) = rules.iter().enumerate().find(implied) {
            let same = implies(other, rule, policy) && !escapes(other, &[rule]) && other.verdict != rule.verdict;
            problems.add_line(
                rule.line,
                if same {
                    format!(
                        "{name} ({}) contradicts rule \"{}\" (line {}, {}): both match the same defects",
                        rule.verdict, other.name, other.line, other.verdict
                    )
                } else {
                    format!(
                        "{name} can never change a verdict: whenever it applies, rule \"{}\" (line {}) does too",
                        other.name, other.line
                    )
                },
            );
        }
    }
    let singles: Vec<&Rule> = rules.iter().filter(|rule| rule.group.is_empty()).collect();
    let tables = limited.iter().map(|(kind, line)| (kind.clone(), *line, format!("limits of kind `{kind}`")));
    let unknown = (unknown > 0).then(|| (ANY_OTHER.into(), unknown, "`[unknown]`".to_owned()));
    for (kind, line, what) in tables.chain(unknown) {
        let deciding: Vec<Region> =
            singles.iter().filter(|rule| rule.covers(&kind)).map(|rule| Region::of(rule, &kind, policy)).collect();
        if !Region::from(f64::from(policy.limits(&kind).review)).escapes(&deciding, &mut 0) {
            problems.add_line(line, format!("{what}: can never apply: rules decide about every such defect"));
        }
    }
}

/// Whether the limits that `rule` sets its group are met only when those of `other` are, for the same group or a larger
/// one.
fn implies(rule: &Rule, other: &Rule, policy: &Policy) -> bool {
    other.group.iter().all(|loose| {
        // Densities over other zones are of other areas.
        let comparable = matches!(loose.quantity, Quantity::Count | Quantity::Distance) || rule.zones == other.zones;
        let strict = rule.group.iter().find(|strict| strict.quantity == loose.quantity);
        let (from, to) = loose.in_pixels(policy.pixel_pitch_mm);
        comparable
            && strict
                .map(|strict| strict.in_pixels(policy.pixel_pitch_mm))
                .is_some_and(|(a, b)| reaches(a, from) && reaches(to, b))
    })
}

/// A set of defects of one kind, as far as rules can tell them apart.
#[derive(Debug, Clone)]
struct Region {
    /// From (included) and to (not included), by [`RANGES`].
    ranges: [(f64, f64); 4],
    /// It lies in none of these zones ...
    outside: BTreeSet<usize>,
    /// ... and in at least one of each of these lists.
    inside: Vec<Vec<usize>>,
}

/// The quantities of single defects.
const RANGES: [Quantity; 4] = [Quantity::Confidence, Quantity::Area, Quantity::Length, Quantity::Width];

impl Region {
    /// Every defect from a confidence on.
    fn from(confidence: f64) -> Self {
        let mut ranges = [(0.0, f64::INFINITY); 4];
        ranges[0].0 = confidence;
        Region { ranges, outside: BTreeSet::new(), inside: Vec::new() }
    }

    /// The defects of a kind that a rule on single defects matches.
    fn of(rule: &Rule, kind: &Kind, policy: &Policy) -> Self {
        let mut region = Region::from(f64::from(policy.limits(kind).review));
        for (range, quantity) in region.ranges.iter_mut().zip(RANGES) {
            if let Some(limit) = rule.limit(quantity) {
                let (from, to) = limit.in_pixels(policy.pixel_pitch_mm);
                // Without a bound of its own the confidence keeps the review limit.
                *range = (if limit.bounds.at_least.is_some() { from } else { range.0 }, to);
            }
        }
        region.inside.extend(rule.zones.clone());
        region
    }

    fn is_empty(&self) -> bool {
        self.ranges.iter().any(|&(from, to)| reaches(from, to))
            || self.ranges[0].0 > 1.0
            || self.inside.iter().any(|zones| zones.iter().all(|zone| self.outside.contains(zone)))
    }

    /// Whether some defect of this region lies in none of the `others`: takes the first of them away and looks at each
    /// piece that is left.
    fn escapes(mut self, others: &[Region], steps: &mut usize) -> bool {
        *steps += 1;
        if self.is_empty() {
            return false;
        }
        let Some((first, rest)) = others.split_first() else { return true };
        if *steps > MOST_STEPS {
            return true;
        }
        for (range, &(from, to)) in first.ranges.iter().enumerate() {
            for piece in [(0.0, from), (to, f64::INFINITY)] {
                let mut part = self.clone();
                part.ranges[range] = (part.ranges[range].0.max(piece.0), part.ranges[range].1.min(piece.1));
                if part.escapes(rest, steps) {
                    return true;
                }
            }
            self.ranges[range] = (self.ranges[range].0.max(from), self.ranges[range].1.min(to));
        }
        for zones in &first.inside {
            let mut part = self.clone();
            part.outside.extend(zones);
            if part.escapes(rest, steps) {
                return true;
            }
            self.inside.push(zones.clone());
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

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
            (
                "count = 1",
                "fail",
                "count: expected a whole number from 2 on, found 1; leave `count` out for any number",
            ),
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
        refused(
            &rule("length_px = 9\nlength_mm = 2", "fail"),
            "line 11: rule \"r\": length: expected one unit, found two",
        );
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
            Err("policy p.toml: line 11: zone `rim`: expected `pixel_pitch_mm` for a margin in mm, found none"
                .to_owned())
        );
        for pitch in ["0", "-0.1", "inf", "nan"] {
            let found = problem(text(&format!("pixel_pitch_mm = {pitch}"), "area_px = 2")).unwrap_err();
            assert!(found.starts_with("policy p.toml: line 3: expected a pixel pitch above 0 mm"), "{found}");
        }
    }

    #[test]
    fn a_zone_that_is_none_is_refused_on_its_line() {
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
            ("margin = { px = 1, mm = 1 }", "expected a margin in either `px` or `mm`"),
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

    /// Rules of one line each, from line 8 on: `kinds/zones/limits verdict`.
    fn rules(lines: &[&str]) -> String {
        let lines = lines.iter().enumerate().map(|(i, line)| {
            let (limits, verdict) = line.rsplit_once(' ').unwrap();
            let limits = if limits.is_empty() { String::new() } else { format!("{limits}, ") };
            format!("  {{ name = \"{i}\", {limits}verdict = \"{verdict}\" }},\n")
        });
        format!("rules = [\n{}]\n", lines.collect::<String>())
    }

    /// As [`problem`], with the rules before the tables; the first rule is on line 5.
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
                vec!["length_px = 5 fail", "length_px = { below = 5 } review", "kinds = [\"x\"] pass"],
                "line 7: rule \"2\" can never apply: the rules before it (lines 5, 6) together match everything that it does",
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
                vec!["count = { below = 5 } pass", "count = { below = 3 } pass"],
                "line 6: rule \"1\" can never change a verdict: whenever it applies, rule \"0\" (line 5) does too",
            ),
        ] {
            let tables = if lines.iter().any(|line| line.contains("zones")) { zones } else { "" };
            // `a` and `b` are both used.
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
        ] {
            assert_eq!(together(&lines, ""), None, "{lines:?}");
        }
        let zones = "[zones.a]\nmargin = { px = 3 }\n[zones.b]\nmargin = { px = 9 }\n";
        assert_eq!(together(&["zones = [\"b\"] fail", "zones = [\"a\", \"b\"] pass"], zones), None);
        // The density is of another area.
        assert_eq!(
            together(&["density_px = 0.1 fail", "zones = [\"a\", \"b\"], density_px = 0.1 review"], zones),
            None
        );
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
        refused(unknown, "line 8: `[unknown]` is about kinds that are not named, but no kind is: use `[default]`");
        let found = problem("[kinds.x]\nreview = 0.1\nfail = 0.2\n[unknown]\nreview = 1.3\n").unwrap();
        assert_eq!(found, "line 11: expected 0 <= review <= 1, found review = 1.3");
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

    /// A rule on single defects: kinds (1 = x, 2 = y, 3 = all, also others), confidence and length from and to, in
    /// steps.
    type Single = (u8, Option<(u8, u8)>, Option<(u8, u8)>);

    fn single() -> impl Strategy<Value = Single> {
        let range = || proptest::option::of((0u8..5, 1u8..4).prop_map(|(from, n)| (from, from + n)));
        (1u8..4, range(), range())
    }

    proptest! {
        /// What is said of a policy's rules is what trying every defect shows.
        #[test]
        fn a_rule_is_refused_just_when_no_defect_reaches_it(rules in proptest::collection::vec(single(), 1..6)) {
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
            let found = together(&lines.iter().map(String::as_str).collect::<Vec<_>>(), "").unwrap_or_default();
            for (i, reached) in reached.into_iter().enumerate() {
                let refused = found.contains(&format!("line {}: rule \"{i}\" can never apply", 5 + i));
                prop_assert_eq!(refused, !reached, "rule {} of {:?}: {}", i, lines, found);
            }
        }
    }
}
