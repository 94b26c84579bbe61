use std::collections::HashMap;

use panelqc::{PanelRecord, PanelReport, Policy, Size, Verdict, sha256_hex};

use super::Sample;
use super::note::{Note, NoteKind, Notes};
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

/// Panels of `samples` whose first image is, byte for byte, that of an earlier one: an image that is counted twice says
/// no more than once. By the hashes in the records, which are in the same order; a panel that could not be read has
/// none.
pub fn same_images(samples: &[Sample], records: &[PanelRecord]) -> Vec<Note> {
    let mut notes = Notes::default();
    let mut seen: HashMap<&str, &Sample> = HashMap::new();
    for (sample, record) in samples.iter().zip(records) {
        let Some(image) = record.trace().image.as_deref() else { continue };
        let Some(first) = seen.get(image) else {
            seen.insert(image, sample);
            continue;
        };
        let place = || format!("{}, which is {}", sample.files.id, first.files.id);
        notes.add(NoteKind::SameImage, place);
        if first.label.is_defective() != sample.label.is_defective() {
            notes.add(NoteKind::Contradiction, place);
        }
    }
    notes.finish(None)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use panelqc::{Confidence, Defect, FrameInfo, PixelBox, Trace};

    use super::*;
    use crate::dataset::Label;

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

    #[test]
    fn an_image_under_two_names_is_counted() {
        let panels = [("a", "1", 0.0), ("b", "2", 1.0), ("c", "1", 0.0), ("d", "1", 1.0)];
        let samples =
            panels.map(|(id, _, p)| Sample::of_image(id.to_owned(), format!("{id}.png"), Label::Probability(p)));
        let mut records = panels.map(|(id, image, _)| {
            let trace = Trace::new("m", "f").with_image(image);
            PanelRecord::from(PanelReport::new(id, FrameInfo::new(Size::new(8, 8)), trace))
        });
        let notes: Vec<_> = same_images(&samples, &records).iter().map(Note::to_string).collect();
        assert_eq!(
            notes,
            [
                "2 panels have the image of another one, the first c, which is a",
                "1 panel has the image of another one, and the opposite label, the first d, which is a",
            ]
        );
        let unread = PanelReport::new("a", FrameInfo::new(Size::new(8, 8)), Trace::new("m", "f"));
        records[2] = unread.clone().into();
        records[3] = unread.into();
        assert_eq!(same_images(&samples, &records), [], "without a hash nothing is known");
    }
}
