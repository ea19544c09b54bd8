//! What the errors of PostgreSQL mean.

use std::io::ErrorKind;
use std::sync::Arc;

use sqlx::postgres::PgDatabaseError;

use super::PostgresAddress;
use crate::store::error::{OpenError, StoreError};

/// Returns the error of the store for an error of PostgreSQL; None for an error of another driver.
///
/// The codes are those of the manual's appendix "PostgreSQL Error Codes". Whatever may succeed a moment later is
/// [`StoreError::Busy`]: the writer tries it again.
pub(in crate::store) fn of_postgres(error: &Arc<sqlx::Error>) -> Option<StoreError> {
    let cause = error.clone();
    let code = match &**error {
        sqlx::Error::Database(database) => {
            database.try_downcast_ref::<PgDatabaseError>()?.code().to_string()
        }
        _ => return None,
    };
    Some(match code.as_str() {
        // disk_full; too many rows for a table or an index of Citus or an extension are no such error.
        "53100" => StoreError::Full(cause),
        // data_corrupted, index_corrupted.
        "XX001" | "XX002" => StoreError::Corrupt(cause),
        // insufficient_privilege.
        "42501" => StoreError::NotWritable(cause),
        // serialization_failure, deadlock_detected, lock_not_available, read_only_sql_transaction (the server is a replica
        // now), query_canceled (a time-out of the server).
        "40001" | "40P01" | "55P03" | "25006" | "57014" => StoreError::Busy(cause),
        // connection_exception, insufficient_resources, operator_intervention (the server stops or starts).
        _ if ["08", "53", "57"].contains(&code.get(..2).unwrap_or_default()) => {
            StoreError::Busy(cause)
        }
        _ => StoreError::Other(cause),
    })
}

/// Returns whether an error says that the server cannot be reached at the moment.
pub(in crate::store) fn is_lost_connection(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed)
        || matches!(error, sqlx::Error::Io(error) if error.kind() != ErrorKind::Other)
}

impl OpenError {
    /// Returns what an error means for the user who opens a history in PostgreSQL.
    pub(super) fn of_postgres(address: &PostgresAddress, error: sqlx::Error) -> OpenError {
        let database = error.as_database_error().and_then(|error| error.code());
        let what = match database.as_deref() {
            // invalid_password, invalid_authorization_specification.
            Some("28P01" | "28000") => {
                "rejects the user or the password; the password is in the address, in PGPASSWORD, or in the file that \
                 PGPASSFILE names"
                    .to_string()
            }
            // invalid_catalog_name.
            Some("3D000") => "does not exist; make it with createdb".to_string(),
            Some("42501") => {
                "lacks a right: the user who opens a history first needs CREATE on the schema; see docs/postgres.md"
                    .to_string()
            }
            Some(_) => format!("cannot be opened: {}", message(&error)),
            None => format!("cannot be reached: {}", message(&error)),
        };
        OpenError::Postgres(address.to_string(), what)
    }
}

/// Returns the message of an error, in one line.
fn message(error: &sqlx::Error) -> String {
    let text = match error {
        sqlx::Error::Database(database) => database.message().to_string(),
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Tls(error) => format!("TLS: {error}"),
        sqlx::Error::PoolTimedOut => "no answer in time".to_string(),
        error => error.to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
