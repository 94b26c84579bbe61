use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::Part;

/// What was noticed while a labelled set was read or measured. It stops nothing, but whoever reads a number of that set
/// should know it. Its text form is one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Note {
    /// What it is about.
    pub kind: NoteKind,
    /// How often it was seen.
    pub count: u64,
    /// The same as a sentence, without its full stop.
    pub text: String,
    /// The first of them: a panel's id, or a file with its line.
    pub first: String,
}

/// What a [`Note`] is about. In JSON it is its name in lower case with hyphens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NoteKind {
    /// Parts of the set (train, val, test) that were left out, because nobody said which is meant.
    OtherParts,
    /// Parts that the set names and that are not there.
    AbsentParts,
    /// Images without a label file, which count as good.
    Unlabelled,
    /// Images without a label, which were left out.
    LeftOut,
    /// Label files without an image, which were left out.
    WithoutImage,
    /// Boxes that reached up to 1 px over the edge of their image and were clipped.
    Clipped,
    /// Labels that stand twice in their file and count once.
    Repeated,
    /// Label files without a size, or with one of 0: that of the image was taken.
    SizeOfImage,
    /// Categories that have the name of another one and no label.
    SameName,
    /// Panels whose image is, byte for byte, that of another panel.
    SameImage,
    /// Those of them that are labelled good once and defective once.
    Contradiction,
}

impl NoteKind {
    /// One, several.
    fn words(self) -> [&'static str; 2] {
        match self {
            NoteKind::OtherParts => ["other part of the set was left out", "other parts of the set were left out"],
            NoteKind::AbsentParts => ["part that the set names is not there", "parts that the set names are not there"],
            NoteKind::Unlabelled => {
                ["image has no label file and counts as good", "images have no label file and count as good"]
            }
            NoteKind::LeftOut => ["image has no label and was left out", "images have no label and were left out"],
            NoteKind::WithoutImage => {
                ["label file has no image and was left out", "label files have no image and were left out"]
            }
            NoteKind::Clipped => [
                "box reached up to 1 px over the edge of its image and was clipped",
                "boxes reached up to 1 px over the edge of their image and were clipped",
            ],
            NoteKind::Repeated => {
                ["label stands twice in its file and counts once", "labels stand twice in their file and count once"]
            }
            NoteKind::SizeOfImage => [
                "label file states no size: that of the image was taken",
                "label files state no size: those of the images were taken",
            ],
            NoteKind::SameName => [
                "category has the name of another one, and no label",
                "categories have the name of another one, and no label",
            ],
            NoteKind::SameImage => ["panel has the image of another one", "panels have the image of another one"],
            NoteKind::Contradiction => [
                "panel has the image of another one, and the opposite label",
                "panels have the image of another one, and the opposite label",
            ],
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, the first {}", self.text, self.first)
    }
}

/// Counts what is noticed while a set is read.
#[derive(Debug, Default)]
pub(crate) struct Notes(BTreeMap<NoteKind, (u64, String)>);

impl Notes {
    /// One more; `first` says where, if it is the first.
    pub(crate) fn add(&mut self, kind: NoteKind, first: impl FnOnce() -> String) {
        self.add_many(kind, 1, first);
    }

    /// `count` more.
    pub(crate) fn add_many(&mut self, kind: NoteKind, count: u64, first: impl FnOnce() -> String) {
        if count > 0 {
            self.0.entry(kind).or_insert_with(|| (0, first())).0 += count;
        }
    }

    /// The notes of a set of which `part` was read.
    pub(crate) fn finish(self, part: Option<Part>) -> Vec<Note> {
        let note = |(kind, (count, first)): (NoteKind, (u64, String))| {
            let [one, several] = kind.words();
            let mut text = format!("{count} {}", if count == 1 { one } else { several });
            if let (NoteKind::OtherParts, Some(part)) = (kind, part) {
                text.push_str(&format!(": `{part}` was read"));
            }
            Note { kind, count, text, first }
        };
        self.0.into_iter().map(note).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_one_line() {
        let mut notes = Notes::default();
        notes.add(NoteKind::Clipped, || "a.txt:3".to_owned());
        notes.add(NoteKind::Clipped, || unreachable!("only the first is named"));
        notes.add(NoteKind::Unlabelled, || "b".to_owned());
        notes.add_many(NoteKind::LeftOut, 0, || unreachable!("none"));
        notes.add_many(NoteKind::OtherParts, 2, || "train".to_owned());
        let notes = notes.finish(Some(Part::Val));
        assert_eq!(
            notes.iter().map(Note::to_string).collect::<Vec<_>>(),
            [
                "2 other parts of the set were left out: `val` was read, the first train",
                "1 image has no label file and counts as good, the first b",
                "2 boxes reached up to 1 px over the edge of their image and were clipped, the first a.txt:3",
            ]
        );
        let json = serde_json::to_value(&notes[1]).unwrap();
        assert_eq!((&json["kind"], &json["count"], &json["first"]), (&"unlabelled".into(), &1.into(), &"b".into()));
    }
}
