//! Checking the file and its rows.

use super::super::Store;
use super::super::raw::wrong_texts;
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
    pub(crate) async fn integrity(&self) -> Result<Vec<Finding>, StoreError> {
        let check = format!("PRAGMA integrity_check({MESSAGES})");
        let messages: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(check)).fetch_all(&self.reporters).await?;
        let mut findings: Vec<Finding> = messages
            .into_iter()
            .filter(|message| message != "ok")
            .map(|what| Finding { what, count: 1 })
            .collect();
        let orphans =
            sqlx::query_file!("src/store/queries/orphans.sql").fetch_one(&self.reporters).await?;
        findings.extend(finding("profiles without a query", orphans.profiles));
        findings.extend(finding("plans without a profile", orphans.plans));
        findings.extend(finding("loads without a query", orphans.loads));
        findings
            .extend(finding("fingerprints without a normalized statement", orphans.fingerprints));
        Ok(findings)
    }

    /// Returns the columns that have bytes that are no UTF-8. Reads every text.
    pub(crate) async fn wrong_texts(&self) -> Result<Vec<Finding>, StoreError> {
        wrong_texts(&mut *self.reporters.acquire().await?).await
    }

    /// Unpacks every profile, one at a time. Returns those that cannot be unpacked.
    pub(crate) async fn damaged_profiles(&self) -> Result<Vec<Finding>, StoreError> {
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
    pub(crate) async fn table_sizes(&self) -> Result<Vec<TableSize>, StoreError> {
        let sizes = sqlx::query_file_as!(TableSize, "src/store/queries/table_sizes.sql");
        sizes.fetch_all(&self.reporters).await.map_err(StoreError::from)
    }
}
