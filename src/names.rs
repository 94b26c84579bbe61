//! Words for the values of an enum: one list, from which both directions follow.

/// Gives an enum without data its words: `ALL`, `name`, `Display`, and `FromStr`, whose error lists what it expects.
macro_rules! named {
    ($type:ident, $what:literal, $($variant:ident => $name:literal),+ $(,)?) => {
        impl $type {
            /// All of them.
            pub const ALL: &'static [$type] = &[$($type::$variant),+];

            /// Its name in manifests and options.
            pub const fn name(self) -> &'static str {
                match self {
                    $($type::$variant => $name),+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::error::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $type::ALL.iter().copied().find(|value| value.name() == text).ok_or_else(|| {
                    let names: Vec<_> = $type::ALL.iter().map(|value| value.name()).collect();
                    let problem = format!("{}: expected one of {}, found `{text}`", $what, names.join(", "));
                    $crate::error::Error::argument(problem)
                })
            }
        }
    };
}

pub(crate) use named;
