//! Command lines of the real program.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

/// A command line of the program `panelqc`, to be run on this project's runtime.
///
/// ```ignore
/// let (status, out, err) = Program::new("inspect").model(&project("models/pcb")).arg(folder).run();
/// ```
pub(crate) struct Program(Command);

impl Program {
    /// `panelqc SUBCOMMAND`.
    pub(crate) fn new(subcommand: &str) -> Self {
        Program::bare().arg(subcommand)
    }

    /// `panelqc` alone.
    pub(crate) fn bare() -> Self {
        Program::of(Command::new(env!("CARGO_BIN_EXE_panelqc")))
    }

    /// Another command that is built and run in the same way.
    pub(crate) fn of(command: Command) -> Self {
        Program(command)
    }

    /// `--model PACKAGE`.
    pub(crate) fn model(self, package: &Path) -> Self {
        self.option("--model", package)
    }

    /// An option with a value that is a path.
    pub(crate) fn option(self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.arg(name).arg(value)
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.0.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn env_remove(mut self, name: &str) -> Self {
        self.0.env_remove(name);
        self
    }

    /// The command itself, for what runs beside the test.
    pub(crate) fn command(self) -> Command {
        self.0
    }

    /// Runs it and gives status, stdout and stderr.
    pub(crate) fn run(mut self) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.0.output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (status.code().expect("no signal"), text(stdout), text(stderr))
    }
}
