//! `cargo xtask check`: what a change has to keep beside tests, formatting and lints.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::{Failure, cargo, fetch, root, run};

/// Most characters of a line of a comment, as rustfmt has it for code.
const WIDTH: usize = 120;

/// All of it; stops at the first that fails.
pub(super) fn all() -> Result<(), Failure> {
    lines()?;
    spelling()?;
    dependencies()?;
    features()?;
    docs()
}

/// Each feature of each published crate alone, and none: what the README recommends compiles, and what it does not
/// forbid.
fn features() -> Result<(), Failure> {
    let output = cargo()?.args(["metadata", "--no-deps", "--format-version", "1"]).output()?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    for (package, feature) in combinations(&metadata) {
        println!("== {package}: {}", feature.as_deref().unwrap_or("no feature"));
        let mut check = cargo()?;
        // `download-binaries` compiles without the download; only linking needs it.
        check.env("ORT_SKIP_DOWNLOAD", "1");
        check.args(["clippy", "--quiet", "--package", &package, "--no-default-features"]);
        if let Some(feature) = feature {
            check.args(["--features", &feature]);
        }
        // As an argument of clippy and not in RUSTFLAGS, which would build every dependency anew.
        run(check.args(["--", "--deny", "warnings"]))?;
    }
    Ok(())
}

/// Every published package with none of its features and with each of them.
fn combinations(metadata: &Value) -> Vec<(String, Option<String>)> {
    // An empty list of registries is what `publish = false` says.
    let published = |package: &&Value| package["publish"].as_array().is_none_or(|registries| !registries.is_empty());
    let packages = metadata["packages"].as_array().into_iter().flatten().filter(published);
    let mut all = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        all.push((name.to_owned(), None));
        let features = package["features"].as_object().into_iter().flatten().map(|(feature, _)| feature);
        all.extend(features.filter(|feature| *feature != "default").map(|f| (name.to_owned(), Some(f.clone()))));
    }
    all
}

/// The documentation of every crate, without a warning.
fn docs() -> Result<(), Failure> {
    run(cargo()?.env("RUSTDOCFLAGS", "--deny warnings").args(["doc", "--workspace", "--no-deps"]))
}

/// Licences, bans and sources of all dependencies, by `deny.toml`.
fn dependencies() -> Result<(), Failure> {
    let deny = fetch::cargo_deny()?;
    run(Command::new(deny).current_dir(root()).args(["--all-features", "check", "licenses", "bans", "sources"]))
}

/// Spelling, by `_typos.toml`.
fn spelling() -> Result<(), Failure> {
    run(Command::new(fetch::typos()?).current_dir(root()).args(["--format", "brief"]))
}

/// Comments in Rust are no wider than the code.
fn lines() -> Result<(), Failure> {
    let output = Command::new("git").current_dir(root()).args(["ls-files", "*.rs"]).output()?;
    let mut long = Vec::new();
    for file in String::from_utf8(output.stdout)?.lines() {
        let text = fs::read_to_string(root().join(file)).map_err(|e| format!("{file}: {e}"))?;
        long.extend(too_long(&text).map(|line| format!("{file}:{line}: expected at most {WIDTH} characters")));
    }
    if long.is_empty() { Ok(()) } else { Err(long.join("\n").into()) }
}

/// The lines, from 1, of comments that are too long; an address may be.
fn too_long(text: &str) -> impl Iterator<Item = usize> {
    let long =
        |line: &str| line.trim_start().starts_with("//") && !line.contains("://") && line.chars().count() > WIDTH;
    text.lines().enumerate().filter(move |(_, line)| long(line)).map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_feature_of_what_is_published_is_alone_once() {
        let metadata = json!({"packages": [
            {"name": "a", "publish": null, "features": {"default": ["x"], "x": [], "y": ["x"]}},
            {"name": "tool", "publish": [], "features": {"z": []}},
        ]});
        let found: Vec<_> =
            combinations(&metadata).into_iter().map(|(name, f)| name + &f.unwrap_or_default()).collect();
        assert_eq!(found, ["a", "ax", "ay"]);
    }

    #[test]
    fn a_comment_is_long_by_its_characters() {
        let comment = |length: usize| format!("    // {}\n", "\u{e9}".repeat(length - 7));
        let text = comment(120) + &comment(121) + "// https://example.org/" + &"x".repeat(120) + "\nlet x = 1;\n";
        assert_eq!(too_long(&text).collect::<Vec<_>>(), [2]);
    }
}
