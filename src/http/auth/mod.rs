//! Authentication: which user sent a request, and what the user may do.
//!
//! Clients of Doris send HTTP Basic with every request, and programs a token. A browser that logged in sends a session cookie,
//! or a proxy logs its user in and names the user in a header.

mod authenticator;
pub(in crate::http) mod basic;
mod claim;
mod cookie;
mod guesses;
mod passwords;
mod principal;
mod proxy_login;
mod sessions;
mod verification;
mod verifier;

pub(crate) use authenticator::Authenticator;
pub(crate) use claim::Claim;
#[cfg(any(fuzzing, test))]
pub(in crate::http) use claim::Secret;
pub(crate) use cookie::SessionCookie;
pub(crate) use principal::{LogOut, Principal};
pub(crate) use proxy_login::{ProxyLogin, ProxyUser};
