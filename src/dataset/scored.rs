use super::Sample;
use crate::hash::sha256_hex;
use crate::report::{PanelReport, Status};
use crate::verdict::ScoredPanel;

/// What a calibration needs of `samples` and their results, in the same order. The results have to reach down to a low
/// confidence (0.01): a panel without any defect scores 0.
pub fn scored_panels(samples: &[Sample], reports: &[PanelReport]) -> Vec<ScoredPanel> {
    let score = |report: &PanelReport| report.defects.iter().map(|d| d.confidence.get()).fold(0.0, f32::max);
    let panels = samples.iter().zip(reports);
    panels
        .map(|(sample, report)| ScoredPanel {
            score: (report.status == Status::Ok).then(|| score(report)),
            defective: sample.label.is_defective(),
            kinds: sample.label.kinds(),
        })
        .collect()
}

/// SHA-256 over the panels that a guarantee was made of: a line for each, sorted, with its id, the hash of its first
/// image (empty when it could not be read), and `good` or `defective` with the kinds marked on it.
pub fn data_sha256(samples: &[Sample], reports: &[PanelReport]) -> String {
    let mut lines: Vec<String> = samples
        .iter()
        .zip(reports)
        .map(|(sample, report)| {
            let label = if sample.label.is_defective() { "defective" } else { "good" };
            let kinds: Vec<_> = sample.label.kinds().into_iter().map(|kind| format!(" {kind}")).collect();
            let image = report.trace.image.as_deref().unwrap_or_default();
            format!("{}\t{image}\t{label}{}\n", sample.files.id, kinds.concat())
        })
        .collect();
    lines.sort_unstable();
    sha256_hex(lines.concat().as_bytes())
}
