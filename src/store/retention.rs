//! Keeping the store within its bounds: a [`Pruner`] finds what goes, a little at a time, and the writer
//! removes it between the batches of the sources.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Store;
use super::error::StoreError;
use crate::domain::retention::Retention;

/// Queries of one step. A step takes some 10 ms, so that clients that write do not wait long.
pub(super) const STEP_QUERIES: u32 = 500;
/// Bytes of profiles of one step: the engine visits the pages of each profile.
pub(super) const STEP_BYTES: i64 = 8 << 20;
/// Pages that one step returns to the disk. Each moves the content of another page.
const STEP_PAGES: u32 = 256;
/// Once the file is this near to its bound, in percent, the oldest queries go until it is at [`FAR_PERCENT`].
const NEAR_PERCENT: u64 = 98;
const FAR_PERCENT: u64 = 97;
/// A file with a larger share of free pages gets smaller. New rows soon use a smaller share again.
const FREE_PERCENT: i64 = 2;
/// How often the pruner looks for profiles: that reads a part of each.
const PROFILES_EVERY: Duration = Duration::from_secs(60);
/// Profiles that the pruner finds at a time.
pub(super) const PROFILES_FOUND: u32 = 20_000;

/// What one step removes.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Removal {
    /// Rows of queries; their loads and profiles go with them.
    pub queries: Vec<i64>,
    /// Rows of queries whose profiles go while the queries stay.
    pub profiles: Vec<i64>,
    /// Log-ins before this time, in Unix milliseconds; a thousand at a time.
    pub logins_before_ms: Option<i64>,
    /// Free pages to return to the disk.
    pub pages: u32,
}

impl Removal {
    /// Returns whether the removal removes nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.queries.is_empty()
            && self.profiles.is_empty()
            && self.logins_before_ms.is_none()
            && self.pages == 0
    }
}

/// The space that the database takes on the disk, without its write-ahead log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DiskUsage {
    pub(super) page_bytes: i64,
    pub(super) pages: i64,
    pub(super) free_pages: i64,
    pub(super) is_shrinkable: bool,
}

impl DiskUsage {
    /// Returns the size of the file.
    pub(crate) fn file_bytes(&self) -> i64 {
        self.pages * self.page_bytes
    }

    /// Returns the size of the pages in use.
    pub(crate) fn used_bytes(&self) -> i64 {
        (self.pages - self.free_pages) * self.page_bytes
    }

    /// Returns the size of the pages that can be returned to the disk.
    pub(crate) fn free_bytes(&self) -> i64 {
        self.free_pages * self.page_bytes
    }

    /// Returns whether the file can get smaller a few pages at a time. A file that another program made may
    /// not be able to.
    pub(crate) fn is_shrinkable(&self) -> bool {
        self.is_shrinkable
    }
}

/// Finds what goes next.
#[derive(Debug)]
pub(crate) struct Pruner {
    store: Store,
    retention: Retention,
    /// Whether to return all free pages to the disk, not only those beyond [`FREE_PERCENT`].
    all_free_pages: bool,
    /// Queries whose profiles go, with the bytes of the profiles.
    profiles: VecDeque<(i64, i64)>,
    /// When the pruner last looked for profiles; none where it looks again at once.
    looked: Option<Instant>,
    /// Whether the file came near its bound and is not yet far enough from it.
    shrinking: bool,
}

impl Pruner {
    /// Returns a pruner for a store that grows.
    pub(crate) fn new(store: Store, retention: Retention) -> Pruner {
        let profiles = VecDeque::new();
        Pruner { store, retention, all_free_pages: false, profiles, looked: None, shrinking: false }
    }

    /// Returns a pruner that runs once, and returns all free pages to the disk.
    pub(crate) fn once(store: Store, retention: Retention) -> Pruner {
        Pruner { all_free_pages: true, ..Pruner::new(store, retention) }
    }

    /// Returns the next step; an empty one once the store is within its bounds.
    pub(crate) async fn next(&mut self, now_ms: i64) -> Result<Removal, StoreError> {
        let usage = self.store.disk_usage().await?;
        let mut removal = Removal::default();
        if let Some(from_ms) = self.retention.queries_cutoff_ms(now_ms) {
            removal.queries = self.store.oldest(Some(from_ms), i64::MAX).await?;
            if self.store.has_login_before(from_ms).await? {
                removal.logins_before_ms = Some(from_ms);
            }
        }
        if let Some(bound) = self.retention.max_size
            && removal.queries.is_empty()
        {
            let log_bytes = Store::max_log_bytes(bound);
            let used = u64::try_from(usage.used_bytes()).unwrap_or(0) + log_bytes;
            let percent = if self.shrinking { FAR_PERCENT } else { NEAR_PERCENT };
            self.shrinking = used > bound / 100 * percent;
            if self.shrinking {
                let excess = i64::try_from(used - bound / 100 * FAR_PERCENT).unwrap_or(i64::MAX);
                removal.queries = self.store.oldest(None, excess).await?;
                // Log-ins go with the queries of their time.
                removal.logins_before_ms =
                    self.store.span(None).await?.map(|(first_ms, _)| first_ms);
            }
        }
        if removal.queries.is_empty() {
            removal.profiles = self.next_profiles(now_ms).await?;
        }
        let kept = if self.all_free_pages { 0 } else { usage.pages * FREE_PERCENT / 100 };
        if removal.is_empty() && usage.is_shrinkable && usage.free_pages > kept {
            removal.pages = STEP_PAGES;
        }
        Ok(removal)
    }

    async fn next_profiles(&mut self, now_ms: i64) -> Result<Vec<i64>, StoreError> {
        let due = self.looked.is_none_or(|looked| looked.elapsed() >= PROFILES_EVERY);
        if self.profiles.is_empty() && due {
            self.profiles = self.store.outdated_profiles(&self.retention, now_ms).await?.into();
            // If the pruner found as many as it can, there may be more.
            let full = self.profiles.len() >= PROFILES_FOUND as usize;
            self.looked = (!full).then(Instant::now);
        }
        let (mut step, mut bytes) = (Vec::new(), 0);
        while let Some((query, size)) = self.profiles.pop_front() {
            step.push(query);
            bytes += size;
            if step.len() >= STEP_QUERIES as usize || bytes >= STEP_BYTES {
                break;
            }
        }
        Ok(step)
    }
}
