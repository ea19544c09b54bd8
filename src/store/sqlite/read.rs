//! Reading: single values of queries, and the logs that annals follows.

use std::collections::HashSet;

use super::Store;
use crate::domain::record::QueryId;
use crate::store::batch::{AuditCheckpoint, FollowedFile};
use crate::store::error::StoreError;
use crate::store::list::IDS_WITH_PREFIX;
use crate::store::query::Reader;

impl Store {
    /// Returns the whole statement of a query, or None if the query or its statement is unknown.
    pub(crate) async fn statement(
        &self,
        query_id: &QueryId,
        reader: Reader<'_>,
    ) -> Result<Option<String>, StoreError> {
        let (id, owner, clusters) = (query_id.as_str(), reader.owner, reader.clusters_json());
        // The bytes of a damaged page may be no text.
        let found = sqlx::query_scalar!(
            r#"SELECT CAST(statement AS BLOB) AS "statement: Vec<u8>" FROM query
               WHERE query_id = ?1 AND (?2 IS NULL OR user = ?2)
                 AND (?3 IS NULL OR cluster IN (SELECT value FROM json_each(?3)))"#,
            id,
            owner,
            clusters
        )
        .fetch_optional(&self.readers)
        .await?;
        let text = |bytes| match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        Ok(found.flatten().map(text))
    }

    /// Returns the ids of the queries of a trace id, the last to arrive first, at most `limit`.
    pub(crate) async fn traced(
        &self,
        trace_id: &str,
        limit: u32,
        reader: Reader<'_>,
    ) -> Result<Vec<String>, StoreError> {
        let (owner, clusters) = (reader.owner, reader.clusters_json());
        sqlx::query_scalar!(
            "SELECT query_id FROM query WHERE trace_id = ?1 AND (?2 IS NULL OR user = ?2)
               AND (?3 IS NULL OR cluster IN (SELECT value FROM json_each(?3)))
             ORDER BY id DESC LIMIT ?4",
            trace_id,
            owner,
            clusters,
            limit
        )
        .fetch_all(&self.readers)
        .await
        .map_err(StoreError::from)
    }

    /// Returns those of the queries that have ended and whose profile is stored.
    pub(crate) async fn complete(
        &self,
        query_ids: &[QueryId],
    ) -> Result<HashSet<QueryId>, StoreError> {
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

    /// Returns the ids with this prefix, in order, at most `limit`. Looks at the first [`IDS_WITH_PREFIX`] of all users.
    pub(crate) async fn ids_with_prefix(
        &self,
        prefix: &str,
        limit: u32,
        reader: Reader<'_>,
    ) -> Result<Vec<String>, StoreError> {
        let (owner, clusters) = (reader.owner, reader.clusters_json());
        let end = format!("{prefix}{}", char::MAX);
        sqlx::query_scalar!(
            "SELECT query_id
             FROM (SELECT query_id, user, cluster FROM query WHERE query_id >= ?1 AND query_id < ?2
                   ORDER BY query_id LIMIT ?5)
             WHERE (?4 IS NULL OR user = ?4)
               AND (?6 IS NULL OR cluster IN (SELECT value FROM json_each(?6)))
             ORDER BY query_id LIMIT ?3",
            prefix,
            end,
            limit,
            owner,
            IDS_WITH_PREFIX,
            clusters
        )
        .fetch_all(&self.readers)
        .await
        .map_err(StoreError::from)
    }

    /// Returns the fingerprints of statements from one to another, as signed numbers, at most `limit`.
    pub(crate) async fn fingerprints_between(
        &self,
        (first, last): (i64, i64),
        limit: u32,
    ) -> Result<Vec<i64>, StoreError> {
        let found = sqlx::query_scalar!(
            "SELECT fingerprint FROM statement WHERE fingerprint BETWEEN ? AND ?
             ORDER BY fingerprint LIMIT ?",
            first,
            last,
            limit
        );
        Ok(found.fetch_all(&self.readers).await?)
    }

    /// Returns every audit log that was followed, and how far it was read.
    pub(crate) async fn followed_files(&self) -> Result<Vec<FollowedFile>, StoreError> {
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

    /// Returns how far an audit table was read; none if the name is new.
    pub(crate) async fn audit_checkpoint(
        &self,
        name: &str,
    ) -> Result<Option<AuditCheckpoint>, StoreError> {
        // One statement, so that both are of one state.
        let rows = sqlx::query!(
            r#"SELECT read_from, oldest, minute AS "minute?", rows AS "rows?"
               FROM audit_table LEFT JOIN audit_table_minute USING (name)
               WHERE name = ?"#,
            name
        )
        .fetch_all(&self.readers)
        .await?;
        let rows = rows.into_iter().map(|row| {
            let minute = row.minute.zip(row.rows);
            (row.read_from, row.oldest, minute)
        });
        Ok(AuditCheckpoint::of_rows(name, rows))
    }
}
