//! Raw connections that read.
//!
//! A list of 100 rows takes 95 microseconds to step in SQLite. Through sqlx it takes two and a half times the CPU
//! time, even with a row buffer and borrowed columns (`benches/store_paths.rs`): sqlx sends each row from its
//! thread to the task that waits, and copies what SQLite has in memory.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::OpenFile;
use crate::store::BUSY_TIMEOUT;
use crate::store::error::StoreError;

/// A read of more rows may take more than a millisecond: some statements are of 64 KB.
const BRIEF_ROWS: u32 = 100;

/// Between two tries to get a lock.
const BUSY_STEP: Duration = Duration::from_millis(10);

/// Raw connections to a database, for the few statements that clients run all the time.
#[derive(Debug)]
pub(in crate::store::sqlite) struct ReadPool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    /// A permit for each connection.
    permits: Arc<Semaphore>,
    /// The file that the other connections have open.
    open_file: Option<Arc<OpenFile>>,
}

impl ReadPool {
    /// Returns a pool of up to `size` connections, each opened when it is first needed. SQLite reads an
    /// immutable database without locks, as if no process wrote to it.
    pub(in crate::store::sqlite) fn new(path: &Path, immutable: bool, size: usize) -> ReadPool {
        let path = if immutable { immutable_uri(path) } else { path.to_path_buf() };
        let permits = Arc::new(Semaphore::new(size));
        ReadPool { path, idle: Mutex::default(), permits, open_file: None }
    }

    /// Returns the pool as one of connections to `file`. They are opened at once, because another file may be at the path
    /// later; then none is opened.
    pub(in crate::store::sqlite) fn of(self, file: Arc<OpenFile>) -> ReadPool {
        let first_read = |connection: &Connection| {
            connection.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))
        };
        let opened = (0..self.permits.available_permits())
            .filter_map(|_| open(&self.path).ok())
            .filter(|connection| first_read(connection).is_ok());
        ReadPool { idle: Mutex::new(opened.collect()), open_file: Some(file), ..self }
    }

    /// Reads what may take long. The runtime moves other tasks off this thread.
    pub(in crate::store::sqlite) async fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        let _permit = self.permits.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        tokio::task::block_in_place(|| self.run(work))
    }

    /// Reads up to `rows` rows that an index finds. A few rows take less than a millisecond, and are read on
    /// this thread: moving other tasks off it takes as long. More rows are read as by [`ReadPool::read`].
    pub(in crate::store::sqlite) async fn read_rows<T>(
        &self,
        rows: u32,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        if rows > BRIEF_ROWS {
            return self.read(work).await;
        }
        let _permit = self.permits.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        self.run(work)
    }

    /// Reads one row that an index finds, on this thread.
    pub(in crate::store::sqlite) async fn read_briefly<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        self.read_rows(1, work).await
    }

    /// Returns the permit to use a connection, once one is free.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let permit = self.permits.clone().acquire_owned().await;
        Ok(permit.map_err(|_| sqlx::Error::PoolClosed)?)
    }

    /// Reads on this thread, by a connection for which the caller has a permit.
    pub(super) fn run<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = idle.map_or_else(|| self.open(), Ok)?;
        let read = work(&connection).map_err(|error| self.noted(error))?;
        if !self.permits.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        Ok(read)
    }

    fn open(&self) -> Result<Connection, StoreError> {
        let connection = open(&self.path);
        if let Some(file) = &self.open_file {
            file.check_place()?;
        }
        Ok(connection?)
    }

    /// Returns the error of a read: if the file is not as annals left it, what is wrong with it. Notes damage.
    pub(in crate::store::sqlite) fn noted(&self, error: impl Into<StoreError>) -> StoreError {
        let error = error.into();
        match &self.open_file {
            Some(file) => file.note(error),
            None => error,
        }
    }

    /// Closes the connections. Reads from now on fail.
    pub(in crate::store::sqlite) fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Returns the URI that opens a file as immutable (sqlite.org/uri.html).
fn immutable_uri(path: &Path) -> PathBuf {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/');
    let path = percent_encode(path.as_os_str().as_encoded_bytes(), KEPT);
    format!("file:{path}?immutable=1").into()
}

fn open(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_handler(Some(wait_for_lock))?;
    // Without this SQLite makes a new plan for each text that LIKE gets. That took a tenth of the time of a page
    // of a list, which gets none.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Waits for a lock as a busy time-out does, but not on a thread of the runtime: the runtime moves other tasks
/// off this thread first. Returns false once the time is up.
fn wait_for_lock(tries: i32) -> bool {
    let tries = u32::try_from(tries).unwrap_or(0);
    let in_time = BUSY_STEP.saturating_mul(tries) < BUSY_TIMEOUT;
    if in_time {
        tokio::task::block_in_place(|| std::thread::sleep(BUSY_STEP));
    }
    in_time
}
