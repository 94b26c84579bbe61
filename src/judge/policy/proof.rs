use std::collections::BTreeSet;

use super::policy::{Entry, Policy};
use super::region::{self, Region, leaves, named};
use crate::defect::Kind;
use crate::head::OutputConfig;
use crate::judge::verdict::Verdict;

/// Steps after which a rule is taken for reachable: far more than a policy written by hand needs.
const MOST_STEPS: usize = 200_000;

/// A set of defects of one kind, as far as rules can tell them apart.
#[derive(Debug, Clone)]
struct Piece {
    /// From (included) and to (not included), in pixels, by [`region::RANGES`].
    ranges: [(f64, f64); 4],
    /// It lies in none of these zones ...
    outside: BTreeSet<usize>,
    /// ... and in at least one of each of these lists.
    inside: Vec<Vec<usize>>,
}

impl From<Region<'_>> for Piece {
    fn from(region: Region<'_>) -> Self {
        let inside = region.zones.map(<[usize]>::to_vec).into_iter().collect();
        Piece { ranges: region.ranges, outside: BTreeSet::new(), inside }
    }
}

impl Piece {
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
        region::is_empty(&self.ranges)
            || self.inside.iter().any(|zones| zones.iter().all(|zone| self.outside.contains(zone)))
    }

    /// Whether some defect of this piece lies in none of the `others`: takes the first of them away and looks at each
    /// piece that is left.
    fn escapes(mut self, others: &[Piece], steps: &mut usize) -> bool {
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

impl Policy {
    /// The rules and tables of limits that can never affect a verdict, because the rules before them *together* match
    /// all that they match: one sentence each, with the line where the policy has a file. Such a policy is valid, but
    /// may not be what its author meant. (A rule that a single earlier rule covers is refused when the policy is read
    /// or built.)
    ///
    /// It may take a second for hundreds of rules that overlap in many ways; what is not proven by then is not named.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use panelqc::{Limits, Policy, Rule, Verdict};
    ///
    /// let policy = Policy::builder("line 3", Limits::new(0.25, 0.5)?)
    ///     .rule(Rule::new("long", Verdict::Fail).length_px(50.0..))
    ///     .rule(Rule::new("short", Verdict::Review).length_px(..50.0))
    ///     .rule(Rule::new("dust", Verdict::Pass).kinds(["dust"]))
    ///     .build()?;
    /// let dead = policy.dead_rules();
    /// assert_eq!(dead.len(), 1);
    /// assert!(dead[0].starts_with(r#"rule "dust" can never apply: the rules before it ("long", "short") together"#));
    /// # Ok(())
    /// # }
    /// ```
    pub fn dead_rules(&self) -> Vec<String> {
        let proof = Proof { policy: self, kinds: region::kinds(self) };
        let at = |line: Option<usize>| line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let rules = self.rules.iter().enumerate().filter_map(|(place, entry)| {
            Some(format!("{}rule \"{}\" {}", at(entry.line), entry.rule.name, proof.unreached(place)?))
        });
        let singles: Vec<&Entry> = self.rules.iter().filter(|entry| entry.rule.is_single()).collect();
        let dead = |kind: &Kind| !Piece::from(Region::all(kind, self)).escapes(&proof.pieces(&singles, kind), &mut 0);
        let tables = region::tables(self).filter(|(kind, _, _)| dead(kind)).map(|(_, line, what)| {
            format!("{}{what}: can never apply: rules decide about every such defect", at(line))
        });
        rules.chain(tables).collect()
    }
}

impl Policy {
    /// What is valid, but lets panels pass that may not be meant to: verdicts that no defect of a model with this
    /// `output` can lead to, one sentence each. `panelqc check --policy` says them. A policy by which every panel
    /// passes is refused by [`check`](Self::check).
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use panelqc::{Limits, OutputConfig, Policy};
    ///
    /// let policy = Policy::new("line 3", Limits::new(0.25, 1.0)?)?;
    /// let doubts = policy.doubts(&OutputConfig::new(vec!["scratch".into()]));
    /// assert_eq!(doubts, ["no panel can fail: no rule says so, and the fail limits are 1 or rules come before them"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn doubts(&self, output: &OutputConfig) -> Vec<String> {
        let proof = Proof { policy: self, kinds: region::kinds(self) };
        let kinds: Vec<&Kind> = output.kinds.iter().filter(|kind| !output.good.contains(kind)).collect();
        let mut doubts = Vec::new();
        if !kinds.iter().any(|kind| proof.leads_to(kind, Verdict::Fail, false)) {
            let reason = "no rule says so, and the fail limits are 1 or rules come before them";
            doubts.push(format!("no panel can fail: {reason}"));
        }
        let waived = kinds.iter().filter(|kind| !proof.leads_to(kind, Verdict::Review, false));
        doubts.extend(waived.map(|kind| format!("a panel whose only defects are `{kind}` passes")));
        doubts
    }

    /// Whether every panel passes, whatever defects of these kinds are on it.
    pub(super) fn passes_everything<'k>(&self, mut kinds: impl Iterator<Item = &'k Kind>) -> bool {
        let proof = Proof { policy: self, kinds: region::kinds(self) };
        !kinds.any(|kind| proof.leads_to(kind, Verdict::Review, true))
    }
}

/// The rules of a policy and all the kinds that they tell apart.
struct Proof<'a> {
    policy: &'a Policy,
    kinds: BTreeSet<Kind>,
}

impl Proof<'_> {
    /// What `rules` match of a kind.
    fn pieces(&self, rules: &[&Entry], kind: &Kind) -> Vec<Piece> {
        let rules = rules.iter().filter(|entry| entry.rule.covers(kind));
        rules.map(|entry| Region::of(entry, kind, self.policy).into()).collect()
    }

    /// Whether some defect matches all of `rules` and none of `others`.
    fn escape(&self, rules: &[&Entry], others: &[&Entry]) -> bool {
        self.kinds.iter().filter(|kind| rules.iter().all(|entry| entry.rule.covers(kind))).any(|kind| {
            let all = self.pieces(rules, kind).into_iter().reduce(Piece::and);
            all.is_some_and(|piece| piece.escapes(&self.pieces(others, kind), &mut 0))
        })
    }

    /// Whether some defects of a kind give a panel this verdict or a worse one. `full` says whether a limit of 1
    /// counts, which only full confidence reaches.
    fn leads_to(&self, kind: &Kind, verdict: Verdict, full: bool) -> bool {
        let policy = self.policy;
        let limits = policy.limits(kind);
        let limit = if verdict == Verdict::Fail { limits.fail } else { limits.review };
        let better = policy
            .rules
            .iter()
            .filter(|entry| entry.rule.is_single() && entry.rule.verdict < verdict)
            .collect::<Vec<_>>();
        let mut beyond = Piece::from(Region::all(kind, policy));
        beyond.ranges[0].0 = f64::from(limit);
        if (limit < 1.0 || full && limit <= 1.0) && beyond.escapes(&self.pieces(&better, kind), &mut 0) {
            return true;
        }
        let says = |(_, entry): &(usize, &Entry)| {
            let reached = full || entry.rule.least_confidence().is_none_or(|least| least < 1.0);
            entry.rule.verdict >= verdict && entry.rule.covers(kind) && reached
        };
        policy.rules.iter().enumerate().filter(says).any(|(place, _)| self.unreached(place).is_none())
    }

    /// Why no defect is left for the rule at `place`, if so.
    fn unreached(&self, place: usize) -> Option<String> {
        let entry = &self.policy.rules[place];
        let before: Vec<&Entry> = self.policy.rules[..place].iter().filter(|other| other.rule.is_single()).collect();
        let left = |(at, other): (usize, &&Entry)| {
            leaves(&entry.rule, &other.rule) && self.escape(&[entry, other], &before[..at])
        };
        if self.escape(&[entry], &before) || before.iter().enumerate().any(left) {
            return None;
        }
        let takes: Vec<&Entry> = before.into_iter().filter(|other| !leaves(&entry.rule, &other.rule)).collect();
        if let Some(other) = takes.iter().find(|other| !self.escape(&[entry], &[other])) {
            return Some(format!("can never apply: {} matches everything that it does", named(other)));
        }
        let lines: Option<Vec<String>> = takes.iter().map(|other| Some(other.line?.to_string())).collect();
        let them = match lines {
            Some(lines) => format!("lines {}", lines.join(", ")),
            None => takes.iter().map(|other| format!("{:?}", other.rule.name)).collect::<Vec<_>>().join(", "),
        };
        Some(format!("can never apply: the rules before it ({them}) together match everything that it does"))
    }
}

#[cfg(test)]
mod tests;
