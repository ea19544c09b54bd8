//! Reads that take long: a bounded queue, a bound in time, and an end on the server when nobody waits any more.

use std::sync::Arc;
use std::time::Duration;

use annals_postgres_statements as statements;
use sqlx::postgres::PgPool;
use sqlx::{PgConnection, Postgres, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::cluster::Cluster;
use crate::store::error::StoreError;
use crate::store::turns::{Turn, Turns};

/// What the server gives a statement beyond the time of its read. By then annals has cancelled it, unless annals is gone.
const GRACE: Duration = Duration::from_secs(2);

/// What the server takes a random read to cost, in sequential reads. Queries are stored in about the order in which they
/// start, so that few reads by an index are random. With PostgreSQL's 4, reports over a day read the whole table.
const RANDOM_PAGE_COST: f64 = 1.1;

/// How often the server looks whether annals is still there, in milliseconds. A command has no bound in time, and may be killed.
const CHECK_MS: u32 = 5000;

/// Returns the statement by which the server looks whether annals is still there while a statement runs: in a transaction, or
/// from then on.
pub(super) fn look_for_client(in_transaction: bool) -> String {
    // Other systems cannot notice that a client is gone.
    format!(
        "SELECT set_config('client_connection_check_interval', '{CHECK_MS}', {in_transaction}) WHERE version() LIKE '%linux%'"
    )
}

/// One kind of long reads.
#[derive(Debug)]
pub(super) struct LongReads {
    cluster: Arc<Cluster>,
    turns: Turns,
    /// A permit for each read that may run.
    running: Arc<Semaphore>,
    /// How long a read may take; `None` for the commands that run once.
    time: Option<Duration>,
}

/// How long a read may go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeBound {
    /// The time of the read and its end; `None` for a command.
    bound: Option<(Duration, Instant)>,
}

/// A read that runs, in a transaction. If it is dropped before its end, its statement is cancelled on the server.
#[derive(Debug)]
pub(super) struct LongRead {
    /// None once the read has ended.
    running: Option<Running>,
    bound: TimeBound,
}

#[derive(Debug)]
struct Running {
    transaction: Transaction<'static, Postgres>,
    /// The process of the server.
    process: i32,
    /// The connections to the same server.
    server: PgPool,
    _turn: Turn,
    _permit: OwnedSemaphorePermit,
}

impl LongReads {
    /// Returns a kind of reads of which `size` run at once, each for at most `time`.
    pub(super) fn new(cluster: Arc<Cluster>, size: usize, time: Option<Duration>) -> LongReads {
        let turns = Turns::new(size, time.is_some());
        LongReads { cluster, turns, running: Arc::new(Semaphore::new(size)), time }
    }

    /// Begins a read of a client once it is its turn.
    ///
    /// Errors if too many reads wait, or if the read has waited for too long.
    pub(super) async fn begin(&self, client: Option<String>) -> Result<LongRead, StoreError> {
        let permit = self.running.clone().acquire_owned();
        let ready = async { Ok(permit.await.map_err(|_| sqlx::Error::PoolClosed)?) };
        let (turn, permit) = self.turns.next(client, ready).await?;
        let bound = self.time.map(|time| (time, Instant::now() + time));
        // 0 is no bound.
        let server_ms = self.time.map_or(0, |time| (time + GRACE).as_millis());
        // A report of several statements must not count a query twice that changes between them.
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {server_ms};
             SET LOCAL random_page_cost = {RANDOM_PAGE_COST}; {}",
            look_for_client(true)
        );
        let (mut transaction, server) = self.cluster.begin(begin).await?;
        let process = statements::process(&mut *transaction).await?;
        let running = Running { transaction, process, server, _turn: turn, _permit: permit };
        Ok(LongRead { running: Some(running), bound: TimeBound { bound } })
    }
}

impl LongRead {
    /// Returns how long the read may go on.
    pub(super) fn bound(&self) -> TimeBound {
        self.bound
    }

    /// Returns the connection.
    ///
    /// Errors if the read has ended.
    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        match &mut self.running {
            Some(running) => Ok(&mut running.transaction),
            None => Err(sqlx::Error::PoolClosed.into()),
        }
    }

    /// Ends a read whose statements are done.
    pub(super) async fn end(mut self) -> Result<(), StoreError> {
        match self.running.take() {
            Some(running) => Ok(running.transaction.commit().await?),
            None => Ok(()),
        }
    }
}

impl Drop for LongRead {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        // Another read begins only after this one, also if nobody waits for it.
        tokio::spawn(async move {
            let cancelled = statements::cancel(&running.server, running.process).await;
            if let Err(error) = cancelled {
                tracing::debug!(%error, "a statement ends by the time-out of the server");
            }
            drop(running);
        });
    }
}

impl TimeBound {
    /// Returns what a part of a read returns. Errors if the time of the read is up before.
    pub(super) async fn within<T>(
        self,
        part: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match self.bound {
            None => part.await,
            Some((time, ends)) => {
                tokio::time::timeout_at(ends, part).await.map_err(|_| StoreError::TimedOut(time))?
            }
        }
    }
}
