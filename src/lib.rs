//! annals: the query history that Apache Doris does not keep.
//!
//! Data flows one way, and the modules stand in that order:
//!
//! ```text
//! source ──▶ query, profile, statement, filter, time ──▶ intake ──▶ store ──▶ rest, web ──▶ command
//!  (in)                    (the domain)                            (SQLite)     (out)
//! ```
//!
//! - [`source`], the ways in: audit logs and profile texts, plain or compressed, become domain values.
//! - [`query`]: what a query record is, and how two tellings of one query become one.
//! - [`login`]: what a log-in is.
//! - [`profile`]: what a profile is, and what its summary says of its query.
//! - [`statement`]: which statements are of one shape, and the fingerprint of that shape.
//! - [`search`]: what is looked for in statements.
//! - [`filter`]: which queries people do not want kept.
//! - [`retention`]: how long a history is kept.
//! - [`account`]: who may ask, and for what.
//! - [`time`]: Doris' text forms of times and durations.
//! - [`statistics`]: many durations together, and whether they got longer.
//! - [`intake`]: what comes in while annals serves, on its way to the store.
//! - [`store`]: one SQLite file, one writer that commits in groups, readers beside it.
//! - [`rest`], a way out: the REST interface of a Doris frontend.
//! - [`web`], another: the pages that a person looks at.
//! - [`config`]: what annals is told to do.
//! - [`command`]: the commands, which wire the rest together.
#![warn(missing_docs, clippy::unwrap_used, clippy::expect_used)]

pub mod source;

pub mod query;

pub mod login;

pub mod profile;

pub mod statement;

pub mod search;

pub mod filter;

pub mod retention;

pub mod account;

pub mod time;

pub mod statistics;

pub mod intake;

pub mod store;

pub mod rest;

pub mod web;

pub mod config;

pub mod command;
