//! Reading: what the sources out ask for.

use std::collections::HashSet;

use rusqlite::{Connection, Row, ToSql, params};
use serde::{Serialize, Serializer};
use sqlx::{Execute, SqlStr};
use utoipa::ToSchema;
use xxhash_rust::xxh3::xxh3_128;

use super::Store;
use crate::domain::profile::{Phases, RecordedTimes};
use crate::domain::record::{Kind, QueryId};
use crate::domain::search::Search;
use crate::domain::statement::Fingerprint;
use crate::store::batch::FollowedFile;
use crate::store::error::StoreError;
use crate::store::profile_body::unpack;

/// A list cuts a statement to so many characters, so that an answer stays within bounds; the whole one
/// is in the store.
const LISTED_STATEMENT_CHARS: i64 = 65_536;

/// A profile of so many bytes takes a while to unpack.
const LONG_BODY_BYTES: usize = 64 << 10;

/// What a list shows of a query; the fields are those of [`crate::domain::record::QueryRecord`].
#[derive(Debug)]
#[allow(missing_docs)]
pub struct ListedQuery<'r> {
    pub id: i64,
    pub query_id: &'r str,
    pub kind: &'r str,
    pub state: Option<&'r str>,
    pub started_ms: Option<i64>,
    pub ended_ms: Option<i64>,
    pub duration_ms: Option<i64>,
    pub user: Option<&'r str>,
    pub catalog: Option<&'r str>,
    pub db: Option<&'r str>,
    pub statement: Option<&'r str>,
    pub frontend: Option<&'r str>,
    pub session_id: Option<&'r str>,
    pub sql_hash: Option<&'r str>,
}

impl<'r> ListedQuery<'r> {
    /// The columns of `listed_columns`, where SQLite has them.
    fn of(row: &'r Row<'_>) -> Result<ListedQuery<'r>, rusqlite::Error> {
        let text = |at| Ok::<_, rusqlite::Error>(row.get_ref(at)?.as_str_or_null()?);
        Ok(ListedQuery {
            id: row.get(0)?,
            query_id: text(1)?.unwrap_or_default(),
            kind: text(2)?.unwrap_or_default(),
            state: text(3)?,
            started_ms: row.get(4)?,
            ended_ms: row.get(5)?,
            duration_ms: row.get(6)?,
            user: text(7)?,
            catalog: text(8)?,
            db: text(9)?,
            statement: text(10)?,
            frontend: text(11)?,
            session_id: text(12)?,
            sql_hash: text(13)?,
        })
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        Kind::of_name(self.kind)
    }

    /// Where in a list it stands.
    pub fn place(&self) -> Cursor {
        Cursor { started_ms: self.started_ms, id: self.id }
    }
}

/// Everything that is known of a query. Times are Unix milliseconds, sizes bytes; what nobody said is null.
#[derive(Debug, Serialize, ToSchema)]
#[allow(missing_docs)] // the names are the documentation; the migrations comment the columns
pub struct StoredQuery {
    #[serde(skip)]
    pub id: i64,
    pub query_id: String,
    /// `query` or `load`.
    pub kind: String,
    /// Who told of it: `audit`, or `summary` where only a profile or a list did.
    pub origin: String,
    pub state: Option<String>,
    pub started_ms: Option<i64>,
    /// `started_ms` as text, in UTC.
    pub started_at: Option<String>,
    pub ended_ms: Option<i64>,
    /// `ended_ms` as text, in UTC.
    pub ended_at: Option<String>,
    pub duration_ms: Option<i64>,
    pub user: Option<String>,
    /// Host and port.
    pub client: Option<String>,
    pub catalog: Option<String>,
    pub db: Option<String>,
    /// In lists its first 65,536 characters.
    pub statement: Option<String>,
    /// What the statements of one shape have in common, 16 hex digits.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{16}$")]
    pub fingerprint: Option<StoredFingerprint>,
    pub statement_type: Option<String>,
    pub command_type: Option<String>,
    pub statement_id: Option<i64>,
    pub session_id: Option<String>,
    pub trace_id: Option<String>,
    pub is_query: Option<bool>,
    pub is_nereids: Option<bool>,
    pub is_internal: Option<bool>,
    /// Whether a line of the slow-query log told of it.
    pub is_slow: bool,
    pub error_code: Option<i64>,
    pub error_message: Option<String>,
    pub scan_rows: Option<i64>,
    pub scan_bytes: Option<i64>,
    pub local_scan_bytes: Option<i64>,
    pub remote_scan_bytes: Option<i64>,
    pub return_rows: Option<i64>,
    pub shuffle_send_rows: Option<i64>,
    pub shuffle_send_bytes: Option<i64>,
    pub spill_write_bytes: Option<i64>,
    pub peak_memory_bytes: Option<i64>,
    pub cpu_time_ms: Option<i64>,
    /// The frontend that ran it.
    pub frontend: Option<String>,
    pub workload_group: Option<String>,
    pub compute_group: Option<String>,
    pub queried_tables: Option<String>,
    pub sql_hash: Option<String>,
    pub sql_digest: Option<String>,
    pub fuzzy_variables: Option<String>,
    /// How long it waited in its workload group's queue.
    pub queue_time_ms: Option<i64>,
    /// How long the frontend parsed it.
    pub parse_time_ms: Option<i64>,
    /// How long the frontend analysed and planned it.
    pub plan_time_ms: Option<i64>,
    /// How long the frontend sent its fragments to the backends.
    pub schedule_time_ms: Option<i64>,
    /// Whether the frontend answered from its SQL cache.
    pub cache_hit: Option<bool>,
    pub spill_read_bytes: Option<i64>,
    /// The materialized views that the planner chose.
    pub chosen_views: Option<String>,
    /// The session variables that differ from their defaults.
    #[schema(value_type = Option<Object>)]
    pub changed_variables: Option<Json>,
    /// Whether the start is a guess: the time at which the record was written, less the duration.
    pub is_start_estimated: bool,
    /// Whether it failed: an error code, or a state that says so.
    pub is_failed: bool,
    /// What annals has no field for, by the names it came with.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    pub extra: Option<Json>,
    /// What only loads have.
    #[schema(value_type = Option<Object>)]
    pub load: Option<Json>,
    pub has_profile: bool,
}

impl StoredQuery {
    /// Where in a list it stands.
    pub fn place(&self) -> Cursor {
        Cursor { started_ms: self.started_ms, id: self.id }
    }

    /// The phases that the record itself reports, for queries without a profile.
    pub fn phases(&self) -> Phases {
        let phases = Phases::of_record(RecordedTimes {
            total_ms: self.duration_ms,
            queue_ms: self.queue_time_ms,
            parse_ms: self.parse_time_ms,
            plan_ms: self.plan_time_ms,
            schedule_ms: self.schedule_time_ms,
        });
        let extra = self.extra.as_ref().and_then(|extra| serde_json::to_value(extra).ok());
        match extra {
            Some(serde_json::Value::Object(extra)) => phases.with_steps(&extra),
            _ => phases,
        }
    }
}

/// A fingerprint as SQLite keeps it.
#[derive(Debug, Clone, Copy, sqlx::Type)]
#[sqlx(transparent)]
pub struct StoredFingerprint(i64);

impl StoredFingerprint {
    /// The fingerprint itself.
    pub fn get(self) -> Fingerprint {
        Fingerprint::from_signed(self.0)
    }
}

impl From<Fingerprint> for StoredFingerprint {
    fn from(fingerprint: Fingerprint) -> StoredFingerprint {
        StoredFingerprint(fingerprint.to_signed())
    }
}

impl Serialize for StoredFingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Fingerprint::from_signed(self.0))
    }
}

/// A text that is JSON.
#[derive(Debug, Clone, sqlx::Type)]
#[sqlx(transparent)]
pub struct Json(String);

impl Serialize for Json {
    /// What somebody else wrote there counts as nothing.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<serde_json::Value>(&self.0).ok().serialize(serializer)
    }
}

/// A place in the list of all queries, which is by start, newest first. Those whose start nobody knows
/// come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The start of the query there.
    pub started_ms: Option<i64>,
    /// Its row, which tells queries of the same start apart.
    pub id: i64,
}

/// Which queries a list shows. What is `None` does not matter.
#[derive(Debug, Default, Clone)]
pub struct QueryFilter {
    /// At most so many.
    pub limit: u32,
    /// Only those behind this place.
    pub after: Option<Cursor>,
    /// Whoever ran it.
    pub user: Option<String>,
    /// The database it ran in.
    pub db: Option<String>,
    /// The state, in any letter case.
    pub state: Option<String>,
    /// What it was.
    pub kind: Option<Kind>,
    /// The shape of its statement.
    pub fingerprint: Option<Fingerprint>,
    /// What stands in the statement.
    pub search: Option<Search>,
    /// A text that stands in the statement, the id, the user, the database, the state or the frontend, in
    /// any case of ASCII letters.
    pub anywhere: Option<String>,
    /// It took at least so long.
    pub min_ms: Option<i64>,
    /// It waited in its queue for at least so long.
    pub min_queue_ms: Option<i64>,
    /// Whether the frontend answered it from its SQL cache.
    pub cache_hit: Option<bool>,
    /// It started then or later.
    pub from_ms: Option<i64>,
    /// It started before then.
    pub to_ms: Option<i64>,
}

/// Whose queries are listed.
enum Whose<'a> {
    Everybodys,
    Of(&'a str),
    /// The filter names one user, and only those of another may be seen.
    Nobodys,
}

impl QueryFilter {
    fn whose<'a>(&'a self, owner: Option<&'a str>) -> Whose<'a> {
        match (self.user.as_deref(), owner) {
            (Some(user), Some(owner)) if user != owner => Whose::Nobodys,
            (Some(user), _) | (None, Some(user)) => Whose::Of(user),
            (None, None) => Whose::Everybodys,
        }
    }

    /// Whether each query of its times, or of its user in them, is in it, so that a page reads no others.
    fn takes_all(&self) -> bool {
        let QueryFilter { db, state, kind, fingerprint, search, anywhere, min_ms, .. } = self;
        let QueryFilter { min_queue_ms, cache_hit, .. } = self;
        let texts = [db, state, anywhere];
        texts.iter().all(|text| text.is_none())
            && kind.is_none()
            && fingerprint.is_none()
            && search.is_none()
            && min_ms.is_none()
            && min_queue_ms.is_none()
            && cache_hit.is_none()
    }

    /// The first and the last start that are in it.
    pub(super) fn starts(&self) -> (i64, i64) {
        let last_ms = self.to_ms.map_or(i64::MAX, |to_ms| to_ms.saturating_sub(1));
        (self.from_ms.unwrap_or(i64::MIN), last_ms)
    }

    /// Where its page begins among the queries that have a start: at this start, below this row.
    pub(super) fn starts_behind(&self) -> (i64, i64) {
        let (_, last_ms) = self.starts();
        match self.after {
            Some(Cursor { started_ms: Some(ms), id }) if ms <= last_ms => (ms, id),
            None | Some(Cursor { started_ms: Some(_), .. }) => (last_ms, i64::MAX),
            // Behind all that have a start.
            Some(Cursor { started_ms: None, .. }) => (i64::MIN, i64::MIN),
        }
    }

    /// Where its page begins among the queries without a start: below this row; `None` where they are not
    /// in it.
    pub(super) fn without_start_below(&self) -> Option<i64> {
        let bounded = self.from_ms.is_some() || self.to_ms.is_some();
        match self.after {
            _ if bounded => None,
            Some(Cursor { started_ms: None, id }) => Some(id),
            _ => Some(i64::MAX),
        }
    }

    /// Whether a query of this start and row is on its page or behind it.
    pub(super) fn is_here(&self, (started_ms, id): (Option<i64>, i64)) -> bool {
        let (first_ms, _) = self.starts();
        let behind = self.starts_behind();
        match started_ms {
            Some(ms) => ms >= first_ms && (ms, id) < behind,
            None => self.without_start_below().is_some_and(|below| id < below),
        }
    }
}

/// What is stored for a query id.
#[derive(Debug, PartialEq)]
pub enum StoredProfile {
    /// The profile's text, as it was taken in, and a hash of the bytes it is stored as (XXH3, 128 bits): another
    /// text has another.
    Text(Vec<u8>, u128),
    /// The query is known, but no profile of it.
    None,
    /// Nobody told of such a query.
    UnknownQuery,
}

impl StoredProfile {
    /// The profile's text, where there is one.
    pub fn text(self) -> Option<Vec<u8>> {
        match self {
            StoredProfile::Text(text, _) => Some(text),
            StoredProfile::None | StoredProfile::UnknownQuery => None,
        }
    }
}

/// The columns of a [`ListedQuery`]. To cut a statement is to count its characters, which only a long one needs.
macro_rules! listed_columns {
    ($then:ident!($($rest:tt)*)) => {
        $then!(
            stepped,
            (),
            "SELECT id, query_id, kind, state, started_ms, ended_ms, duration_ms, user, catalog, db,
                    iif(octet_length(statement) <= ?1, statement, substr(statement, 1, ?1))
                        AS \"statement: String\",
                    frontend, session_id, sql_hash
             FROM query ",
            $($rest)*
        )
    };
}

/// The columns of a [`StoredQuery`].
macro_rules! stored_columns {
    ($then:ident!($($rest:tt)*)) => {
        $then!(
            fetched,
            StoredQuery,
            "SELECT id, query_id, kind, origin, state, started_ms, ended_ms, duration_ms,
                    strftime('%Y-%m-%dT%H:%M:%fZ', started_ms / 1000.0, 'unixepoch')
                        AS \"started_at: String\",
                    strftime('%Y-%m-%dT%H:%M:%fZ', ended_ms / 1000.0, 'unixepoch')
                        AS \"ended_at: String\",
                    user, client, catalog, db,
                    substr(statement, 1, ?1) AS \"statement: String\",
                    fingerprint AS \"fingerprint: StoredFingerprint\",
                    statement_type, command_type, statement_id, session_id, trace_id,
                    is_query AS \"is_query: bool\", is_nereids AS \"is_nereids: bool\",
                    is_internal AS \"is_internal: bool\", is_slow AS \"is_slow: bool\",
                    error_code, error_message, scan_rows, scan_bytes, local_scan_bytes,
                    remote_scan_bytes, return_rows, shuffle_send_rows, shuffle_send_bytes,
                    spill_write_bytes, peak_memory_bytes, cpu_time_ms, frontend, workload_group,
                    compute_group, queried_tables, sql_hash, sql_digest, fuzzy_variables,
                    queue_time_ms, parse_time_ms, plan_time_ms, schedule_time_ms,
                    cache_hit AS \"cache_hit: bool\", spill_read_bytes, chosen_views,
                    changed_variables AS \"changed_variables: Json\",
                    is_start_estimated AS \"is_start_estimated: bool\",
                    is_failed AS \"is_failed!: bool\",
                    extra AS \"extra: Json\",
                    (SELECT json_object(
                        'job_id', job_id, 'label', label, 'load_type', load_type,
                        'table_list', table_list, 'file_path_list', file_path_list,
                        'broker_user', broker_user, 'file_number', file_number,
                        'message', message, 'url', url, 'total_rows', total_rows,
                        'loaded_rows', loaded_rows, 'filtered_rows', filtered_rows,
                        'unselected_rows', unselected_rows, 'load_bytes', load_bytes)
                     FROM load WHERE load.query = query.id) AS \"load: Json\",
                    EXISTS (SELECT 1 FROM profile WHERE profile.query = query.id)
                        AS \"has_profile: bool\"
             FROM query ",
            $($rest)*
        )
    };
}

/// A statement that sqlx runs.
macro_rules! fetched {
    ($row:ident, ($($sql:tt)+), $($argument:expr),+) => {
        sqlx::query_as!($row, $($sql)+, $($argument),+)
    };
}

/// A statement that a bare handle steps: its text, which sqlx's macro has checked, and its arguments.
macro_rules! stepped {
    ($row:tt, ($($sql:tt)+), $($argument:expr),+) => {
        (sqlx::query!($($sql)+, $($argument),+).sql(), params![$($argument),+])
    };
}

/// One query by its id.
macro_rules! one {
    ($how:ident, $row:tt, $columns:tt, $($argument:expr),+) => {
        $how!(
            $row,
            ($columns + "WHERE query_id = ?2 AND (?3 IS NULL OR user = ?3)"),
            $($argument),+
        )
    };
}

/// The one list of queries, with the conditions that place its page and that name the user. There is an index
/// of each user by start, which SQLite does not use for a condition that may not matter.
macro_rules! placed {
    ($how:ident, $row:tt, $columns:tt, $place:tt, $whose:tt, $($argument:expr),+) => {
        $how!(
            $row,
            ($columns + "WHERE " + $place + " AND " + $whose + "
               AND (?4 IS NULL OR db = ?4)
               AND (?5 IS NULL OR state = ?5 COLLATE NOCASE)
               AND (?6 IS NULL OR kind = ?6)
               AND (?7 IS NULL OR statement LIKE ?7 ESCAPE '\\'
                   OR query_id LIKE ?7 ESCAPE '\\' OR user LIKE ?7 ESCAPE '\\'
                   OR db LIKE ?7 ESCAPE '\\' OR state LIKE ?7 ESCAPE '\\'
                   OR frontend LIKE ?7 ESCAPE '\\')
               AND (?8 IS NULL OR duration_ms >= ?8)
               AND (?9 IS NULL OR queue_time_ms >= ?9)
               AND (?10 IS NULL OR cache_hit = ?10)
             ORDER BY started_ms DESC, id DESC
             LIMIT ?2"),
            $($argument),+
        )
    };
}

/// The queries of some rows, in the order of lists.
macro_rules! of_rows {
    ($how:ident, $row:tt, $columns:tt, $($argument:expr),+) => {
        $how!(
            $row,
            ($columns + "WHERE id IN (SELECT value FROM json_each(?2))
             ORDER BY started_ms DESC, id DESC"),
            $($argument),+
        )
    };
}

/// The statements of a list's page: of the queries that have a start, and of those that have none.
macro_rules! with_start {
    ($columns:ident, $whose:tt, $user:expr, $filter:expr) => {
        $columns!(placed!(
            "started_ms BETWEEN ?11 AND ?12 AND (started_ms < ?12 OR id < ?13)",
            $whose,
            LISTED_STATEMENT_CHARS,
            $filter.limit,
            $user,
            $filter.db,
            $filter.state,
            $filter.kind.map(Kind::name),
            $filter.anywhere.as_deref().map(like),
            $filter.min_ms,
            $filter.min_queue_ms,
            $filter.cache_hit,
            $filter.starts().0,
            $filter.starts_behind().0,
            $filter.starts_behind().1
        ))
    };
}

macro_rules! without_start {
    ($columns:ident, $whose:tt, $user:expr, $filter:expr, $missing:expr, $below:expr) => {
        $columns!(placed!(
            "started_ms IS NULL AND id < ?11",
            $whose,
            LISTED_STATEMENT_CHARS,
            $missing,
            $user,
            $filter.db,
            $filter.state,
            $filter.kind.map(Kind::name),
            $filter.anywhere.as_deref().map(like),
            $filter.min_ms,
            $filter.min_queue_ms,
            $filter.cache_hit,
            $below
        ))
    };
}

/// A pattern of LIKE that finds a text as it is.
fn like(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

/// Steps a statement of `listed_columns`; gives how many rows it had.
fn step(
    handle: &Connection,
    (sql, arguments): (SqlStr, &[&dyn ToSql]),
    each: &mut impl FnMut(ListedQuery<'_>),
) -> Result<u32, rusqlite::Error> {
    let mut statement = handle.prepare_cached(sql.as_str())?;
    let mut rows = statement.query(arguments)?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        each(ListedQuery::of(row)?);
        count += 1;
    }
    Ok(count)
}

impl Store {
    /// Hands over the queries of a filter, newest first, one by one as SQLite has them; of those of
    /// `owner` alone, where one is named, as in all that follows. A page costs the same wherever it is: its
    /// place is found in the index by start.
    pub async fn list(
        &self,
        filter: &QueryFilter,
        owner: Option<&str>,
        mut each: impl FnMut(ListedQuery<'_>),
    ) -> Result<(), StoreError> {
        let found = self.found(filter, owner).await?;
        let whose = filter.whose(owner);
        let page = |handle: &Connection| {
            if let Some(found) = &found {
                let rows = listed_columns!(of_rows!(LISTED_STATEMENT_CHARS, found));
                return step(handle, rows, &mut each).map(|_| ());
            }
            let nobody: Option<&str> = None;
            let listed = match whose {
                Whose::Nobodys => return Ok(()),
                Whose::Of(user) => {
                    let rows = with_start!(listed_columns, "user = ?3", user, filter);
                    step(handle, rows, &mut each)?
                }
                Whose::Everybodys => {
                    let rows = with_start!(listed_columns, "?3 IS NULL", nobody, filter);
                    step(handle, rows, &mut each)?
                }
            };
            let missing = filter.limit.saturating_sub(listed);
            let Some(below) = filter.without_start_below().filter(|_| missing > 0) else {
                return Ok(());
            };
            if let Whose::Of(user) = whose {
                let rows =
                    without_start!(listed_columns, "user = ?3", user, filter, missing, below);
                step(handle, rows, &mut each)?;
            } else {
                let rows =
                    without_start!(listed_columns, "?3 IS NULL", nobody, filter, missing, below);
                step(handle, rows, &mut each)?;
            }
            Ok(())
        };
        if filter.takes_all() {
            self.handles.read_briefly(page).await
        } else {
            self.handles.read(page).await
        }
    }

    /// The same with everything that is known of each.
    pub async fn records(
        &self,
        filter: &QueryFilter,
        owner: Option<&str>,
    ) -> Result<Vec<StoredQuery>, StoreError> {
        if let Some(found) = self.found(filter, owner).await? {
            let rows = stored_columns!(of_rows!(LISTED_STATEMENT_CHARS, found));
            return Ok(rows.fetch_all(&self.readers).await?);
        }
        let nobody: Option<&str> = None;
        let whose = filter.whose(owner);
        let mut rows = match whose {
            Whose::Nobodys => return Ok(Vec::new()),
            Whose::Of(user) => {
                let rows = with_start!(stored_columns, "user = ?3", user, filter);
                rows.fetch_all(&self.readers).await?
            }
            Whose::Everybodys => {
                let rows = with_start!(stored_columns, "?3 IS NULL", nobody, filter);
                rows.fetch_all(&self.readers).await?
            }
        };
        let missing = filter.limit.saturating_sub(rows.len() as u32);
        let Some(below) = filter.without_start_below().filter(|_| missing > 0) else {
            return Ok(rows);
        };
        rows.extend(if let Whose::Of(user) = whose {
            let rows = without_start!(stored_columns, "user = ?3", user, filter, missing, below);
            rows.fetch_all(&self.readers).await?
        } else {
            let rows = without_start!(stored_columns, "?3 IS NULL", nobody, filter, missing, below);
            rows.fetch_all(&self.readers).await?
        });
        Ok(rows)
    }

    /// Hands over one query, as a list shows it, where it is known.
    pub async fn listed(
        &self,
        query_id: &QueryId,
        owner: Option<&str>,
        mut each: impl FnMut(ListedQuery<'_>),
    ) -> Result<(), StoreError> {
        let id = query_id.as_str();
        let read = self.handles.read_briefly(|handle| {
            step(handle, listed_columns!(one!(LISTED_STATEMENT_CHARS, id, owner)), &mut each)
        });
        read.await.map(|_| ())
    }

    /// Everything that is known of one query, its statement whole.
    pub async fn record(
        &self,
        query_id: &QueryId,
        owner: Option<&str>,
    ) -> Result<Option<StoredQuery>, StoreError> {
        let id = query_id.as_str();
        stored_columns!(one!(i64::MAX, id, owner))
            .fetch_optional(&self.readers)
            .await
            .map_err(StoreError::from)
    }

    /// The whole statement of a query; `None` where the query or its statement is not known.
    pub async fn statement(
        &self,
        query_id: &QueryId,
        owner: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        let id = query_id.as_str();
        let found = sqlx::query_scalar!(
            "SELECT statement FROM query WHERE query_id = ?1 AND (?2 IS NULL OR user = ?2)",
            id,
            owner
        )
        .fetch_optional(&self.readers)
        .await?;
        Ok(found.flatten())
    }

    /// The newest query of a trace id.
    pub async fn traced(
        &self,
        trace_id: &str,
        owner: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar!(
            "SELECT query_id FROM query WHERE trace_id = ?1 AND (?2 IS NULL OR user = ?2)
             ORDER BY id DESC LIMIT 1",
            trace_id,
            owner
        )
        .fetch_optional(&self.readers)
        .await
        .map_err(StoreError::from)
    }

    /// The profile of a query.
    pub async fn profile(
        &self,
        query_id: &QueryId,
        owner: Option<&str>,
    ) -> Result<StoredProfile, StoreError> {
        let id = query_id.as_str();
        let read = self.handles.read_briefly(|handle| {
            let (sql, arguments) = (
                sqlx::query!(
                    "SELECT profile.text_bytes, profile.body
                     FROM query LEFT JOIN profile ON profile.query = query.id
                     WHERE query.query_id = ?1 AND (?2 IS NULL OR query.user = ?2)",
                    id,
                    owner
                )
                .sql(),
                params![id, owner],
            );
            let mut statement = handle.prepare_cached(sql.as_str())?;
            let mut rows = statement.query(arguments)?;
            let Some(row) = rows.next()? else { return Ok(Ok(StoredProfile::UnknownQuery)) };
            Ok(match (row.get_ref(1)?.as_blob_or_null()?, row.get(0)?) {
                (Some(body), Some(text_bytes)) => {
                    let unpacked = || {
                        unpack(body, text_bytes)
                            .map(|text| StoredProfile::Text(text, xxh3_128(body)))
                    };
                    match body.len() {
                        ..LONG_BODY_BYTES => unpacked(),
                        _ => tokio::task::block_in_place(unpacked),
                    }
                }
                _ => Ok(StoredProfile::None),
            })
        });
        read.await?.map_err(StoreError::from)
    }

    /// Returns the id of the newest query that has a profile; None where there is none. Goes through the index by start
    /// until there is one.
    pub async fn newest_profile(&self, owner: Option<&str>) -> Result<Option<QueryId>, StoreError> {
        let id = match owner {
            None => {
                let newest = sqlx::query_scalar!(
                    "SELECT query_id FROM query
                     WHERE EXISTS (SELECT 1 FROM profile WHERE profile.query = query.id)
                     ORDER BY started_ms DESC, id DESC LIMIT 1"
                );
                newest.fetch_optional(&self.reporters).await?
            }
            Some(user) => {
                let newest = sqlx::query_scalar!(
                    "SELECT query_id FROM query
                     WHERE user = ? AND EXISTS (SELECT 1 FROM profile WHERE profile.query = query.id)
                     ORDER BY started_ms DESC, id DESC LIMIT 1",
                    user
                );
                newest.fetch_optional(&self.reporters).await?
            }
        };
        Ok(id.and_then(|id| id.parse().ok()))
    }

    /// Which of these queries need nothing more: they have ended, and their profile is stored.
    pub async fn complete(&self, query_ids: &[QueryId]) -> Result<HashSet<QueryId>, StoreError> {
        let list: Vec<&str> = query_ids.iter().map(QueryId::as_str).collect();
        let list = serde_json::json!(list).to_string();
        let complete = sqlx::query_scalar!(
            "SELECT query_id FROM query
             WHERE query_id IN (SELECT value FROM json_each(?))
               AND upper(ifnull(state, '')) <> 'RUNNING'
               AND EXISTS (SELECT 1 FROM profile WHERE profile.query = query.id)",
            list
        )
        .fetch_all(&self.readers)
        .await?;
        Ok(complete.into_iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// The ids that begin so, in order, up to `limit`.
    pub async fn ids_with_prefix(
        &self,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        let end = format!("{prefix}{}", char::MAX);
        sqlx::query_scalar!(
            "SELECT query_id FROM query WHERE query_id >= ?1 AND query_id < ?2
             ORDER BY query_id LIMIT ?3",
            prefix,
            end,
            limit
        )
        .fetch_all(&self.readers)
        .await
        .map_err(StoreError::from)
    }

    /// Every audit log that was followed, and how far.
    pub async fn followed_files(&self) -> Result<Vec<FollowedFile>, StoreError> {
        let files = sqlx::query!(
            "SELECT head_hash, head_bytes, read_bytes, path, file_bytes, modified_ms
             FROM followed_file"
        )
        .fetch_all(&self.readers)
        .await?;
        let files = files.into_iter().map(|file| FollowedFile {
            head_hash: file.head_hash,
            head_bytes: file.head_bytes,
            read_bytes: file.read_bytes,
            path: file.path,
            file_bytes: file.file_bytes,
            modified_ms: file.modified_ms,
            replaces: None,
        });
        Ok(files.collect())
    }
}
