use super::check::{Draft, Problems};
use super::policy::{Policy, Text};
use super::rule::Rule;
use super::text::to_toml;
use super::zone::Zone;
use crate::defect::Kind;
use crate::error::Result;
use crate::judge::limits::Limits;

/// Makes a [`Policy`] in code: see [`Policy::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder makes nothing until `build`"]
pub struct PolicyBuilder {
    draft: Draft,
}

impl Policy {
    /// A policy with the same limits for all kinds.
    ///
    /// # Errors
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) unless `0 <= review <= fail <= 1`.
    pub fn new(name: impl Into<String>, limits: Limits) -> Result<Self> {
        Policy::builder(name, limits).build()
    }

    /// A policy written in code: a name for people, and the limits for kinds without limits of their own. It judges as
    /// the same policy read from TOML does; [`to_toml`](Self::to_toml) gives that file.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use panelqc::{Limits, Policy, Rule, Severity, Verdict, Zone};
    ///
    /// let policy = Policy::builder("display glass", Limits::new(0.25, 0.6)?)
    ///     .pixel_pitch_mm(0.02)
    ///     .kind("crack", Limits::new(0.1, 0.8)?)
    ///     .unknown(0.25)
    ///     .zone(Zone::margin_mm("active", 5.0).inverted())
    ///     .rule(
    ///         Rule::new("long scratch", Verdict::Fail)
    ///             .kinds(["scratch"])
    ///             .zones(["active"])
    ///             .length_mm(2.0..)
    ///             .severity(Severity::Major),
    ///     )
    ///     .rule(Rule::new("hairline", Verdict::Pass).kinds(["scratch"]).length_mm(..0.5))
    ///     .rule(Rule::new("dust cluster", Verdict::Fail).kinds(["dust"]).count(3..).distance_mm(..1.0))
    ///     .build()?;
    /// assert_eq!(policy.limits(&"crack".into()), Limits::new(0.1, 0.8)?);
    ///
    /// let saved = Policy::parse(policy.to_toml(), "glass.toml".as_ref())?;
    /// assert_eq!(saved.sha256(), policy.sha256());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It has no guarantee: that belongs to the text of a file ([`Guarantee::seal`](crate::Guarantee::seal) takes
    /// [`to_toml`](Self::to_toml)).
    pub fn builder(name: impl Into<String>, limits: Limits) -> PolicyBuilder {
        let name = name.into();
        let path = name.clone().into();
        PolicyBuilder { draft: Draft::new(name, path, limits) }
    }
}

impl PolicyBuilder {
    /// SHA-256, in hexadecimal, of the graph of the model that it is for: any other model is refused. Default: any
    /// model.
    pub fn model(mut self, sha256: impl Into<String>) -> Self {
        self.draft.model = Some(sha256.into());
        self
    }

    /// Side of a pixel on the panel in millimetres, above 0: gives each defect its `area_mm2`, and is needed for limits
    /// in millimetres. Default: not known.
    pub fn pixel_pitch_mm(mut self, millimetres: f64) -> Self {
        self.draft.pixel_pitch_mm = Some(millimetres);
        self
    }

    /// Limits for one kind. Default: those for all.
    pub fn kind(mut self, kind: impl Into<Kind>, limits: Limits) -> Self {
        self.draft.kinds.push((kind.into(), limits));
        self
    }

    /// Sends a defect of a kind that the policy does not name to review from this confidence on, in `0..=1`; none fails
    /// the panel. Default: the limits for all kinds apply to these too.
    pub fn unknown(mut self, review: f32) -> Self {
        self.draft.unknown = Some(review);
        self
    }

    /// A part of the frame for rules to refer to. Default: none.
    pub fn zone(mut self, zone: Zone) -> Self {
        self.draft.zones.push(zone);
        self
    }

    /// A rule after those already there: the first on single defects that matches a defect decides about it. Default:
    /// none.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.draft.rules.push(rule);
        self
    }

    /// The policy.
    ///
    /// # Errors
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) with everything that makes no sense, by the name of the rule or
    /// zone: what [`Policy::parse`] refuses.
    pub fn build(mut self) -> Result<Policy> {
        // In the order that they have in a file: an area of several zones is the same number then.
        self.draft.kinds.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.draft.zones.sort_by(|a, b| a.name.cmp(&b.name));
        let text = Text::new(&to_toml(&self.draft));
        self.draft.checked(text, Problems::default())
    }
}

#[cfg(test)]
mod tests;
