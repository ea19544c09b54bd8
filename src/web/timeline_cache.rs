//! What ran over time, above the history's list. To count it reads all queries of the range, so it is counted
//! aside, once for all who look at the same, and kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::range::Range;
use crate::domain::filter::QueryFilter;
use crate::http::Parameters;
use crate::http::envelope::ApiError;
use crate::http::query_parameters::address;
use crate::http::view::View;
use crate::store::{Bucket, Version, Watch};

/// So long a page waits for what is counted; then it goes out without.
const PATIENCE: Duration = Duration::from_millis(60);
/// A count holds until a commit, and in any case so many times as long as it took: whatever is written and
/// looked at, counting takes no more than a twentieth of a core for each question.
const HOLDS_TIMES: u32 = 20;
/// Questions that are being asked at the same time.
const ASKED_AT_ONCE: usize = 32;
/// Timelines that are kept. Beyond that all are forgotten: those in use are soon there again.
const MOST_KEPT: usize = 256;

/// What ran in the parts of a range, as it was counted once.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// `None` where nothing ever ran.
    pub parts: Option<(Range, Vec<Bucket>)>,
    version: Version,
    /// Until when it is_enabled for what was written meanwhile, too.
    pub holds_until: Instant,
}

/// Where the count that answers one question is kept; locked while it is made.
type Cursor = Arc<tokio::sync::Mutex<Option<Arc<Timeline>>>>;

/// Timelines that are ready, and the making of others.
#[derive(Debug)]
pub(crate) struct Timelines {
    watch: Arc<Watch>,
    places: Mutex<HashMap<(Option<String>, String), Cursor>>,
    asked: Arc<Semaphore>,
}

impl Timelines {
    /// Keeps timelines for as long as what it watches stays the same, and a little longer.
    pub(crate) fn new(watch: Arc<Watch>) -> Timelines {
        let asked = Arc::new(Semaphore::new(ASKED_AT_ONCE));
        Timelines { watch, places: Mutex::default(), asked }
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
        let place = self.place(view, parameters);
        if let Some(counted) = place.try_lock().ok().and_then(|kept| kept.clone())
            && self.holds(&counted)
        {
            return Ok(Some(counted));
        }
        let Ok(asked) = self.asked.clone().try_acquire_owned() else {
            return Ok(None);
        };
        let (timelines, view, filter) = (self.clone(), view.clone(), filter.clone());
        // A task of its own goes on when nobody waits any more.
        let counting = tokio::spawn(async move {
            let _asked = asked;
            let mut kept = place.lock().await;
            if let Some(counted) = kept.clone().filter(|counted| timelines.holds(counted)) {
                return Ok(counted);
            }
            let (version, began) = (timelines.watch.now(), Instant::now());
            let parts = match Range::of(&view, &filter).await? {
                None => None,
                Some(range) => {
                    let buckets = range.timeline(&view, &filter).await?;
                    Some((range, buckets))
                }
            };
            let holds_until = Instant::now() + began.elapsed() * HOLDS_TIMES;
            let counted = Arc::new(Timeline { parts, version, holds_until });
            *kept = Some(counted.clone());
            Ok::<_, ApiError>(counted)
        });
        let counted = counting.await.map_err(|error| ApiError::Internal(error.into()))?;
        counted.map(Some)
    }

    fn holds(&self, counted: &Timeline) -> bool {
        self.is_of_now(counted) || Instant::now() < counted.holds_until
    }

    fn place(&self, view: &View, parameters: &Parameters) -> Cursor {
        let unheeded = [("cursor", ""), ("limit", "")];
        let question = (view.owner().map(str::to_string), address("", parameters, &unheeded));
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= MOST_KEPT && !places.contains_key(&question) {
            places.clear();
        }
        places.entry(question).or_default().clone()
    }
}
