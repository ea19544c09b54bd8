//! A cache of reports that read all queries of a time range. A task of its own computes each, once for all users who ask
//! the same.

use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::http::cache::Cache;
use crate::http::error::ApiError;
use crate::store::{Version, Watch};

/// A report stays fresh until a commit, and at least this many times as long as computing it took: whatever is written,
/// one report costs at most a twentieth of a core.
const FRESH_FACTOR: u32 = 20;
/// ... but no longer than this: a report that waited for others took long.
const MAX_FRESH: Duration = Duration::from_secs(30);
/// Reports of one cache that are computed or wait for it.
const MAX_COMPUTING: usize = 32;

/// A report of one version of the store.
#[derive(Debug)]
pub(super) struct Report<V> {
    pub value: V,
    version: Version,
    computed: Instant,
    /// How long computing it took.
    took: Duration,
}

impl<V> Report<V> {
    /// Returns until when the report is served although the store has changed.
    pub(super) fn fresh_until(&self) -> Instant {
        self.computed + self.fresh_for()
    }

    fn fresh_for(&self) -> Duration {
        MAX_FRESH.min(self.took * FRESH_FACTOR)
    }

    /// Returns whether the report is fresh while the store has this version.
    fn is_fresh_at(&self, version: Version) -> bool {
        self.version == version || Instant::now() < self.fresh_until()
    }

    /// Returns whether a page gets the report at once, while the next one is computed: for as long again.
    fn is_good_for_a_page(&self) -> bool {
        Instant::now() < self.computed + self.fresh_for() * 2
    }
}

#[derive(Debug)]
pub(super) struct ReportCache<K, V> {
    watch: Arc<Watch>,
    reports: Cache<K, Report<V>>,
    computing: Arc<Semaphore>,
}

impl<K, V> ReportCache<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Returns a cache whose keys and reports weigh up to `budget`.
    pub(super) fn new(
        watch: Arc<Watch>,
        budget: usize,
        weigh: fn(&K, Option<&Report<V>>) -> usize,
    ) -> ReportCache<K, V> {
        let computing = Arc::new(Semaphore::new(MAX_COMPUTING));
        ReportCache { watch, reports: Cache::new(budget, weigh), computing }
    }

    /// Returns whether nothing was committed since a report was computed.
    pub(super) async fn is_current(&self, report: &Report<V>) -> bool {
        report.version == self.watch.now().await
    }

    /// Returns the report of a key from the cache if it is fresh, else computes it. The computation goes on if the caller
    /// stops waiting. Errors if too many reports are being computed, or if `compute` does.
    pub(super) async fn get(
        self: &Arc<ReportCache<K, V>>,
        key: K,
        compute: impl Future<Output = Result<V, ApiError>> + Send + 'static,
    ) -> Result<Arc<Report<V>>, ApiError> {
        let version = self.watch.now().await;
        let is_fresh = move |report: &Report<V>| report.is_fresh_at(version);
        if let Some(report) = self.reports.get(&key).filter(|report| is_fresh(report)) {
            return Ok(report);
        }
        let permit = self.computing.clone().try_acquire_owned();
        let permit = permit.map_err(|_| ApiError::Busy("too many reports wait already".into()))?;
        let cache = self.clone();
        let computation = tokio::spawn(async move {
            let _permit = permit;
            cache.reports.get_or_load(key, is_fresh, cache.report(compute)).await
        });
        computation.await.map_err(|error| ApiError::Internal(error.into()))?
    }

    /// Returns the report of a key as [`ReportCache::get`] does, or at once a report that is outdated for a short time, while
    /// the next one is computed.
    pub(super) async fn get_for_page(
        self: &Arc<ReportCache<K, V>>,
        key: K,
        compute: impl Future<Output = Result<V, ApiError>> + Send + 'static,
    ) -> Result<Arc<Report<V>>, ApiError> {
        let kept = self.reports.get(&key).filter(|report| report.is_good_for_a_page());
        let Some(kept) = kept else { return self.get(key, compute).await };
        if !kept.is_fresh_at(self.watch.now().await) {
            let cache = self.clone();
            tokio::spawn(async move { cache.get(key, compute).await });
        }
        Ok(kept)
    }

    async fn report(
        &self,
        compute: impl Future<Output = Result<V, ApiError>>,
    ) -> Result<Report<V>, ApiError> {
        let (version, began) = (self.watch.now().await, Instant::now());
        let value = compute.await?;
        let computed = Instant::now();
        Ok(Report { value, version, computed, took: computed - began })
    }
}
