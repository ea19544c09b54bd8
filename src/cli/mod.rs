//! The command line: a file for each command.
//!
//! A command returns its exit code, or an error that [`command::main`] prints with its causes before it exits with 2.

pub mod args;
pub mod backup;
pub mod check;
pub mod command;
pub mod diff;
pub mod export;
pub mod find;
pub mod findings;
pub mod generated;
pub mod import;
pub mod list;
pub mod merge;
pub mod output;
mod plan;
pub mod plans;
pub mod profile;
pub mod prune;
pub mod regress;
pub mod salvage;
pub mod serve;
pub mod shift;
pub mod show;
pub mod stats;
pub mod token;
pub mod top;
mod unread;
pub mod usage;
pub mod user;

use crate::domain::readable::counted;
use crate::store::{ReparseSummary, Store};

/// What a command was doing when the store could not be read.
const READING: &str = "the history cannot be read";

/// What a command was doing when the store could not be closed.
const CLOSING: &str = "the history cannot be closed";

/// Prints what opening a history of an older annals changed.
fn report_reparsed(store: &Store) {
    let ReparseSummary { records, mixed } = store.reparsed();
    if records > 0 {
        eprintln!(
            "annals: an older annals wrote this history; {} parsed again",
            counted(records, "query was", "queries were")
        );
    }
    if mixed > 0 {
        eprintln!(
            "annals: {} several statements without an id; import their logs again to separate them",
            counted(mixed, "row mixes", "rows mix")
        );
    }
}
