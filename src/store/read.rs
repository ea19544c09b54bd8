//! Reading: what the ways out ask for.

use std::collections::HashSet;

use super::profile::unpack;
use super::{FollowedFile, Store};
use crate::query::{Kind, QueryId};

/// A list cuts a statement to so many characters, so that an answer stays within bounds; the whole one
/// is in the store.
const LISTED_STATEMENT_CHARS: i64 = 65_536;

/// What a list shows of a query; the fields are those of [`crate::query::QueryRecord`].
#[derive(Debug)]
#[allow(missing_docs)]
pub struct ListedQuery {
    pub id: i64,
    pub query_id: String,
    pub kind: String,
    pub state: Option<String>,
    pub started_ms: Option<i64>,
    pub ended_ms: Option<i64>,
    pub duration_ms: Option<i64>,
    pub user: Option<String>,
    pub catalog: Option<String>,
    pub db: Option<String>,
    pub statement: Option<String>,
    pub frontend: Option<String>,
    pub session_id: Option<String>,
    pub sql_hash: Option<String>,
}

impl ListedQuery {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        Kind::of_name(&self.kind)
    }

    /// Where in a list it stands.
    pub fn place(&self) -> Place {
        Place { started_ms: self.started_ms, id: self.id }
    }
}

/// A place in the list of all queries, which is by start, newest first. Those whose start nobody knows
/// come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The start of the query there.
    pub started_ms: Option<i64>,
    /// Its row, which tells queries of the same start apart.
    pub id: i64,
}

/// Which queries a list shows. What is `None` does not matter.
#[derive(Debug, Default, Clone)]
pub struct Selection {
    /// At most so many.
    pub limit: u32,
    /// Only those behind this place.
    pub after: Option<Place>,
    /// Whoever ran it.
    pub user: Option<String>,
    /// The database it ran in.
    pub db: Option<String>,
    /// The state, in any letter case.
    pub state: Option<String>,
    /// What it was.
    pub kind: Option<Kind>,
    /// A text that stands in the statement, in any case of ASCII letters.
    pub search: Option<String>,
    /// Whether it may also stand in the id, the user, the database, the state or the frontend.
    pub search_all: bool,
    /// It took at least so long.
    pub min_ms: Option<i64>,
    /// It started then or later.
    pub from_ms: Option<i64>,
    /// It started before then.
    pub to_ms: Option<i64>,
}

/// What is stored for a query id.
#[derive(Debug, PartialEq)]
pub enum StoredProfile {
    /// The profile's text, as it was taken in.
    Text(Vec<u8>),
    /// The query is known, but no profile of it.
    None,
    /// Nobody told of such a query.
    UnknownQuery,
}

/// The one list of queries, with the condition that places its page.
macro_rules! listed {
    ($place:tt, $($argument:expr),+) => {
        sqlx::query_as!(
            ListedQuery,
            "SELECT id, query_id, kind, state, started_ms, ended_ms, duration_ms, user, catalog, db,
                    substr(statement, 1, ?8) AS \"statement: String\", frontend, session_id, sql_hash
             FROM query
             WHERE " + $place + "
               AND (?2 IS NULL OR user = ?2)
               AND (?10 IS NULL OR user = ?10)
               AND (?3 IS NULL OR db = ?3)
               AND (?4 IS NULL OR state = ?4 COLLATE NOCASE)
               AND (?5 IS NULL OR kind = ?5)
               AND (?6 IS NULL OR statement LIKE ?6 ESCAPE '\\' OR (?9 AND (
                   query_id LIKE ?6 ESCAPE '\\' OR user LIKE ?6 ESCAPE '\\'
                   OR db LIKE ?6 ESCAPE '\\' OR state LIKE ?6 ESCAPE '\\'
                   OR frontend LIKE ?6 ESCAPE '\\')))
               AND (?7 IS NULL OR duration_ms >= ?7)
             ORDER BY started_ms DESC, id DESC
             LIMIT ?1",
            $($argument),+
        )
    };
}

/// A pattern of LIKE that finds a text as it is.
fn like(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

impl Store {
    /// The queries of a selection, newest first; of those of `owner` alone, where one is named, as in all
    /// that follows. A page costs the same wherever it is: its place is
    /// found in the index by start.
    pub async fn list(
        &self,
        selection: &Selection,
        owner: Option<&str>,
    ) -> Result<Vec<ListedQuery>, sqlx::Error> {
        let Selection { limit, after, user, db, state, kind, search, search_all, min_ms, .. } =
            selection;
        let kind = kind.map(Kind::name);
        let search = search.as_deref().map(like);
        let from_ms = selection.from_ms.unwrap_or(i64::MIN);
        let last_ms = selection.to_ms.map_or(i64::MAX, |to_ms| to_ms.saturating_sub(1));
        let (start_ms, start_id) = match after {
            None => (last_ms, i64::MAX),
            Some(Place { started_ms: Some(ms), .. }) if *ms > last_ms => (last_ms, i64::MAX),
            Some(Place { started_ms: Some(ms), id }) => (*ms, *id),
            // Behind all that have a start.
            Some(Place { started_ms: None, .. }) => (i64::MIN, i64::MIN),
        };
        let mut listed = listed!(
            "started_ms BETWEEN ?11 AND ?12 AND (started_ms < ?12 OR id < ?13)",
            limit,
            user,
            db,
            state,
            kind,
            search,
            min_ms,
            LISTED_STATEMENT_CHARS,
            search_all,
            owner,
            from_ms,
            start_ms,
            start_id
        )
        .fetch_all(&self.readers)
        .await?;
        let missing = limit.saturating_sub(listed.len() as u32);
        if missing > 0 && selection.from_ms.is_none() && selection.to_ms.is_none() {
            let start_id = match after {
                Some(Place { started_ms: None, id }) => *id,
                _ => i64::MAX,
            };
            let without_start = listed!(
                "started_ms IS NULL AND id < ?11", missing, user, db, state, kind, search, min_ms,
                LISTED_STATEMENT_CHARS, search_all, owner, start_id
            );
            listed.extend(without_start.fetch_all(&self.readers).await?);
        }
        Ok(listed)
    }

    /// One query, as a list shows it.
    pub async fn listed(
        &self,
        query_id: &QueryId,
        owner: Option<&str>,
    ) -> Result<Option<ListedQuery>, sqlx::Error> {
        let id = query_id.as_str();
        sqlx::query_as!(
            ListedQuery,
            r#"SELECT id, query_id, kind, state, started_ms, ended_ms, duration_ms, user, catalog, db,
                      substr(statement, 1, ?2) AS "statement: String", frontend, session_id, sql_hash
               FROM query
               WHERE query_id = ?1 AND (?3 IS NULL OR user = ?3)"#,
            id,
            LISTED_STATEMENT_CHARS,
            owner
        )
        .fetch_optional(&self.readers)
        .await
    }

    /// The whole statement of a query; `None` where the query or its statement is not known.
    pub async fn statement(
        &self,
        query_id: &QueryId,
        owner: Option<&str>,
    ) -> Result<Option<String>, sqlx::Error> {
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
    ) -> Result<Option<String>, sqlx::Error> {
        sqlx::query_scalar!(
            "SELECT query_id FROM query WHERE trace_id = ?1 AND (?2 IS NULL OR user = ?2)
             ORDER BY id DESC LIMIT 1",
            trace_id,
            owner
        )
        .fetch_optional(&self.readers)
        .await
    }

    /// The profile of a query.
    pub async fn profile(
        &self,
        query_id: &QueryId,
        owner: Option<&str>,
    ) -> Result<StoredProfile, sqlx::Error> {
        let id = query_id.as_str();
        let stored = sqlx::query!(
            r#"SELECT profile.text_bytes AS "text_bytes?", profile.body AS "body?"
               FROM query LEFT JOIN profile ON profile.query = query.id
               WHERE query.query_id = ?1 AND (?2 IS NULL OR query.user = ?2)"#,
            id,
            owner
        )
        .fetch_optional(&self.readers)
        .await?;
        match stored {
            None => Ok(StoredProfile::UnknownQuery),
            Some(row) => match (row.body, row.text_bytes) {
                (Some(body), Some(text_bytes)) => {
                    unpack(body, text_bytes).map(StoredProfile::Text).map_err(sqlx::Error::Io)
                }
                _ => Ok(StoredProfile::None),
            },
        }
    }

    /// Which of these queries need nothing more: they have ended, and their profile is stored.
    pub async fn complete(&self, query_ids: &[QueryId]) -> Result<HashSet<QueryId>, sqlx::Error> {
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

    /// Every audit log that was followed, and how far.
    pub async fn followed_files(&self) -> Result<Vec<FollowedFile>, sqlx::Error> {
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
