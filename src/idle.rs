//! What threads take, use and put back.

use std::thread::{self, ThreadId};

/// Things that are not in use. A thread gets back what it had last: its core's cache still holds much of that, and what
/// another core wrote has to be fetched from there (1 to 6 % of the time of models of 4 to 6 ms, on two cores).
pub(crate) struct Idle<T> {
    /// With the thread that had it; what was put back last is last.
    things: Vec<(ThreadId, T)>,
}

impl<T> Idle<T> {
    pub(crate) fn new() -> Self {
        Idle { things: Vec::new() }
    }

    /// What this thread had last, or else what has been idle for longest.
    pub(crate) fn take(&mut self) -> Option<T> {
        let this = thread::current().id();
        let own = self.things.iter().rposition(|(thread, _)| *thread == this);
        (!self.things.is_empty()).then(|| self.things.remove(own.unwrap_or(0)).1)
    }

    pub(crate) fn put_back(&mut self, thing: T) {
        self.things.push((thread::current().id(), thing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gets_what_it_had() {
        let mut idle = Idle::new();
        idle.put_back("this thread's");
        thread::scope(|scope| scope.spawn(|| idle.put_back("another's")).join()).unwrap();
        assert_eq!(idle.take(), Some("this thread's"));
        assert_eq!(idle.take(), Some("another's"), "better than none");
        assert_eq!(idle.take(), None);
        for thing in ["first", "second"] {
            idle.put_back(thing);
        }
        assert_eq!(idle.take(), Some("second"));
        thread::scope(|scope| scope.spawn(|| idle.put_back("third")).join()).unwrap();
        let other = thread::scope(|scope| scope.spawn(|| idle.take()).join()).unwrap();
        assert_eq!(other, Some("first"), "idle for longest");
    }
}
