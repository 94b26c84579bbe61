use super::content::Content;
use crate::error::{Error, ErrorKind};

/// Why a file is not read as a picture. It has no name yet: that is the business of who opened it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Some of it is missing or wrong: what was found in place of a whole file.
    Damaged(String),
    /// A sound file that this library does not read: the feature's name.
    Unsupported(String),
    /// Several pictures: how many and what kind of file.
    Several { count: usize, kind: &'static str },
    /// Beyond the limits.
    Limits { expected: String, found: String },
    /// Transparent pixels.
    Transparent,
}

impl Flaw {
    pub(super) fn damaged(found: impl Into<String>) -> Self {
        Flaw::Damaged(found.into())
    }

    pub(super) fn unsupported(feature: impl Into<String>) -> Self {
        Flaw::Unsupported(feature.into())
    }

    /// The error of the file `name`, whose content is `label`.
    pub(super) fn of(self, name: &str, content: Content) -> Error {
        let (kind, expected, found) = match self {
            Flaw::Damaged(found) => {
                (ErrorKind::Damaged, format!("a whole {}", content.label()), format!("a damaged one: {found}"))
            }
            Flaw::Unsupported(feature) => {
                (ErrorKind::Unsupported, format!("a kind of {} that is read here", content.label()), feature)
            }
            Flaw::Several { count, kind } => (
                ErrorKind::Unsupported,
                "one picture in a file (save each as a file of its own; \
                 several files can be the frames of one panel)"
                    .to_owned(),
                format!("{count} pictures in one {kind}"),
            ),
            Flaw::Limits { expected, found } => (ErrorKind::Limits, expected, found),
            Flaw::Transparent => (
                ErrorKind::Unsupported,
                "opaque pixels".to_owned(),
                "transparent ones (an alpha channel below its maximum)".to_owned(),
            ),
        };
        Error::image(name, expected, found).with_kind(kind)
    }
}
