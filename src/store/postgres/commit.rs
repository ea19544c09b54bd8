//! Transactions: a group of batches in one, again and again until it is committed or the time is up.

use std::time::Duration;

use annals_postgres_statements as statements;
use sqlx::{Connection, PgConnection};
use tokio::time::Instant;

use super::PostgresAddress;
use super::cluster::connect_to_primary;
use super::nul::replace_nul;
use super::rows::CREATE_INCOMING;
use super::search_index::{Horizon, make_segment};
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
/// Writers that have not committed for this long have ended, in milliseconds: a week.
const WRITER_ENDED_MS: i64 = 7 * 86_400_000;

/// The lease of whoever makes the search index.
const INDEX_LEASE: &str = "search index";
/// How long that lease is, in milliseconds: an annals that ended must not hold it for long.
const INDEX_LEASE_MS: i64 = 60_000;

/// The connection that writes.
pub(super) struct PostgresWriter {
    address: PostgresAddress,
    /// None after an error: the outcome of what was sent on the connection is unknown.
    connection: Option<PgConnection>,
    /// The name of this writer among all writers of the history.
    name: String,
    horizon: Horizon,
    /// How long a group is tried, from its first statement to the answer to its COMMIT.
    longest: Duration,
}

impl PostgresWriter {
    /// Returns a writer that tries each group for at most `longest`. `name` is its name among all writers of the history.
    pub(super) async fn connect(
        address: PostgresAddress,
        name: String,
        longest: Duration,
    ) -> Result<PostgresWriter, sqlx::Error> {
        let horizon = Horizon::default();
        let mut writer = PostgresWriter { address, connection: None, name, horizon, longest };
        writer.connected().await?;
        Ok(writer)
    }

    /// Returns the connection, and makes a new one if there is none.
    async fn connected(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let (_, mut connection) = connect_to_primary(&self.address).await?;
                sqlx::raw_sql(CREATE_INCOMING).execute(&mut connection).await?;
                let now_ms = now_ms();
                let ended_ms = now_ms.saturating_sub(WRITER_ENDED_MS);
                statements::add_writer(&mut connection, &self.name, now_ms, ended_ms).await?;
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }

    async fn make_segments(&mut self, steps: usize) -> Result<Upkeep, StoreError> {
        let name = self.name.clone();
        let mut horizon = std::mem::take(&mut self.horizon);
        let connection = self.connected().await?;
        let is_ours =
            statements::take_lease(&mut *connection, INDEX_LEASE, &name, INDEX_LEASE_MS).await?;
        let mut upkeep = if is_ours { Upkeep::More } else { Upkeep::Done };
        for _ in 0..steps {
            if upkeep == Upkeep::More && !make_segment(connection, &mut horizon).await? {
                upkeep = Upkeep::Done;
            }
        }
        self.horizon = horizon;
        Ok(upkeep)
    }

    /// Writes the batches in one transaction, and commits.
    async fn write(
        &mut self,
        batches: &mut [Batch],
        token: &str,
    ) -> Result<Vec<WriteSummary>, StoreError> {
        let name = self.name.clone();
        let connection = self.connected().await?;
        let mut transaction = connection.begin().await?;
        let mut written = Vec::with_capacity(batches.len());
        let mut rows = PostgresRows::new(&mut transaction, token);
        for batch in batches {
            written.push(write_batch(&mut rows, batch).await?);
        }
        statements::count_commit(&mut transaction, &name, now_ms()).await?;
        transaction.commit().await?;
        Ok(written)
    }
}

impl WriteConnection for PostgresWriter {
    /// Tries a group until it is committed. Every statement may be run again: a batch whose COMMIT had no answer may be
    /// stored already, and then changes nothing.
    async fn write_group(&mut self, group: &mut Group<'_>) -> Result<(), StoreError> {
        let mut batches = Vec::new();
        while let Some(mut batch) = group.next().await {
            replace_nul(&mut batch);
            batches.push(batch);
        }
        let token = format!("{:032x}", fastrand::u128(..));
        let ends = Instant::now() + self.longest;
        let mut pause = RETRY_AFTER;
        loop {
            // A server whose synchronous replica is gone never answers COMMIT, and no time-out of its own ends that.
            let written = tokio::time::timeout_at(ends, self.write(&mut batches, &token)).await;
            let error = match written {
                Ok(Ok(written)) => {
                    group.all_written(written);
                    return Ok(());
                }
                Ok(Err(error)) => error,
                Err(_) => StoreError::busy("PostgreSQL did not answer in time"),
            };
            self.connection = None;
            let is_over = Instant::now() + pause >= ends;
            if is_over || !matches!(error, StoreError::Busy(_)) {
                return Err(error);
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

    /// Makes segments of the search index, if no other annals does. A search reads the rows that no segment covers, so an
    /// error costs only time.
    async fn upkeep(&mut self, steps: usize) -> Upkeep {
        match tokio::time::timeout(self.longest, self.make_segments(steps)).await {
            Ok(Ok(upkeep)) => upkeep,
            failed => {
                self.connection = None;
                let error = failed.err().map(|_| "no answer in time".to_string());
                tracing::debug!(error, "the search index was not brought up to date");
                Upkeep::HeldUp
            }
        }
    }

    async fn close(self) -> Result<(), StoreError> {
        match self.connection {
            Some(connection) => Ok(connection.close().await?),
            None => Ok(()),
        }
    }
}
