//! Transactions: a group of batches in one, again and again until it is committed or the time is up.

use std::sync::Arc;
use std::time::Duration;

use annals_postgres_statements as statements;
use sqlx::{Connection, PgConnection};
use tokio::time::Instant;

use super::PostgresAddress;
use super::cluster::{Cluster, connect_to_primary};
use super::indexer::Indexer;
use super::known_commits::KnownCommits;
use super::nul::replace_nul;
use super::rows::Insertion;
use super::state::ServerState;
use super::transaction::PostgresRows;
use crate::domain::time::now_ms;
use crate::store::batch::{Batch, WriteSummary};
use crate::store::error::StoreError;
use crate::store::write::write_batch;
use crate::store::writer::{Group, Upkeep, WriteConnection};

/// Between two tries of a transaction, at least; each try doubles it.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// Between two tries of a transaction, at most.
const MAX_RETRY_AFTER: Duration = Duration::from_millis(500);
/// How long a writer inserts in a safer way after a transaction that failed. Queries that are stored mostly come many at a
/// time, or other writers bring the same ones. Each conflict costs another try, and the server a second to find a deadlock.
const SAFER_TIME: Duration = Duration::from_secs(60);
/// Writers that have not committed for this long have ended, in milliseconds: a week.
const WRITER_ENDED_MS: i64 = 7 * 86_400_000;

/// The connection that writes.
pub(super) struct PostgresWriter {
    address: PostgresAddress,
    /// None after an error: the outcome of what was sent on the connection is unknown.
    connection: Option<PgConnection>,
    is_citus: bool,
    /// The name of this writer among all writers of the history.
    name: String,
    indexer: Indexer,
    known_commits: Arc<KnownCommits>,
    state: Arc<ServerState>,
    /// How new queries are inserted, until a moment at which the writer expects again that none of them is stored.
    insertion: (Insertion, Instant),
    /// How long a group is tried, from its first statement to the answer to its COMMIT.
    longest: Duration,
}

impl PostgresWriter {
    /// Returns the writer of a cluster, that tries each group for at most `longest`, and waits for the search index for at
    /// most `indexed_within` when it ends.
    pub(super) async fn connect(
        cluster: &Cluster,
        longest: Duration,
        indexed_within: Duration,
    ) -> Result<PostgresWriter, sqlx::Error> {
        let (address, name) = (cluster.address().clone(), cluster.name().to_string());
        let indexer = Indexer::start(address.clone(), name.clone(), indexed_within);
        let mut writer = PostgresWriter {
            address,
            connection: None,
            is_citus: false,
            name,
            indexer,
            known_commits: cluster.known_commits.clone(),
            state: cluster.state.clone(),
            insertion: (Insertion::CopyAll, Instant::now()),
            longest,
        };
        writer.connected().await?;
        Ok(writer)
    }

    /// Returns the connection, and makes a new one if there is none.
    async fn connected(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let (_, mut connection) = connect_to_primary(&self.address).await?;
                let now_ms = now_ms();
                let ended_ms = now_ms.saturating_sub(WRITER_ENDED_MS);
                statements::add_writer(&mut connection, &self.name, now_ms, ended_ms).await?;
                self.is_citus = statements::is_citus(&mut connection).await?;
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }

    /// Writes a group in one transaction, and commits: `batches`, which an earlier try has taken from the group, and those
    /// that are left. These are written as they come, while their source reads the next, and are added to `batches`.
    async fn write(
        &mut self,
        batches: &mut Vec<Batch>,
        group: &mut Group<'_>,
        token: &str,
    ) -> Result<Vec<WriteSummary>, StoreError> {
        if Instant::now() >= self.insertion.1 {
            self.insertion.0 = Insertion::CopyAll;
        }
        let insertion = self.insertion.0;
        let (name, state) = (self.name.clone(), self.state.clone());
        let is_citus = self.is_citus;
        let connection = self.connected().await?;
        let mut transaction = connection.begin().await?;
        let mut written = Vec::new();
        let mut rows = PostgresRows::new(&mut transaction, token, insertion, is_citus);
        for batch in batches.iter_mut() {
            written.push(write_batch(&mut rows, batch).await?);
        }
        while let Some(mut batch) = group.next().await {
            replace_nul(&mut batch);
            batches.push(batch);
            if let Some(batch) = batches.last_mut() {
                written.push(write_batch(&mut rows, batch).await?);
            }
        }
        rows.finish().await?;
        let mut commits = statements::count_commit(&mut transaction, &name, now_ms()).await?;
        state.set_committing(true);
        transaction.commit().await?;
        if is_citus {
            // Its nodes commit one after the other. A read may have had this version before all rows.
            commits = statements::count_commit(connection, &name, now_ms()).await?;
        }
        state.set_committing(false);
        self.known_commits.note_own(commits);
        Ok(written)
    }
}

impl WriteConnection for PostgresWriter {
    /// Tries a group until it is committed. Every statement may be run again: a batch whose COMMIT had no answer may be
    /// stored already, and then changes nothing.
    async fn write_group(&mut self, group: &mut Group<'_>) -> Result<(), StoreError> {
        let mut batches = Vec::new();
        let token = format!("{:032x}", fastrand::u128(..));
        let ends = Instant::now() + self.longest;
        let (mut pause, mut may_be_stored) = (RETRY_AFTER, false);
        loop {
            // A server whose synchronous replica is gone never answers COMMIT, and no time-out of its own ends that.
            let written = self.write(&mut batches, group, &token);
            let written = tokio::time::timeout_at(ends, written).await;
            let error = match written {
                Ok(Ok(written)) => {
                    self.state.wrote(&Ok(()));
                    group.all_written(written);
                    return Ok(());
                }
                Ok(Err(error)) => error,
                Err(_) => StoreError::no_answer_in_time(),
            };
            self.connection = None;
            may_be_stored |= self.state.is_unconfirmed(&error);
            self.insertion = (self.insertion.0.safer(), Instant::now() + SAFER_TIME);
            let is_over = Instant::now() + pause >= ends;
            if is_over || !error.may_pass() {
                let failed = Err(if may_be_stored { error.unconfirmed() } else { error });
                self.state.wrote(&failed);
                return failed;
            }
            tracing::debug!(%error, "a transaction is tried again");
            // Writers that hinder each other must not try again at the same moments.
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = MAX_RETRY_AFTER.min(pause * 2);
        }
    }

    async fn recover(&mut self) {}

    async fn look(&mut self) {}

    async fn trim_log(&mut self) {}

    /// Wakes the indexer, which makes segments beside the next groups.
    async fn upkeep(&mut self, _steps: usize) -> Upkeep {
        self.indexer.wake();
        Upkeep::Done
    }

    async fn close(self) -> Result<(), StoreError> {
        self.indexer.finish().await;
        match self.connection {
            Some(connection) => Ok(connection.close().await?),
            None => Ok(()),
        }
    }
}
