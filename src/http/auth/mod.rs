//! Authentication: which user sent a request, and what the user may do.
//!
//! Clients of Doris send HTTP Basic with every request. A browser that logged in sends a session cookie.

mod authenticator;
pub(in crate::http) mod basic;
mod cookie;
mod passwords;
mod principal;
mod sessions;
mod throttle;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use authenticator::Authenticator;
pub(crate) use cookie::SessionCookie;
pub(crate) use principal::Principal;

/// Locks a map whose entries are replaced whole, so that it is sound even if a thread panicked beside it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
