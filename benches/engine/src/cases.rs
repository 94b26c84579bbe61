use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use panelqc::{FrameLimits, Panel, PanelFiles};
use serde::Deserialize;

use super::Failure;

/// The pictures of all cases, as `cargo xtask bench` names them to every participant.
#[derive(Deserialize)]
pub(super) struct Cases {
    /// Cores that a participant may use.
    pub(super) workers: usize,
    /// By name.
    pub(super) cases: BTreeMap<String, Case>,
}

/// One kind of picture.
#[derive(Deserialize)]
pub(super) struct Case {
    /// Image files.
    pub(super) files: Vec<PathBuf>,
    /// A defect-free picture for each file, where the model compares.
    #[serde(default)]
    pub(super) references: Vec<PathBuf>,
    /// Whether the pictures are read before the clock starts.
    #[serde(default)]
    pub(super) memory: bool,
}

impl Cases {
    pub(super) fn load(file: &str) -> Result<Self, Failure> {
        Ok(serde_json::from_str(&fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?)?)
    }

    pub(super) fn get(&self, name: &str) -> Result<&Case, Failure> {
        self.cases.get(name).ok_or_else(|| format!("no case `{name}`").into())
    }
}

impl Case {
    /// The panels, still to be read.
    pub(super) fn panels(&self) -> Vec<PanelFiles> {
        let references = self.references.iter().map(Some).chain(std::iter::repeat(None));
        self.files
            .iter()
            .zip(references)
            .map(|(file, reference)| {
                let mut panel = PanelFiles::new(file);
                panel.reference = reference.cloned();
                panel
            })
            .collect()
    }

    /// The panels, read.
    pub(super) fn loaded(&self) -> Result<Vec<Panel<'static>>, Failure> {
        Ok(self.panels().iter().map(|panel| panel.load(&FrameLimits::default())).collect::<panelqc::Result<_>>()?)
    }
}
