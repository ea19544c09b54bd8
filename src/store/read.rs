//! Reading: what the ways out ask for.

use super::Store;
use super::profile::unpack;
use crate::query::{Kind, QueryId};

/// A list cuts a statement to so many characters, so that an answer stays within bounds; the whole one
/// is in the store.
const LISTED_STATEMENT_CHARS: i64 = 65_536;

/// What a list shows of a query; the fields are those of [`crate::query::QueryRecord`].
#[derive(Debug)]
#[allow(missing_docs)]
pub struct ListedQuery {
    pub query_id: String,
    pub kind: Kind,
    pub state: Option<String>,
    pub started_ms: Option<i64>,
    pub ended_ms: Option<i64>,
    pub duration_ms: Option<i64>,
    pub user: Option<String>,
    pub catalog: Option<String>,
    pub db: Option<String>,
    pub statement: Option<String>,
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

impl Store {
    /// The newest queries by start, at most `limit`, newest first.
    pub async fn newest(&self, limit: u32) -> Result<Vec<ListedQuery>, sqlx::Error> {
        let rows = sqlx::query!(
            r#"SELECT query_id, kind, state, started_ms, ended_ms, duration_ms, user, catalog, db,
                      substr(statement, 1, ?1) AS "statement: String"
               FROM query
               ORDER BY started_ms DESC, id DESC
               LIMIT ?2"#,
            LISTED_STATEMENT_CHARS,
            limit
        )
        .fetch_all(&self.readers)
        .await?;
        let listed = rows.into_iter().map(|row| ListedQuery {
            query_id: row.query_id,
            kind: Kind::of_name(&row.kind),
            state: row.state,
            started_ms: row.started_ms,
            ended_ms: row.ended_ms,
            duration_ms: row.duration_ms,
            user: row.user,
            catalog: row.catalog,
            db: row.db,
            statement: row.statement,
        });
        Ok(listed.collect())
    }

    /// The profile of a query.
    pub async fn profile(&self, query_id: &QueryId) -> Result<StoredProfile, sqlx::Error> {
        let id = query_id.as_str();
        let stored = sqlx::query!(
            r#"SELECT profile.text_bytes AS "text_bytes?", profile.body AS "body?"
               FROM query LEFT JOIN profile ON profile.query = query.id
               WHERE query.query_id = ?"#,
            id
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
}
