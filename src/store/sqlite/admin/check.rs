//! Checking the file and its rows.

use super::super::Store;
use crate::store::contents::{Finding, TableSize};
use crate::store::error::StoreError;
use crate::store::profile_body::unpack;

/// Messages of SQLite that a check returns.
const MESSAGES: i64 = 20;

fn finding(what: impl Into<String>, count: i64) -> Option<Finding> {
    (count > 0).then(|| Finding { what: what.into(), count })
}

impl Store {
    /// Returns what SQLite finds wrong with the file (pages, indexes, constraints), and rows whose
    /// counterpart in another table is missing. Reads the whole file. Errors if the damage stops the reading.
    pub async fn integrity(&self) -> Result<Vec<Finding>, StoreError> {
        let check = format!("PRAGMA integrity_check({MESSAGES})");
        let messages: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(check)).fetch_all(&self.reporters).await?;
        let mut findings: Vec<Finding> = messages
            .into_iter()
            .filter(|message| message != "ok")
            .map(|what| Finding { what, count: 1 })
            .collect();
        let orphans = sqlx::query!(
            r#"SELECT
                   (SELECT count(*) FROM profile WHERE query NOT IN (SELECT id FROM query))
                       AS "profiles!: i64",
                   (SELECT count(*) FROM load WHERE query NOT IN (SELECT id FROM query))
                       AS "loads!: i64",
                   (SELECT count(DISTINCT fingerprint) FROM query
                    WHERE fingerprint NOT IN (SELECT fingerprint FROM statement))
                       AS "fingerprints!: i64",
                   (SELECT count(*) FROM statement
                    WHERE NOT EXISTS (
                        SELECT 1 FROM query WHERE query.fingerprint = statement.fingerprint))
                       AS "statements!: i64""#
        )
        .fetch_one(&self.reporters)
        .await?;
        findings.extend(finding("profiles without a query", orphans.profiles));
        findings.extend(finding("loads without a query", orphans.loads));
        findings
            .extend(finding("fingerprints without a normalized statement", orphans.fingerprints));
        findings.extend(finding("normalized statements without a query", orphans.statements));
        Ok(findings)
    }

    /// Unpacks every profile, one at a time. Returns those that cannot be unpacked.
    pub async fn damaged_profiles(&self) -> Result<Vec<Finding>, StoreError> {
        let mut findings = Vec::new();
        let mut last = i64::MIN;
        loop {
            let next = sqlx::query!(
                r#"SELECT profile.query, query_id AS "query_id?", text_bytes, body
                   FROM profile LEFT JOIN query ON query.id = profile.query
                   WHERE profile.query > ? ORDER BY profile.query LIMIT 1"#,
                last
            )
            .fetch_optional(&self.reporters)
            .await?;
            let Some(profile) = next else { return Ok(findings) };
            last = profile.query;
            let text_bytes = profile.text_bytes;
            let unpacked = tokio::task::spawn_blocking(move || unpack(&profile.body, text_bytes));
            if !matches!(unpacked.await, Ok(Ok(_))) {
                let query = profile.query_id.unwrap_or_else(|| format!("in row {last}"));
                findings
                    .extend(finding(format!("the profile of query {query} cannot be unpacked"), 1));
            }
        }
    }

    /// Returns the size of each table, the largest first. Reads the whole file. Free pages and the pages of
    /// SQLite's own tables are not included.
    pub async fn table_sizes(&self) -> Result<Vec<TableSize>, StoreError> {
        let sizes = sqlx::query_as!(
            TableSize,
            r#"WITH counted (name, rows) AS (
                   SELECT 'query', count(*) FROM query
                   UNION ALL SELECT 'load', count(*) FROM load
                   UNION ALL SELECT 'profile', count(*) FROM profile
                   UNION ALL SELECT 'statement', count(*) FROM statement
                   UNION ALL SELECT 'search_segment', count(*) FROM search_segment
                   UNION ALL SELECT 'search_page', count(*) FROM search_page
                   UNION ALL SELECT 'followed_file', count(*) FROM followed_file
                   UNION ALL SELECT 'stream_load_label', count(*) FROM stream_load_label
                   UNION ALL SELECT 'account', count(*) FROM account
                   UNION ALL SELECT 'login', count(*) FROM login
               )
               SELECT counted.name AS "table!: String", rows AS "rows!: i64",
                   ifnull(sum(pgsize) FILTER (WHERE type = 'table'), 0) AS "bytes!: i64",
                   ifnull(sum(pgsize) FILTER (WHERE type = 'index'), 0) AS "index_bytes!: i64"
               FROM counted
               JOIN sqlite_schema ON tbl_name = counted.name
               JOIN dbstat ON dbstat.name = sqlite_schema.name AND aggregate = 1
               GROUP BY counted.name
               ORDER BY sum(pgsize) DESC, counted.name"#
        );
        sizes.fetch_all(&self.reporters).await.map_err(StoreError::from)
    }
}
