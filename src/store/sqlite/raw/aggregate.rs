//! Aggregates of many queries: spans of time, and groups.

use super::super::Store;
use super::scan::{OWN, Scan, counted};
use crate::domain::filter::QueryFilter;
use crate::store::error::StoreError;
use crate::store::group::{Group, GroupBy, Grouping, Keys};
use crate::store::timeline::{Bucket, Spans};

/// The columns that a [`Grouping`] needs beyond the counted ones.
pub(super) const GROUP_COLUMNS: &str = ", fingerprint, user, db";

impl Store {
    /// Returns the counts of each span, of the queries of a filter that the owner may see. Ignores the
    /// filter's own times, limit and cursor.
    pub(crate) async fn timeline(
        &self,
        filter: &QueryFilter,
        spans: Spans,
        owner: Option<&str>,
    ) -> Result<Vec<Bucket>, StoreError> {
        let filter = QueryFilter {
            from_ms: Some(spans.from_ms),
            to_ms: Some(spans.last_ms().saturating_add(1)),
            ..filter.clone()
        };
        let owner = owner.map(str::to_string);
        self.report_raw(move |sqlite, is_cancelled| {
            let mut buckets = spans.empty();
            let (filter, owner) = (&filter, owner.as_deref());
            Scan { sqlite, filter, owner, is_cancelled }.each("", |row| {
                let query = counted(row)?;
                let position = query.started_ms.and_then(|started_ms| spans.position(started_ms));
                if let Some(bucket) = position.and_then(|at| buckets.get_mut(at)) {
                    bucket.add(&query);
                }
                Ok(())
            })?;
            Ok(buckets)
        })
        .await
    }

    /// Returns the queries of a filter that the owner may see, in groups, in no order. Ignores the filter's
    /// limit and cursor.
    pub(crate) async fn top(
        &self,
        filter: &QueryFilter,
        by: GroupBy,
        owner: Option<&str>,
    ) -> Result<Vec<Group>, StoreError> {
        let filter = filter.clone();
        let owner = owner.map(str::to_string);
        self.report_raw(move |sqlite, is_cancelled| {
            let mut grouping = Grouping::new(by);
            let (filter, owner) = (&filter, owner.as_deref());
            Scan { sqlite, filter, owner, is_cancelled }.each(GROUP_COLUMNS, |row| {
                let text = |column| {
                    Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str_or_null().ok().flatten())
                };
                let keys =
                    Keys { fingerprint: row.get(OWN)?, user: text(OWN + 1)?, db: text(OWN + 2)? };
                grouping.add(&counted(row)?, &keys);
                Ok(())
            })?;
            Ok(grouping.into_groups())
        })
        .await
    }
}
