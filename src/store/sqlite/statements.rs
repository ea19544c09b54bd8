//! Statistics of normalized statements, and their text.

use std::collections::{HashMap, HashSet};

use super::Store;
use crate::domain::statement::Fingerprint;
use crate::store::{Reader, StoreError};

impl Store {
    /// Returns how often the queries of each fingerprint ran in each of `parts` spans of `width_ms` from
    /// `from_ms` on.
    pub(crate) async fn trends(
        &self,
        fingerprints: &[Fingerprint],
        (from_ms, width_ms, parts): (i64, u64, usize),
        reader: Reader<'_>,
    ) -> Result<HashMap<Fingerprint, Vec<i64>>, StoreError> {
        let all: Vec<i64> = fingerprints.iter().map(|one| one.to_signed()).collect();
        let all = serde_json::json!(all).to_string();
        let width_ms = i64::try_from(width_ms).unwrap_or(i64::MAX).max(1);
        let length_ms = width_ms.saturating_mul(i64::try_from(parts).unwrap_or(i64::MAX));
        let last_ms = from_ms.saturating_add(length_ms).saturating_sub(1);
        let mut trends = HashMap::new();
        let spans = (from_ms, width_ms, last_ms);
        for (fingerprint, part, counted) in self.counted_by_span(all, spans, reader).await? {
            let trend = trends.entry(fingerprint).or_insert_with(|| vec![0; parts]);
            if let Some(count) = usize::try_from(part).ok().and_then(|part| trend.get_mut(part)) {
                *count = counted;
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
