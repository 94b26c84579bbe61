use std::sync::Arc;

/// The numbers of a frame: 8 or 16 bits each, owned, shared or borrowed. Made by `From`, so that
/// [`Frame::new`](super::Frame::new) takes
///
/// * `Vec<u8>` and `Vec<u16>`: owned;
/// * `&[u8]` and `&[u16]`: borrowed, as from a camera's driver;
/// * `Arc<Vec<u8>>`, `Arc<Vec<u16>>`, and `Arc<dyn AsRef<[u8]> + Send + Sync>` or the same with `u16`: shared, for a
///   buffer that goes back to its driver when it is dropped. `as_ref` has to give the same numbers each time.
///
/// None of them is copied.
#[derive(Clone)]
pub struct Samples<'a>(pub(super) Numbers<'a>);

/// By the memory that a number takes.
#[derive(Clone)]
pub(super) enum Numbers<'a> {
    Eight(Memory<'a, u8>),
    Sixteen(Memory<'a, u16>),
}

/// Whose memory it is.
#[derive(Clone)]
pub(super) enum Memory<'a, T> {
    Owned(Vec<T>),
    Shared(Arc<dyn AsRef<[T]> + Send + Sync>),
    Borrowed(&'a [T]),
}

impl Samples<'_> {
    pub(super) fn storage_bits(&self) -> u32 {
        match &self.0 {
            Numbers::Eight(_) => 8,
            Numbers::Sixteen(_) => 16,
        }
    }

    pub(super) fn len(&self) -> usize {
        match &self.0 {
            Numbers::Eight(memory) => memory.as_slice().len(),
            Numbers::Sixteen(memory) => memory.as_slice().len(),
        }
    }

    /// The same, copied where they are borrowed.
    pub(super) fn into_owned(self) -> Samples<'static> {
        Samples(match self.0 {
            Numbers::Eight(memory) => Numbers::Eight(memory.into_owned()),
            Numbers::Sixteen(memory) => Numbers::Sixteen(memory.into_owned()),
        })
    }
}

impl<T: Clone> Memory<'_, T> {
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Memory::Owned(values) => values,
            Memory::Shared(values) => (**values).as_ref(),
            Memory::Borrowed(values) => values,
        }
    }

    fn into_owned(self) -> Memory<'static, T> {
        match self {
            Memory::Owned(values) => Memory::Owned(values),
            Memory::Shared(values) => Memory::Shared(values),
            Memory::Borrowed(values) => Memory::Owned(values.to_vec()),
        }
    }
}

macro_rules! from {
    ($number:ty, $kind:ident) => {
        impl From<Vec<$number>> for Samples<'_> {
            fn from(values: Vec<$number>) -> Self {
                Samples(Numbers::$kind(Memory::Owned(values)))
            }
        }

        impl<'a> From<&'a [$number]> for Samples<'a> {
            fn from(values: &'a [$number]) -> Self {
                Samples(Numbers::$kind(Memory::Borrowed(values)))
            }
        }

        impl<'a> From<&'a Vec<$number>> for Samples<'a> {
            fn from(values: &'a Vec<$number>) -> Self {
                Samples(Numbers::$kind(Memory::Borrowed(values)))
            }
        }

        impl From<Arc<dyn AsRef<[$number]> + Send + Sync>> for Samples<'_> {
            fn from(values: Arc<dyn AsRef<[$number]> + Send + Sync>) -> Self {
                Samples(Numbers::$kind(Memory::Shared(values)))
            }
        }

        impl From<Arc<Vec<$number>>> for Samples<'_> {
            fn from(values: Arc<Vec<$number>>) -> Self {
                Samples(Numbers::$kind(Memory::Shared(values)))
            }
        }
    };
}

from!(u8, Eight);
from!(u16, Sixteen);
