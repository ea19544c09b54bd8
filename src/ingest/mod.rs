//! What runs while annals serves: sources send batches through the pipeline to the writer.
//!
//! - [`pipeline`] applies the exclusion rules and hands batches to the writer.
//! - [`budget`] bounds the memory of pushes.
//! - [`sources`] counts what each source sent, and keeps its last error and its lag.
//! - [`follow`] follows audit logs.
//! - [`frontend`] polls frontends.
//! - [`audit_table`] collects from audit tables.
//! - [`hours`] makes the summaries of hours.
//! - [`plans`] reads the plans of stored profiles.
//! - [`token_uses`] notes when tokens were used.
//! - [`retention`] removes what is older or larger than the configured bounds.
//!
//! A source that can wait (a followed log, a polled frontend, an audit table) waits for the writer. A client that pushes gets an
//! error after [`pipeline::PUSH_TIMEOUT`], and sends again.

pub(crate) mod audit_table;
mod budget;
pub(crate) mod follow;
pub(crate) mod frontend;
mod hours;
mod pipeline;
mod plans;
mod retention;
mod sources;
mod token_uses;

pub(crate) use budget::{LOAD_BYTES, Reservation};
pub(crate) use hours::sum_hours;
pub(crate) use pipeline::{Pipeline, PushError};
pub(crate) use plans::{read_all_plans, read_plans};
pub(crate) use retention::{PruneReport, run_retention};
pub(crate) use sources::{
    AuditTableReport, FUTURE_INSTANTS, Source, SourceReport, WaitsFor, future_in_zone, other_zone,
};
pub(crate) use token_uses::{TokenUses, note_token_uses};

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::time::now_ms;

/// Locks a mutex whose value is whole after every statement, so that a panic under the lock breaks nothing.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
