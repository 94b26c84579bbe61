//! The order of the layers: a module imports only from the ones above it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use std::fs;
use std::path::{Path, PathBuf};

mod common;

/// From the bottom of the stack to its top, in the order in which data flows.
const ORDER: [&str; 17] = [
    "error", "hash", "idle", "binomial", "geometry", "frame", "tensor", "defect", "runtime", "head", "model",
    "verdict", "report", "engine", "golden", "dataset", "metrics",
];

fn files(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            files(&entry.unwrap().path(), found);
        }
    } else {
        found.push(path.to_path_buf());
    }
}

/// Source text without its unit tests and comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn modules_import_only_from_the_ones_above() {
    let mut checked = 0;
    for (place, module) in ORDER.iter().enumerate() {
        let source = common::project("src");
        let mut found = Vec::new();
        let folder = source.join(module);
        files(&if folder.is_dir() { folder } else { source.join(format!("{module}.rs")) }, &mut found);
        for file in found {
            let text = code(&file);
            for part in text.split("crate::").skip(1) {
                let used: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let above = ORDER.iter().position(|m| *m == used);
                assert!(
                    above.is_some_and(|at| at <= place),
                    "{} uses crate::{used}, which is not among the layers up to `{module}`",
                    file.display()
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 50, "only {checked} imports were found: the test does not see the code any more");
}

#[test]
fn every_module_has_a_layer() {
    for entry in fs::read_dir(common::project("src")).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
        assert!(name == "lib" || name == "bin" || ORDER.contains(&name.as_str()), "`{name}` has no place in ORDER");
    }
}

#[test]
fn ort_and_rayon_stay_in_their_modules() {
    let mut found = Vec::new();
    files(&common::project("src"), &mut found);
    let mut seen = 0;
    for file in found {
        let text = code(&file);
        let inside = |module: &str| file.strip_prefix(common::project("src")).unwrap().starts_with(module);
        let uses = |name: &str| {
            text.match_indices(name).any(|(at, _)| {
                !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
                    && text[at + name.len()..].starts_with("::")
            })
        };
        assert!(!uses("ort") || inside("runtime"), "{} uses ort", file.display());
        assert!(!uses("rayon") || inside("engine"), "{} uses rayon", file.display());
        seen += usize::from(uses("ort")) + usize::from(uses("rayon"));
    }
    assert!(seen >= 4, "the test does not see who uses them: {seen}");
}
