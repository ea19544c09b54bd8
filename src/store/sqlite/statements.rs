//! Statistics of normalized statements, and their text.

use std::collections::{HashMap, HashSet};

use super::Store;
use crate::domain::filter::QueryFilter;
use crate::domain::statement::Fingerprint;
use crate::store::group::GroupBy;
use crate::store::{StatementOrder, StatementStatistics, StoreError};

impl Store {
    /// Returns the statistics of the queries of a filter that the owner may see, by statement, as many as the
    /// filter's limit. Ignores the filter's cursor.
    pub(crate) async fn statements(
        &self,
        filter: &QueryFilter,
        order: StatementOrder,
        owner: Option<&str>,
    ) -> Result<Vec<StatementStatistics>, StoreError> {
        let groups = self.top(filter, GroupBy::Statement, owner).await?;
        let mut all: Vec<_> = groups.into_iter().filter_map(StatementStatistics::of).collect();
        order.sort(&mut all);
        all.truncate(filter.limit as usize);
        let fingerprints = all.iter().map(|one| one.fingerprint).collect();
        let mut texts = self.normalized_statements(&fingerprints).await?;
        for one in &mut all {
            one.normalized = texts.remove(&one.fingerprint).unwrap_or_default();
        }
        Ok(all)
    }

    /// Returns how often the queries of each fingerprint ran in each of `parts` spans of `width_ms` from
    /// `from_ms` on.
    pub(crate) async fn trends(
        &self,
        fingerprints: &[Fingerprint],
        (from_ms, width_ms, parts): (i64, u64, usize),
        owner: Option<&str>,
    ) -> Result<HashMap<Fingerprint, Vec<i64>>, StoreError> {
        let all: Vec<i64> = fingerprints.iter().map(|one| one.to_signed()).collect();
        let all = serde_json::json!(all).to_string();
        let width_ms = i64::try_from(width_ms).unwrap_or(i64::MAX).max(1);
        let length_ms = width_ms.saturating_mul(i64::try_from(parts).unwrap_or(i64::MAX));
        let last_ms = from_ms.saturating_add(length_ms).saturating_sub(1);
        let counted = sqlx::query_file!(
            "src/store/queries/trends.sql", from_ms, width_ms, last_ms, all, owner
        )
        .fetch_all(&self.reporters)
        .await?;
        let mut trends = HashMap::new();
        for row in counted {
            let fingerprint = Fingerprint::from_signed(row.fingerprint);
            let trend = trends.entry(fingerprint).or_insert_with(|| vec![0; parts]);
            if let Some(count) = usize::try_from(row.part).ok().and_then(|part| trend.get_mut(part))
            {
                *count = row.count;
            }
        }
        Ok(trends)
    }

    /// Returns the normalized statements of fingerprints, each its first 64 KiB. Unknown fingerprints are
    /// missing.
    pub(crate) async fn normalized_statements(
        &self,
        fingerprints: &HashSet<Fingerprint>,
    ) -> Result<HashMap<Fingerprint, String>, StoreError> {
        let list: Vec<i64> = fingerprints.iter().map(|it| it.to_signed()).collect();
        let list = serde_json::json!(list).to_string();
        let statements = sqlx::query!(
            "SELECT fingerprint, normalized FROM statement
             WHERE fingerprint IN (SELECT value FROM json_each(?))",
            list
        )
        .fetch_all(&self.readers)
        .await?;
        Ok(statements
            .into_iter()
            .map(|row| (Fingerprint::from_signed(row.fingerprint), row.normalized))
            .collect())
    }
}
