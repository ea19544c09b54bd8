//! The pipeline from the sources to the writer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;

use super::budget::{Budget, Reservation};
use super::retention::PruneReport;
use super::sources::{Source, SourceReport};
use super::unpoisoned;
use crate::domain::cluster::ClusterName;
use crate::domain::exclusion::ExclusionRules;
use crate::domain::retention::Retention;
use crate::domain::time::Zone;
use crate::store::{Batch, Fault, Removal, Store, WriteError, WriteSummary, Writer};

/// How long a small push waits for the writer before the client gets an error.
pub(super) const PUSH_TIMEOUT: Duration = Duration::from_secs(10);
/// The same while the database does not answer: another server may take over meanwhile.
const FAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// The way from all sources to the writer of one history.
#[derive(Debug)]
pub(crate) struct Pipeline {
    store: Store,
    writer: Writer,
    exclusions: ExclusionRules,
    retention: Retention,
    zone: Zone,
    /// The cluster of pushes that name none.
    cluster: Option<ClusterName>,
    sources: Mutex<BTreeMap<String, Arc<Source>>>,
    pruned: Mutex<PruneReport>,
    budget: Budget,
}

/// Why a push was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushError {
    /// The writer, or the pushes before this one, took longer than [`PUSH_TIMEOUT`].
    #[error("annals is busy; send it again later")]
    Busy,
    /// The database did not answer for [`FAULT_TIMEOUT`]. The writer may have sent the batch before.
    #[error(transparent)]
    Fault(Fault),
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Pipeline {
    /// Returns a pipeline to the writer of a store. Times without a zone are local to `zone`; pushes that name no cluster are of
    /// `cluster`.
    pub(crate) fn new(
        store: Store,
        writer: Writer,
        exclusions: ExclusionRules,
        retention: Retention,
        (zone, cluster): (Zone, Option<ClusterName>),
    ) -> Pipeline {
        Pipeline {
            store,
            writer,
            exclusions,
            retention,
            zone,
            cluster,
            sources: Mutex::default(),
            pruned: Mutex::default(),
            budget: Budget::new(),
        }
    }

    /// The zone of times without one.
    pub(crate) fn zone(&self) -> Zone {
        self.zone
    }

    /// The cluster of pushes that name none.
    pub(crate) fn cluster(&self) -> Option<&ClusterName> {
        self.cluster.as_ref()
    }

    /// Returns the source of pushes of this name. The first call adds it.
    pub(crate) fn push_source(&self, name: &str) -> Arc<Source> {
        self.source(name, None)
    }

    /// Returns the source of this name, whose records are of a cluster. The first call adds it.
    pub(crate) fn source(&self, name: &str, cluster: Option<ClusterName>) -> Arc<Source> {
        let mut sources = unpoisoned(&self.sources);
        let new = || Arc::new(Source::new(name, cluster));
        sources.entry(name.to_string()).or_insert_with(new).clone()
    }

    /// Returns the counters and the state of every source, by name.
    pub(crate) fn report(&self) -> BTreeMap<String, SourceReport> {
        let sources = unpoisoned(&self.sources);
        sources.iter().map(|(name, source)| (name.clone(), source.report())).collect()
    }

    /// How long commits took, in seconds.
    pub(crate) fn commit_seconds(&self) -> Histogram {
        self.writer.commit_seconds()
    }

    /// Batches in the writer's queue.
    pub(crate) fn queued(&self) -> i64 {
        self.writer.queued()
    }

    /// Returns an empty batch of a source, with the exclusion rules of the configuration.
    pub(crate) fn batch(&self, source: &Source) -> Batch {
        let (name, zone) = (source.name(), source.zone().unwrap_or(self.zone));
        self.push_batch(source.cluster().cloned()).of_source(name, zone)
    }

    /// Returns an empty batch for a push of a cluster.
    pub(crate) fn push_batch(&self, cluster: Option<ClusterName>) -> Batch {
        Batch::new(self.exclusions.clone()).of_cluster(cluster)
    }

    /// Writes a batch, and counts it for its source. Returns after the commit, however long that takes.
    pub(crate) async fn write(
        &self,
        source: &Source,
        batch: Batch,
    ) -> Result<WriteSummary, WriteError> {
        let (arrival, zone) = (batch.arrival(), batch.zone());
        let written = self.writer.write(batch).await;
        match &written {
            Ok(summary) => source.wrote(*summary, arrival, zone),
            Err(error) => source.failed(error),
        }
        written
    }

    /// Writes a batch for a client that waits. After [`PUSH_TIMEOUT`], later for many rows, or after [`FAULT_TIMEOUT`] if
    /// the database does not answer, the batch is withdrawn from the queue, unless the writer has begun with it.
    pub(crate) async fn push(
        &self,
        source: &Source,
        batch: Batch,
    ) -> Result<WriteSummary, PushError> {
        let longest = PUSH_TIMEOUT + Duration::from_millis(batch.more_ms());
        let error = tokio::select! {
            biased;
            written = self.write(source, batch) => return Ok(written?),
            fault = self.until_fault() => PushError::Fault(fault),
            () = tokio::time::sleep(longest) => PushError::Busy,
        };
        source.failed(&error);
        Err(error)
    }

    /// Returns once the database does not answer and [`FAULT_TIMEOUT`] is over.
    async fn until_fault(&self) -> Fault {
        tokio::time::sleep(FAULT_TIMEOUT).await;
        self.store.until_away().await
    }

    /// Returns a reservation of memory for a push of `client`, of no bytes yet.
    pub(crate) fn reservation(&self, client: &str) -> Result<Reservation, PushError> {
        self.budget.reservation(client)
    }

    /// Returns memory for the rows of a large stream load, once the large loads before it are written. Errors if they take
    /// too long.
    pub(crate) async fn load_reservation(&self) -> Result<Reservation, PushError> {
        tokio::select! {
            biased;
            reserved = self.budget.load_reservation() => reserved,
            fault = self.until_fault() => Err(PushError::Fault(fault)),
        }
    }

    /// Whether the writer accepts batches.
    pub(crate) fn is_open(&self) -> bool {
        self.writer.is_open()
    }

    /// Waits until all batches are committed and moved from the write-ahead log into the file.
    pub(crate) async fn finish(&self) -> Result<(), WriteError> {
        self.writer.finish().await
    }

    /// The configured bounds of the history.
    pub(crate) fn retention(&self) -> &Retention {
        &self.retention
    }

    /// Returns what retention removed since annals started.
    pub(crate) fn pruned(&self) -> PruneReport {
        unpoisoned(&self.pruned).clone()
    }

    /// Removes what retention selected, and counts it.
    pub(super) async fn remove(&self, removal: Removal) -> Result<WriteSummary, WriteError> {
        let is_young = removal.is_young;
        let summary = self.writer.write(Batch::removal(removal)).await?;
        unpoisoned(&self.pruned).removed(&summary, is_young);
        Ok(summary)
    }

    /// Writes what annals derives from stored queries and profiles.
    pub(super) async fn write_derived(&self, batch: Batch) -> Result<(), WriteError> {
        self.writer.write(batch).await.map(|_| ())
    }

    /// Changes what is reported of retention.
    pub(super) fn note_pruned(&self, change: impl FnOnce(&mut PruneReport)) {
        change(&mut unpoisoned(&self.pruned));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::{Kind, Origin, QueryRecord};
    use crate::store::Address;

    /// Returns a pipeline to a new history, whose rules exclude the queries of bi.
    async fn pipeline(folder: &tempfile::TempDir) -> (Store, Pipeline) {
        let store = Store::open(&Address::File(folder.path().join("annals.db"))).await.unwrap();
        let writer = store.writer(PUSH_TIMEOUT, None).await.unwrap();
        #[derive(serde::Deserialize)]
        struct Rules {
            exclude: ExclusionRules,
        }
        let rules: Rules = toml::from_str("[[exclude]]\nuser = 'bi'").unwrap();
        let pipeline = Pipeline::new(
            store.clone(),
            writer,
            rules.exclude,
            Retention::default(),
            (Zone::UTC, None),
        );
        (store, pipeline)
    }

    fn query(id: &str, user: &str) -> QueryRecord {
        let mut record = QueryRecord::new(id.parse().unwrap(), Kind::Query, Origin::Audit);
        record.user = Some(user.to_string());
        record
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_batch_is_counted_for_its_source_with_what_the_rules_exclude() {
        let folder = tempfile::tempdir().unwrap();
        let (store, pipeline) = pipeline(&folder).await;
        let source = pipeline.push_source("push");
        for (user, id) in [("alice", "1-1"), ("bi", "1-2"), ("alice", "1-1")] {
            let mut batch = pipeline.batch(&source);
            batch.record(query(id, user));
            assert!(!batch.is_empty());
            pipeline.push(&source, batch).await.unwrap();
        }
        pipeline.finish().await.unwrap();
        assert_eq!(store.sizes().await.unwrap().queries, 1);
        let report = pipeline.report().remove("push").unwrap();
        assert_eq!((report.records_new, report.records_unchanged, report.excluded), (1, 1, 1));
        assert!(!pipeline.is_open());
        let closed = pipeline.push(&source, pipeline.batch(&source)).await;
        assert!(matches!(closed, Err(PushError::Write(WriteError::Closed))), "{closed:?}");
        assert!(source.report().last_error.is_some());
    }
}
