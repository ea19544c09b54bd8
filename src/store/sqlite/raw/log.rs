//! The write-ahead log beside the file.

use std::time::Duration;

use sqlx::sqlite::SqliteConnection;

use super::{lock, with_busy_timeout, with_raw};
use crate::store::error::StoreError;

/// Moves the write-ahead log into the file and lets the next commit begin it anew, as soon as no reader needs the log:
/// a commit alone only does so if no reader is there at that moment. Waits for the readers for up to `wait`. Returns
/// whether the log begins anew.
///
/// Beneath sqlx, because the time-out of the connection changes for one statement.
pub(in crate::store::sqlite) async fn restart_log(
    connection: &mut SqliteConnection,
    wait: Duration,
) -> Result<bool, StoreError> {
    let mut handle = lock(connection).await?;
    tokio::task::block_in_place(|| {
        with_raw(&mut handle, |sqlite| {
            let is_busy = with_busy_timeout(sqlite, wait, |sqlite| {
                sqlite.query_row("PRAGMA wal_checkpoint(RESTART)", (), |row| row.get::<_, bool>(0))
            })?;
            Ok(!is_busy)
        })
    })
}
