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
/// It belongs to the text above it, to one model and to one manifest: a policy whose rules or numbers were changed
/// afterwards, or that is used with another model or manifest, is refused when it is loaded. So is one whose numbers do
/// not follow from each other.
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
    /// SHA-256 over all the rest of this table, which has the hash of the text above it.
    #[serde(default)]
    pub seal: String,
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
            seal: String::new(),
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
        self.seal = self.own_sha256();
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
        if found != self.rules {
            return Some(format!(
                "expected the rules that the guarantee was made for (SHA-256 {} of the text above {HEADER}), found {found}: \
                 calibrate again, or take the guarantee out",
                self.rules
            ));
        }
        if let Some(problem) = self.contradiction() {
            return Some(problem);
        }
        let found = self.own_sha256();
        (found != self.seal).then(|| {
            let stated = if self.seal.is_empty() { "none is there" } else { &self.seal };
            format!(
                "expected the numbers that were calibrated ({HEADER} seal, {stated}), found others, whose SHA-256 is \
                 {found}: calibrate again, or take the guarantee out"
            )
        })
    }

    /// SHA-256 over all of it but the seal. The form is JSON, whose numbers are the shortest that are read back.
    fn own_sha256(&self) -> String {
        let unsealed = Guarantee { seal: String::new(), ..self.clone() };
        // A struct of numbers and strings always has a form in JSON.
        sha256_hex(&serde_json::to_vec(&unsealed).unwrap_or_default())
    }

    /// Which numbers no calibration gives together, if any.
    fn contradiction(&self) -> Option<String> {
        let rates =
            [("max_miss", Some(self.max_miss)), ("max_overkill", self.max_overkill), ("confidence", self.confidence)];
        if let Some((name, rate)) =
            rates.into_iter().find(|(_, rate)| rate.is_some_and(|rate| !(rate > 0.0 && rate < 1.0)))
        {
            return Some(format!("{name}: expected a number between 0 and 1, found {}", rate.unwrap_or_default()));
        }
        let tail = match (self.method, self.confidence) {
            (Method::ExactBinomial, Some(confidence)) => Some(1.0 - confidence),
            (Method::ConformalRisk, None) => None,
            (method, Some(_)) => {
                return Some(format!("confidence: expected none with {method}, which promises an average"));
            }
            (method, None) => return Some(format!("confidence: expected one with {method}, found none")),
        };
        if self.errors > self.miss.of.saturating_add(self.overkill.of) {
            let panels = self.miss.of.saturating_add(self.overkill.of);
            return Some(format!(
                "errors: expected at most the {panels} panels of the calibration, found {}",
                self.errors
            ));
        }
        let kinds = self
            .kinds
            .iter()
            .map(|(kind, bounded)| (format!("kinds.{kind}"), bounded, Some(self.max_miss), self.kinds.len()));
        let both = [
            ("miss".to_owned(), &self.miss, Some(self.max_miss), 1),
            ("overkill".to_owned(), &self.overkill, self.max_overkill, 1),
        ];
        let checked = both.into_iter().chain(kinds);
        let problem = |(name, bounded, most, tests): (String, &Bounded, Option<f64>, usize)| {
            // All of them together at the same confidence (Bonferroni).
            let problem = bounded.problem(tail.map(|tail| tail / tests as f64), most)?;
            Some(format!("{name}: {problem}"))
        };
        if let Some(problem) = checked.filter_map(problem).next() {
            return Some(problem);
        }
        let more = self.kinds.iter().find(|(_, of)| of.of > self.miss.of || of.count > self.miss.count);
        more.map(|(kind, of)| {
            let Bounded { count, of: all, .. } = self.miss;
            format!(
                "kinds.{kind}: expected at most the {count} of {all} defective panels, found {} of {}",
                of.count, of.of
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
        let (miss, overkill) = (Bounded::new(1, 99, 0.02), Bounded::new(2, 59, 0.05));
        let plain = Guarantee::new("2026-11-24", Method::ConformalRisk, 0.05, miss, overkill);
        assert_eq!(
            plain.sentences(),
            ["on average over calibrations at most 5 % of defective panels pass (1 of 99 in the calibration)"]
        );
        let none = |of: u64| Bounded::new(0, of, 1.0 - 0.05f64.powf(1.0 / of as f64));
        let whole = Guarantee::new("2026-11-24", Method::ExactBinomial, 0.05, none(99), none(50))
            .with_confidence(0.95)
            .with_max_overkill(0.2)
            .with_errors(3)
            .with_data("aa")
            .with_manifest("bb")
            .with_kinds(BTreeMap::from([("open".into(), none(70))]));
        for guarantee in [plain, whole] {
            let policy = Policy::parse(&guarantee.clone().seal(RULES), Path::new("p.toml")).unwrap();
            let mut read = policy.guarantee().unwrap().clone();
            assert_eq!(read.rules.len(), 64);
            assert_eq!(read.seal.len(), 64);
            read.rules.clear();
            read.seal.clear();
            assert_eq!(read, guarantee);
        }
    }

    #[test]
    fn numbers_that_do_not_follow_or_were_changed_are_refused() {
        let none = |of: u64| Bounded::new(0, of, 1.0 - 0.05f64.powf(1.0 / of as f64));
        let made = || {
            Guarantee::new("2026-11-24", Method::ExactBinomial, 0.05, none(99), none(50))
                .with_confidence(0.95)
                .with_max_overkill(0.2)
                .with_kinds(BTreeMap::from([("open".into(), none(70))]))
        };
        let problem = |text: &str| Policy::parse(text, Path::new("p.toml")).map_err(|e| e.to_string());
        let sealed = made().seal(RULES);
        assert!(problem(&sealed).is_ok());
        // Sealed, but nothing that a calibration gives.
        type Change = fn(&mut Guarantee);
        let wrong: [(&str, Change); 14] = [
            ("max_miss: expected a number between 0 and 1, found -1", |g| g.max_miss = -1.0),
            ("max_miss: expected a number between 0 and 1, found NaN", |g| g.max_miss = f64::NAN),
            ("max_overkill: expected a number between", |g| g.max_overkill = Some(1.0)),
            ("confidence: expected a number between 0 and 1, found 7", |g| g.confidence = Some(7.0)),
            ("confidence: expected one with exact-binomial, found none", |g| g.confidence = None),
            ("confidence: expected none with conformal-risk", |g| g.method = Method::ConformalRisk),
            ("miss: expected a bound of at most 0.0001", |g| g.max_miss = 0.0001),
            ("miss: expected a count of at most `of`", |g| g.miss.count = 100),
            ("miss: expected the bound that follows from 0 of 99", |g| g.miss.bound = f64::NAN),
            ("miss: expected the bound that follows from 0 of 990", |g| g.miss.of = 990),
            ("overkill: expected the bound that follows from 1 of 50", |g| g.overkill.count = 1),
            ("overkill: expected a bound of at most 0.01", |g| g.max_overkill = Some(0.01)),
            ("errors: expected at most the 149 panels", |g| g.errors = 150),
            ("kinds.open: expected at most the 0 of 60 defective panels", |g| {
                g.miss = Bounded::new(0, 60, 1.0 - 0.05f64.powf(1.0 / 60.0));
            }),
        ];
        for (says, change) in wrong {
            let mut guarantee = made();
            change(&mut guarantee);
            let found = problem(&guarantee.seal(RULES)).unwrap_err();
            assert!(found.contains(says), "{says}: {found}");
        }
        // What follows, but was not calibrated: every line of the table is sealed.
        let (head, table) = sealed.split_at(sealed.find(HEADER).unwrap());
        for line in table.lines().filter(|line| line.contains(" = ")) {
            let (key, value) = line.split_once(" = ").unwrap();
            let other = if value.starts_with('"') { "\"2026-11-25\"".to_owned() } else { format!("9{value}") };
            let changed = problem(&format!("{head}{}", table.replacen(line, &format!("{key} = {other}"), 1)));
            assert!(changed.is_err(), "{line}");
        }
        let more = Bounded::new(0, 500, 1.0 - 0.05f64.powf(1.0 / 500.0));
        let honest = Guarantee { miss: more, ..made() }.seal(RULES);
        let seal = |text: &str| text.lines().find(|line| line.starts_with("seal")).unwrap().to_owned();
        let forged = honest.replace(&seal(&honest), &seal(&sealed));
        assert!(problem(&honest).is_ok());
        assert!(problem(&forged).unwrap_err().contains("expected the numbers that were calibrated"));
        let unsealed = honest.replace(&seal(&honest), "");
        assert!(problem(&unsealed).unwrap_err().contains("none is there"));
    }
}
