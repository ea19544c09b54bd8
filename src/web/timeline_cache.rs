//! A cache of the charts over time. Computing a chart reads all queries of its range, so a task of its own computes
//! it, once for all users who ask the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::time_range::TimeRange;
use crate::domain::filter::QueryFilter;
use crate::http::cache::Cache;
use crate::http::error::ApiError;
use crate::http::view::View;
use crate::store::{Bucket, Version, Watch};

/// A page waits this long for its chart, and is then sent without the chart.
const PAGE_WAIT: Duration = Duration::from_millis(60);
/// A page that can have an older chart waits only this long for the new one: the page's live events bring it.
const OUTDATED_PAGE_WAIT: Duration = Duration::from_millis(5);
/// A chart is too old for a page once it was computed this long ago.
const MAX_AGE: Duration = Duration::from_secs(60);
/// A timeline stays fresh until a commit, and at least this many times as long as computing it took: whatever is
/// written, one timeline costs at most a twentieth of a core.
const FRESH_FACTOR: u32 = 20;
/// Timelines that are computed or wait for it.
const MAX_COMPUTING: usize = 32;
/// The most timelines in the cache: each takes some 6 KB.
const MAX_CACHED: usize = 256;

/// What ran in each part of a time range, at one version of the store.
#[derive(Debug)]
pub(super) struct Timeline {
    /// `None` for an empty history.
    pub buckets: Option<(TimeRange, Vec<Bucket>)>,
    version: Version,
    computed: Instant,
    /// The timeline is served until then, although the store has changed.
    pub fresh_until: Instant,
}

/// The owner whose queries alone are counted, and the filter without its page. A filter is at most some kilobytes.
type Key = (Option<String>, QueryFilter);

#[derive(Debug)]
pub(super) struct TimelineCache {
    watch: Arc<Watch>,
    timelines: Cache<Key, Timeline>,
    computing: Arc<Semaphore>,
    /// Charts are computed one after the other, so that statements and timelines of others keep a connection.
    turn: tokio::sync::Mutex<()>,
}

impl TimelineCache {
    pub(super) fn new(watch: Arc<Watch>) -> TimelineCache {
        let computing = Arc::new(Semaphore::new(MAX_COMPUTING));
        let timelines = Cache::new(MAX_CACHED, |_, _| 1);
        TimelineCache { watch, timelines, computing, turn: tokio::sync::Mutex::default() }
    }

    /// Returns whether nothing was committed since a timeline was computed.
    pub(super) fn is_current(&self, timeline: &Timeline) -> bool {
        timeline.version == self.watch.now()
    }

    /// Returns the timeline of a filter as [`TimelineCache::get`] does. Where computing takes longer than a page waits,
    /// returns the timeline of up to a minute ago, or `None`; the computation goes on, and its result is cached.
    pub(super) async fn get_for_page(
        self: &Arc<TimelineCache>,
        view: &View,
        filter: &QueryFilter,
    ) -> Result<Option<Arc<Timeline>>, ApiError> {
        let earlier = self.timelines.get(&key(view, filter));
        let earlier = earlier.filter(|timeline| timeline.computed.elapsed() < MAX_AGE);
        let wait = if earlier.is_some() { OUTDATED_PAGE_WAIT } else { PAGE_WAIT };
        let timeline = tokio::time::timeout(wait, self.get(view, filter)).await;
        Ok(timeline.unwrap_or(Ok(None))?.or(earlier))
    }

    /// Returns the timeline of a filter from the cache, else computes it; `None` where too many are being computed, or
    /// where computing takes too long.
    pub(super) async fn get(
        self: &Arc<TimelineCache>,
        view: &View,
        filter: &QueryFilter,
    ) -> Result<Option<Arc<Timeline>>, ApiError> {
        let key = key(view, filter);
        if let Some(timeline) = self.timelines.get(&key).filter(|cached| self.is_fresh(cached)) {
            return Ok(Some(timeline));
        }
        let Ok(permit) = self.computing.clone().try_acquire_owned() else {
            return Ok(None);
        };
        let (cache, view, filter) = (self.clone(), view.clone(), filter.clone());
        // A task, so that the computation goes on after the page stopped waiting.
        let computation = tokio::spawn(async move {
            let _permit = permit;
            let is_fresh = |timeline: &Timeline| cache.is_fresh(timeline);
            cache.timelines.get_or_load(key, is_fresh, cache.compute(&view, &filter)).await
        });
        match computation.await.map_err(|error| ApiError::Internal(error.into()))? {
            Ok(timeline) => Ok(Some(timeline)),
            // The list is of use without its chart.
            Err(ApiError::Busy(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn compute(&self, view: &View, filter: &QueryFilter) -> Result<Timeline, ApiError> {
        let _turn = self.turn.lock().await;
        let (version, began) = (self.watch.now(), Instant::now());
        let buckets = match TimeRange::of(view, filter).await? {
            None => None,
            Some(range) => Some((range, range.timeline(view, filter).await?)),
        };
        let computed = Instant::now();
        let fresh_until = computed + began.elapsed() * FRESH_FACTOR;
        Ok(Timeline { buckets, version, computed, fresh_until })
    }

    fn is_fresh(&self, timeline: &Timeline) -> bool {
        self.is_current(timeline) || Instant::now() < timeline.fresh_until
    }
}

/// Returns the key of the chart that all pages of a list have.
fn key(view: &View, filter: &QueryFilter) -> Key {
    let filter = QueryFilter { limit: 0, after: None, ..filter.clone() };
    (view.restricted_to().map(str::to_string), filter)
}
