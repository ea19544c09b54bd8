//! What retention asks: sizes, and what is oldest or unused.

use super::Store;
use crate::domain::retention::Retention;
use crate::store::error::StoreError;
use crate::store::retention::{DiskUsage, Mark, Oldest, OldestFilter};

/// Retention.
impl Store {
    /// Returns the space that the history takes now.
    pub(crate) async fn disk_usage(&self) -> Result<DiskUsage, StoreError> {
        of_engine!(self, store => store.disk_usage().await)
    }

    /// Returns the size of the write-ahead log beside the file; 0 if there is no file.
    pub(crate) fn log_bytes(&self) -> u64 {
        match self {
            Store::Sqlite(store) => store.log_bytes(),
            Store::Postgres(_) => 0,
        }
    }

    /// Returns what retention noted last; none if it never did.
    pub(crate) async fn retention_mark(&self) -> Result<Option<Mark>, StoreError> {
        of_engine!(self, store => store.retention_mark().await)
    }

    /// Returns the newest start that is not after a time, in Unix milliseconds.
    pub(crate) async fn newest_start_ms(&self, until_ms: i64) -> Result<Option<i64>, StoreError> {
        of_engine!(self, store => store.newest_start_ms(until_ms).await)
    }

    /// Returns the row that arrived last; 0 if there is none.
    pub(crate) async fn newest_row(&self) -> Result<i64, StoreError> {
        of_engine!(self, store => store.newest_row().await)
    }

    /// Returns the size of the tables and indexes from which retention never removes anything. Reads their pages.
    pub(in crate::store) async fn fixed_bytes(&self) -> Result<u64, StoreError> {
        match self {
            Store::Sqlite(store) => store.fixed_bytes().await,
            Store::Postgres(_) => Ok(0),
        }
    }

    /// Returns the oldest queries. Queries without a start are the oldest, but did not start before any time.
    pub(in crate::store) async fn oldest(
        &self,
        filter: OldestFilter,
    ) -> Result<Oldest, StoreError> {
        of_engine!(self, store => store.oldest(filter).await)
    }

    /// Returns the time of the first log-in, in Unix milliseconds.
    pub(in crate::store) async fn first_login_ms(&self) -> Result<Option<i64>, StoreError> {
        of_engine!(self, store => store.first_login_ms().await)
    }

    /// Returns the time before which labels go: those before `before_ms`, and the oldest beyond `max_bytes`. None if none
    /// goes.
    pub(in crate::store) async fn outdated_labels(
        &self,
        before_ms: i64,
        max_bytes: u64,
    ) -> Result<Option<i64>, StoreError> {
        of_engine!(self, store => store.outdated_labels(before_ms, max_bytes).await)
    }

    /// Returns the time of the oldest label, in Unix milliseconds.
    pub(in crate::store) async fn first_label_ms(&self) -> Result<Option<i64>, StoreError> {
        of_engine!(self, store => store.first_label_ms().await)
    }

    /// Returns the segments of the search index without a row.
    pub(in crate::store) async fn empty_segments(&self) -> Result<Vec<i64>, StoreError> {
        match self {
            Store::Sqlite(store) => store.empty_segments().await,
            Store::Postgres(_) => Ok(Vec::new()),
        }
    }

    /// Looks at some normalized statements from a fingerprint on. Returns the ones that no query has, and the fingerprint to go
    /// on from; none after the last.
    pub(in crate::store) async fn unused_statements(
        &self,
        from: i64,
    ) -> Result<(Vec<i64>, Option<i64>), StoreError> {
        of_engine!(self, store => store.unused_statements(from).await)
    }

    /// Returns the queries whose profiles go, with the bytes of the profiles, the oldest first.
    pub(in crate::store) async fn outdated_profiles(
        &self,
        retention: &Retention,
        now_ms: i64,
    ) -> Result<Vec<(i64, i64)>, StoreError> {
        of_engine!(self, store => store.outdated_profiles(retention, now_ms).await)
    }
}
