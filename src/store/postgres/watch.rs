//! Whether the history has changed.

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::cluster::Cluster;

/// A state of the history: a hash of how often each writer has committed. None if it is unknown.
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
    /// acknowledged.
    pub(crate) async fn now(&self) -> Version {
        match annals_postgres_statements::writers(self.cluster.pool()).await {
            Ok(writers) => {
                let mut hash = Xxh3::new();
                for (name, commits) in writers {
                    hash.update(name.as_bytes());
                    hash.update(&commits.to_le_bytes());
                }
                Version(Some(hash.digest()))
            }
            Err(error) => {
                tracing::debug!(%error, "the version of the history is unknown");
                Version(None)
            }
        }
    }
}
