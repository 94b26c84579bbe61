use std::fmt::Write;

use sha2::{Digest, Sha256};

/// SHA-256 of `bytes` in lower-case hexadecimal, 64 characters: as traces, manifests and policies write hashes.
pub fn sha256_hex(bytes: &[u8]) -> String {
    sha256_of([bytes])
}

/// SHA-256 of parts, one after the other, in lower-case hexadecimal.
pub(crate) fn sha256_of<'b>(parts: impl IntoIterator<Item = &'b [u8]>) -> String {
    let mut hash = Hash::default();
    parts.into_iter().for_each(|part| hash.update(part));
    hash.hex()
}

/// SHA-256 of what is given part by part.
#[derive(Default)]
pub(crate) struct Hash(Sha256);

impl Hash {
    pub(crate) fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    /// In lower-case hexadecimal.
    pub(crate) fn hex(self) -> String {
        let mut text = String::with_capacity(64);
        for byte in self.0.finalize() {
            // A string takes whatever is written.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}
