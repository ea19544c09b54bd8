//! annals: the query history that Apache Doris does not keep.
//!
//! Data flows one way, and the modules stand in that order:
//!
//! ```text
//! source ──▶ query, profile, time ──▶ store ──▶ rest ──▶ command
//!  (in)          (the domain)       (SQLite)   (out)
//! ```
#![warn(missing_docs, clippy::unwrap_used, clippy::expect_used)]

/// The ways in: audit logs and profile texts, plain or compressed, become domain values.
pub mod source;

/// The domain: what a query record is, and how two tellings of one query become one.
pub mod query;

/// The domain: what a profile is, and what its summary says of its query.
pub mod profile;

/// The domain: Doris' text forms of times and durations.
pub mod time;

/// The store: one SQLite file, one writer that commits in groups, readers beside it.
pub mod store;

/// A way out: the REST interface of a Doris frontend.
pub mod rest;

/// The commands, which wire the rest together.
pub mod command;
