use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::calibration::{Bounded, Calibrated, Calibration, Method};
use crate::defect::Kind;
use crate::error::percent;
use crate::hash::sha256_hex;

/// What a calibrated policy promises, and of what data it follows: the `[guarantee]` table at the end of its file.
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
    /// Most defective panels passed, of all defective ones.
    pub max_miss: f64,
    /// Most good panels failed, of all good ones; absent when it was not asked for.
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
    /// The guarantee that `calibrated` gives, on `date` (`2026-11-24`), for panels whose hash is `data` and a model with
    /// this manifest. It is not bound to rules yet: see [`seal`](Self::seal).
    pub fn new(
        asked: &Calibration,
        calibrated: &Calibrated,
        errors: u64,
        data: &str,
        manifest: &str,
        date: &str,
    ) -> Self {
        Guarantee {
            date: date.to_owned(),
            method: asked.method,
            confidence: (asked.method == Method::ExactBinomial).then_some(asked.confidence),
            max_miss: asked.max_miss,
            max_overkill: asked.max_overkill,
            errors,
            data: data.to_owned(),
            manifest: manifest.to_owned(),
            rules: String::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            miss: calibrated.miss,
            overkill: calibrated.overkill,
            kinds: calibrated.kinds.clone(),
        }
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
