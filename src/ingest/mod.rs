//! What comes in while annals serves: everything passes here on its source from a source to the store.
//!
//! Each source in has a [`Source`], which counts what it brought and remembers how it fares. Those that can
//! wait (a followed log, a frontend that is asked) wait for the writer; those that are waited for (a
//! client that pushes) are told to come back.

pub(crate) mod follow;
pub(crate) mod frontend;
mod retention;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa::ToSchema;

use crate::domain::exclusion::ExclusionRules;
use crate::domain::login::Login;
use crate::domain::profile::Profile;
use crate::domain::record::QueryRecord;
use crate::domain::retention::Retention;
use crate::domain::time::Zone;
use crate::formats::SkipReason;
use crate::formats::rows::Entry;
use crate::store::{Batch, FollowedFile, WriteError, WriteSummary, Writer};
pub(crate) use retention::{PruneReport, retain};

/// How long a client that pushes waits for the writer, before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of pushed bodies that are held at the same time, by all clients together. Beyond that,
/// clients wait for one another.
const ROOM_BYTES: usize = 512 << 20;
/// What a permit of the room stands for.
const ROOM_UNIT: usize = 1 << 10;

/// The source to the store for all that comes in while annals serves.
#[derive(Debug)]
pub(crate) struct Pipeline {
    writer: Writer,
    filter: ExclusionRules,
    retention: Retention,
    zone: Zone,
    sources: Mutex<BTreeMap<String, Arc<Source>>>,
    pruned: Mutex<PruneReport>,
    room: Arc<Semaphore>,
}

/// Why a push was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushError {
    /// The writer, or the bodies that came before, took too long.
    #[error("annals is busy; send it again later")]
    Busy,
    /// It was rejected.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Records and profiles on their source, less what the filter leaves out.
#[derive(Debug)]
pub(crate) struct Parcel {
    batch: Batch,
    filter: ExclusionRules,
    excluded: u64,
}

impl Pipeline {
    /// An pipeline to the writer of a history that is kept within bounds. Times that name no zone are local
    /// to `zone`.
    pub(crate) fn new(
        writer: Writer,
        filter: ExclusionRules,
        retention: Retention,
        zone: Zone,
    ) -> Pipeline {
        Pipeline {
            writer,
            filter,
            retention,
            zone,
            sources: Mutex::default(),
            pruned: Mutex::default(),
            room: Arc::new(Semaphore::new(ROOM_BYTES / ROOM_UNIT)),
        }
    }

    /// The zone of times that name none.
    pub(crate) fn zone(&self) -> Zone {
        self.zone
    }

    /// The source in of a name, made where there is none.
    pub(crate) fn source(&self, name: &str) -> Arc<Source> {
        let mut sources = unpoisoned(&self.sources);
        sources.entry(name.to_string()).or_insert_with(|| Arc::new(Source::default())).clone()
    }

    /// How every source in fares, by name.
    pub(crate) fn report(&self) -> BTreeMap<String, SourceReport> {
        let sources = unpoisoned(&self.sources);
        sources.iter().map(|(name, source)| (name.clone(), unpoisoned(&source.0).clone())).collect()
    }

    /// How long commits took.
    pub(crate) fn commit_seconds(&self) -> Histogram {
        self.writer.commit_seconds()
    }

    /// Batches that wait for the writer.
    pub(crate) fn queued(&self) -> i64 {
        self.writer.queued()
    }

    /// Something to put records and profiles into.
    pub(crate) fn parcel(&self) -> Parcel {
        Parcel::new(self.filter.clone())
    }

    /// Whether the filter leaves a record out.
    pub(crate) fn excludes(&self, record: &QueryRecord) -> bool {
        self.filter.excludes(record)
    }

    /// Writes a parcel; waits as long as it takes. It is on the disk when this returns.
    pub(crate) async fn write(
        &self,
        source: &Source,
        parcel: Parcel,
    ) -> Result<WriteSummary, WriteError> {
        let excluded = parcel.excluded;
        let written = self.writer.write(parcel.batch).await;
        match &written {
            Ok(written) => source.took(*written, excluded),
            Err(error) => source.failed(error),
        }
        written
    }

    /// Writes a parcel that somebody waits for; gives up, and writes none of it, when that takes too
    /// long.
    pub(crate) async fn push(
        &self,
        source: &Source,
        parcel: Parcel,
    ) -> Result<WriteSummary, PushError> {
        match tokio::time::timeout(PATIENCE, self.write(source, parcel)).await {
            Ok(written) => Ok(written?),
            Err(_) => {
                source.failed(&PushError::Busy);
                Err(PushError::Busy)
            }
        }
    }

    /// Room for a body of so many bytes, given back when dropped; waits for those who were earlier.
    pub(crate) async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, PushError> {
        let units = bytes.div_ceil(ROOM_UNIT).min(ROOM_BYTES / ROOM_UNIT) as u32;
        let room = self.room.clone().acquire_many_owned(units);
        match tokio::time::timeout(PATIENCE, room).await {
            Ok(Ok(room)) => Ok(room),
            _ => Err(PushError::Busy),
        }
    }

    /// Whether the writer still takes what is sent to it.
    pub(crate) fn is_open(&self) -> bool {
        self.writer.is_open()
    }

    /// Waits until all that was taken in is written and moved into the file itself.
    pub(crate) async fn finish(&self) -> Result<(), WriteError> {
        self.writer.finish().await
    }
}

impl Parcel {
    /// An empty one.
    pub(crate) fn new(filter: ExclusionRules) -> Parcel {
        Parcel { batch: Batch::default(), filter, excluded: 0 }
    }

    /// What is to be written.
    pub(crate) fn into_batch(self) -> Batch {
        self.batch
    }

    /// Adds a record, unless the filter leaves it out.
    pub(crate) fn record(&mut self, record: QueryRecord) {
        if self.filter.excludes(&record) {
            self.excluded += 1;
        } else {
            self.batch.record(record);
        }
    }

    /// Adds what a pushed row says.
    pub(crate) fn row(&mut self, row: Entry) {
        match row {
            Entry::Record(record) => self.record(*record),
            Entry::Login(login) => self.login(*login),
        }
    }

    /// Adds a profile, unless the filter leaves its query out; compresses it on this thread.
    pub(crate) fn profile(&mut self, profile: Profile) {
        if self.filter.excludes(&profile.summary) {
            self.excluded += 1;
        } else {
            self.batch.profile(profile);
        }
    }

    /// Adds a log-in, which no rule excludes.
    pub(crate) fn login(&mut self, login: Login) {
        self.batch.login(login);
    }

    /// Makes it a stream load: see [`Batch::label`].
    pub(crate) fn label(&mut self, db: &str, label: &str) {
        self.batch.label(db, label);
    }

    /// Notes how far a followed file is in the history once this is.
    pub(crate) fn followed(&mut self, file: FollowedFile) {
        self.batch.followed(file);
    }

    /// Whether it is time to write it.
    pub(crate) fn is_full(&self) -> bool {
        self.batch.is_full()
    }

    /// Whether it takes much memory, however few its records.
    pub(crate) fn is_large(&self) -> bool {
        self.batch.is_large()
    }

    /// How many records it has.
    pub(crate) fn records(&self) -> usize {
        self.batch.records()
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.excluded == 0
    }

    /// What the filter left out so far.
    pub(crate) fn excluded(&self) -> u64 {
        self.excluded
    }
}

/// One source in.
#[derive(Debug, Default)]
pub(crate) struct Source(Mutex<SourceReport>);

/// How a source in fares, since annals started. Times are Unix milliseconds.
#[derive(Debug, Default, Clone, Serialize, ToSchema)]
#[allow(missing_docs)]
pub(crate) struct SourceReport {
    pub records_new: u64,
    pub records_merged: u64,
    pub records_unchanged: u64,
    pub profiles: u64,
    /// Log-ins that were new.
    pub logins: u64,
    /// Records and profiles that the filter left out.
    pub excluded: u64,
    /// What could not be understood, by reason.
    pub rejected: BTreeMap<String, u64>,
    pub last_success_ms: Option<i64>,
    pub last_error: Option<String>,
    pub last_error_ms: Option<i64>,
    /// How much waits to be taken in: bytes of a followed log, profiles of a frontend.
    pub lag: Option<u64>,
}

impl Source {
    fn took(&self, written: WriteSummary, excluded: u64) {
        let mut report = unpoisoned(&self.0);
        report.records_new += written.records.new;
        report.records_merged += written.records.merged;
        report.records_unchanged += written.records.unchanged;
        report.profiles += written.profiles.new + written.profiles.merged;
        report.logins += written.logins.new;
        report.excluded += excluded;
        report.last_success_ms = Some(now_ms());
    }

    /// Notes that it worked, though nothing came.
    pub(crate) fn succeeded(&self) {
        unpoisoned(&self.0).last_success_ms = Some(now_ms());
    }

    /// Notes that it did not work.
    pub(crate) fn failed(&self, error: &dyn std::error::Error) {
        let mut report = unpoisoned(&self.0);
        report.last_error = Some(error.to_string());
        report.last_error_ms = Some(now_ms());
    }

    /// Counts a piece of input that was not understood.
    pub(crate) fn rejected(&self, reason: SkipReason) {
        *unpoisoned(&self.0).rejected.entry(reason.to_string()).or_default() += 1;
    }

    /// Counts rows that were pushed and not understood; who pushed them is told why.
    pub(crate) fn rejected_rows(&self, count: u64) {
        if count > 0 {
            let mut report = unpoisoned(&self.0);
            *report.rejected.entry("a row that is no record".to_string()).or_default() += count;
        }
    }

    /// Notes how much waits to be taken in.
    pub(crate) fn lag(&self, lag: u64) {
        unpoisoned(&self.0).lag = Some(lag);
    }
}

fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// What is kept there is whole after every statement, so a thread that died while it held the lock left
/// nothing broken.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
