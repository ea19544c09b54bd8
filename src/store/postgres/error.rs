//! What the errors of PostgreSQL mean.

use std::io::ErrorKind;
use std::sync::Arc;

use sqlx::postgres::PgDatabaseError;

use super::PostgresAddress;
use crate::store::error::{OpenError, ServerError, StoreError};

/// Returns the error of the store for an error of PostgreSQL or of a pool; None for an error of another driver.
///
/// The codes are those of the manual's appendix "PostgreSQL Error Codes". The writer tries again what may succeed a moment
/// later ([`StoreError::may_pass`]).
pub(in crate::store) fn of_postgres(error: &sqlx::Error) -> Option<StoreError> {
    let cause = |text: String| Arc::new(ServerError(text));
    let database = match error {
        sqlx::Error::Database(database) => database.try_downcast_ref::<PgDatabaseError>()?,
        sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => {
            let text = "no connection to the history was free in time".to_string();
            return Some(StoreError::Unreachable(cause(text)));
        }
        sqlx::Error::Io(io) if io.get_ref().is_some_and(|inner| inner.is::<ServerError>()) => {
            return Some(StoreError::Unreachable(cause(io.to_string())));
        }
        sqlx::Error::Io(io) if io.kind() != ErrorKind::Other => {
            let text = format!("the connection to PostgreSQL was lost ({})", message(error));
            return Some(StoreError::Unreachable(cause(text)));
        }
        _ => return None,
    };
    let said = message(error);
    let from_server = cause(format!("PostgreSQL says: {said}"));
    Some(match database.code() {
        // disk_full; too many rows for a table or an index of Citus or an extension are no such error.
        "53100" => {
            StoreError::Full(cause(format!("the disk of the PostgreSQL server is full ({said})")))
        }
        // data_corrupted, index_corrupted.
        "XX001" | "XX002" => StoreError::Corrupt(from_server),
        // insufficient_privilege.
        "42501" => StoreError::NotWritable(from_server),
        // serialization_failure, deadlock_detected, lock_not_available, query_canceled (a time-out of the server),
        // unique_violation (another writer has stored the same query).
        "40001" | "40P01" | "55P03" | "57014" | "23505" => StoreError::Busy(from_server),
        // internal_error: Citus gives it for a unique_violation of COPY.
        "XX000" if database.message().contains("query_pkey") => StoreError::Busy(from_server),
        // configuration_limit_exceeded: temp_file_limit of the server.
        "53400" => StoreError::Other(from_server),
        // read_only_sql_transaction: the server is a replica now, or accepts no writes.
        "25006" => StoreError::Unreachable(from_server),
        // idle_in_transaction_session_timeout: the server has ended the session.
        "25P03" => StoreError::Unreachable(from_server),
        // connection_exception, insufficient_resources, operator_intervention (the server stops or starts).
        code if ["08", "53", "57"].contains(&code.get(..2).unwrap_or_default()) => {
            StoreError::Unreachable(from_server)
        }
        _ => StoreError::Other(from_server),
    })
}

/// Returns the error of a server that does not answer, or that accepts no connection. `place` is its host and port.
pub(super) fn no_answer(place: &str, error: &sqlx::Error) -> sqlx::Error {
    let text = format!("PostgreSQL at {place} does not answer ({})", message(error));
    not_connected(text)
}

/// Returns the error of a server that annals is not connected to, as a sentence.
pub(super) fn not_connected(text: String) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(ErrorKind::NotConnected, ServerError(text)))
}

impl OpenError {
    /// Returns what an error means for the user who opens a history in PostgreSQL.
    pub(super) fn of_postgres(address: &PostgresAddress, error: sqlx::Error) -> OpenError {
        let database = error.as_database_error().and_then(|error| error.code());
        let what = match database.as_deref() {
            // invalid_password.
            Some("28P01") => {
                "rejects the user or the password; the password is in the address, in PGPASSWORD, or in the file that \
                 PGPASSFILE names, which only its owner may read (chmod 600)"
                    .to_string()
            }
            // invalid_authorization_specification: an unknown role, or a rule of pg_hba.conf.
            Some("28000") => format!("rejects the connection: {}", message(&error)),
            // duplicate_prepared_statement, invalid_sql_statement_name.
            Some("42P05" | "26000") => {
                "is behind a pooler that changes servers between statements; annals needs its session mode"
                    .to_string()
            }
            // invalid_catalog_name.
            Some("3D000") => {
                format!("cannot be opened: {}; make it with createdb", message(&error))
            }
            // read_only_sql_transaction.
            Some("25006") => {
                let said = message(&error);
                format!("accepts no writes: {said}; default_transaction_read_only is on, or it is a replica")
            }
            Some("42501") => {
                let said = message(&error);
                format!("refuses a right: {said}; docs/postgres.md says which role may do what")
            }
            Some(_) => format!("cannot be opened: {}", message(&error)),
            None => format!("cannot be reached: {}", message(&error)),
        };
        OpenError::Postgres(address.to_string(), what)
    }
}

/// Returns the message of an error, in one line.
pub(super) fn message(error: &sqlx::Error) -> String {
    let text = match error {
        sqlx::Error::Database(database) => database.message().to_string(),
        sqlx::Error::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
            "the connection was closed".to_string()
        }
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Tls(error) => format!("TLS: {error}"),
        sqlx::Error::PoolTimedOut => "no answer in time".to_string(),
        error => error.to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
