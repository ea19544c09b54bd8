//! SQLite without sqlx in between: every line of `rusqlite` and of `unsafe`.
//!
//! sqlx runs each connection on a thread of its own and sends every row from there to the task that waits.
//! For the statements here that costs more than the statement itself; each says how much, as measured by
//! `benches/store_paths.rs` and `benches/history.rs`. Every other statement goes through sqlx's macros.

mod aggregate;
mod conditions;
mod damaged;
mod gate;
mod hours;
mod insert;
mod lane;
mod list;
mod load;
mod log;
mod log_file;
mod ngram_index;
mod open_file;
mod plan;
mod profile;
mod query_table;
mod read_pool;
mod salvage;
mod scan;
mod search;
mod shift;
mod sorted;
mod usage;
mod watch;

#[cfg(test)]
mod tests;

use std::time::Duration;

use rusqlite::Connection;
use sqlx::Connection as _;
use sqlx::sqlite::{LockedSqliteHandle, SqliteConnection};

use crate::store::error::StoreError;

pub(super) use damaged::{is_readable_after, queries_after, queries_alone_after, wrong_texts};
pub(super) use gate::Gate;
pub(super) use hours::{change_hours, forget_hours};
pub(super) use insert::insert_normalized;
pub(super) use lane::Lane;
pub(super) use log::restart_log;
pub(super) use log_file::{is_without_log, log_state};
pub(super) use ngram_index::{make_segments, remove_unfilled};
pub(super) use open_file::OpenFile;
pub(super) use plan::{note_unread_plans, write_plans};
pub(super) use query_table::{insert_queries, stored_queries, update_queries, write_loads};
pub(super) use read_pool::ReadPool;
pub(super) use salvage::{copy_rest, salvage, survey};
pub(super) use shift::{shift_rows, zone_groups};
pub(crate) use watch::{Version, Watch};

/// Returns the version of the SQLite that is part of annals.
pub(crate) fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// Locks a connection of sqlx, so that [`with_raw`] can work below it.
///
/// The ping makes sqlx's thread take its lock back first. Without it the thread may still wait for that lock while
/// the next `lock_handle` gets it and queues another command; once the command queue is full, both wait for ever
/// (sqlx 0.9, `ConnectionWorker::unlock_db`: the future holds the lock while it waits for room in the queue).
async fn lock(connection: &mut SqliteConnection) -> Result<LockedSqliteHandle<'_>, StoreError> {
    connection.ping().await?;
    Ok(connection.lock_handle().await?)
}

/// Runs `work` on the raw connection below a connection of sqlx.
fn with_raw<T>(
    handle: &mut LockedSqliteHandle<'_>,
    work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
) -> Result<T, StoreError> {
    // SAFETY: the handle is open for as long as `sqlite` lives, and locked, so that sqlx's thread does not use
    // it meanwhile. `from_handle` borrows the connection: creating and dropping `sqlite` neither closes the
    // connection nor changes a setting of it, and `sqlite` finalizes the statements that it prepared.
    let sqlite = unsafe { Connection::from_handle(handle.as_raw_handle().as_ptr()) };
    Ok(work(&sqlite?)?)
}

/// Runs `work` with another busy time-out than that of the connection.
fn with_busy_timeout<'c, T>(
    sqlite: &'c Connection,
    timeout: Duration,
    work: impl FnOnce(&'c Connection) -> Result<T, rusqlite::Error>,
) -> Result<T, rusqlite::Error> {
    let own_ms = sqlite.pragma_query_value(None, "busy_timeout", |row| row.get::<_, u32>(0))?;
    sqlite.busy_timeout(timeout)?;
    let done = work(sqlite);
    sqlite.busy_timeout(Duration::from_millis(own_ms.into()))?;
    done
}
