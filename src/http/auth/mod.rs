//! Authentication: which user sent a request, and what the user may do.
//!
//! Clients of Doris send HTTP Basic with every request. A browser that logged in sends a session cookie.

mod authenticator;
pub(in crate::http) mod basic;
mod cookie;
mod guesses;
mod passwords;
mod principal;
mod sessions;
mod verification;
mod verifier;

pub(crate) use authenticator::Authenticator;
pub(crate) use cookie::SessionCookie;
pub(crate) use principal::Principal;
