//! The sources in: what a cluster emits, turned into domain values. Sources know nothing of each other,
//! nor of the store.

mod answer;
pub(crate) mod archive;
pub(crate) mod audit_log;
mod dump;
pub(crate) mod encoding;
pub(crate) mod file;
pub(crate) mod frontend;
mod record_builder;
pub(crate) mod reparse;
pub(crate) mod rows;
mod sniff;
pub(crate) mod wrapper;

use crate::domain::login::Login;
use crate::domain::profile::{Profile, ProfileError};
use crate::domain::record::{QueryIdError, QueryRecord};

/// What a source found at one place of its input.
#[derive(Debug)]
pub(crate) enum Item {
    /// A record.
    Record {
        /// What it says.
        record: Box<QueryRecord>,
        /// Whether bytes of it were not UTF-8 and were replaced with U+FFFD.
        replaced: bool,
        /// The line where it starts, if the input was cut off within it; it is kept as far as it
        /// goes.
        cut: Option<u64>,
        /// Lines behind it that are part of no record.
        foreign: Option<ForeignLines>,
        /// What hints that it was not read right.
        misread: Vec<Misread>,
    },
    /// A log-in.
    Login {
        /// What it says.
        login: Box<Login>,
        /// Lines behind it that are part of no record.
        foreign: Option<ForeignLines>,
    },
    /// A profile.
    Profile {
        /// What it says.
        profile: Box<Profile>,
        /// Whether bytes of it are not UTF-8. They show as U+FFFD.
        replaced: bool,
    },
    /// Something that cannot be kept.
    Skipped(Skipped),
    /// A whole file that a frontend, its JVM or a backend writes beside the audit log, and that holds neither
    /// records nor profiles.
    OtherFile,
}

/// Lines between records that are part of none, blank ones not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ForeignLines {
    /// The first of them, from 1.
    pub first: u64,
    /// How many there are; at least one.
    pub count: u64,
}

/// What hints that a record was not read right. It is kept as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Misread {
    /// The error message holds what looks like fields behind it, `|Time(ms)=`.
    MessageHoldsFields,
    /// The statement started later than the record was written, by more than ten minutes: the log's times are of
    /// another zone than was said.
    StartsAfterWritten {
        /// How much later, in milliseconds.
        by_ms: i64,
    },
}

/// A piece of input that was not kept.
#[derive(Debug, PartialEq)]
pub(crate) struct Skipped {
    /// The line where it starts, from 1.
    pub line: u64,
    /// Why.
    pub reason: SkipReason,
}

/// Why a piece of input was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub(crate) enum SkipReason {
    #[error("not part of any record")]
    OutsideRecord,
    #[error(
        "a record of a type other than query, slow_query, big_query, load, stream_load and connection"
    )]
    OtherType,
    #[error("a record without a query id")]
    NoQueryId,
    #[error("a record without a time")]
    NoTime,
    #[error("a record whose id cannot be kept: {0}")]
    BadQueryId(QueryIdError),
    #[error("a record larger than {} MiB", audit_log::MAX_RECORD_BYTES >> 20)]
    TooLarge,
    #[error("a record that the end of the input cut off")]
    CutOff,
    #[error("a record whose JSON cannot be read")]
    NotJson,
    #[error("a profile that cannot be kept: {0}")]
    BadProfile(#[from] ProfileError),
    #[error("a profile of another query than was asked for")]
    OtherProfile,
    #[error("a profile larger than {} MiB", file::MAX_PROFILE_BYTES >> 20)]
    ProfileTooLarge,
    #[error("neither an audit log nor a profile")]
    NotRecognised,
    #[error("a profile within another log: save its lines as a file of their own")]
    ProfileInLog,
    #[error("a line without the wrapper that the container's other lines have")]
    NotWrapped,
    #[error("a row whose columns cannot be told")]
    BadRow,
    #[error("an answer of a frontend that says why there is none")]
    ErrorAnswer,
    #[error("an archive within an archive: unpack the outer one first")]
    NestedArchive,
    #[error("a packed file that annals cannot unpack; it unpacks gzip, zip and tar")]
    UnknownPacking,
    #[error("an encrypted file within an archive")]
    Encrypted,
    #[error("an archive that unpacks to more than {} GiB", archive::MAX_UNPACKED_BYTES >> 30)]
    TooMuchUnpacked,
    #[error("input that cannot be read on: its compression is damaged or cut off")]
    Damaged,
    #[error("a file or folder that cannot be read")]
    Unreadable,
}
