use panelqc::{PanelRecord, PanelReport, Policy, Size, Verdict, sha256_hex};

use super::Sample;
use crate::calibration::ScoredPanel;

/// The confidence down to which results have to reach where limits are chosen by them or an average precision is
/// measured ([`InspectorBuilder::floor`](panelqc::InspectorBuilder::floor)).
pub const FLOOR: f32 = 0.01;

/// What a calibration needs of `samples` and their results, in the same order, under a policy whose `[default]` limits
/// are to be chosen. The results have to reach down to [`FLOOR`]: a panel without any defect scores 0.
pub fn scored_panels(policy: &Policy, samples: &[Sample], records: &[PanelRecord]) -> Vec<ScoredPanel> {
    let panels = samples.iter().zip(records);
    panels
        .map(|(sample, record)| ScoredPanel {
            score: scored(record, |report, frames| policy.review_score(&report.defects, frames)),
            defective: sample.label.is_defective(),
            kinds: sample.label.kinds(),
        })
        .collect()
}

/// The scores that the fail limit is chosen by, at a review limit, in the order of `records`.
pub fn fail_scores(policy: &Policy, records: &[PanelRecord], review: f32) -> Vec<Option<f32>> {
    let score = |record| scored(record, |report, frames| policy.fail_score(&report.defects, frames, review));
    records.iter().map(score).collect()
}

/// What another policy makes of a result; review for a panel that could not be inspected. The result has to reach down
/// to that policy's limits.
pub fn verdict(policy: &Policy, record: &PanelRecord) -> Verdict {
    scored(record, |report, frames| policy.judge(&report.defects, frames).verdict).unwrap_or(Verdict::Review)
}

/// Something of a panel that was inspected, whose frames have these sizes.
fn scored<T>(record: &PanelRecord, score: impl FnOnce(&PanelReport, &[Size]) -> T) -> Option<T> {
    record.report().map(|report| score(report, &report.sizes()))
}

/// SHA-256 over the panels that a guarantee was made of: a line for each, sorted, with its id, the hash of its first
/// image (empty when it could not be read), and `good` or `defective` with the kinds marked on it.
pub fn data_sha256(samples: &[Sample], records: &[PanelRecord]) -> String {
    let mut lines: Vec<String> = samples
        .iter()
        .zip(records)
        .map(|(sample, record)| {
            let label = if sample.label.is_defective() { "defective" } else { "good" };
            let kinds: Vec<_> = sample.label.kinds().into_iter().map(|kind| format!(" {kind}")).collect();
            let image = record.trace().image.as_deref().unwrap_or_default();
            format!("{}\t{image}\t{label}{}\n", sample.files.id, kinds.concat())
        })
        .collect();
    lines.sort_unstable();
    sha256_hex(lines.concat().as_bytes())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use panelqc::{Confidence, Defect, FrameInfo, PixelBox, Trace};

    use super::*;

    #[test]
    fn each_frame_has_a_size_of_its_own() {
        // Fails what lies within 5 px of a frame's border, and nothing else.
        let rules = "schema = 1\nname = \"t\"\n[default]\nreview = 0.9\nfail = 0.9\n[zones.rim]\nmargin = { px = 5 }\n\
                     [[rules]]\nname = \"rim\"\nzones = [\"rim\"]\nconfidence = 0.1\nverdict = \"fail\"\n";
        let policy = Policy::parse(rules, Path::new("p.toml")).unwrap();
        let bbox = PixelBox::new(88.0, 40.0, 98.0, 50.0);
        let found = Defect::new("a".into(), Confidence::new(0.5).unwrap(), bbox).on_frame(1);
        let report = PanelReport::new("p", FrameInfo::new(Size::new(400, 200)), Trace::new("m", "f"))
            .with_frame(FrameInfo::new(Size::new(100, 80)))
            .with_defects(vec![found]);
        let record = PanelRecord::from(report);
        assert_eq!(verdict(&policy, &record), Verdict::Fail);
    }
}
