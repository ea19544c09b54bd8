//! Whether the file at the path is still the file that annals has open, as annals left it.
//!
//! A file that is deleted, replaced or overwritten while a process has it open still takes commits, and the commits are
//! lost. The writer looks before and after each commit: three calls of `stat`, and a look at the WAL index. Content is
//! looked at only after the file's time has changed.
//!
//! The file is never opened beside SQLite: closing it would drop SQLite's own locks (sqlite.org/howtocorrupt.html, 2.2).

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, ffi};

use super::watch::{failure, open_mapped, with_file};
use crate::store::error::{FileFault, StoreError};

/// Words of 32 bits at the start of the WAL index: its header twice, and the state of the checkpoint
/// (sqlite.org/walformat.html).
const INDEX_WORDS: usize = 34;
/// Words of one copy of the header.
const HEADER_WORDS: usize = 12;
/// Bytes of the header of a database.
const HEADER_BYTES: usize = 100;
/// Bytes of a write-ahead log before its first frame, and of a frame before its page.
const LOG_HEADER_BYTES: u64 = 32;
const FRAME_HEADER_BYTES: u64 = 24;

/// A database file that annals has open.
pub(in crate::store::sqlite) struct OpenFile {
    path: PathBuf,
    /// The same without symbolic links: SQLite's other files are beside the real one.
    real: PathBuf,
    /// None once the store is closed.
    state: Mutex<Option<State>>,
}

/// What a look compares with. A connection that nobody reads through keeps the WAL index mapped.
struct State {
    connection: Connection,
    index: NonNull<AtomicU32>,
    file: FileId,
    log: FileId,
    log_index: FileId,
    seen: Seen,
    fault: Option<FileFault>,
    /// The size at which the file was found to be truncated.
    cut_bytes: u64,
}

// SAFETY: the index is only read, by atomic loads, and only by the thread that has the mutex around the state.
unsafe impl Send for State {}

/// The device and the number of a file.
type FileId = (u64, u64);

/// What the last look saw.
struct Seen {
    stamp: Stamp,
    header: [u8; HEADER_BYTES],
    /// Read before the stamp: a checkpoint between the two must not look as if another program had written.
    checkpoint: Checkpoint,
}

/// Size and time of the last change.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(file: &Metadata) -> Stamp {
        Stamp { bytes: file.len(), modified: (file.mtime(), file.mtime_nsec()) }
    }
}

/// Which frames of which log are in the file. Only a checkpoint writes to the file, and each changes this.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Checkpoint {
    salts: (u32, u32),
    frames: u32,
    /// Frames that a checkpoint moves, or moved before it was killed.
    attempted: u32,
}

/// A copy of the WAL index's header.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Index([u32; INDEX_WORDS]);

impl Index {
    fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            salts: (self.0[8], self.0[9]),
            frames: self.0[2 * HEADER_WORDS],
            attempted: self.0[2 * HEADER_WORDS + 8],
        }
    }

    /// Returns the size that the log has at least; none if a commit is being written to the index.
    fn log_bytes(&self) -> Option<u64> {
        if self.0[..HEADER_WORDS] != self.0[HEADER_WORDS..2 * HEADER_WORDS] {
            return None;
        }
        let [_, _, low, high] = self.0[3].to_ne_bytes();
        let page_bytes = page_bytes(u16::from_ne_bytes([low, high]));
        let frames = u64::from(self.0[4]);
        Some(match frames {
            0 => 0,
            frames => LOG_HEADER_BYTES + frames * (FRAME_HEADER_BYTES + page_bytes),
        })
    }
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenFile").field("path", &self.path).finish()
    }
}

impl OpenFile {
    /// Returns the file that is at the path now. Errors if it cannot be opened, or is not in WAL mode.
    pub(in crate::store::sqlite) fn new(path: &Path) -> Result<OpenFile, StoreError> {
        let (connection, index) = open_mapped(path)?;
        let checkpoint = read_index(index).checkpoint();
        let real = path.canonicalize()?;
        let file = std::fs::metadata(path)?;
        let log = std::fs::metadata(beside(&real, "-wal"))?;
        let log_index = std::fs::metadata(beside(&real, "-shm"))?;
        let header = read_header(&connection)?;
        let state = State {
            connection,
            index,
            file: id(&file),
            log: id(&log),
            log_index: id(&log_index),
            seen: Seen { stamp: Stamp::of(&file), header, checkpoint },
            fault: None,
            cut_bytes: 0,
        };
        Ok(OpenFile { path: path.to_path_buf(), real, state: Mutex::new(Some(state)) })
    }

    /// Looks at the file. Errors if annals must not write to it. Logs each fault once, and its end.
    pub(in crate::store::sqlite) fn check(&self) -> Result<(), FileFault> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(state) = state.as_mut() else { return Ok(()) };
        let found = match state.fault {
            Some(FileFault::Truncated) if state.has_grown(&self.path) => {
                Some(FileFault::Overwritten)
            }
            Some(fault) if fault.is_final() => return Err(fault),
            _ => state.look(&self.path, &self.real).err(),
        };
        if found != state.fault {
            state.fault = found;
            log(&self.path, found);
        }
        found.map_or(Ok(()), Err)
    }

    /// Errors if what is at the path is not the file that annals has open. Damage is no error: the rest can be read.
    pub(super) fn check_place(&self) -> Result<(), FileFault> {
        match self.check() {
            Err(FileFault::Damaged) => Ok(()),
            place => place,
        }
    }

    /// Returns the error of a statement: if the file is not as annals left it, what is wrong with it, because such a file
    /// fails in many ways. Notes that the file is damaged if the error says so.
    pub(in crate::store::sqlite) fn note(&self, error: StoreError) -> StoreError {
        if let Err(fault) = self.check() {
            return fault.into();
        }
        if !matches!(error, StoreError::Corrupt(_) | StoreError::NotADatabase(_)) {
            return error;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = state.as_mut() {
            state.fault = Some(FileFault::Damaged);
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, path = %self.path.display(), "{}", FileFault::Damaged);
        }
        FileFault::Damaged.into()
    }

    /// Returns whether the file has no name any more, so that its content ends with this process.
    pub(in crate::store::sqlite) fn is_deleted(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = state.as_ref().map(|state| state.file) else { return false };
        let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return true };
        let open = open.flatten().filter_map(|open| std::fs::metadata(open.path()).ok());
        open.filter(|open| id(open) == file).all(|open| open.nlink() == 0)
    }

    /// Returns a free path beside the file.
    pub(in crate::store::sqlite) fn rescue_path(&self) -> PathBuf {
        let paths = (1..).map(|number| beside(&self.path, &format!(".rescued-{number}")));
        paths.into_iter().find(|path| !path.exists()).unwrap_or_else(|| self.path.clone())
    }

    /// Renames the log of a file that was overwritten: SQLite would write its pages into the new content.
    pub(in crate::store::sqlite) fn move_log_away(&self) {
        let (from, to) = (beside(&self.real, "-wal"), beside(&self.real, "-wal.overwritten"));
        let path = to.display();
        match std::fs::rename(&from, &to) {
            Ok(()) => {
                tracing::error!(%path, "the log of the overwritten history is in another file")
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the log of the overwritten history cannot be renamed");
            }
        }
    }

    /// Closes the file. It has no faults from now on.
    pub(in crate::store::sqlite) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl State {
    fn look(&mut self, path: &Path, real: &Path) -> Result<(), FileFault> {
        let before = read_index(self.index);
        let Some(file) = metadata(path) else { return Err(FileFault::Removed) };
        if id(&file) != self.file {
            return Err(FileFault::Replaced);
        }
        let log = metadata(&beside(real, "-wal")).filter(|log| id(log) == self.log);
        let log_index = metadata(&beside(real, "-shm")).filter(|index| id(index) == self.log_index);
        let (Some(log), Some(_)) = (log, log_index) else { return Err(FileFault::LogRemoved) };
        let after = read_index(self.index);
        if before == after && before.log_bytes().is_some_and(|bytes| log.len() < bytes) {
            return Err(FileFault::LogTruncated);
        }
        let stamp = Stamp::of(&file);
        if stamp != self.seen.stamp {
            self.look_inside(stamp, after.checkpoint())?;
        }
        self.seen.checkpoint = before.checkpoint();
        Ok(())
    }

    /// Returns whether somebody writes to the file since it was found to be truncated: a program that overwrites a file cuts it
    /// first.
    fn has_grown(&self, path: &Path) -> bool {
        metadata(path).is_some_and(|file| id(&file) == self.file && file.len() > self.cut_bytes)
    }

    /// Looks at the content of a file whose size or time has changed.
    fn look_inside(&mut self, stamp: Stamp, now: Checkpoint) -> Result<(), FileFault> {
        self.cut_bytes = stamp.bytes;
        let header = read_header(&self.connection).map_err(|_| FileFault::Truncated)?;
        let is_running = now.attempted != now.frames;
        let is_by_checkpoint = is_running || now != self.seen.checkpoint;
        let is_same = stamp.bytes == self.seen.stamp.bytes && header == self.seen.header;
        // A checkpoint writes the first page, with the size, before the last.
        if !is_running && stamp.bytes < database_bytes(&header) {
            return Err(FileFault::Truncated);
        }
        // Bytes that do not change: the magic string and the mark of annals.
        let is_ours =
            header[..16] == self.seen.header[..16] && header[68..72] == self.seen.header[68..72];
        if !is_ours || !(is_by_checkpoint || is_same) {
            return Err(FileFault::Overwritten);
        }
        (self.seen.stamp, self.seen.header) = (stamp, header);
        Ok(())
    }
}

fn log(path: &Path, fault: Option<FileFault>) {
    let path = path.display();
    match fault {
        Some(fault) => tracing::error!(%path, "{fault}"),
        None => tracing::warn!(%path, "the history's file is back; annals writes again"),
    }
}

fn id(file: &Metadata) -> FileId {
    (file.dev(), file.ino())
}

/// Returns what is at the path, or None if nothing can be found there.
fn metadata(path: &Path) -> Option<Metadata> {
    std::fs::metadata(path).ok()
}

/// Returns the path of one of SQLite's files beside the database.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    name.into()
}

fn read_index(index: NonNull<AtomicU32>) -> Index {
    let word = |at| {
        // SAFETY: the index is at least 32 KiB, and mapped as long as the connection of its state is open. SQLite's own
        // readers read it while another process writes to it, too.
        unsafe { index.add(at).as_ref() }.load(Ordering::Acquire)
    };
    Index(std::array::from_fn(word))
}

/// Reads the header of the open file from the disk.
fn read_header(connection: &Connection) -> Result<[u8; HEADER_BYTES], rusqlite::Error> {
    let mut header = [0; HEADER_BYTES];
    let code = with_file(connection, |file, methods| {
        let into = header.as_mut_ptr().cast();
        // SAFETY: the file's method is called as SQLite calls it, and writes as many bytes as the buffer has.
        methods.xRead.map(|read| unsafe { read(file, into, HEADER_BYTES as i32, 0) })
    });
    if code == ffi::SQLITE_OK { Ok(header) } else { Err(failure(code)) }
}

/// Returns the size of a database by its header.
fn database_bytes(header: &[u8; HEADER_BYTES]) -> u64 {
    let page_bytes = page_bytes(u16::from_be_bytes([header[16], header[17]]));
    let pages = u32::from_be_bytes([header[28], header[29], header[30], header[31]]);
    u64::from(pages) * page_bytes
}

/// Returns the size of a page as SQLite writes it in 16 bits.
fn page_bytes(stored: u16) -> u64 {
    if stored == 1 { 65_536 } else { u64::from(stored) }
}
