//! Keeps the search index, beside the writer and on a connection of its own: neither waits for the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use annals_postgres_statements as statements;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::cluster::Cluster;
use super::own_masks::OwnMasks;
use super::primary::Primary;
use super::search_index::{Horizon, make_segment};
use crate::store::error::StoreError;

/// The lease of whoever makes the search index.
const LEASE: &str = "search index";
/// How long that lease is, in milliseconds: an annals that ended must not hold it for long.
const LEASE_MS: i64 = 60_000;
/// How long one segment may take. A server that is gone without a trace never answers.
const SEGMENT_TIME: Duration = Duration::from_secs(60);
/// How long the indexer waits after an error.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long the giving back of the lease may take. A server that is gone without a trace never answers.
const RETURN_TIME: Duration = Duration::from_secs(1);

/// The handle to the task that makes the segments. The task ends with its handle.
pub(super) struct Indexer {
    signals: Arc<Signals>,
    own_masks: Arc<OwnMasks>,
    task: JoinHandle<()>,
    /// How long [`Indexer::finish`] waits.
    finish_time: Duration,
}

#[derive(Default)]
struct Signals {
    wake: Notify,
    is_finishing: AtomicBool,
}

impl Indexer {
    /// Starts the task.
    pub(super) fn start(cluster: Arc<Cluster>, finish_time: Duration) -> Indexer {
        let signals = Arc::new(Signals::default());
        let own_masks = Arc::new(OwnMasks::of_writer(cluster.name()));
        let (horizon, masks) = (Horizon::default(), own_masks.clone());
        let task = Task { cluster, horizon, own_masks: masks, connection: None };
        let task = tokio::spawn(task.run(signals.clone()));
        Indexer { signals, own_masks, task, finish_time }
    }

    /// Returns the masks that the task need not read.
    pub(super) fn own_masks(&self) -> Arc<OwnMasks> {
        self.own_masks.clone()
    }

    /// Makes the task look for segments to make. Another annals may be making them, which is as good.
    pub(super) fn wake(&self) {
        self.signals.wake.notify_one();
    }

    /// Waits until every segment is made, but not for longer than the indexer may take.
    pub(super) async fn finish(mut self) {
        self.signals.is_finishing.store(true, Ordering::Relaxed);
        self.wake();
        let _ = tokio::time::timeout(self.finish_time, &mut self.task).await;
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Task {
    cluster: Arc<Cluster>,
    horizon: Horizon,
    own_masks: Arc<OwnMasks>,
    /// None after an error.
    connection: Option<(PgConnectOptions, PgConnection)>,
}

/// Which annals makes the segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    This,
    Another,
}

impl Task {
    async fn run(mut self, signals: Arc<Signals>) {
        let mut is_refused = false;
        loop {
            signals.wake.notified().await;
            let is_finishing = signals.is_finishing.load(Ordering::Relaxed);
            // A search reads the rows that no segment covers, so an error costs only time.
            loop {
                match self.make_segments().await {
                    // The other annals may have looked before the last rows were there.
                    Ok(Maker::Another) if is_finishing => {}
                    Ok(_) => {
                        is_refused = false;
                        break;
                    }
                    // The server refuses it until somebody grants the right: one try for each change is enough.
                    Err(error @ StoreError::NotWritable(_)) => {
                        if !is_refused {
                            tracing::warn!(
                                %error,
                                "the search index is not made; run deploy/postgres/roles.sql again, by the superuser who made the database"
                            );
                        }
                        is_refused = true;
                        if !is_finishing {
                            tokio::time::sleep(AGAIN_AFTER).await;
                        }
                        break;
                    }
                    Err(error) => {
                        tracing::debug!(%error, "the search index was not brought up to date");
                    }
                }
                tokio::time::sleep(AGAIN_AFTER).await;
            }
            if is_finishing {
                break;
            }
        }
        if let Some((_, connection)) = self.connection {
            let _ = connection.close().await;
        }
    }

    /// Makes segments until there is none to make, or another annals makes them. Returns which one has made them.
    async fn make_segments(&mut self) -> Result<Maker, StoreError> {
        let known = self.connection.take().filter(|(server, _)| self.cluster.is_primary(server));
        let (server, mut connection) = match known {
            Some(connected) => connected,
            None => {
                let Primary { server, mut connection, .. } =
                    self.cluster.connect_to_primary().await?;
                // A server that crashes or takes over may lack the last segments: the rows that they cover are searched
                // without them. Waiting for the disk would hold up the writer, which writes to the same log.
                sqlx::query("SET synchronous_commit = off").execute(&mut connection).await?;
                (server, connection)
            }
        };
        let made = self.make_segments_by(&mut connection).await;
        // Another annals need not wait until the lease is over: this one may write nothing for long.
        let returned = statements::take_lease(&mut connection, LEASE, self.cluster.name(), 0);
        let returned = tokio::time::timeout(RETURN_TIME, returned).await;
        if made.is_ok() && matches!(returned, Ok(Ok(_))) {
            self.connection = Some((server, connection));
        }
        made
    }

    async fn make_segments_by(
        &mut self,
        connection: &mut PgConnection,
    ) -> Result<Maker, StoreError> {
        // The first look notes which transactions run, and the second finds those of them that have ended.
        let mut looks = 2;
        while looks > 0 {
            let name = self.cluster.name();
            if !statements::take_lease(&mut *connection, LEASE, name, LEASE_MS).await? {
                return Ok(Maker::Another);
            }
            let made = make_segment(connection, &mut self.horizon, &self.own_masks);
            let made = tokio::time::timeout(SEGMENT_TIME, made).await;
            let is_made = made.map_err(|_| StoreError::no_answer_in_time())??;
            looks = if is_made { 2 } else { looks - 1 };
        }
        Ok(Maker::This)
    }
}
