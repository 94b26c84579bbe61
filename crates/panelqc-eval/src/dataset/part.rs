use std::fmt;
use std::str::FromStr;

use panelqc::{Error, Result};

use super::note::{NoteKind, Notes};

/// A part of a labelled set. Its text form is the lower-case name; `valid` and `validation` are `val` too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Part {
    /// What a model is trained on.
    Train,
    /// What a training is watched and ended by.
    Val,
    /// What a finished model is measured on.
    Test,
}

/// Which part of a set is read if nobody says it: the first that it has.
const DEFAULT: [Part; 3] = [Part::Val, Part::Test, Part::Train];

impl Part {
    /// All of them.
    pub const ALL: [Part; 3] = [Part::Train, Part::Val, Part::Test];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Part::Train => "train",
            Part::Val => "val",
            Part::Test => "test",
        }
    }

    /// What a folder, file or key of this name holds: `valid`, `Test`, `val2017`, `obj_train_data` (CVAT).
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let name = name.strip_prefix("obj_").and_then(|name| name.strip_suffix("_data")).unwrap_or(name);
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(name));
        match () {
            () if is(&["train", "training"]) => Some(Part::Train),
            () if is(&["val", "valid", "validation"]) => Some(Part::Val),
            () if is(&["test", "testing"]) => Some(Part::Test),
            () => None,
        }
    }

    /// The part that the folders around a panel of this id name, from the outermost on.
    pub(super) fn of_id(id: &str) -> Option<Self> {
        let (folders, _) = id.rsplit_once('/')?;
        folders.split('/').find_map(Part::of_name)
    }

    /// The part to read of a set that has `have`: the one that was asked for, which has to be there if any is;
    /// otherwise `val`, `test` or `train`, the first that it has. What is left out then is noted. `None` for a set
    /// without parts.
    pub(super) fn choose(
        asked: Option<Part>,
        have: impl IntoIterator<Item = Part>,
        notes: &mut Notes,
    ) -> std::result::Result<Option<Part>, (String, String)> {
        let mut have: Vec<Part> = have.into_iter().collect();
        have.sort_unstable();
        have.dedup();
        let names = || have.iter().map(|part| part.as_str()).collect::<Vec<_>>().join(", ");
        match asked {
            Some(part) if have.is_empty() || have.contains(&part) => Ok(Some(part).filter(|_| !have.is_empty())),
            Some(part) => Err((format!("the part `{part}`"), format!("only {}", names()))),
            None => {
                let chosen = DEFAULT.into_iter().find(|part| have.contains(part));
                let others: Vec<Part> = have.iter().copied().filter(|part| Some(*part) != chosen).collect();
                if let [first, ..] = others[..] {
                    notes.add_many(NoteKind::OtherParts, others.len() as u64, || first.to_string());
                }
                Ok(chosen)
            }
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Part {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "train" => Ok(Part::Train),
            "val" | "valid" | "validation" => Ok(Part::Val),
            "test" => Ok(Part::Test),
            _ => Err(Error::argument(format!("part of a set: expected train, val or test, found `{name}`"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_known_by_many_names() {
        for part in Part::ALL {
            assert_eq!(part.to_string().parse::<Part>().unwrap(), part);
        }
        assert_eq!(["valid", "validation"].map(|name| name.parse::<Part>().unwrap()), [Part::Val; 2]);
        assert!("Val".parse::<Part>().is_err() && "list.txt".parse::<Part>().is_err());
        for (name, part) in [
            ("val2017", Some(Part::Val)),
            ("obj_Validation_data", Some(Part::Val)),
            ("burn_in_test", None),
            ("TRAIN", Some(Part::Train)),
            ("Testing", Some(Part::Test)),
            ("2017", None),
            ("contest", None),
        ] {
            assert_eq!(Part::of_name(name), part, "{name}");
        }
        assert_eq!(Part::of_id("images/val/test"), Some(Part::Val));
        assert_eq!(Part::of_id("test"), None, "an image of that name");
    }

    #[test]
    fn one_part_is_chosen_and_the_others_are_noted() {
        let choose = |asked, have: &[Part]| {
            let mut notes = Notes::default();
            let chosen = Part::choose(asked, have.iter().copied(), &mut notes);
            (chosen, notes.finish(None).len())
        };
        use Part::{Test, Train, Val};
        assert_eq!(choose(None, &[Train, Test, Val, Train]), (Ok(Some(Val)), 1));
        assert_eq!(choose(None, &[Train, Test]), (Ok(Some(Test)), 1));
        assert_eq!(choose(None, &[Train]), (Ok(Some(Train)), 0));
        assert_eq!(choose(None, &[]), (Ok(None), 0));
        assert_eq!(choose(Some(Train), &[Train, Val]), (Ok(Some(Train)), 0));
        assert_eq!(choose(Some(Train), &[]), (Ok(None), 0));
        let error = ("the part `test`".to_owned(), "only train, val".to_owned());
        assert_eq!(choose(Some(Test), &[Train, Val]), (Err(error), 0));
    }
}
