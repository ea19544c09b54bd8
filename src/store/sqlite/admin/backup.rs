//! A consistent copy of the database while others write to it.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::super::Store;
use crate::store::error::{BackupError, StoreError};

impl Store {
    /// Copies the database as it is now into a new file, which annals can serve at once. Returns the size of
    /// the copy in bytes.
    ///
    /// `VACUUM INTO` reads one snapshot in one transaction: writers do not wait, and do not restart the copy
    /// as they do with SQLite's backup interface. Their commits stay in the write-ahead log until the copy is
    /// done. The copy gets its name only after it is checked and on the disk.
    pub(crate) async fn back_up(&self, target: &Path) -> Result<u64, BackupError> {
        if target.exists() {
            return Err(BackupError::Exists(target.to_path_buf()));
        }
        let mut connection = self.reporters.acquire().await.map_err(StoreError::from)?;
        copy_to(&mut connection, target).await
    }
}

/// Copies the database of a connection into a new file. Returns the size of the copy in bytes.
pub(in crate::store::sqlite) async fn copy_to(
    connection: &mut SqliteConnection,
    target: &Path,
) -> Result<u64, BackupError> {
    let not_written = |error| BackupError::Write(target.to_path_buf(), error);
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // An empty file that only its owner can read. SQLite accepts it as the target, and dropping it removes it.
    let copy = tempfile::Builder::new()
        .prefix(".annals-backup-")
        .tempfile_in(folder)
        .map_err(not_written)?;
    let name = copy.path().to_string_lossy().into_owned();
    let copied = sqlx::query("VACUUM INTO ?").bind(name).execute(connection).await;
    copied.map_err(StoreError::from)?;
    let result = quick_check(copy.path()).await?;
    if result != "ok" {
        return Err(BackupError::Damaged(result));
    }
    File::open(copy.path()).and_then(|file| file.sync_all()).map_err(not_written)?;
    let copy = copy.persist_noclobber(target).map_err(|error| match error.error.kind() {
        ErrorKind::AlreadyExists => BackupError::Exists(target.to_path_buf()),
        _ => not_written(error.error),
    })?;
    // Brings the name to the disk.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(not_written)?;
    Ok(copy.metadata().map_err(not_written)?.len())
}

/// Returns the first thing that SQLite finds wrong with a file, or "ok".
async fn quick_check(file: &Path) -> Result<String, StoreError> {
    let options = SqliteConnectOptions::new().filename(file).read_only(true).immutable(true);
    let mut connection = options.connect().await?;
    let result = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(result)
}
