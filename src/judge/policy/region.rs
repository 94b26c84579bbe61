use std::collections::{BTreeMap, BTreeSet};

use super::policy::{Entry, Policy};
use super::quantity::{Quantity, reaches};
use super::rule::Rule;
use crate::defect::Kind;
use crate::judge::verdict::Verdict;

/// A kind that no policy names: it stands for all of these. No kind has a line break in its name.
pub(super) const ANY_OTHER: &str = "\n";

/// The quantities of single defects.
pub(super) const RANGES: [Quantity; 4] = [Quantity::Confidence, Quantity::Area, Quantity::Length, Quantity::Width];

/// The defects of one kind that a rule on single defects matches, or a table of limits is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Region<'a> {
    /// From (included) and to (not included), in pixels, by [`RANGES`].
    pub(super) ranges: [(f64, f64); 4],
    /// They are in one of these zones; anywhere when `None`.
    pub(super) zones: Option<&'a [usize]>,
}

impl<'a> Region<'a> {
    /// Every defect of a kind that is looked at without a rule.
    pub(super) fn all(kind: &Kind, policy: &Policy) -> Self {
        let mut ranges = [(0.0, f64::INFINITY); 4];
        ranges[0].0 = f64::from(policy.limits(kind).review);
        Region { ranges, zones: None }
    }

    /// The defects of a kind that fit what a rule says of single ones.
    pub(super) fn of(entry: &'a Entry, kind: &Kind, policy: &Policy) -> Self {
        let mut region = Region { zones: entry.zones.as_deref(), ..Region::all(kind, policy) };
        for (range, quantity) in region.ranges.iter_mut().zip(RANGES) {
            if let Some(limit) = entry.rule.limit(quantity) {
                let (from, to) = limit.in_pixels(policy.pixel_pitch_mm);
                // Without a bound of its own the confidence keeps the review limit.
                *range = (if limit.bounds.at_least.is_some() { from } else { range.0 }, to);
            }
        }
        region
    }

    pub(super) fn is_empty(&self) -> bool {
        is_empty(&self.ranges)
    }

    /// Whether both have some defect in common: one may be in several zones.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let mut both = self.ranges;
        for (range, (from, to)) in both.iter_mut().zip(other.ranges) {
            *range = (range.0.max(from), range.1.min(to));
        }
        !is_empty(&both)
    }

    /// Whether every defect of `other` is one of this region.
    pub(super) fn holds(&self, other: &Self) -> bool {
        let inside = |place: usize| {
            let ((from, to), (lower, upper)) = (self.ranges[place], other.ranges[place]);
            [(lower, upper.min(from)), (lower.max(to), upper)].into_iter().all(|rest| {
                let mut left = other.ranges;
                left[place] = rest;
                is_empty(&left)
            })
        };
        let zoned = self
            .zones
            .is_none_or(|zones| other.zones.is_some_and(|others| others.iter().all(|zone| zones.contains(zone))));
        other.is_empty() || zoned && (0..RANGES.len()).all(inside)
    }
}

/// Whether no defect fits these ranges, by [`RANGES`].
pub(super) fn is_empty(ranges: &[(f64, f64); 4]) -> bool {
    ranges.iter().any(|&(from, to)| reaches(from, to)) || ranges[0].0 > 1.0
}

/// The kinds that a policy tells apart: of those with the same review limit that the same rules are about, one.
pub(super) fn kinds(policy: &Policy) -> BTreeSet<Kind> {
    let mut rules: BTreeMap<&Kind, Vec<usize>> = policy.named.iter().map(|(kind, _)| (kind, Vec::new())).collect();
    for (place, entry) in policy.rules.iter().enumerate() {
        for kind in entry.rule.listed() {
            rules.entry(kind).or_default().push(place);
        }
    }
    let alike = |(kind, rules): (&Kind, Vec<usize>)| ((policy.limits(kind).review.to_bits(), rules), kind.clone());
    let apart: BTreeMap<(u32, Vec<usize>), Kind> = rules.into_iter().map(alike).collect();
    apart.into_values().chain([ANY_OTHER.into()]).collect()
}

/// The tables of limits that rules may leave nothing to: their kind, their line, and what messages call them.
pub(super) fn tables(policy: &Policy) -> impl Iterator<Item = (Kind, Option<usize>, String)> {
    let limited = policy.named.iter().take(policy.kinds.len());
    let limited = limited.map(|(kind, line)| (kind.clone(), *line, format!("limits of kind `{kind}`")));
    limited.chain(policy.unknown.map(|_| (ANY_OTHER.into(), None, "`[unknown]`".to_owned())))
}

/// Whether a rule on a group still counts what one on single defects before it has decided about, and can make the
/// panel's verdict worse by it.
pub(super) fn leaves(rule: &Rule, other: &Rule) -> bool {
    !rule.is_single() && other.verdict != Verdict::Pass && other.verdict < rule.verdict
}

/// `rule "long" (line 12)`, of another rule in a message.
pub(super) fn named(entry: &Entry) -> String {
    let line = entry.line.map(|line| format!(" (line {line})")).unwrap_or_default();
    format!("rule \"{}\"{line}", entry.rule.name)
}
