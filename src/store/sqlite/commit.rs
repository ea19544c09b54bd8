//! Transactions: a group of batches in one, and the search index between two.

use std::error::Error;
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::admin::backup;
use super::log_bound::LogBound;
use super::raw::{OpenFile, make_segments, remove_unfilled};
use super::rows::SqliteRows;
use crate::store::error::{BackupError, FileFault, StoreError};
use crate::store::write::write_batch;
use crate::store::writer::{Group, Upkeep, WriteConnection};

/// The connection that writes.
pub(super) struct SqliteWriter {
    options: SqliteConnectOptions,
    connection: SqliteConnection,
    log: LogBound,
    /// None only for a store that reads.
    open_file: Option<Arc<OpenFile>>,
    /// Whether the log is moved into a file that is not at its path any more.
    is_log_moved: bool,
}

impl SqliteWriter {
    /// Returns a writer that keeps the write-ahead log of the file within a bound. Errors if the file is not the one that
    /// `open_file` knows.
    pub(super) async fn connect(
        options: SqliteConnectOptions,
        log: LogBound,
        open_file: Option<Arc<OpenFile>>,
    ) -> Result<SqliteWriter, StoreError> {
        let connection = options.connect().await?;
        let writer = SqliteWriter { options, connection, log, open_file, is_log_moved: false };
        writer.check_file()?;
        Ok(writer)
    }

    /// Errors if the file is not as annals left it.
    fn check_file(&self) -> Result<(), FileFault> {
        self.open_file.as_ref().map_or(Ok(()), |file| file.check())
    }

    async fn write(&mut self, group: &mut Group<'_>) -> Result<(), StoreError> {
        // The write lock is taken at once: a transaction that begins by reading can lose its snapshot to
        // another process that writes.
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        remove_unfilled(&mut transaction).await?;
        let mut rows = SqliteRows::new(&mut transaction);
        while let Some(mut batch) = group.next().await {
            group.written(write_batch(&mut rows, &mut batch).await?);
        }
        rows.finish().await?;
        Ok(transaction.commit().await?)
    }

    /// Brings the log where it does no harm, once. If the content of file and log is right, the log is moved into the file
    /// that annals has open: whoever renamed the file then has all of it.
    async fn move_log(&mut self, fault: FileFault) {
        if self.is_log_moved {
            return;
        }
        match (fault, &self.open_file) {
            (FileFault::Removed | FileFault::Replaced | FileFault::LogRemoved, _) => {
                match super::checkpoint(&mut self.connection).await {
                    Ok(()) => self.is_log_moved = true,
                    Err(error) => {
                        let error = &error as &dyn Error;
                        tracing::error!(error, "the log cannot be moved into the history's file");
                    }
                }
            }
            (FileFault::Overwritten, Some(file)) => {
                file.move_log_away();
                self.is_log_moved = true;
            }
            _ => {}
        }
    }

    /// Copies the content of a deleted file to a new file beside the path.
    async fn rescue(&mut self) -> Result<(), BackupError> {
        let Some(file) = self.open_file.as_ref().filter(|file| file.is_deleted()) else {
            return Ok(());
        };
        let target = file.rescue_path();
        backup::copy_to(&mut self.connection, &target).await?;
        let path = target.display();
        tracing::error!(%path, "the history's file was deleted; its content is in another file now");
        Ok(())
    }
}

impl WriteConnection for SqliteWriter {
    async fn write_group(&mut self, group: &mut Group<'_>) -> Result<(), StoreError> {
        self.check_file()?;
        self.write(group).await.map_err(|error| match &self.open_file {
            Some(file) => file.note(error),
            None => error,
        })?;
        // Before the batches are acknowledged: the commit may have gone to a file that nobody finds again.
        Ok(self.check_file()?)
    }

    /// Replaces the connection. SQLite may have ended the transaction, as it does on a full disk, and sqlx does
    /// not learn of that: only a new connection is certain to be in no transaction.
    async fn recover(&mut self) {
        match self.check_file() {
            // A new connection would open another file.
            Err(fault) if fault != FileFault::Damaged => self.move_log(fault).await,
            _ => {
                if let Ok(fresh) = self.options.connect().await {
                    let old = std::mem::replace(&mut self.connection, fresh);
                    let _ = old.close_hard().await;
                }
            }
        }
    }

    /// Looks at the file while nothing is written.
    async fn look(&mut self) {
        match self.check_file() {
            Ok(()) => self.is_log_moved = false,
            Err(fault) => self.move_log(fault).await,
        }
    }

    async fn trim_log(&mut self) {
        self.log.keep(&mut self.connection).await;
    }

    /// Makes segments of the search index. A search reads the rows that no segment covers, so an error
    /// costs only time.
    async fn upkeep(&mut self, steps: usize) -> Upkeep {
        if self.check_file().is_err() {
            return Upkeep::Done;
        }
        make_segments(&mut self.connection, steps).await.unwrap_or_else(|error| {
            let error = &error as &dyn Error;
            tracing::warn!(error, "the search index was not brought up to date");
            Upkeep::Done
        })
    }

    async fn close(mut self) -> Result<(), StoreError> {
        let fault = self.check_file().err().filter(|fault| *fault != FileFault::Damaged);
        let Some(fault) = fault else {
            super::checkpoint(&mut self.connection).await?;
            return Ok(self.connection.close().await?);
        };
        self.move_log(fault).await;
        if let Err(error) = self.rescue().await {
            let error = &error as &dyn Error;
            tracing::error!(error, "the content of the deleted history cannot be copied");
        }
        // Closing would write the log into the file that is there now, or delete a log that is not annals'.
        std::mem::forget(self.connection);
        Err(fault.into())
    }
}
