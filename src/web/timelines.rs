//! The charts over time, as far as they are computed.

use std::sync::Arc;
use std::time::Duration;

use super::report_cache::{Report, ReportCache};
use super::time_range::TimeRange;
use crate::domain::filter::{QueryFilter, QueryOrder};
use crate::http::error::ApiError;
use crate::http::view::View;
use crate::store::{Bucket, Visibility, Watch};

/// A page waits this long for its chart, and is then sent without the chart.
const PAGE_WAIT: Duration = Duration::from_millis(60);
/// The most charts in the cache: each takes some 6 KB.
const MAX_CACHED: usize = 256;

/// What ran in each part of a time range; `None` for an empty history.
type Counts = Option<(TimeRange, Vec<Bucket>)>;

/// The counts of a chart, at one version of the store.
pub(super) type Timeline = Report<Counts>;

/// What the reader may see, and the filter without its page. A filter is at most some kilobytes.
type Key = (Visibility, QueryFilter);

#[derive(Debug)]
pub(super) struct Timelines {
    cache: Arc<ReportCache<Key, Counts>>,
    /// Charts are computed one after the other, so that statements and charts of others keep a connection.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Timelines {
    pub(super) fn new(watch: Arc<Watch>) -> Timelines {
        let cache = Arc::new(ReportCache::new(watch, MAX_CACHED, |_, _| 1));
        Timelines { cache, turn: Arc::default() }
    }

    /// Returns whether nothing was committed since a chart was computed.
    pub(super) async fn is_current(&self, timeline: &Timeline) -> bool {
        self.cache.is_current(timeline).await
    }

    /// Returns the chart of a filter, which may be outdated for a short time, or `None` where computing takes longer than a
    /// page waits. The computation goes on, and its result is cached.
    pub(super) async fn get_for_page(
        &self,
        view: &View,
        filter: &QueryFilter,
    ) -> Result<Option<Arc<Timeline>>, ApiError> {
        let timeline = self.cache.get_for_page(key(view, filter), self.compute(view, filter));
        tokio::time::timeout(PAGE_WAIT, timeline).await.map_or(Ok(None), unless_busy)
    }

    /// Returns the chart of a filter from the cache, else computes it; `None` where too many are being computed, or where
    /// computing takes too long.
    pub(super) async fn get(
        &self,
        view: &View,
        filter: &QueryFilter,
    ) -> Result<Option<Arc<Timeline>>, ApiError> {
        unless_busy(self.cache.get(key(view, filter), self.compute(view, filter)).await)
    }

    fn compute(
        &self,
        view: &View,
        filter: &QueryFilter,
    ) -> impl Future<Output = Result<Counts, ApiError>> + use<> {
        let (turn, view, filter) = (self.turn.clone(), view.clone(), filter.clone());
        async move {
            let _turn = turn.lock().await;
            let Some(range) = TimeRange::of(&view, &filter).await? else { return Ok(None) };
            Ok(Some((range, range.timeline(&view, &range.restrict(&filter)).await?)))
        }
    }
}

/// Returns the key of the chart that all pages of a list have.
fn key(view: &View, filter: &QueryFilter) -> Key {
    let filter = QueryFilter {
        limit: 0,
        order: QueryOrder::Start,
        is_ascending: false,
        after: None,
        ..filter.clone()
    };
    (view.visibility(), filter)
}

/// Returns a chart, or `None` where the server is busy: the list is of use without its chart.
fn unless_busy(
    timeline: Result<Arc<Timeline>, ApiError>,
) -> Result<Option<Arc<Timeline>>, ApiError> {
    match timeline {
        Err(ApiError::Busy(_)) => Ok(None),
        timeline => timeline.map(Some),
    }
}
