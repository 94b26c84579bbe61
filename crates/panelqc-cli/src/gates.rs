use panelqc_eval::metrics::{Evaluation, PERSON_MS};

/// Limits that a model has to keep; one that does not exits with status 1.
#[derive(clap::Args)]
#[command(next_help_heading = "Gates (exit status 1 when one is not kept)")]
pub(super) struct Gates {
    /// Minimum mAP (`map` in --json).
    #[arg(long, value_name = "X", value_parser = share)]
    min_map: Option<f64>,
    /// Minimum F-score.
    #[arg(long, value_name = "X", value_parser = share)]
    min_f_score: Option<f64>,
    /// Minimum AUROC of the panels' scores.
    #[arg(long, value_name = "X", value_parser = share)]
    min_auroc: Option<f64>,
    /// Minimum accuracy.
    #[arg(long, value_name = "X", value_parser = share)]
    min_accuracy: Option<f64>,
    /// Highest share of defective panels passed.
    #[arg(long, value_name = "X", value_parser = share)]
    max_miss: Option<f64>,
    /// Highest share of good panels failed.
    #[arg(long, value_name = "X", value_parser = share)]
    max_overkill: Option<f64>,
    /// Highest median time an image, as a share of the 2 s that a person needs: 0.01 is 20 ms.
    #[arg(long, value_name = "X", value_parser = positive)]
    max_latency_ratio: Option<f64>,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a number of 0 to 1".to_owned()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if number > 0.0 && f64::is_finite(number) => Ok(number),
        _ => Err("expected a number above 0".to_owned()),
    }
}

impl Gates {
    /// One line for each gate that is not kept; a number that the evaluation does not have keeps none.
    pub(super) fn broken(&self, e: &Evaluation) -> Vec<String> {
        let least = [
            ("map", self.min_map, e.map),
            ("f_score", self.min_f_score, e.f_score),
            ("auroc", self.min_auroc, e.auroc),
            ("accuracy", self.min_accuracy, e.accuracy),
        ];
        let most = [
            ("miss", self.max_miss, e.miss.value),
            ("overkill", self.max_overkill, e.overkill.value),
            ("latency ratio", self.max_latency_ratio, e.ms.map(|ms| ms.total.p50 / PERSON_MS)),
        ];
        let found = |value: Option<f64>| value.map_or("none".to_owned(), |value| value.to_string());
        let least = least.into_iter().filter_map(|(name, limit, value)| {
            let limit = limit.filter(|&limit| value.is_none_or(|value| value < limit))?;
            Some(format!("{name}: expected at least {limit}, found {}", found(value)))
        });
        let most = most.into_iter().filter_map(|(name, limit, value)| {
            let limit = limit.filter(|&limit| value.is_none_or(|value| value > limit))?;
            Some(format!("{name}: expected at most {limit}, found {}", found(value)))
        });
        least.chain(most).collect()
    }
}
