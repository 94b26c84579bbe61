use std::path::PathBuf;

use crate::Failure;

/// What `cargo xtask bench` is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Options {
    pub(super) quick: bool,
    /// Rounds of the comparison.
    pub(super) rounds: usize,
    /// Seconds of one measurement of one participant in one round.
    pub(super) seconds: f64,
    /// Models and cases by name; empty for all.
    pub(super) models: Vec<String>,
    pub(super) cases: Vec<String>,
    pub(super) peers: bool,
    /// A Python that has the packages, instead of an environment made for it.
    pub(super) python: Option<PathBuf>,
    pub(super) json: Option<PathBuf>,
}

impl Options {
    pub(super) fn parse(args: &[String]) -> Result<Self, Failure> {
        let quick = args.iter().any(|arg| arg == "--quick");
        let mut options = Options {
            quick,
            rounds: if quick { 3 } else { 7 },
            seconds: if quick { 0.4 } else { 1.0 },
            models: Vec::new(),
            cases: Vec::new(),
            peers: true,
            python: None,
            json: None,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg}: expected a value, found none"));
            let names = |list: &str| list.split(',').map(str::to_owned).collect();
            match arg.as_str() {
                "--quick" => {}
                "--no-peers" => options.peers = false,
                "--rounds" => options.rounds = value()?.parse().map_err(|e| format!("--rounds: {e}"))?,
                "--seconds" => options.seconds = value()?.parse().map_err(|e| format!("--seconds: {e}"))?,
                "--models" => options.models = names(value()?),
                "--cases" => options.cases = names(value()?),
                "--python" => options.python = Some(std::path::absolute(value()?)?),
                "--json" => options.json = Some(std::path::absolute(value()?)?),
                other => return Err(format!("unknown argument `{other}`\n{HELP}").into()),
            }
        }
        if options.rounds == 0 || !(options.seconds > 0.0 && options.seconds < 3600.0) {
            return Err("expected at least one --rounds and --seconds above 0".into());
        }
        Ok(options)
    }

    pub(super) fn wants_model(&self, name: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|m| m == name)
    }

    pub(super) fn wants_case(&self, name: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|c| c == name)
    }
}

const HELP: &str = "\
cargo xtask bench [--quick] [--rounds N] [--seconds S] [--models A,B] [--cases A,B] [--no-peers] [--python FILE] [--json FILE]
cargo xtask bench --criterion [ARGUMENTS of cargo bench]";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&args).map_err(|e| e.to_string())
    }

    #[test]
    fn quick_is_shorter_and_the_rest_is_taken() {
        assert_eq!(parse("").unwrap().rounds, 7, "what the note in docs/PERFORMANCE.md promises");
        let options = parse("--quick --models pcb,yolo11n --rounds 5 --no-peers").unwrap();
        assert_eq!((options.rounds, options.quick, options.peers), (5, true, false));
        assert!(options.wants_model("pcb") && !options.wants_model("solar-cell") && options.wants_case("png-640"));
        for (line, says) in [("--rounds", "found none"), ("--rounds 0", "at least one"), ("--fast", "`--fast`")] {
            assert!(parse(line).unwrap_err().contains(says), "{line}");
        }
    }
}
