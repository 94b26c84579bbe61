use super::policy::Policy;
use crate::defect::Defect;
use crate::geometry::Size;
use crate::judge::limits::Limits;
use crate::judge::verdict::Verdict;

/// How a panel's verdict depends on the `[default]` limits, everything else in the policy left as it is.
impl Policy {
    /// This policy with other `[default]` limits.
    #[must_use]
    fn with_default(&self, limits: Limits) -> Policy {
        let mut policy = self.clone();
        policy.default = limits;
        policy.text = None;
        policy
    }

    /// The highest review limit at which the panel still does not pass: without rules, its highest confidence. 0 when
    /// it passes at any limit; infinite when a rule, or a limit of a kind, keeps it from passing at any.
    pub fn review_score(&self, defects: &[Defect], frames: &[Size]) -> f32 {
        self.turn(defects, |review| {
            let limits = Limits { review, fail: f32::INFINITY };
            self.with_default(limits).judge(defects, frames).verdict != Verdict::Pass
        })
    }

    /// The highest fail limit at which the panel still fails, with this review limit; 0 and infinite as above.
    pub fn fail_score(&self, defects: &[Defect], frames: &[Size], review: f32) -> f32 {
        self.turn(defects, |fail| {
            self.with_default(Limits { review, fail }).judge(defects, frames).verdict == Verdict::Fail
        })
    }

    /// The highest limit at which `bad` still holds. A lower limit never makes a verdict better, and only the defects'
    /// own confidences make a difference.
    fn turn(&self, defects: &[Defect], bad: impl Fn(f32) -> bool) -> f32 {
        let mut rising: Vec<f32> = defects.iter().map(|d| d.confidence.get()).collect();
        rising.push(f32::INFINITY);
        rising.sort_by(f32::total_cmp);
        match rising.partition_point(|&limit| bad(limit)) {
            0 => 0.0,
            count => rising[count - 1],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::defect::Confidence;
    use crate::geometry::PixelBox;

    fn defects(found: &[(&str, f32, f32)]) -> Vec<Defect> {
        let defect = |&(kind, c, side): &(&str, f32, f32)| {
            Defect::new(kind.into(), Confidence::new(c).unwrap(), PixelBox::new(10.0, 10.0, 10.0 + side, 10.0 + side))
        };
        found.iter().map(defect).collect()
    }

    fn policy(rules: &str) -> Policy {
        let text = format!("schema = 1\nname = \"t\"\n[default]\nreview = 0.3\nfail = 0.6\n{rules}");
        Policy::parse(&text, Path::new("p.toml")).unwrap()
    }

    #[test]
    fn without_rules_a_score_is_the_highest_confidence() {
        let (plain, frames) = (policy(""), [Size::new(100, 100)]);
        let found = defects(&[("a", 0.2, 5.0), ("b", 0.7, 5.0), ("a", 0.4, 5.0)]);
        assert_eq!(plain.review_score(&found, &frames), 0.7);
        assert_eq!(plain.fail_score(&found, &frames, 0.1), 0.7);
        assert_eq!(plain.review_score(&[], &frames), 0.0);
    }

    #[test]
    fn rules_and_kinds_have_their_say() {
        let frames = [Size::new(100, 100)];
        let found = defects(&[("dust", 0.9, 3.0), ("a", 0.4, 30.0)]);
        // Small dust passes: the other defect counts. A large one fails at any limit.
        let dust =
            policy("[[rules]]\nname = \"dust\"\nkinds = [\"dust\"]\nlength_px = { below = 5 }\nverdict = \"pass\"\n");
        assert_eq!(dust.review_score(&found, &frames), 0.4);
        let large = policy("[[rules]]\nname = \"large\"\nlength_px = 20\nconfidence = 0.1\nverdict = \"fail\"\n");
        assert_eq!(large.review_score(&found, &frames), f32::INFINITY);
        assert_eq!(large.fail_score(&found, &frames, 0.2), f32::INFINITY);
        // A kind with limits of its own does not depend on the default's.
        let kinds = policy("[kinds.dust]\nreview = 0.95\nfail = 0.95\n");
        assert_eq!(kinds.review_score(&found, &frames), 0.4);
        // A rule without a confidence counts defects from the review limit on.
        let two = policy("[[rules]]\nname = \"two\"\ncount = 2\nverdict = \"fail\"\n");
        assert_eq!(two.fail_score(&found, &frames, 0.3), f32::INFINITY);
        assert_eq!(two.fail_score(&found, &frames, 0.5), 0.9);
    }
}
