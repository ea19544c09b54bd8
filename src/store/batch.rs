//! What is written together, and what became of it.

use std::fmt;

use super::Removal;
use super::profile_body::pack;
use crate::domain::login::Login;
use crate::domain::profile::Profile;
use crate::domain::record::QueryRecord;
use crate::domain::statement::{Fingerprint, shape_into};

/// How much of a shape is stored, in bytes. Its fingerprint tells the whole of it.
const STORED_STATEMENT_BYTES: usize = 64 << 10;

/// How far an audit log that grows was read. A file is known by its start, not by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedFile {
    /// XXH3 (128 bits, hex) of the first `head_bytes` of the text.
    pub head_hash: String,
    /// How much of the text is hashed.
    pub head_bytes: i64,
    /// The text before this is in the history.
    pub read_bytes: i64,
    /// Where the file was last.
    pub path: String,
    /// Its size on the disk then.
    pub file_bytes: i64,
    /// And when it was changed, in Unix milliseconds.
    pub modified_ms: i64,
    /// The hash it was known by before it grew.
    pub replaces: Option<String>,
}

/// Records and profiles to be written together.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) records: Vec<(QueryRecord, Option<Fingerprint>)>,
    pub(super) profiles: Vec<PackedProfile>,
    pub(super) logins: Vec<Login>,
    pub(super) statements: NormalizedStatements,
    pub(super) label: Option<Label>,
    pub(super) followed: Option<FollowedFile>,
    pub(super) removal: Removal,
    pub(super) bytes: usize,
}

/// The name under which a batch counts once.
#[derive(Debug)]
pub(super) struct Label {
    pub(super) db: String,
    pub(super) label: String,
}

/// The statements of some statements, each once.
#[derive(Debug, Default)]
pub(super) struct NormalizedStatements {
    pub(super) stored: foldhash::HashMap<Fingerprint, String>,
    buffer: String,
}

impl NormalizedStatements {
    /// Adds the shape of a record's statement.
    pub(super) fn add(&mut self, record: &QueryRecord) -> Option<Fingerprint> {
        shape_into(record.statement.as_deref()?, &mut self.buffer);
        let fingerprint = Fingerprint::of_shape(&self.buffer);
        self.stored.entry(fingerprint).or_insert_with(|| {
            let end = self.buffer.floor_char_boundary(STORED_STATEMENT_BYTES);
            self.buffer[..end].to_string()
        });
        Some(fingerprint)
    }
}

#[derive(Debug)]
pub(super) struct PackedProfile {
    pub(super) summary: QueryRecord,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) text_bytes: i64,
    pub(super) body: Vec<u8>,
}

impl Batch {
    /// Records that make a batch large enough to send.
    const FULL_RECORDS: usize = 1000;
    /// Bytes that do.
    const FULL_BYTES: usize = 4 << 20;

    /// A batch that removes something.
    pub fn removal(removal: Removal) -> Batch {
        Batch { removal, ..Batch::default() }
    }

    /// Adds a record; its fingerprint is made here, on the caller's thread, and not on the writer's.
    pub fn record(&mut self, record: QueryRecord) {
        self.bytes += record.statement.as_ref().map_or(0, String::len);
        let fingerprint = self.statements.add(&record);
        self.records.push((record, fingerprint));
    }

    /// Adds a profile; it is compressed here, on the caller's thread, too.
    pub fn profile(&mut self, profile: Profile) {
        let body = pack(&profile.text);
        self.bytes += body.len();
        let text_bytes = profile.text.len() as i64;
        let summary = profile.summary;
        let fingerprint = self.statements.add(&summary);
        self.profiles.push(PackedProfile { summary, fingerprint, text_bytes, body });
    }

    /// Adds a log-in.
    pub fn login(&mut self, login: Login) {
        self.logins.push(login);
    }

    /// Makes it a stream load: it is written only if no other of this label was, to the same database.
    pub fn label(&mut self, db: &str, label: &str) {
        self.label = Some(Label { db: db.to_string(), label: label.to_string() });
    }

    /// Notes how far a followed file is in the history once this batch is.
    pub fn followed(&mut self, file: FollowedFile) {
        self.followed = Some(file);
    }

    /// Whether it is time to send it.
    pub fn is_full(&self) -> bool {
        self.records.len() + self.logins.len() >= Batch::FULL_RECORDS || self.is_large()
    }

    /// Whether it holds much text, however few its records.
    pub fn is_large(&self) -> bool {
        self.bytes >= Batch::FULL_BYTES
    }

    /// Returns how many records, profiles and log-ins the batch has.
    pub(super) fn rows(&self) -> usize {
        self.records.len() + self.profiles.len() + self.logins.len()
    }

    /// How many records it has.
    pub fn records(&self) -> usize {
        self.records.len()
    }

    /// Whether it has no records, profiles or log-ins.
    pub fn is_empty(&self) -> bool {
        self.rows() == 0
    }
}

/// How often something was new, joined to what was known, or known already.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Counts {
    pub new: u64,
    pub merged: u64,
    pub unchanged: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { new, merged, unchanged } = self;
        write!(f, "{new} new, {merged} merged, {unchanged} unchanged")
    }
}

impl Counts {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.new + self.merged + self.unchanged
    }

    pub(super) fn add(&mut self, other: Counts) {
        self.new += other.new;
        self.merged += other.merged;
        self.unchanged += other.unchanged;
    }
}

/// What became of a batch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct WriteSummary {
    /// Records, those of the profiles' summaries among them.
    pub records: Counts,
    /// Profile texts; one that took another's place is merged.
    pub profiles: Counts,
    /// Log-ins, which are no records.
    pub logins: Counts,
    /// Whether nothing of it was written, because its label had been loaded before.
    pub label_exists: bool,
    /// Queries that were removed, with their loads and profiles.
    pub removed_queries: u64,
    /// Profiles that were removed while their queries stay.
    pub removed_profiles: u64,
}

impl WriteSummary {
    /// Adds what became of another batch.
    pub fn add(&mut self, other: WriteSummary) {
        self.records.add(other.records);
        self.profiles.add(other.profiles);
        self.logins.add(other.logins);
        self.label_exists |= other.label_exists;
        self.removed_queries += other.removed_queries;
        self.removed_profiles += other.removed_profiles;
    }
}
