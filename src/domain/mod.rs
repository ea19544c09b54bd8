//! What the words mean: records, profiles, statements, accounts and times. No I/O, no SQL, no HTTP.

pub(crate) mod account;
pub(crate) mod exclusion;
pub(crate) mod filter;
pub(crate) mod login;
pub(crate) mod profile;
pub(crate) mod record;
pub(crate) mod retention;
pub(crate) mod search;
pub(crate) mod statement;
pub(crate) mod statistics;
pub(crate) mod time;
