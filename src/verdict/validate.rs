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
        self.on_line(self.line(at), problem);
    }

    fn on_line(&mut self, line: usize, problem: impl Into<String>) {
        self.found.push((line, problem.into()));
    }

    /// Remembers a zone that is wrong itself.
    pub(super) fn name_zone(&mut self, name: String) {
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
            problems.on_line(zone.line, format!("zone `{}` is used by no rule", zone.name));
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
            problems.on_line(
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
            problems.on_line(rule.line, problem);
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
            problems.on_line(
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
            problems.on_line(line, format!("{what}: can never apply: rules decide about every such defect"));
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
