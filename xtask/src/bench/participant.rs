use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::Failure;

/// A program that answers `CASE SECONDS` lines with a line of JSON marked by `> `. It keeps its sessions, its buffers
/// and its pictures from line to line, and sleeps in between.
pub(super) struct Participant {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Versions of what it is made of.
    pub(super) versions: Value,
}

impl Participant {
    /// Starts it and waits until it is ready; what it has to say besides goes into `log`.
    pub(super) fn start(command: &mut Command, log: &Path) -> Result<Self, Failure> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|e| format!("cannot run {command:?}: {e}"))?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("a program without stdin and stdout".into());
        };
        let mut participant = Participant { child, requests, answers: BufReader::new(answers), versions: Value::Null };
        participant.versions = participant.answer()?;
        Ok(participant)
    }

    /// What it measures with the pictures of `case` in about `seconds`.
    pub(super) fn measure(&mut self, case: &str, seconds: f64) -> Result<Value, Failure> {
        writeln!(self.requests, "{case} {seconds}").map_err(|e| format!("it is gone ({e})"))?;
        self.requests.flush()?;
        let answer = self.answer()?;
        match answer.get("error").and_then(Value::as_str) {
            Some(problem) => Err(problem.into()),
            None => Ok(answer),
        }
    }

    fn answer(&mut self) -> Result<Value, Failure> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.answers.read_line(&mut line)? == 0 {
                return Err("it ended without an answer (see the log)".into());
            }
            if let Some(answer) = line.strip_prefix("> ") {
                return Ok(serde_json::from_str(answer)?);
            }
        }
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        // Its workers end with it: they read from pipes that are closed then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The one answer of a program that measures once.
pub(super) fn once(command: &mut Command) -> Result<Value, Failure> {
    let output = command.stderr(Stdio::piped()).output().map_err(|e| format!("cannot run {command:?}: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().find_map(|line| line.strip_prefix("> ")) {
        Some(answer) if output.status.success() => Ok(serde_json::from_str(answer)?),
        _ => Err(format!("failed: {command:?}\n{}", String::from_utf8_lossy(&output.stderr).trim()).into()),
    }
}
