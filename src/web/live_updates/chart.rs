//! The changes of the chart above one listener's list.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use warp::sse::Event;

use super::sender::EventSender;
use crate::domain::filter::QueryFilter;
use crate::http::Parameters;
use crate::http::view::View;
use crate::web::history;
use crate::web::shown_content::content_hash;
use crate::web::timelines::{Timeline, Timelines};

/// A chart is sent at most this often.
const MIN_INTERVAL: Duration = Duration::from_secs(2);
/// A chart that could not be computed is tried again after this time.
const RETRY_DELAY: Duration = Duration::from_secs(10);

pub(super) struct ChartFeed {
    pub view: View,
    pub filter: QueryFilter,
    pub parameters: Parameters,
    pub changes: watch::Receiver<Option<u64>>,
    pub timelines: Arc<Timelines>,
    /// The hash of the chart that the listener has.
    pub shown: Option<String>,
}

impl ChartFeed {
    /// Sends the chart whenever it changes, until the listener is gone or annals stops.
    pub(super) async fn send_to(mut self, events: &EventSender) {
        loop {
            self.changes.mark_unchanged();
            let retry_at = match self.timelines.get(&self.view, &self.filter).await {
                Ok(Some(timeline)) => {
                    if let Some(event) = self.event_of(&timeline)
                        && !events.send(event).await
                    {
                        return;
                    }
                    let is_outdated = !self.timelines.is_current(&timeline).await;
                    is_outdated.then_some(timeline.fresh_until().into())
                }
                Ok(None) => Some(Instant::now() + RETRY_DELAY),
                Err(error) => {
                    let error = error.into_parts().message;
                    tracing::warn!(error, "cannot compute the chart of a live page");
                    Some(Instant::now() + RETRY_DELAY)
                }
            };
            let next = async {
                match retry_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => drop(self.changes.changed().await),
                }
            };
            tokio::join!(next, tokio::time::sleep(MIN_INTERVAL));
            if self.changes.borrow().is_none() {
                return;
            }
        }
    }

    /// Returns the event of a chart; `None` where the listener has this chart.
    fn event_of(&mut self, timeline: &Timeline) -> Option<Event> {
        let chart = history::timeline_chart(timeline, (&self.filter, &self.parameters), &self.view);
        let hash = Some(content_hash([&chart]));
        if hash == self.shown {
            return None;
        }
        self.shown = hash;
        // A text always serializes.
        Event::default().event("chart").json_data(&chart.0).ok()
    }
}
