//! Reading: what is asked of many queries at once.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::Store;
use super::top::{Group, GroupBy};
use crate::domain::filter::QueryFilter;
use crate::domain::statement::Fingerprint;
use crate::store::error::StoreError;
use crate::store::query::StoredFingerprint;

/// The statements of one shape, together. Percentiles are of the durations that are known, by nearest rank.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatementStatistics {
    /// 16 hex digits.
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    pub fingerprint: StoredFingerprint,
    /// The statement without its values, its first 64 KiB.
    pub shape: String,
    /// How often it ran.
    pub count: i64,
    /// How often it failed.
    pub errors: i64,
    /// All durations together.
    pub total_ms: i64,
    /// Half of them took no longer.
    pub p50_ms: Option<i64>,
    /// 95 of 100 took no longer.
    pub p95_ms: Option<i64>,
    /// 99 of 100 took no longer.
    pub p99_ms: Option<i64>,
    /// The longest took so long.
    pub max_ms: Option<i64>,
    /// Rows scanned.
    pub scan_rows: i64,
    /// Bytes scanned.
    pub scan_bytes: i64,
    /// How many users ran it.
    pub users: i64,
    /// The first start.
    pub first_ms: Option<i64>,
    /// The last start.
    pub last_ms: Option<i64>,
}

/// By what statements are put in order, the most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum StatementOrder {
    Total,
    Count,
    Errors,
    P50,
    P95,
    P99,
    Max,
    ScanRows,
    ScanBytes,
}

impl StatementOrder {
    /// Each by its name.
    pub const NAMES: [(&str, StatementOrder); 9] = [
        ("total_ms", StatementOrder::Total),
        ("count", StatementOrder::Count),
        ("errors", StatementOrder::Errors),
        ("p50_ms", StatementOrder::P50),
        ("p95_ms", StatementOrder::P95),
        ("p99_ms", StatementOrder::P99),
        ("max_ms", StatementOrder::Max),
        ("scan_rows", StatementOrder::ScanRows),
        ("scan_bytes", StatementOrder::ScanBytes),
    ];

    /// What there is of it; `None` comes last.
    fn of(self, one: &StatementStatistics) -> Option<i64> {
        match self {
            StatementOrder::Total => Some(one.total_ms),
            StatementOrder::Count => Some(one.count),
            StatementOrder::Errors => Some(one.errors),
            StatementOrder::P50 => one.p50_ms,
            StatementOrder::P95 => one.p95_ms,
            StatementOrder::P99 => one.p99_ms,
            StatementOrder::Max => one.max_ms,
            StatementOrder::ScanRows => Some(one.scan_rows),
            StatementOrder::ScanBytes => Some(one.scan_bytes),
        }
    }
}

impl StatementStatistics {
    /// Of a group that is put together by shape; the shape itself is still to come.
    fn of(group: Group) -> Option<StatementStatistics> {
        Some(StatementStatistics {
            fingerprint: group.fingerprint?.into(),
            shape: String::new(),
            count: group.count,
            errors: group.errors,
            total_ms: group.total_ms,
            p50_ms: group.durations.percentile(50),
            p95_ms: group.durations.percentile(95),
            p99_ms: group.durations.percentile(99),
            max_ms: group.durations.longest(),
            scan_rows: group.scan_rows,
            scan_bytes: group.scan_bytes,
            users: i64::try_from(group.users.len()).unwrap_or(i64::MAX),
            first_ms: group.first_ms,
            last_ms: group.last_ms,
        })
    }
}

/// How much a history holds.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Queries and loads.
    pub queries: i64,
    /// Profiles.
    pub profiles: i64,
    /// Their texts together.
    pub profile_text_bytes: i64,
    /// The same as they are stored.
    pub profile_bytes: i64,
    /// The file, without its write-ahead log.
    pub file_bytes: i64,
}

impl Store {
    /// The shapes of the selected queries, the most first, as many as the filter's limit.
    pub async fn statements(
        &self,
        filter: &QueryFilter,
        order: StatementOrder,
        owner: Option<&str>,
    ) -> Result<Vec<StatementStatistics>, StoreError> {
        let groups = self.top(filter, GroupBy::Statement, owner).await?;
        let mut all: Vec<_> = groups.into_iter().filter_map(StatementStatistics::of).collect();
        all.sort_by_key(|one| (Reverse(order.of(one)), one.fingerprint.get().to_signed()));
        all.truncate(filter.limit as usize);
        let fingerprints = all.iter().map(|one| one.fingerprint.get()).collect();
        let mut shapes = self.shapes(&fingerprints).await?;
        for one in &mut all {
            one.shape = shapes.remove(&one.fingerprint.get()).unwrap_or_default();
        }
        Ok(all)
    }

    /// How often each of these shapes ran in each of `parts` spans of `width_ms` from `from_ms` on.
    pub async fn trends(
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
        let counted = sqlx::query!(
            r#"SELECT fingerprint AS "fingerprint!: i64", (started_ms - ?1) / ?2 AS "part!: i64",
                   count(*) AS "count!: i64"
               FROM query
               WHERE started_ms BETWEEN ?1 AND ?3
                 AND fingerprint IN (SELECT value FROM json_each(?4))
                 AND (?5 IS NULL OR user = ?5)
               GROUP BY 1, 2"#,
            from_ms,
            width_ms,
            last_ms,
            all,
            owner
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

    /// How much the history holds. Reads an index of all queries, and all rows of profiles.
    pub async fn sizes(&self) -> Result<Sizes, StoreError> {
        sqlx::query_as!(
            Sizes,
            r#"SELECT
                   (SELECT count(*) FROM query) AS "queries!: i64",
                   (SELECT count(*) FROM profile) AS "profiles!: i64",
                   (SELECT CAST(total(text_bytes) AS INTEGER) FROM profile)
                       AS "profile_text_bytes!: i64",
                   (SELECT CAST(total(length(body)) AS INTEGER) FROM profile)
                       AS "profile_bytes!: i64",
                   (SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size())
                       AS "file_bytes!: i64""#
        )
        .fetch_one(&self.reporters)
        .await
        .map_err(StoreError::from)
    }

    /// How many queries each frontend told of; `None` are those that name none. Reads all queries.
    pub async fn frontends(&self) -> Result<Vec<(Option<String>, i64)>, StoreError> {
        let found = sqlx::query!(
            r#"SELECT frontend, count(*) AS "count!: i64" FROM query GROUP BY frontend
               ORDER BY 2 DESC"#
        )
        .fetch_all(&self.reporters)
        .await?;
        Ok(found.into_iter().map(|row| (row.frontend, row.count)).collect())
    }

    /// The first and the last start there are; `None` where there is none.
    pub async fn span(&self, owner: Option<&str>) -> Result<Option<(i64, i64)>, StoreError> {
        // Each of these is the end of an index.
        let (first, last) = match owner {
            None => {
                let ends = sqlx::query!(
                    r#"SELECT (SELECT min(started_ms) FROM query) AS "first: i64",
                           (SELECT max(started_ms) FROM query) AS "last: i64""#
                );
                let ends = ends.fetch_one(&self.reporters).await?;
                (ends.first, ends.last)
            }
            Some(user) => {
                let ends = sqlx::query!(
                    r#"SELECT (SELECT min(started_ms) FROM query WHERE user = ?1) AS "first: i64",
                           (SELECT max(started_ms) FROM query WHERE user = ?1) AS "last: i64""#,
                    user
                );
                let ends = ends.fetch_one(&self.reporters).await?;
                (ends.first, ends.last)
            }
        };
        Ok(first.zip(last))
    }
}
