//! What the words mean: records, profiles, statements, accounts and times. No I/O, no SQL, no HTTP.

pub mod account;
pub mod filter;
pub mod login;
pub mod profile;
pub mod record;
pub mod retention;
pub mod search;
pub mod statement;
pub mod statistics;
pub mod time;
