//! Reads that take long. Each kind of them has connections of its own, a bounded queue, and a bound in time, so that
//! one kind never waits for another, and no reader for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::OwnedSemaphorePermit;

use super::{Gate, ReadPool};
use crate::store::error::StoreError;
use crate::store::turns::Turns;

/// After so many steps of SQLite's machine, some microseconds, a read looks whether it has to end.
const STEPS: i32 = 200;

/// The connections of one kind of reads.
#[derive(Debug)]
pub(in crate::store::sqlite) struct Lane {
    connections: Arc<ReadPool>,
    turns: Turns,
    /// How long a read may take; `None` for the commands that run once.
    time: Option<Duration>,
    gate: Arc<Gate>,
    is_closed: Arc<AtomicBool>,
}

/// Cancels work for which nobody waits any more.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Lane {
    /// Returns a lane of the `size` connections of a pool. Its reads pass the gate before they begin.
    pub(in crate::store::sqlite) fn new(
        connections: ReadPool,
        size: usize,
        time: Option<Duration>,
        gate: Arc<Gate>,
    ) -> Arc<Lane> {
        Arc::new(Lane {
            connections: Arc::new(connections),
            turns: Turns::new(size, time.is_some()),
            time,
            gate,
            is_closed: Arc::default(),
        })
    }

    /// Runs `work` on a thread where it may take long, once a connection is free. `client` never
    /// gets all connections. Work ends with an error of SQLite once its time is up or nobody waits for its result.
    ///
    /// Errors if too many reads wait, or if the time is up.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        client: Option<String>,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connections = self.connections.clone();
        let ready = async {
            let connection = connections.permit().await?;
            self.gate.pass().await;
            Ok(connection)
        };
        let (turn, connection) = self.turns.next(client, ready).await?;
        let is_cancelled = Arc::new(AtomicBool::new(false));
        let _guard = CancelOnDrop(is_cancelled.clone());
        let until = self.time.map(|time| Instant::now() + time);
        let is_closed = self.is_closed.clone();
        let done = tokio::task::spawn_blocking(move || {
            // Free again once the work has ended, also if nobody waits for it: first the turn, then the connection.
            let _connection: OwnedSemaphorePermit = connection;
            let _turn = turn;
            let ends = move || {
                is_cancelled.load(Ordering::Relaxed)
                    || is_closed.load(Ordering::Relaxed)
                    || until.is_some_and(|until| Instant::now() >= until)
            };
            connections.run(|sqlite| {
                sqlite.progress_handler(STEPS, Some(ends))?;
                let done = work(sqlite);
                sqlite.progress_handler(STEPS, None::<fn() -> bool>)?;
                if !sqlite.is_autocommit() {
                    sqlite.execute_batch("ROLLBACK")?;
                }
                // A read that was ended is an answer, too, and the connection stays.
                match done {
                    Err(error) if is_ended(&error) => Ok(None),
                    done => done.map(Some),
                }
            })
        });
        let done = done.await.map_err(StoreError::other)??;
        done.ok_or(self.timed_out())
    }

    /// Returns the error of a read that took too long.
    pub(super) fn timed_out(&self) -> StoreError {
        StoreError::TimedOut(self.time.unwrap_or_default())
    }

    /// Ends what runs, and closes the connections. Reads from now on fail.
    pub(in crate::store::sqlite) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.connections.close();
    }
}

/// Returns whether a read was ended because of its time, or because nobody waits for it.
pub(super) fn is_ended(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts without end.
    fn endless(sqlite: &Connection) -> Result<i64, rusqlite::Error> {
        let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
            SELECT count(*) FROM n";
        sqlite.query_row(sql, (), |row| row.get(0))
    }

    fn one(sqlite: &Connection) -> Result<i64, rusqlite::Error> {
        sqlite.query_row("SELECT 1", (), |row| row.get(0))
    }

    fn lane(folder: &tempfile::TempDir, size: usize, time: Duration) -> Arc<Lane> {
        let path = folder.path().join("a.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE IF NOT EXISTS t (a)").unwrap();
        Lane::new(ReadPool::new(&path, false, size), size, Some(time), Arc::default())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_read_ends_when_its_time_is_up_or_nobody_waits() {
        let folder = tempfile::TempDir::new().unwrap();
        let lane_of_time = lane(&folder, 1, Duration::from_millis(50));
        let ended = lane_of_time.run(None, endless).await.unwrap_err();
        assert!(matches!(ended, StoreError::TimedOut(_)), "{ended:?}");
        assert_eq!(lane_of_time.run(None, one).await.unwrap(), 1);

        let lane = lane(&folder, 1, Duration::from_secs(600));
        let left = tokio::time::timeout(Duration::from_millis(20), lane.run(None, endless));
        assert!(left.await.is_err());
        // The only connection is free again.
        let next = tokio::time::timeout(Duration::from_secs(5), lane.run(None, one));
        assert_eq!(next.await.unwrap().unwrap(), 1);
        assert!(lane.turns.is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_client_leaves_a_connection_to_others() {
        let folder = tempfile::TempDir::new().unwrap();
        let lane = lane(&folder, 2, Duration::from_secs(600));
        let mut reads = tokio::task::JoinSet::new();
        for _ in 0..Turns::MAX_READS_OF_ONE {
            let lane = lane.clone();
            reads.spawn(
                async move { lane.run(Some("alice".to_string()), endless).await.map(|_| ()) },
            );
        }
        while !lane.turns.has_full_client() {
            tokio::task::yield_now().await;
        }
        let more = lane.run(Some("alice".to_string()), one).await.unwrap_err();
        assert!(matches!(more, StoreError::Overloaded), "{more:?}");
        for name in [Some("bob".to_string()), None] {
            assert_eq!(lane.run(name, one).await.unwrap(), 1);
        }
        lane.close();
        while reads.join_next().await.is_some() {}
        assert!(lane.turns.is_empty());
    }
}
