//! The store: one SQLite file, and every SQL statement annals knows.
//!
//! One [`Writer`] commits in groups; readers work beside it and never wait for it (WAL).

mod account;
mod admin;
mod commit;
mod login;
mod ngram_index;
mod raw;
mod read;
mod read_pool;
mod reparse;
mod report;
mod scan;
mod timeline;
mod top;
mod version;
mod write;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool,
    SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};

use commit::SqliteWriter;
use read_pool::ReadPool;

use super::error::{OpenError, StoreError};
use super::writer::{CommitPolicy, Writer};

pub(crate) use admin::backup::BackupError;
pub(crate) use admin::check::{Finding, TableSize};
pub(crate) use admin::retention::{Pruner, Removal};
pub(crate) use reparse::ReparseSummary;
pub(crate) use report::{Sizes, StatementOrder, StatementStatistics};
pub(crate) use timeline::{Bucket, Spans};
pub(crate) use top::{Group, GroupBy};
pub(crate) use version::{Version, Watch};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// What annals writes into the header of its files (`PRAGMA application_id`): "anls".
const APPLICATION_ID: i32 = 0x616e_6c73;

/// How long a statement waits for another process that writes to the same file.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(60);

/// A page of SQLite.
const PAGE_BYTES: u64 = 4096;

/// Connections that read at the same time; what asks beyond that waits its turn.
const READERS: u32 = 4;
/// Bare handles that read lists and profiles at the same time.
const HANDLES: usize = 4;
/// Connections that read many queries at once, so that lists and profiles never wait for them.
const REPORTERS: u32 = 2;

/// The version of the SQLite that is in annals.
pub(crate) fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// A history, opened. A clone is another handle to the same.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
    readers: SqlitePool,
    reporters: SqlitePool,
    handles: Arc<ReadPool>,
    healed: ReparseSummary,
}

impl Store {
    /// Opens a history for reading and writing; makes it where there is none, and brings an older one
    /// up to date.
    pub async fn open(path: &Path) -> Result<Store, OpenError> {
        let refused = |error: sqlx::Error| refusal(path, error);
        if path.is_dir() {
            return Err(OpenError::IsAFolder(path.to_path_buf()));
        }
        let marked = if path.exists() {
            inspect(path).await?
        } else {
            create(path)?;
            false
        };
        let mut options = writing(path);
        if !marked {
            // Space that pruning frees is to go back to the disk in small steps. Only a new file takes
            // this setting, and an old one is written to by each try.
            options = options.auto_vacuum(SqliteAutoVacuum::Incremental);
        }
        let mut connection = options.connect().await.map_err(refused)?;
        if !marked {
            // Before the first table, so that a half-made file is known as ours.
            let mark = sqlx::query("PRAGMA application_id = 0x616e6c73");
            mark.execute(&mut connection).await.map_err(refused)?;
        }
        MIGRATIONS.run(&mut connection).await.map_err(|error| refusal(path, error))?;
        let healed = reparse::bring_up_to_date(&mut connection)
            .await
            .map_err(|error| refusal(path, error))?;
        connection.close().await.map_err(refused)?;

        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let options = options.busy_timeout(BUSY_TIMEOUT);
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.clone())
            .await
            .map_err(refused)?;
        let reporters =
            SqlitePoolOptions::new().max_connections(REPORTERS).connect_lazy_with(options);
        let handles = Arc::new(ReadPool::new(path, false, HANDLES));
        Ok(Store { path: path.to_path_buf(), readers, reporters, handles, healed })
    }

    /// Opens a history for reading alone, and never changes it nor its schema; with one connection, for what
    /// runs once and ends.
    ///
    /// Where SQLite cannot put files beside the history, as in a folder that may only be read, the file is
    /// read as if nobody wrote to it: somebody who writes meanwhile makes a read fail. What a write-ahead
    /// log holds would then not be seen, so one that holds something is refused.
    pub async fn open_to_read(path: &Path) -> Result<Store, OpenError> {
        let named = || path.to_path_buf();
        if path.is_dir() {
            return Err(OpenError::IsAFolder(named()));
        }
        match std::fs::File::open(path) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(OpenError::Missing(named()));
            }
            Err(_) => return Err(OpenError::NotReadable(named())),
        }
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let options = options.busy_timeout(BUSY_TIMEOUT);
        let mut opened = look(options.clone(), path).await;
        let immutable = matches!(opened, Err(OpenError::NotWritable(_)));
        if immutable {
            if std::fs::metadata(admin::retention::log_path(path)).is_ok_and(|log| log.len() > 0) {
                return Err(OpenError::LogNotReadable(named()));
            }
            opened = look(options.immutable(true), path).await;
        }
        let (readers, applied) = opened.map_err(|error| match error {
            OpenError::NotWritable(path) => OpenError::NotReadable(path),
            error => error,
        })?;
        if applied.is_empty() {
            return Err(OpenError::Empty(named()));
        }
        if MIGRATIONS.iter().any(|known| !applied.contains(&known.version)) {
            return Err(OpenError::Older(named()));
        }
        let handles = Arc::new(ReadPool::new(path, immutable, HANDLES));
        let healed = ReparseSummary::default();
        Ok(Store { path: named(), reporters: readers.clone(), readers, handles, healed })
    }

    /// Returns what was done to a history of an older annals as it was opened.
    pub fn healed(&self) -> ReparseSummary {
        self.healed
    }

    /// Where the history is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The one writer of this process. It waits so long for another process that writes to the same
    /// file, then refuses what it was to write. The write-ahead log takes a small part of `max_size`, where
    /// the history is to stay within so many bytes.
    pub async fn writer(
        &self,
        patience: Duration,
        max_size: Option<u64>,
    ) -> Result<Writer, OpenError> {
        let log_pages = admin::retention::log_pages(max_size);
        let options = writing(&self.path)
            .busy_timeout(patience)
            .pragma("wal_autocheckpoint", log_pages.to_string())
            .pragma("journal_size_limit", (log_pages * PAGE_BYTES).to_string());
        self.start_writer(options, CommitPolicy::Live).await
    }

    /// The one writer of a process that brings much at once and waits for none of it before the end.
    pub async fn bulk_writer(&self) -> Result<Writer, OpenError> {
        // The index of the ids of ten million queries is larger than what a server may take.
        let options = writing(&self.path).pragma("cache_size", "-262144");
        self.start_writer(options, CommitPolicy::Bulk).await
    }

    async fn start_writer(
        &self,
        options: SqliteConnectOptions,
        policy: CommitPolicy,
    ) -> Result<Writer, OpenError> {
        let connection = SqliteWriter::connect(options).await;
        let connection = connection.map_err(|error| refusal(&self.path, error))?;
        Ok(Writer::start(connection, policy))
    }

    /// Watches for commits, of this process and of others.
    pub fn watch(&self) -> Result<Watch, OpenError> {
        Watch::new(&self.path).map_err(|error| OpenError::Other(self.path.clone(), error.into()))
    }

    /// Ends reading and moves what the write-ahead log holds into the file itself.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.handles.close();
        self.readers.close().await;
        self.reporters.close().await;
        let mut connection = writing(&self.path).connect().await?;
        checkpoint(&mut connection).await?;
        Ok(connection.close().await?)
    }
}

/// Moves what the write-ahead log holds into the file itself; where another process still reads from
/// the log, as much of it as can be.
async fn checkpoint(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(connection).await?;
    Ok(())
}

fn writing(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // A commit is acknowledged when it is on the disk.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        // Query ids are random, so each commit touches their whole index: it should be in memory, and
        // go from the log to the file seldom. Both in pages of 4 KiB or, negative, in KiB.
        .pragma("cache_size", "-8192")
        .pragma("wal_autocheckpoint", admin::retention::log_pages(None).to_string())
}

/// Makes an empty file that only its owner can read, for SQL and profiles are sensitive.
fn create(path: &Path) -> Result<(), OpenError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        return Err(OpenError::NoFolder(path.to_path_buf(), folder.to_path_buf()));
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        // Another process made it meanwhile.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(not_opened(path, error)),
    }
}

fn not_opened(path: &Path, error: std::io::Error) -> OpenError {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            OpenError::NotWritable(path.to_path_buf())
        }
        _ => OpenError::Other(path.to_path_buf(), error.into()),
    }
}

/// Looks at an existing file without changing it: `true` for a history that this annals understands,
/// `false` for one that holds nothing yet.
async fn inspect(path: &Path) -> Result<bool, OpenError> {
    let refused = |error: sqlx::Error| refusal(path, error);
    // SQLite would open a file without permission for reading, and report it only as it is written to.
    let writable = std::fs::OpenOptions::new().write(true).open(path);
    writable.map_err(|error| not_opened(path, error))?;
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection = options.busy_timeout(BUSY_TIMEOUT).connect().await.map_err(refused)?;
    let applied = understood(&mut connection, path).await?;
    connection.close().await.map_err(refused)?;
    Ok(applied.is_some())
}

/// One connection that reads, and the migrations that the history has seen.
async fn look(
    options: SqliteConnectOptions,
    path: &Path,
) -> Result<(SqlitePool, Vec<i64>), OpenError> {
    let refused = |error: sqlx::Error| refusal(path, error);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_lazy_with(options);
    // A pool would try again until its time is out where a file cannot be opened: its first is tried here.
    let mut connection = pool.connect_options().connect().await.map_err(refused)?;
    let applied = understood(&mut connection, path).await?;
    connection.close().await.map_err(refused)?;
    Ok((pool, applied.unwrap_or_default()))
}

/// The migrations that a history has seen; `None` where the file holds nothing yet.
async fn understood(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<Option<Vec<i64>>, OpenError> {
    let refused = |error: sqlx::Error| refusal(path, error);
    let application_id: i32 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await
        .map_err(refused)?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master")
        .fetch_one(&mut *connection)
        .await
        .map_err(refused)?;
    if tables == 0 {
        return match application_id {
            0 => Ok(None),
            APPLICATION_ID => Ok(Some(Vec::new())),
            _ => Err(OpenError::OfAnotherProgram(path.to_path_buf())),
        };
    }
    if application_id != APPLICATION_ID {
        return Err(OpenError::OfAnotherProgram(path.to_path_buf()));
    }
    // Not a macro: the table is sqlx's own and stands in no migration.
    let applied: Vec<i64> = sqlx::query_scalar("SELECT version FROM _sqlx_migrations")
        .fetch_all(&mut *connection)
        .await
        .map_err(refused)?;
    if applied.iter().any(|version| !MIGRATIONS.version_exists(*version)) {
        return Err(OpenError::Newer(path.to_path_buf()));
    }
    Ok(Some(applied))
}

/// Returns what an error of the engine means for somebody who opens a file.
fn refusal(path: &Path, error: impl Into<StoreError>) -> OpenError {
    let path = path.to_path_buf();
    match error.into() {
        StoreError::Corrupt(_) => OpenError::Damaged(path),
        StoreError::NotADatabase(_) => OpenError::NotADatabase(path),
        StoreError::NotWritable(_) => OpenError::NotWritable(path),
        StoreError::Busy(_) => OpenError::Busy(path),
        error => OpenError::Other(path, error),
    }
}
