//! The tables `query` and `load`: a record as a row, and a row as a record.
//!
//! The columns are the fields of the tables in `domain/record/fields.rs`, by the same names, so the statements here are
//! built from these tables. A test prepares each of them.

use std::sync::LazyLock;

use annals_postgres_statements as statements;
use sqlx::postgres::{PgConnection, PgCopyIn, PgRow, PgValueRef};
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
    LazyLock::new(|| format!("COPY query ({}) FROM STDIN (FORMAT binary)", *COPIED));

static COPY_INCOMING: LazyLock<String> =
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

/// Bytes of rows that are sent at a time: the server stores some rows while the next ones are written.
const CHUNK_BYTES: usize = 128 << 10;

/// Rows on their way to the server, in PostgreSQL's binary COPY format (manual, "COPY", "Binary Format").
struct CopyRows<'c> {
    sink: PgCopyIn<&'c mut PgConnection>,
    chunk: Vec<u8>,
}

impl<'c> CopyRows<'c> {
    /// Begins with a COPY statement.
    async fn begin(
        connection: &'c mut PgConnection,
        copy: &str,
    ) -> Result<CopyRows<'c>, sqlx::Error> {
        let sink = connection.copy_in_raw(copy).await?;
        // The signature, no flags, no extension of the header.
        let chunk = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        Ok(CopyRows { sink, chunk })
    }

    /// Begins a row. Sends the rows before it if they are enough.
    async fn row(&mut self, columns: usize) -> Result<(), sqlx::Error> {
        if self.chunk.len() >= CHUNK_BYTES {
            self.sink.send(self.chunk.as_slice()).await?;
            self.chunk.clear();
        }
        self.chunk.extend((columns as i16).to_be_bytes());
        Ok(())
    }

    fn value(&mut self, value: FieldValue<'_>) {
        match value {
            FieldValue::Unknown => self.chunk.extend((-1_i32).to_be_bytes()),
            FieldValue::Text(text) | FieldValue::Json(text) => {
                self.bytes(without_nul(text).as_bytes());
            }
            FieldValue::Number(number) => self.bytes(&number.to_be_bytes()),
            FieldValue::Truth(truth) => self.bytes(&[truth.into()]),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.chunk.extend((bytes.len() as i32).to_be_bytes());
        self.chunk.extend(bytes);
    }

    /// Returns once the server has all rows.
    async fn end(mut self) -> Result<(), sqlx::Error> {
        // A row of -1 columns is the end.
        self.chunk.extend((-1_i16).to_be_bytes());
        self.sink.send(self.chunk.as_slice()).await?;
        self.sink.finish().await?;
        Ok(())
    }
}

/// A query to copy: its row, its record and its fingerprint.
type Copied<'q> = (i64, &'q QueryRecord, Option<Fingerprint>);

/// Copies queries by a COPY statement.
async fn copy_queries(
    connection: &mut PgConnection,
    copy: &str,
    queries: &[Copied<'_>],
) -> Result<(), sqlx::Error> {
    let mut rows = CopyRows::begin(connection, copy).await?;
    for (row, record, fingerprint) in queries {
        rows.row(QueryRecord::FIELDS.len() + 3).await?;
        rows.value(FieldValue::Number(*row));
        record.values().into_iter().for_each(|value| rows.value(value));
        let extra = (!record.extra.is_empty()).then(|| serde_json::json!(record.extra).to_string());
        rows.value(extra.as_deref().map_or(FieldValue::Unknown, FieldValue::Text));
        let fingerprint = fingerprint.map(Fingerprint::to_signed);
        rows.value(fingerprint.map_or(FieldValue::Unknown, FieldValue::Number));
    }
    rows.end().await
}

/// Which of the temporary tables have rows of the transaction. Each is empty when a transaction begins.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    has_queries: bool,
    has_loads: bool,
}

impl Incoming {
    /// Copies queries to the temporary table, in place of what it has.
    async fn copy(
        &mut self,
        connection: &mut PgConnection,
        queries: &[Copied<'_>],
    ) -> Result<(), sqlx::Error> {
        // After a DELETE, each statement of the transaction would read the deleted rows again.
        if std::mem::replace(&mut self.has_queries, true) {
            sqlx::query("TRUNCATE incoming").execute(&mut *connection).await?;
        }
        copy_queries(connection, &COPY_INCOMING, queries).await
    }

    /// Writes what only loads have, in place of what was there.
    async fn write_loads(
        &mut self,
        connection: &mut PgConnection,
        loads: &[(&QueryId, &Load)],
    ) -> Result<(), sqlx::Error> {
        if loads.is_empty() {
            return Ok(());
        }
        if std::mem::replace(&mut self.has_loads, true) {
            sqlx::query("TRUNCATE incoming_load").execute(&mut *connection).await?;
        }
        let mut rows = CopyRows::begin(connection, &COPY_LOADS).await?;
        for (query_id, load) in loads {
            rows.row(Load::FIELDS.len() + 1).await?;
            rows.value(FieldValue::Text(query_id.as_str()));
            load.values().into_iter().for_each(|value| rows.value(value));
        }
        rows.end().await?;
        sqlx::query(AssertSqlSafe(WRITE_LOADS.as_str())).execute(connection).await?;
        Ok(())
    }
}

/// Returns what only a load has, with its id; None for a query.
fn of_load(record: &QueryRecord) -> Option<(&QueryId, &Load)> {
    Some((&record.query_id, record.load.as_deref()?))
}

/// How new queries get into the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Insertion {
    /// The queries whose ids are not stored are copied into the table. Costs the server half of the other way, and fails
    /// if another writer stores one of the ids at the same moment.
    Copy,
    /// All queries are copied to a temporary table, and inserted from there unless their ids are stored.
    OnConflict,
}

/// Inserts the queries whose ids have no row, with what only loads have. Returns for each query whether its row is new.
pub(super) async fn insert_queries(
    connection: &mut PgConnection,
    incoming: &mut Incoming,
    queries: &[(&QueryRecord, Option<Fingerprint>)],
    insertion: Insertion,
) -> Result<Vec<bool>, sqlx::Error> {
    if queries.is_empty() {
        return Ok(Vec::new());
    }
    let is_new = match insertion {
        Insertion::Copy => copy_new(connection, queries).await?,
        Insertion::OnConflict => insert_on_conflict(connection, incoming, queries).await?,
    };
    let new = queries.iter().zip(&is_new).filter(|(_, is_new)| **is_new);
    let loads: Vec<_> = new.filter_map(|((record, _), _)| of_load(record)).collect();
    incoming.write_loads(connection, &loads).await?;
    Ok(is_new)
}

/// Copies the queries whose ids are not stored, in the order of their arrival: a page of a list then reads few pages of the
/// table. Of several with one id, the first is new. Two writers that bring the same queries in different orders may wait for
/// each other; the server ends one of them, and its next try inserts in the order of the ids.
async fn copy_new(
    connection: &mut PgConnection,
    queries: &[(&QueryRecord, Option<Fingerprint>)],
) -> Result<Vec<bool>, sqlx::Error> {
    let mut order: Vec<usize> = (0..queries.len()).collect();
    let id = |at: usize| queries.get(at).map_or("", |(record, _)| record.query_id.as_str());
    // A stable sort: the first of several with one id stays the first.
    order.sort_by_key(|at| id(*at));
    let ids: Vec<&str> = order.iter().map(|at| id(*at)).collect();
    let stored = statements::stored_ids(&mut *connection, &ids).await?;
    let stored: foldhash::HashSet<&str> = stored.iter().map(String::as_str).collect();
    order.dedup_by_key(|at| id(*at));
    order.retain(|at| !stored.contains(id(*at)));
    order.sort_unstable();
    let mut is_new = vec![false; queries.len()];
    for at in &order {
        if let Some(is_new) = is_new.get_mut(*at) {
            *is_new = true;
        }
    }
    if order.is_empty() {
        return Ok(is_new);
    }
    let rows = statements::new_rows(&mut *connection, queries.len() as i64).await?;
    let copied = order.iter().filter_map(|at| {
        let (record, fingerprint) = queries.get(*at)?;
        Some((*rows.get(*at)?, *record, *fingerprint))
    });
    let copied: Vec<Copied<'_>> = copied.collect();
    copy_queries(connection, &COPY_QUERIES, &copied).await?;
    Ok(is_new)
}

/// Inserts the queries whose ids have no row, by way of the temporary table.
async fn insert_on_conflict(
    connection: &mut PgConnection,
    incoming: &mut Incoming,
    queries: &[(&QueryRecord, Option<Fingerprint>)],
) -> Result<Vec<bool>, sqlx::Error> {
    let rows = statements::new_rows(&mut *connection, queries.len() as i64).await?;
    let copied = rows.iter().zip(queries);
    let copied = copied.map(|(row, (record, fingerprint))| (*row, *record, *fingerprint));
    let copied: Vec<Copied<'_>> = copied.collect();
    incoming.copy(connection, &copied).await?;
    let inserted: Vec<i64> =
        sqlx::query_scalar(AssertSqlSafe(INSERT_QUERIES.as_str())).fetch_all(connection).await?;
    let inserted: foldhash::HashSet<i64> = inserted.into_iter().collect();
    Ok(rows.iter().map(|row| inserted.contains(row)).collect())
}

/// Writes queries anew, with what only loads have. `revisions` are those of the stored rows as they were read. Returns false
/// if another writer has changed one of them meanwhile.
pub(super) async fn update_queries(
    connection: &mut PgConnection,
    incoming: &mut Incoming,
    queries: &[(&StoredQuery, Option<Fingerprint>)],
    revisions: &[i32],
) -> Result<bool, sqlx::Error> {
    let copied = queries.iter().map(|(query, fingerprint)| (query.id, &query.record, *fingerprint));
    let copied: Vec<Copied<'_>> = copied.collect();
    incoming.copy(connection, &copied).await?;
    let rows: Vec<i64> = queries.iter().map(|(query, _)| query.id).collect();
    let updated = sqlx::query(AssertSqlSafe(UPDATE_QUERIES.as_str()))
        .bind(&rows)
        .bind(revisions)
        .execute(&mut *connection)
        .await?;
    if updated.rows_affected() != queries.len() as u64 {
        return Ok(false);
    }
    let loads: Vec<_> = queries.iter().filter_map(|(query, _)| of_load(&query.record)).collect();
    incoming.write_loads(connection, &loads).await?;
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
