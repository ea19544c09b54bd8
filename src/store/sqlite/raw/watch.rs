//! Whether the database has changed. Every response from the cache asks that first, so the answer must take
//! nanoseconds.

use std::path::Path;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, OpenFlags, ffi};

use crate::store::error::StoreError;

/// A state of the database. Two versions are equal only if no process committed between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version([u64; HEADER_WORDS]);

/// The first header of the WAL index, which all processes share: the number of commits, the last frame, its
/// checksum, the salts, and a checksum of these (sqlite.org/walformat.html, "The WAL-Index Header").
const HEADER_WORDS: usize = 6;
/// The size in which SQLite maps the WAL index.
const REGION_BYTES: i32 = 32_768;

/// Watches for commits, of this process and of others.
///
/// `PRAGMA data_version` returns the same, but acquires and releases the locks of a read transaction. That
/// takes 10 microseconds; a whole response of 50 KB takes 45. A watch reads 48 bytes of shared memory.
///
/// # Why a torn read is only a miss
///
/// SQLite (`walIndexWriteHdr`) writes the header of a commit twice: first the second copy, then a memory
/// barrier, then the first copy. The first copy, which a watch reads, is thus the last thing that a commit
/// changes, before the commit returns to the writer. A watch may read it while SQLite copies, and see some
/// bytes of the old header and some of the new one. Versions are compared for equality only, and nothing is
/// derived from their bytes, so only these cases matter:
///
/// - The cached version is torn. Every header has another number of commits, and a checksum of its own. A
///   mixture of two headers is therefore equal to no later header, unless it is the whole new one, of which
///   all bytes are then visible. The cache misses, and reads again.
/// - The version to compare is torn. It is equal to the cached one only if none of the changed bytes has
///   arrived. The commit has then not returned to its writer, and the cached response is still right.
pub(crate) struct Watch {
    header: NonNull<AtomicU64>,
    /// Keeps the memory mapped.
    _connection: Mutex<Connection>,
}

// SAFETY: the header is only read, by atomic loads, and nobody uses the connection that keeps it mapped.
unsafe impl Send for Watch {}
// SAFETY: as above.
unsafe impl Sync for Watch {}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("now", &self.now()).finish()
    }
}

impl Watch {
    /// Returns a watch of the database in a file. Errors if the file cannot be opened, or is not in WAL mode.
    pub(crate) fn new(path: &Path) -> Result<Watch, StoreError> {
        let (connection, header) = open_mapped(path)?;
        Ok(Watch { header, _connection: Mutex::new(connection) })
    }

    /// Returns the version now. What is read from the database afterwards is of this version or a later one.
    pub(crate) fn now(&self) -> Version {
        // SAFETY: the region is larger than the header, and mapped as long as `self` lives. SQLite aligns it to a page.
        // SQLite's own readers read the header while another process writes it, too.
        unsafe { Version::read(self.header) }
    }
}

impl Version {
    /// Reads a header.
    ///
    /// # Safety
    ///
    /// [`HEADER_WORDS`] aligned words are mapped at `header`, and whoever changes them meanwhile does so atomically, as
    /// far as Rust's memory model knows of them.
    unsafe fn read(header: NonNull<AtomicU64>) -> Version {
        let word = |at| {
            // SAFETY: as the caller promises.
            unsafe { header.add(at).as_ref() }.load(Ordering::Acquire)
        };
        Version(std::array::from_fn(word))
    }
}

/// Returns a connection, and the address at which the WAL index is mapped for as long as the connection is open. Errors if
/// the file cannot be opened, or is not in WAL mode.
pub(super) fn open_mapped<T>(path: &Path) -> Result<(Connection, NonNull<T>), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(crate::store::BUSY_TIMEOUT)?;
    // SQLite creates the log, and maps its index, with the first read.
    connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get::<_, i64>(0))?;
    let mut region: *mut std::ffi::c_void = std::ptr::null_mut();
    let code = with_file(&connection, |file, methods| {
        // SAFETY: the file's method returns the region that is mapped already, and is called as SQLite calls it.
        methods.xShmMap.map(|map| unsafe { map(file, 0, REGION_BYTES, 0, &raw mut region) })
    });
    match NonNull::new(region) {
        Some(region) if code == ffi::SQLITE_OK => Ok((connection, region.cast())),
        _ => Err(failure(ffi::SQLITE_CANTOPEN).into()),
    }
}

/// Calls a method of SQLite's own object of the open file. Returns its code, or an error's code if there is no such method.
pub(super) fn with_file(
    connection: &Connection,
    call: impl FnOnce(*mut ffi::sqlite3_file, &ffi::sqlite3_io_methods) -> Option<i32>,
) -> i32 {
    let mut file: *mut ffi::sqlite3_file = std::ptr::null_mut();
    // SAFETY: the connection is open, and SQLite writes the pointer to its own file object to `file`.
    let methods = unsafe {
        let code = ffi::sqlite3_file_control(
            connection.handle(),
            c"main".as_ptr(),
            ffi::SQLITE_FCNTL_FILE_POINTER,
            (&raw mut file).cast(),
        );
        file.as_ref().filter(|_| code == ffi::SQLITE_OK).and_then(|file| file.pMethods.as_ref())
    };
    methods.and_then(|methods| call(file, methods)).unwrap_or(ffi::SQLITE_ERROR)
}

/// Returns the error of a code of SQLite.
pub(super) fn failure(code: i32) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs under Miri, too, which cannot run SQLite.
    #[test]
    fn a_header_is_read_while_another_thread_writes_it() {
        let words = [const { AtomicU64::new(0) }; HEADER_WORDS];
        // From the whole array, for a pointer to its first word may not be used for the others.
        let header = NonNull::from(&words).cast::<AtomicU64>();
        // SAFETY: the array has the words of a header, and lives.
        let read = || unsafe { Version::read(header) };
        assert_eq!(read(), Version([0; HEADER_WORDS]));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for commit in 1..=20 {
                    words.iter().rev().for_each(|word| word.store(commit, Ordering::Release));
                }
            });
            for _ in 0..20 {
                read();
            }
        });
        assert_eq!(read(), Version([20; HEADER_WORDS]));
    }

    #[test]
    fn a_version_changes_with_each_commit() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("annals.db");
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a)").unwrap();
        let watch = Watch::new(&path).unwrap();
        let mut before = watch.now();
        for statement in [
            "INSERT INTO t VALUES (1)", "UPDATE t SET a = 2", "DELETE FROM t",
            "PRAGMA user_version = 7",
        ] {
            assert_eq!(watch.now(), before);
            writer.execute_batch(statement).unwrap();
            assert_ne!(watch.now(), before, "{statement}");
            before = watch.now();
        }
        writer.execute_batch("BEGIN; INSERT INTO t VALUES (1)").unwrap();
        assert_eq!(watch.now(), before, "not committed yet");
        writer.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        before = watch.now();
        writer.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        assert_ne!(watch.now(), before, "in a new log");
    }
}
