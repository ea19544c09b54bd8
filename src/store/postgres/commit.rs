//! Transactions: a group of batches in one, again and again until it is committed or the time is up.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use annals_postgres_statements as statements;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::Instant;

use super::cluster::Cluster;
use super::indexer::Indexer;
use super::lease::BEGIN_LOCALLY;
use super::long_reads::look_for_client;
use super::nul::replace_nul;
use super::primary::{Primary, is_read_only, read_only_error};
use super::rows::Insertion;
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

/// How long the cancelling of a statement may take.
const CANCEL_TIME: Duration = Duration::from_secs(5);

/// The connection that writes.
pub(super) struct PostgresWriter {
    cluster: Arc<Cluster>,
    /// None after an error: the outcome of what was sent on the connection is unknown.
    connection: Option<Connected>,
    indexer: Indexer,
    /// How new queries are inserted, until a moment at which the writer expects again that none of them is stored.
    insertion: (Insertion, Instant),
    /// How long a small group is tried, from its first statement to the answer to its COMMIT.
    longest: Duration,
}

/// A connection to the server that accepts writes.
struct Connected {
    server: PgConnectOptions,
    connection: PgConnection,
    /// The process of the server.
    process: i32,
    is_citus: bool,
}

impl PostgresWriter {
    /// Returns the writer of a cluster, that tries each group for at most `longest`, and waits for the search index for at
    /// most `indexed_within` when it ends. A server that only answers reads may write later.
    pub(super) async fn connect(
        cluster: &Arc<Cluster>,
        longest: Duration,
        indexed_within: Duration,
    ) -> Result<PostgresWriter, sqlx::Error> {
        let indexer = Indexer::start(cluster.clone(), indexed_within);
        let mut writer = PostgresWriter {
            cluster: cluster.clone(),
            connection: None,
            indexer,
            insertion: (Insertion::CopyAll, Instant::now()),
            longest,
        };
        match writer.connected().await {
            Err(error) if !is_read_only(&error) => Err(error),
            _ => Ok(writer),
        }
    }

    /// Returns the connection, and makes a new one if there is none to the server that accepts writes.
    async fn connected(&mut self) -> Result<&mut Connected, sqlx::Error> {
        let known = self.connection.take().filter(|it| self.cluster.is_primary(&it.server));
        let connected = match known {
            Some(connected) => connected,
            None => {
                let primary = self.cluster.connect_to_primary().await?;
                if let Some(why) = &primary.read_only {
                    return Err(read_only_error(why));
                }
                let Primary { server, mut connection, .. } = primary;
                let process = statements::process(&mut connection).await?;
                // No macro: a setting of the server, and no table.
                let look_for_client = AssertSqlSafe(look_for_client(false));
                sqlx::raw_sql(look_for_client).execute(&mut connection).await?;
                let now_ms = now_ms();
                let ended_ms = now_ms.saturating_sub(WRITER_ENDED_MS);
                // Each try would leave another session that waits for a replica.
                let mut transaction = connection.begin_with(BEGIN_LOCALLY).await?;
                let name = self.cluster.name();
                statements::add_writer(&mut transaction, name, now_ms, ended_ms).await?;
                transaction.commit().await?;
                let is_citus = statements::is_citus(&mut connection).await?;
                Connected { server, connection, process, is_citus }
            }
        };
        Ok(self.connection.insert(connected))
    }

    /// Ends the connection, and on the server what runs on it. A server that waits for a synchronous replica does not
    /// notice that nobody waits for the answer.
    fn cancel(&mut self) {
        let Some(Connected { server, connection, process, .. }) = self.connection.take() else {
            return;
        };
        let primary = self.cluster.primary();
        if !self.cluster.is_primary(&server) {
            return;
        }
        tokio::spawn(async move {
            let cancelled = statements::cancel(&primary, process);
            match tokio::time::timeout(CANCEL_TIME, cancelled).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a transaction ends by itself"),
                Err(_) => tracing::debug!("a transaction ends by itself"),
            }
            // Until here, no other connection has the process.
            drop(connection);
        });
    }

    /// Writes a group in one transaction, and commits: `batches`, which an earlier try has taken from the group, and those
    /// that are left. These are written as they come, while their source reads the next, and are added to `batches` and
    /// add to the time that the group may take, in `more_ms`.
    async fn write(
        &mut self,
        batches: &mut Vec<Batch>,
        group: &mut Group<'_>,
        token: &str,
        more_ms: &AtomicU64,
    ) -> Result<Vec<WriteSummary>, StoreError> {
        if Instant::now() >= self.insertion.1 {
            self.insertion.0 = Insertion::CopyAll;
        }
        let insertion = self.insertion.0;
        let (cluster, own_masks) = (self.cluster.clone(), self.indexer.own_masks());
        let (name, state) = (cluster.name(), &cluster.state);
        let Connected { server, connection, is_citus, .. } = self.connected().await?;
        let is_citus = *is_citus;
        let mut transaction = connection.begin().await?;
        let mut written = Vec::new();
        let mut rows = PostgresRows::new(&mut transaction, token, insertion, &own_masks, is_citus);
        for batch in batches.iter_mut() {
            written.push(write_batch(&mut rows, batch).await?);
            state.write_moves();
        }
        while let Some(mut batch) = group.next().await {
            more_ms.fetch_add(batch.more_ms(), Ordering::Relaxed);
            replace_nul(&mut batch);
            batches.push(batch);
            if let Some(batch) = batches.last_mut() {
                written.push(write_batch(&mut rows, batch).await?);
            }
            state.write_moves();
        }
        rows.finish().await?;
        let mut commits = statements::count_commit(&mut transaction, name, now_ms()).await?;
        state.set_committing(true);
        transaction.commit().await?;
        if is_citus {
            // Its nodes commit one after the other. A read may have had this version before all rows.
            commits = statements::count_commit(connection, name, now_ms()).await?;
        }
        state.set_committing(false);
        if !cluster.is_primary(server) {
            return Err(StoreError::busy("another server of PostgreSQL accepts writes now"));
        }
        cluster.known_commits.note_own(commits);
        Ok(written)
    }
}

impl WriteConnection for PostgresWriter {
    /// Tries a group until it is committed. Every statement may be run again: a batch whose COMMIT had no answer may be
    /// stored already, and then changes nothing.
    async fn write_group(&mut self, group: &mut Group<'_>) -> Result<(), StoreError> {
        let mut batches = Vec::new();
        let token = format!("{:032x}", fastrand::u128(..));
        let (ends, more_ms) = (Instant::now() + self.longest, AtomicU64::new(0));
        let ends = || ends + Duration::from_millis(more_ms.load(Ordering::Relaxed));
        let (mut pause, mut may_be_stored, mut last_error) = (RETRY_AFTER, false, None);
        self.cluster.state.write_moves();
        loop {
            // A server whose synchronous replica is gone never answers COMMIT, and no time-out of its own ends that.
            let written = {
                let mut written = pin!(self.write(&mut batches, group, &token, &more_ms));
                loop {
                    let until = ends();
                    let written = tokio::time::timeout_at(until, &mut written).await;
                    // The group may have grown meanwhile.
                    if written.is_ok() || ends() == until {
                        break written;
                    }
                }
            };
            let is_running = written.is_err();
            let error = match written {
                Ok(Ok(written)) => {
                    self.cluster.state.wrote(&Ok(()));
                    group.all_written(written);
                    // Freeing some ten thousand records takes as long as the commit.
                    tokio::task::spawn_blocking(move || drop(batches));
                    return Ok(());
                }
                Ok(Err(error)) => error,
                Err(_) if self.cluster.state.is_committing() => StoreError::no_commit_in_time(),
                // Why an earlier try failed says more.
                Err(_) => last_error.take().unwrap_or_else(StoreError::no_answer_in_time),
            };
            match is_running {
                true => self.cancel(),
                false => self.connection = None,
            }
            may_be_stored |= self.cluster.state.is_unconfirmed(&error);
            self.insertion = (self.insertion.0.safer(), Instant::now() + SAFER_TIME);
            let is_over = Instant::now() + pause >= ends();
            if is_over || !error.may_pass() {
                let failed = Err(if may_be_stored { error.unconfirmed() } else { error });
                self.cluster.state.wrote(&failed);
                return failed;
            }
            tracing::debug!(%error, "a transaction is tried again");
            self.cluster.state.write_failed(&error);
            last_error = Some(error);
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
            Some(Connected { connection, .. }) => Ok(connection.close().await?),
            None => Ok(()),
        }
    }
}
