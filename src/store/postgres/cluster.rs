//! The servers of an address: which one accepts writes, which replica answers reads, and the connections to them.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Postgres, Transaction};

use super::PostgresAddress;
use super::error::{message, no_answer, not_connected};
use super::known_commits::KnownCommits;
use super::state::ServerState;

/// How long one server may take to answer a new connection. A server that is gone without a trace never answers.
pub(super) const CONNECT_TIME: Duration = Duration::from_secs(3);
/// How often annals asks which server accepts writes, and which replica answers.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the primary may take to say that it is one, before annals calls it away.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// How long a read waits for a connection of the pool, also while another server takes over.
const ACQUIRE_TIME: Duration = Duration::from_secs(10);
/// A connection that was idle for so long is asked whether it still works before it reads. Asking each time costs the read of
/// a single query a third of its time.
const ASKED_AFTER: Duration = Duration::from_millis(20);

/// The connections that read.
#[derive(Debug)]
pub(super) struct Cluster {
    address: PostgresAddress,
    /// The name of this annals among all that write to the history.
    name: String,
    /// Whether this annals may have a lease.
    has_leases: AtomicBool,
    /// The most connections to one server.
    connections: u32,
    /// The server that accepts writes.
    primary: RwLock<Server>,
    /// The replica that answers reads; none if the primary does.
    pub(super) replica: RwLock<Option<Server>>,
    /// What a replica must have to answer.
    pub(super) known_commits: Arc<KnownCommits>,
    /// Whether the primary can be written to.
    pub(super) state: Arc<ServerState>,
    /// Whether annals asks the primary once a second.
    is_followed: AtomicBool,
}

/// A server, and the connections to it that read.
#[derive(Clone)]
pub(super) struct Server {
    options: PgConnectOptions,
    pub(super) pool: PgPool,
}

impl Server {
    pub(super) fn new(options: PgConnectOptions, connections: u32) -> Server {
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIME)
            .test_before_acquire(false)
            .before_acquire(|connection, used| {
                Box::pin(async move {
                    if used.idle_for >= ASKED_AFTER {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options.clone());
        Server { options, pool }
    }

    /// Returns whether these are the options of this server.
    pub(super) fn is_at(&self, other: &PgConnectOptions) -> bool {
        let place = |it: &PgConnectOptions| {
            (it.get_host().to_string(), it.get_port(), it.get_socket().cloned())
        };
        place(&self.options) == place(other)
    }

    /// Returns host and port.
    pub(super) fn place(&self) -> String {
        place(&self.options)
    }
}

impl fmt::Debug for Server {
    /// Writes host and port: the options have the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())
    }
}

impl Cluster {
    /// Connects to the server that accepts writes, and looks for a replica if the address names servers for reads.
    /// `connections` is the most that reads have at once on one server.
    ///
    /// Errors if no server accepts writes, unless a replica answers reads.
    pub(super) async fn connect(
        address: &PostgresAddress,
        connections: u32,
    ) -> Result<Arc<Cluster>, sqlx::Error> {
        let connected = match connect_to_primary(address).await {
            Ok((server, connection)) => {
                connection.close().await?;
                Ok(server)
            }
            Err(error) => Err(error),
        };
        let name = format!("{:016x}", fastrand::u64(..));
        let first = connected.as_ref().ok().or(address.servers().first()).cloned();
        let cluster = Arc::new(Cluster {
            address: address.clone(),
            known_commits: Arc::new(KnownCommits::new(name.clone())),
            name,
            has_leases: AtomicBool::new(false),
            connections,
            state: Arc::new(ServerState::new()),
            is_followed: AtomicBool::new(false),
            primary: RwLock::new(Server::new(first.unwrap_or_default(), connections)),
            replica: RwLock::default(),
        });
        cluster.look_for_replica().await;
        if let Err(error) = connected
            && cluster.replica().is_none()
        {
            return Err(error);
        }
        if address.servers().len() > 1 || !address.read_servers().is_empty() {
            tokio::spawn(follow_servers(Arc::downgrade(&cluster)));
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

    /// Returns the most connections to one server.
    pub(super) fn connections(&self) -> u32 {
        self.connections
    }

    /// Returns the connections to the server that accepts writes, for what must not be older than the last commit.
    pub(super) fn primary(&self) -> PgPool {
        self.primary.read().unwrap_or_else(PoisonError::into_inner).pool.clone()
    }

    /// Returns a connection that reads: to a replica that has all that annals has acknowledged or read before, else to the
    /// primary.
    pub(super) async fn reader(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        if let Some(connection) = self.replica_reader().await {
            return Ok(connection);
        }
        match Box::pin(self.primary().acquire()).await {
            // While the primary is gone, a replica may have come back, or up to date.
            Err(error) => self.replica_reader().await.ok_or_else(|| self.not_acquired(error)),
            connection => connection,
        }
    }

    async fn replica_reader(&self) -> Option<PoolConnection<Postgres>> {
        let replica = self.replica()?;
        // Futures of the pool are large and deep, and every read has one in its own.
        Box::pin(self.if_current(&replica, replica.pool.acquire()))
            .await
            .map(|(connection, _)| connection)
    }

    /// Begins a transaction that reads, by a statement of constants and numbers. Returns it with the connections to its
    /// server.
    pub(super) async fn begin(
        &self,
        begin: String,
    ) -> Result<(Transaction<'static, Postgres>, PgPool), sqlx::Error> {
        if let Some(replica) = self.replica() {
            let (pool, begin) = (replica.pool.clone(), AssertSqlSafe(begin.clone()));
            let transaction = async move { pool.begin_with(begin).await };
            if let Some((transaction, _)) = Box::pin(self.if_current(&replica, transaction)).await {
                return Ok((transaction, replica.pool));
            }
        }
        let primary = self.primary();
        let transaction = Box::pin(primary.begin_with(AssertSqlSafe(begin))).await;
        Ok((transaction.map_err(|error| self.not_acquired(error))?, primary))
    }

    /// Returns the error of a read that got no connection to the primary.
    fn not_acquired(&self, error: sqlx::Error) -> sqlx::Error {
        let primary = self.primary.read().unwrap_or_else(PoisonError::into_inner).place();
        match (error, self.state.away()) {
            (sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut, Some(fault)) => {
                not_connected(fault.to_string())
            }
            (error @ sqlx::Error::Io(_), None) => no_answer(&primary, &error),
            (error, _) => error,
        }
    }

    /// Asks the primary once a second whether it answers, until the cluster is closed.
    pub(super) fn follow_primary(self: &Arc<Self>) {
        if !self.is_followed.swap(true, Ordering::Relaxed) {
            tokio::spawn(follow_primary(Arc::downgrade(self)));
        }
    }

    /// Closes every connection that reads.
    pub(super) async fn close(&self) {
        if let Some(replica) = self.replica() {
            replica.pool.close().await;
        }
        self.primary().close().await;
    }

    /// Looks which server accepts writes. The connections to another one end with their reads.
    async fn look_for_primary(&self) {
        let Ok((server, connection)) = connect_to_primary(&self.address).await else { return };
        let _ = connection.close().await;
        let mut primary = self.primary.write().unwrap_or_else(PoisonError::into_inner);
        if !primary.is_at(&server) {
            // Reads that wait for a connection get one to the new server.
            primary.pool.set_connect_options(server.clone());
            *primary = Server::new(server, self.connections);
            self.known_commits.forget_others();
            let server = primary.place();
            tracing::warn!(server, "another server of PostgreSQL accepts writes now");
        }
    }
}

/// Returns host and port of a server.
fn place(server: &PgConnectOptions) -> String {
    format!("{}:{}", server.get_host(), server.get_port())
}

/// Asks the primary again and again whether it answers, until the cluster is dropped or closed.
async fn follow_primary(cluster: Weak<Cluster>) {
    let mut connected: Option<(PgConnectOptions, PgConnection)> = None;
    loop {
        let Some(cluster) = cluster.upgrade() else { return };
        if cluster.primary().is_closed() {
            return;
        }
        if let Some((server, connection)) = &mut connected {
            let asked = annals_postgres_statements::is_replica(&mut *connection);
            let answer = tokio::time::timeout(ANSWER_TIME, asked).await;
            let why = match answer.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
                Ok(false) => None,
                Ok(true) => Some(sqlx::Error::Protocol("it is a replica now".to_string())),
                Err(error) => Some(error),
            };
            if let Some(error) = why {
                // A server that is only slow to connect to must not keep this waiting.
                cluster.state.does_not_answer(&message(&no_answer(&place(server), &error)));
                connected = None;
            }
        }
        if connected.is_none() {
            match connect_to_primary(&cluster.address).await {
                Ok(found) => connected = Some(found),
                Err(error) => cluster.state.does_not_answer(&message(&error)),
            }
        }
        if connected.is_some() {
            cluster.state.answers();
        }
        drop(cluster);
        tokio::time::sleep(LOOK_EVERY).await;
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
            Err(error @ (sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut)) => {
                first_error = first_error.or(Some(no_answer(&place(server), &error)));
            }
            // Its own message says what is wrong.
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let only_replicas = || {
        let text = "none of the servers accepts writes: all are replicas";
        not_connected(text.to_string())
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

/// Looks again and again which servers accept writes and answer reads, until the cluster is dropped or closed.
async fn follow_servers(cluster: Weak<Cluster>) {
    let mut had_replica = true;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(cluster) = cluster.upgrade() else { return };
        if cluster.primary().is_closed() {
            return;
        }
        let primary = async {
            if cluster.address.servers().len() > 1 {
                cluster.look_for_primary().await;
            }
        };
        // Neither look waits for a server that does not answer the other.
        tokio::join!(primary, cluster.look_for_replica());
        let replica = cluster.replica();
        match &replica {
            _ if cluster.address.read_servers().is_empty() => {}
            Some(server) if !had_replica => {
                tracing::warn!(server = server.place(), "a replica answers reads again");
            }
            None if had_replica => {
                tracing::warn!("no replica answers, so the primary answers all reads");
            }
            _ => {}
        }
        had_replica = replica.is_some();
    }
}
