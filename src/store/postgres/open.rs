//! Opening a history: its schema is made, or brought up to date, by the first annals that opens it.

use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migration, Migrator};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::cluster::Cluster;
use super::error::message;
use super::long_reads::LongReads;
use super::primary::find_primary;
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

/// What a database holds of annals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Schema {
    /// No table of annals.
    None,
    /// The tables of an older annals.
    Older,
    Current,
}

impl Store {
    /// Opens a history to read and to write. Makes its tables if there are none, and brings older ones up to date.
    pub(in crate::store) async fn open(address: &PostgresAddress) -> Result<Store, OpenError> {
        let not_opened = |error| OpenError::of_postgres(address, error);
        let primary = find_primary(address, None).await.map_err(not_opened)?;
        let mut connection = primary.connection;
        let schema = schema_of(&mut connection, address).await?;
        if schema != Schema::Current
            && let Err(error) = migrate(&mut connection).await
        {
            return Err(not_migrated(address, schema, error));
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
        let mut connection = cluster.reader().await.map_err(not_opened)?;
        let schema = schema_of(&mut connection, address).await?;
        if schema != Schema::Current {
            let may_create = may_create(&mut connection).await.map_err(not_opened)?;
            return Err(not_readable(address, schema, may_create));
        }
        drop(connection);
        let reads = Arc::new(LongReads::new(cluster.clone(), 1, None));
        Ok(Store { cluster, newest: reads.clone(), scans: reads.clone(), reports: reads })
    }
}

fn rejected(address: &PostgresAddress, what: impl Into<String>) -> OpenError {
    OpenError::Postgres(address.to_string(), what.into())
}

/// What the owner of the tables does for users who may not.
const BY_OWNER: &str =
    "the owner of the database opens it once, as with `annals user list --db postgres://OWNER@...`";
/// How a database for annals alone is made.
const MAKE_DATABASE: &str = "createdb --encoding UTF8 --template template0 NAME";

/// Makes the tables, or brings them up to date. On an error nothing has changed.
async fn migrate(connection: &mut PgConnection) -> Result<(), MigrateError> {
    let mut transaction = connection.begin().await?;
    // Another annals that opens the same database waits until this one has committed.
    // No macro: the statement is checked against no table.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('annals: schema'))")
        .execute(&mut *transaction)
        .await?;
    // So that Citus changes several tables with foreign keys in one transaction. PostgreSQL ignores it.
    sqlx::query("SELECT set_config('citus.multi_shard_modify_mode', 'sequential', true)")
        .execute(&mut *transaction)
        .await?;
    // Makes the table of the migrations, and compares the applied migrations with the known ones. No migration is 0.
    MIGRATIONS.skip(&mut *transaction, Some(0)).await?;
    let applied = transaction.list_applied_migrations(&MIGRATIONS.table_name).await?;
    for migration in MIGRATIONS.iter() {
        if applied.iter().any(|it| it.version == migration.version) {
            continue;
        }
        for statement in statements_of(migration.sql.as_str()) {
            let statement = sqlx::query(AssertSqlSafe(statement)).persistent(false);
            let executed = statement.execute(&mut *transaction).await;
            executed.map_err(|error| MigrateError::ExecuteMigration(error, migration.version))?;
        }
        MIGRATIONS.skip(&mut *transaction, Some(migration.version)).await?;
    }
    Ok(transaction.commit().await?)
}

/// Returns the statements of a migration, each of which ends with its line. No text has a semicolon at the end of a line. Citus
/// sends a worker the whole text of which a statement is a part, and the worker rejects more than one statement.
fn statements_of(migration: &str) -> Vec<String> {
    let (mut statements, mut next, mut is_quoted) = (Vec::new(), String::new(), false);
    for line in migration.lines().filter(|line| !line.trim_start().starts_with("--")) {
        is_quoted ^= line.matches("$$").count() % 2 == 1;
        next.push_str(line);
        next.push('\n');
        if !is_quoted && line.trim_end().ends_with(';') {
            statements.push(std::mem::take(&mut next));
        }
    }
    statements
}

/// Returns what an error of [`migrate`] means.
fn not_migrated(address: &PostgresAddress, schema: Schema, error: MigrateError) -> OpenError {
    let error = match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error,
        other => other.into(),
    };
    let code = error.as_database_error().and_then(|error| error.code());
    let (is_new, said) = (schema == Schema::None, message(&error));
    let what = match code.as_deref() {
        // insufficient_privilege.
        Some("42501") if is_new => {
            format!(
                "holds no history yet, and this user may not make its tables ({said}); {BY_OWNER}"
            )
        }
        Some("42501") => format!(
            "was written by an older annals, and this user may not bring its tables up to date ({said}); {BY_OWNER}"
        ),
        // duplicate_table, duplicate_object, duplicate_function.
        Some("42P07" | "42710" | "42723") if is_new => format!(
            "holds tables of another program with the names of annals' ({said}); make a database for annals alone: \
             {MAKE_DATABASE}"
        ),
        None if !matches!(error, sqlx::Error::Migrate(_)) => {
            return OpenError::of_postgres(address, error);
        }
        _ if is_new => format!("holds no history yet, and its tables could not be made: {said}"),
        _ => format!("was written by an older annals, and could not be brought up to date: {said}"),
    };
    rejected(address, what)
}

/// Returns why a history whose schema is not this annals' own cannot be read.
fn not_readable(address: &PostgresAddress, schema: Schema, may_create: bool) -> OpenError {
    let what = match (schema, may_create) {
        (Schema::None, true) => {
            "holds no history yet; annals import or annals serve fills it".to_string()
        }
        (Schema::None, false) => format!("holds no history yet; {BY_OWNER}"),
        (_, true) => {
            "was written by an older annals; open it once with annals serve, which brings it up to date"
                .to_string()
        }
        (_, false) => format!("was written by an older annals; {BY_OWNER}"),
    };
    rejected(address, what)
}

/// Returns whether the user may make tables.
async fn may_create(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    // No macro: a function of PostgreSQL, and no table.
    sqlx::query_scalar("SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)")
        .fetch_one(connection)
        .await
}

/// Returns what a database holds of annals. Errors if it is not for this annals: its encoding is not UTF8, its tables are
/// a newer annals', or its migrations are another program's.
async fn schema_of(
    connection: &mut PgConnection,
    address: &PostgresAddress,
) -> Result<Schema, OpenError> {
    let not_opened = |error| OpenError::of_postgres(address, error);
    // No macros: the settings are PostgreSQL's, and the table is sqlx's own, which no migration creates.
    let encoding: String = sqlx::query_scalar("SELECT current_setting('server_encoding')")
        .fetch_one(&mut *connection)
        .await
        .map_err(not_opened)?;
    if encoding != "UTF8" {
        let what = format!(
            "has the encoding {encoding}, which lacks characters that statements have; make another database: \
             {MAKE_DATABASE}"
        );
        return Err(rejected(address, what));
    }
    let table: Option<String> = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations')::text")
        .fetch_one(&mut *connection)
        .await
        .map_err(not_opened)?;
    if table.is_none() {
        return Ok(Schema::None);
    }
    let applied = sqlx::query_as("SELECT version, description FROM _sqlx_migrations")
        .fetch_all(connection)
        .await;
    let applied: Vec<(i64, String)> = match applied {
        Ok(applied) => applied,
        // undefined_column: a table of that name that sqlx did not make.
        Err(error)
            if error.as_database_error().is_some_and(|it| it.code() == Some("42703".into())) =>
        {
            vec![(i64::MIN, String::new())]
        }
        Err(error) => return Err(not_opened(error)),
    };
    schema_with(&applied).map_err(|what| rejected(address, what))
}

/// Returns what a database with these migrations holds, by their versions and descriptions.
fn schema_with(applied: &[(i64, String)]) -> Result<Schema, String> {
    let has = |version: i64| applied.iter().any(|(applied, _)| *applied == version);
    let is_first = |known: &Migration| {
        applied.iter().any(|(version, name)| {
            (*version, name.as_str()) == (known.version, known.description.as_ref())
        })
    };
    if applied.is_empty() {
        return Ok(Schema::None);
    }
    if !MIGRATIONS.iter().next().is_some_and(is_first) {
        return Err(format!(
            "holds the tables of another program, which has a table _sqlx_migrations; make a database for annals alone: \
             {MAKE_DATABASE}"
        ));
    }
    if applied.iter().any(|(version, _)| !MIGRATIONS.version_exists(*version)) {
        let newer = "was written by a newer annals; open it with that version or a later one";
        return Err(newer.to_string());
    }
    let is_current = MIGRATIONS.iter().all(|known| has(known.version));
    Ok(if is_current { Schema::Current } else { Schema::Older })
}
