use std::cell::Cell;
use std::collections::BTreeSet;

use super::check::{Draft, Part, Problems};
use super::policy::{Entry, Policy, Text, refused};
use super::quantity::{Quantity, reaches};
use super::region::{self, Region, leaves, named};
use crate::defect::Kind;
use crate::error::Result;
use crate::judge::verdict::Verdict;

impl Draft {
    /// The policy, whose file is `text`, unless something is wrong with it.
    pub(super) fn checked(self, text: Text, mut problems: Problems) -> Result<Policy> {
        let path = self.path.clone();
        let policy = self.into_policy(text, &mut problems);
        // What rules mean together can be said only when each of them means something.
        if problems.is_empty() {
            rules_matter(&policy, &mut problems);
        }
        problems.finish().map_err(|problem| refused(&path, problem))?;
        Ok(policy)
    }
}

/// Comparisons after which rules are taken to matter: far more than a policy written by hand needs.
const MOST_STEPS: usize = 5_000_000;

/// The rules of a policy, two at a time, and all the kinds that they tell apart.
struct Reach<'a> {
    policy: &'a Policy,
    kinds: BTreeSet<Kind>,
    /// Comparisons so far.
    steps: Cell<usize>,
}

/// Every rule, every table of limits and `[unknown]` can change a verdict as far as one rule before it can tell, and no
/// rule contradicts another. What several rules do together is a question for [`Policy::dead_rules`].
fn rules_matter(policy: &Policy, problems: &mut Problems) {
    let reach = Reach { policy, kinds: region::kinds(policy), steps: Cell::new(0) };
    for (place, entry) in policy.rules.iter().enumerate() {
        if let Some(problem) = reach.unreached(place).or_else(|| reach.implied(place)) {
            problems.add_line(entry.line, format!("rule \"{}\" {problem}", entry.rule.name));
        }
    }
    for (kind, line, what) in region::tables(policy) {
        let all = Region::all(&kind, policy);
        let takes_all = |entry: &&Entry| {
            entry.rule.is_single() && entry.rule.covers(&kind) && Region::of(entry, &kind, policy).holds(&all)
        };
        if policy.rules.iter().any(|entry| takes_all(&entry)) {
            let problem = format!("{what}: can never apply: rules decide about every such defect");
            problems.add_line(line.or(problems.line(Part::Unknown)), problem);
        }
    }
}

impl Reach<'_> {
    /// Counts the comparison of two rules; whether it is one too many.
    fn tired(&self) -> bool {
        self.steps.set(self.steps.get().saturating_add(self.kinds.len()));
        self.steps.get() > MOST_STEPS
    }

    /// Whether every defect that `entry` is about is one that `other` is about.
    fn within(&self, entry: &Entry, other: &Entry) -> bool {
        if self.tired() {
            return false;
        }
        let of = |entry, kind| Region::of(entry, kind, self.policy);
        self.kinds.iter().filter(|kind| entry.rule.covers(kind)).all(|kind| {
            let region = of(entry, kind);
            region.is_empty() || other.rule.covers(kind) && of(other, kind).holds(&region)
        })
    }

    /// Whether some defect is one that both are about.
    fn meet(&self, entry: &Entry, other: &Entry) -> bool {
        if self.tired() {
            return true;
        }
        let of = |entry, kind| Region::of(entry, kind, self.policy);
        let both = |kind: &&Kind| entry.rule.covers(kind) && other.rule.covers(kind);
        self.kinds.iter().filter(both).any(|kind| of(entry, kind).meets(&of(other, kind)))
    }

    /// Why no defect is left for the rule at `place`, if so.
    fn unreached(&self, place: usize) -> Option<String> {
        let entry = &self.policy.rules[place];
        let rule = &entry.rule;
        if !self.meet(entry, entry) {
            let below = rule.limit(Quantity::Confidence).and_then(|limit| limit.bounds.below).unwrap_or_default();
            return Some(format!(
                "can never apply: it takes defects below a confidence of {}, and without `at_least` no rule looks below \
                 the review limit of their kind",
                below as f32
            ));
        }
        for other in self.policy.rules[..place].iter().filter(|other| other.rule.is_single()) {
            if leaves(rule, &other.rule) {
                if self.meet(entry, other) {
                    // Some of what this rule is about may be left to it, whatever the rules in between take.
                    return None;
                }
            } else if self.within(entry, other) {
                let contradicts = rule.is_single() && other.rule.verdict != rule.verdict && self.within(other, entry);
                return Some(match contradicts {
                    true => contradiction(entry, other),
                    false => format!("can never apply: {} matches everything that it does", named(other)),
                });
            }
        }
        None
    }

    /// Why the rule at `place`, on a group, says nothing that another one on groups does not say too, if so.
    fn implied(&self, place: usize) -> Option<String> {
        let entries = &self.policy.rules;
        let entry = &entries[place];
        let passing = |entry: &Entry| entry.rule.verdict == Verdict::Pass;
        let speaks_for = |(at, other): &(usize, &Entry)| {
            // A later one may see fewer defects, where a rule in between waives some.
            let sees_as_much = *at < place || !entries[place..*at].iter().any(passing);
            let (verdict, own) = (other.rule.verdict, entry.rule.verdict);
            let as_bad = verdict > own || (verdict == own && *at < place);
            *at != place
                && !entry.rule.is_single()
                && !other.rule.is_single()
                && passing(entry) == passing(other)
                && sees_as_much
                && as_bad
                && implies(entry, other, self.policy)
                && self.within(entry, other)
                // The larger group of a wider rule has more to waive.
                && (!passing(entry) || self.within(other, entry))
        };
        let (_, other) = entries.iter().enumerate().find(speaks_for)?;
        let same = implies(other, entry, self.policy) && self.within(other, entry);
        if same && other.rule.verdict != entry.rule.verdict {
            return Some(contradiction(entry, other));
        }
        Some(format!("can never change a verdict: whenever it applies, {} does too", named(other)))
    }
}

fn contradiction(entry: &Entry, other: &Entry) -> String {
    let line = other.line.map(|line| format!("line {line}, ")).unwrap_or_default();
    let (rule, other) = (&entry.rule, &other.rule);
    format!(
        "({}) contradicts rule \"{}\" ({line}{}): both match the same defects",
        rule.verdict, other.name, other.verdict
    )
}

/// Whether the limits that a rule sets its group are met only when those of `other` are, for the same group or a larger
/// one.
fn implies(entry: &Entry, other: &Entry, policy: &Policy) -> bool {
    other.rule.group.iter().all(|loose| {
        // Densities over other zones are of other areas.
        let comparable = matches!(loose.quantity, Quantity::Count | Quantity::Distance) || entry.zones == other.zones;
        let strict = entry.rule.group.iter().find(|strict| strict.quantity == loose.quantity);
        let (from, to) = loose.in_pixels(policy.pixel_pitch_mm);
        comparable
            && strict
                .map(|strict| strict.in_pixels(policy.pixel_pitch_mm))
                .is_some_and(|(a, b)| reaches(a, from) && reaches(to, b))
    })
}

#[cfg(test)]
mod tests;
