use std::cmp::Ordering;

use super::policy::{Entry, Policy};
use super::quantity::{Limit, Quantity};
use super::rule::Rule;
use super::scene::Scene;
use crate::defect::{Defect, Kind};
use crate::error::Result;
use crate::geometry::Size;
use crate::judge::Judge;
use crate::judge::verdict::{Judgement, Verdict};
use crate::model::Model;

/// What has been decided about a defect so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// A rule on single defects decided, not to waive it. Groups still count it.
    Decided,
    /// A rule waives it: it is as if it were not there.
    Waived,
}

impl Policy {
    /// Judges the defects of one panel, of all its frames together. `frames` are the sizes of its frames, in the order
    /// that [`Defect::frame`] counts them; rules need them for zones and densities.
    ///
    /// The verdict depends on the set of defects, not on their order, and one defect more never makes it better. A
    /// defect on a frame that `frames` does not have goes to review, where the policy has rules.
    pub fn judge(&self, defects: &[Defect], frames: &[Size]) -> Judgement {
        let scene = Scene::new(defects, frames, &self.zones);
        let mut states = vec![State::Open; defects.len()];
        let mut findings: Vec<(Verdict, String)> = Vec::new();
        for entry in &self.rules {
            let rule = &entry.rule;
            let candidate = |&i: &usize| {
                let open = match states[i] {
                    State::Open => true,
                    State::Decided => !rule.is_single() && rule.verdict != Verdict::Pass,
                    State::Waived => false,
                };
                open && self.matches(entry, &scene, &defects[i], i)
            };
            let matched: Vec<usize> = (0..defects.len()).filter(candidate).collect();
            let Some((matched, measured)) = self.group(entry, &scene, matched) else { continue };
            if rule.verdict == Verdict::Pass {
                matched.iter().for_each(|&i| states[i] = State::Waived);
            } else if rule.is_single() {
                matched.iter().for_each(|&i| states[i] = State::Decided);
            }
            if let Some(text) = measured.or_else(|| self.worst(rule, &scene, defects, &matched)) {
                let severity = rule.severity.map(|severity| format!(" ({severity})")).unwrap_or_default();
                findings.push((rule.verdict, format!("rule \"{}\"{severity}: {text}", rule.name)));
            }
        }
        for (i, defect) in defects.iter().enumerate() {
            if states[i] == State::Open {
                findings.extend(self.by_confidence(defect));
            }
            if !self.rules.is_empty() && scene.frame(i).is_none() {
                let frame = defect.frame.unwrap_or(0);
                findings.push((Verdict::Review, format!("a defect on frame {frame}, whose size is not known")));
            }
        }
        let verdict = findings.iter().map(|(verdict, _)| *verdict).max().unwrap_or(Verdict::Pass);
        Judgement::new(verdict, findings.into_iter().filter(|(v, _)| *v == verdict).map(|(_, reason)| reason))
    }

    /// Whether a rule is about this defect.
    fn matches(&self, entry: &Entry, scene: &Scene<'_>, defect: &Defect, i: usize) -> bool {
        let rule = &entry.rule;
        rule.covers(&defect.kind)
            && (rule.least_confidence().is_some() || defect.confidence.get() >= self.limits(&defect.kind).review)
            && rule.limits.iter().all(|limit| limit.bounds.contain(self.measured(scene, i, limit)))
            && scene.in_zone(i, entry)
    }

    /// The value of a limit's quantity in the limit's unit.
    fn measured(&self, scene: &Scene<'_>, i: usize, limit: &Limit) -> f64 {
        limit.in_unit(scene.measure(i, limit.quantity), self.pixel_pitch_mm)
    }

    /// The defects that a rule decides about, and what was measured of them together; `None` when the rule does not
    /// apply.
    fn group(&self, entry: &Entry, scene: &Scene<'_>, mut group: Vec<usize>) -> Option<(Vec<usize>, Option<String>)> {
        let rule = &entry.rule;
        let mut parts = Vec::new();
        // The distance comes first: the others go over the defects that are near one another.
        for limit in rule.group.iter().filter(|limit| limit.quantity == Quantity::Distance) {
            let reach = limit.bounds.below.or(limit.bounds.at_least).unwrap_or_default();
            // A little further, so that the comparison, which forgives rounding, has the last word.
            let reach = reach / limit.in_unit(1.0, self.pixel_pitch_mm) * (1.0 + 1e-6);
            let gaps: Vec<Option<f64>> = scene
                .nearest(&group, reach)
                .into_iter()
                .map(|gap| gap.map(|gap| limit.in_unit(gap, self.pixel_pitch_mm)))
                .collect();
            let least = gaps.iter().flatten().copied().min_by(f64::total_cmp);
            if rule.verdict == Verdict::Pass {
                if least.is_some_and(|gap| !limit.bounds.contain(gap)) {
                    return None;
                }
            } else {
                let near = |gap: &Option<f64>| gap.is_some_and(|gap| limit.bounds.contain(gap));
                let kept: Vec<usize> = group.iter().zip(&gaps).filter(|(_, gap)| near(gap)).map(|(&i, _)| i).collect();
                group = kept;
            }
            parts.extend(least.map(|gap| limit.text(gap)));
        }
        if group.is_empty() {
            return None;
        }
        for limit in rule.group.iter().filter(|limit| limit.quantity != Quantity::Distance) {
            let value = match limit.quantity {
                Quantity::Count => group.len() as f64,
                Quantity::Density => group.len() as f64 / scene.area(entry),
                _ => {
                    let mut areas: Vec<f64> = group.iter().map(|&i| scene.measure(i, Quantity::Area)).collect();
                    // A sum depends on the order of its terms.
                    areas.sort_by(f64::total_cmp);
                    areas.iter().sum::<f64>() / scene.area(entry)
                }
            };
            let value = limit.in_unit(value, self.pixel_pitch_mm);
            if !limit.bounds.contain(value) {
                return None;
            }
            parts.push(limit.text(value));
        }
        Some((group, (!parts.is_empty()).then(|| parts.join(", "))))
    }

    /// What was measured of the defect that a rule on single defects decided about: of several, of the one that is
    /// furthest beyond the rule's limits, the first of them counting first. `None` when a rule waived what would
    /// have passed anyway.
    fn worst(&self, rule: &Rule, scene: &Scene<'_>, defects: &[Defect], matched: &[usize]) -> Option<String> {
        let stated = |&i: &usize| {
            let defect = &defects[i];
            let review = self.limits(&defect.kind).review;
            if rule.verdict == Verdict::Pass && defect.confidence.get() < review {
                return None;
            }
            let confidence = f64::from(defect.confidence.get());
            let mut beyond: Vec<f64> = Vec::new();
            let mut parts: Vec<String> = Vec::new();
            for limit in &rule.limits {
                let value = self.measured(scene, i, limit);
                beyond.push(if limit.bounds.at_least.is_some() { value } else { -value });
                parts.push(limit.text(value));
            }
            if parts.is_empty() {
                parts.push(format!("{} {confidence:.2} >= {review:.2}", defect.kind));
            }
            beyond.push(confidence);
            Some((beyond, parts.join(", ")))
        };
        let order = |(a, s): &(Vec<f64>, String), (b, t): &(Vec<f64>, String)| {
            let differ = a.iter().zip(b).map(|(a, b)| a.total_cmp(b)).find(|order| *order != Ordering::Equal);
            differ.unwrap_or_else(|| s.cmp(t))
        };
        matched.iter().filter_map(stated).max_by(order).map(|(_, text)| text)
    }

    /// What the limits on confidence say of a defect that no rule decided about.
    fn by_confidence(&self, defect: &Defect) -> Option<(Verdict, String)> {
        let limits = self.limits(&defect.kind);
        let confidence = defect.confidence.get();
        let (verdict, limit) = if confidence >= limits.fail {
            (Verdict::Fail, limits.fail)
        } else if confidence >= limits.review {
            (Verdict::Review, limits.review)
        } else {
            return None;
        };
        let stranger = if self.is_unknown(&defect.kind) { ", a kind that the policy does not name" } else { "" };
        Some((verdict, format!("{} >= {limit:.2}{stranger}", defect.kind)))
    }
}

impl Judge for Policy {
    fn judge(&self, defects: &[Defect], frames: &[Size]) -> Judgement {
        Policy::judge(self, defects, frames)
    }

    fn floor(&self, kind: &Kind) -> f32 {
        Policy::floor(self, kind)
    }

    fn sha256(&self) -> Option<&str> {
        Policy::sha256(self)
    }

    fn pixel_pitch_mm(&self) -> Option<f64> {
        Policy::pixel_pitch_mm(self)
    }

    fn check(&self, model: &Model) -> Result<()> {
        Policy::check(self, model)
    }
}

#[cfg(test)]
mod tests;
