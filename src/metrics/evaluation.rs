use std::collections::BTreeMap;

use serde::Serialize;

use super::classification::{Confusion, auroc};
use super::detection::{DetectionScores, KindScores, Truths, detection_scores};
use super::latency::StageTimes;
use super::rate::Rate;
use super::verdicts::VerdictRates;
use crate::dataset::{Label, Sample};
use crate::defect::Kind;
use crate::model::Model;
use crate::report::{PanelReport, Status, Timings, Trace};

/// IoU above which a detection is right, as DeepPCB defines it.
const IOU: f64 = 0.33;

/// A model measured against labelled panels: the object that `panelqc eval --json` writes. A number that does not
/// apply is absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Evaluation {
    /// Labelled panels, those that could not be inspected included.
    pub images: u64,
    /// Panels that could not be inspected. For detection nothing was found on them; other numbers leave them out, and
    /// their verdict is review.
    pub errors: u64,
    /// See [`DetectionScores::iou`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iou: Option<f64>,
    /// See [`DetectionScores::map`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<f64>,
    /// See [`DetectionScores::f_score`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f_score: Option<f64>,
    /// See [`DetectionScores::f_score_confidence`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f_score_confidence: Option<f32>,
    /// See [`DetectionScores::precision`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
    /// See [`DetectionScores::recall`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recall: Option<f64>,
    /// Right detections, detections and truths, of all kinds, at `f_score_confidence`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detections: Option<KindScores>,
    /// Share of panels whose score is on the right side of the manifest's confidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// The same with its counts and interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_rate: Option<Rate>,
    /// The same over the panels whose label is sure (probability 0 or 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_sure: Option<Rate>,
    /// Counts behind `accuracy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Confusion>,
    /// Area under the receiver operating characteristic of the panels' scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auroc: Option<f64>,
    /// Defective panels passed, of all defective ones.
    pub miss: Rate,
    /// Good panels failed, of all good ones.
    pub overkill: Rate,
    /// Panels for review, of all.
    pub review: Rate,
    /// Panels decided without a person, of all.
    pub decided: Rate,
    /// Right verdicts of those.
    pub decided_right: Rate,
    /// Detection scores of each kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub per_kind: BTreeMap<Kind, KindScores>,
    /// Time a panel, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<StageTimes>,
    /// Panels a second, all threads together, from the first image read to the last verdict.
    pub images_per_s: f64,
    /// What the numbers were made with; `image` is null.
    pub trace: Option<Trace>,
}

impl Evaluation {
    /// Measures the results of `samples`, in the same order, that took `seconds` in all. For detection the results
    /// have to reach down to a low confidence (0.01), or the average precision comes out too low.
    pub fn new(model: &Model, samples: &[Sample], reports: &[PanelReport], seconds: f64) -> Self {
        let pairs = || samples.iter().zip(reports);
        let inspected = || pairs().filter(|(_, report)| report.status == Status::Ok);
        let output = &model.manifest().output;
        let verdicts = VerdictRates::new(pairs().map(|(s, r)| (s.label.is_defective(), r.verdict)));
        let timings: Vec<Timings> = reports.iter().filter_map(|r| r.ms).collect();

        let truths: Vec<Truths> = pairs()
            .filter_map(|(sample, report)| match &sample.label {
                Label::Boxes(truth) => Some(Truths {
                    truth: truth.clone(),
                    found: report.defects.iter().map(|d| (d.kind.clone(), d.confidence.get(), d.bbox)).collect(),
                }),
                _ => None,
            })
            .collect();
        let detection: Option<DetectionScores> =
            (!truths.is_empty()).then(|| detection_scores(&truths, &output.kinds, IOU, output.confidence));

        let called = |report: &PanelReport| report.score.is_some_and(|s| s >= output.confidence);
        let confusion_of = |sure: bool| {
            let mut confusion = Confusion::default();
            for (sample, report) in inspected() {
                if let Label::Probability(p) = sample.label
                    && (!sure || p == 0.0 || p == 1.0)
                {
                    confusion.add(sample.label.is_defective(), called(report));
                }
            }
            (confusion != Confusion::default()).then_some(confusion)
        };
        let confusion = confusion_of(false);
        let accuracy = confusion.map(|c| c.accuracy());
        let scores = inspected().filter_map(|(s, r)| Some((r.score?, s.label.is_defective())));
        let detected = detection.as_ref();
        Evaluation {
            images: reports.len() as u64,
            errors: reports.iter().filter(|r| r.status == Status::Error).count() as u64,
            iou: detected.map(|d| d.iou),
            map: detected.map(|d| d.map),
            f_score: detected.map(|d| d.f_score),
            f_score_confidence: detected.map(|d| d.f_score_confidence),
            precision: detected.map(|d| d.precision),
            recall: detected.map(|d| d.recall),
            detections: detected.map(|d| KindScores {
                ap: d.map,
                right: d.right,
                detections: d.detections,
                truths: d.truths,
            }),
            accuracy: accuracy.and_then(|a| a.value),
            accuracy_rate: accuracy,
            accuracy_sure: confusion_of(true).map(|c| c.accuracy()),
            confusion,
            auroc: auroc(scores),
            miss: verdicts.miss,
            overkill: verdicts.overkill,
            review: verdicts.review,
            decided: verdicts.decided,
            decided_right: verdicts.decided_right,
            per_kind: detection.map(|d| d.per_kind).unwrap_or_default(),
            ms: StageTimes::new(&timings),
            images_per_s: if seconds > 0.0 { reports.len() as f64 / seconds } else { 0.0 },
            trace: reports.first().map(|r| Trace { image: None, ..r.trace.clone() }),
        }
    }
}
