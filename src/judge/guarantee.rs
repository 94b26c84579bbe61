use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::bounded::Bounded;
use super::method::Method;
use crate::defect::Kind;
use crate::error::percent;
use crate::hash::sha256_hex;

/// What a calibrated policy promises, and the data behind it: the `[guarantee]` table at the end of its file.
///
/// It belongs to the text above it, to one model and to one manifest: a policy whose rules were changed afterwards, or
/// that is used with another model or manifest, is refused when it is loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Guarantee {
    /// The day of the calibration, `2026-11-24`.
    pub date: String,
    /// How the limits were chosen.
    pub method: Method,
    /// Confidence of each statement, in `0..1`; absent for conformal risk control, which promises an average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Highest rate of defective panels that pass, of all defective ones.
    pub max_miss: f64,
    /// Highest rate of good panels that fail, of all good ones; absent when it was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_overkill: Option<f64>,
    /// Panels of the calibration data that could not be inspected (they count as reviewed).
    pub errors: u64,
    /// SHA-256 over ids, labels and image hashes of the calibration panels.
    pub data: String,
    /// SHA-256 of the model's manifest.
    pub manifest: String,
    /// SHA-256 of the text above this table.
    pub rules: String,
    /// Version of this library that calibrated.
    pub version: String,
    /// Defective panels passed in the calibration.
    pub miss: Bounded,
    /// Good panels failed in the calibration.
    pub overkill: Bounded,
    /// Panels with each kind passed in the calibration, where each kind has the guarantee by itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kinds: BTreeMap<Kind, Bounded>,
}

/// The line that begins the table.
const HEADER: &str = "[guarantee]";

impl Guarantee {
    /// A guarantee that at most `max_miss` (in `0..1`) of defective panels pass, by limits that were chosen on `date`
    /// (`2026-11-24`) with `method`. `miss` and `overkill` are what the calibration counted: defective panels passed,
    /// and good panels failed. Everything else is as yet absent, 0 or empty; the version is this library's.
    ///
    /// Calibrations in `panelqc-eval` make it (`Calibrated::guarantee`). With a method of your own, say all that the
    /// `with_*` methods take: [`Policy`](crate::Policy) refuses a guarantee for another manifest. It is not bound to
    /// rules yet: see [`seal`](Self::seal).
    pub fn new(date: impl Into<String>, method: Method, max_miss: f64, miss: Bounded, overkill: Bounded) -> Self {
        Guarantee {
            date: date.into(),
            method,
            confidence: None,
            max_miss,
            max_overkill: None,
            errors: 0,
            data: String::new(),
            manifest: String::new(),
            rules: String::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            miss,
            overkill,
            kinds: BTreeMap::new(),
        }
    }

    /// With the confidence of each statement, in `0..1`. Default: absent, as for an average.
    #[must_use]
    pub fn with_confidence(mut self, confidence: f64) -> Self {
        self.confidence = Some(confidence);
        self
    }

    /// With a limit on the good panels that fail, of all good ones, in `0..1`. Default: absent, nothing is promised.
    #[must_use]
    pub fn with_max_overkill(mut self, max_overkill: f64) -> Self {
        self.max_overkill = Some(max_overkill);
        self
    }

    /// With the number of panels of the calibration that could not be inspected. Default 0.
    #[must_use]
    pub fn with_errors(mut self, errors: u64) -> Self {
        self.errors = errors;
        self
    }

    /// With the SHA-256, in hexadecimal, of the panels that it was made of. Default empty.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<String>) -> Self {
        self.data = data.into();
        self
    }

    /// With the SHA-256, in hexadecimal, of the model's manifest, as [`Model`](crate::Model) gives it. Default empty,
    /// which fits no model.
    #[must_use]
    pub fn with_manifest(mut self, manifest: impl Into<String>) -> Self {
        self.manifest = manifest.into();
        self
    }

    /// With the counts of each kind, where the miss rate holds for every kind by itself. Default: none.
    #[must_use]
    pub fn with_kinds(mut self, kinds: BTreeMap<Kind, Bounded>) -> Self {
        self.kinds = kinds;
        self
    }

    /// The policy file: the text of `rules` (without a guarantee), and this guarantee bound to it.
    pub fn seal(mut self, rules: &str) -> String {
        let rules = format!("{}\n\n", rules.trim_end());
        self.rules = sha256_hex(rules.as_bytes());
        let mut table = toml::Table::new();
        // A struct of numbers and strings is always a table.
        if let Ok(value) = toml::Value::try_from(&self) {
            table.insert("guarantee".to_owned(), value);
        }
        format!("{rules}{table}")
    }

    /// What is wrong with this guarantee as part of the file `text`, if anything.
    pub(crate) fn problem(&self, text: &str) -> Option<String> {
        let line = |wanted: &str| {
            let mut at = 0;
            text.split_inclusive('\n').find_map(|line| {
                at += line.len();
                (line.trim() == wanted).then(|| at - line.len())
            })
        };
        let Some(start) = line(HEADER) else { return Some(format!("expected a line {HEADER}, found none")) };
        let after = text[start..].lines().skip(1).map(str::trim);
        if let Some(header) = after.filter(|l| l.starts_with('[')).find(|l| !l.starts_with("[guarantee.")) {
            return Some(format!("expected {HEADER} to be the last table, found {header} after it"));
        }
        let found = sha256_hex(&text.as_bytes()[..start]);
        (found != self.rules).then(|| {
            format!(
                "expected the rules that the guarantee was made for (SHA-256 {} of the text above {HEADER}), found {found}: \
                 calibrate again, or take the guarantee out",
                self.rules
            )
        })
    }

    /// What the two rates promise, one sentence each.
    pub fn sentences(&self) -> Vec<String> {
        let how = match (self.method, self.confidence) {
            (Method::ExactBinomial, Some(confidence)) => format!("with {} % confidence", percent(confidence)),
            _ => "on average over calibrations".to_owned(),
        };
        let of = |bounded: &Bounded| format!("{} of {} in the calibration", bounded.count, bounded.of);
        let mut sentences =
            vec![format!("{how} at most {} % of defective panels pass ({})", percent(self.max_miss), of(&self.miss))];
        if let Some(max) = self.max_overkill {
            sentences.push(format!("{how} at most {} % of good panels fail ({})", percent(max), of(&self.overkill)));
        }
        if !self.kinds.is_empty() {
            let kinds: Vec<_> = self.kinds.iter().map(|(kind, b)| format!("{kind} {} of {}", b.count, b.of)).collect();
            sentences.push(format!("the first holds for panels of every kind by itself ({})", kinds.join(", ")));
        }
        sentences
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentences().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::judge::Policy;

    const RULES: &str = "schema = 1\nname = \"t\"\nmodel = \"00\"\n[default]\nreview = 0.2\nfail = 0.4\n";

    #[test]
    fn a_guarantee_made_in_code_comes_back_from_the_policy_that_it_seals() {
        let (miss, overkill) = (Bounded { count: 1, of: 99, bound: 0.05 }, Bounded { count: 2, of: 50, bound: 0.12 });
        let plain = Guarantee::new("2026-11-24", Method::ConformalRisk, 0.05, miss, overkill);
        assert_eq!(
            plain.sentences(),
            ["on average over calibrations at most 5 % of defective panels pass (1 of 99 in the calibration)"]
        );
        let whole = Guarantee::new("2026-11-24", Method::ExactBinomial, 0.05, miss, overkill)
            .with_confidence(0.95)
            .with_max_overkill(0.2)
            .with_errors(3)
            .with_data("aa")
            .with_manifest("bb")
            .with_kinds(BTreeMap::from([("open".into(), miss)]));
        for guarantee in [plain, whole] {
            let policy = Policy::parse(&guarantee.clone().seal(RULES), Path::new("p.toml")).unwrap();
            let mut read = policy.guarantee().unwrap().clone();
            assert_eq!(read.rules.len(), 64);
            read.rules.clear();
            assert_eq!(read, guarantee);
        }
    }
}
