//! Leases: what only one of the annals that write to a history does at a time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use annals_postgres_statements as statements;

use super::Store;
use crate::store::error::StoreError;

/// Begins a transaction whose commit waits for no replica.
pub(super) const BEGIN_LOCALLY: &str = "BEGIN; SET LOCAL synchronous_commit = local";
/// How long a lease is asked for or given back. A server that is gone without a trace never answers.
const LEASE_TIME: Duration = Duration::from_secs(5);

impl Store {
    /// Takes or renews a lease for a time in milliseconds. Returns false if another annals has it.
    ///
    /// What a lease guards is done twice at worst: a lease may be over before its holder has ended, and a server that takes
    /// over may not know the newest leases.
    pub(in crate::store) async fn holds(
        &self,
        name: &str,
        for_ms: i64,
    ) -> Result<bool, StoreError> {
        let holder = self.cluster.name();
        let asked = tokio::time::timeout(LEASE_TIME, async {
            // A lease that waited for a replica would keep its row locked, and every other annals waiting.
            let mut transaction = self.cluster.primary().begin_with(BEGIN_LOCALLY).await?;
            let is_ours = statements::take_lease(&mut *transaction, name, holder, for_ms).await?;
            transaction.commit().await?;
            Ok::<_, StoreError>(is_ours)
        });
        let is_ours = asked.await.map_err(|_| StoreError::no_answer_in_time())??;
        self.cluster.has_leases().fetch_or(is_ours, Ordering::Relaxed);
        Ok(is_ours)
    }

    /// Gives all leases of this annals back, so that another need not wait until they are over.
    pub(super) async fn return_leases(&self) {
        if !self.cluster.has_leases().swap(false, Ordering::Relaxed) {
            return;
        }
        let returned = async {
            let mut transaction = self.cluster.primary().begin_with(BEGIN_LOCALLY).await?;
            statements::return_leases(&mut *transaction, self.cluster.name()).await?;
            transaction.commit().await
        };
        match tokio::time::timeout(LEASE_TIME, returned).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the leases end by their time"),
            Err(_) => tracing::debug!("the leases end by their time: PostgreSQL did not answer"),
        }
    }
}
