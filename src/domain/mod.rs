//! The domain: the meaning of the words. It knows no file, no SQL, no HTTP, no HTML and no SVG.
//!
//! - [`record`] is a query record, its fields, and how two reports of one query merge.
//! - [`statement`] tokenizes, normalizes and formats statements.
//! - [`profile`] reads profiles into trees, operators and phases.
//! - [`readable`] writes durations, sizes and counts for people.
//! - [`search`] is a search for text or words in statements.
//! - [`exclusion`] has the rules that exclude queries from the history.
//! - [`find`] is a text that a person looks for, and what it may be.
//! - [`retention`] has the limits of age and size of a history.
//! - [`clock`] is the time by which ages count.
//! - [`cluster`] has the names of clusters.
//! - [`baseline`] is the earlier period that a period is compared with.
//! - [`account`] is a user of annals with a role and a password.
//! - [`login`] is a login at a frontend.
//! - [`statistics`] has percentiles and a test of durations.
//! - [`time`] reads and writes times, zones and durations.

pub(crate) mod account;
pub(crate) mod baseline;
pub(crate) mod clock;
pub(crate) mod cluster;
pub(crate) mod exclusion;
pub(crate) mod filter;
pub(crate) mod find;
pub(crate) mod login;
pub(crate) mod profile;
pub(crate) mod readable;
pub(crate) mod record;
pub(crate) mod retention;
pub(crate) mod search;
pub(crate) mod statement;
pub(crate) mod statistics;
pub(crate) mod time;
