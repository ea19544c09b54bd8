//! The write-ahead log beside a file, before SQLite opens both.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::admin::retention::log_path;
use super::open::APPLICATION_ID;
use super::raw::{is_without_log, log_state};
use crate::store::error::OpenError;

/// The first bytes of a database, before the size of a page and the versions of the file format.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Errors if SQLite would lose records, or damage the file, because of the log beside it:
///
/// - The file is missing or empty. SQLite would delete the log, whose pages may be the only copy of the newest records.
/// - The log belongs to the file that was there before. SQLite would write its pages into this one.
/// - Acknowledged commits in the log are damaged. SQLite would drop what is behind, and overwrite it.
pub(super) fn reject_log(path: &Path) -> Result<(), OpenError> {
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    // The log is looked at first: another process may create the file, or turn on WAL mode, and then write the log, meanwhile.
    let log = log_path(path);
    if bytes(&log) == 0 {
        return Ok(());
    }
    if bytes(path) == 0 {
        return Err(OpenError::LogWithoutFile(path.to_path_buf(), log));
    }
    let state = log_state(path, &log);
    if state.has_transactions && has_no_log(path) {
        return Err(OpenError::LogOfAnotherFile(path.to_path_buf(), log));
    }
    if state.is_damaged {
        return Err(OpenError::DamagedLog(path.to_path_buf(), log));
    }
    Ok(())
}

/// Returns whether no log belongs to a file: see [`is_without_log`]. Reads the file itself. No connection of this process is
/// open: closing a file drops SQLite's locks on it.
pub(super) fn has_no_log(path: &Path) -> bool {
    let mut header = [0; 20];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut header, 0));
    read.is_ok() && header[..16] == *MAGIC && is_without_log([header[18], header[19]])
}

/// Returns whether a file begins as a history does: an SQLite database with annals' mark. No connection of this process is open.
pub(crate) fn is_history(path: &Path) -> bool {
    let mut header = [0; 72];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut header, 0));
    read.is_ok() && header[..16] == *MAGIC && header[68..] == APPLICATION_ID.to_be_bytes()
}

/// Brings the names in the folder of a file to the disk.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}
