//! A policy built in code, and a judge of one's own around it: the policy decides on the defects of one panel, the
//! judge adds what no rule can state, here the grade that the panel is sold by.
//!
//! ```text
//! cargo run --release --example own_verdict -- models/solar-cell cell.png
//! ```

use std::error::Error;

use panelqc::{
    Defect, Inspector, Judge, Judgement, Kind, Limits, Model, Policy, Result, Rule, Size, Verdict, Zone, sha256_hex,
};

/// What the factory's rules say: a sure defect fails, a doubtful one is looked at, and one at the rim is always looked
/// at, however doubtful it is.
fn rules() -> Result<Policy> {
    Policy::builder("grades", Limits::new(0.5, 0.6)?)
        .zone(Zone::margin_percent("rim", 5.0))
        .rule(Rule::new("at the rim", Verdict::Review).zones(["rim"]).confidence(0.45..0.6))
        .build()
}

/// Fails what the rules fail, but keeps as second grade, for review, what has only small defects.
#[derive(Debug)]
struct Grades {
    rules: Policy,
    /// Share of the frames that the defects of a second-grade panel cover at most, in `0..=1`.
    small: f64,
    sha256: String,
}

impl Grades {
    fn new(rules: Policy, small: f64) -> Self {
        // All that a verdict depends on: another limit is another hash in the trace of each result.
        let sha256 = sha256_hex(format!("{}\nsmall = {small}\n", rules.to_toml()).as_bytes());
        Grades { rules, small, sha256 }
    }
}

impl Judge for Grades {
    fn judge(&self, defects: &[Defect], frames: &[Size]) -> Judgement {
        let judgement = self.rules.judge(defects, frames);
        let covered: f64 = defects.iter().map(|defect| defect.area_px as f64).sum();
        let share = covered / frames.iter().map(|size| size.area() as f64).sum::<f64>();
        if judgement.verdict == Verdict::Fail && share <= self.small {
            let second = format!("second grade: {:.1} % covered <= {:.1} %", 100.0 * share, 100.0 * self.small);
            return Judgement::new(Verdict::Review, judgement.reasons.into_iter().chain([second]));
        }
        judgement
    }

    fn floor(&self, kind: &Kind) -> f32 {
        self.rules.floor(kind)
    }

    fn sha256(&self) -> Option<&str> {
        Some(&self.sha256)
    }

    fn check(&self, model: &Model) -> Result<()> {
        self.rules.check(model)
    }
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(model), Some(image)) = (args.next(), args.next()) else {
        return Err("usage: own_verdict MODEL IMAGE [SMALL]".into());
    };
    let small = args.next().map_or(Ok(0.1), |text| text.parse())?;
    let inspector = Inspector::builder(Model::load(model)?).judge(Grades::new(rules()?, small)).build()?;
    let report = inspector.inspect_file(image)?;
    println!("{}: {}", report.panel, report.verdict);
    for reason in &report.reasons {
        println!("  {reason}");
    }
    println!("policy {}", report.trace.policy.as_deref().unwrap_or("none"));
    Ok(())
}
