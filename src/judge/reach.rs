use std::collections::BTreeSet;

use super::judge::Verdict;
use super::policy::Policy;
use super::rule::{Quantity, Rule, reaches};
use super::validate::Problems;
use crate::defect::Kind;

/// A kind that no policy names: it stands for all of these. No kind has a line break in its name.
const ANY_OTHER: &str = "\n";

/// Steps after which a rule is taken for reachable: far more than a policy written by hand needs.
const MOST_STEPS: usize = 200_000;

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

    /// What both have.
    fn and(mut self, other: Self) -> Self {
        for (range, (from, to)) in self.ranges.iter_mut().zip(other.ranges) {
            *range = (range.0.max(from), range.1.min(to));
        }
        self.outside.extend(other.outside);
        self.inside.extend(other.inside);
        self
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

/// The rules of a policy and all the kinds that they tell apart.
struct Reach<'a> {
    policy: &'a Policy,
    kinds: BTreeSet<Kind>,
}

/// Every rule, every table of limits (`limited`, with the lines) and `[unknown]` can change a verdict, and none
/// contradicts another.
pub(super) fn rules_matter(policy: &Policy, limited: &[(Kind, usize)], unknown: usize, problems: &mut Problems<'_>) {
    let mut kinds: BTreeSet<Kind> = policy.rules.iter().flat_map(|rule| rule.kinds.iter().flatten()).cloned().collect();
    kinds.extend(limited.iter().map(|(kind, _)| kind.clone()));
    kinds.insert(ANY_OTHER.into());
    let reach = Reach { policy, kinds };
    for (place, rule) in policy.rules.iter().enumerate() {
        if let Some(problem) = reach.unreached(place).or_else(|| reach.implied(place)) {
            problems.add_line(rule.line, format!("rule \"{}\" {problem}", rule.name));
        }
    }
    let singles: Vec<&Rule> = policy.rules.iter().filter(|rule| rule.group.is_empty()).collect();
    let tables = limited.iter().map(|(kind, line)| (kind.clone(), *line, format!("limits of kind `{kind}`")));
    let unknown = (unknown > 0).then(|| (ANY_OTHER.into(), unknown, "`[unknown]`".to_owned()));
    for (kind, line, what) in tables.chain(unknown) {
        let all = Region::from(f64::from(policy.limits(&kind).review));
        if !all.escapes(&reach.regions(&singles, &kind), &mut 0) {
            problems.add_line(line, format!("{what}: can never apply: rules decide about every such defect"));
        }
    }
}

impl Reach<'_> {
    /// What `rules` match of a kind.
    fn regions(&self, rules: &[&Rule], kind: &Kind) -> Vec<Region> {
        rules.iter().filter(|rule| rule.covers(kind)).map(|rule| Region::of(rule, kind, self.policy)).collect()
    }

    /// Whether some defect matches all of `rules` and none of `others`.
    fn escape(&self, rules: &[&Rule], others: &[&Rule]) -> bool {
        self.kinds.iter().filter(|kind| rules.iter().all(|rule| rule.covers(kind))).any(|kind| {
            let all = self.regions(rules, kind).into_iter().reduce(Region::and);
            all.is_some_and(|region| region.escapes(&self.regions(others, kind), &mut 0))
        })
    }

    fn within(&self, rule: &Rule, other: &Rule) -> bool {
        !self.escape(&[rule], &[other])
    }

    /// Why no defect is left for the rule at `place`, if so.
    fn unreached(&self, place: usize) -> Option<String> {
        let rule = &self.policy.rules[place];
        if !self.escape(&[rule], &[]) {
            let below = rule.limit(Quantity::Confidence).and_then(|limit| limit.bounds.below).unwrap_or_default();
            return Some(format!(
                "can never apply: it takes defects below a confidence of {}, and without `at_least` no rule looks below \
                 the review limit of their kind",
                below as f32
            ));
        }
        let single = rule.group.is_empty();
        let before: Vec<&Rule> = self.policy.rules[..place].iter().filter(|other| other.group.is_empty()).collect();
        // A group still counts what a rule on single defects has decided, unless that let it pass; then this rule
        // matters where it is worse.
        let leaves = |other: &Rule| {
            !single && rule.verdict != Verdict::Pass && other.verdict != Verdict::Pass && other.verdict < rule.verdict
        };
        let left = |(at, other): (usize, &&Rule)| leaves(other) && self.escape(&[rule, other], &before[..at]);
        if self.escape(&[rule], &before) || before.iter().enumerate().any(left) {
            return None;
        }
        let takes: Vec<&Rule> = before.into_iter().filter(|other| !leaves(other)).collect();
        Some(match takes.iter().find(|other| self.within(rule, other)) {
            Some(other) if single && other.verdict != rule.verdict && self.within(other, rule) => {
                contradiction(rule, other)
            }
            Some(other) => format!(
                "can never apply: rule \"{}\" (line {}) matches everything that it does",
                other.name, other.line
            ),
            None => {
                let lines: Vec<String> = takes.iter().map(|rule| rule.line.to_string()).collect();
                format!(
                    "can never apply: the rules before it (lines {}) together match everything that it does",
                    lines.join(", ")
                )
            }
        })
    }

    /// Why the rule at `place`, on a group, says nothing that another one on groups does not say too, if so.
    fn implied(&self, place: usize) -> Option<String> {
        let rules = &self.policy.rules;
        let rule = &rules[place];
        let passing = |rule: &Rule| rule.verdict == Verdict::Pass;
        let speaks_for = |(at, other): &(usize, &Rule)| {
            // A later one may see fewer defects, where a rule in between lets some pass.
            let sees_as_much = *at < place || !rules[place..*at].iter().any(passing);
            let as_bad = other.verdict > rule.verdict || (other.verdict == rule.verdict && *at < place);
            *at != place
                && !rule.group.is_empty()
                && !other.group.is_empty()
                && passing(rule) == passing(other)
                && sees_as_much
                && as_bad
                && implies(rule, other, self.policy)
                && self.within(rule, other)
                // The larger group of a wider rule has more to let pass.
                && (!passing(rule) || self.within(other, rule))
        };
        let (_, other) = rules.iter().enumerate().find(speaks_for)?;
        if implies(other, rule, self.policy) && self.within(other, rule) && other.verdict != rule.verdict {
            return Some(contradiction(rule, other));
        }
        Some(format!(
            "can never change a verdict: whenever it applies, rule \"{}\" (line {}) does too",
            other.name, other.line
        ))
    }
}

fn contradiction(rule: &Rule, other: &Rule) -> String {
    format!(
        "({}) contradicts rule \"{}\" (line {}, {}): both match the same defects",
        rule.verdict, other.name, other.line, other.verdict
    )
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

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
                vec!["length_px = 5 fail", " review", "count = 3 review"],
                "line 7: rule \"2\" can never apply: rule \"1\" (line 6) matches everything that it does",
            ),
            (
                vec!["count = 5 review", "area_px = { below = 9 } review", "count = 3 fail"],
                "line 5: rule \"0\" can never change a verdict: whenever it applies, rule \"2\" (line 7) does too",
            ),
            // What the second rule reviews of x lies in the zone, where the first one lets it pass.
            (
                vec![
                    "kinds = [\"x\"], zones = [\"a\", \"b\"] pass",
                    "zones = [\"a\", \"b\"] review",
                    "kinds = [\"x\"] fail",
                    "kinds = [\"x\"], count = 3 fail",
                ],
                "line 8: rule \"3\" can never apply: rule \"2\" (line 7) matches everything that it does",
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
