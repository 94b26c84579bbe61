use std::collections::BTreeMap;

use panelqc::{Defect, Kind, OutputConfig, PanelRecord, PanelReport, Task, Timings, Trace, Verdict};
use serde::Serialize;

use super::classification::{Confusion, auroc, average_precision};
use super::coco::{AverageRecall, BySize, CocoScores};
use super::detection::{CurvePoint, DetectionScores, KindScores, Protocol, detection_scores};
use super::kinds::KindConfusion;
use super::latency::StageTimes;
use super::options::EvaluationOptions;
use super::outcome::PanelOutcome;
use super::overlap::{Shape, Truths};
use super::pixels::PixelScores;
use super::rate::Rate;
use super::reliability::{RiskCoverage, calibration_error};
use super::segments::{PixelOverlap, SegmentScores};
use super::verdicts::VerdictRates;
use crate::dataset::{Label, Note, Sample, Truth, same_images};

/// The name of good panels in a [`KindConfusion`] of classes.
const GOOD: &str = "good";
/// The name of defective panels there, where the labels name no kind.
const DEFECTIVE: &str = "defective";

/// A model measured against labelled panels: the object that `panelqc eval --json` writes. A number that does not
/// apply is absent. How each is defined: `docs/METRICS.md`.
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
    /// [`CocoScores::map`] of the boxes; for DeepPCB the set's own, [`DetectionScores::map`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<f64>,
    /// See [`CocoScores::map50`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map50: Option<f64>,
    /// See [`CocoScores::map75`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map75: Option<f64>,
    /// See [`CocoScores::ap_by_size`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ap_by_size: Option<BySize>,
    /// See [`CocoScores::ar`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ar: Option<AverageRecall>,
    /// The same of the masks, where labels and model have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masks: Option<CocoScores>,
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
    /// What was taken for what: detections with `background`, or classes with `good`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confusion_kinds: Option<KindConfusion>,
    /// Plain mean of the classes' F1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f1: Option<f64>,
    /// F1 of each class.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub f1_per_kind: BTreeMap<Kind, f64>,
    /// Area under the receiver operating characteristic of the panels' scores, defective against good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auroc: Option<f64>,
    /// Plain mean of the kinds' areas, each against all other panels, where the labels name several kinds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auroc_kinds: Option<f64>,
    /// Average precision of the panels' scores, defective against good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aupr: Option<f64>,
    /// See [`PixelScores::aupro`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aupro: Option<f64>,
    /// See [`PixelScores::auroc`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pixel_auroc: Option<f64>,
    /// See [`SegmentScores::mean_iou`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_iou: Option<f64>,
    /// See [`SegmentScores::dice`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dice: Option<f64>,
    /// Pixels of each kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub segments: BTreeMap<Kind, PixelOverlap>,
    /// See [`calibration_error`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ece: Option<f64>,
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
    /// Single defects without a detection of any kind that overlaps enough (`iou`) and by itself keeps the panel from
    /// passing (it reaches the policy's review limit), of all on the panels that could be inspected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defect_miss: Option<Rate>,
    /// See [`RiskCoverage`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk_coverage: Option<RiskCoverage>,
    /// Detection scores of each kind; `ap` is made like `map`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub per_kind: BTreeMap<Kind, KindScores>,
    /// Time per panel, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<StageTimes>,
    /// Panels per second, all threads together, from the first image read to the last verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_per_s: Option<f64>,
    /// What the numbers were made with; `image` is null.
    pub trace: Option<Trace>,
    /// Curves to draw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curves: Option<Curves>,
    /// Each panel, for a comparison of two models.
    pub panels: Vec<PanelOutcome>,
    /// What whoever reads the numbers should know of the panels. [`Evaluator::finish`] adds images that stand under
    /// two names; what their reader noticed ([`Dataset::notes`](crate::dataset::Dataset::notes)) may come before them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

impl Evaluation {
    /// Measures results, in the order of `samples`, that took `seconds` in all: [`Evaluator`] in one step.
    pub fn new(options: EvaluationOptions, samples: &[Sample], records: &[PanelRecord], seconds: f64) -> Self {
        let mut evaluator = Evaluator::new(options);
        for (sample, record) in samples.iter().zip(records) {
            evaluator.add(sample.clone(), record.clone());
        }
        evaluator.finish(seconds)
    }
}

/// Curves to draw.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Curves {
    /// Of each kind, most confident first.
    pub precision_recall: BTreeMap<Kind, Vec<CurvePoint>>,
}

/// Takes labelled panels with their results one by one and makes an [`Evaluation`] of them.
///
/// For detection the results have to reach down to a low confidence (0.01), or the average precision comes out too low;
/// for classes down to 0. Pixels are measured where the inspector [keeps maps](panelqc::InspectorBuilder::keep_maps).
#[derive(Debug)]
pub struct Evaluator {
    options: EvaluationOptions,
    samples: Vec<Sample>,
    records: Vec<PanelRecord>,
    /// Made when the first map comes.
    pixels: Option<PixelScores>,
}

impl Evaluator {
    /// For results that were made, and are judged, as `options` say.
    pub fn new(options: EvaluationOptions) -> Self {
        Evaluator { options, samples: Vec::new(), records: Vec::new(), pixels: None }
    }

    /// Adds a panel. The report's maps are counted and dropped, so that memory does not grow with them.
    pub fn add(&mut self, sample: Sample, mut record: PanelRecord) {
        let maps = match &mut record {
            PanelRecord::Inspected(report) => std::mem::take(&mut report.maps),
            PanelRecord::Failed(_) => Vec::new(),
        };
        let masks = || truths(&sample).iter().filter_map(|truth| truth.mask.as_ref());
        // Without its masks a defective panel's pixels would count as good.
        if !sample.label.is_defective() || masks().next().is_some() {
            for map in &maps {
                self.pixels.get_or_insert_default().add(map.view(), masks());
            }
        }
        self.samples.push(sample);
        self.records.push(record);
    }

    /// The panels so far, in order.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Their results, in the same order.
    pub fn records(&self) -> &[PanelRecord] {
        &self.records
    }

    fn inspected(&self) -> impl Iterator<Item = (&Sample, &PanelReport)> {
        self.samples.iter().zip(&self.records).filter_map(|(sample, record)| Some((sample, record.report()?)))
    }

    /// The numbers of all panels, which took `seconds` in all; 0 for results that another run has stored.
    pub fn finish(&self, seconds: f64) -> Evaluation {
        let EvaluationOptions { task, ref output, protocol, .. } = self.options;
        let pairs = || self.samples.iter().zip(&self.records);
        let scores = || self.inspected().map(|(s, r)| (r.score, s.label.is_defective()));
        let verdicts = VerdictRates::new(pairs().map(|(s, r)| (s.label.is_defective(), r.verdict())));
        let timings: Vec<Timings> = self.records.iter().filter_map(PanelRecord::ms).collect();

        let located = self.samples.iter().any(|s| matches!(s.label, Label::Boxes(_)));
        let images: Vec<Truths> = pairs().map(|(s, r)| Truths { truth: truths(s), found: r.defects() }).collect();
        let kinds = self.kinds(output);
        let masked = located && self.samples.iter().flat_map(truths).all(|truth| truth.mask.is_some());
        let detects = located && matches!(task, Task::Detect | Task::Instance);
        let detection = detects.then(|| self.detection(&images, &kinds, masked && task == Task::Instance, output));
        let segments = (masked && matches!(task, Task::Segment | Task::Instance))
            .then(|| SegmentScores::new(&images, &kinds, |kind| output.confidence_of(kind)))
            .flatten();

        let judged = !detects && task != Task::Segment;
        let confusion_of = |sure: bool| {
            let mut confusion = Confusion::default();
            for (sample, report) in self.inspected() {
                let is_sure = !matches!(sample.label, Label::Probability(p) if p != 0.0 && p != 1.0);
                if is_sure || !sure {
                    confusion.add(sample.label.is_defective(), report.score >= output.confidence);
                }
            }
            (judged && confusion != Confusion::default()).then_some(confusion)
        };
        let confusion = confusion_of(false);
        let accuracy = confusion.map(|c| c.accuracy());
        let unsure = self.samples.iter().any(|s| matches!(s.label, Label::Probability(_)));
        let classes = (judged && task == Task::Classify).then(|| self.classes(output));

        let detected = detection.as_ref();
        let panels = pairs().enumerate().map(|(i, (sample, record))| {
            let counts = detected.and_then(|d| d.own.per_image.get(i).copied());
            PanelOutcome::new(sample, record, output.confidence, counts)
        });
        Evaluation {
            images: self.records.len() as u64,
            errors: self.records.iter().filter(|r| !r.is_inspected()).count() as u64,
            iou: detected.map(|d| d.own.iou),
            map: detected.and_then(|d| if protocol == Protocol::Deeppcb { Some(d.own.map) } else { d.coco.map }),
            map50: detected.and_then(|d| d.coco.map50),
            map75: detected.and_then(|d| d.coco.map75),
            ap_by_size: detected.map(|d| d.coco.ap_by_size).filter(|sizes| *sizes != BySize::default()),
            ar: detected.map(|d| d.coco.ar).filter(|ar| *ar != AverageRecall::default()),
            f_score: detected.map(|d| d.own.f_score),
            f_score_confidence: detected.map(|d| d.own.f_score_confidence),
            precision: detected.map(|d| d.own.precision),
            recall: detected.map(|d| d.own.recall),
            detections: detected.map(|d| d.own.all),
            accuracy: accuracy.and_then(|a| a.value),
            accuracy_rate: accuracy,
            accuracy_sure: confusion_of(true).filter(|_| unsure).map(|c| c.accuracy()),
            confusion,
            f1: classes.as_ref().and_then(KindConfusion::macro_f1),
            f1_per_kind: classes.as_ref().map(KindConfusion::f1).unwrap_or_default(),
            confusion_kinds: detected.map(|d| d.confusion.clone()).or(classes),
            auroc: auroc(scores()),
            auroc_kinds: judged.then(|| self.auroc_kinds()).flatten(),
            aupr: average_precision(scores()).filter(|_| scores().any(|(_, defective)| !defective)),
            aupro: self.pixels.as_ref().and_then(PixelScores::aupro),
            pixel_auroc: self.pixels.as_ref().and_then(PixelScores::auroc),
            mean_iou: segments.as_ref().map(|s| s.mean_iou),
            dice: segments.as_ref().map(|s| s.dice),
            segments: segments.map(|s| s.per_kind).unwrap_or_default(),
            ece: judged.then(|| calibration_error(scores())).flatten(),
            miss: verdicts.miss,
            overkill: verdicts.overkill,
            review: verdicts.review,
            decided: verdicts.decided,
            decided_right: verdicts.decided_right,
            defect_miss: (located && task != Task::Classify && task != Task::Anomaly).then(|| self.defect_miss()),
            risk_coverage: RiskCoverage::new(scores(), output.confidence),
            masks: detected.and_then(|d| d.masks.clone()),
            per_kind: detected.map(|d| d.per_kind(protocol)).unwrap_or_default(),
            ms: StageTimes::new(&timings),
            images_per_s: (seconds > 0.0).then(|| self.records.len() as f64 / seconds),
            trace: self.records.first().map(|r| {
                let mut trace = r.trace().clone();
                (trace.image, trace.reference) = (None, None);
                trace
            }),
            panels: panels.collect(),
            notes: same_images(&self.samples, &self.records),
            curves: detection.as_ref().map(|d| Curves { precision_recall: d.own.curves.clone() }),
        }
    }

    /// The model's kinds of defect, then those that only the labels have: what nobody can find is missed.
    fn kinds(&self, output: &OutputConfig) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = output.kinds.iter().filter(|kind| !output.good.contains(kind)).cloned().collect();
        for kind in self.samples.iter().flat_map(|sample| sample.label.kinds()) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds
    }

    fn detection(&self, images: &[Truths<'_>], kinds: &[Kind], masks: bool, output: &OutputConfig) -> Detection {
        Detection {
            own: detection_scores(images, kinds, self.options.protocol, output.confidence),
            coco: CocoScores::new(images, kinds, Shape::Box),
            masks: masks.then(|| CocoScores::new(images, kinds, Shape::Mask)),
            confusion: KindConfusion::of_detections(images, kinds, self.options.protocol, output.confidence),
        }
    }

    /// Classes of the panels that could be inspected: what is called good has the class [`GOOD`].
    fn classes(&self, output: &OutputConfig) -> KindConfusion {
        KindConfusion::of_classes(self.inspected().map(|(sample, report)| {
            let named = !matches!(sample.label, Label::Probability(_));
            let class = |kind: Option<Kind>| match kind {
                None => Kind::from(GOOD),
                Some(kind) if named => kind,
                Some(_) => Kind::from(DEFECTIVE),
            };
            let called = report.score >= output.confidence;
            let found = report.defects.first().map(|defect| defect.kind.clone()).filter(|_| called);
            let truth = sample.label.kinds().into_iter().next();
            let truth = truth.or_else(|| sample.label.is_defective().then(|| Kind::from(DEFECTIVE)));
            (class(truth), class(found))
        }))
    }

    /// Mean over the kinds that some panels have and others have not; `None` for fewer than two.
    fn auroc_kinds(&self) -> Option<f64> {
        let kinds = self.kinds(&self.options.output);
        let areas = kinds.iter().filter_map(|kind| {
            auroc(self.inspected().map(|(sample, report)| {
                let of_kind = report.defects.iter().filter(|d| d.kind == *kind);
                let score = of_kind.map(|d| d.confidence.get()).fold(0.0, f32::max);
                (score, sample.label.kinds().contains(kind))
            }))
        });
        let areas: Vec<f64> = areas.collect();
        (areas.len() > 1).then(|| areas.iter().sum::<f64>() / areas.len() as f64)
    }

    fn defect_miss(&self) -> Rate {
        let EvaluationOptions { judge, protocol, .. } = &self.options;
        let (mut missed, mut all) = (0, 0);
        for (sample, report) in self.inspected() {
            let sizes = report.sizes();
            let noticed = |d: &&Defect| judge.judge(std::slice::from_ref(*d), &sizes).verdict != Verdict::Pass;
            let found: Vec<&Defect> = report.defects.iter().filter(noticed).collect();
            for truth in truths(sample).iter().filter(|truth| !truth.ignore) {
                let finds = |shape: Shape, d: &Defect| protocol.accepts(shape.overlap(truth, d));
                all += 1;
                missed += u64::from(!found.iter().any(|d| finds(Shape::Box, d) || finds(Shape::Mask, d)));
            }
        }
        Rate::new(missed, all)
    }
}

/// What was marked on a panel; nothing where the labels give no place.
fn truths(sample: &Sample) -> &[Truth] {
    match &sample.label {
        Label::Boxes(truths) => truths,
        _ => &[],
    }
}

/// All numbers of a detector.
struct Detection {
    own: DetectionScores,
    coco: CocoScores,
    masks: Option<CocoScores>,
    confusion: KindConfusion,
}

impl Detection {
    fn per_kind(&self, protocol: Protocol) -> BTreeMap<Kind, KindScores> {
        let mut per_kind = self.own.per_kind.clone();
        if protocol != Protocol::Deeppcb {
            for (kind, scores) in &mut per_kind {
                scores.ap = self.coco.per_kind.get(kind).copied().unwrap_or(0.0);
            }
        }
        per_kind
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use panelqc::{Confidence, FrameInfo, Manifest, PanelFiles, PixelBox, Policy, Preprocess, Size};

    use super::*;

    #[test]
    fn a_defect_on_a_later_frame_is_noticed_only_where_the_policy_notices_it() {
        // Fails what lies within 5 px of a frame's border, and nothing else.
        let rules = "schema = 1\nname = \"t\"\n[default]\nreview = 0.9\nfail = 0.9\n[zones.rim]\nmargin = { px = 5 }\n\
                     [[rules]]\nname = \"rim\"\nzones = [\"rim\"]\nconfidence = 0.1\nverdict = \"fail\"\n";
        let output = OutputConfig::new(vec!["a".into()]);
        let manifest = Manifest::new("m", Task::Detect, Preprocess::new(Size::new(64, 64)), output);
        let policy = Policy::parse(rules, Path::new("p.toml")).unwrap();
        let missed = |bbox: PixelBox| {
            let sample = Sample {
                files: PanelFiles::from_files("p", vec!["0.png".into(), "1.png".into()]),
                label: Label::Boxes(vec![Truth::new("a".into(), bbox)]),
            };
            let found = Defect::new("a".into(), Confidence::new(0.5).unwrap(), bbox).on_frame(1);
            let report = PanelReport::new("p", FrameInfo::new(Size::new(400, 200)), Trace::new("m", "f"))
                .with_frame(FrameInfo::new(Size::new(100, 80)))
                .with_defects(vec![found]);
            let options = EvaluationOptions::new(&manifest).with_judge(policy.clone());
            Evaluation::new(options, &[sample], &[report.into()], 0.0).defect_miss.unwrap().count
        };
        assert_eq!(missed(PixelBox::new(40.0, 40.0, 50.0, 50.0)), 1, "in the middle of the second frame");
        assert_eq!(missed(PixelBox::new(88.0, 40.0, 98.0, 50.0)), 0, "at its border");
    }
}
