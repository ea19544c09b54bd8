//! The tables `query` and `load`: a record as a row, and a row as a record.
//!
//! The columns are the fields of the tables in `domain/record/fields.rs`, by the same names, so the statements here are
//! built from these tables. A test prepares each of them.

use std::borrow::Cow;
use std::sync::LazyLock;

use annals_postgres_statements as statements;
use sqlx::postgres::{PgArguments, PgConnection, PgCopyIn, PgRow, PgValueRef};
use sqlx::{Arguments, AssertSqlSafe, Decode, Postgres, Row, TypeInfo, ValueRef};
use utoipa::openapi::schema::Type;

use super::nul::without_nul;
use super::own_masks::OwnMasks;
use crate::domain::record::{Field, FieldValue, Load, QueryId, QueryRecord, StoredQuery, Zoned};
use crate::domain::statement::Fingerprint;
use crate::store::error::StoreError;

/// Selects what [`read_query`] reads, up to the conditions. For EXISTS, the server would read the ids of all profiles; for a
/// subquery, Citus would ask every shard. `$1` is the most characters of a statement: cutting counts
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
             profile.query_id IS NOT NULL, query.extra, query.time_source, {}, load.query_id, {}
         FROM query LEFT JOIN load ON load.query_id = query.query_id
             LEFT JOIN profile ON profile.query_id = query.query_id ",
        fields.join(", "),
        of_load.join(", ")
    )
});

/// The first characters of a statement, as many as `$1`.
pub(super) const CUT_STATEMENT: &str = "CASE WHEN octet_length(query.statement) <= $1 THEN query.statement ELSE left(query.statement, $1) END";

/// The columns of [`SELECT_QUERY`] before those of the fields.
const BEFORE_FIELDS: usize = 6;

/// The columns of a written query: the row, the fields, `extra`, the fingerprint, and what is known of the zone of the times.
static WRITTEN: LazyLock<String> = LazyLock::new(|| {
    let fields: Vec<String> = names(&QueryRecord::FIELDS).map(quoted).collect();
    format!("id, {}, extra, fingerprint, time_source", fields.join(", "))
});

static COPY_QUERIES: LazyLock<String> =
    LazyLock::new(|| format!("COPY query ({}) FROM STDIN (FORMAT binary)", *WRITTEN));

/// The types of [`WRITTEN`].
fn written_types() -> Vec<&'static str> {
    let fields = QueryRecord::FIELDS.iter().map(sql_type);
    ["bigint"].into_iter().chain(fields).chain(["text", "bigint", "bigint"]).collect()
}

/// Inserts the queries whose ids have no row, in the order of their ids, so that two writers never wait for each other.
/// Returns the new rows.
static INSERT_QUERIES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO query ({0}) SELECT {0} FROM {1} AS incoming ({0}) ORDER BY query_id, id
         ON CONFLICT (query_id) DO NOTHING RETURNING id",
        *WRITTEN,
        unnest(&written_types())
    )
});

/// Writes the queries anew whose stored rows still have the revision that was read.
static UPDATE_QUERIES: LazyLock<String> = LazyLock::new(|| {
    let fields = names(&QueryRecord::FIELDS).skip(1).map(quoted);
    let changed = fields.chain(["extra", "fingerprint", "time_source"].map(str::to_string));
    let assigned: Vec<String> = changed.map(|name| format!("{name} = incoming.{name}")).collect();
    let types: Vec<&str> = written_types().into_iter().chain(["integer"]).collect();
    format!(
        "UPDATE query SET revision = query.revision + 1, {} FROM {} AS incoming ({}, known_revision)
         WHERE query.query_id = incoming.query_id AND query.revision = incoming.known_revision",
        assigned.join(", "),
        unnest(&types),
        *WRITTEN
    )
});

/// Writes what only loads have, in place of what was there.
static WRITE_LOADS: LazyLock<String> = LazyLock::new(|| {
    let fields: Vec<&str> = names(&Load::FIELDS).collect();
    let assigned: Vec<String> =
        fields.iter().map(|name| format!("{name} = excluded.{name}")).collect();
    let types: Vec<&str> = ["text"].into_iter().chain(Load::FIELDS.iter().map(sql_type)).collect();
    format!(
        "INSERT INTO load (query_id, {0})
         SELECT query_id, {0} FROM {1} AS incoming (query_id, {0}) ORDER BY query_id
         ON CONFLICT (query_id) DO UPDATE SET {2}",
        fields.join(", "),
        unnest(&types),
        assigned.join(", ")
    )
});

/// Returns the call that makes rows of arrays, the parameters from `$1` on.
fn unnest(types: &[&str]) -> String {
    let array = |(at, name): (usize, &&str)| format!("${}::{name}[]", at + 1);
    let arrays: Vec<String> = types.iter().enumerate().map(array).collect();
    format!("unnest({})", arrays.join(", "))
}

/// Returns the type of a field's column.
fn sql_type(field: &Field) -> &'static str {
    match field.json_type {
        Type::Integer => "bigint",
        Type::Boolean => "boolean",
        _ => "text",
    }
}

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

/// A query to write: its row, its record and its fingerprint.
type Written<'q> = (i64, &'q QueryRecord, Option<Fingerprint>);

/// Returns the values of [`WRITTEN`]. `extra` is the column of that name.
fn written_values<'q>(
    (row, record, fingerprint): &Written<'q>,
    extra: Option<&'q str>,
) -> impl Iterator<Item = FieldValue<'q>> {
    let fingerprint = fingerprint.map(Fingerprint::to_signed);
    let last = [
        extra.map_or(FieldValue::Unknown, FieldValue::Text),
        fingerprint.map_or(FieldValue::Unknown, FieldValue::Number),
        record.zoned.number().map_or(FieldValue::Unknown, FieldValue::Number),
    ];
    [FieldValue::Number(*row)].into_iter().chain(record.values()).chain(last)
}

/// Returns the column `extra` of a record.
fn extra_of(record: &QueryRecord) -> Option<String> {
    (!record.extra.is_empty()).then(|| serde_json::json!(record.extra).to_string())
}

/// Copies queries into the table, and notes their masks.
async fn copy_queries(
    connection: &mut PgConnection,
    queries: &[Written<'_>],
    own_masks: &OwnMasks,
) -> Result<(), sqlx::Error> {
    let others = own_masks.others(connection).await?;
    let mut rows = CopyRows::begin(connection, &COPY_QUERIES).await?;
    for query in queries {
        rows.row(QueryRecord::FIELDS.len() + 4).await?;
        let extra = extra_of(query.1);
        // The server stores the rows before this one meanwhile.
        own_masks.add(query.0, query.1.statement.as_deref(), &others);
        written_values(query, extra.as_deref()).for_each(|value| rows.value(value));
    }
    rows.end().await
}

/// The values of one column of some rows.
enum Column<'q> {
    Texts(Vec<Option<Cow<'q, str>>>),
    Numbers(Vec<Option<i64>>),
    Truths(Vec<Option<bool>>),
}

impl<'q> Column<'q> {
    fn new(sql_type: &str) -> Column<'q> {
        match sql_type {
            "bigint" => Column::Numbers(Vec::new()),
            "boolean" => Column::Truths(Vec::new()),
            _ => Column::Texts(Vec::new()),
        }
    }

    fn push(&mut self, value: FieldValue<'q>) {
        match (self, value) {
            (Column::Texts(texts), FieldValue::Text(text) | FieldValue::Json(text)) => {
                texts.push(Some(without_nul(text)));
            }
            (Column::Numbers(numbers), FieldValue::Number(number)) => numbers.push(Some(number)),
            (Column::Truths(truths), FieldValue::Truth(truth)) => truths.push(Some(truth)),
            (Column::Texts(texts), _) => texts.push(None),
            (Column::Numbers(numbers), _) => numbers.push(None),
            (Column::Truths(truths), _) => truths.push(None),
        }
    }

    /// Adds the column as the next parameter of a statement.
    fn bind(&self, parameters: &mut PgArguments) -> Result<(), sqlx::Error> {
        let added = match self {
            Column::Texts(texts) => parameters.add(texts),
            Column::Numbers(numbers) => parameters.add(numbers),
            Column::Truths(truths) => parameters.add(truths),
        };
        added.map_err(sqlx::Error::Encode)
    }
}

/// Returns the columns of rows as the parameters of [`unnest`].
fn arrays<'q, V: Iterator<Item = FieldValue<'q>>>(
    types: &[&str],
    rows: impl Iterator<Item = V>,
) -> Result<PgArguments, sqlx::Error> {
    let mut columns: Vec<Column<'_>> = types.iter().map(|name| Column::new(name)).collect();
    for values in rows {
        columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
    }
    let mut parameters = PgArguments::default();
    for column in &columns {
        column.bind(&mut parameters)?;
    }
    Ok(parameters)
}

/// Returns queries as the first parameters of a statement that writes them.
fn query_arrays(queries: &[Written<'_>]) -> Result<PgArguments, sqlx::Error> {
    let extras: Vec<Option<String>> = queries.iter().map(|query| extra_of(query.1)).collect();
    let rows = queries.iter().zip(&extras);
    arrays(&written_types(), rows.map(|(query, extra)| written_values(query, extra.as_deref())))
}

/// Writes what only loads have, in place of what was there.
async fn write_loads(
    connection: &mut PgConnection,
    loads: &[(&QueryId, &Load)],
) -> Result<(), sqlx::Error> {
    if loads.is_empty() {
        return Ok(());
    }
    let types: Vec<&str> = ["text"].into_iter().chain(Load::FIELDS.iter().map(sql_type)).collect();
    let rows = loads.iter().map(|(query_id, load)| {
        [FieldValue::Text(query_id.as_str())].into_iter().chain(load.values())
    });
    let parameters = arrays(&types, rows)?;
    sqlx::query_with(AssertSqlSafe(WRITE_LOADS.as_str()), parameters).execute(connection).await?;
    Ok(())
}

/// Returns what only a load has, with its id; None for a query.
fn of_load(record: &QueryRecord) -> Option<(&QueryId, &Load)> {
    Some((&record.query_id, record.load.as_deref()?))
}

/// How new queries get into the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Insertion {
    /// Many queries are copied into the table. Fails if one of the ids is stored.
    CopyAll,
    /// Many queries whose ids are not stored are copied into the table. Fails if another writer stores one of the ids at the
    /// same moment.
    CopyNew,
    /// A statement inserts the queries unless their ids are stored. Costs the server twice as much as copying.
    OnConflict,
}

impl Insertion {
    /// Returns the way that succeeds where this one may have failed.
    pub(super) fn safer(self) -> Insertion {
        match self {
            Insertion::CopyAll => Insertion::CopyNew,
            Insertion::CopyNew | Insertion::OnConflict => Insertion::OnConflict,
        }
    }
}

/// Fewer queries are not copied: the last part of a COPY waits 40 ms for the server, because the connections of sqlx hold
/// small parts back until the ones before are acknowledged (Nagle's algorithm).
const COPIED_FROM_QUERIES: usize = 1024;

/// Inserts the queries whose ids have no row, with what only loads have. Returns for each query whether its row is new.
pub(super) async fn insert_queries(
    connection: &mut PgConnection,
    queries: &[(&QueryRecord, Option<Fingerprint>)],
    insertion: Insertion,
    own_masks: &OwnMasks,
) -> Result<Vec<bool>, sqlx::Error> {
    if queries.is_empty() {
        return Ok(Vec::new());
    }
    let is_new = match insertion {
        Insertion::CopyAll | Insertion::CopyNew if queries.len() >= COPIED_FROM_QUERIES => {
            copy(connection, queries, insertion, own_masks).await?
        }
        _ => insert_on_conflict(connection, queries).await?,
    };
    let new = queries.iter().zip(&is_new).filter(|(_, is_new)| **is_new);
    let loads: Vec<_> = new.filter_map(|((record, _), _)| of_load(record)).collect();
    write_loads(connection, &loads).await?;
    Ok(is_new)
}

/// Copies queries in the order of their arrival: a page of a list then reads few pages of the table. Of several with one id,
/// the first is new. Two writers that bring the same queries in different orders may wait for
/// each other; the server ends one of them, and its next try inserts in the order of the ids.
async fn copy(
    connection: &mut PgConnection,
    queries: &[(&QueryRecord, Option<Fingerprint>)],
    insertion: Insertion,
    own_masks: &OwnMasks,
) -> Result<Vec<bool>, sqlx::Error> {
    let id = |at: usize| queries.get(at).map_or("", |(record, _)| record.query_id.as_str());
    let mut ids = foldhash::HashSet::with_capacity_and_hasher(queries.len(), Default::default());
    let mut order: Vec<usize> = (0..queries.len()).filter(|at| ids.insert(id(*at))).collect();
    if insertion == Insertion::CopyNew {
        let ids: Vec<&str> = order.iter().map(|at| id(*at)).collect();
        let stored = statements::stored_ids(&mut *connection, &ids).await?;
        let stored: foldhash::HashSet<&str> = stored.iter().map(String::as_str).collect();
        order.retain(|at| !stored.contains(id(*at)));
    }
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
    let copied: Vec<Written<'_>> = copied.collect();
    copy_queries(connection, &copied, own_masks).await?;
    Ok(is_new)
}

/// Inserts the queries whose ids have no row, by one statement.
async fn insert_on_conflict(
    connection: &mut PgConnection,
    queries: &[(&QueryRecord, Option<Fingerprint>)],
) -> Result<Vec<bool>, sqlx::Error> {
    let rows = statements::new_rows(&mut *connection, queries.len() as i64).await?;
    let written = rows.iter().zip(queries);
    let written = written.map(|(row, (record, fingerprint))| (*row, *record, *fingerprint));
    let parameters = query_arrays(&written.collect::<Vec<Written<'_>>>())?;
    let inserted: Vec<i64> =
        sqlx::query_scalar_with(AssertSqlSafe(INSERT_QUERIES.as_str()), parameters)
            .fetch_all(connection)
            .await?;
    let inserted: foldhash::HashSet<i64> = inserted.into_iter().collect();
    Ok(rows.iter().map(|row| inserted.contains(row)).collect())
}

/// Writes queries anew, with what only loads have. `revisions` are those of the stored rows as they were read. Returns false
/// if another writer has changed one of them meanwhile.
pub(super) async fn update_queries(
    connection: &mut PgConnection,
    queries: &[(&StoredQuery, Option<Fingerprint>)],
    revisions: &[i32],
) -> Result<bool, sqlx::Error> {
    let written =
        queries.iter().map(|(query, fingerprint)| (query.id, &query.record, *fingerprint));
    let mut parameters = query_arrays(&written.collect::<Vec<Written<'_>>>())?;
    parameters.add(revisions).map_err(sqlx::Error::Encode)?;
    let updated = sqlx::query_with(AssertSqlSafe(UPDATE_QUERIES.as_str()), parameters)
        .execute(&mut *connection)
        .await?;
    if updated.rows_affected() != queries.len() as u64 {
        return Ok(false);
    }
    let loads: Vec<_> = queries.iter().filter_map(|(query, _)| of_load(&query.record)).collect();
    write_loads(connection, &loads).await?;
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
    record.zoned = Zoned::of_number(row.try_get(5)?);
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
