//! Writing: one task, one transaction at a time.
//!
//! Whoever has something to write sends a [`Batch`] through a short queue and is answered after its
//! commit. The writer takes what waits in the queue into one transaction: many waiting clients become
//! one large commit, and a single one is not kept waiting. The queue is bounded, so that a source that
//! is faster than the disk waits instead of filling the memory.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ErrorCode, Transaction, TransactionBehavior};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteTransaction};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::admin::retention;
use super::login::write_logins;
use super::profile::{pack, unpack};
use super::{Removal, ngram_index, on_bare};
use crate::domain::exclusion::ExclusionRules;
use crate::domain::login::Login;
use crate::domain::profile::Profile;
use crate::domain::record::{Kind, Load, Origin, QueryId, QueryRecord};
use crate::domain::statement::{Fingerprint, normalize_into};
use crate::formats::rows::Entry;

/// Batches that may wait for the writer.
const QUEUE: usize = 8;

/// How a writer groups what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommitPolicy {
    /// Somebody waits for each answer: what is there is committed at once.
    Live,
    /// Nobody waits before the end: a commit waits for more. Query ids are random, so every commit writes
    /// most of their index again: large commits make import fast.
    Bulk,
}

impl CommitPolicy {
    /// A transaction takes in no further batch beyond so many records.
    fn group_records(self) -> usize {
        match self {
            CommitPolicy::Live => 50_000,
            CommitPolicy::Bulk => 200_000,
        }
    }

    /// Nor beyond so many bytes of statement and profile.
    fn group_bytes(self) -> usize {
        match self {
            CommitPolicy::Live => 64 << 20,
            CommitPolicy::Bulk => 256 << 20,
        }
    }

    /// Between two transactions of writing, the search index grows by at most so many segments: more than
    /// a transaction writes, so that it keeps up, and few enough that nobody waits long.
    fn segments_between_groups(self) -> usize {
        match self {
            CommitPolicy::Live => 4,
            CommitPolicy::Bulk => 16,
        }
    }
}

/// A large commit waits no longer for more: who feeds an import by hand is not to hold the file.
const MORE_WITHIN: Duration = Duration::from_millis(200);

/// Whether there is a segment to make is looked at after so many rows.
const INDEXED_AFTER_ROWS: u64 = 4096;

/// How long after another process kept the search index from being gone on with it is tried again.
const INDEXED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How much of a shape is stored, in bytes. Its fingerprint tells the whole of it.
const STORED_SHAPE_BYTES: usize = 64 << 10;

/// How long a label is remembered. Doris forgets after three days; who sends later sends anew.
const LABELS_KEPT_MS: i64 = 30 * 24 * 3600 * 1000;

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

/// Records, profiles and logins that are written in one transaction.
#[derive(Debug, Default)]
pub struct Batch {
    rules: ExclusionRules,
    /// Records and profiles that a rule excluded.
    excluded: u64,
    records: Vec<(QueryRecord, Option<Fingerprint>)>,
    profiles: Vec<PackedProfile>,
    logins: Vec<Login>,
    shapes: Shapes,
    label: Option<Label>,
    followed: Option<FollowedFile>,
    removal: Removal,
    bytes: usize,
}

/// The name under which a batch counts once.
#[derive(Debug)]
struct Label {
    db: String,
    label: String,
}

/// The shapes of some statements, each once.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    known: foldhash::HashMap<Fingerprint, String>,
    buffer: String,
}

impl Shapes {
    /// Adds the shape of a record's statement.
    pub(super) fn add(&mut self, record: &QueryRecord) -> Option<Fingerprint> {
        normalize_into(record.statement.as_deref()?, &mut self.buffer);
        let fingerprint = Fingerprint::of_normalized(&self.buffer);
        self.known.entry(fingerprint).or_insert_with(|| {
            let end = self.buffer.floor_char_boundary(STORED_SHAPE_BYTES);
            self.buffer[..end].to_string()
        });
        Some(fingerprint)
    }
}

#[derive(Debug)]
struct PackedProfile {
    summary: QueryRecord,
    fingerprint: Option<Fingerprint>,
    text_bytes: i64,
    body: Vec<u8>,
}

impl Batch {
    /// Records that make a batch large enough to send.
    const FULL_RECORDS: usize = 1000;
    /// Bytes that do.
    const FULL_BYTES: usize = 4 << 20;

    /// An empty batch, to which the rules let no query that they exclude.
    pub fn new(rules: ExclusionRules) -> Batch {
        Batch { rules, ..Batch::default() }
    }

    /// A batch that removes something.
    pub fn removal(removal: Removal) -> Batch {
        Batch { removal, ..Batch::default() }
    }

    /// Returns what is in the batch, and leaves an empty batch with the same rules.
    pub fn take(&mut self) -> Batch {
        let empty = Batch::new(self.rules.clone());
        std::mem::replace(self, empty)
    }

    /// Adds a record, unless a rule excludes it. Its fingerprint is computed here, on the caller's thread
    /// and not on the writer's.
    pub fn record(&mut self, record: QueryRecord) {
        if self.rules.excludes(&record) {
            self.excluded += 1;
            return;
        }
        self.bytes += record.statement.as_ref().map_or(0, String::len);
        let fingerprint = self.shapes.add(&record);
        self.records.push((record, fingerprint));
    }

    /// Adds a pushed row.
    pub(crate) fn row(&mut self, entry: Entry) {
        match entry {
            Entry::Record(record) => self.record(*record),
            Entry::Login(login) => self.login(*login),
        }
    }

    /// Adds a profile, unless a rule excludes its query. The text is compressed here, on the caller's thread.
    pub fn profile(&mut self, profile: Profile) {
        if self.rules.excludes(&profile.summary) {
            self.excluded += 1;
            return;
        }
        let body = pack(&profile.text);
        self.bytes += body.len();
        let text_bytes = profile.text.len() as i64;
        let summary = profile.summary;
        let fingerprint = self.shapes.add(&summary);
        self.profiles.push(PackedProfile { summary, fingerprint, text_bytes, body });
    }

    /// Adds a login. No rule excludes logins.
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

    /// How many records it has.
    pub fn records(&self) -> usize {
        self.records.len()
    }

    /// Records and profiles that a rule excluded.
    pub fn excluded(&self) -> u64 {
        self.excluded
    }

    /// Whether there is nothing to write and nothing to count.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.profiles.is_empty()
            && self.logins.is_empty()
            && self.excluded == 0
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

    fn add(&mut self, other: Counts) {
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

/// Why a batch was not written. None of it was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError {
    /// SQLite refused: the disk is full, or another process holds the file.
    #[error("the history cannot be written: {0}")]
    Store(Arc<sqlx::Error>),
    /// The writer has ended.
    #[error("the history is closed")]
    Closed,
}

type Answer = oneshot::Sender<Result<WriteSummary, WriteError>>;

/// The source to the writing task.
#[derive(Debug)]
pub struct Writer {
    queue: mpsc::Sender<(Batch, Answer)>,
    /// Told when no more will be sent.
    finish: Arc<Notify>,
    commit_seconds: Histogram,
    task: Mutex<Option<JoinHandle<Result<(), sqlx::Error>>>>,
}

impl Writer {
    pub(super) async fn start(
        options: SqliteConnectOptions,
        pace: CommitPolicy,
    ) -> Result<Writer, sqlx::Error> {
        let connection = options.connect().await?;
        let (queue, batches) = mpsc::channel(QUEUE);
        let finish = Arc::new(Notify::new());
        let commit_seconds = Histogram::new(exponential_buckets(0.001, 4.0, 8));
        let writing =
            write_all(options, pace, connection, batches, finish.clone(), commit_seconds.clone());
        let task = Mutex::new(Some(tokio::spawn(writing)));
        Ok(Writer { queue, finish, commit_seconds, task })
    }

    /// How long commits took, from the begin of their transaction.
    pub fn commit_seconds(&self) -> Histogram {
        self.commit_seconds.clone()
    }

    /// Batches that wait for the writer.
    pub fn queued(&self) -> i64 {
        (self.queue.max_capacity() - self.queue.capacity()) as i64
    }

    /// Queues a batch, and waits as long as the queue is full. The receiver is answered after the
    /// commit; it is dropped without an answer if the writer ends before. Who drops the receiver takes
    /// the batch back, unless it is being written already.
    pub async fn send(
        &self,
        batch: Batch,
    ) -> Result<oneshot::Receiver<Result<WriteSummary, WriteError>>, WriteError> {
        let (answer, answered) = oneshot::channel();
        self.queue.send((batch, answer)).await.map_err(|_| WriteError::Closed)?;
        Ok(answered)
    }

    /// Writes a batch, and waits for its commit, as long as it takes.
    pub async fn write(&self, batch: Batch) -> Result<WriteSummary, WriteError> {
        self.send(batch).await?.await.unwrap_or(Err(WriteError::Closed))
    }

    /// Whether what is sent is still taken.
    pub fn is_open(&self) -> bool {
        !self.queue.is_closed()
    }

    /// Waits until all that was sent is written and moved into the file itself. What is sent from now
    /// on is refused.
    pub async fn finish(&self) -> Result<(), WriteError> {
        self.finish.notify_one();
        let Some(task) = self.task.lock().await.take() else {
            return Ok(());
        };
        match task.await {
            Ok(ended) => ended.map_err(|error| WriteError::Store(Arc::new(error))),
            Err(_) => Err(WriteError::Closed),
        }
    }
}

async fn write_all(
    options: SqliteConnectOptions,
    pace: CommitPolicy,
    mut connection: SqliteConnection,
    mut batches: mpsc::Receiver<(Batch, Answer)>,
    finish: Arc<Notify>,
    commit_seconds: Histogram,
) -> Result<(), sqlx::Error> {
    let mut indexing = Indexing { is_behind: true, is_held_up: false, rows: 0 };
    loop {
        if indexing.is_behind && !indexing.is_held_up && batches.is_empty() && !batches.is_closed()
        {
            indexing.go_on(&mut connection, 1).await;
            continue;
        }
        let first = tokio::select! {
            first = batches.recv() => first,
            () = tokio::time::sleep(INDEXED_AGAIN_AFTER), if indexing.is_held_up => {
                indexing.is_held_up = false;
                continue;
            }
            () = finish.notified() => {
                batches.close();
                continue;
            }
        };
        let Some(first) = first else { break };
        let mut answers = Vec::new();
        let began = Instant::now();
        let more = More { batches: &mut batches, finish: &finish, pace };
        match write_group(&mut connection, first, more, &mut answers).await {
            Ok(()) => {
                commit_seconds.observe(began.elapsed().as_secs_f64());
                for (answer, written) in answers {
                    indexing.rows += written.records.new + written.records.merged;
                    // Nobody waits where the asker has gone; the batch is written all the same.
                    let _ = answer.send(Ok(written));
                }
                if indexing.is_behind || indexing.rows >= INDEXED_AFTER_ROWS {
                    indexing.go_on(&mut connection, pace.segments_between_groups()).await;
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for (answer, _) in answers {
                    let _ = answer.send(Err(WriteError::Store(error.clone())));
                }
                // SQLite may have ended the transaction by itself, as it does on a full disk, and sqlx
                // does not learn of it: only a new connection is in none for sure.
                if let Ok(fresh) = options.connect().await {
                    let old = std::mem::replace(&mut connection, fresh);
                    let _ = old.close_hard().await;
                }
            }
        }
    }
    super::checkpoint(&mut connection).await?;
    connection.close().await
}

/// How far the search index is behind.
struct Indexing {
    /// Whether there may be segments to make, as there are in a history from before there was an index.
    is_behind: bool,
    /// Whether another process wrote to the file when one was to be made.
    is_held_up: bool,
    /// Rows that were written since it was gone on with.
    rows: u64,
}

impl Indexing {
    /// Makes up to `most` segments. A search that has no index of some rows reads them, so an error costs
    /// nothing but time.
    async fn go_on(&mut self, connection: &mut SqliteConnection, most: usize) {
        self.rows = 0;
        self.is_held_up = false;
        match index_segments(connection, most).await {
            Ok(Some(more)) => self.is_behind = more,
            Ok(None) => (self.is_behind, self.is_held_up) = (true, true),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the search index was not brought up to date");
                self.is_behind = false;
            }
        }
    }
}

/// Makes up to `most` segments of the search index; whether there may be more to make. While another
/// process writes to the file it makes none, and answers `None` at once: whoever pushes is not to wait for
/// that twice.
async fn index_segments(
    connection: &mut SqliteConnection,
    most: usize,
) -> Result<Option<bool>, sqlx::Error> {
    let mut handle = connection.lock_handle().await?;
    tokio::task::block_in_place(|| {
        on_bare(&mut handle, |sqlite| {
            let patience =
                sqlite.pragma_query_value(None, "busy_timeout", |row| row.get::<_, u32>(0))?;
            sqlite.busy_timeout(Duration::ZERO)?;
            let begun = Transaction::new_unchecked(sqlite, TransactionBehavior::Immediate);
            sqlite.busy_timeout(Duration::from_millis(patience.into()))?;
            let transaction = match begun {
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                    return Ok(None);
                }
                begun => begun?,
            };
            let mut more = true;
            for _ in 0..most {
                more = ngram_index::make_segment(&transaction)?;
                if !more {
                    break;
                }
            }
            transaction.commit()?;
            Ok(Some(more))
        })
    })
}

/// The batches behind the first of a transaction.
struct More<'a> {
    batches: &'a mut mpsc::Receiver<(Batch, Answer)>,
    finish: &'a Notify,
    pace: CommitPolicy,
}

impl More<'_> {
    /// The next batch of the same transaction.
    async fn next(&mut self) -> Option<(Batch, Answer)> {
        if let Ok(next) = self.batches.try_recv() {
            return Some(next);
        }
        match self.pace {
            CommitPolicy::Live => None,
            CommitPolicy::Bulk => tokio::select! {
                next = self.batches.recv() => next,
                () = self.finish.notified() => {
                    self.batches.close();
                    self.batches.recv().await
                }
                () = tokio::time::sleep(MORE_WITHIN) => None,
            },
        }
    }
}

/// Writes a batch and those that wait behind it in one transaction. `answers` has the askers of all
/// batches that the transaction took in, whether it came to its commit or not.
async fn write_group(
    connection: &mut SqliteConnection,
    first: (Batch, Answer),
    mut more: More<'_>,
    answers: &mut Vec<(Answer, WriteSummary)>,
) -> Result<(), sqlx::Error> {
    let mut next = Some(first);
    let (mut records, mut bytes) = (0, 0);
    let mut stored_shapes = foldhash::HashSet::default();
    // Taken at once: a transaction that began by reading could lose its place to another process.
    let begun = async {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        ngram_index::forget_unfilled(&mut transaction).await?;
        Ok(transaction)
    };
    let mut transaction = match begun.await {
        Ok(transaction) => transaction,
        Err(error) => {
            answers.extend(next.map(|(_, answer)| (answer, WriteSummary::default())));
            return Err(error);
        }
    };
    while let Some((batch, answer)) = next {
        if answer.is_closed() {
            next = more.next().await;
            continue;
        }
        records += batch.records.len() + batch.profiles.len() + batch.logins.len();
        bytes += batch.bytes;
        answers.push((answer, WriteSummary::default()));
        let written = write_batch(&mut transaction, batch, &mut stored_shapes).await?;
        if let Some((_, answer)) = answers.last_mut() {
            *answer = written;
        }
        let full = records >= more.pace.group_records() || bytes >= more.pace.group_bytes();
        next = if full { None } else { more.next().await };
    }
    transaction.commit().await
}

/// Writes a batch. `stored_shapes` are those that are stored, as far as its transaction has seen to it.
async fn write_batch(
    transaction: &mut SqliteTransaction<'_>,
    batch: Batch,
    stored_shapes: &mut foldhash::HashSet<Fingerprint>,
) -> Result<WriteSummary, sqlx::Error> {
    let mut written = WriteSummary::default();
    if let Some(label) = &batch.label
        && !take_label(transaction, label).await?
    {
        written.label_exists = true;
        return Ok(written);
    }
    (written.removed_queries, written.removed_profiles) =
        retention::remove(transaction, &batch.removal).await?;
    if !batch.removal.is_empty() {
        // Shapes go with the last of their queries.
        stored_shapes.clear();
    }
    let summaries =
        batch.profiles.iter().map(|profile| (profile.summary.clone(), profile.fingerprint));
    let first_summary = batch.records.len();
    let records: Vec<_> = batch.records.into_iter().chain(summaries).collect();
    let mut shapes = batch.shapes;
    let kept_as = write_records(transaction, records, &mut shapes, &mut written.records).await?;
    insert_shapes(transaction, &shapes, stored_shapes).await?;
    for (number, profile) in batch.profiles.into_iter().enumerate() {
        let PackedProfile { summary, text_bytes, body, .. } = profile;
        let query_id = kept_as.get(&(first_summary + number)).unwrap_or(&summary.query_id).as_str();
        let stored = sqlx::query!(
            "SELECT text_bytes, body FROM profile
             WHERE query = (SELECT id FROM query WHERE query_id = ?)",
            query_id
        )
        .fetch_optional(&mut **transaction)
        .await?;
        match stored {
            None => written.profiles.new += 1,
            Some(stored) => {
                // A stored text that is damaged tells nothing, and gives source.
                let text = unpack(&stored.body, stored.text_bytes).unwrap_or_default();
                if !Profile::should_replace(summary.is_running(), text_bytes as usize, &text) {
                    written.profiles.unchanged += 1;
                    continue;
                }
                written.profiles.merged += 1;
            }
        }
        sqlx::query!(
            "INSERT INTO profile (query, text_bytes, body)
             VALUES ((SELECT id FROM query WHERE query_id = ?1), ?2, ?3)
             ON CONFLICT (query) DO UPDATE SET text_bytes = ?2, body = ?3",
            query_id,
            text_bytes,
            body
        )
        .execute(&mut **transaction)
        .await?;
    }
    written.logins = write_logins(transaction, &batch.logins).await?;
    if let Some(file) = &batch.followed {
        write_followed(transaction, file).await?;
    }
    Ok(written)
}

/// Notes a label; `false` where it is noted already.
async fn take_label(
    transaction: &mut SqliteTransaction<'_>,
    label: &Label,
) -> Result<bool, sqlx::Error> {
    let now_ms = chrono::Utc::now().timestamp_millis();
    let kept_from_ms = now_ms - LABELS_KEPT_MS;
    sqlx::query!("DELETE FROM stream_load_label WHERE loaded_ms < ?", kept_from_ms)
        .execute(&mut **transaction)
        .await?;
    let noted = sqlx::query!(
        "INSERT INTO stream_load_label (db, label, loaded_ms) VALUES (?, ?, ?)
         ON CONFLICT DO NOTHING",
        label.db,
        label.label,
        now_ms
    )
    .execute(&mut **transaction)
    .await?;
    Ok(noted.rows_affected() == 1)
}

/// Notes how far a file was read.
async fn write_followed(
    transaction: &mut SqliteTransaction<'_>,
    file: &FollowedFile,
) -> Result<(), sqlx::Error> {
    if let Some(before) = &file.replaces {
        sqlx::query!("DELETE FROM followed_file WHERE head_hash = ?", before)
            .execute(&mut **transaction)
            .await?;
    }
    sqlx::query!(
        "INSERT INTO followed_file (head_hash, head_bytes, read_bytes, path, file_bytes, modified_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (head_hash) DO UPDATE SET
             head_bytes = ?2, read_bytes = ?3, path = ?4, file_bytes = ?5, modified_ms = ?6",
        file.head_hash,
        file.head_bytes,
        file.read_bytes,
        file.path,
        file.file_bytes,
        file.modified_ms
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// A record on its source to its row.
struct Placing {
    record: QueryRecord,
    fingerprint: Option<Fingerprint>,
    /// Its place among the batch's records; none for a stored record that gives its id up to one of them.
    place: Option<usize>,
    /// The ids that are still to be tried, once its own is found to be another statement's.
    ids: Option<Box<dyn Iterator<Item = QueryId> + Send + Sync>>,
}

/// Writes records, or merges them with those that are stored. Returns the ids of those that are kept under another id
/// than they came with, by their place among the records.
///
/// An id belongs to the statement that ran. Another statement that came with the same id is kept beside it, under an id
/// made of that one, and neither takes a value from the other.
async fn write_records(
    transaction: &mut SqliteTransaction<'_>,
    records: Vec<(QueryRecord, Option<Fingerprint>)>,
    shapes: &mut Shapes,
    counts: &mut Counts,
) -> Result<HashMap<usize, QueryId>, sqlx::Error> {
    let mut kept_as = HashMap::new();
    let mut round: Vec<Placing> = records
        .into_iter()
        .enumerate()
        .map(|(place, (record, fingerprint))| Placing {
            record,
            fingerprint,
            place: Some(place),
            ids: None,
        })
        .collect();
    while !round.is_empty() {
        let inserted = insert_queries(transaction, &round).await?;
        let mut again = Vec::new();
        for (placing, row) in round.into_iter().zip(inserted) {
            let Some(row) = row else {
                again.push(placing);
                continue;
            };
            if let Some(load) = &placing.record.load {
                write_load(transaction, row, load).await?;
            }
            counts.new += 1;
        }
        round = merge_stored(transaction, again, shapes, counts).await?;
        round.retain_mut(|Placing { record, fingerprint, place, ids }| {
            let ids = ids.get_or_insert_with(|| Box::new(record.ids_beside()));
            let Some(id) = ids.next() else {
                tracing::error!("a record is not kept: all ids made for it are other statements'");
                return false;
            };
            if let Some(place) = place {
                kept_as.insert(*place, id.clone());
            }
            record.query_id = id;
            *fingerprint = shapes.add(record);
            true
        });
    }
    Ok(kept_as)
}

/// Merges records with those that are stored under their ids. Returns each that is of another statement than the one
/// whose id it is.
async fn merge_stored(
    transaction: &mut SqliteTransaction<'_>,
    records: Vec<Placing>,
    shapes: &mut Shapes,
    counts: &mut Counts,
) -> Result<Vec<Placing>, sqlx::Error> {
    let ids: Vec<QueryId> = records.iter().map(|placing| placing.record.query_id.clone()).collect();
    let mut stored = stored_records(transaction, &ids).await?;
    let mut others = Vec::new();
    for mut placing in records {
        let Some(known) = stored.get_mut(&placing.record.query_id) else {
            // Its row was there a moment ago, within this transaction.
            return Err(sqlx::Error::RowNotFound);
        };
        if !known.record.is_same_statement(&placing.record) {
            // Only the id that a frontend gave belongs to one statement before another.
            if placing.ids.is_none() {
                let has_profile = sqlx::query_scalar!(
                    r#"SELECT EXISTS (SELECT 1 FROM profile WHERE query = ?) AS "found!: bool""#,
                    known.row
                )
                .fetch_one(&mut **transaction)
                .await?;
                if placing.record.owns_id_before(&known.record, has_profile) {
                    // The row stays that of the id.
                    std::mem::swap(&mut known.record, &mut placing.record);
                    placing.place = None;
                    known.changed = true;
                }
            }
            others.push(placing);
            continue;
        }
        let before = known.record.clone();
        known.record.merge(placing.record);
        if known.record == before {
            counts.unchanged += 1;
        } else {
            known.changed = true;
            counts.merged += 1;
        }
    }
    for known in stored.into_values().filter(|known| known.changed) {
        let fingerprint = shapes.add(&known.record);
        update_query(transaction, known.row, &known.record, fingerprint).await?;
        if let Some(load) = &known.record.load {
            write_load(transaction, known.row, load).await?;
        }
    }
    Ok(others)
}

/// Writes the shapes that are not stored yet.
pub(super) async fn insert_shapes(
    transaction: &mut SqliteTransaction<'_>,
    shapes: &Shapes,
    stored: &mut foldhash::HashSet<Fingerprint>,
) -> Result<(), sqlx::Error> {
    raw(transaction, |sqlite| {
        let mut insert = sqlite.prepare(
            "INSERT INTO statement (fingerprint, shape) VALUES (?, ?)
             ON CONFLICT (fingerprint) DO NOTHING",
        )?;
        for (fingerprint, shape) in &shapes.known {
            // Most shapes of a batch are those of the one before.
            if stored.insert(*fingerprint) {
                insert.execute((fingerprint.to_signed(), shape))?;
            }
        }
        Ok(())
    })
    .await
}

/// Inserts the rows of queries; `None` for each that has one already.
async fn insert_queries(
    transaction: &mut SqliteTransaction<'_>,
    records: &[Placing],
) -> Result<Vec<Option<i64>>, sqlx::Error> {
    let extras: Vec<_> = records.iter().map(|placing| extra_json(&placing.record)).collect();
    raw(transaction, |sqlite| {
        let mut insert = sqlite.prepare(INSERT_QUERY)?;
        let mut bound = [ValueRef::Null; QUERY_COLUMNS];
        let mut inserted = Vec::with_capacity(records.len());
        for (placing, extra) in records.iter().zip(&extras) {
            let values = query_values(&placing.record, extra.as_deref(), placing.fingerprint);
            for (at, (value, bound)) in values.iter().zip(&bound).enumerate() {
                // SQLite keeps what was bound, and copies each text: most columns are as in the row before.
                if value != bound {
                    insert.raw_bind_parameter(at + 1, ToSqlOutput::Borrowed(*value))?;
                }
            }
            bound = values;
            let is_new = insert.raw_execute()? == 1;
            inserted.push(is_new.then(|| sqlite.last_insert_rowid()));
        }
        Ok(inserted)
    })
    .await
}

/// Works on the bare handle of a connection.
///
/// The one source around sqlx's macros and its own thread: an import spends its time in the statements that
/// go it. Of 300,000 records on two cores, `query!` wrote 11,000 a second, with half the time spent waking
/// the connection's thread for each row; this source writes 97,000 a second. The bare handle belongs to the
/// connection, which cannot be used by anybody else while it is locked.
async fn raw<T>(
    transaction: &mut SqliteTransaction<'_>,
    work: impl FnOnce(&rusqlite::Connection) -> Result<T, rusqlite::Error>,
) -> Result<T, sqlx::Error> {
    let mut handle = transaction.lock_handle().await?;
    // A batch takes some ten milliseconds: others move to another thread meanwhile.
    tokio::task::block_in_place(|| on_bare(&mut handle, work))
}

/// The columns that [`INSERT_QUERY`] gives a row.
const QUERY_COLUMNS: usize = 51;

const INSERT_QUERY: &str = "INSERT INTO query (
        query_id, kind, origin, state, started_ms, ended_ms, duration_ms, user, client, catalog,
        db, statement, statement_type, command_type, statement_id, session_id, trace_id, is_query,
        is_nereids, is_internal, is_slow, error_code, error_message, scan_rows, scan_bytes,
        local_scan_bytes, remote_scan_bytes, return_rows, shuffle_send_rows, shuffle_send_bytes,
        spill_write_bytes, peak_memory_bytes, cpu_time_ms, frontend, workload_group,
        compute_group, queried_tables, sql_hash, sql_digest, fuzzy_variables, extra, fingerprint,
        queue_time_ms, parse_time_ms, plan_time_ms, schedule_time_ms, cache_hit, spill_read_bytes,
        chosen_views, changed_variables, is_start_estimated
    ) VALUES (
        ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
        ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
    ) ON CONFLICT (query_id) DO NOTHING";

/// The values of a record in [`INSERT_QUERY`].
fn query_values<'a>(
    record: &'a QueryRecord,
    extra: Option<&'a str>,
    fingerprint: Option<Fingerprint>,
) -> [ValueRef<'a>; QUERY_COLUMNS] {
    fn text(value: Option<&str>) -> ValueRef<'_> {
        value.map_or(ValueRef::Null, ValueRef::from)
    }
    fn number(value: Option<i64>) -> ValueRef<'static> {
        value.map_or(ValueRef::Null, ValueRef::Integer)
    }
    [
        text(Some(record.query_id.as_str())),
        text(Some(record.kind.name())),
        text(Some(record.origin.name())),
        text(record.state.as_deref()),
        number(record.started_ms),
        number(record.ended_ms),
        number(record.duration_ms),
        text(record.user.as_deref()),
        text(record.client.as_deref()),
        text(record.catalog.as_deref()),
        text(record.db.as_deref()),
        text(record.statement.as_deref()),
        text(record.statement_type.as_deref()),
        text(record.command_type.as_deref()),
        number(record.statement_id),
        text(record.session_id.as_deref()),
        text(record.trace_id.as_deref()),
        number(record.is_query.map(i64::from)),
        number(record.is_nereids.map(i64::from)),
        number(record.is_internal.map(i64::from)),
        number(Some(record.is_slow.into())),
        number(record.error_code),
        text(record.error_message.as_deref()),
        number(record.scan_rows),
        number(record.scan_bytes),
        number(record.local_scan_bytes),
        number(record.remote_scan_bytes),
        number(record.return_rows),
        number(record.shuffle_send_rows),
        number(record.shuffle_send_bytes),
        number(record.spill_write_bytes),
        number(record.peak_memory_bytes),
        number(record.cpu_time_ms),
        text(record.frontend.as_deref()),
        text(record.workload_group.as_deref()),
        text(record.compute_group.as_deref()),
        text(record.queried_tables.as_deref()),
        text(record.sql_hash.as_deref()),
        text(record.sql_digest.as_deref()),
        text(record.fuzzy_variables.as_deref()),
        text(extra),
        number(fingerprint.map(Fingerprint::to_signed)),
        number(record.queue_time_ms),
        number(record.parse_time_ms),
        number(record.plan_time_ms),
        number(record.schedule_time_ms),
        number(record.cache_hit.map(i64::from)),
        number(record.spill_read_bytes),
        text(record.chosen_views.as_deref()),
        text(record.changed_variables.as_deref()),
        number(Some(record.is_start_estimated.into())),
    ]
}

/// Writes a query's row anew.
pub(super) async fn update_query(
    transaction: &mut SqliteTransaction<'_>,
    row: i64,
    record: &QueryRecord,
    fingerprint: Option<Fingerprint>,
) -> Result<(), sqlx::Error> {
    let fingerprint = fingerprint.map(Fingerprint::to_signed);
    let (kind, origin) = (record.kind.name(), record.origin.name());
    let extra = extra_json(record);
    sqlx::query!(
        "UPDATE query SET
             kind = ?2, origin = ?3, state = ?4, started_ms = ?5, ended_ms = ?6, duration_ms =
             ?7, user = ?8, client = ?9, catalog = ?10, db = ?11, statement = ?12,
             statement_type = ?13, command_type = ?14, statement_id = ?15, session_id = ?16,
             trace_id = ?17, is_query = ?18, is_nereids = ?19, is_internal = ?20, is_slow = ?21,
             error_code = ?22, error_message = ?23, scan_rows = ?24, scan_bytes = ?25,
             local_scan_bytes = ?26, remote_scan_bytes = ?27, return_rows = ?28,
             shuffle_send_rows = ?29, shuffle_send_bytes = ?30, spill_write_bytes = ?31,
             peak_memory_bytes = ?32, cpu_time_ms = ?33, frontend = ?34, workload_group = ?35,
             compute_group = ?36, queried_tables = ?37, sql_hash = ?38, sql_digest = ?39,
             fuzzy_variables = ?40, extra = ?41, fingerprint = ?42,
             queue_time_ms = ?43, parse_time_ms = ?44, plan_time_ms = ?45, schedule_time_ms = ?46,
             cache_hit = ?47, spill_read_bytes = ?48, chosen_views = ?49, changed_variables = ?50,
             is_start_estimated = ?51
         WHERE id = ?1",
        row,
        kind,
        origin,
        record.state,
        record.started_ms,
        record.ended_ms,
        record.duration_ms,
        record.user,
        record.client,
        record.catalog,
        record.db,
        record.statement,
        record.statement_type,
        record.command_type,
        record.statement_id,
        record.session_id,
        record.trace_id,
        record.is_query,
        record.is_nereids,
        record.is_internal,
        record.is_slow,
        record.error_code,
        record.error_message,
        record.scan_rows,
        record.scan_bytes,
        record.local_scan_bytes,
        record.remote_scan_bytes,
        record.return_rows,
        record.shuffle_send_rows,
        record.shuffle_send_bytes,
        record.spill_write_bytes,
        record.peak_memory_bytes,
        record.cpu_time_ms,
        record.frontend,
        record.workload_group,
        record.compute_group,
        record.queried_tables,
        record.sql_hash,
        record.sql_digest,
        record.fuzzy_variables,
        extra,
        fingerprint,
        record.queue_time_ms,
        record.parse_time_ms,
        record.plan_time_ms,
        record.schedule_time_ms,
        record.cache_hit,
        record.spill_read_bytes,
        record.chosen_views,
        record.changed_variables,
        record.is_start_estimated,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// A stored record, and what a batch makes of it.
pub(super) struct Known {
    pub(super) row: i64,
    pub(super) record: QueryRecord,
    changed: bool,
}

/// What is stored of some queries.
pub(super) async fn stored_records(
    connection: &mut SqliteConnection,
    ids: &[QueryId],
) -> Result<HashMap<QueryId, Known>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: HashMap<&str, &QueryId> = ids.iter().map(|id| (id.as_str(), id)).collect();
    let list = serde_json::json!(ids.keys().collect::<Vec<_>>()).to_string();
    let loads = sqlx::query!(
        "SELECT query,
             load.job_id, load.label, load.load_type, load.table_list, load.file_path_list,
             load.broker_user, load.file_number, load.message, load.url, load.total_rows,
             load.loaded_rows, load.filtered_rows, load.unselected_rows, load.load_bytes
         FROM query JOIN load ON load.query = query.id
         WHERE query_id IN (SELECT value FROM json_each(?))",
        list
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut loads: HashMap<i64, Load> = loads
        .into_iter()
        .map(|stored| {
            let load = Load {
                job_id: stored.job_id,
                label: stored.label,
                load_type: stored.load_type,
                table_list: stored.table_list,
                file_path_list: stored.file_path_list,
                broker_user: stored.broker_user,
                file_number: stored.file_number,
                message: stored.message,
                url: stored.url,
                total_rows: stored.total_rows,
                loaded_rows: stored.loaded_rows,
                filtered_rows: stored.filtered_rows,
                unselected_rows: stored.unselected_rows,
                load_bytes: stored.load_bytes,
            };
            (stored.query, load)
        })
        .collect();
    let stored = sqlx::query!(
        r#"SELECT
             id, query_id,
             kind, origin, state, started_ms, ended_ms, duration_ms, user, client, catalog, db,
             statement, statement_type, command_type, statement_id, session_id, trace_id, is_query
             AS "is_query: bool", is_nereids AS "is_nereids: bool", is_internal AS "is_internal:
             bool", is_slow AS "is_slow: bool", error_code, error_message, scan_rows, scan_bytes,
             local_scan_bytes, remote_scan_bytes, return_rows, shuffle_send_rows,
             shuffle_send_bytes, spill_write_bytes, peak_memory_bytes, cpu_time_ms, frontend,
             workload_group, compute_group, queried_tables, sql_hash, sql_digest, fuzzy_variables,
             extra, queue_time_ms, parse_time_ms, plan_time_ms, schedule_time_ms,
             cache_hit AS "cache_hit: bool", spill_read_bytes, chosen_views, changed_variables,
             is_start_estimated AS "is_start_estimated: bool"
         FROM query WHERE query_id IN (SELECT value FROM json_each(?))"#,
        list
    )
    .fetch_all(&mut *connection)
    .await?;
    let known = stored.into_iter().filter_map(|stored| {
        let query_id = (*ids.get(stored.query_id.as_str())?).clone();
        let record = QueryRecord {
            query_id: query_id.clone(),
            kind: Kind::of_name(&stored.kind),
            origin: Origin::of_name(&stored.origin),
            state: stored.state,
            started_ms: stored.started_ms,
            ended_ms: stored.ended_ms,
            duration_ms: stored.duration_ms,
            user: stored.user,
            client: stored.client,
            catalog: stored.catalog,
            db: stored.db,
            statement: stored.statement,
            statement_type: stored.statement_type,
            command_type: stored.command_type,
            statement_id: stored.statement_id,
            session_id: stored.session_id,
            trace_id: stored.trace_id,
            is_query: stored.is_query,
            is_nereids: stored.is_nereids,
            is_internal: stored.is_internal,
            is_slow: stored.is_slow,
            error_code: stored.error_code,
            error_message: stored.error_message,
            scan_rows: stored.scan_rows,
            scan_bytes: stored.scan_bytes,
            local_scan_bytes: stored.local_scan_bytes,
            remote_scan_bytes: stored.remote_scan_bytes,
            return_rows: stored.return_rows,
            shuffle_send_rows: stored.shuffle_send_rows,
            shuffle_send_bytes: stored.shuffle_send_bytes,
            spill_write_bytes: stored.spill_write_bytes,
            peak_memory_bytes: stored.peak_memory_bytes,
            cpu_time_ms: stored.cpu_time_ms,
            frontend: stored.frontend,
            workload_group: stored.workload_group,
            compute_group: stored.compute_group,
            queried_tables: stored.queried_tables,
            sql_hash: stored.sql_hash,
            sql_digest: stored.sql_digest,
            fuzzy_variables: stored.fuzzy_variables,
            queue_time_ms: stored.queue_time_ms,
            parse_time_ms: stored.parse_time_ms,
            plan_time_ms: stored.plan_time_ms,
            schedule_time_ms: stored.schedule_time_ms,
            cache_hit: stored.cache_hit,
            spill_read_bytes: stored.spill_read_bytes,
            chosen_views: stored.chosen_views,
            changed_variables: stored.changed_variables,
            is_start_estimated: stored.is_start_estimated,
            // What somebody else wrote there counts as nothing.
            extra: stored
                .extra
                .and_then(|json| serde_json::from_str(&json).ok())
                .unwrap_or_default(),
            load: loads.remove(&stored.id).map(Box::new),
        };
        Some((query_id, Known { row: stored.id, record, changed: false }))
    });
    Ok(known.collect())
}

/// Writes what only a load has, in place of what was there.
pub(super) async fn write_load(
    transaction: &mut SqliteTransaction<'_>,
    row: i64,
    load: &Load,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO load (
             query, job_id, label, load_type, table_list, file_path_list, broker_user,
             file_number, message, url, total_rows, loaded_rows, filtered_rows, unselected_rows,
             load_bytes
         ) VALUES (
             ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15
         ) ON CONFLICT (query) DO UPDATE SET
             job_id = ?2, label = ?3, load_type = ?4, table_list = ?5, file_path_list = ?6,
             broker_user = ?7, file_number = ?8, message = ?9, url = ?10, total_rows = ?11,
             loaded_rows = ?12, filtered_rows = ?13, unselected_rows = ?14, load_bytes = ?15",
        row,
        load.job_id,
        load.label,
        load.load_type,
        load.table_list,
        load.file_path_list,
        load.broker_user,
        load.file_number,
        load.message,
        load.url,
        load.total_rows,
        load.loaded_rows,
        load.filtered_rows,
        load.unselected_rows,
        load.load_bytes,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// The keys without a column, as a JSON object.
fn extra_json(record: &QueryRecord) -> Option<String> {
    let extra = &record.extra;
    (!extra.is_empty()).then(|| serde_json::json!(extra).to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::store::{QueryFilter, Store};

    const START_MS: i64 = 1_767_322_800_000;

    /// The fields that a report of a statement may leave out.
    #[derive(Debug, Clone, Copy)]
    struct Report {
        /// Which of the statements that came with the id.
        statement: i64,
        has_number: bool,
        has_text: bool,
        is_slow: bool,
        /// A profile, which only the statement that ran has.
        is_profile: bool,
        /// An audit record without a start, which was written five seconds late.
        is_late: bool,
    }

    /// A report of one of several statements of one id. Each value tells which statement it is of.
    fn record(report: Report) -> QueryRecord {
        let number = report.statement;
        let origin = if report.is_profile { Origin::Summary } else { Origin::Audit };
        let mut record = QueryRecord::new("1a-2b".parse().unwrap(), Kind::Query, origin);
        // Statement 0 ran; the others failed, as those do that cannot be parsed.
        record.state = Some(if number == 0 { "EOF" } else { "ERR" }.to_string());
        record.error_code = (!report.is_profile).then_some(if number == 0 { 0 } else { 1105 });
        let start_ms = START_MS + number * 67_000 + number;
        record.started_ms = Some(match (report.is_profile, report.is_late) {
            (true, _) => start_ms / 1000 * 1000,
            (false, true) => start_ms + 5000,
            (false, false) => start_ms,
        });
        record.is_start_estimated = report.is_late;
        record.user = Some(format!("user{number}"));
        record.statement = report.has_text.then(|| format!("select {number} from t{number}"));
        record.statement_id = (report.has_number && !report.is_profile).then_some(number);
        record.scan_rows = (!report.is_profile).then_some(number);
        record.is_slow = report.is_slow;
        record
    }

    fn reports() -> impl Strategy<Value = Vec<Report>> {
        let report = (0..3_i64, any::<[bool; 5]>()).prop_map(|(statement, told)| {
            let [number, text, slow, profile, late] = told;
            let is_profile = profile && statement == 0;
            let is_late = late && !is_profile;
            Report {
                statement,
                // An audit record has a number or a text, and both where its start is a guess.
                has_number: number || is_late || !text,
                has_text: text || is_late,
                is_slow: slow && !is_profile,
                is_profile,
                is_late,
            }
        });
        prop::collection::vec(report, 1..12)
    }

    /// Writes reports in batches of some size; gives what is stored, without ids.
    async fn stored(reports: &[Report], batch_size: usize) -> Vec<(String, QueryRecord, bool)> {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("a.db")).await.unwrap();
        let writer = store.writer(Duration::from_secs(5), None).await.unwrap();
        for some in reports.chunks(batch_size) {
            let mut batch = Batch::default();
            for report in some {
                if report.is_profile {
                    let text = b"Summary:\n  - Profile ID: 1a-2b\n".to_vec();
                    batch.profile(Profile { summary: record(*report), text });
                } else {
                    batch.record(record(*report));
                }
            }
            writer.write(batch).await.unwrap();
        }
        let filter = QueryFilter { limit: 100, ..QueryFilter::default() };
        let listed = store.records(&filter, None).await.unwrap();
        let ids: Vec<QueryId> = listed.iter().map(|one| one.query_id.parse().unwrap()).collect();
        let mut connection = writing_connection(&store).await;
        let mut known = stored_records(&mut connection, &ids).await.unwrap();
        let mut rows: Vec<_> = listed
            .into_iter()
            .zip(&ids)
            .map(|(one, id)| (one.query_id, known.remove(id).unwrap().record, one.has_profile))
            .collect();
        rows.sort_by_key(|(_, record, _)| record.started_ms);
        writer.finish().await.unwrap();
        rows
    }

    async fn writing_connection(store: &Store) -> SqliteConnection {
        SqliteConnectOptions::new().filename(store.path()).connect().await.unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn statements_of_one_id_are_never_mixed(reports in reports(), batch_size in 1..5_usize, turn in 0..12_usize) {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let rows = runtime.block_on(stored(&reports, batch_size));
            let statements: BTreeSet<i64> = reports.iter().map(|report| report.statement).collect();
            prop_assert_eq!(rows.len(), statements.len());
            for (id, record, has_profile) in &rows {
                let number = (record.started_ms.unwrap() - START_MS) / 67_000;
                prop_assert!(statements.contains(&number));
                prop_assert_eq!(&record.user, &Some(format!("user{number}")));
                prop_assert_eq!(record.scan_rows.unwrap_or(number), number);
                prop_assert_eq!(record.statement_id.unwrap_or(number), number);
                prop_assert_eq!(record.is_failed(), number != 0);
                let slow = reports.iter().any(|report| report.statement == number && report.is_slow);
                prop_assert_eq!(record.is_slow, slow);
                let profiled = reports.iter().any(|report| report.statement == number && report.is_profile);
                prop_assert_eq!(*has_profile, profiled);
                if number == 0 {
                    prop_assert_eq!(id.as_str(), "1a-2b");
                }
            }
            // Another order gives the same.
            let mut turned = reports.clone();
            turned.rotate_left(turn % reports.len());
            turned.reverse();
            let again = runtime.block_on(stored(&turned, batch_size));
            for ((_, one, _), (_, other, _)) in rows.iter().zip(&again) {
                prop_assert_eq!((one.started_ms, &one.user, one.statement_id, &one.statement),
                    (other.started_ms, &other.user, other.statement_id, &other.statement));
            }
            prop_assert_eq!(rows.len(), again.len());
        }
    }
}
