/// Lets a write beyond the size that a file may have (`ulimit -f`) fail as any other, instead of ending the program:
/// what is missing can be said then. A write to a pipe that nobody reads fails already, by the standard library.
#[cfg(unix)]
pub(super) fn let_writes_fail() {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    // A signal that somebody handles does not end the program. That it came is told by the write. Where it cannot be
    // handled, the program ends as before.
    let _ = signal_hook::flag::register(libc::SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

#[cfg(not(unix))]
pub(super) fn let_writes_fail() {}
