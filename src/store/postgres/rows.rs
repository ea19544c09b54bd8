//! The tables `query` and `load`: a record as a row, and a row as a record.
//!
//! The columns are the fields of the tables in `domain/record/fields.rs`, by the same names, so the statements here are
//! built from these tables. A test prepares each of them.

use std::sync::LazyLock;

use sqlx::postgres::{PgConnection, PgRow, PgValueRef};
use sqlx::{AssertSqlSafe, Decode, Postgres, Row, TypeInfo, ValueRef};

use super::nul::without_nul;
use crate::domain::record::{Field, FieldValue, Load, QueryId, QueryRecord, StoredQuery};
use crate::domain::statement::Fingerprint;
use crate::store::error::StoreError;

/// Selects what [`read_query`] reads, up to the conditions. For EXISTS, the server would read the ids of all profiles. `$1` is the most characters of a statement: cutting counts
/// them, so a statement of no more bytes is taken as it is.
pub(super) static SELECT_QUERY: LazyLock<String> = LazyLock::new(|| {
    let field = |name| match name {
        "statement" => CUT_STATEMENT.to_string(),
        name => format!("query.{}", quoted(name)),
    };
    let fields: Vec<String> = names(&QueryRecord::FIELDS).map(field).collect();
    let of_load: Vec<String> = names(&Load::FIELDS).map(|name| format!("load.{name}")).collect();
    format!(
        "SELECT query.id, query.revision, query.fingerprint,
             (SELECT true FROM profile WHERE profile.query_id = query.query_id) IS NOT NULL,
             query.extra, {}, load.query_id, {}
         FROM query LEFT JOIN load ON load.query_id = query.query_id ",
        fields.join(", "),
        of_load.join(", ")
    )
});

/// The first characters of a statement, as many as `$1`.
pub(super) const CUT_STATEMENT: &str = "CASE WHEN octet_length(query.statement) <= $1 THEN query.statement ELSE left(query.statement, $1) END";

/// The columns of [`SELECT_QUERY`] before those of the fields.
const BEFORE_FIELDS: usize = 5;

/// Tables for the rows of a batch, in the session of a writer.
pub(super) const CREATE_INCOMING: &str =
    "CREATE TEMPORARY TABLE IF NOT EXISTS incoming (LIKE query) ON COMMIT DELETE ROWS;
     ALTER TABLE incoming DROP is_failed, DROP revision;
     CREATE TEMPORARY TABLE IF NOT EXISTS incoming_load (LIKE load) ON COMMIT DELETE ROWS";

/// The columns of a copied query: the row, the fields, `extra` and the fingerprint.
static COPIED: LazyLock<String> = LazyLock::new(|| {
    let fields: Vec<String> = names(&QueryRecord::FIELDS).map(quoted).collect();
    format!("id, {}, extra, fingerprint", fields.join(", "))
});

static COPY_QUERIES: LazyLock<String> =
    LazyLock::new(|| format!("COPY incoming ({}) FROM STDIN (FORMAT binary)", *COPIED));

/// Inserts the copied queries whose ids have no row, in the order of their ids, so that two writers never wait for each
/// other. Returns the new rows.
static INSERT_QUERIES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO query ({0}) SELECT {0} FROM incoming ORDER BY query_id, id
         ON CONFLICT (query_id) DO NOTHING RETURNING id",
        *COPIED
    )
});

/// Writes the copied queries anew whose stored rows still have the revision that was read.
static UPDATE_QUERIES: LazyLock<String> = LazyLock::new(|| {
    let fields = names(&QueryRecord::FIELDS).skip(1).map(quoted);
    let changed = fields.chain(["extra".to_string(), "fingerprint".to_string()]);
    let assigned: Vec<String> = changed.map(|name| format!("{name} = incoming.{name}")).collect();
    format!(
        "UPDATE query SET revision = query.revision + 1, {}
         FROM incoming JOIN unnest($1::bigint[], $2::integer[]) AS known (id, revision) ON known.id = incoming.id
         WHERE query.query_id = incoming.query_id AND query.revision = known.revision",
        assigned.join(", ")
    )
});

static COPY_LOADS: LazyLock<String> = LazyLock::new(|| {
    let fields: Vec<&str> = names(&Load::FIELDS).collect();
    format!("COPY incoming_load (query_id, {}) FROM STDIN (FORMAT binary)", fields.join(", "))
});

/// Writes what only loads have, in place of what was there.
static WRITE_LOADS: LazyLock<String> = LazyLock::new(|| {
    let fields: Vec<&str> = names(&Load::FIELDS).collect();
    let assigned: Vec<String> =
        fields.iter().map(|name| format!("{name} = excluded.{name}")).collect();
    format!(
        "INSERT INTO load (query_id, {0}) SELECT query_id, {0} FROM incoming_load ORDER BY query_id
         ON CONFLICT (query_id) DO UPDATE SET {1}",
        fields.join(", "),
        assigned.join(", ")
    )
});

fn names(fields: &[Field]) -> impl Iterator<Item = &'static str> {
    fields.iter().map(|field| field.name)
}

/// Returns the name of a column as a statement has it: `user` is a word of SQL.
fn quoted(name: &str) -> String {
    if name == "user" { format!("\"{name}\"") } else { name.to_string() }
}

/// Rows in PostgreSQL's binary COPY format (manual, "COPY", "Binary Format").
struct CopyRows(Vec<u8>);

impl CopyRows {
    fn new() -> CopyRows {
        // The signature, no flags, no extension of the header.
        CopyRows(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec())
    }

    fn row(&mut self, columns: usize) {
        self.0.extend((columns as i16).to_be_bytes());
    }

    fn value(&mut self, value: FieldValue<'_>) {
        match value {
            FieldValue::Unknown => self.0.extend((-1_i32).to_be_bytes()),
            FieldValue::Text(text) | FieldValue::Json(text) => {
                self.bytes(without_nul(text).as_bytes());
            }
            FieldValue::Number(number) => self.bytes(&number.to_be_bytes()),
            FieldValue::Truth(truth) => self.bytes(&[truth.into()]),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend((bytes.len() as i32).to_be_bytes());
        self.0.extend(bytes);
    }

    /// Sends the rows, by a COPY statement.
    async fn send(mut self, connection: &mut PgConnection, copy: &str) -> Result<(), sqlx::Error> {
        self.row(usize::MAX);
        let mut sink = connection.copy_in_raw(copy).await?;
        sink.send(self.0).await?;
        sink.finish().await?;
        Ok(())
    }
}

/// A query to copy: its row, its record and its fingerprint.
type Copied<'q> = (i64, &'q QueryRecord, Option<Fingerprint>);

fn copied_queries<'q>(queries: impl Iterator<Item = Copied<'q>>) -> CopyRows {
    let mut rows = CopyRows::new();
    for (row, record, fingerprint) in queries {
        rows.row(QueryRecord::FIELDS.len() + 3);
        rows.value(FieldValue::Number(row));
        record.values().into_iter().for_each(|value| rows.value(value));
        let extra = (!record.extra.is_empty()).then(|| serde_json::json!(record.extra).to_string());
        rows.value(extra.as_deref().map_or(FieldValue::Unknown, FieldValue::Text));
        let fingerprint = fingerprint.map(Fingerprint::to_signed);
        rows.value(fingerprint.map_or(FieldValue::Unknown, FieldValue::Number));
    }
    rows
}

/// Returns the rows of what only loads have; None if no record is of a load.
fn copied_loads<'q>(records: impl Iterator<Item = &'q QueryRecord>) -> Option<CopyRows> {
    let mut rows = None;
    for record in records {
        let Some(load) = record.load.as_deref() else { continue };
        let rows = rows.get_or_insert_with(CopyRows::new);
        rows.row(Load::FIELDS.len() + 1);
        rows.value(FieldValue::Text(record.query_id.as_str()));
        load.values().into_iter().for_each(|value| rows.value(value));
    }
    rows
}

async fn copy_queries(connection: &mut PgConnection, rows: CopyRows) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM incoming").execute(&mut *connection).await?;
    rows.send(connection, &COPY_QUERIES).await
}

/// Writes what only loads have, in place of what was there.
async fn write_loads(
    connection: &mut PgConnection,
    rows: Option<CopyRows>,
) -> Result<(), sqlx::Error> {
    let Some(rows) = rows else { return Ok(()) };
    sqlx::query("DELETE FROM incoming_load").execute(&mut *connection).await?;
    rows.send(connection, &COPY_LOADS).await?;
    sqlx::query(AssertSqlSafe(WRITE_LOADS.as_str())).execute(connection).await?;
    Ok(())
}

/// Inserts the queries whose ids have no row, with what only loads have. Returns for each query whether its row is new.
pub(super) async fn insert_queries(
    connection: &mut PgConnection,
    queries: &[(&QueryRecord, Option<Fingerprint>)],
) -> Result<Vec<bool>, sqlx::Error> {
    if queries.is_empty() {
        return Ok(Vec::new());
    }
    let rows = annals_postgres_statements::new_rows(connection, queries.len() as i64).await?;
    let copied = rows.iter().zip(queries);
    let copied =
        copied_queries(copied.map(|(row, (record, fingerprint))| (*row, *record, *fingerprint)));
    copy_queries(connection, copied).await?;
    let inserted: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(INSERT_QUERIES.as_str()))
        .fetch_all(&mut *connection)
        .await?;
    let inserted: foldhash::HashSet<i64> = inserted.into_iter().collect();
    let is_new: Vec<bool> = rows.iter().map(|row| inserted.contains(row)).collect();
    let new = queries.iter().zip(&is_new).filter(|(_, is_new)| **is_new);
    let loads = copied_loads(new.map(|((record, _), _)| *record));
    write_loads(connection, loads).await?;
    Ok(is_new)
}

/// Writes queries anew, with what only loads have. `revisions` are those of the stored rows as they were read. Returns false
/// if another writer has changed one of them meanwhile.
pub(super) async fn update_queries(
    connection: &mut PgConnection,
    queries: &[(&StoredQuery, Option<Fingerprint>)],
    revisions: &[i32],
) -> Result<bool, sqlx::Error> {
    let copied = queries.iter().map(|(query, fingerprint)| (query.id, &query.record, *fingerprint));
    let copied = copied_queries(copied);
    copy_queries(connection, copied).await?;
    let rows: Vec<i64> = queries.iter().map(|(query, _)| query.id).collect();
    let updated = sqlx::query(AssertSqlSafe(UPDATE_QUERIES.as_str()))
        .bind(&rows)
        .bind(revisions)
        .execute(&mut *connection)
        .await?;
    if updated.rows_affected() != queries.len() as u64 {
        return Ok(false);
    }
    let loads = copied_loads(queries.iter().map(|(query, _)| &query.record));
    write_loads(connection, loads).await?;
    Ok(true)
}

/// Returns the stored queries of some ids, each with the revision of its row, in no order.
pub(super) async fn stored_queries(
    connection: &mut PgConnection,
    ids: &[QueryId],
) -> Result<Vec<(StoredQuery, i32)>, StoreError> {
    let ids: Vec<&str> = ids.iter().map(QueryId::as_str).collect();
    let sql = format!("{} WHERE query.query_id = ANY($2)", *SELECT_QUERY);
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(i32::MAX).bind(ids).fetch_all(connection);
    let rows = rows.await?;
    rows.iter().map(|row| Ok((read_query(row)?, row.try_get(1)?))).collect()
}

/// Reads a row of [`SELECT_QUERY`].
pub(super) fn read_query(row: &PgRow) -> Result<StoredQuery, sqlx::Error> {
    let mut column = BEFORE_FIELDS;
    let mut next = || {
        let value = field_value(row.try_get_raw(column)?)?;
        column += 1;
        Ok::<_, sqlx::Error>(value)
    };
    let mut record = QueryRecord::of_values(&mut next)?;
    if next()? != FieldValue::Unknown {
        record.load = Some(Box::new(Load::of_values(next)?));
    }
    let extra: Option<&str> = row.try_get(4)?;
    // Whatever else somebody wrote into the column counts as nothing.
    record.extra = extra.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    Ok(StoredQuery {
        id: row.try_get(0)?,
        record,
        fingerprint: row.try_get::<Option<i64>, _>(2)?.map(Fingerprint::from_signed),
        has_profile: row.try_get(3)?,
    })
}

fn field_value(value: PgValueRef<'_>) -> Result<FieldValue<'_>, sqlx::Error> {
    if value.is_null() {
        return Ok(FieldValue::Unknown);
    }
    fn decoded<'r, T: Decode<'r, Postgres>>(value: PgValueRef<'r>) -> Result<T, sqlx::Error> {
        T::decode(value).map_err(sqlx::Error::Decode)
    }
    let is_truth = value.type_info().name() == "BOOL";
    let is_number = value.type_info().name() == "INT8";
    Ok(match () {
        () if is_truth => FieldValue::Truth(decoded(value)?),
        () if is_number => FieldValue::Number(decoded(value)?),
        () => FieldValue::Text(decoded(value)?),
    })
}
