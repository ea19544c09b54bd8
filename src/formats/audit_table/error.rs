//! What goes wrong between annals and a cluster.

use std::time::Duration;

use sqlx::mysql::MySqlDatabaseError;

use super::table::KNOWN_TABLES;

/// Why a cluster did not give what annals asked for. No message holds a password.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditTableError {
    #[error(
        "the frontend {server} does not answer: {source}; check that it runs and that the URL has the port at which it \
         speaks the MySQL protocol, 9030 by default"
    )]
    NoAnswer { server: String, source: sqlx::Error },
    #[error("none of the frontends can be asked: {}", texts(.0))]
    NoFrontend(Vec<AuditTableError>),
    #[error("the frontend {server} gives no answer within {} s", .after.as_secs())]
    Timeout { server: String, after: Duration },
    #[error(
        "no TLS with the frontend {server}: {source}; check ssl-mode, that ssl-ca names the file of the authority that signed \
         the frontend's certificate, and that the frontend has TLS switched on"
    )]
    Tls { server: String, source: sqlx::Error },
    #[error("the frontend {server} rejects the user {user} or the password ({sent}): {message}")]
    Login { server: String, user: String, message: String, sent: &'static str },
    #[error(
        "the cluster's time zone is {0}, an offset that no time zone has all year; set time_zone of the audit table"
    )]
    Offset(String),
    #[error(
        "the user {user} may not read the audit table: {message}; the smallest right that annals needs is, in Doris: \
         GRANT SELECT_PRIV ON {in_doris} TO '{user}'; in StarRocks: GRANT SELECT ON TABLE {in_starrocks} TO USER '{user}'"
    )]
    Denied { user: String, in_doris: String, in_starrocks: String, message: String },
    #[error(
        "the cluster has no audit table: {message}; Doris 2.1 and later fill __internal_schema.audit_log after SET GLOBAL \
         enable_audit_plugin = true, and StarRocks needs its AuditLoader; a table of another name is named by `table`"
    )]
    NoTable { message: String },
    #[error(
        "the table {0} has no column `time` or `timestamp` with a date and a time, so it is no audit table"
    )]
    NoTimeColumn(String),
    #[error("the frontend {server} rejects a statement of annals: {message}")]
    Rejected { server: String, message: String },
    #[error("the connection to the frontend {server} broke: {source}")]
    Broken { server: String, source: sqlx::Error },
    #[error("annals does not understand the answer of the frontend {server}: {what}")]
    NotUnderstood { server: String, what: &'static str },
    #[error(
        "the frontend {server} gave {read} rows where it had counted {counted}; annals asks again. If this does not end, \
         set sql_select_limit of the user to its default"
    )]
    Incomplete { server: String, read: u64, counted: u64 },
}

impl AuditTableError {
    /// Returns the error of a user who may not read a table: the known one of each program, if none is named.
    pub(super) fn denied(user: String, table: Option<String>, message: String) -> AuditTableError {
        let [doris, starrocks, ..] = KNOWN_TABLES.map(str::to_string);
        AuditTableError::Denied {
            user,
            in_doris: table.clone().unwrap_or(doris),
            in_starrocks: table.unwrap_or(starrocks),
            message,
        }
    }
}

fn texts(errors: &[AuditTableError]) -> String {
    errors.iter().map(AuditTableError::to_string).collect::<Vec<_>>().join("; ")
}

/// What an error of a server means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ServerError {
    Login,
    Denied,
    NoTable,
    Other,
}

impl ServerError {
    /// Returns what an error means. Frontends often send one number for many errors, so the message counts, too.
    pub(super) fn of(number: u16, message: &str) -> ServerError {
        let message = message.to_ascii_lowercase();
        match number {
            1045 => ServerError::Login,
            1044 | 1142 | 1143 | 1227 | 5203 => ServerError::Denied,
            1049 | 1051 | 1109 | 1146 | 5501 | 5502 => ServerError::NoTable,
            _ if message.contains("denied") => ServerError::Denied,
            _ if ["unknown table", "unknown database", "does not exist", "doesn't exist"]
                .iter()
                .any(|words| message.contains(words)) =>
            {
                ServerError::NoTable
            }
            _ => ServerError::Other,
        }
    }
}

/// The longest message of a server that is repeated, in bytes.
const LONGEST_MESSAGE: usize = 500;

/// Returns the number and the message of an error that the server sent, or None for any other error.
pub(super) fn server_message(error: &sqlx::Error) -> Option<(u16, String)> {
    let error = error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?;
    let message = error.message();
    let end = message.floor_char_boundary(LONGEST_MESSAGE);
    let message = message[..end].trim_end_matches(['.', '\n', ' ']);
    Some((error.number(), message.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_told_apart_by_number_or_words() {
        for (number, message, meaning) in [
            (
                1045,
                "Access denied for user 'a'@'10.0.0.1' (using password: YES)",
                ServerError::Login,
            ),
            (
                1142,
                "SELECT command denied to user 'a'@'%' for table 'audit_log'",
                ServerError::Denied,
            ),
            (
                1105,
                "errCode = 2, detailMessage = SHOW command denied to user 'a'@'%' for table 'audit_log'",
                ServerError::Denied,
            ),
            (
                5203,
                "Access denied; you need (at least one of) the SELECT privilege(s) on TABLE t",
                ServerError::Denied,
            ),
            (1105, "errCode = 2, detailMessage = Unknown database 'x'", ServerError::NoTable),
            (1146, "Table 'a.b' doesn't exist", ServerError::NoTable),
            (1064, "You have an error in your SQL syntax", ServerError::Other),
        ] {
            assert_eq!(ServerError::of(number, message), meaning, "{message}");
        }
    }
}
