use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::setup::MAIN_CASE;
use super::spread::Spread;

/// Images a second of all participants, by model, case and participant, one number a round (NaN where it failed); the
/// limit's two parts and the bare loop on all cores are kept as participants of their own.
#[derive(Default)]
pub(super) struct Results {
    rates: BTreeMap<String, BTreeMap<String, BTreeMap<String, Vec<f64>>>>,
    /// How a peer was used where several ways were tried, and what it found an image.
    pub(super) notes: BTreeMap<String, BTreeMap<String, BTreeMap<String, Value>>>,
}

impl Results {
    pub(super) fn add(&mut self, model: &str, case: &str, participant: &str, rate: f64) {
        let cases = self.rates.entry(model.to_owned()).or_default();
        let participants = cases.entry(case.to_owned()).or_default();
        participants.entry(participant.to_owned()).or_default().push(rate);
    }

    pub(super) fn note(&mut self, model: &str, case: &str, participant: &str, note: Value) {
        let cases = self.notes.entry(model.to_owned()).or_default();
        cases.entry(case.to_owned()).or_default().insert(participant.to_owned(), note);
    }

    /// The quotient of two participants, side by side.
    fn ratio(&self, model: &str, case: &str, over: &str, under: &str) -> Option<Spread> {
        let rates = self.rates.get(model)?.get(case)?;
        Spread::of_ratios(rates.get(over)?, rates.get(under)?)
    }

    fn spread(&self, model: &str, case: &str, participant: &str) -> Option<Spread> {
        Spread::of_good(self.rates.get(model)?.get(case)?.get(participant)?)
    }

    /// `value(model, case)` for all that have one.
    fn by_case(&self, value: impl Fn(&str, &str) -> Option<Value>) -> Value {
        let mut models = Map::new();
        for (model, cases) in &self.rates {
            let cases: Map<_, _> = cases.keys().filter_map(|case| Some((case.clone(), value(model, case)?))).collect();
            models.insert(model.clone(), Value::Object(cases));
        }
        Value::Object(models)
    }

    /// The peers that were measured anywhere.
    fn peers(&self) -> Vec<&str> {
        let participants = self.rates.values().flat_map(BTreeMap::values).flat_map(BTreeMap::keys);
        let mut peers: Vec<&str> = participants.map(String::as_str).filter(|name| is_peer(name)).collect();
        peers.sort_unstable();
        peers.dedup();
        peers
    }

    /// Panelqc's images per second over each peer's on the main case, of the model where that is least.
    fn headline(&self) -> Value {
        let mut peers = Map::new();
        for peer in self.peers() {
            let ratios = self.rates.keys().filter_map(|model| self.ratio(model, MAIN_CASE, "panelqc", peer));
            if let Some(least) = ratios.map(|ratio| ratio.median).reduce(f64::min) {
                peers.insert(peer.to_owned(), json!(least));
            }
        }
        Value::Object(peers)
    }

    fn ms_per_image_core(&self, model: &str, case: &str, workers: usize) -> Option<f64> {
        Some(workers as f64 * 1e3 / self.spread(model, case, "panelqc")?.median)
    }

    /// The numbers for machines.
    pub(super) fn to_json(&self, workers: usize) -> Map<String, Value> {
        let median = |over: &'static str, under: &'static str| {
            self.by_case(|model, case| Some(json!(self.ratio(model, case, over, under)?.median)))
        };
        let peers_by_case = self.by_case(|model, case| {
            let ratios = self
                .peers()
                .into_iter()
                .filter_map(|peer| Some((peer.to_owned(), json!(self.ratio(model, case, "panelqc", peer)?.median))));
            Some(Value::Object(ratios.collect()))
        });
        let rates = self.by_case(|model, case| {
            let participants = self.rates.get(model)?.get(case)?.keys();
            let spreads = participants.filter_map(|participant| {
                let Spread { median, low, high, rounds } = self.spread(model, case, participant)?;
                let value = json!({ "median": median, "low": low, "high": high, "rounds": rounds });
                Some((participant.clone(), value))
            });
            Some(Value::Object(spreads.collect()))
        });
        let main: Map<_, _> = self
            .rates
            .keys()
            .filter_map(|model| Some((model.clone(), json!(self.ms_per_image_core(model, MAIN_CASE, workers)?))))
            .collect();
        let mut all = Map::new();
        all.insert("efficiency".to_owned(), median("panelqc", "limit"));
        all.insert("efficiency_together".to_owned(), median("panelqc", "together"));
        all.insert("int8_over_fp32".to_owned(), median("panelqc", "fp32"));
        all.insert("peers".to_owned(), self.headline());
        all.insert("peers_by_case".to_owned(), peers_by_case);
        all.insert("ms_per_image_core".to_owned(), Value::Object(main));
        let by_case = self.by_case(|model, case| Some(json!(self.ms_per_image_core(model, case, workers)?)));
        all.insert("ms_per_image_core_by_case".to_owned(), by_case);
        all.insert("rates".to_owned(), rates);
        all.insert("notes".to_owned(), json!(self.notes));
        all
    }

    /// The table for people: for each model a line a case.
    pub(super) fn table(&self, workers: usize) -> String {
        let mut text = String::new();
        for (model, cases) in &self.rates {
            let others = ["fp32"].into_iter().chain(self.peers());
            let others: Vec<&str> = others.filter(|other| cases.values().any(|c| c.contains_key(*other))).collect();
            let mut head = ["case", "panelqc", "limit", "efficiency", "of all cores at once", "ms*core"]
                .map(str::to_owned)
                .to_vec();
            head.extend(others.iter().map(|other| format!("x {other}")));
            let mut rows = vec![head];
            for case in cases.keys() {
                let rate = |who| self.spread(model, case, who).map_or("-".to_owned(), |s| s.to_string());
                let ratio = |under| self.ratio(model, case, "panelqc", under).map_or("-".to_owned(), |s| s.to_string());
                let core = self.ms_per_image_core(model, case, workers).map_or("-".to_owned(), |ms| format!("{ms:.1}"));
                let limit = self.spread(model, case, "limit").map_or("-".to_owned(), |s| format!("{:.1}", s.median));
                let mut row = vec![case.clone(), rate("panelqc"), limit, ratio("limit"), ratio("together"), core];
                row.extend(others.iter().map(|other| ratio(other)));
                rows.push(row);
            }
            let _ = writeln!(text, "{model}\n{}", columns(&rows));
        }
        text
    }
}

/// Whether a participant is another program, and not panelqc, in one precision or the other, or a part of the limit.
fn is_peer(name: &str) -> bool {
    !matches!(name, "panelqc" | "fp32" | "limit" | "together" | "decode_ms" | "run_ms")
}

/// Rows as columns, the first one to the left and the others to the right.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column == 0 { format!("  {cell:<width$}") } else { format!("  {cell:>width$}") }
        });
        let _ = writeln!(text, "{}", cells.collect::<String>().trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rounds of two models; the peer fails once.
    fn results() -> Results {
        let mut results = Results::default();
        for (model, case, rates) in [
            (
                "pcb",
                "jpeg-640",
                [("panelqc", [90.0, 45.0]), ("limit", [100.0, 50.0]), ("python_loop", [45.0, f64::NAN])],
            ),
            ("pcb", "jpeg-640", [("fp32", [30.0, 30.0]), ("decode_ms", [1.0, 1.0]), ("run_ms", [9.0, 9.0])]),
            (
                "pcb",
                "memory-640",
                [("panelqc", [99.0, 99.0]), ("limit", [100.0, 100.0]), ("python_loop", [50.0, 50.0])],
            ),
            (
                "yolo11n",
                "jpeg-640",
                [("panelqc", [30.0, 30.0]), ("limit", [31.0, 31.0]), ("python_loop", [20.0, 20.0])],
            ),
        ] {
            for (participant, rounds) in rates {
                for rate in rounds {
                    results.add(model, case, participant, rate);
                }
            }
        }
        results
    }

    #[test]
    fn names_that_scripts_lean_on() {
        let all = Value::Object(results().to_json(2));
        assert_eq!(all["efficiency"]["pcb"]["jpeg-640"], json!(0.9));
        assert_eq!(all["efficiency"]["pcb"]["memory-640"], json!(0.99));
        assert_eq!(all["peers"]["python_loop"], json!(1.5), "of the model where panelqc gains least");
        assert_eq!(all["peers"].as_object().unwrap().len(), 1, "the limit is no peer, and no more is fp32");
        assert_eq!(all["int8_over_fp32"]["pcb"]["jpeg-640"], json!(2.25));
        assert_eq!(
            all["peers_by_case"]["pcb"]["jpeg-640"]["python_loop"],
            json!(2.0),
            "the failed round does not count"
        );
        assert_eq!(all["ms_per_image_core"]["yolo11n"], json!(2000.0 / 30.0));
        assert_eq!(all["rates"]["pcb"]["jpeg-640"]["panelqc"]["rounds"], json!([90.0, 45.0]));
    }

    #[test]
    fn a_line_a_case() {
        let table = results().table(2);
        let line = table.lines().find(|l| l.contains("memory-640")).unwrap();
        assert!(line.contains("0.99 (0.99 to 0.99)") && line.contains("20.2") && line.contains("1.98"), "{line}");
        assert_eq!(table.lines().filter(|l| l.contains("-640")).count(), 3);
    }

    #[test]
    fn columns_line_up() {
        let rows = [["a", "bbb"], ["cc", "d"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&rows), "  a   bbb\n  cc    d\n");
    }
}
