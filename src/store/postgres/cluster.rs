//! The servers of an address: which one accepts writes, and the connections to it.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};

use super::PostgresAddress;

/// How long one server may take to answer a new connection. A server that is gone without a trace never answers.
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// How often annals asks which server accepts writes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a read waits for a connection of the pool, also while another server takes over.
const ACQUIRE_TIME: Duration = Duration::from_secs(10);

/// The connections that read.
#[derive(Debug)]
pub(super) struct Cluster {
    address: PostgresAddress,
    /// The name of this annals among all that write to the history.
    name: String,
    /// Whether this annals may have a lease.
    has_leases: AtomicBool,
    pool: PgPool,
}

impl Cluster {
    /// Connects to the server that accepts writes. `connections` is the most that reads have at once.
    pub(super) async fn connect(
        address: &PostgresAddress,
        connections: u32,
    ) -> Result<Arc<Cluster>, sqlx::Error> {
        let (server, connection) = connect_to_primary(address).await?;
        connection.close().await?;
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIME)
            .connect_lazy_with(server);
        let name = format!("{:016x}", fastrand::u64(..));
        let cluster = Arc::new(Cluster {
            address: address.clone(),
            name,
            has_leases: AtomicBool::new(false),
            pool,
        });
        if address.servers().len() > 1 {
            tokio::spawn(follow_primary(Arc::downgrade(&cluster)));
        }
        Ok(cluster)
    }

    pub(super) fn address(&self) -> &PostgresAddress {
        &self.address
    }

    /// Returns the name of this annals among all that write to the history.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether this annals may have a lease.
    pub(super) fn has_leases(&self) -> &AtomicBool {
        &self.has_leases
    }

    /// Returns the connections that read.
    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }
}

/// Connects to the first server that accepts writes. Errors with the error of the first server if there is none.
pub(super) async fn connect_to_primary(
    address: &PostgresAddress,
) -> Result<(PgConnectOptions, PgConnection), sqlx::Error> {
    let mut first_error = None;
    for server in address.servers() {
        let connected = tokio::time::timeout(CONNECT_TIME, connect_if_primary(server)).await;
        match connected.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(Some(connection)) => return Ok((server.clone(), connection)),
            Ok(None) => {}
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let only_replicas = || {
        let text = "none of the servers accepts writes: all are replicas";
        sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::NotConnected, text))
    };
    Err(first_error.unwrap_or_else(only_replicas))
}

/// Returns a connection to a server, or None if the server is a replica.
async fn connect_if_primary(
    server: &PgConnectOptions,
) -> Result<Option<PgConnection>, sqlx::Error> {
    let mut connection = server.connect().await?;
    let is_replica = annals_postgres_statements::is_replica(&mut connection).await?;
    if is_replica {
        connection.close().await?;
        return Ok(None);
    }
    Ok(Some(connection))
}

/// Directs new connections of the pool to the server that accepts writes, until the cluster is dropped.
async fn follow_primary(cluster: Weak<Cluster>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(cluster) = cluster.upgrade() else { return };
        if cluster.pool.is_closed() {
            return;
        }
        let Ok((server, connection)) = connect_to_primary(&cluster.address).await else { continue };
        let _ = connection.close().await;
        let known = cluster.pool.connect_options();
        let is_known = (known.get_host(), known.get_port(), known.get_socket())
            == (server.get_host(), server.get_port(), server.get_socket());
        if !is_known {
            let (host, port) = (server.get_host(), server.get_port());
            tracing::warn!(host, port, "another server of PostgreSQL accepts writes now");
            cluster.pool.set_connect_options(server);
        }
    }
}
