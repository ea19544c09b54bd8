//! Whether the history has changed.

use std::sync::Arc;
use std::time::Duration;

use annals_postgres_statements::WriterRow;
use xxhash_rust::xxh3::Xxh3;

use super::cluster::Cluster;

/// How long a version is waited for. A server that is gone without a trace never answers.
const LONGEST: Duration = Duration::from_secs(15);

/// A state of the history: a hash of how often each writer has committed, and when last. None if it is unknown.
#[derive(Debug, Clone, Copy, Eq)]
pub(crate) struct Version(Option<u64>);

impl PartialEq for Version {
    /// Returns whether nothing was committed between two versions. An unknown version is equal to none.
    fn eq(&self, other: &Version) -> bool {
        self.0.is_some() && self.0 == other.0
    }
}

/// Watches for commits of all annals that write to the history.
#[derive(Debug)]
pub(crate) struct Watch {
    cluster: Arc<Cluster>,
}

impl Watch {
    pub(super) fn new(cluster: Arc<Cluster>) -> Watch {
        Watch { cluster }
    }

    /// Returns the version now. What is read from the history afterwards is of this version or a later one.
    ///
    /// Asks the server that answers the reads each time: an answer must not be older than what another annals has
    /// acknowledged. A replica that has less than this version answers no later read.
    pub(crate) async fn now(&self) -> Version {
        let asked = tokio::time::timeout(LONGEST, Box::pin(self.writers())).await;
        match asked.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(writers) => {
                self.cluster.known_commits.note(&writers);
                let mut hash = Xxh3::new();
                for WriterRow { name, commits, seen_ms, .. } in writers {
                    hash.update(name.as_bytes());
                    hash.update(&commits.to_le_bytes());
                    // A server that took over may have lost a commit: the next one has its number.
                    hash.update(&seen_ms.to_le_bytes());
                }
                Version(Some(hash.digest()))
            }
            Err(error) => {
                tracing::debug!(%error, "the version of the history is unknown");
                Version(None)
            }
        }
    }

    async fn writers(&self) -> Result<Vec<WriterRow>, sqlx::Error> {
        if let Some(replica) = self.cluster.replica() {
            let connected = replica.pool.acquire();
            if let Some((_, writers)) = self.cluster.if_current(&replica, connected).await {
                return Ok(writers);
            }
        }
        annals_postgres_statements::writers(&self.cluster.primary()).await
    }
}
