//! What ran over time, above the history's list. To count it reads all queries of the range, so it is counted
//! aside, once for all who look at the same, and kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::range::Range;
use crate::http::Parameters;
use crate::http::cache::Cache;
use crate::http::error::ApiError;
use crate::http::query_parameters::address;
use crate::http::view::View;
use crate::store::{Bucket, QueryFilter, Version, Watch};

/// So long a page waits for what is counted; then it goes out without.
const PATIENCE: Duration = Duration::from_millis(60);
/// A count holds until a commit, and in any case so many times as long as it took: whatever is written and
/// looked at, counting takes no more than a twentieth of a core for each question.
const HOLDS_TIMES: u32 = 20;
/// Questions that are being asked at the same time.
const ASKED_AT_ONCE: usize = 32;
/// The most timelines that are kept.
const MAX_TIMELINES: usize = 256;

/// What ran in the parts of a range, as it was counted once.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// `None` where nothing ever ran.
    pub parts: Option<(Range, Vec<Bucket>)>,
    version: Version,
    /// Until when it is_enabled for what was written meanwhile, too.
    pub holds_until: Instant,
}

/// The user whose queries are counted, and the parameters.
type Question = (Option<String>, String);

/// Timelines that are ready, and the making of others.
#[derive(Debug)]
pub(crate) struct Timelines {
    watch: Arc<Watch>,
    timelines: Cache<Question, Timeline>,
    asked: Arc<Semaphore>,
}

impl Timelines {
    /// Keeps timelines for as long as what it watches stays the same, and a little longer.
    pub(crate) fn new(watch: Arc<Watch>) -> Timelines {
        let asked = Arc::new(Semaphore::new(ASKED_AT_ONCE));
        Timelines { watch, timelines: Cache::new(MAX_TIMELINES, |_, _| 1), asked }
    }

    /// Whether a timeline is of the history as it is now.
    pub(crate) fn is_of_now(&self, counted: &Timeline) -> bool {
        counted.version == self.watch.now()
    }

    /// What the parameters select, over time; `None` where it is not counted soon. Then it is counted on, to be
    /// there for the next who ask.
    pub(crate) async fn soon(
        self: &Arc<Timelines>,
        view: &View,
        filter: &QueryFilter,
        parameters: &Parameters,
    ) -> Result<Option<Arc<Timeline>>, ApiError> {
        let counted = self.count(view, filter, parameters);
        tokio::time::timeout(PATIENCE, counted).await.unwrap_or(Ok(None))
    }

    /// The same for those who can wait; `None` where too many ask.
    pub(crate) async fn count(
        self: &Arc<Timelines>,
        view: &View,
        filter: &QueryFilter,
        parameters: &Parameters,
    ) -> Result<Option<Arc<Timeline>>, ApiError> {
        let question = question(view, parameters);
        if let Some(timeline) = self.timelines.get(&question).filter(|kept| self.holds(kept)) {
            return Ok(Some(timeline));
        }
        let Ok(asked) = self.asked.clone().try_acquire_owned() else {
            return Ok(None);
        };
        let (timelines, view, filter) = (self.clone(), view.clone(), filter.clone());
        // A task of its own goes on when nobody waits any more.
        let counting = tokio::spawn(async move {
            let _asked = asked;
            let is_fresh = |timeline: &Timeline| timelines.holds(timeline);
            let load = timelines.load(&view, &filter);
            timelines.timelines.get_or_load(question, is_fresh, load).await
        });
        let timeline = counting.await.map_err(|error| ApiError::Internal(error.into()))?;
        timeline.map(Some)
    }

    async fn load(&self, view: &View, filter: &QueryFilter) -> Result<Timeline, ApiError> {
        let (version, began) = (self.watch.now(), Instant::now());
        let parts = match Range::of(view, filter).await? {
            None => None,
            Some(range) => {
                let buckets = range.timeline(view, filter).await?;
                Some((range, buckets))
            }
        };
        let holds_until = Instant::now() + began.elapsed() * HOLDS_TIMES;
        Ok(Timeline { parts, version, holds_until })
    }

    fn holds(&self, counted: &Timeline) -> bool {
        self.is_of_now(counted) || Instant::now() < counted.holds_until
    }
}

fn question(view: &View, parameters: &Parameters) -> Question {
    let ignored = [("cursor", ""), ("limit", "")];
    (view.restricted_to().map(str::to_string), address("", parameters, &ignored))
}
