//! The client of a cluster: one connection to one of its frontends.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use sqlx::mysql::{MySql, MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, ValueRef};

use super::error::{ServerError, server_message};
use super::table::{KNOWN_TABLES, zone_of};
use super::{
    AuditRow, AuditTable, AuditTableError, AuditTableSettings, MinuteCount, MinuteRange, TableName,
    statements,
};
use crate::domain::time::{LocalMinute, Zone};

/// How long a frontend may take to accept a connection and the user.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a frontend may take from one row to the next.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// The number of rows of a range, and the last minute that has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    pub rows: u64,
    pub newest: Option<LocalMinute>,
}

/// Asks the frontends of a cluster, one at a time.
pub(crate) struct AuditTableClient {
    settings: AuditTableSettings,
    /// The number of the frontend that is asked.
    current: usize,
    connection: Option<MySqlConnection>,
    /// What the frontend said of the table when annals connected.
    table: Option<AuditTable>,
    /// The zone of times if neither the settings nor the cluster name one.
    default_zone: Zone,
}

impl AuditTableClient {
    pub(crate) fn new(settings: AuditTableSettings, default_zone: Zone) -> AuditTableClient {
        AuditTableClient { settings, current: 0, connection: None, table: None, default_zone }
    }

    /// The frontend that is asked, as `host:port`.
    pub(crate) fn server(&self) -> String {
        let servers = self.settings.url.servers();
        servers
            .get(self.current % servers.len().max(1))
            .map(|(name, _)| name.clone())
            .unwrap_or_default()
    }

    /// Gives the connection up, and asks the next frontend from now on.
    pub(crate) fn disconnect(&mut self) {
        self.connection = None;
        self.table = None;
        self.current = (self.current + 1) % self.settings.url.servers().len().max(1);
    }

    /// Closes the connection.
    pub(crate) async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = tokio::time::timeout(CONNECT_TIMEOUT, connection.close()).await;
        }
    }

    /// Returns the table. Connects to a frontend unless there is a connection: to the first of them that answers.
    pub(crate) async fn table(&mut self) -> Result<AuditTable, AuditTableError> {
        if let (Some(_), Some(table)) = (&self.connection, &self.table) {
            return Ok(table.clone());
        }
        self.connection = Some(self.connect_to_any().await?);
        let table = self.find_table().await?;
        self.table = Some(table.clone());
        Ok(table)
    }

    /// Connects to the first frontend that answers, from the current one on. Errors if none does.
    async fn connect_to_any(&mut self) -> Result<MySqlConnection, AuditTableError> {
        let mut failed = Vec::new();
        loop {
            match self.connect().await {
                Ok(connection) => return Ok(connection),
                Err(error) => failed.push(error),
            }
            if failed.len() < self.settings.url.servers().len() {
                self.disconnect();
                continue;
            }
            return Err(match failed.pop() {
                Some(error) if failed.is_empty() => error,
                last => AuditTableError::NoFrontend(failed.into_iter().chain(last).collect()),
            });
        }
    }

    async fn connect(&self) -> Result<MySqlConnection, AuditTableError> {
        let server = self.server();
        let servers = self.settings.url.servers();
        let Some((_, options)) = servers.get(self.current % servers.len().max(1)) else {
            return Err(AuditTableError::Timeout { server, after: Duration::ZERO });
        };
        let options = match self.settings.password.as_str() {
            "" => options.clone(),
            password => options.clone().password(password),
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
            Err(_) => Err(AuditTableError::Timeout { server, after: CONNECT_TIMEOUT }),
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(source)) => Err(match server_message(&source) {
                Some((number, message)) => match ServerError::of(number, &message) {
                    ServerError::Login | ServerError::Denied => AuditTableError::Login {
                        server,
                        user: self.settings.url.user().to_string(),
                        message,
                        sent: match self.settings.password.is_empty() {
                            true => "no password was sent: set ANNALS_AUDIT_TABLE_PASSWORD",
                            false => "a password was sent",
                        },
                    },
                    _ => AuditTableError::Rejected { server, message },
                },
                None if self.settings.url.requires_tls() && !is_refused(&source) => {
                    AuditTableError::Tls { server, source }
                }
                None => AuditTableError::NoAnswer { server, source },
            }),
        }
    }

    /// Returns the configured table, or the first known one that the cluster has and lets the user read.
    async fn find_table(&mut self) -> Result<AuditTable, AuditTableError> {
        let candidates: Vec<TableName> = match &self.settings.table {
            Some(table) => vec![table.clone()],
            None => KNOWN_TABLES.iter().filter_map(|name| name.parse().ok()).collect(),
        };
        let (mut missing, mut denied) = (None, None);
        for name in candidates {
            let described = self.texts(statements::columns(&name)).await;
            match described {
                Ok(columns) => {
                    let zone = self.zone(&name).await?;
                    let columns = columns.into_iter().filter_map(|mut row| match &mut row[..] {
                        [Some(name), Some(kind), ..] => {
                            Some((std::mem::take(name), std::mem::take(kind)))
                        }
                        _ => None,
                    });
                    return AuditTable::new(name, columns.collect(), zone);
                }
                Err(Answer::Server(number, message)) => match ServerError::of(number, &message) {
                    ServerError::NoTable => missing = missing.or(Some(message)),
                    ServerError::Denied => denied = denied.or(Some(message)),
                    _ => return Err(AuditTableError::Rejected { server: self.server(), message }),
                },
                Err(Answer::Failed(error)) => return Err(error),
            }
        }
        let user = self.settings.url.user().to_string();
        Err(match (denied, missing) {
            (Some(message), _) => {
                let table = self.settings.table.as_ref().map(TableName::to_string);
                AuditTableError::denied(user, table, message)
            }
            (None, missing) => AuditTableError::NoTable { message: missing.unwrap_or_default() },
        })
    }

    /// Returns the zone of a table's times.
    async fn zone(&mut self, table: &TableName) -> Result<Zone, AuditTableError> {
        if let Some(zone) = self.settings.zone {
            return Ok(zone);
        }
        let rows = self.texts(statements::zones()).await.map_err(|answer| self.error(answer))?;
        let variables: Vec<(String, String)> = rows
            .into_iter()
            .filter_map(|mut row| match &mut row[..] {
                [Some(name), Some(value), ..] => {
                    Some((std::mem::take(name), std::mem::take(value)))
                }
                _ => None,
            })
            .collect();
        Ok(zone_of(&variables, table)?.unwrap_or(self.default_zone))
    }

    /// Returns the number of rows of each minute of a range that has any, the newest minute first.
    pub(crate) async fn minutes(
        &mut self,
        range: MinuteRange,
    ) -> Result<Vec<MinuteCount>, AuditTableError> {
        let table = self.table().await?;
        let sql = statements::minutes(&table.name, table.time(), range);
        let rows = self.texts(sql).await.map_err(|answer| self.error(answer))?;
        let mut minutes = Vec::with_capacity(rows.len());
        for row in rows {
            minutes.push(match &row[..] {
                [Some(minute), Some(count)] => {
                    LocalMinute::parse(minute).zip(count.parse().ok()).ok_or_else(|| self.odd())?
                }
                _ => return Err(self.odd()),
            });
        }
        minutes.sort_unstable_by(|a, b| b.cmp(a));
        Ok(minutes)
    }

    /// Returns the number of rows of a range, and the last minute that has one.
    pub(crate) async fn totals(&mut self, range: MinuteRange) -> Result<Totals, AuditTableError> {
        let table = self.table().await?;
        let sql = statements::totals(&table.name, table.time(), range);
        let rows = self.texts(sql).await.map_err(|answer| self.error(answer))?;
        match rows.first().map(|row| &row[..]) {
            Some([newest, Some(rows)]) => {
                let rows = rows.parse().map_err(|_| self.odd())?;
                Ok(Totals { rows, newest: newest.as_deref().and_then(LocalMinute::parse) })
            }
            _ => Err(self.odd()),
        }
    }

    /// Returns the rows of a range.
    pub(crate) async fn rows(
        &mut self,
        range: MinuteRange,
    ) -> Result<(AuditTable, RowStream<'_>), AuditTableError> {
        let table = self.table().await?;
        let sql = statements::rows(&table.name, &table.names, table.time(), range);
        let (server, user) = (self.server(), self.settings.url.user().to_string());
        let Some(connection) = &mut self.connection else {
            return Err(AuditTableError::Timeout { server, after: Duration::ZERO });
        };
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(connection);
        Ok((table.clone(), RowStream { rows, table, server, user }))
    }

    /// Returns the rows that a statement gives as texts.
    async fn texts(&mut self, sql: String) -> Result<Vec<Vec<Option<String>>>, Answer> {
        let server = self.server();
        let Some(connection) = &mut self.connection else {
            let error = AuditTableError::Timeout { server, after: Duration::ZERO };
            return Err(Answer::Failed(error));
        };
        let mut stream = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(connection);
        let mut rows = Vec::new();
        loop {
            match tokio::time::timeout(ANSWER_TIMEOUT, stream.next()).await {
                Ok(None) => return Ok(rows),
                Ok(Some(Ok(row))) => rows.push(texts_of(&row)),
                Ok(Some(Err(source))) => {
                    return Err(match server_message(&source) {
                        Some((number, message)) => Answer::Server(number, message),
                        None => Answer::Failed(AuditTableError::Broken { server, source }),
                    });
                }
                Err(_) => {
                    let error = AuditTableError::Timeout { server, after: ANSWER_TIMEOUT };
                    return Err(Answer::Failed(error));
                }
            }
        }
    }

    fn odd(&self) -> AuditTableError {
        let what = "a count of rows is no number, or its minute no time";
        AuditTableError::NotUnderstood { server: self.server(), what }
    }

    fn error(&self, answer: Answer) -> AuditTableError {
        match answer {
            Answer::Failed(error) => error,
            Answer::Server(number, message) => {
                let user = self.settings.url.user();
                let table = self.table.as_ref().map(|table| table.name.to_string());
                rejected(self.server(), user, table.unwrap_or_default(), number, message)
            }
        }
    }
}

/// Returns whether no connection was made at all.
fn is_refused(error: &sqlx::Error) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut};
    let kinds = [ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut];
    matches!(error, sqlx::Error::Io(error) if kinds.contains(&error.kind()))
}

/// Why a statement gave no rows.
enum Answer {
    /// The server sent an error with its number and message.
    Server(u16, String),
    Failed(AuditTableError),
}

fn rejected(
    server: String,
    user: &str,
    table: String,
    number: u16,
    message: String,
) -> AuditTableError {
    match ServerError::of(number, &message) {
        ServerError::Denied => AuditTableError::denied(user.to_string(), Some(table), message),
        _ => AuditTableError::Rejected { server, message },
    }
}

/// The rows of a range, as they arrive.
pub(crate) struct RowStream<'c> {
    rows: BoxStream<'c, Result<MySqlRow, sqlx::Error>>,
    table: AuditTable,
    server: String,
    user: String,
}

impl RowStream<'_> {
    /// Returns the next row, or None after the last. Errors if a row has no time, if the connection breaks or if no row comes
    /// for two minutes.
    pub(crate) async fn next(&mut self) -> Result<Option<AuditRow>, AuditTableError> {
        let server = || self.server.clone();
        let next = tokio::time::timeout(ANSWER_TIMEOUT, self.rows.next()).await;
        let next =
            next.map_err(|_| AuditTableError::Timeout { server: server(), after: ANSWER_TIMEOUT })?;
        match next {
            None => Ok(None),
            Some(Ok(row)) => {
                let row = self.table.row(texts_of(&row));
                let what = "a row has no time";
                row.map(Some)
                    .ok_or_else(|| AuditTableError::NotUnderstood { server: server(), what })
            }
            Some(Err(source)) => Err(match server_message(&source) {
                Some((number, message)) => {
                    let table = self.table.name.to_string();
                    rejected(server(), &self.user, table, number, message)
                }
                None => AuditTableError::Broken { server: server(), source },
            }),
        }
    }
}

/// Returns the values of a row as texts. Bytes that are not UTF-8 become U+FFFD.
fn texts_of(row: &MySqlRow) -> Vec<Option<String>> {
    let text = |at: usize| {
        let value = row.try_get_raw(at).ok()?;
        if value.is_null() {
            return None;
        }
        let bytes = <&[u8] as sqlx::Decode<MySql>>::decode(value).ok()?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    };
    (0..row.len()).map(text).collect()
}
