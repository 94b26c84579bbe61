use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::runtime::Provider;

/// Hashes (SHA-256, hexadecimal) of everything that a result depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Trace {
    /// The graph's file.
    pub model: Arc<str>,
    /// The manifest's file.
    pub manifest: Arc<str>,
    /// The files of the package that steps of preprocessing own, by their paths in it. Absent from the JSON form where
    /// there are none.
    #[serde(default, skip_serializing_if = "no_files")]
    pub files: Arc<BTreeMap<String, String>>,
    /// The policy's file; `None` when there was none.
    pub policy: Option<Arc<str>>,
    /// The first image's file; `None` for a panel from memory, or one that could not be read.
    pub image: Option<Arc<str>>,
    /// What ran the graph; `None`, and absent from the JSON form, for the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// Whether parts of the graph ran as operators other than those in the file: see
    /// [`GraphOptions::rewrite`](crate::GraphOptions::rewrite). Absent from the JSON form when `false`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub rewritten: bool,
    /// Version of this library.
    pub version: Arc<str>,
    /// The reference's file; `None`, and absent from the JSON form, where there was none, it came from memory, or it
    /// could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Arc<str>>,
}

fn no_files(files: &Arc<BTreeMap<String, String>>) -> bool {
    files.is_empty()
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Trace {
    /// The trace of a model and its manifest, given their hashes: no policy, on the CPU, not rewritten, by this version
    /// of the library.
    pub fn new(model: impl Into<Arc<str>>, manifest: impl Into<Arc<str>>) -> Self {
        Trace {
            model: model.into(),
            manifest: manifest.into(),
            files: Arc::default(),
            policy: None,
            image: None,
            provider: None,
            rewritten: false,
            version: env!("CARGO_PKG_VERSION").into(),
            reference: None,
        }
    }

    /// The same trace with the hashes of the files that steps own, by their paths in the package. Default: none.
    #[must_use]
    pub fn with_files(mut self, files: impl Into<Arc<BTreeMap<String, String>>>) -> Self {
        self.files = files.into();
        self
    }

    /// The same trace with the hash of a policy's file. Default: none.
    #[must_use]
    pub fn with_policy(mut self, policy: impl Into<Arc<str>>) -> Self {
        self.policy = Some(policy.into());
        self
    }

    /// The same trace with the hash of the first image's file. Default: none.
    #[must_use]
    pub fn with_image(mut self, image: impl Into<Arc<str>>) -> Self {
        self.image = Some(image.into());
        self
    }

    /// The same trace with the hash of the reference's file. Default: none.
    #[must_use]
    pub fn with_reference(mut self, reference: impl Into<Arc<str>>) -> Self {
        self.reference = Some(reference.into());
        self
    }

    /// The same trace of a graph that another provider ran. Default: the CPU.
    #[must_use]
    pub fn with_provider(mut self, provider: Provider) -> Self {
        self.provider = Some(provider).filter(|&provider| provider != Provider::Cpu);
        self
    }

    /// The same trace of a graph that was, or was not, rewritten. Default: it was not.
    #[must_use]
    pub fn with_rewritten(mut self, rewritten: bool) -> Self {
        self.rewritten = rewritten;
        self
    }

    /// The same trace by another version of this library. Default: this version.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<Arc<str>>) -> Self {
        self.version = version.into();
        self
    }

    /// In what a result with this trace was made otherwise than one with `other`: `model`, `manifest`, `files`,
    /// `policy`, `provider`, `rewriting` or `version`, the first that differs. `None` where only the images and their
    /// references may be others.
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        let differences = [
            (self.model != other.model, "model"),
            (self.manifest != other.manifest, "manifest"),
            (self.files != other.files, "files"),
            (self.policy != other.policy, "policy"),
            (self.provider != other.provider, "provider"),
            (self.rewritten != other.rewritten, "rewriting"),
            (self.version != other.version, "version"),
        ];
        differences.into_iter().find_map(|(differs, name)| differs.then_some(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_names_the_provider_unless_it_is_the_cpu() {
        let json =
            |provider| serde_json::to_string(&Trace::new("m", "f").with_provider(provider).with_version("1")).unwrap();
        let same = r#"{"model":"m","manifest":"f","policy":null,"image":null,"#;
        assert_eq!(json(Provider::Cpu), format!(r#"{same}"version":"1"}}"#));
        assert_eq!(json(Provider::TensorRt), format!(r#"{same}"provider":"tensorrt","version":"1"}}"#));
    }

    #[test]
    fn what_differs_is_named_and_another_image_does_not() {
        let trace = Trace::new("m", "f").with_policy("p");
        assert_eq!(trace.difference(&trace.clone().with_image("i").with_reference("r")), None);
        for (other, name) in [
            (Trace::new("n", "f").with_policy("p"), "model"),
            (Trace::new("m", "g").with_policy("p"), "manifest"),
            (Trace::new("m", "f"), "policy"),
            (trace.clone().with_provider(Provider::Cuda), "provider"),
            (trace.clone().with_files(BTreeMap::from([("flat.png".to_owned(), "h".to_owned())])), "files"),
            (trace.clone().with_rewritten(true), "rewriting"),
            (trace.clone().with_version("0"), "version"),
        ] {
            assert_eq!(trace.difference(&other), Some(name));
        }
    }
}
