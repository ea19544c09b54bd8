//! Opening a database file: to write, to read only, and what stops both.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqlitePool, SqlitePoolOptions,
};
use sqlx::{ConnectOptions, Connection};

use super::raw::ReadPool;
use super::{BUSY_TIMEOUT, Store, admin, options_to_write, reparse};
use crate::store::contents::ReparseSummary;
use crate::store::error::{OpenError, StoreError};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// The `PRAGMA application_id` of annals' files: "anls".
const APPLICATION_ID: i32 = 0x616e_6c73;

/// Connections of sqlx that read a few rows each.
const READERS: u32 = 4;
/// Raw connections for lists and profiles.
const READ_POOL: usize = 4;
/// Connections that read many rows each.
const REPORTERS: u32 = 2;

impl Store {
    /// Opens a database to read and to write. Creates a missing file, and migrates an older database.
    pub(crate) async fn open(path: &Path) -> Result<Store, OpenError> {
        let not_opened = |error: StoreError| OpenError::of(path, error);
        if path.is_dir() {
            return Err(OpenError::IsAFolder(path.to_path_buf()));
        }
        let is_ours = if path.exists() {
            inspect(path).await?
        } else {
            create(path)?;
            false
        };
        let reparsed = migrate(path, is_ours).await.map_err(not_opened)?;
        let options = options_to_read(path);
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.clone())
            .await
            .map_err(|error| not_opened(error.into()))?;
        let reporters =
            SqlitePoolOptions::new().max_connections(REPORTERS).connect_lazy_with(options.clone());
        let keeper = SqlitePoolOptions::new().max_connections(1).connect_lazy_with(options);
        let read_pool = Arc::new(ReadPool::new(path, false, READ_POOL));
        Ok(Store { path: path.to_path_buf(), readers, reporters, keeper, read_pool, reparsed })
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
        if MIGRATIONS.iter().any(|known| !applied.contains(&known.version)) {
            return Err(OpenError::Older(named()));
        }
        let read_pool = Arc::new(ReadPool::new(path, immutable, READ_POOL));
        let reparsed = ReparseSummary::default();
        let (reporters, keeper) = (readers.clone(), readers.clone());
        Ok(Store { path: named(), readers, reporters, keeper, read_pool, reparsed })
    }
}

fn options_to_read(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY_TIMEOUT)
}

/// Brings a database up to date. `is_ours` tells whether annals has marked the file.
async fn migrate(path: &Path, is_ours: bool) -> Result<ReparseSummary, StoreError> {
    let mut options = options_to_write(path);
    if !is_ours {
        // Lets retention return free pages to the disk in small steps. Only an empty file accepts this
        // setting, and setting it writes to any other file.
        options = options.auto_vacuum(SqliteAutoVacuum::Incremental);
    }
    let mut connection = options.connect().await?;
    if !is_ours {
        // Marks the file before the first table exists, so that annals recognizes a file that it stopped in.
        sqlx::query("PRAGMA application_id = 0x616e6c73").execute(&mut connection).await?;
    }
    MIGRATIONS.run(&mut connection).await?;
    let reparsed = reparse::bring_up_to_date(&mut connection).await?;
    connection.close().await?;
    Ok(reparsed)
}

/// Creates an empty file that only its owner can read, as statements and profiles are sensitive.
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
        // Another process created the file meanwhile.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(not_written(path, error)),
    }
}

fn not_written(path: &Path, error: std::io::Error) -> OpenError {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            OpenError::NotWritable(path.to_path_buf())
        }
        _ => OpenError::Other(path.to_path_buf(), error.into()),
    }
}

/// Inspects an existing file without changing it. Returns true for a database that this annals can open, false
/// for an empty file.
async fn inspect(path: &Path) -> Result<bool, OpenError> {
    let not_opened = |error: sqlx::Error| OpenError::of(path, error);
    // SQLite opens a read-only file without an error, and reports one only on the first write.
    let writable = std::fs::OpenOptions::new().write(true).open(path);
    writable.map_err(|error| not_written(path, error))?;
    let mut connection = options_to_read(path).connect().await.map_err(not_opened)?;
    let applied = applied_migrations(&mut connection, path).await?;
    connection.close().await.map_err(not_opened)?;
    Ok(applied.is_some())
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
    // No macro: the table is sqlx's own, and no migration creates it.
    let applied: Vec<i64> = sqlx::query_scalar("SELECT version FROM _sqlx_migrations")
        .fetch_all(&mut *connection)
        .await
        .map_err(not_opened)?;
    if applied.iter().any(|version| !MIGRATIONS.version_exists(*version)) {
        return Err(OpenError::Newer(path.to_path_buf()));
    }
    Ok(Some(applied))
}
