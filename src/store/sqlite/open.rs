//! Opening a database file: to write, to read only, and what stops both.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqlitePool, SqlitePoolOptions,
};
use sqlx::{ConnectOptions, Connection};

use super::raw::{Gate, Lane, OpenFile, ReadPool};
use super::{BUSY_TIMEOUT, Store, admin, beside, options_to_write, reparse};
use crate::store::address::folder_of;
use crate::store::contents::ReparseSummary;
use crate::store::error::{OpenError, StoreError};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Returns the statements that make an empty history, in memory or elsewhere.
pub(super) fn schema() -> impl Iterator<Item = &'static str> {
    MIGRATIONS.iter().map(|migration| migration.sql.as_str())
}

/// The `PRAGMA application_id` of annals' files: "anls".
pub(super) const APPLICATION_ID: i32 = 0x616e_6c73;

/// Between two tries to turn on WAL mode in a file that another process does the same to.
const CONNECT_STEP: Duration = Duration::from_millis(20);

/// Connections of sqlx that read a few rows each.
const READERS: u32 = 4;
/// Raw connections for lists and profiles.
const READ_POOL: usize = 4;
/// Connections for annals' own reads of many rows.
const REPORTERS: u32 = 2;
/// Connections of each lane. Reads of a lane take whole cores, and more would only share the same cores.
const LANE: usize = 2;
/// How long a list may look at the newest queries before it waits with the long searches.
const NEWEST_TIME: Duration = Duration::from_millis(50);
/// How long a search may take. Its answer has what was found until then, and the next page goes on.
const SCAN_TIME: Duration = Duration::from_secs(10);
/// How long a report may take: some ten million queries. A part of a report is of no use.
const REPORT_TIME: Duration = Duration::from_secs(30);

impl Store {
    /// Opens a database to read and to write. Creates a missing file, and migrates an older database.
    pub(crate) async fn open(path: &Path) -> Result<Store, OpenError> {
        let not_opened = |error: StoreError| OpenError::of(path, error);
        if path.is_dir() {
            return Err(OpenError::IsAFolder(path.to_path_buf()));
        }
        beside::reject_log(path)?;
        if !path.exists() {
            create(path).await?;
        }
        let mut applied = inspect(path).await?;
        // One process after another brings a file up to date. No connection of this process is open when the lock
        // is dropped: closing a file drops SQLite's locks on it.
        let mut turn = None;
        if !applied.as_deref().is_some_and(is_current) {
            turn = take_turn(path).await;
            applied = inspect(path).await?;
        }
        let reparsed = migrate(path, applied.as_deref()).await.map_err(not_opened)?;
        drop(turn);
        let open_file = Arc::new(OpenFile::new(path).map_err(not_opened)?);
        let options = options_to_read(path);
        let readers = pool(READERS, options.clone()).await.map_err(not_opened)?;
        let reporters = pool(REPORTERS, options.clone()).await.map_err(not_opened)?;
        let keeper = pool(1, options).await.map_err(not_opened)?;
        let read_pool = Arc::new(ReadPool::new(path, false, READ_POOL).of(open_file.clone()));
        let lane = |time, gate| {
            let connections = ReadPool::new(path, false, LANE).of(open_file.clone());
            Lane::new(connections, LANE, Some(time), gate)
        };
        let gate = Arc::<Gate>::default();
        let newest = lane(NEWEST_TIME, Arc::default());
        let [scans, reports] = [SCAN_TIME, REPORT_TIME].map(|time| lane(time, gate.clone()));
        Ok(Store {
            path: path.to_path_buf(),
            readers,
            reporters,
            keeper,
            read_pool,
            newest,
            scans,
            reports,
            gate,
            open_file: Some(open_file),
            reparsed,
        })
    }

    /// Opens a database to read only, with one connection, for a command that runs once and ends. Never changes
    /// the file or its schema.
    ///
    /// If SQLite cannot create its files beside the database, as in a read-only folder, it reads the file as if
    /// no process wrote to it; if one does, a read fails. SQLite would then ignore the write-ahead log, so a
    /// database whose log is not empty is an error.
    pub(crate) async fn open_to_read(path: &Path) -> Result<Store, OpenError> {
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
        beside::reject_log(path)?;
        let mut opened = open_pool(options_to_read(path), path).await;
        let immutable = matches!(opened, Err(OpenError::NotWritable(_)));
        if immutable {
            if std::fs::metadata(admin::retention::log_path(path)).is_ok_and(|log| log.len() > 0) {
                return Err(OpenError::LogNotReadable(named()));
            }
            opened = open_pool(options_to_read(path).immutable(true), path).await;
        }
        let (readers, applied) = opened.map_err(|error| match error {
            OpenError::NotWritable(path) => OpenError::NotReadable(path),
            error => error,
        })?;
        if applied.is_empty() {
            return Err(OpenError::Empty(named()));
        }
        if !is_current(&applied) {
            return Err(OpenError::Older(named()));
        }
        let read_pool = Arc::new(ReadPool::new(path, immutable, READ_POOL));
        let gate = Arc::<Gate>::default();
        let lane = Lane::new(ReadPool::new(path, immutable, 1), 1, None, gate.clone());
        Ok(Store {
            path: named(),
            reporters: readers.clone(),
            keeper: readers.clone(),
            readers,
            read_pool,
            newest: lane.clone(),
            scans: lane.clone(),
            reports: lane,
            gate,
            open_file: None,
            reparsed: ReparseSummary::default(),
        })
    }
}

fn options_to_read(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY_TIMEOUT)
}

/// Returns a pool that opens its connections at once and keeps them: another file may be at the path later. SQLite opens
/// the log with the first read, and deletes it if the file is empty by then.
async fn pool(connections: u32, options: SqliteConnectOptions) -> Result<SqlitePool, StoreError> {
    let pool = SqlitePoolOptions::new()
        .max_connections(connections)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await?;
    let all = (0..connections).map(|_| pool.acquire());
    for mut connection in futures_util::future::try_join_all(all).await? {
        sqlx::query("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *connection).await?;
    }
    Ok(pool)
}

/// Returns whether a database with these migrations has all of them.
fn is_current(applied: &[i64]) -> bool {
    MIGRATIONS.iter().all(|known| applied.contains(&known.version))
}

/// Waits until no other annals brings the file up to date. Returns the lock, or None on a file system without such locks:
/// then SQLite's own lock must do.
async fn take_turn(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
    locked.await.ok()?.ok()
}

/// Brings a database up to date. `applied` are the migrations that it has; none if annals has not marked the file.
///
/// All migrations are one transaction, which has the write lock before it looks at what is applied. So two processes
/// never migrate the same file, and annals may be killed at any statement.
async fn migrate(path: &Path, applied: Option<&[i64]>) -> Result<ReparseSummary, StoreError> {
    let mut options = options_to_write(path);
    if applied.is_none() {
        // Lets retention return free pages to the disk in small steps. Only an empty file accepts this
        // setting, and setting it writes to any other file.
        options = options.auto_vacuum(SqliteAutoVacuum::Incremental);
    }
    let had_no_log = beside::has_no_log(path);
    let mut connection = connect_in_turn(options).await?;
    if had_no_log {
        // SQLite has written the mode by means of a rollback journal. If a loss of power brought the journal back, the file would
        // lose the mode again, beside a log.
        beside::sync_folder(path)?;
    }
    if !applied.is_some_and(is_current) {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        if applied.is_none() {
            sqlx::query("PRAGMA application_id = 0x616e6c73").execute(&mut *transaction).await?;
        }
        MIGRATIONS.run(&mut *transaction).await?;
        transaction.commit().await?;
    }
    let reparsed = reparse::bring_up_to_date(&mut connection).await?;
    if applied.is_none() {
        // A new file is moved without its log. Closing moves the log into the file, too, but fails without an error.
        super::checkpoint(&mut connection).await?;
    }
    connection.close().await?;
    Ok(reparsed)
}

/// Connects to write. SQLite does not wait for another process that turns on WAL mode in the same empty file, so this
/// tries again for as long as a statement waits for a lock.
async fn connect_in_turn(options: SqliteConnectOptions) -> Result<SqliteConnection, StoreError> {
    let began = Instant::now();
    loop {
        match options.connect().await.map_err(StoreError::from) {
            Err(StoreError::Busy(_)) if began.elapsed() < BUSY_TIMEOUT => {
                tokio::time::sleep(CONNECT_STEP).await;
            }
            connected => return connected,
        }
    }
}

/// Creates an empty history that only its owner can read, as statements and profiles are sensitive.
///
/// The file is complete before it gets its name, so that another process finds either no file or a whole one. If another
/// process is faster, its file stays.
async fn create(path: &Path) -> Result<(), OpenError> {
    let failed = |error: std::io::Error| not_written(path, error);
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(OpenError::NoFolder(path.to_path_buf(), folder.to_path_buf()));
    }
    // SQLite has files of its own beside the database.
    let own = tempfile::Builder::new().prefix(".annals-new-").tempdir_in(folder).map_err(failed)?;
    let file = tempfile::Builder::new().tempfile_in(own.path()).map_err(failed)?;
    migrate(file.path(), None).await.map_err(|error| OpenError::of(path, error))?;
    file.as_file().sync_all().map_err(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(failed(error.error)),
    }
    // Brings the name to the disk.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

fn not_written(path: &Path, error: std::io::Error) -> OpenError {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            OpenError::NotWritable(path.to_path_buf())
        }
        _ => OpenError::Other(path.to_path_buf(), error.into()),
    }
}

/// Inspects an existing file without changing it. Returns the migrations of a database that this annals can open, none
/// for an empty file.
async fn inspect(path: &Path) -> Result<Option<Vec<i64>>, OpenError> {
    let not_opened = |error: sqlx::Error| OpenError::of(path, error);
    // SQLite opens a read-only file without an error, and reports one only on the first write.
    let writable = std::fs::OpenOptions::new().write(true).open(path);
    writable.map_err(|error| not_written(path, error))?;
    let mut connection = options_to_read(path).connect().await.map_err(not_opened)?;
    let applied = applied_migrations(&mut connection, path).await?;
    connection.close().await.map_err(not_opened)?;
    Ok(applied)
}

/// Returns a pool of one connection, and the migrations of the database.
async fn open_pool(
    options: SqliteConnectOptions,
    path: &Path,
) -> Result<(SqlitePool, Vec<i64>), OpenError> {
    let not_opened = |error: sqlx::Error| OpenError::of(path, error);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_lazy_with(options);
    // A pool retries until its time-out if the file cannot be opened. A connection of its own fails at once.
    let mut connection = pool.connect_options().connect().await.map_err(not_opened)?;
    let applied = applied_migrations(&mut connection, path).await?;
    connection.close().await.map_err(not_opened)?;
    Ok((pool, applied.unwrap_or_default()))
}

/// Returns the versions of the migrations of a database; none for an empty file.
async fn applied_migrations(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<Option<Vec<i64>>, OpenError> {
    let not_opened = |error: sqlx::Error| OpenError::of(path, error);
    let application_id: i32 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await
        .map_err(not_opened)?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master")
        .fetch_one(&mut *connection)
        .await
        .map_err(not_opened)?;
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
    // No macro: the table is sqlx's own, and no migration creates it. Without its index, a damaged index stops nothing.
    let applied: Vec<i64> = sqlx::query_scalar("SELECT version FROM _sqlx_migrations NOT INDEXED")
        .fetch_all(&mut *connection)
        .await
        .map_err(not_opened)?;
    if applied.iter().any(|version| !MIGRATIONS.version_exists(*version)) {
        return Err(OpenError::Newer(path.to_path_buf()));
    }
    Ok(Some(applied))
}
