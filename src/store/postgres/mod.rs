//! The engine on PostgreSQL, and on Citus, which is PostgreSQL over many machines. Several annals may write to one history.
//!
//! The statements with a fixed text are in the crate `statements/`, whose macros check them. Others are built from the
//! table of fields ([`rows`]) or from a filter (`list.rs`).

mod account;
mod address;
mod aggregate;
mod cluster;
mod commit;
mod conditions;
mod error;
mod hours;
mod indexer;
mod known_commits;
mod lease;
mod list;
mod login;
mod long_reads;
mod merge;
mod nul;
mod open;
mod own_masks;
mod plan;
mod primary;
mod read;
mod replica;
#[cfg(test)]
mod report_tests;
mod retention;
mod rows;
mod search;
mod search_index;
mod shift;
mod sizes;
mod sorted;
mod state;
mod token;
mod transaction;
mod usage;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use self::cluster::{Cluster, LOOK_EVERY};
use self::commit::PostgresWriter;
use self::long_reads::LongReads;
use super::error::{Fault, OpenError, StoreError};
use super::writer::{CommitPolicy, Writer};

pub(crate) use self::address::PostgresAddress;
pub(super) use self::error::of_postgres;
pub(crate) use self::watch::{Version, Watch};

/// How long an import tries one group of batches: until another server has taken over, and longer.
pub(crate) const BULK_TIME: Duration = Duration::from_secs(120);
/// The records of a commit of an import. The search index of a commit is made while the next one is written.
const BULK_RECORDS: usize = 50_000;
/// How long an import waits at its end for the search index of its last rows.
const BULK_INDEX_TIME: Duration = Duration::from_secs(10);

/// An open history. A clone is another handle to the same history.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    cluster: Arc<Cluster>,
    /// Lists with other conditions and searches, as far as they look at the newest queries only.
    newest: Arc<LongReads>,
    /// Lists and searches that look further.
    scans: Arc<LongReads>,
    /// Counts of many queries.
    reports: Arc<LongReads>,
}

impl Store {
    /// Returns where the history is.
    pub(super) fn address(&self) -> &PostgresAddress {
        self.cluster.address()
    }

    /// Returns host and port of the replica that answers reads; none if the server that accepts writes does.
    pub(super) fn replica(&self) -> Option<String> {
        self.cluster.replica().map(|replica| replica.place())
    }

    /// Returns a writer that commits at once. The writer tries a batch for `longest`, then rejects it.
    pub(super) async fn writer(&self, longest: Duration) -> Result<Writer, OpenError> {
        self.start_writer(longest, CommitPolicy::Live).await
    }

    /// Returns a writer for a process that imports much, and waits for no answer before the end.
    pub(super) async fn bulk_writer(&self) -> Result<Writer, OpenError> {
        self.start_writer(BULK_TIME, CommitPolicy::Bulk(BULK_RECORDS)).await
    }

    async fn start_writer(
        &self,
        longest: Duration,
        policy: CommitPolicy,
    ) -> Result<Writer, OpenError> {
        let indexed_within = match policy {
            CommitPolicy::Live => Duration::ZERO,
            CommitPolicy::Bulk(_) => BULK_INDEX_TIME,
        };
        let connected = PostgresWriter::connect(&self.cluster, longest, indexed_within).await;
        let writer = connected.map_err(|error| OpenError::of_postgres(self.address(), error))?;
        self.cluster.follow_primary();
        Ok(Writer::start(writer, policy))
    }

    /// Returns why nothing can be written, as far as annals knows, which asks the server once a second.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.cluster.state.fault()
    }

    /// Returns once the server does not answer, or writes nothing, with the reason.
    pub(super) async fn until_away(&self) -> Fault {
        self.cluster.state.until_away().await
    }

    /// Returns once no server answers reads, with the reason.
    pub(super) async fn until_unread(&self) -> Fault {
        loop {
            let fault = self.cluster.state.until_unread().await;
            if self.cluster.replica().is_none() {
                return fault;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Returns once the server answers, and writes.
    pub(super) async fn until_back(&self) {
        self.cluster.state.until_back().await;
    }

    /// Returns once a write waits for the server, with the reason.
    pub(super) async fn until_late(&self) -> Fault {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Some(fault) = self.cluster.state.late_write() {
                return fault;
            }
        }
    }

    /// Returns once the server answers, and no write waits for it.
    pub(super) async fn until_on_time(&self) {
        self.until_back().await;
        while self.cluster.state.late_write().is_some() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Returns a watch for commits, of this process and of others.
    pub(super) fn watch(&self) -> Watch {
        Watch::new(self.cluster.clone())
    }

    /// Gives the leases back, and closes every connection that reads.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        self.return_leases().await;
        self.cluster.close().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
