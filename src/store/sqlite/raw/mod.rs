//! SQLite without sqlx between: the statements that a connection's own thread would slow down.

mod insert;
mod list;
mod profile;
mod query_table;

use rusqlite::Connection;
use sqlx::sqlite::LockedSqliteHandle;

use crate::store::error::StoreError;

pub(super) use insert::insert_normalized;
pub(super) use query_table::{
    insert_queries, queries_behind, stored_queries, update_queries, write_loads,
};

/// Works on the raw connection below a connection of sqlx, which nobody else can use while it is locked.
pub(super) fn with_raw<T, E: Into<StoreError>>(
    handle: &mut LockedSqliteHandle<'_>,
    work: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, StoreError> {
    // SAFETY: the handle is open and locked for as long as `sqlite` lives, and `from_handle` neither closes
    // it nor changes its settings.
    let sqlite = unsafe { Connection::from_handle(handle.as_raw_handle().as_ptr()) };
    work(&sqlite?).map_err(Into::into)
}
