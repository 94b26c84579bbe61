use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Bound, RangeBounds};

use serde::{Deserialize, Serialize};

use super::quantity::{Bounds, Limit, Quantity};
use crate::defect::Kind;
use crate::judge::verdict::Verdict;

/// One of the rules of a [`Policy`](crate::Policy): which defects it is about, and the verdict on a panel that has
/// them. It matches the defects that meet all its conditions; what it leaves open is not checked.
///
/// ```
/// use panelqc::{Rule, Severity, Verdict};
///
/// let long = Rule::new("long scratch", Verdict::Fail).kinds(["scratch"]).length_mm(2.0..).severity(Severity::Major);
/// let cluster = Rule::new("dust cluster", Verdict::Review).kinds(["dust"]).count(3..).distance_mm(..1.0);
/// assert_eq!((long.name(), cluster.verdict()), ("long scratch", Verdict::Review));
/// ```
///
/// Each limit is at least (`2.0..`), below (`..0.5`) or both (`0.5..2.0`). Limits on `count`, `density_*`, `area_share`
/// and `distance_*` make it a rule on a group: it decides about the panel from all the defects that match it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub(super) name: String,
    pub(super) verdict: Verdict,
    /// All kinds when `None`.
    pub(super) kinds: Option<Kinds>,
    /// Names of zones of the policy; anywhere when `None`.
    pub(super) zones: Option<Vec<String>>,
    /// Conditions on each defect.
    pub(super) limits: Vec<Limit>,
    /// Conditions on all of them together; a rule on single defects has none.
    pub(super) group: Vec<Limit>,
    pub(super) severity: Option<Severity>,
}

/// The kinds that a rule is about. There may be many, and each defect is looked up among them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kinds {
    /// In the order in which they were given.
    pub(super) listed: Vec<Kind>,
    sorted: BTreeSet<Kind>,
}

/// How bad a defect is, for the people who read the reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Small.
    Minor,
    /// Large.
    Major,
    /// The worst.
    Critical,
}

impl Rule {
    /// A rule that every defect matches, from the review limit of its kind on. No two rules of a policy have the same
    /// name. [`Verdict::Pass`] waives the defects: it is as if they were not there.
    pub fn new(name: impl Into<String>, verdict: Verdict) -> Self {
        Rule {
            name: name.into(),
            verdict,
            kinds: None,
            zones: None,
            limits: Vec::new(),
            group: Vec::new(),
            severity: None,
        }
    }

    /// Only defects of these kinds. Default: all.
    #[must_use]
    pub fn kinds<K: Into<Kind>>(mut self, kinds: impl IntoIterator<Item = K>) -> Self {
        let listed: Vec<Kind> = kinds.into_iter().map(Into::into).collect();
        self.kinds = Some(Kinds { sorted: listed.iter().cloned().collect(), listed });
        self
    }

    /// Only defects that overlap one of these zones of the policy. Default: anywhere.
    #[must_use]
    pub fn zones<S: Into<String>>(mut self, zones: impl IntoIterator<Item = S>) -> Self {
        self.zones = Some(zones.into_iter().map(Into::into).collect());
        self
    }

    /// How bad such a defect is, shown in the reason. Default: none.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    /// Confidence, in `0..=1`. Default: from the review limit of the kind on.
    #[must_use]
    pub fn confidence(self, bounds: impl Into<Bounds>) -> Self {
        self.with(Quantity::Confidence, false, bounds)
    }

    /// Longer side, in pixels, of the smallest rectangle, at any angle, around the mask, the oriented box or the box.
    /// Default: any.
    #[must_use]
    pub fn length_px(self, bounds: impl Into<Bounds>) -> Self {
        self.with(Quantity::Length, false, bounds)
    }

    /// The same in millimetres: the policy needs a pixel pitch.
    #[must_use]
    pub fn length_mm(self, bounds: impl Into<Bounds>) -> Self {
        self.with(Quantity::Length, true, bounds)
    }

    /// Shorter side of that rectangle in pixels. Default: any.
    #[must_use]
    pub fn width_px(self, bounds: impl Into<Bounds>) -> Self {
        self.with(Quantity::Width, false, bounds)
    }

    /// The same in millimetres: the policy needs a pixel pitch.
    #[must_use]
    pub fn width_mm(self, bounds: impl Into<Bounds>) -> Self {
        self.with(Quantity::Width, true, bounds)
    }

    /// Area of the mask, otherwise of the box, in square pixels. Default: any.
    #[must_use]
    pub fn area_px(self, bounds: impl Into<Bounds>) -> Self {
        self.with(Quantity::Area, false, bounds)
    }

    /// The same in square millimetres: the policy needs a pixel pitch.
    #[must_use]
    pub fn area_mm2(self, bounds: impl Into<Bounds>) -> Self {
        self.with(Quantity::Area, true, bounds)
    }

    /// Number of such defects on the panel, all frames together: `3..` in a rule that reviews or fails, `..3` in one
    /// that passes. Default: any.
    #[must_use]
    pub fn count(self, range: impl RangeBounds<u64>) -> Self {
        let at_least = match range.start_bound() {
            Bound::Included(&first) => Some(first as f64),
            Bound::Excluded(&before) => Some(before as f64 + 1.0),
            Bound::Unbounded => None,
        };
        let below = match range.end_bound() {
            Bound::Included(&last) => Some(last as f64 + 1.0),
            Bound::Excluded(&end) => Some(end as f64),
            Bound::Unbounded => None,
        };
        self.with(Quantity::Count, false, Bounds { at_least, below })
    }

    /// Number of such defects by the area looked at, per square pixel: of the rule's zones, what they share counted
    /// once, otherwise of all frames. Default: any.
    #[must_use]
    pub fn density_px(self, bounds: impl Into<Bounds>) -> Self {
        self.with(Quantity::Density, false, bounds)
    }

    /// The same per square millimetre: the policy needs a pixel pitch.
    #[must_use]
    pub fn density_mm2(self, bounds: impl Into<Bounds>) -> Self {
        self.with(Quantity::Density, true, bounds)
    }

    /// Sum of the areas of such defects by the area looked at, in `0..=1`. Default: any.
    #[must_use]
    pub fn area_share(self, bounds: impl Into<Bounds>) -> Self {
        self.with(Quantity::AreaShare, false, bounds)
    }

    /// Gap in pixels between two such defects on the same frame, 0 where they touch: `..6.0` in a rule that reviews or
    /// fails, `6.0..` in one that passes. Other limits on the group then count only the defects that have another one
    /// this near. Default: any.
    #[must_use]
    pub fn distance_px(self, bounds: impl Into<Bounds>) -> Self {
        self.with(Quantity::Distance, false, bounds)
    }

    /// The same in millimetres: the policy needs a pixel pitch.
    #[must_use]
    pub fn distance_mm(self, bounds: impl Into<Bounds>) -> Self {
        self.with(Quantity::Distance, true, bounds)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The verdict that it gives the panel.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The same with a limit, in the order in which reasons tell them.
    pub(super) fn with(mut self, quantity: Quantity, millimetres: bool, bounds: impl Into<Bounds>) -> Self {
        let limit = Limit::new(quantity, millimetres, bounds.into());
        let limits = if quantity.of_group() { &mut self.group } else { &mut self.limits };
        match limits.binary_search_by_key(&limit.order(), Limit::order) {
            Ok(place) => limits[place] = limit,
            Err(place) => limits.insert(place, limit),
        }
        self
    }

    /// Whether it is about defects of this kind.
    pub(super) fn covers(&self, kind: &Kind) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.sorted.contains(kind))
    }

    /// The kinds that it names, in the order in which they were given.
    pub(super) fn listed(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.iter().flat_map(|kinds| &kinds.listed)
    }

    /// Whether it decides about single defects.
    pub(super) fn is_single(&self) -> bool {
        self.group.is_empty()
    }

    /// Its limit of a quantity of single defects.
    pub(super) fn limit(&self, quantity: Quantity) -> Option<&Limit> {
        self.limits.iter().find(|limit| limit.quantity == quantity)
    }

    /// The lowest confidence that it states; without one it looks at defects from the review limit of their kind on.
    pub(super) fn least_confidence(&self) -> Option<f64> {
        self.limit(Quantity::Confidence).and_then(|limit| limit.bounds.at_least)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Minor => "minor",
            Severity::Major => "major",
            Severity::Critical => "critical",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_kept_in_the_order_of_the_reasons_and_set_again() {
        let rule = Rule::new("r", Verdict::Fail).distance_px(..9.0).area_px(5.0..).count(3..).length_mm(1.0..2.0);
        let keys = |limits: &[Limit]| limits.iter().map(Limit::key).collect::<Vec<_>>();
        assert_eq!(
            (keys(&rule.limits), keys(&rule.group)),
            (vec!["length_mm", "area_px"], vec!["count", "distance_px"])
        );
        let rule = rule.area_px(..7.0);
        assert_eq!(rule.limit(Quantity::Area).unwrap().bounds, Bounds::below(7.0));
        assert_eq!(rule.limits.len(), 2);
    }

    #[test]
    fn a_count_is_a_range_of_whole_numbers() {
        let bounds = |rule: Rule| (rule.group[0].bounds.at_least, rule.group[0].bounds.below);
        let rule = || Rule::new("r", Verdict::Fail);
        assert_eq!(bounds(rule().count(3..)), (Some(3.0), None));
        assert_eq!(bounds(rule().count(..3)), (None, Some(3.0)));
        assert_eq!(bounds(rule().count(..=3)), (None, Some(4.0)));
        assert_eq!(bounds(rule().count(2..=3)), (Some(2.0), Some(4.0)));
    }
}
