//! Finding what retention lets go.

use annals_postgres_statements as statements;

use super::Store;
use crate::domain::retention::Retention;
use crate::store::error::StoreError;
use crate::store::retention::{
    Mark, Oldest, OldestFilter, PROFILES_FOUND, STATEMENTS_FOUND, outdated,
};

/// Bytes that a label takes beside its own text, in the table and in the index, about.
const LABEL_BYTES: i64 = 30;

impl Store {
    /// Returns what retention noted last; none if it never did.
    pub(in crate::store) async fn retention_mark(&self) -> Result<Option<Mark>, StoreError> {
        let found = statements::retention_mark(&self.cluster.primary()).await?;
        Ok(found.map(|row| {
            Mark::of_row(row.trusted_ms, row.off_ms.zip(row.off_for_ms), row.settled_query)
        }))
    }

    /// Returns the newest start that is not after a time, in Unix milliseconds.
    pub(in crate::store) async fn newest_start_ms(
        &self,
        until_ms: i64,
    ) -> Result<Option<i64>, StoreError> {
        Ok(statements::newest_start_ms(&self.cluster.primary(), until_ms).await?)
    }

    /// Returns the row that arrived last; 0 if there is none.
    pub(in crate::store) async fn newest_row(&self) -> Result<i64, StoreError> {
        Ok(statements::newest_row(&self.cluster.primary()).await?)
    }

    /// Returns the oldest queries that started before the time of a filter. Without a time, returns none: only a bound of the
    /// size of a file looks for the oldest of all queries.
    pub(in crate::store) async fn oldest(
        &self,
        filter: OldestFilter,
    ) -> Result<Oldest, StoreError> {
        let Some(before_ms) = filter.before_ms else { return Ok(Oldest::default()) };
        let limit = filter.queries.into();
        let queries = statements::started_before(&self.cluster.primary(), before_ms, limit).await?;
        Ok(Oldest { queries, ..Oldest::default() })
    }

    /// Returns the time before which labels go: those before `before_ms`, and the oldest beyond `max_bytes`. None if none
    /// goes.
    pub(in crate::store) async fn outdated_labels(
        &self,
        before_ms: i64,
        max_bytes: u64,
    ) -> Result<Option<i64>, StoreError> {
        let pool = &self.cluster.primary();
        let bytes = statements::labels_bytes(pool, LABEL_BYTES).await?;
        let excess = bytes.saturating_sub(i64::try_from(max_bytes).unwrap_or(i64::MAX));
        let mut cutoff_ms = before_ms;
        if excess > 0 {
            let last_ms = statements::excess_labels(pool, LABEL_BYTES, excess).await?;
            cutoff_ms =
                last_ms.map_or(before_ms, |last_ms| before_ms.max(last_ms.saturating_add(1)));
        }
        let first_ms = self.first_label_ms().await?;
        Ok(first_ms.filter(|first_ms| *first_ms < cutoff_ms).map(|_| cutoff_ms))
    }

    /// Returns the time of the oldest label, in Unix milliseconds.
    pub(in crate::store) async fn first_label_ms(&self) -> Result<Option<i64>, StoreError> {
        Ok(statements::first_label_ms(&self.cluster.primary()).await?)
    }

    /// Looks at some normalized statements from a fingerprint on. Returns those that no query has, and the fingerprint to go
    /// on from; none after the last.
    pub(in crate::store) async fn unused_statements(
        &self,
        from: i64,
    ) -> Result<(Vec<i64>, Option<i64>), StoreError> {
        let mut connection = self.cluster.primary().acquire().await?;
        let rows = match statements::is_citus(&mut *connection).await? {
            true => {
                statements::used_statements_on_citus(&mut connection, from, STATEMENTS_FOUND)
                    .await?
            }
            false => statements::used_statements(&mut *connection, from, STATEMENTS_FOUND).await?,
        };
        let is_last = (rows.len() as i64) < STATEMENTS_FOUND;
        let last = rows.last().filter(|_| !is_last);
        let next = last.and_then(|(fingerprint, _)| fingerprint.checked_add(1));
        let unused = rows.into_iter().filter(|(_, is_used)| !is_used);
        Ok((unused.map(|(fingerprint, _)| fingerprint).collect(), next))
    }

    /// Returns the queries whose profiles go, with the bytes of the profiles, the oldest first.
    pub(in crate::store) async fn outdated_profiles(
        &self,
        retention: &Retention,
        now_ms: i64,
    ) -> Result<Vec<(i64, i64)>, StoreError> {
        let from_ms = retention.profiles_cutoff_ms(now_ms);
        let mut connection = self.cluster.primary().acquire().await?;
        let too_many = match retention.profiles_max_size {
            None => 0,
            Some(bound) => {
                let bytes = statements::profile_bytes(&mut *connection).await?;
                bytes.saturating_sub(i64::try_from(bound).unwrap_or(i64::MAX))
            }
        };
        if from_ms.is_none() && too_many <= 0 {
            return Ok(Vec::new());
        }
        let before_ms = if too_many > 0 { None } else { from_ms };
        let limit = PROFILES_FOUND.into();
        let oldest = statements::oldest_profiles(&mut connection, before_ms, limit).await?;
        let oldest = oldest.into_iter().map(|row| (row.id, row.bytes, row.started_ms));
        Ok(outdated(oldest, from_ms, too_many))
    }
}
