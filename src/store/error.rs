//! Errors of the store.
//!
//! A caller decides by the variant, which is the same for every driver and engine. HTTP maps the errors to
//! responses in one place (`http::envelope`).

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::MigrateError;

use super::postgres;

/// The error of the driver, with the driver's message.
type Cause = Arc<dyn Error + Send + Sync>;

/// Why a statement failed. The message is the driver's.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum StoreError {
    /// Another process or connection held the lock for longer than the time-out. Trying again may help.
    #[error(transparent)]
    Busy(Cause),
    /// The database server does not answer at the moment. Trying again may help.
    #[error(transparent)]
    Unreachable(Cause),
    /// The database server gave no answer to COMMIT. The batch may be stored, and may be sent again.
    #[error(transparent)]
    Unconfirmed(Cause),
    /// The disk is full, or the database is at its size limit.
    #[error(transparent)]
    Full(Cause),
    /// The file is damaged.
    #[error(transparent)]
    Corrupt(Cause),
    /// The file is not a database.
    #[error(transparent)]
    NotADatabase(Cause),
    /// The file or its folder cannot be written to or opened.
    #[error(transparent)]
    NotWritable(Cause),
    /// The file is not as annals left it.
    #[error(transparent)]
    File(#[from] FileFault),
    /// The store is closed.
    #[error(transparent)]
    Closed(Cause),
    /// As many searches or reports wait as may wait.
    #[error("too many searches or reports wait already")]
    Overloaded,
    /// A search or a report took longer than it may take.
    #[error("the read takes longer than {} s", .0.as_secs())]
    TimedOut(Duration),
    /// A report has more groups than it may have.
    #[error("there are more than {0} different statements")]
    TooManyGroups(usize),
    /// Any other error: of the driver, of the operating system, or a wrong statement.
    #[error(transparent)]
    Other(Cause),
}

/// `SQLITE_IOERR_SHMSIZE`: the disk has no space for the index of the write-ahead log.
const IOERR_SHMSIZE: i32 = 4874;

impl StoreError {
    /// Returns the variant for a result code of SQLite (sqlite.org/rescode.html). The low byte of an
    /// extended code is the primary one.
    fn of_code(code: Option<i32>, cause: Cause) -> StoreError {
        match code.map(|code| code & 0xff) {
            // SQLITE_BUSY, SQLITE_LOCKED.
            Some(5 | 6) => StoreError::Busy(cause),
            _ if code == Some(IOERR_SHMSIZE) => StoreError::Full(cause),
            // SQLITE_FULL.
            Some(13) => StoreError::Full(cause),
            // SQLITE_CORRUPT.
            Some(11) => StoreError::Corrupt(cause),
            // SQLITE_NOTADB.
            Some(26) => StoreError::NotADatabase(cause),
            // SQLITE_PERM, SQLITE_READONLY, SQLITE_CANTOPEN.
            Some(3 | 8 | 14) => StoreError::NotWritable(cause),
            _ => StoreError::Other(cause),
        }
    }

    /// Returns whether the error says that the file is damaged: SQLite found a page that cannot be right, or a value has
    /// a type that its column cannot have.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            StoreError::Corrupt(_) | StoreError::NotADatabase(_) => true,
            StoreError::File(fault) => *fault == FileFault::Damaged,
            StoreError::Other(cause) => matches!(
                cause.downcast_ref::<rusqlite::Error>(),
                Some(
                    rusqlite::Error::FromSqlConversionFailure(..)
                        | rusqlite::Error::InvalidColumnType(..)
                        | rusqlite::Error::Utf8Error(..)
                )
            ),
            _ => false,
        }
    }

    /// Returns an error of a database server that may not occur again a moment later.
    pub(super) fn busy(what: &str) -> StoreError {
        StoreError::Busy(Arc::new(ServerError(what.to_string())))
    }

    /// Returns the error of a database server that gave no answer in time.
    pub(super) fn no_answer_in_time() -> StoreError {
        let text = "PostgreSQL did not answer in time".to_string();
        StoreError::Unreachable(Arc::new(ServerError(text)))
    }

    /// Returns the error of a database server that gave no answer to COMMIT in time.
    pub(super) fn no_commit_in_time() -> StoreError {
        let text = "PostgreSQL did not answer COMMIT in time, as when the synchronous standby that it waits for is gone";
        StoreError::Unreachable(Arc::new(ServerError(text.to_string())))
    }

    /// Returns the error of a transaction that may be stored all the same.
    pub(super) fn unconfirmed(self) -> StoreError {
        StoreError::Unconfirmed(Arc::new(ServerError(self.to_string())))
    }

    /// Returns whether trying the same again may help.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, StoreError::Busy(_) | StoreError::Unreachable(_))
    }

    /// Returns the sentence about an error of a database server that its user can do something about; none for an error of
    /// SQLite, or for one that annals itself has to be mended for.
    pub(crate) fn of_server(&self) -> Option<String> {
        match self {
            StoreError::Busy(cause)
            | StoreError::Unreachable(cause)
            | StoreError::Unconfirmed(cause)
            | StoreError::Full(cause)
            | StoreError::NotWritable(cause) => {
                let is_fault = cause.is::<Fault>();
                (is_fault || cause.is::<ServerError>()).then(|| cause.to_string())
            }
            _ => None,
        }
    }

    /// Returns an error for a value that the engine did not expect.
    pub(super) fn other(error: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
        StoreError::Other(Arc::from(error.into()))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        match error {
            sqlx::Error::PoolClosed => StoreError::Closed(Arc::new(error)),
            error => {
                if let Some(error) = postgres::of_postgres(&error) {
                    return error;
                }
                let error = Arc::new(error);
                let code = error.as_database_error().and_then(|error| error.code()?.parse().ok());
                StoreError::of_code(code, error)
            }
        }
    }
}

impl From<MigrateError> for StoreError {
    fn from(error: MigrateError) -> StoreError {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            error => sqlx::Error::from(error).into(),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        let code = error.sqlite_error().map(|error| error.extended_code);
        StoreError::of_code(code, Arc::new(error))
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> StoreError {
        StoreError::Other(Arc::new(error))
    }
}

/// An error of a database server, as a sentence without a password.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(super) struct ServerError(pub(super) String);

/// Why nothing can be written to the history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    File(#[from] FileFault),
    /// The database server does not answer, or writes nothing. The sentence names its address.
    #[error("{0}")]
    Server(Arc<str>),
}

impl Fault {
    /// Returns the sentence for everybody, which names neither a path nor an address.
    pub(crate) fn for_everybody(&self) -> String {
        match self {
            Fault::File(fault) => fault.to_string(),
            Fault::Server(_) => {
                "the history's database cannot be written to; the log of annals says why"
                    .to_string()
            }
        }
    }
}

/// Why annals writes nothing to a file that it has open. The text is for everybody, so it does not name the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FileFault {
    /// Nothing is at the path. Ends when the same file is back.
    #[error(
        "the history's file was removed or renamed while annals has it open; put it back, or restart annals to begin a new history"
    )]
    Removed,
    /// Another file is at the path. Ends when the first file is back.
    #[error(
        "another file is in place of the history's file; put the first one back, or restart annals to serve the other one"
    )]
    Replaced,
    /// The file is shorter than its content.
    #[error(
        "the history's file was truncated; stop annals, save the rest with `annals salvage`, or move FILE-wal and FILE-shm away and put a backup in its place"
    )]
    Truncated,
    /// The file has other content.
    #[error(
        "the history's file was overwritten while annals has it open; restart annals to serve what is in the file now"
    )]
    Overwritten,
    /// The write-ahead log, or its index, is not the one that annals has open. The writer moves its content into the
    /// file.
    #[error(
        "the history's write-ahead log (-wal or -shm) was removed or replaced while annals has it open; restart annals"
    )]
    LogRemoved,
    /// The write-ahead log is shorter than its content.
    #[error(
        "the history's write-ahead log was truncated, so the newest records may be lost; restart annals"
    )]
    LogTruncated,
    /// SQLite found a page that cannot be right.
    #[error(
        "the history is damaged; `annals check` says where, and `annals salvage` saves what can be read"
    )]
    Damaged,
}

impl FileFault {
    /// Returns whether only a restart ends the fault.
    pub(super) fn is_final(self) -> bool {
        !matches!(self, FileFault::Removed | FileFault::Replaced)
    }
}

/// Why a batch was not written. Nothing of the batch is stored.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum WriteError {
    /// The engine failed: the disk is full, or another process holds the file.
    #[error("the history cannot be written: {0}")]
    Store(#[from] StoreError),
    /// The writer has ended.
    #[error("the history is closed")]
    Closed,
}

/// Why a database could not be opened. The file is unchanged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{} is not an SQLite database; name another file with --db", .0.display())]
    NotADatabase(PathBuf),
    #[error("{} is a database of another program; name another file with --db", .0.display())]
    OfAnotherProgram(PathBuf),
    #[error("{} was written by a newer annals; open it with that version or a later one", .0.display())]
    Newer(PathBuf),
    #[error("{} cannot be written to; annals needs to write to the file and to its folder", .0.display())]
    NotWritable(PathBuf),
    #[error("{} cannot be created: there is no folder {}", .0.display(), .1.display())]
    NoFolder(PathBuf, PathBuf),
    #[error("{} is a folder; name a file with --db", .0.display())]
    IsAFolder(PathBuf),
    #[error("there is no file {}; name the history with --db", .0.display())]
    Missing(PathBuf),
    #[error("{} holds no history yet; annals import or annals serve fills it", .0.display())]
    Empty(PathBuf),
    #[error("{} was written by an older annals; open it once with annals serve, or a copy of it, which brings it up to date", .0.display())]
    Older(PathBuf),
    #[error("{} is damaged, or was copied while it was written to; `annals salvage` saves what can be read", .0.display())]
    Damaged(PathBuf),
    #[error("{} is missing or empty, but its write-ahead log {} is not; put the file back, save what the log holds with `annals salvage`, or move the log away to begin a new history", .0.display(), .1.display())]
    LogWithoutFile(PathBuf, PathBuf),
    #[error("the write-ahead log {} belongs to another file than {}, as to the one that was there before; move it and the -shm file beside it away", .1.display(), .0.display())]
    LogOfAnotherFile(PathBuf, PathBuf),
    #[error("{} has a damaged write-ahead log {}: SQLite would drop acknowledged records; `annals salvage` saves what can be read into a new file", .0.display(), .1.display())]
    DamagedLog(PathBuf, PathBuf),
    #[error("{} cannot be read; annals needs to read the file and, where there is one, its -wal file", .0.display())]
    NotReadable(PathBuf),
    #[error("{} was last written to in the -wal file beside it, which cannot be read in this folder; copy both to a folder of your own, and name the copy with --db", .0.display())]
    LogNotReadable(PathBuf),
    #[error("{} is held by another process; try again when it is done", .0.display())]
    Busy(PathBuf),
    /// A history in PostgreSQL: its address, and what is wrong with it.
    #[error("{0} {1}")]
    Postgres(String, String),
    #[error("{} cannot be opened", .0.display())]
    Other(PathBuf, #[source] StoreError),
}

impl OpenError {
    /// Returns what an error of the engine means for the user who opens a file.
    pub(super) fn of(path: &Path, error: impl Into<StoreError>) -> OpenError {
        let path = path.to_path_buf();
        match error.into() {
            StoreError::Corrupt(_) => OpenError::Damaged(path),
            StoreError::NotADatabase(_) => OpenError::NotADatabase(path),
            StoreError::NotWritable(_) => OpenError::NotWritable(path),
            StoreError::Busy(_) => OpenError::Busy(path),
            error => OpenError::Other(path, error),
        }
    }
}

/// Why a backup failed. No file is left behind.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    #[error("{} already exists; name another file", .0.display())]
    Exists(PathBuf),
    #[error("{} cannot be written", .0.display())]
    Write(PathBuf, #[source] std::io::Error),
    #[error("the history cannot be copied; `annals check` says whether it is sound")]
    Copy(#[from] StoreError),
    #[error("the copy is damaged ({0}); `annals check` says whether the history is")]
    Damaged(String),
}
