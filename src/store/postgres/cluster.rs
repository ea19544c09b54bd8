//! The servers of an address: which one accepts writes, which replica answers reads, and the connections to them.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Postgres, Transaction};
use tokio::time::Instant;

use super::PostgresAddress;
use super::error::{message, no_answer, not_connected};
use super::known_commits::KnownCommits;
use super::primary::{
    Identity, LastPrimary, Primary, State, find_primary, is_same_place, place, read_only, state,
};
use super::state::ServerState;

/// How often annals asks which server accepts writes, and which replica answers.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the primary may take to say that it is one, before annals calls it away.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// How long a read waits for a connection of the pool, also while another server takes over.
const ACQUIRE_TIME: Duration = Duration::from_secs(10);
/// A connection that was idle for so long is asked whether it still works before it reads. Asking each time costs the read of
/// a single query a third of its time.
const ASKED_AFTER: Duration = Duration::from_millis(20);
/// Lets a read wait for a lock for at most five seconds, unless the role, the database or the server has a bound of its own:
/// VACUUM FULL locks a table for as long as it takes to write it anew.
const BOUND_LOCKS: &str =
    "SELECT set_config('lock_timeout', '5s', false) WHERE current_setting('lock_timeout') = '0'";
/// How often annals ends the sessions of annals that are gone.
const END_ABANDONED_EVERY: Duration = Duration::from_secs(5);
/// Ends the sessions of annals that are gone, of this user and database, which may hold locks. A program that was stopped,
/// or whose machine was lost, sends nothing in the middle of a transaction that writes: others do so within moments. No program
/// waits for a synchronous replica for longer than [`super::BULK_TIME`]. A session that was ended too early is tried again.
/// What writes is known by its locks: on the coordinator of Citus, a transaction that writes may have no number.
const END_ABANDONED: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity AS session
    WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
      AND application_name = current_setting('application_name')
      AND CASE WHEN wait_event = 'SyncRep' THEN state_change < now() - interval '5 minutes'
               WHEN wait_event = 'ClientRead' AND state_change < now() - interval '20 seconds' THEN EXISTS (
                   SELECT FROM pg_locks WHERE pid = session.pid AND locktype = 'relation' AND granted
                     AND mode <> 'AccessShareLock')
          END";

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
    /// The server that accepts writes, and what it says of its data.
    primary: RwLock<(Server, Option<Identity>)>,
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
            .after_connect(|connection, _| {
                Box::pin(async move {
                    // No macro: a setting, and no table.
                    sqlx::query(BOUND_LOCKS).execute(connection).await?;
                    Ok(())
                })
            })
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
        is_same_place(&self.options, other)
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
        let connected = match find_primary(address, None).await {
            Ok(Primary { server, connection, identity, .. }) => {
                connection.close().await?;
                Ok((server, identity))
            }
            Err(error) => Err(error),
        };
        let name = format!("{:016x}", fastrand::u64(..));
        let (first, identity) = match &connected {
            Ok((server, identity)) => (server.clone(), *identity),
            Err(_) => (address.servers().first().cloned().unwrap_or_default(), None),
        };
        let cluster = Arc::new(Cluster {
            address: address.clone(),
            known_commits: Arc::new(KnownCommits::new(name.clone())),
            name,
            has_leases: AtomicBool::new(false),
            connections,
            state: Arc::new(ServerState::new()),
            is_followed: AtomicBool::new(false),
            primary: RwLock::new((Server::new(first, connections), identity)),
            replica: RwLock::default(),
        });
        let no_replica = cluster.look_for_replica().await;
        if let Err(error) = connected
            && cluster.replica().is_none()
        {
            return Err(error);
        }
        if let Some(why) = &no_replica {
            warn_of_no_replica(why);
        }
        if address.servers().len() > 1 || !address.read_servers().is_empty() {
            tokio::spawn(follow_servers(Arc::downgrade(&cluster), no_replica.is_none()));
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
        self.primary.read().unwrap_or_else(PoisonError::into_inner).0.pool.clone()
    }

    /// Returns whether a server is the one that accepts writes, as far as annals knows.
    pub(super) fn is_primary(&self, server: &PgConnectOptions) -> bool {
        self.primary.read().unwrap_or_else(PoisonError::into_inner).0.is_at(server)
    }

    /// Connects to the server that accepts writes. If that is another one than before, all reads go to it, too.
    pub(super) async fn connect_to_primary(&self) -> Result<Primary, sqlx::Error> {
        let found = find_primary(&self.address, Some(&self.last_primary())).await?;
        self.use_primary(&found)?;
        Ok(found)
    }

    fn last_primary(&self) -> LastPrimary {
        let primary = self.primary.read().unwrap_or_else(PoisonError::into_inner);
        LastPrimary { server: primary.0.options.clone(), identity: primary.1 }
    }

    /// Notes the server that accepts writes. The connections to another one end with their reads.
    ///
    /// Errors if a newer one was found meanwhile.
    fn use_primary(&self, found: &Primary) -> Result<(), sqlx::Error> {
        let mut primary = self.primary.write().unwrap_or_else(PoisonError::into_inner);
        let (server, identity) = &mut *primary;
        let last = LastPrimary { server: server.options.clone(), identity: *identity };
        if let Some(why) = last.rejects(&found.server, found.identity) {
            return Err(not_connected(why));
        }
        *identity = found.identity;
        if !server.is_at(&found.server) {
            // Reads that wait for a connection get one to the new server.
            server.pool.set_connect_options(found.server.clone());
            *server = Server::new(found.server.clone(), self.connections);
            self.known_commits.forget_others();
            let server = server.place();
            tracing::warn!(server, "another server of PostgreSQL accepts writes now");
        }
        Ok(())
    }

    /// Returns a connection that reads: to a replica that has all that annals has acknowledged or read before, else to the
    /// primary.
    pub(super) async fn reader(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        if let Some(connection) = self.replica_reader().await {
            return Ok(connection);
        }
        match Box::pin(self.primary().acquire()).await {
            // While the primary is gone, a replica may have come back, or up to date.
            Err(error) => match self.replica_reader().await {
                Some(connection) => Ok(connection),
                None => Err(Box::pin(self.not_acquired(error)).await),
            },
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
        match Box::pin(primary.begin_with(AssertSqlSafe(begin))).await {
            Ok(transaction) => Ok((transaction, primary)),
            Err(error) => Err(Box::pin(self.not_acquired(error)).await),
        }
    }

    /// Returns the error of a read that got no connection to the primary.
    async fn not_acquired(&self, error: sqlx::Error) -> sqlx::Error {
        let primary = self.primary.read().unwrap_or_else(PoisonError::into_inner).0.clone();
        match (error, self.state.away()) {
            (sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut, Some(fault)) => {
                not_connected(fault.to_string())
            }
            (error @ sqlx::Error::Io(_), None) => no_answer(&primary.place(), &error),
            // The pool tries again and again to make a connection, and does not say why it gets none.
            (error @ sqlx::Error::PoolTimedOut, None) if primary.pool.size() < self.connections => {
                let connected = primary.options.connect();
                match tokio::time::timeout(ANSWER_TIME, connected).await {
                    Ok(Err(why)) => why,
                    _ => error,
                }
            }
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

    /// Looks which server accepts writes. Returns a sentence about another one that does, too.
    async fn look_for_primary(&self) -> Option<String> {
        let Primary { connection, other, .. } = self.connect_to_primary().await.ok()?;
        let _ = connection.close().await;
        other
    }
}

/// Asks the primary again and again whether it answers, until the cluster is dropped or closed.
async fn follow_primary(cluster: Weak<Cluster>) {
    let mut connected: Option<Primary> = None;
    let mut end_abandoned_at = Instant::now();
    loop {
        let Some(cluster) = cluster.upgrade() else { return };
        if cluster.primary().is_closed() {
            return;
        }
        // A session keeps its default, so that only a new one finds that the server writes again.
        connected = connected.filter(|it| it.read_only.is_none() && cluster.is_primary(&it.server));
        if let Some(primary) = &mut connected {
            let asked = state(&mut primary.connection);
            let answer = tokio::time::timeout(ANSWER_TIME, asked).await;
            match answer.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
                Ok(State::Writable) => {}
                Ok(State::ReadOnly) => primary.read_only = Some(read_only(&primary.server)),
                Ok(State::Replica) => connected = None,
                Err(error) => {
                    // A server that is only slow to connect to must not keep this waiting.
                    let error = no_answer(&place(&primary.server), &error);
                    cluster.state.does_not_answer(&message(&error));
                    connected = None;
                }
            }
        }
        if connected.is_none() {
            match cluster.connect_to_primary().await {
                Ok(found) => {
                    connected = Some(found);
                    end_abandoned_at = Instant::now();
                }
                Err(error) => cluster.state.does_not_answer(&message(&error)),
            }
        }
        match &connected {
            Some(Primary { read_only: Some(why), .. }) => cluster.state.does_not_write(why),
            Some(_) => cluster.state.answers(),
            None => {}
        }
        if let Some(primary) = &mut connected
            && Instant::now() >= end_abandoned_at
        {
            end_abandoned_at = Instant::now() + END_ABANDONED_EVERY;
            // No macro: a view of the server, and no table. A session that waits too long is closed by the next question.
            let ended = sqlx::query(END_ABANDONED).execute(&mut primary.connection);
            match tokio::time::timeout(ANSWER_TIME, ended).await {
                Ok(Ok(ended)) if ended.rows_affected() > 0 => {
                    let sessions = ended.rows_affected();
                    tracing::warn!(
                        sessions,
                        "sessions of annals that sent nothing in the middle of a transaction were ended"
                    );
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::debug!(%error, "no session was looked for"),
                // The answer is still to come on this connection.
                Err(_) => connected = None,
            }
        }
        drop(cluster);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Looks again and again which servers accept writes and answer reads, until the cluster is dropped or closed.
async fn follow_servers(cluster: Weak<Cluster>, mut had_replica: bool) {
    let mut had_other = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(cluster) = cluster.upgrade() else { return };
        if cluster.primary().is_closed() {
            return;
        }
        let primary = async {
            match cluster.address.servers().len() {
                1 => None,
                _ => cluster.look_for_primary().await,
            }
        };
        // Neither look waits for a server that does not answer the other.
        let (other, no_replica) = tokio::join!(primary, cluster.look_for_replica());
        if let Some(other) = other.as_ref().filter(|_| other != had_other) {
            tracing::warn!("{other}");
        }
        had_other = other;
        let replica = cluster.replica();
        match &replica {
            _ if cluster.address.read_servers().is_empty() => {}
            Some(server) if !had_replica => {
                tracing::warn!(server = server.place(), "a replica answers reads again");
            }
            None if had_replica => warn_of_no_replica(no_replica.as_deref().unwrap_or_default()),
            _ => {}
        }
        had_replica = replica.is_some();
    }
}

fn warn_of_no_replica(why: &str) {
    tracing::warn!(why, "no replica answers, so the primary answers all reads");
}
