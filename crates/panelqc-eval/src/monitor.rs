use panelqc::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::binomial;

/// Watches whether a guaranteed rate still holds, on labelled panels that come one after the other (sampling
/// inspection). It may be asked after each of them: if the rate holds, the chance that it ever says otherwise is at
/// most `1 - confidence`.
///
/// The evidence is the mean, over all rates above the level, of how much better such a rate explains the counts than
/// the level does: a test martingale (Robbins 1970; Ville's inequality), so the bound is uniform in time. The panels
/// have to be drawn without regard to their verdict: panels that were reviewed anyway say nothing of those that passed.
///
/// ```
/// # fn main() -> panelqc::Result<()> {
/// let mut monitor = panelqc_eval::Monitor::new(0.01, 0.95)?;
/// monitor.add(0, 200)?;
/// assert!(monitor.holds());
/// monitor.add(12, 100)?;
/// assert!(!monitor.holds());
/// # Ok(())
/// # }
/// ```
///
/// It can be written down and read again (`serde`), so that it goes on where it stopped; counts that no panels can have
/// given are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Monitor {
    level: f64,
    confidence: f64,
    count: u64,
    of: u64,
    highest: f64,
}

/// Most panels that are counted: a line makes them in a thousand years.
const MAX_PANELS: u64 = 1 << 40;

/// The form that is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    level: f64,
    confidence: f64,
    count: u64,
    of: u64,
    highest: f64,
}

impl TryFrom<Written> for Monitor {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        let Written { level, confidence, count, of, highest } = written;
        let mut monitor = Monitor::new(level, confidence)?;
        monitor.add(count, of)?;
        // It was asked with these counts, and at its highest with no worse ones than all wrong panels first.
        let (now, most) = (monitor.highest, log_evidence(count, count, level).max(0.0));
        let slack = 1e-9 * (1.0 + most.abs());
        if !(now - slack..=most + slack).contains(&highest) {
            let expected = format!("expected {now} to {most} (of {count} of {of})");
            return Err(Error::argument(format!("highest: {expected}, found {highest}")));
        }
        Ok(Monitor { highest, ..monitor })
    }
}

impl Monitor {
    /// Watches a rate of at most `level`, with a false alarm, ever, in at most `1 - confidence` of lines whose rate
    /// holds.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`](panelqc::ErrorKind::Argument) for a number that is not between 0 and 1.
    pub fn new(level: f64, confidence: f64) -> Result<Self> {
        for (name, number) in [("level", level), ("confidence", confidence)] {
            if !(number > 0.0 && number < 1.0) {
                return Err(Error::argument(format!("{name}: expected a number between 0 and 1, found {number}")));
            }
        }
        Ok(Monitor { level, confidence, count: 0, of: 0, highest: 0.0 })
    }

    /// Counts `of` more panels, `count` of them on the wrong side; asks once, after the last of them.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`](panelqc::ErrorKind::Argument) for more on the wrong side than there are, and for more
    /// than 2^40 in all. Nothing is counted then.
    pub fn add(&mut self, count: u64, of: u64) -> Result<()> {
        let all = self.of.checked_add(of).filter(|&all| all <= MAX_PANELS);
        let Some(all) = all.filter(|_| count <= of) else {
            let expected = format!("expected at most {of} on the wrong side, and {MAX_PANELS} panels in all");
            return Err(Error::argument(format!("panels: {expected}, found {count} of {of} after {}", self.of)));
        };
        self.of = all;
        self.count += count;
        self.highest = self.highest.max(self.log_evidence());
        Ok(())
    }

    /// Panels on the wrong side so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Panels so far.
    pub fn of(&self) -> u64 {
        self.of
    }

    /// The level.
    pub fn level(&self) -> f64 {
        self.level
    }

    /// The confidence of an alarm.
    pub fn confidence(&self) -> f64 {
        self.confidence
    }

    /// Whether nothing speaks against the rate so far. Once false, it stays so.
    pub fn holds(&self) -> bool {
        self.highest < -(1.0 - self.confidence).ln()
    }

    /// Natural logarithm of the evidence against the rate as the counts are now; an alarm at `-ln(1 - confidence)`, 3.0
    /// at 95 %.
    pub fn log_evidence(&self) -> f64 {
        log_evidence(self.count, self.of, self.level)
    }

    /// The rate is above this, with the monitor's confidence at all times together (0 when that says nothing).
    pub fn lower_bound(&self) -> f64 {
        let alarm = -(1.0 - self.confidence).ln();
        let (mut low, mut high) = (0.0, self.count as f64 / self.of.max(1) as f64);
        if high == 0.0 {
            return 0.0;
        }
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if log_evidence(self.count, self.of, middle) >= alarm { low = middle } else { high = middle }
        }
        low
    }
}

/// `ln` of the integral over rates p in `level..1` of `(p / level)^k ((1 - p) / (1 - level))^(n - k) / (1 - level)`,
/// which is a beta function and its upper part: the chance that of n + 1 trials at most k succeed.
fn log_evidence(count: u64, of: u64, level: f64) -> f64 {
    let (k, n) = (count as f64, of as f64);
    let above = binomial::cdf(count, of + 1, level).ln();
    let beta = statrs::function::beta::ln_beta(k + 1.0, n - k + 1.0);
    beta + above - k * level.ln() - (n - k + 1.0) * (1.0 - level).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_evidence_is_the_integral() {
        for (count, of, level) in [(0, 0, 0.05), (0, 40, 0.05), (7, 60, 0.05), (3, 10, 0.3)] {
            let steps = 200_000;
            let width = (1.0 - level) / f64::from(steps);
            let sum: f64 = (0..steps)
                .map(|i| level + (f64::from(i) + 0.5) * width)
                .map(|p| (p / level).powi(count) * ((1.0 - p) / (1.0 - level)).powi(of - count) * width / (1.0 - level))
                .sum();
            let got = log_evidence(count as u64, of as u64, level);
            assert!((got - sum.ln()).abs() < 1e-6, "{count} of {of} at {level}: {got}, {}", sum.ln());
        }
    }

    #[test]
    fn counts_that_fit_never_alarm_and_others_do() {
        let mut monitor = Monitor::new(0.05, 0.95).unwrap();
        monitor.add(0, 10_000).unwrap();
        assert!(monitor.holds() && monitor.lower_bound() == 0.0);
        let mut monitor = Monitor::new(0.05, 0.95).unwrap();
        monitor.add(20, 100).unwrap();
        assert!(!monitor.holds());
        let low = monitor.lower_bound();
        assert!(low > 0.05 && low < 0.2, "{low}");
        monitor.add(0, 10_000).unwrap();
        assert!(!monitor.holds(), "an alarm stays");
        assert!(Monitor::new(1.0, 0.95).is_err() && Monitor::new(0.05, f64::NAN).is_err());
    }

    #[test]
    fn counts_that_no_panels_give_are_refused() {
        let mut monitor = Monitor::new(0.05, 0.95).unwrap();
        monitor.add(1, 100).unwrap();
        for (count, of) in [(10, 5), (0, u64::MAX), (u64::MAX, u64::MAX), (0, 1 << 40)] {
            let before = monitor.clone();
            assert!(monitor.add(count, of).is_err() && monitor == before, "{count} of {of}");
        }
        // Written and read it is the same, also after an alarm that the counts alone no longer give.
        monitor.add(20, 50).unwrap();
        monitor.add(0, 5_000).unwrap();
        let json = serde_json::to_string(&monitor).unwrap();
        assert_eq!(serde_json::from_str::<Monitor>(&json).unwrap(), monitor);
        assert!(!monitor.holds());
        let state = |count: &str, of: &str, highest: &str, level: &str| {
            let text =
                format!(r#"{{"level":{level},"confidence":0.95,"count":{count},"of":{of},"highest":{highest}}}"#);
            serde_json::from_str::<Monitor>(&text).map_err(|e| e.to_string())
        };
        assert!(state("0", "0", "0.0", "0.05").is_ok());
        for (count, of, highest, level, says) in [
            ("99", "1", "0.0", "0.05", "found 99 of 1"),
            ("3", "18446744073709551615", "0.0", "0.05", "panels in all"),
            ("1", "100", "0.0", "0", "level: expected a number between 0 and 1"),
            ("1", "100", "0.0", "1e-400", "level: expected"),
            ("20", "100", "0.0", "0.05", "highest: expected 11.7"),
            ("1", "100", "50.0", "0.05", "highest: expected 0 to"),
            ("1", "100", "-1.0", "0.05", "highest"),
            ("1", "100", "null", "0.05", "null"),
        ] {
            let refused = state(count, of, highest, level).unwrap_err();
            assert!(refused.contains(says), "{count} of {of}, {highest}: {refused}");
        }
    }

    /// Asked after each of 400 panels, 500 lines whose rate is the level: at most `1 - confidence` of them ever alarm.
    #[test]
    fn asking_all_the_time_alarms_no_more_often_than_it_says() {
        const LINES: u64 = 500;
        let (mut state, mut alarms) = (7u64, 0);
        for _ in 0..LINES {
            let mut monitor = Monitor::new(0.05, 0.9).unwrap();
            for _ in 0..400 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                monitor.add(u64::from((state >> 33) as f64 / (1u64 << 31) as f64 <= 0.05), 1).unwrap();
            }
            alarms += u64::from(!monitor.holds());
        }
        let (low, _) = binomial::limits(alarms, LINES, 0.0005);
        assert!(alarms > 0 && low <= 0.1, "{alarms} of {LINES}");
    }
}
