//! Whether a history is still what it was: asked before each answer that is kept, and so in nanoseconds.

use std::path::Path;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, OpenFlags, ffi};

/// A state of the history. Two are equal only if no commit lies between them, of whichever process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version([u64; HEADER_WORDS]);

/// The header that SQLite keeps at the start of the log's index, which all processes share: the counter
/// of commits, the last frame, its checksum and the salts (sqlite.org/walformat.html, "The WAL-Index
/// Header"). SQLite renews it as a commit takes effect, before the writer learns of it.
const HEADER_WORDS: usize = 6;
/// The size in which SQLite maps the log's index.
const REGION_BYTES: i32 = 32_768;

/// Watches the versions of a history.
///
/// `PRAGMA data_version` tells the same, but takes and gives back the locks of a reading transaction: 10
/// microseconds, beside 45 for a whole answer of 50 KB. This reads 48 bytes of shared memory.
pub struct Watch {
    header: NonNull<AtomicU64>,
    /// The memory stays mapped for as long as this is open.
    _open: Mutex<Connection>,
}

// SAFETY: the header is only read, by atomic loads, and the connection that keeps it mapped is never used.
unsafe impl Send for Watch {}
// SAFETY: as above.
unsafe impl Sync for Watch {}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("now", &self.now()).finish()
    }
}

impl Watch {
    /// Watches the history in a file.
    pub fn new(path: &Path) -> Result<Watch, rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = Connection::open_with_flags(path, flags)?;
        open.busy_timeout(super::BUSY_TIMEOUT)?;
        // SQLite opens the log with the first read.
        open.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get::<_, i64>(0))?;
        let header = index_header(&open)?;
        Ok(Watch { header, _open: Mutex::new(open) })
    }

    /// The version now. What is read from the history afterwards is of this one or a later.
    pub fn now(&self) -> Version {
        let word = |at| {
            // SAFETY: the region is larger than the header, and mapped as long as `self` lives.
            unsafe { self.header.add(at).as_ref() }.load(Ordering::Acquire)
        };
        Version(std::array::from_fn(word))
    }
}

/// Where the header is mapped.
fn index_header(open: &Connection) -> Result<NonNull<AtomicU64>, rusqlite::Error> {
    let failed = |code| rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
    let mut file: *mut ffi::sqlite3_file = std::ptr::null_mut();
    let mut region: *mut std::ffi::c_void = std::ptr::null_mut();
    // SAFETY: the handle is open, and SQLite writes the pointer to its own file object where it is told.
    // Its method maps a region that is mapped already, and is called as SQLite calls it.
    let code = unsafe {
        let code = ffi::sqlite3_file_control(
            open.handle(),
            c"main".as_ptr(),
            ffi::SQLITE_FCNTL_FILE_POINTER,
            (&raw mut file).cast(),
        );
        let methods = file.as_ref().and_then(|file| file.pMethods.as_ref());
        match methods.and_then(|methods| methods.xShmMap) {
            Some(map) if code == ffi::SQLITE_OK => map(file, 0, REGION_BYTES, 0, &raw mut region),
            _ => ffi::SQLITE_ERROR,
        }
    };
    match NonNull::new(region) {
        Some(region) if code == ffi::SQLITE_OK => Ok(region.cast()),
        _ => Err(failed(ffi::SQLITE_CANTOPEN)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_old_once_anybody_commits() {
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
