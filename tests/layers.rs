//! The order of the layers inside each crate: a module imports only from the ones above it. Cargo holds the order of
//! the crates.

use std::fs;
use std::path::{Path, PathBuf};

use crate::util;

/// The crates' sources, and their modules from the bottom of the stack to its top, in the order in which data flows.
const ORDER: [(&str, &[&str]); 3] = [
    (
        "src",
        &[
            "printable",
            "error",
            "names",
            "hash",
            "replace",
            "idle",
            "geometry",
            "frame",
            "tensor",
            "defect",
            "runtime",
            "head",
            "model",
            "judge",
            "engine",
        ],
    ),
    ("crates/panelqc-eval/src", &["binomial", "calibration", "monitor", "golden", "dataset", "metrics", "calibrate"]),
    ("crates/panelqc-report/src", &["writer", "csv", "coco", "overlay", "overlay_paths", "html"]),
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
    if path.file_name().is_some_and(|name| name == "tests.rs") {
        return String::new();
    }
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn modules_import_only_from_the_ones_above() {
    for (crate_, order) in ORDER {
        let mut checked = 0;
        for (place, module) in order.iter().enumerate() {
            let source = util::project(crate_);
            let mut found = Vec::new();
            let folder = source.join(module);
            files(&if folder.is_dir() { folder } else { source.join(format!("{module}.rs")) }, &mut found);
            for file in found.iter().filter(|file| file.extension().is_some_and(|e| e == "rs")) {
                let text = code(file);
                for part in text.split("crate::").skip(1) {
                    let used: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    let above = order.iter().position(|m| *m == used);
                    assert!(
                        above.is_some_and(|at| at <= place),
                        "{} uses crate::{used}, which is not among the layers up to `{module}`",
                        file.display()
                    );
                    checked += 1;
                }
            }
        }
        let least = if crate_ == "src" { 50 } else { 2 };
        assert!(
            checked >= least,
            "{crate_}: only {checked} imports were found: the test does not see the code any more"
        );
    }
}

#[test]
fn every_module_has_a_layer() {
    for (crate_, order) in ORDER {
        for entry in fs::read_dir(util::project(crate_)).unwrap() {
            let name = entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
            assert!(name == "lib" || order.contains(&name.as_str()), "`{name}` of {crate_} has no place in ORDER");
        }
    }
}

#[test]
fn ort_and_rayon_stay_in_their_modules() {
    let mut found = Vec::new();
    files(&util::project("src"), &mut found);
    files(&util::project("crates"), &mut found);
    let mut seen = 0;
    for file in found.iter().filter(|file| file.extension().is_some_and(|e| e == "rs")) {
        let text = code(file);
        let inside = |module: &str| file.starts_with(util::project("src").join(module));
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
