use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use panelqc::{Error, Kind, PanelFiles, Result};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::text::{Lines, MOST_OF_SET, read_text};
use super::{Label, Sample, place_of};

/// What a person decided on panels of a report: the file `decisions.json` that the page of
/// `panelqc_report::HtmlReport` saves.
///
/// ```json
/// {"schema":1,"model":"<sha256>","manifest":"<sha256>","policy":null,"panels":656,"decisions":[
///   {"panel":"cell0001","decision":"defective","kind":"crack","at":"2026-11-24T12:00:00Z"},
///   {"panel":"cell0002","decision":"good","kind":null,"at":"2026-11-24T12:00:04Z"}
/// ]}
/// ```
///
/// `model`, `manifest` and `policy` are the hashes of what the report was made with, null where there was none;
/// `panels` is the number of panels in the report; `kind` is null where the person named none; `at` is the time in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decisions {
    path: PathBuf,
    model: Option<String>,
    manifest: Option<String>,
    policy: Option<String>,
    panels: u64,
    decisions: Vec<Decision>,
}

/// A person's decision on one panel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// Id of the panel.
    pub panel: String,
    /// Whether it is defective.
    pub defective: bool,
    /// Which kind of defect it has, where the person named one; none on a good panel.
    pub kind: Option<Kind>,
    /// When it was made, in UTC, as `2026-11-24T12:00:00Z`.
    pub at: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'a> {
    schema: u32,
    #[serde(deserialize_with = "given")]
    model: Option<String>,
    #[serde(deserialize_with = "given")]
    manifest: Option<String>,
    #[serde(deserialize_with = "given")]
    policy: Option<String>,
    panels: u64,
    #[serde(borrow)]
    decisions: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    panel: String,
    decision: Word,
    #[serde(deserialize_with = "given")]
    kind: Option<Kind>,
    at: String,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Word {
    Good,
    Defective,
}

impl Decisions {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](panelqc::ErrorKind::Io) when it cannot be read;
    /// [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) with file and line for another schema, an unknown or missing
    /// key, a panel decided twice, a good panel with a kind of defect, or an invalid time.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = read_text(path, MOST_OF_SET)?;
        Self::parse(&text, path)
    }

    /// Reads the text of the file `path`.
    ///
    /// # Errors
    /// [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) as [`Decisions::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let error = |line: usize, found: String| Error::labels(path, Some(line), "decisions of schema 1", found);
        // A text of JSON that begins on line `first`; the line is in the message's head already, so it leaves its end.
        let syntax = |first: usize, e: serde_json::Error| {
            let found = e.to_string();
            let found = found.rsplit_once(" at line ").map_or(found.as_str(), |(problem, _)| problem);
            error(first + e.line().max(1) - 1, found.to_owned())
        };
        let file: File<'_> = serde_json::from_str(text).map_err(|e| syntax(1, e))?;
        if file.schema != 1 {
            return Err(error(1, format!("schema {}", file.schema)));
        }
        let mut decisions = Vec::with_capacity(file.decisions.len());
        let mut seen = HashSet::new();
        let mut lines = Lines::new(text);
        for raw in file.decisions {
            let number = lines.at(place_of(text, raw));
            let line: Line = serde_json::from_str(raw.get()).map_err(|e| syntax(number, e))?;
            let decision = Decision::try_from(line).map_err(|found| error(number, found))?;
            if !seen.insert(decision.panel.clone()) {
                return Err(error(number, format!("a second decision on panel `{}`", decision.panel)));
            }
            decisions.push(decision);
        }
        let File { model, manifest, policy, panels, .. } = file;
        Ok(Decisions { path: path.to_path_buf(), model, manifest, policy, panels, decisions })
    }

    /// The file that they were read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of the model that the report was made with, in hexadecimal.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// SHA-256 of its manifest.
    pub fn manifest(&self) -> Option<&str> {
        self.manifest.as_deref()
    }

    /// SHA-256 of the policy's file; `None` when there was none.
    pub fn policy(&self) -> Option<&str> {
        self.policy.as_deref()
    }

    /// Number of panels in the report, decided or not.
    pub fn panels(&self) -> u64 {
        self.panels
    }

    /// The decisions, in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Decision> {
        self.decisions.iter()
    }

    /// Replaces the labels of those panels by the decisions: a person looked again. Returns how many panels changed
    /// between good and defective.
    ///
    /// A panel decided good loses its boxes. One decided defective keeps its boxes where it has some, because a
    /// decision has no place on the panel; without, it counts for the verdict and not for detection.
    ///
    /// # Errors
    /// [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) when a decision is on a panel that `samples` does not have:
    /// nothing is changed then.
    pub fn apply(&self, samples: &mut [Sample]) -> Result<usize> {
        let places: HashMap<String, usize> =
            samples.iter().enumerate().map(|(at, sample)| (sample.files.id.clone(), at)).collect();
        let missing: Vec<&str> =
            self.iter().map(|d| d.panel.as_str()).filter(|panel| !places.contains_key(*panel)).collect();
        if let [first, ..] = missing[..] {
            return Err(Error::labels(
                &self.path,
                None,
                "panels of the data set",
                format!("{} that it does not have, the first {first}", missing.len()),
            ));
        }
        let mut changed = 0;
        for decision in self.iter() {
            let Some(sample) = places.get(&decision.panel).and_then(|&at| samples.get_mut(at)) else { continue };
            let same = sample.label.is_defective() == decision.defective;
            changed += usize::from(!same);
            match (&sample.label, decision.defective) {
                (Label::Boxes(_), true) if same => {}
                (Label::Boxes(_), false) => sample.label = Label::Boxes(Vec::new()),
                (Label::Boxes(_), true) => sample.label = Label::Probability(1.0),
                (Label::Probability(_), defective) => sample.label = Label::Probability(f32::from(u8::from(defective))),
                (Label::Kinds(_), true) if same && decision.kind.is_none() => {}
                (Label::Kinds(_), false) => sample.label = Label::Kinds([].into()),
                (Label::Kinds(_), true) => sample.label = decision.label(),
            }
        }
        Ok(changed)
    }

    /// The panels that a decision is on, with it as their only label, in the order of `panels`.
    ///
    /// # Errors
    /// [`ErrorKind::Labels`](panelqc::ErrorKind::Labels) when a decision is on a panel that is not among `panels`.
    pub fn samples(&self, panels: impl IntoIterator<Item = PanelFiles>) -> Result<Vec<Sample>> {
        let decisions: HashMap<&str, &Decision> = self.iter().map(|d| (d.panel.as_str(), d)).collect();
        let decided = panels.into_iter().filter_map(|files| {
            let label = decisions.get(files.id.as_str())?.label();
            Some(Sample { files, label })
        });
        let mut samples: Vec<Sample> = decided.collect();
        self.apply(&mut samples)?;
        Ok(samples)
    }

    /// Whether every panel of the report was decided. Panels chosen by their verdict are not a fair sample of
    /// the line: no guarantee may rest on them alone.
    pub fn is_complete(&self) -> bool {
        self.decisions.len() as u64 == self.panels
    }
}

impl Decision {
    /// The decision as a label without a place on the panel.
    fn label(&self) -> Label {
        match &self.kind {
            Some(kind) => Label::Kinds([kind.clone()].into()),
            None => Label::Probability(f32::from(u8::from(self.defective))),
        }
    }
}

impl TryFrom<Line> for Decision {
    type Error = String;

    fn try_from(line: Line) -> std::result::Result<Self, String> {
        let Line { panel, decision, kind, at } = line;
        let defective = decision == Word::Defective;
        if let Some(kind) = kind.as_ref().filter(|_| !defective) {
            return Err(format!("the good panel `{panel}` with the defect `{kind}`"));
        }
        if !is_time(&at) {
            return Err(format!("`{at}` where a time such as `2026-11-24T12:00:00Z` belongs"));
        }
        Ok(Decision { panel, defective, kind, at })
    }
}

/// Whether the digits and signs stand as in `2026-11-24T12:00:00Z`.
fn is_time(text: &str) -> bool {
    const FORM: &str = "dddd-dd-ddTdd:dd:ddZ";
    text.len() == FORM.len()
        && text.chars().zip(FORM.chars()).all(|(c, form)| if form == 'd' { c.is_ascii_digit() } else { c == form })
}

/// A key that may be null and must not be left out.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(input: D) -> std::result::Result<Option<T>, D::Error> {
    Option::deserialize(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Truth;
    use panelqc::{PanelFiles, PixelBox};

    const HEAD: &str = r#"{"schema":1,"model":"aa","manifest":"bb","policy":null,"panels":3,"decisions":["#;

    fn read(lines: &[&str]) -> Result<Decisions> {
        Decisions::parse(&format!("{HEAD}\n{}\n]}}\n", lines.join(",\n")), Path::new("d.json"))
    }

    const GOOD: &str = r#"{"panel":"a","decision":"good","kind":null,"at":"2026-11-24T12:00:00Z"}"#;
    const CRACK: &str = r#"{"panel":"b","decision":"defective","kind":"crack","at":"2026-11-24T12:00:00Z"}"#;

    #[test]
    fn a_file_is_read() {
        let read = read(&[GOOD, CRACK]).unwrap();
        assert_eq!((read.model(), read.manifest(), read.policy(), read.panels()), (Some("aa"), Some("bb"), None, 3));
        let list: Vec<_> =
            read.iter().map(|d| (d.panel.as_str(), d.defective, d.kind.as_ref().map(Kind::as_str))).collect();
        assert_eq!(list, [("a", false, None), ("b", true, Some("crack"))]);
        assert_eq!(self::read(&[]).unwrap().iter().len(), 0);
    }

    #[test]
    fn what_does_not_belong_is_named_with_its_line() {
        let with = |from: &str, to: &str| GOOD.replace(from, to);
        for (bad, what) in [
            (CRACK.to_owned(), "a second decision on panel `b`"),
            (with("\"kind\":null", "\"kind\":\"crack\""), "the good panel `a` with the defect `crack`"),
            (with("\"good\"", "\"fine\""), "unknown variant `fine`"),
            (with("\"kind\":null,", ""), "missing field `kind`"),
            (with("\"kind\"", "\"sort\":1,\"kind\""), "unknown field `sort`"),
            (with("12:00:00Z", "12:00"), "`2026-11-24T12:00` where a time"),
            (with("{", "["), ""),
        ] {
            let message = read(&[CRACK, &bad]).unwrap_err().to_string();
            assert!(message.starts_with("labels d.json:3: expected decisions of schema 1, found "), "{message}");
            assert!(message.contains(what) && !message.contains("at line"), "{message}");
        }
        for (from, to, what) in [
            ("\"schema\":1", "\"schema\":2", "schema 2"),
            ("\"schema\":1,", "", "missing field `schema`"),
            ("\"policy\":null,", "", "missing field `policy`"),
            ("\"panels\":3", "\"panels\":3,\"more\":1", "unknown field `more`"),
        ] {
            let text = format!("{}{GOOD}]}}", HEAD.replace(from, to));
            let message = Decisions::parse(&text, Path::new("d.json")).unwrap_err().to_string();
            assert!(message.starts_with("labels d.json:1: ") && message.contains(what), "{message}");
        }
        assert!(Decisions::load("no/such/file.json").is_err());
    }

    #[test]
    fn labels_give_way_to_decisions() {
        let truth = Truth::new("open".into(), PixelBox::new(1.0, 1.0, 2.0, 2.0));
        let boxes = |n: usize| Label::Boxes(vec![truth.clone(); n]);
        let kinds = |kind: &str| Label::Kinds([kind.into()].into());
        let set = |a: Label, b: Label| {
            [("a", a), ("b", b), ("c", Label::Probability(0.4))]
                .map(|(id, label)| Sample { files: PanelFiles::new(id), label })
                .to_vec()
        };
        let decisions = read(&[CRACK, GOOD]).unwrap();
        for (before, after, changed) in [
            ([Label::Probability(0.7), Label::Probability(0.3)], [Label::Probability(0.0), Label::Probability(1.0)], 2),
            ([Label::Probability(0.3), Label::Probability(0.7)], [Label::Probability(0.0), Label::Probability(1.0)], 0),
            ([boxes(1), boxes(0)], [boxes(0), Label::Probability(1.0)], 2),
            ([boxes(0), boxes(2)], [boxes(0), boxes(2)], 0),
            ([kinds("dirt"), kinds("dirt")], [Label::Kinds([].into()), kinds("crack")], 1),
        ] {
            let [a, b] = before;
            let mut samples = set(a, b);
            assert_eq!(decisions.apply(&mut samples).unwrap(), changed);
            let [a, b] = after;
            assert_eq!(samples, set(a, b));
        }
        let mut samples = set(boxes(1), boxes(0));
        samples.remove(1);
        let before = samples.clone();
        let message = decisions.apply(&mut samples).unwrap_err().to_string();
        assert!(message.contains("1 that it does not have, the first b"), "{message}");
        assert_eq!(samples, before);
    }

    #[test]
    fn decisions_can_be_the_only_labels() {
        let decisions = read(&[CRACK, GOOD]).unwrap();
        let panels = ["a", "b", "c"].map(PanelFiles::new);
        let samples = decisions.samples(panels).unwrap();
        let labels: Vec<_> = samples.iter().map(|s| (s.files.id.as_str(), s.label.clone())).collect();
        assert_eq!(labels, [("a", Label::Probability(0.0)), ("b", Label::Kinds(["crack".into()].into()))]);
        assert!(decisions.samples([PanelFiles::new("a")]).is_err());
        assert!(!decisions.is_complete(), "the report had 3 panels");
    }
}
