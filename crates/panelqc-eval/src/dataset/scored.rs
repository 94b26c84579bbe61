use panelqc::{PanelReport, Policy, Size, Status, Verdict, sha256_hex};

use super::Sample;
use crate::calibration::ScoredPanel;

/// What a calibration needs of `samples` and their results, in the same order, under a policy whose `[default]` limits
/// are to be chosen. The results have to reach down to a low confidence (0.01): a panel without any defect scores 0.
pub fn scored_panels(policy: &Policy, samples: &[Sample], reports: &[PanelReport]) -> Vec<ScoredPanel> {
    let panels = samples.iter().zip(reports);
    panels
        .map(|(sample, report)| ScoredPanel {
            score: scored(report, |frames| policy.review_score(&report.defects, frames)),
            defective: sample.label.is_defective(),
            kinds: sample.label.kinds(),
        })
        .collect()
}

/// The scores that the fail limit is chosen by, at a review limit, in the order of `reports`.
pub fn fail_scores(policy: &Policy, reports: &[PanelReport], review: f32) -> Vec<Option<f32>> {
    let score = |report: &PanelReport| scored(report, |frames| policy.fail_score(&report.defects, frames, review));
    reports.iter().map(score).collect()
}

/// What another policy makes of a result; review for a panel that could not be inspected. The result has to reach down
/// to that policy's limits.
pub fn verdict(policy: &Policy, report: &PanelReport) -> Verdict {
    scored(report, |frames| policy.judge(&report.defects, frames).verdict).unwrap_or(Verdict::Review)
}

/// Something of a panel that was inspected. All its frames are taken to be as large as the first.
fn scored<T>(report: &PanelReport, score: impl FnOnce(&[Size]) -> T) -> Option<T> {
    let size = Size::new(report.width?, report.height?);
    let frames = report.defects.iter().filter_map(|d| d.frame).max().unwrap_or(0) + 1;
    (report.status == Status::Ok).then(|| score(&vec![size; frames]))
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
