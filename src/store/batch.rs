//! What a source sends to the writer, and what became of it.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::hash::{Hash, Hasher};

use super::Removal;
use super::hours::HourChange;
use super::packing::{PackedProfile, Packing, UnpackedProfile};
use super::plans::ReadPlan;
use super::query::Visibility;
use super::shift::{Shift, TimeSource};
use crate::domain::cluster::ClusterName;
use crate::domain::exclusion::ExclusionRules;
use crate::domain::login::Login;
use crate::domain::profile::Profile;
use crate::domain::record::{QueryRecord, Zoned};
use crate::domain::statement::{Fingerprint, normalize_into};
use crate::domain::time::{LocalMinute, Zone, now_ms};
use crate::domain::token::TokenHash;
use crate::formats::rows::Entry;

/// Bytes of a normalized statement that are stored. Its fingerprint is of the whole.
const NORMALIZED_BYTES: usize = 64 << 10;
/// A server that writes fewer rows counts as one that does not answer. Citus on two busy cores writes 12.
const ROWS_A_MILLISECOND: usize = 5;

/// How far a growing audit log is read. The hash of its start identifies the file, not its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FollowedFile {
    /// XXH3 (128 bits, hex) of the first `head_bytes` of the text.
    pub head_hash: String,
    pub head_bytes: i64,
    /// The records before this offset of the text are stored.
    pub read_bytes: i64,
    /// The last known path.
    pub path: String,
    /// The size on the disk at the last reading.
    pub file_bytes: i64,
    /// The time of the last change then, in Unix milliseconds.
    pub modified_ms: i64,
    /// The hash before the file grew.
    pub replaces: Option<String>,
}

/// How far an audit table is read. Minutes are of the table's own local time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditCheckpoint {
    /// The name of the table.
    pub name: String,
    /// The rows from this minute on are stored, as far as the table had them.
    pub read_from: LocalMinute,
    /// The table has no rows before this minute.
    pub oldest: LocalMinute,
    /// How many rows were read of minutes. A checkpoint that is written has the changed minutes.
    pub minutes: Vec<(LocalMinute, u64)>,
}

impl AuditCheckpoint {
    /// Returns the checkpoint of stored rows: `read_from`, `oldest`, and a minute with its number of rows. None without rows.
    pub(super) fn of_rows(
        name: &str,
        rows: impl Iterator<Item = (String, String, Option<(String, i64)>)>,
    ) -> Option<AuditCheckpoint> {
        let mut checkpoint: Option<AuditCheckpoint> = None;
        for (read_from, oldest, minute) in rows {
            if checkpoint.is_none() {
                checkpoint = Some(AuditCheckpoint {
                    name: name.to_string(),
                    read_from: LocalMinute::parse(&read_from)?,
                    oldest: LocalMinute::parse(&oldest)?,
                    minutes: Vec::new(),
                });
            }
            let minute = minute.and_then(|(minute, rows)| {
                LocalMinute::parse(&minute).zip(u64::try_from(rows).ok())
            });
            if let Some(checkpoint) = &mut checkpoint {
                checkpoint.minutes.extend(minute);
            }
        }
        checkpoint
    }
}

/// Records, profiles and log-ins that one transaction writes.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    rules: ExclusionRules,
    /// The cluster of the records that name none.
    cluster: Option<ClusterName>,
    /// The source of the records, and the zone in which it reads times without one.
    pub(super) source: Option<(String, Zone)>,
    /// The numbers in this history of the zones of another one, by their numbers there.
    zones: HashMap<i64, i64>,
    /// Zones in which another history was read.
    pub(super) time_sources: Vec<TimeSource>,
    /// Whether a record has a time that depends on the zone.
    pub(super) is_zoned: bool,
    arrival: Arrival,
    /// The clusters that records name, each once.
    pub(super) clusters: BTreeSet<String>,
    pub(super) records: Vec<(QueryRecord, Option<Fingerprint>)>,
    pub(super) profiles: Vec<PackedProfile>,
    /// Profiles that are not packed yet, behind the packed ones.
    packing: Packing,
    /// What was read of the plans of stored profiles.
    pub(super) plans: Vec<ReadPlan>,
    /// Changes to the summaries of hours.
    pub(super) hours: Vec<HourChange>,
    pub(super) logins: Vec<Login>,
    pub(super) statements: NormalizedStatements,
    pub(super) label: Option<Label>,
    pub(super) followed: Option<FollowedFile>,
    pub(super) audit_table: Option<AuditCheckpoint>,
    /// When tokens were used last, in Unix milliseconds.
    pub(super) token_uses: Vec<(TokenHash, i64)>,
    pub(super) removal: Removal,
    pub(super) shift: Option<Shift>,
    /// The digests of the parts of another history that are merged once the batch is committed.
    pub(super) merged_parts: Vec<String>,
    /// Bytes of statements and packed profiles.
    pub(super) bytes: usize,
    /// Memory of the pushed rows.
    row_bytes: usize,
    /// What the sender of a push may see, if that is not all queries.
    pub(super) sender: Option<Visibility>,
    /// What lives as long as the batch: the memory that is reserved for it.
    held: Option<Box<dyn std::any::Any + Send + Sync>>,
}

/// What the sender of a batch counts of it, whatever the writer does with it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Records and profiles that a rule excluded.
    pub excluded: u64,
    /// When the first record was added, in Unix milliseconds.
    pub now_ms: Option<i64>,
    /// Records that started in the future then.
    pub future: u64,
    /// How far ahead the latest start was that depends on the zone, in milliseconds.
    pub zone_ahead_ms: Option<i64>,
}

impl Arrival {
    /// Looks at the start of a record.
    fn check_start(&mut self, record: &QueryRecord) {
        let now_ms = *self.now_ms.get_or_insert_with(now_ms);
        if let Some(ahead_ms) = record.ahead_ms(now_ms) {
            self.future += 1;
            if record.zoned == Zoned::Local {
                self.zone_ahead_ms = self.zone_ahead_ms.max(Some(ahead_ms));
            }
        }
    }
}

/// The label of a stream load: the writer writes a batch with a label once.
#[derive(Debug)]
pub(super) struct Label {
    /// Empty if the load names no cluster.
    pub(super) cluster: String,
    pub(super) db: String,
    pub(super) label: String,
}

/// The normalized statements of records, each once, by fingerprint.
#[derive(Debug, Default)]
pub(super) struct NormalizedStatements {
    pub(super) texts: foldhash::HashMap<Fingerprint, String>,
    /// Memory of the texts.
    bytes: usize,
    /// Kept from one statement to the next, to allocate once.
    buffer: String,
}

impl NormalizedStatements {
    /// Adds the statement of a record. Returns its fingerprint; none if the record has no statement.
    pub(super) fn add(&mut self, record: &QueryRecord) -> Option<Fingerprint> {
        normalize_into(record.statement.as_deref()?, &mut self.buffer);
        let fingerprint = Fingerprint::of_normalized(&self.buffer);
        self.texts.entry(fingerprint).or_insert_with(|| {
            let end = self.buffer.floor_char_boundary(NORMALIZED_BYTES);
            self.bytes += end + size_of::<(Fingerprint, String)>();
            self.buffer[..end].to_string()
        });
        Some(fingerprint)
    }
}

impl Batch {
    /// A batch with this many records is full. A database on another machine is asked several times for each batch.
    const FULL_RECORDS: usize = 4096;
    /// A batch with this many bytes is full.
    const FULL_BYTES: usize = 4 << 20;

    /// Returns an empty batch. It leaves out the queries that the rules exclude.
    pub(crate) fn new(rules: ExclusionRules) -> Batch {
        Batch { rules, ..Batch::default() }
    }

    /// Returns the batch for records of a cluster, as far as they name none.
    pub(crate) fn of_cluster(self, cluster: Option<ClusterName>) -> Batch {
        Batch { cluster, ..self }
    }

    /// Returns the batch for records of a source, whose times without a zone were read in `zone`.
    pub(crate) fn of_source(self, name: &str, zone: Zone) -> Batch {
        Batch { source: Some((name.to_string(), zone)), ..self }
    }

    /// Returns the batch for records of another history, with the numbers in this one of the zones there.
    pub(crate) fn with_zones(self, zones: HashMap<i64, i64>) -> Batch {
        Batch { zones, ..self }
    }

    /// Returns a batch that only notes the zones in which another history was read.
    pub(crate) fn of_time_sources(time_sources: Vec<TimeSource>) -> Batch {
        Batch { time_sources, ..Batch::default() }
    }

    /// Returns the cluster of the records that name none.
    pub(crate) fn cluster(&self) -> Option<&ClusterName> {
        self.cluster.as_ref()
    }

    /// Returns the name of the source; empty if none is known.
    pub(crate) fn source_name(&self) -> &str {
        self.source.as_ref().map_or("", |(name, _)| name)
    }

    /// Returns a batch that only moves times.
    pub(crate) fn shift(shift: Shift) -> Batch {
        Batch { shift: Some(shift), ..Batch::default() }
    }

    /// Returns a batch that only removes.
    pub(crate) fn removal(removal: Removal) -> Batch {
        Batch { removal, ..Batch::default() }
    }

    /// Restricts what the batch may change to what a push of somebody may who may not see all queries.
    pub(crate) fn restrict(&mut self, sender: Visibility) {
        self.sender = Some(sender);
    }

    /// Returns the cluster of a record if the batch is of somebody who may not push to it.
    pub(crate) fn other_cluster<'r>(&self, record: &'r QueryRecord) -> Option<&'r str> {
        let clusters = self.sender.as_ref()?.clusters.as_ref()?;
        record.cluster.as_deref().filter(|cluster| !clusters.iter().any(|it| it == cluster))
    }

    /// Keeps a value as long as the batch, also in the writer's queue.
    pub(crate) fn hold(&mut self, value: impl std::any::Any + Send + Sync) {
        self.held = Some(Box::new(value));
    }

    /// Returns the content of the batch, and leaves an empty batch with the same rules.
    pub(crate) fn take(&mut self) -> Batch {
        let empty = Batch::new(self.rules.clone()).of_cluster(self.cluster.clone());
        let empty = Batch { source: self.source.clone(), zones: self.zones.clone(), ..empty };
        std::mem::replace(self, empty)
    }

    /// Adds a record unless a rule excludes it. Its fingerprint is made on the caller's thread, not on the writer's.
    pub(crate) fn record(&mut self, mut record: QueryRecord) {
        self.set_cluster(&mut record);
        if self.rules.excludes(&record) {
            self.arrival.excluded += 1;
            return;
        }
        self.note_cluster(&record);
        self.note_time(&mut record);
        self.bytes += record.statement.as_ref().map_or(0, String::len);
        let fingerprint = self.statements.add(&record);
        self.records.push((record, fingerprint));
    }

    /// Gives a record the cluster of the batch if it has none.
    fn set_cluster(&self, record: &mut QueryRecord) {
        if record.cluster.is_none()
            && let Some(cluster) = &self.cluster
        {
            record.cluster = Some(cluster.as_str().to_string());
        }
    }

    /// Returns whether a rule excludes a record of the batch.
    pub(crate) fn excludes(&self, record: &QueryRecord) -> bool {
        let mut record = Cow::Borrowed(record);
        if record.cluster.is_none() && self.cluster.is_some() {
            self.set_cluster(record.to_mut());
        }
        self.rules.excludes(&record)
    }

    fn note_cluster(&mut self, record: &QueryRecord) {
        if let Some(cluster) = &record.cluster
            && !self.clusters.contains(cluster)
        {
            self.clusters.insert(cluster.clone());
        }
    }

    /// Looks at the times of a record.
    fn note_time(&mut self, record: &mut QueryRecord) {
        self.arrival.check_start(record);
        record.zoned = self.own_zoned(record.zoned);
    }

    /// Returns what is known of the zone of a time in this history: the numbers of another one are not those of this.
    fn own_zoned(&mut self, zoned: Zoned) -> Zoned {
        self.is_zoned |= zoned == Zoned::Local;
        self.known_here(zoned)
    }

    fn known_here(&self, zoned: Zoned) -> Zoned {
        match zoned {
            Zoned::Noted(there) => Zoned::of_number(self.zones.get(&there).copied()),
            zoned => zoned,
        }
    }

    /// Gives the records of the batch the number under which the store knows source and zone. A transaction that runs again may
    /// give another one.
    pub(super) fn set_time_source(&mut self, number: i64) {
        let records = self.records.iter_mut().map(|(record, _)| &mut record.zoned);
        let profiles = self.profiles.iter_mut().map(|profile| &mut profile.summary.zoned);
        let logins = self.logins.iter_mut().map(|login| &mut login.zoned);
        for zoned in records.chain(profiles).chain(logins) {
            if matches!(zoned, Zoned::Local | Zoned::Noted(_)) {
                *zoned = Zoned::Noted(number);
            }
        }
    }

    /// Adds a pushed row. Its memory counts in [`Batch::memory_bytes`].
    pub(crate) fn row(&mut self, entry: Entry) {
        let rows = self.rows();
        let bytes = match entry {
            Entry::Record(record) => {
                let bytes = record.memory_bytes();
                self.record(*record);
                bytes
            }
            Entry::Login(login) => {
                let bytes = login.memory_bytes();
                self.login(*login);
                bytes
            }
        };
        if self.rows() > rows {
            self.row_bytes += bytes;
        }
    }

    /// Returns about how many bytes of memory the pushed rows of the batch take.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.row_bytes + self.statements.bytes + self.statements.buffer.capacity()
    }

    /// Adds a profile unless a rule excludes its query. Other threads pack the texts.
    pub(crate) fn profile(&mut self, mut profile: Profile) {
        self.set_cluster(&mut profile.summary);
        if self.rules.excludes(&profile.summary) {
            self.arrival.excluded += 1;
            return;
        }
        let Profile { mut summary, text } = profile;
        self.note_cluster(&summary);
        self.note_time(&mut summary);
        let fingerprint = self.statements.add(&summary);
        let packed = self.packing.add(UnpackedProfile { summary, fingerprint, text });
        self.packed(packed);
    }

    /// Packs the profiles that are not packed yet. The writer gets only packed ones.
    pub(super) fn pack(&mut self) {
        let packed = self.packing.finish();
        self.packed(packed);
    }

    fn packed(&mut self, profiles: Vec<PackedProfile>) {
        self.bytes += profiles.iter().map(|profile| profile.body.len()).sum::<usize>();
        self.profiles.extend(profiles);
    }

    /// Returns whether profiles are left to pack.
    pub(super) fn is_unpacked(&self) -> bool {
        self.packing.len() > 0
    }

    /// Adds what was read of the plan of a stored profile. It is written unless the profile is gone, was replaced, or was read by
    /// somebody else.
    pub(crate) fn plan(&mut self, plan: ReadPlan) {
        self.plans.push(plan);
    }

    /// Begins a reading of hours, whose summaries a later batch has.
    pub(crate) fn begin_hours(&mut self, hours: Vec<i64>, token: i64) {
        self.hours.push(HourChange::Begin { hours, token });
    }

    /// Adds the summary of an hour, of the reading with this token. It is written unless a query of the hour changed since the
    /// reading began.
    pub(crate) fn fill_hour(&mut self, hour: i64, token: i64, body: Vec<u8>) {
        self.bytes += body.len();
        self.hours.push(HourChange::Fill { hour, token, body });
    }

    /// Returns of how many profiles a plan was read.
    pub(crate) fn plans(&self) -> usize {
        self.plans.len()
    }

    /// Adds a log-in. No rule excludes log-ins.
    pub(crate) fn login(&mut self, mut login: Login) {
        login.zoned = self.own_zoned(login.zoned);
        self.logins.push(login);
    }

    /// Adds to a hash all values of a record of another history as the batch would store them, but for the cluster of the batch.
    pub(crate) fn hash_record(&self, record: &mut QueryRecord, hash: &mut impl Hasher) {
        let there = record.zoned;
        record.zoned = self.known_here(there);
        record.hash(hash);
        record.zoned = there;
    }

    /// Adds to a hash all values of a log-in of another history as the batch would store them.
    pub(crate) fn hash_login(&self, login: &mut Login, hash: &mut impl Hasher) {
        let there = login.zoned;
        login.zoned = self.known_here(there);
        login.hash(hash);
        login.zoned = there;
    }

    /// Notes that a part of another history is merged once the batch is committed, unless the history keeps some of the batch
    /// in another way than the part has it.
    pub(crate) fn merged_part(&mut self, digest: String) {
        self.merged_parts.push(digest);
    }

    /// Sets the label. If the database of the batch's cluster has the label already, the writer writes nothing of the batch.
    pub(crate) fn label(&mut self, db: &str, label: &str) {
        let cluster = self.cluster.as_ref().map_or(String::new(), ToString::to_string);
        self.label = Some(Label { cluster, db: db.to_string(), label: label.to_string() });
    }

    /// Sets how far a followed file is read once the batch is committed.
    pub(crate) fn followed(&mut self, file: FollowedFile) {
        self.followed = Some(file);
    }

    /// Sets how far an audit table is read once the batch is committed.
    pub(crate) fn audit_table(&mut self, checkpoint: AuditCheckpoint) {
        self.audit_table = Some(checkpoint);
    }

    /// Adds when a token was used.
    pub(crate) fn token_used(&mut self, token: TokenHash, used_ms: i64) {
        self.token_uses.push((token, used_ms));
    }

    /// Returns whether the batch is large enough to send.
    pub(crate) fn is_full(&self) -> bool {
        self.records.len() + self.logins.len() >= Batch::FULL_RECORDS || self.is_large()
    }

    /// Returns whether the batch has much text, or large summaries, even if it has few records.
    pub(crate) fn is_large(&self) -> bool {
        self.bytes >= Batch::FULL_BYTES
    }

    /// Returns the number of records.
    pub(crate) fn records(&self) -> usize {
        self.records.len()
    }

    /// Returns the number of records, profiles, plans and log-ins.
    pub(super) fn rows(&self) -> usize {
        let profiles = self.profiles.len() + self.packing.len();
        self.records.len() + profiles + self.plans.len() + self.logins.len()
    }

    /// Returns how many milliseconds longer than a small batch this one may take: all rows of a load are one transaction.
    pub(crate) fn more_ms(&self) -> u64 {
        (self.rows() / ROWS_A_MILLISECOND) as u64
    }

    /// Returns how many records and profiles a rule excluded.
    pub(crate) fn excluded(&self) -> u64 {
        self.arrival.excluded
    }

    /// Returns what the sender counts of the batch.
    pub(crate) fn arrival(&self) -> Arrival {
        self.arrival
    }

    /// Returns the zone in which times were read; none if no time depends on it.
    pub(crate) fn zone(&self) -> Option<Zone> {
        self.source.as_ref().filter(|_| self.is_zoned).map(|(_, zone)| *zone)
    }

    /// Returns whether the batch has nothing to write and nothing to count.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows() == 0 && self.arrival.excluded == 0
    }
}

/// A part of another history: what a merge carries over as a whole, or skips.
#[derive(Debug, Default)]
pub(crate) struct MergedPart {
    /// The hash of all values, in hex.
    pub digest: String,
    /// The ids of the queries that no rule excludes.
    pub queries: Vec<String>,
    /// Those of them that have a profile.
    pub profiles: Vec<String>,
    /// The ids of the log-ins.
    pub logins: Vec<String>,
}

impl MergedPart {
    /// Returns whether this many of the queries, of the profiles and of the log-ins are all of them.
    pub(super) fn is_whole(&self, stored: [i64; 3]) -> bool {
        let all = [&self.queries, &self.profiles, &self.logins].map(|ids| ids.len() as i64);
        stored == all
    }
}

/// How many rows were new, were merged into a stored row, or were stored already.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
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
    /// Returns the number of all rows.
    pub(crate) fn total(&self) -> u64 {
        self.new + self.merged + self.unchanged
    }

    fn add(&mut self, other: Counts) {
        self.new += other.new;
        self.merged += other.merged;
        self.unchanged += other.unchanged;
    }
}

/// What became of a batch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WriteSummary {
    /// Records, including those of the profiles.
    pub records: Counts,
    /// Profile texts. A merged one has replaced the stored text.
    pub profiles: Counts,
    pub logins: Counts,
    /// Records that name another cluster than the stored one, which keeps its own.
    pub other_clusters: u64,
    /// Records that are kept under another id, because another statement has theirs.
    pub moved: u64,
    /// The zone in which the times of the source were read before, if the batch was read in another one. Only new times change
    /// the zone of the source.
    pub zone_before: Option<Zone>,
    /// Queries, loads and log-ins whose times were moved.
    pub shifted: u64,
    /// Whether the writer wrote nothing because the label is stored already.
    pub label_exists: bool,
    /// Queries that were removed, with their loads and profiles.
    pub removed_queries: u64,
    /// Profiles that were removed while their queries stay.
    pub removed_profiles: u64,
    /// Bytes of the pages that a removal freed.
    pub freed_bytes: u64,
}

impl WriteSummary {
    /// Returns whether each record is stored under its own id and with its own cluster, as far as it names one.
    pub(crate) fn is_as_sent(&self) -> bool {
        self.moved == 0 && self.other_clusters == 0
    }

    /// Counts the records, profiles and log-ins of a part of another history that is merged already.
    pub(crate) fn add_merged_part(&mut self, part: &MergedPart) {
        self.records.unchanged += part.queries.len() as u64;
        self.profiles.unchanged += part.profiles.len() as u64;
        self.logins.unchanged += part.logins.len() as u64;
    }

    /// Returns whether a time was stored: that of a new record or log-in, or of one that changed.
    pub(crate) fn has_new_times(&self) -> bool {
        self.records.new + self.records.merged + self.logins.new + self.logins.merged > 0
    }

    /// Adds the summary of another batch.
    pub(crate) fn add(&mut self, other: WriteSummary) {
        self.records.add(other.records);
        self.profiles.add(other.profiles);
        self.logins.add(other.logins);
        self.other_clusters += other.other_clusters;
        self.moved += other.moved;
        self.zone_before = self.zone_before.or(other.zone_before);
        self.shifted += other.shifted;
        self.label_exists |= other.label_exists;
        self.removed_queries += other.removed_queries;
        self.removed_profiles += other.removed_profiles;
        self.freed_bytes += other.freed_bytes;
    }
}
