//! Opening a history: its schema is made, or brought up to date, by the first annals that opens it.

use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};

use super::cluster::{Cluster, connect_to_primary};
use super::long_reads::LongReads;
use super::{PostgresAddress, Store};
use crate::store::error::OpenError;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// Connections that read at once. Each is a process of the server.
const READERS: u32 = 16;
/// Reads of each kind of long reads that run at once.
const LONG_READS: usize = 4;
/// How long a list with other conditions and a search may take.
const SCAN_TIME: Duration = Duration::from_secs(10);
/// How long a report may take.
const REPORT_TIME: Duration = Duration::from_secs(30);
/// Connections of a command: one to read, and one to end what the other reads.
const COMMAND_READERS: u32 = 2;

impl Store {
    /// Opens a history to read and to write. Makes its tables if there are none, and brings older ones up to date.
    pub(in crate::store) async fn open(address: &PostgresAddress) -> Result<Store, OpenError> {
        let not_opened = |error| OpenError::of_postgres(address, error);
        let (_, mut connection) = connect_to_primary(address).await.map_err(not_opened)?;
        if !is_current(&applied(&mut connection).await.map_err(not_opened)?, address)? {
            MIGRATIONS.run(&mut connection).await.map_err(|error| not_opened(error.into()))?;
        }
        connection.close().await.map_err(not_opened)?;
        let cluster = Cluster::connect(address, READERS).await.map_err(not_opened)?;
        let reads = |time| Arc::new(LongReads::new(cluster.clone(), LONG_READS, Some(time)));
        let (newest, scans, reports) = (reads(SCAN_TIME), reads(SCAN_TIME), reads(REPORT_TIME));
        Ok(Store { cluster, newest, scans, reports })
    }

    /// Opens a history to read only. Never changes its schema.
    pub(in crate::store) async fn open_to_read(
        address: &PostgresAddress,
    ) -> Result<Store, OpenError> {
        let not_opened = |error| OpenError::of_postgres(address, error);
        let cluster = Cluster::connect(address, COMMAND_READERS).await.map_err(not_opened)?;
        let mut connection = cluster.pool().acquire().await.map_err(not_opened)?;
        let applied = applied(&mut connection).await.map_err(not_opened)?;
        drop(connection);
        let of_postgres = |what: &str| OpenError::Postgres(address.to_string(), what.to_string());
        if applied.is_empty() {
            return Err(of_postgres(
                "holds no history yet; annals import or annals serve fills it",
            ));
        }
        if !is_current(&applied, address)? {
            return Err(of_postgres(
                "was written by an older annals; open it once with annals serve, which brings it up to date",
            ));
        }
        let reads = Arc::new(LongReads::new(cluster.clone(), 1, None));
        Ok(Store { cluster, newest: reads.clone(), scans: reads.clone(), reports: reads })
    }
}

/// Returns whether a database with these migrations has all of them. Errors if it has one that this annals does not know.
fn is_current(applied: &[i64], address: &PostgresAddress) -> Result<bool, OpenError> {
    if applied.iter().any(|version| !MIGRATIONS.version_exists(*version)) {
        let what = "was written by a newer annals; open it with that version or a later one";
        return Err(OpenError::Postgres(address.to_string(), what.to_string()));
    }
    Ok(MIGRATIONS.iter().all(|known| applied.contains(&known.version)))
}

/// Returns the versions of the migrations of a database; none if annals has not used it.
async fn applied(connection: &mut PgConnection) -> Result<Vec<i64>, sqlx::Error> {
    // No macro: the table is sqlx's own, and no migration creates it.
    let table: Option<String> = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations')::text")
        .fetch_one(&mut *connection)
        .await?;
    match table {
        None => Ok(Vec::new()),
        Some(_) => {
            sqlx::query_scalar("SELECT version FROM _sqlx_migrations").fetch_all(connection).await
        }
    }
}
