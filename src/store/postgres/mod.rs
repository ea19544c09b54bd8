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
mod lease;
mod list;
mod login;
mod long_reads;
mod merge;
mod nul;
mod open;
mod read;
#[cfg(test)]
mod report_tests;
mod retention;
mod rows;
mod search;
mod search_index;
mod sizes;
mod transaction;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use self::cluster::Cluster;
use self::commit::PostgresWriter;
use self::long_reads::LongReads;
use super::error::{OpenError, StoreError};
use super::writer::{CommitPolicy, Writer};

pub(crate) use self::address::PostgresAddress;
pub(super) use self::error::{is_lost_connection, of_postgres};
pub(crate) use self::watch::{Version, Watch};

/// How long an import tries one group of batches: until another server has taken over, and longer.
const BULK_TIME: Duration = Duration::from_secs(120);

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

    /// Returns a writer that commits at once. The writer tries a batch for `longest`, then rejects it.
    pub(super) async fn writer(&self, longest: Duration) -> Result<Writer, OpenError> {
        self.start_writer(longest, CommitPolicy::Live).await
    }

    /// Returns a writer for a process that imports much, and waits for no answer before the end.
    pub(super) async fn bulk_writer(&self) -> Result<Writer, OpenError> {
        self.start_writer(BULK_TIME, CommitPolicy::Bulk).await
    }

    async fn start_writer(
        &self,
        longest: Duration,
        policy: CommitPolicy,
    ) -> Result<Writer, OpenError> {
        let (address, name) = (self.address().clone(), self.cluster.name().to_string());
        let connected = PostgresWriter::connect(address, name, longest).await;
        let writer = connected.map_err(|error| OpenError::of_postgres(self.address(), error))?;
        Ok(Writer::start(writer, policy))
    }

    /// Returns a watch for commits, of this process and of others.
    pub(super) fn watch(&self) -> Watch {
        Watch::new(self.cluster.clone())
    }

    /// Gives the leases back, and closes every connection that reads.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        self.return_leases().await;
        self.cluster.pool().close().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
