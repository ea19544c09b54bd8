//! Reading from a replica, as long as it has all that annals has acknowledged or read before.

use std::ops::DerefMut;
use std::sync::PoisonError;
use std::time::Duration;

use annals_postgres_statements::{self as statements, WriterRow};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

use super::cluster::{Cluster, Server};
use super::error::{message, no_answer};
use super::primary::place;

/// How long a read waits for a replica before it goes to the primary.
const REPLICA_TIME: Duration = Duration::from_secs(1);

impl Cluster {
    /// Returns the replica that answers reads; none if the primary does.
    pub(super) fn replica(&self) -> Option<Server> {
        self.replica.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns a connection to a replica with the writers' rows there, if the replica is not behind. Each connection is
    /// asked, because several servers may have one address.
    pub(super) async fn if_current<C: DerefMut<Target = PgConnection> + Send + 'static>(
        &self,
        replica: &Server,
        connected: impl Future<Output = Result<C, sqlx::Error>> + Send + 'static,
    ) -> Option<(C, Vec<WriterRow>)> {
        // A task of its own: a new connection that takes longer is there for the next read.
        let connected = tokio::time::timeout(REPLICA_TIME, tokio::spawn(connected)).await;
        let mut connection = match connected {
            Ok(Ok(Ok(connection))) => connection,
            Ok(Ok(Err(error))) => {
                tracing::debug!(%error, "the replica does not answer");
                self.lose_replica(replica);
                return None;
            }
            // All connections may be in use, which is no fault of the replica.
            Ok(Err(_)) | Err(_) => {
                tracing::debug!("the replica has no connection at the moment");
                return None;
            }
        };
        let rows = Box::pin(statements::writers(&mut *connection));
        let rows = tokio::time::timeout(REPLICA_TIME, rows).await;
        match rows {
            Ok(Ok(rows)) if is_replica(&rows) => {
                self.known_commits.are_all_in(&rows).then_some((connection, rows))
            }
            _ => {
                self.lose_replica(replica);
                None
            }
        }
    }

    /// Looks for a replica that answers reads, if the address names servers for that: the first one that is not behind,
    /// else the first one. Returns why the first server is none, if there is no replica.
    pub(super) async fn look_for_replica(&self) -> Option<String> {
        let (mut found, mut first_error) = (None, None);
        for server in self.address().read_servers() {
            let rows =
                tokio::time::timeout(self.address().connect_time(), writers_of(server)).await;
            let place = place(server);
            let error = match rows.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
                Ok(rows) if is_replica(&rows) => {
                    let is_current = self.known_commits.are_all_in(&rows);
                    if is_current || found.is_none() {
                        found = Some(server);
                    }
                    if is_current {
                        break;
                    }
                    continue;
                }
                Ok(_) => format!("PostgreSQL at {place} is no replica, or has no history"),
                Err(error @ sqlx::Error::Database(_)) => {
                    format!("PostgreSQL at {place} says: {}", message(&error))
                }
                Err(error) => message(&no_answer(&place, &error)),
            };
            first_error.get_or_insert(error);
        }
        let known = self.replica();
        let is_known = match (&known, found) {
            (Some(known), Some(found)) => known.is_at(found),
            (known, found) => known.is_none() && found.is_none(),
        };
        if !is_known {
            self.set_replica(found);
        }
        first_error.filter(|_| found.is_none())
    }

    /// Lets the primary answer reads until a replica is found again.
    fn lose_replica(&self, lost: &Server) {
        if self.replica().is_some_and(|replica| replica.place() == lost.place()) {
            self.set_replica(None);
        }
    }

    fn set_replica(&self, found: Option<&PgConnectOptions>) {
        let found = found.map(|options| Server::new(options.clone(), self.connections()));
        tracing::debug!(server = ?found, "the replica that answers reads");
        *self.replica.write().unwrap_or_else(PoisonError::into_inner) = found;
    }
}

/// Returns whether the server that gave the rows is a replica. A server without rows has nothing to read.
fn is_replica(rows: &[WriterRow]) -> bool {
    rows.first().is_some_and(|row| row.is_replica)
}

async fn writers_of(server: &PgConnectOptions) -> Result<Vec<WriterRow>, sqlx::Error> {
    let mut connection = server.connect().await?;
    let rows = statements::writers(&mut connection).await?;
    connection.close().await?;
    Ok(rows)
}
