use std::path::Path;

use super::*;
use crate::defect::{Confidence, Defect};
use crate::error::Result;
use crate::geometry::PixelBox;
use crate::judge::Verdict;

const TEXT: &str =
    "schema = 1\nname = \"t\"\n[default]\nreview = 0.3\nfail = 0.6\n[kinds.crack]\nreview = 0.1\nfail = 0.8\n";

fn parse(text: &str) -> Result<Policy> {
    Policy::parse(text, Path::new("p.toml"))
}

fn judge(defects: &[(&str, f32)]) -> (Verdict, String) {
    let defects: Vec<_> = defects
        .iter()
        .map(|&(kind, c)| Defect::new(kind.into(), Confidence::new(c).unwrap(), PixelBox::default()))
        .collect();
    let judgement = parse(TEXT).unwrap().judge(&defects, &[]);
    (judgement.verdict, judgement.reasons.join("; "))
}

#[test]
fn limits_are_inclusive_and_the_worst_decides() {
    assert_eq!(judge(&[]), (Verdict::Pass, String::new()));
    assert_eq!(judge(&[("dirt", 0.29), ("crack", 0.09)]), (Verdict::Pass, String::new()));
    assert_eq!(judge(&[("dirt", 0.3)]), (Verdict::Review, "dirt >= 0.30".into()));
    assert_eq!(judge(&[("dirt", 0.3), ("crack", 0.8)]), (Verdict::Fail, "crack >= 0.80".into()));
    assert_eq!(judge(&[("crack", 0.79), ("dirt", 0.4)]), (Verdict::Review, "crack >= 0.10; dirt >= 0.30".into()));
    assert_eq!(judge(&[("dirt", 0.9), ("dirt", 0.7)]), (Verdict::Fail, "dirt >= 0.60".into()));
}

#[test]
fn each_mistake_is_named_with_its_line() {
    for (change, with, says) in [
        ("schema = 1", "schema = 3", "line 1: expected schema = 1, found 3"),
        ("fail = 0.6", "fail = 0.2", "line 3"),
        ("fail = 0.8", "fail = 1.8", "line 6"),
        ("fail = 0.8", "fail = nan", "line 6"),
        ("fail = 0.8", "fial = 0.8", "line 8"),
        ("name = \"t\"\n", "", "missing field `name`"),
    ] {
        let message = parse(&TEXT.replacen(change, with, 1)).unwrap_err().to_string();
        assert!(message.starts_with("policy p.toml: ") && message.contains(says), "{with}: {message}");
    }
}
