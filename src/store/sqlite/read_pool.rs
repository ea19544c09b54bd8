//! Bare handles that read: some of their own for the few statements that are asked for all the time, and those
//! that sqlx lends for what steps many rows.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::Store;
use super::raw::with_raw;
use crate::store::error::StoreError;

/// Bare handles to a history.
///
/// Around sqlx's macros, which still check each statement, and around its thread per connection: of a list
/// of 100 rows, sqlx takes most of the time to hand each row from that thread to the one that asks, and to
/// copy what SQLite has at hand. `benches/README.md` has the figures.
#[derive(Debug)]
pub(super) struct ReadPool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    free: Semaphore,
}

impl ReadPool {
    /// At most so many handles, each opened once it is needed; to an immutable history as if nobody
    /// wrote to it.
    pub(super) fn new(path: &Path, immutable: bool, at_once: usize) -> ReadPool {
        let path = if immutable { immutable_name(path) } else { path.to_path_buf() };
        ReadPool { path, idle: Mutex::default(), free: Semaphore::new(at_once) }
    }

    /// Reads with one of the handles what may take long: others move to another thread meanwhile.
    pub(super) async fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        let _free = self.free.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        tokio::task::block_in_place(|| self.work(work))
    }

    /// Reads what takes less than a millisecond, on this thread: to have others move takes as long as such
    /// a read.
    pub(super) async fn read_briefly<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        let _free = self.free.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        self.work(work)
    }

    fn work<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let handle = idle.map_or_else(|| open(&self.path), Ok)?;
        let read = work(&handle)?;
        if !self.free.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
        }
        Ok(read)
    }

    /// Closes the handles; none is given out from now on.
    pub(super) fn close(&self) {
        self.free.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Ends work for which nobody waits any more.
struct GiveUpOnDrop(Arc<AtomicBool>);

impl Drop for GiveUpOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Store {
    /// Works on the bare handle of a connection that reads many queries, on a thread where that may take
    /// its time. The work is told when nobody waits for it any more.
    pub(super) async fn report_raw<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &AtomicBool) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let given_up = Arc::new(AtomicBool::new(false));
        let _guard = GiveUpOnDrop(given_up.clone());
        let mut connection = self.reporters.acquire().await?;
        let runtime = tokio::runtime::Handle::current();
        let done = tokio::task::spawn_blocking(move || {
            let mut handle = runtime.block_on(connection.lock_handle())?;
            with_raw(&mut handle, |sqlite| work(sqlite, &given_up))
        });
        done.await.map_err(StoreError::other)?
    }
}

/// The name by which SQLite is told so (sqlite.org/uri.html).
fn immutable_name(path: &Path) -> PathBuf {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/');
    let path = percent_encode(path.as_os_str().as_encoded_bytes(), KEPT);
    format!("file:{path}?immutable=1").into()
}

fn open(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let handle = Connection::open_with_flags(path, flags)?;
    handle.busy_timeout(super::BUSY_TIMEOUT)?;
    // A plan is not made anew for each text that LIKE is given: that took a tenth of the time of a page of a list,
    // which gives it none.
    handle.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(handle)
}
