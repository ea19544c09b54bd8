//! Turns the bytes that a cluster writes into domain values. No module here knows the store.
//!
//! An input of unknown content passes through `file`, which unpacks it (`archive`), decodes it (`encoding`), tells what
//! it is (`sniff`) and takes wrappers off its lines (`wrapper`). These read what is inside:
//!
//! - `audit_log`: the audit log of a frontend.
//! - `rows`: the bodies of stream loads, as CSV or JSON.
//! - `dump`: an audit table that was saved as CSV or TSV. `formula` guards cells from spreadsheets.
//! - `answer`: saved answers of a frontend, and texts that hold profiles.
//! - `frontend`: the lists and profiles of a live frontend.
//! - `audit_table`: the audit table of a live cluster.
//!
//! `record_builder` makes a record of keys and values for all of them. `reparse` reads stored rows again that an older
//! annals misread.

mod answer;
pub(crate) mod archive;
pub(crate) mod audit_log;
pub(crate) mod audit_table;
mod budget;
mod dump;
pub(crate) mod encoding;
pub(crate) mod file;
pub(crate) mod formula;
pub(crate) mod frontend;
mod record_builder;
pub(crate) mod reparse;
pub(crate) mod rows;
mod sniff;
pub(crate) mod wrapper;

use crate::domain::login::Login;
use crate::domain::profile::{Profile, ProfileError};
use crate::domain::record::{QueryIdError, QueryRecord};

/// One finding in an input.
#[derive(Debug)]
pub(crate) enum Item {
    Record {
        record: Box<QueryRecord>,
        /// Whether bytes of the record were not UTF-8 and were replaced with U+FFFD.
        replaced: bool,
        /// The line where the record starts, if the input ended within it. The record is kept as far as it goes.
        cut: Option<u64>,
        /// Lines after the record that are part of no record.
        foreign: Option<ForeignLines>,
        warnings: Vec<ReadWarning>,
    },
    Login {
        login: Box<Login>,
        /// Lines after the log-in that are part of no record.
        foreign: Option<ForeignLines>,
    },
    Profile {
        profile: Box<Profile>,
        /// Whether bytes of the profile are not UTF-8. They show as U+FFFD.
        replaced: bool,
    },
    Skipped(Skipped),
    /// A whole file that a frontend, its JVM or a backend writes beside the audit log, and that holds neither records
    /// nor profiles.
    OtherFile,
}

/// Lines between records that are part of none. Blank lines do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ForeignLines {
    /// The number of the first line, from 1.
    pub first: u64,
    /// How many lines there are, at least one.
    pub count: u64,
}

/// A sign that a record was not read right. The record is kept as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ReadWarning {
    /// The error message holds what looks like the fields after it, `|Time(ms)=`.
    MessageHoldsFields,
    /// The statement started more than ten minutes after its record was written: the log's times are in another zone
    /// than the configured one.
    StartsAfterWritten {
        /// How much later the start is, in milliseconds.
        by_ms: i64,
    },
}

/// A piece of input that is not kept.
#[derive(Debug, PartialEq)]
pub(crate) struct Skipped {
    /// The line where the piece starts, from 1.
    pub line: u64,
    pub reason: SkipReason,
}

/// Why a piece of input is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(crate) enum SkipReason {
    #[error("not part of any record")]
    OutsideRecord,
    #[error(
        "a record of a type other than query, slow_query, big_query, load, stream_load and connection"
    )]
    OtherType,
    #[error("a record without a query id")]
    NoQueryId,
    #[error("a record without a valid time")]
    NoTime,
    #[error("a record with an unusable query id: {0}")]
    BadQueryId(QueryIdError),
    #[error("a record larger than {} MiB", audit_log::MAX_RECORD_BYTES >> 20)]
    TooLarge,
    #[error("a record that is cut off at the end of the input")]
    CutOff,
    #[error("a record whose JSON cannot be read")]
    NotJson,
    #[error("an unusable profile: {0}")]
    BadProfile(#[from] ProfileError),
    #[error("a profile of another query than the one requested")]
    OtherProfile,
    #[error("a profile larger than {} MiB", file::MAX_PROFILE_BYTES >> 20)]
    ProfileTooLarge,
    #[error("neither an audit log nor a profile")]
    NotRecognised,
    #[error("a profile within another log; save its lines to a file of their own and import that")]
    ProfileInLog,
    #[error("a line without the wrapper that the container's other lines have")]
    NotWrapped,
    #[error("a row that does not fit its columns")]
    BadRow,
    #[error("an error that a frontend answered in place of a profile or a list")]
    ErrorAnswer,
    #[error("an archive within an archive; unpack the outer one first")]
    NestedArchive,
    #[error("a packed file of an unsupported format; annals unpacks gzip, zip and tar")]
    UnknownPacking,
    #[error("an encrypted file within an archive; decrypt it first")]
    Encrypted,
    #[error(
        "an archive that unpacks to more than {} GiB; unpack it first",
        archive::MAX_UNPACKED_BYTES >> 30
    )]
    TooMuchUnpacked,
    #[error("an input that ends early: its compression is damaged or cut off")]
    Damaged,
    #[error("a file or folder that cannot be read")]
    Unreadable,
    #[error("a pipe, socket or device in a folder; annals reads a pipe that is named itself")]
    NotAFile,
}
