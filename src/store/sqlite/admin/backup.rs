//! A copy of a history that is whole, though others write meanwhile.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::super::Store;

/// Why there is no backup. Nothing of it stays behind.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum BackupError {
    #[error("{} is there already; name another file", .0.display())]
    Exists(PathBuf),
    #[error("{} cannot be written", .0.display())]
    Write(PathBuf, #[source] std::io::Error),
    #[error("the history cannot be copied; `annals check` says whether it is sound")]
    Copy(#[from] sqlx::Error),
    #[error("the copy is damaged ({0}); `annals check` says whether the history is")]
    Damaged(String),
}

impl Store {
    /// Copies the history as it is at this moment into a file of its own, which can be served at once;
    /// gives its size in bytes.
    ///
    /// `VACUUM INTO` reads one state of the history in one transaction: who writes meanwhile waits for
    /// nothing, and does not make it start again, as it would with SQLite's backup interface. What others
    /// write stays in the write-ahead log until the copy is done. The copy is checked, is on the disk, and
    /// only then has its name.
    pub async fn back_up(&self, target: &Path) -> Result<u64, BackupError> {
        let not_written = |error| BackupError::Write(target.to_path_buf(), error);
        if target.exists() {
            return Err(BackupError::Exists(target.to_path_buf()));
        }
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        // An empty file that only its owner reads, which SQLite takes; it goes if anything fails.
        let copy = tempfile::Builder::new()
            .prefix(".annals-backup-")
            .tempfile_in(folder)
            .map_err(not_written)?;
        let name = copy.path().to_string_lossy().into_owned();
        let mut connection = self.reporters.acquire().await?;
        sqlx::query("VACUUM INTO ?").bind(name).execute(&mut *connection).await?;
        drop(connection);
        quick_check(copy.path()).await?;
        File::open(copy.path()).and_then(|file| file.sync_all()).map_err(not_written)?;
        let copy = copy.persist_noclobber(target).map_err(|error| match error.error.kind() {
            ErrorKind::AlreadyExists => BackupError::Exists(target.to_path_buf()),
            _ => not_written(error.error),
        })?;
        // The name, too.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(not_written)?;
        Ok(copy.metadata().map_err(not_written)?.len())
    }
}

async fn quick_check(copy: &Path) -> Result<(), BackupError> {
    let options = SqliteConnectOptions::new().filename(copy).read_only(true).immutable(true);
    let mut connection = options.connect().await?;
    let said: String =
        sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
    connection.close().await?;
    if said == "ok" { Ok(()) } else { Err(BackupError::Damaged(said)) }
}
