//! The tests that run the real thing: the built binary, a database in a file, HTTP, the stock `sqlite3`, third-party
//! clients and a browser. One binary, so that they are linked once.
//!
//! `cargo test` runs all that need no more than Rust and `sqlite3`; the others are ignored unless asked for
//! (`-- --include-ignored`), and say here what they need. `cargo test --test it follow::` runs one module.

mod browser;
mod care;
mod clients;
mod command_line;
mod config;
mod disk_full;
mod docs;
mod files;
mod follow;
mod frontend;
mod import;
mod interface;
mod lists;
mod manager;
mod merge;
mod odd_files;
mod open;
mod operation;
mod outcomes;
mod pages;
mod push;
mod ready;
mod retention;
mod search;
mod serve;
mod sqlite_shell;
mod stream_load;
mod support;
mod terminal;
mod tls;
mod users;
