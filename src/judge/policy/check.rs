use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::policy::{Entry, Policy, Text};
use super::quantity::{Bounds, Limit, Quantity, reaches};
use super::rule::Rule;
use super::zone::{Placed, Zone};
use crate::defect::Kind;
use crate::judge::guarantee::Guarantee;
use crate::judge::limits::Limits;
use crate::judge::verdict::Verdict;

/// More rules than anybody writes; it bounds the work of comparing them.
const MOST_RULES: usize = 1000;

/// What a policy says, before it is checked for sense.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) model: Option<String>,
    pub(super) pixel_pitch_mm: Option<f64>,
    pub(super) default: Limits,
    pub(super) kinds: Vec<(Kind, Limits)>,
    pub(super) unknown: Option<f32>,
    pub(super) zones: Vec<Zone>,
    pub(super) rules: Vec<Rule>,
    pub(super) guarantee: Option<Guarantee>,
}

/// A part of a draft that has a place of its own in a file. Numbers are places in the draft's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Schema,
    Pitch,
    Default,
    Unknown,
    Guarantee,
    Kind(usize),
    KindLimits(usize),
    Zone(usize),
    Rule(usize),
    RuleName(usize),
    RuleKinds(usize),
    RuleKind(usize, usize),
    RuleZones(usize),
    RuleZone(usize, usize),
    RuleLimit(usize, (Quantity, bool)),
}

/// What is wrong with a policy.
#[derive(Debug, Default)]
pub(super) struct Problems {
    /// Where the parts stand; empty for a policy that is built in code.
    lines: BTreeMap<Part, usize>,
    found: Vec<(Option<usize>, String)>,
    /// Zones that are wrong themselves: rules that use them are not blamed for it.
    spoilt_zones: Vec<String>,
}

impl Problems {
    /// Records the line, from 1, of a part in the policy's file.
    pub(super) fn place(&mut self, part: Part, line: usize) {
        self.lines.insert(part, line);
    }

    /// The line of a part; `None` for a policy that is built in code.
    pub(super) fn line(&self, part: Part) -> Option<usize> {
        self.lines.get(&part).copied()
    }

    /// A problem whose text says what it is about.
    pub(super) fn add(&mut self, part: Part, problem: impl Into<String>) {
        self.add_line(self.line(part), problem);
    }

    /// A problem of `subject`, which is named where there is no line to look at.
    fn add_of(&mut self, part: Part, subject: &str, problem: impl AsRef<str>) {
        match self.line(part) {
            Some(_) => self.add(part, problem.as_ref()),
            None => self.add(part, format!("{subject}: {}", problem.as_ref())),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn add_line(&mut self, line: Option<usize>, problem: impl Into<String>) {
        self.found.push((line, problem.into()));
    }

    /// Remembers a zone that is wrong itself.
    pub(super) fn spoil_zone(&mut self, name: impl Into<String>) {
        self.spoilt_zones.push(name.into());
    }

    /// All problems in one text: in the order of their lines, and otherwise in which they were found.
    pub(super) fn finish(mut self) -> Result<(), String> {
        if !self.lines.is_empty() {
            self.found.sort();
        }
        let told = self.found.into_iter().map(|(line, problem)| match line {
            Some(line) => format!("line {line}: {problem}"),
            None => problem,
        });
        let told: Vec<String> = told.collect();
        if told.is_empty() { Ok(()) } else { Err(told.join("; ")) }
    }
}

impl Draft {
    /// A draft with limits, and nothing else.
    pub(super) fn new(name: String, path: PathBuf, default: Limits) -> Self {
        Draft {
            name,
            path,
            model: None,
            pixel_pitch_mm: None,
            default,
            kinds: Vec::new(),
            unknown: None,
            zones: Vec::new(),
            rules: Vec::new(),
            guarantee: None,
        }
    }

    /// The policy, whose file is `text`, where each part of it means something by itself. What is wrong goes to
    /// `problems`: without any, the policy can be used as soon as its rules make sense together.
    pub(super) fn into_policy(self, text: Text, problems: &mut Problems) -> Policy {
        self.limits_are_in_order(problems);
        let pixel_pitch_mm = self.pixel_pitch_mm.filter(|pitch| *pitch > 0.0 && pitch.is_finite());
        if let Some(pitch) = self.pixel_pitch_mm.filter(|_| pixel_pitch_mm.is_none()) {
            problems.add(Part::Pitch, format!("expected a pixel pitch above 0 mm, found {pitch}"));
        }
        if self.guarantee.is_some() && self.model.is_none() {
            let problem = "expected `model`, the hash of the model that the guarantee was made for, found none";
            problems.add(Part::Guarantee, problem);
        }
        let limited = self.kinds.iter().enumerate().map(|(i, (kind, _))| (kind, Part::Kind(i)));
        let ruled = self
            .rules
            .iter()
            .take(MOST_RULES)
            .enumerate()
            .flat_map(|(i, rule)| rule.listed().enumerate().map(move |(j, kind)| (kind, Part::RuleKind(i, j))));
        let named: Vec<_> = limited.chain(ruled).map(|(kind, part)| (kind.clone(), problems.line(part))).collect();
        let zones = place_zones(self.zones, pixel_pitch_mm, problems);
        let rules = place_rules(self.rules, &zones, pixel_pitch_mm, problems);
        for (place, zone) in zones.iter().enumerate() {
            if !rules.iter().any(|entry| entry.zones.as_ref().is_some_and(|zones| zones.contains(&place))) {
                problems.add_line(zone.line, format!("zone `{}` is used by no rule", zone.zone.name));
            }
        }
        let policy = Policy {
            name: self.name,
            path: self.path,
            model: self.model,
            pixel_pitch_mm,
            default: self.default,
            kinds: self.kinds.into_iter().collect(),
            unknown: self.unknown,
            zones,
            rules,
            known: named.iter().map(|(kind, _)| kind.clone()).collect(),
            named,
            guarantee: self.guarantee,
            text: Some(text),
        };
        if policy.unknown.is_some() && policy.named.is_empty() {
            let problem = "`[unknown]` is about kinds that are not named, but no kind is: use `[default]`";
            problems.add(Part::Unknown, problem);
        }
        policy
    }

    fn limits_are_in_order(&self, problems: &mut Problems) {
        if let Some(problem) = self.default.problem() {
            problems.add_of(Part::Default, "`[default]`", problem);
        }
        let mut seen = BTreeSet::new();
        for (i, (kind, limits)) in self.kinds.iter().enumerate() {
            let subject = format!("limits of kind `{kind}`");
            if let Some(problem) = limits.problem() {
                problems.add_of(Part::KindLimits(i), &subject, problem);
            }
            if !seen.insert(kind) {
                problems.add_of(Part::KindLimits(i), &subject, "expected them once, found them twice");
            }
        }
        if let Some(review) = self.unknown.filter(|review| !(0.0..=1.0).contains(review)) {
            problems.add_of(
                Part::Unknown,
                "`[unknown]`",
                format!("expected 0 <= review <= 1, found review = {review}"),
            );
        }
    }
}

/// The zones that mean something.
fn place_zones(zones: Vec<Zone>, pitch: Option<f64>, problems: &mut Problems) -> Vec<Placed> {
    let mut placed: Vec<Placed> = Vec::new();
    for (i, zone) in zones.into_iter().enumerate() {
        let (name, line) = (zone.name.clone(), problems.line(Part::Zone(i)));
        if placed.iter().any(|other| other.zone.name == name) {
            problems.add_line(line, format!("zone `{name}`: expected a name of its own, found it twice"));
            continue;
        }
        match zone.placed(line, pitch) {
            Ok(zone) => placed.push(zone),
            Err(problem) => {
                problems.add_line(line, format!("zone `{name}`: {problem}"));
                problems.spoil_zone(name);
            }
        }
    }
    placed
}

/// The rules with their zones; what is wrong with one by itself goes to `problems`.
fn place_rules(rules: Vec<Rule>, zones: &[Placed], pitch: Option<f64>, problems: &mut Problems) -> Vec<Entry> {
    if rules.len() > MOST_RULES {
        let problem = format!("expected at most {MOST_RULES} rules, found {}", rules.len());
        problems.add(Part::Rule(MOST_RULES), problem);
    }
    let mut entries: Vec<Entry> = Vec::new();
    for (i, rule) in rules.into_iter().take(MOST_RULES).enumerate() {
        let name = &rule.name;
        if let Some(other) = entries.iter().find(|other| &other.rule.name == name) {
            let problem = match other.line {
                Some(line) => format!("expected a name of its own, found `{name}` of line {line}"),
                None => format!("rule \"{name}\": expected a name of its own, found it twice"),
            };
            problems.add(Part::RuleName(i), problem);
        }
        for (key, part, empty) in [
            ("kinds", Part::RuleKinds(i), rule.kinds.as_ref().is_some_and(|kinds| kinds.listed.is_empty())),
            ("zones", Part::RuleZones(i), rule.zones.as_ref().is_some_and(Vec::is_empty)),
        ] {
            if empty {
                let problem = format!("rule \"{name}\": expected some {key}, found none; leave `{key}` out for all");
                problems.add(part, problem);
            }
        }
        let limits: Vec<&Limit> = rule.limits.iter().chain(&rule.group).collect();
        for (j, limit) in limits.iter().enumerate() {
            let twice = limits[..j].iter().any(|before| before.quantity == limit.quantity);
            let problem = match twice {
                true => Some("expected one unit, found two".to_owned()),
                false => limit_problem(limit, rule.verdict, pitch),
            };
            if let Some(problem) = problem {
                let problem = format!("rule \"{name}\": {}: {problem}", limit.quantity.name());
                problems.add(Part::RuleLimit(i, limit.order()), problem);
            }
        }
        let places = rule.zones.as_ref().map(|names| {
            let mut places = Vec::new();
            for (j, zone) in names.iter().enumerate() {
                match zones.iter().position(|known| &known.zone.name == zone) {
                    Some(place) => places.push(place),
                    None if problems.spoilt_zones.contains(zone) => {}
                    None => {
                        let known: Vec<&str> = zones.iter().map(|zone| zone.zone.name.as_str()).collect();
                        let known = known.join(", ");
                        let problem =
                            format!("rule \"{name}\": expected a zone of the policy ({known}), found `{zone}`");
                        problems.add(Part::RuleZone(i, j), problem);
                    }
                }
            }
            places.sort_unstable();
            places.dedup();
            places
        });
        entries.push(Entry { line: problems.line(Part::Rule(i)), zones: places, rule });
    }
    entries
}

/// What is wrong with one limit of a rule.
fn limit_problem(limit: &Limit, verdict: Verdict, pitch: Option<f64>) -> Option<String> {
    let Bounds { at_least, below } = limit.bounds;
    let quantity = limit.quantity;
    let number = |test: fn(f64) -> bool| at_least.into_iter().chain(below).find(|&v| test(v));
    if at_least.is_none() && below.is_none() {
        return Some("expected `at_least`, `below` or both, found neither".to_owned());
    }
    if let Some(bad) = number(|v| !(v >= 0.0 && v.is_finite())) {
        return Some(format!("expected a number from 0 on, found {bad}"));
    }
    if limit.millimetres && pitch.is_none() {
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
    let (wanted, key) = match (quantity == Quantity::Distance) != (verdict == Verdict::Pass) {
        true => (below, "below"),
        false => (at_least, "at_least"),
    };
    if wanted.is_none() || (at_least.is_some() && below.is_some()) {
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

#[cfg(test)]
mod tests;
