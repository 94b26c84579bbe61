use std::sync::{Condvar, Mutex, PoisonError};

use ort::session::Session;

use crate::idle::Idle;

/// Sessions of one graph. `Session::run` wants a session of its own for each thread; a pool lends them.
///
/// Nothing that may call rayon runs while a session is lent: work stealing would come back here for a second one and
/// wait for itself.
pub(super) struct Pool {
    idle: Mutex<Idle<Session>>,
    returned: Condvar,
}

impl Pool {
    pub(super) fn new(first: Session) -> Self {
        let pool = Pool { idle: Mutex::new(Idle::new()), returned: Condvar::new() };
        pool.add(first);
        pool
    }

    pub(super) fn add(&self, session: Session) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).put_back(session);
        self.returned.notify_one();
    }

    /// A session that no other thread uses; waits for one.
    pub(super) fn lend(&self) -> Lent<'_> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(session) = idle.take() {
                return Lent { pool: self, session: Some(session) };
            }
            idle = self.returned.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A session on loan; it goes back when this is dropped, also by a panic.
pub(super) struct Lent<'a> {
    pool: &'a Pool,
    session: Option<Session>,
}

impl Lent<'_> {
    pub(super) fn get(&mut self) -> Option<&mut Session> {
        self.session.as_mut()
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.pool.add(session);
        }
    }
}
