//! The engine on SQLite: one file, in WAL mode, so that readers and the writer never wait for each other.
//!
//! sqlx's macros check and run every statement, except those in [`raw`].

mod account;
mod admin;
mod beside;
mod commit;
mod log_bound;
mod login;
mod open;
mod raw;
mod read;
mod reparse;
mod rows;
mod shift;
mod sizes;
mod statements;
mod token;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};

use commit::SqliteWriter;
use log_bound::LogBound;
use raw::{Gate, Lane, OpenFile, ReadPool};

use super::contents::ReparseSummary;
use super::error::{FileFault, OpenError, StoreError};
use super::writer::{CommitPolicy, Writer};

pub(crate) use beside::is_history;
pub(crate) use raw::{Version, Watch, sqlite_version};

/// How long a statement waits for another process that writes to the same file.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(60);

/// The page size of SQLite.
const PAGE_BYTES: u64 = 4096;

/// The records of a commit of an import. Query ids are random, so every commit writes most of their index again, and large
/// commits make imports fast.
const BULK_RECORDS: usize = 200_000;

/// An open database. A clone is another handle to the same database.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    path: PathBuf,
    /// For statements that read a few rows.
    readers: SqlitePool,
    /// For statements of annals itself that read many rows.
    reporters: SqlitePool,
    /// One connection for retention and for the size of the file, which wait for no client and no report.
    keeper: SqlitePool,
    /// For lists by start and profiles.
    read_pool: Arc<ReadPool>,
    /// What annals has open, to compare with what is at the path; none if the store only reads.
    open_file: Option<Arc<OpenFile>>,
    /// For lists with other conditions and searches, as far as they look at the newest queries only.
    newest: Arc<Lane>,
    /// For lists and searches that look further.
    scans: Arc<Lane>,
    /// For counts of many queries.
    reports: Arc<Lane>,
    /// Before scans and reports.
    gate: Arc<Gate>,
    reparsed: ReparseSummary,
}

impl Store {
    /// Returns what the store changed in a database of an older annals when it opened the file.
    pub(crate) fn reparsed(&self) -> ReparseSummary {
        self.reparsed
    }

    /// Returns the path of the database file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a writer that commits at once; a process needs one. The writer waits for `busy_timeout` while
    /// another process writes to the file, then rejects the batch. If the file has a bound, the write-ahead
    /// log takes a small part of it.
    pub(crate) async fn writer(
        &self,
        busy_timeout: Duration,
        max_size: Option<u64>,
    ) -> Result<Writer, OpenError> {
        let log_pages = admin::retention::log_pages(max_size);
        let options = options_to_write(&self.path)
            .busy_timeout(busy_timeout)
            .pragma("wal_autocheckpoint", log_pages.to_string())
            .pragma("journal_size_limit", (log_pages * PAGE_BYTES).to_string());
        self.start_writer(options, CommitPolicy::Live, log_pages).await
    }

    /// Returns a writer for a process that imports much, and waits for no answer before the end.
    pub(crate) async fn bulk_writer(&self) -> Result<Writer, OpenError> {
        // In KiB. The index of the ids of ten million queries needs more memory than a server may take.
        let options = options_to_write(&self.path).pragma("cache_size", "-262144");
        let policy = CommitPolicy::Bulk(BULK_RECORDS);
        self.start_writer(options, policy, admin::retention::log_pages(None)).await
    }

    async fn start_writer(
        &self,
        options: SqliteConnectOptions,
        policy: CommitPolicy,
        log_pages: u64,
    ) -> Result<Writer, OpenError> {
        let max_log_bytes = log_pages * PAGE_BYTES;
        let log = LogBound::new(options.get_filename(), max_log_bytes, self.gate.clone());
        let connection = SqliteWriter::connect(options, log, self.open_file.clone()).await;
        let connection = connection.map_err(|error| OpenError::of(&self.path, error))?;
        Ok(Writer::start(connection, policy))
    }

    /// Returns why nothing can be written: the file was removed, replaced or overwritten while annals has it open, or
    /// is damaged. Looks at the file.
    pub(crate) fn file_fault(&self) -> Option<FileFault> {
        self.open_file.as_ref().and_then(|file| file.check().err())
    }

    /// Returns a watch for commits, of this process and of others.
    pub(crate) fn watch(&self) -> Result<Watch, OpenError> {
        Watch::new(&self.path).map_err(|error| OpenError::Other(self.path.clone(), error))
    }

    /// Closes every connection, and moves the write-ahead log into the file, unless that is not the file that annals
    /// opened.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        let fault = self.file_fault();
        self.read_pool.close();
        [&self.newest, &self.scans, &self.reports].into_iter().for_each(|lane| lane.close());
        self.readers.close().await;
        self.reporters.close().await;
        self.keeper.close().await;
        if let Some(file) = &self.open_file {
            file.close();
        }
        if fault.is_some_and(|fault| fault != FileFault::Damaged) {
            return Ok(());
        }
        let mut connection = options_to_write(&self.path).connect().await?;
        checkpoint(&mut connection).await?;
        Ok(connection.close().await?)
    }
}

/// Moves the write-ahead log into the file, except for what another process still reads from the log.
async fn checkpoint(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(connection).await?;
    Ok(())
}

fn options_to_write(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // The disk has a commit before the writer acknowledges it.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        // Query ids are random, so each commit touches all of their index. The cache, in KiB, should hold the
        // index, and a checkpoint should be seldom.
        .pragma("cache_size", "-8192")
        .pragma("wal_autocheckpoint", admin::retention::log_pages(None).to_string())
}
