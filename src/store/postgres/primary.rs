//! Which server of an address accepts writes.
//!
//! An old primary that comes back accepts writes, too, and so does a copy of another history. So annals follows the last
//! promotion: each one begins a timeline with a higher number.

use std::cmp::Reverse;
use std::io::ErrorKind;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::PostgresAddress;
use super::error::{message, no_answer, not_connected};
use crate::store::error::ServerError;

/// How long the other servers may take to answer once one of them accepts writes.
const OTHERS_TIME: Duration = Duration::from_secs(1);

/// A server that accepts writes, with a connection.
pub(super) struct Primary {
    pub(super) server: PgConnectOptions,
    pub(super) connection: PgConnection,
    pub(super) identity: Option<Identity>,
    /// Why the server writes nothing although it is no replica.
    pub(super) read_only: Option<String>,
    /// A sentence about another server that accepts writes, which is not to be used.
    pub(super) other: Option<String>,
}

/// What a server says of its data. Some services do not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    /// A server has it in common with its replicas, and with no other server.
    system: i64,
    position: Position,
}

/// How far a server has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    timeline: u32,
    /// The end of the write-ahead log on the disk.
    end: i64,
}

/// The server that annals used last.
#[derive(Debug, Clone)]
pub(super) struct LastPrimary {
    pub(super) server: PgConnectOptions,
    pub(super) identity: Option<Identity>,
}

impl LastPrimary {
    /// Returns why a server that accepts writes is not the next one; None if it may be.
    ///
    /// The server at the same address always may: it may have been upgraded, or restored.
    pub(super) fn rejects(
        &self,
        server: &PgConnectOptions,
        identity: Option<Identity>,
    ) -> Option<String> {
        let (Some(last), Some(identity)) = (self.identity, identity) else { return None };
        if is_same_place(&self.server, server) {
            return None;
        }
        let (here, there) = (place(server), place(&self.server));
        if identity.system != last.system {
            return Some(format!(
                "PostgreSQL at {here} accepts writes, and is no copy of the one at {there} that annals used last"
            ));
        }
        (identity.position < last.position).then(|| {
            format!(
                "PostgreSQL at {here} accepts writes, and is older than the one at {there} that annals used last \
                 (timeline {} of {}); make a replica of it",
                identity.position.timeline, last.position.timeline
            )
        })
    }
}

/// Returns host and port of a server.
pub(super) fn place(server: &PgConnectOptions) -> String {
    let (host, port) = (server.get_host(), server.get_port());
    // The colons of an IPv6 address are not the one before the port.
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Returns whether two servers have the same address.
pub(super) fn is_same_place(one: &PgConnectOptions, other: &PgConnectOptions) -> bool {
    let place = |it: &PgConnectOptions| {
        (it.get_host().to_string(), it.get_port(), it.get_socket().cloned())
    };
    place(one) == place(other)
}

/// Connects to the server that accepts writes: the one that was promoted last; if several are of one timeline, the one that
/// annals used last, else the one that has written most. One that is older than the server that annals used last, or
/// no copy of it, is not taken.
///
/// Errors if there is none, with what the first server says, or if two servers are no copies of each other and annals has
/// used none of them.
pub(super) async fn find_primary(
    address: &PostgresAddress,
    last: Option<&LastPrimary>,
) -> Result<Primary, sqlx::Error> {
    let mut asked = JoinSet::new();
    for (number, server) in address.servers().iter().enumerate() {
        let (server, time) = (server.clone(), address.connect_time());
        asked.spawn(async move {
            let answer = tokio::time::timeout(time, ask(&server)).await;
            (number, answer.unwrap_or(Err(sqlx::Error::PoolTimedOut)))
        });
    }
    let (mut found, mut errors, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
    let mut ends: Option<Instant> = None;
    loop {
        let next = match ends {
            Some(ends) => tokio::time::timeout_at(ends, asked.join_next()).await.unwrap_or(None),
            None => asked.join_next().await,
        };
        let Some(Ok((number, answer))) = next else { break };
        match answer {
            Ok(None) => {}
            Ok(Some(primary)) => {
                match last.and_then(|last| last.rejects(&primary.server, primary.identity)) {
                    Some(why) => rejected.push(why),
                    None => {
                        ends.get_or_insert(Instant::now() + OTHERS_TIME);
                        found.push((number, primary));
                    }
                }
            }
            Err(error @ (sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut)) => {
                let server = address.servers().get(number).map(place).unwrap_or_default();
                errors.push((number, no_answer(&server, &error)));
            }
            // Its own message says what is wrong.
            Err(error) => errors.push((number, error)),
        }
    }
    let is_last =
        |server: &PgConnectOptions| last.is_some_and(|last| is_same_place(&last.server, server));
    found.sort_by_cached_key(|(number, primary)| {
        let position = primary.identity.map(|identity| identity.position);
        let is_writable = primary.read_only.is_none();
        let timeline = position.map(|it| it.timeline);
        Reverse((timeline, is_writable, is_last(&primary.server), position, Reverse(*number)))
    });
    let mut found = found.into_iter().map(|(_, primary)| primary);
    if let Some(mut first) = found.next() {
        for other in found {
            let are_copies = match (first.identity, other.identity) {
                (Some(one), Some(other)) => one.system == other.system,
                _ => true,
            };
            let (one, other) = (place(&first.server), place(&other.server));
            if !are_copies && !is_last(&first.server) {
                return Err(not_connected(format!(
                    "PostgreSQL at {one} and at {other} accept writes, and are no copies of each other; name only the one \
                     with the history, and its replicas"
                )));
            }
            rejected.push(format!("PostgreSQL at {other} accepts writes, too; annals uses {one}"));
        }
        first.other = rejected.into_iter().next();
        return Ok(first);
    }
    errors.sort_by_key(|(number, _)| *number);
    match (rejected.pop(), errors.into_iter().next()) {
        (Some(why), None) => Err(not_connected(why)),
        (Some(why), Some((_, error))) => Err(not_connected(format!("{}; {why}", message(&error)))),
        (None, Some((_, error))) => Err(error),
        (None, None) => {
            let text = "none of the servers accepts writes: all are replicas";
            Err(not_connected(text.to_string()))
        }
    }
}

/// Returns a server with a connection, or None if it is a replica.
async fn ask(server: &PgConnectOptions) -> Result<Option<Primary>, sqlx::Error> {
    let mut connection = server.connect().await?;
    let state = state(&mut connection).await?;
    if state == State::Replica {
        connection.close().await?;
        return Ok(None);
    }
    let identity = identity(&mut connection).await?;
    let read_only = (state == State::ReadOnly).then(|| read_only(server));
    Ok(Some(Primary { server: server.clone(), connection, identity, read_only, other: None }))
}

/// Returns why a server writes nothing that is no replica.
pub(super) fn read_only(server: &PgConnectOptions) -> String {
    format!(
        "PostgreSQL at {} accepts no writes: default_transaction_read_only is on for the server, the database or the role",
        place(server)
    )
}

/// Returns the error of a server that writes nothing although it is no replica.
pub(super) fn read_only_error(why: &str) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(
        ErrorKind::ReadOnlyFilesystem,
        ServerError(why.to_string()),
    ))
}

/// Returns whether an error is one of [`read_only_error`].
pub(super) fn is_read_only(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == ErrorKind::ReadOnlyFilesystem)
}

/// What a session may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Writable,
    ReadOnly,
    Replica,
}

/// Returns what a session may do.
pub(super) async fn state(connection: &mut PgConnection) -> Result<State, sqlx::Error> {
    // No macro: functions and a setting of the server, and no table.
    let sql = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'";
    let (is_replica, is_read_only) = sqlx::query_as(sql).fetch_one(connection).await?;
    Ok(match (is_replica, is_read_only) {
        (true, _) => State::Replica,
        (false, true) => State::ReadOnly,
        (false, false) => State::Writable,
    })
}

/// Returns what a server says of its data; None if it does not say it. The server must be no replica.
async fn identity(connection: &mut PgConnection) -> Result<Option<Identity>, sqlx::Error> {
    // No macro: functions of the server, and no table. Everybody may run them. pg_control_checkpoint() has the new timeline
    // only minutes after a promotion.
    let sql =
        "SELECT system_identifier, pg_walfile_name(written.up_to), (written.up_to - '0/0')::bigint
               FROM pg_control_system(), pg_current_wal_flush_lsn() AS written (up_to)";
    let row: Result<(i64, String, i64), _> = sqlx::query_as(sql).fetch_one(connection).await;
    match row {
        Ok((system, file, end)) => {
            let timeline = file.get(..8).and_then(|it| u32::from_str_radix(it, 16).ok());
            let position = timeline.map(|timeline| Position { timeline, end });
            Ok(position.map(|position| Identity { system, position }))
        }
        Err(error @ sqlx::Error::Database(_)) => {
            tracing::debug!(%error, "the server does not say which timeline it has");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().host(host)
    }

    fn identity(system: i64, timeline: u32, end: i64) -> Option<Identity> {
        Some(Identity { system, position: Position { timeline, end } })
    }

    #[test]
    fn an_older_server_or_another_history_is_not_the_next_primary() {
        let last = LastPrimary { server: server("b"), identity: identity(7, 2, 100) };
        let rejects = |host: &str, identity| last.rejects(&server(host), identity);
        for (older, part) in [
            (identity(7, 1, 900), "timeline 1 of 2"),
            (identity(7, 2, 99), "is older"),
            (identity(8, 3, 900), "is no copy"),
        ] {
            assert!(rejects("a", older).unwrap().contains(part));
            // The same server, upgraded or restored.
            assert_eq!(rejects("b", older), None);
        }
        for newer in [identity(7, 3, 1), identity(7, 2, 100), None] {
            assert_eq!(rejects("a", newer), None);
        }
        let unknown = LastPrimary { server: server("b"), identity: None };
        assert_eq!(unknown.rejects(&server("a"), identity(8, 1, 1)), None);
    }
}
