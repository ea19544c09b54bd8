//! annals: the query history that Apache Doris and StarRocks do not keep.
//!
//! Data flows one way, through the modules in this order:
//!
//! ```text
//! formats ──▶ domain ──▶ ingest ──▶ store ──▶ http, web, cli
//! (bytes)    (no I/O)   (running)  (SQLite)       (out)
//! ```
//!
//! - [`domain`] says what a query record, a profile and a fingerprint are. It knows no file, no SQL and no HTTP.
//! - [`formats`] turns the bytes that frontends write into values of the domain.
//! - [`ingest`] follows logs, polls frontends and accepts pushes while annals serves.
//! - [`store`] owns every SQL statement. One writer commits in groups; readers never wait for it.
//! - [`http`] serves the interface of a Doris frontend and annals' own REST interface.
//! - [`web`] serves the pages.
//! - [`cli`] has the commands.
//! - [`allocator`] tunes glibc's allocator for a server.
//! - [`config`] reads the settings: defaults, file, environment, flags.
// The map above is for readers of the code: `cargo doc --document-private-items`.
#![allow(rustdoc::private_intra_doc_links)]
#![warn(unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

mod allocator;
pub mod cli;
mod config;
mod domain;
mod formats;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
#[cfg(test)]
mod growth;
mod http;
mod ingest;
mod store;
mod web;
