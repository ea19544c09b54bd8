//! `/events`: changes of a list and of its chart, as server-sent events.
//!
//! One task polls the version of the store once a second. Only when the version changed does each listener read its
//! list again. A listener gets the order of its rows, the rows that are new or changed, and as `chart` the chart above
//! the list.

mod chart;
mod rows;
mod sender;

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::poll_fn;
use tokio::sync::watch;
use warp::filters::BoxedFilter;
use warp::http::header::CACHE_CONTROL;
use warp::{Filter, Reply, reply};

use super::request::{PageRequest, PageRequests, Visitor, query_filter};
use super::shown_content::ShownContent;
use super::timelines::Timelines;
use crate::http::Parameters;
use crate::http::answer::into_reply;
use crate::http::error::ApiError;
use crate::http::shares::Shares;
use crate::http::view::View;
use crate::store::Watch;
use chart::ChartFeed;
use rows::RowFeed;
use sender::EventSender;

/// Listeners at the same time, of all users together.
const MAX_LISTENERS: usize = 256;
/// The same of one client. A browser has one for each page that is visible.
const MAX_LISTENERS_EACH: usize = 64;
/// How often annals checks that a listener may still see its list. Changes of accounts are seen after a second.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// An idle connection carries a comment this often, so that proxies keep it open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A connection ends after this time, so that a listener must authenticate again. Browsers reconnect on their own.
const MAX_CONNECTION: Duration = Duration::from_secs(300);

/// Notifies open pages that the history has changed.
#[derive(Debug)]
pub(crate) struct LiveUpdates {
    /// Counts changes; `None` once annals stops.
    changes: watch::Sender<Option<u64>>,
    listeners: Arc<Shares>,
    pub(super) watch: Arc<Watch>,
    pub(super) timelines: Arc<Timelines>,
}

impl LiveUpdates {
    /// Returns live updates of the watched store. They start with [`LiveUpdates::watch_store`].
    pub(crate) fn new(watch: Watch) -> LiveUpdates {
        let (changes, _) = watch::channel(Some(0));
        let watch = Arc::new(watch);
        let timelines = Arc::new(Timelines::new(watch.clone()));
        let listeners = Shares::new(MAX_LISTENERS, MAX_LISTENERS_EACH);
        LiveUpdates { changes, listeners, watch, timelines }
    }

    /// Polls the store for changes, without end.
    pub(crate) async fn watch_store(self: Arc<LiveUpdates>) {
        let mut last = self.watch.now().await;
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let version = self.watch.now().await;
            if version != last {
                last = version;
                self.changes.send_modify(|count| *count = count.map(|count| count + 1));
            }
        }
    }

    /// Ends all connections, so that annals can stop.
    pub(crate) fn close(&self) {
        self.changes.send_replace(None);
    }
}

pub(super) fn route(
    requests: PageRequests,
    live_updates: Arc<LiveUpdates>,
) -> BoxedFilter<(reply::Response,)> {
    warp::path!("events")
        .and(requests)
        .map(move |request: PageRequest| {
            let PageRequest { view, parameters, visitor, .. } = request;
            match view.and_then(|view| events(&live_updates, view, parameters, visitor)) {
                Ok(events) => events.into_response(),
                Err(error) => into_reply(error.into_answer()),
            }
        })
        .boxed()
}

/// Returns the events of the list that the parameters select, and of its chart.
fn events(
    live_updates: &LiveUpdates,
    view: View,
    mut parameters: Parameters,
    visitor: Visitor,
) -> Result<impl Reply + use<>, ApiError> {
    let shown = ShownContent::take(&mut parameters);
    let filter = query_filter(&view, &parameters)?;
    let share = live_updates.listeners.take(visitor.client()).map_err(|_| {
        ApiError::Busy("too many live connections; reload the page for new queries".to_string())
    })?;
    let mut changes = live_updates.changes.subscribe();
    // The first read finds what changed since the page was rendered.
    changes.mark_changed();
    let timelines = live_updates.timelines.clone();
    let chart = ChartFeed {
        view: view.clone(),
        filter: filter.clone(),
        parameters: parameters.clone(),
        changes: changes.clone(),
        timelines,
        shown: shown.chart,
    };
    let seen = view.clone();
    let rows = RowFeed::new(view, (filter, parameters), changes, shown.rows);
    // A channel, because warp wants a stream that is Sync, and the future of a read is not.
    let (sender, mut receiver) = EventSender::channel();
    tokio::spawn(async move {
        let _share = share;
        tokio::select! {
            // First, so that nobody gets a row after the account is known to have changed.
            biased;
            () = no_longer_seen(&visitor, &seen) => {}
            () = rows.send_to(&sender) => {}
            () = chart.send_to(&sender) => {}
            () = sender.closed() => {}
            () = tokio::time::sleep(MAX_CONNECTION) => {}
        }
    });
    let stream = poll_fn(move |context| receiver.poll_recv(context));
    let stream = warp::sse::keep_alive().interval(KEEP_ALIVE).stream(stream);
    Ok(warp::reply::with_header(warp::sse::reply(stream), CACHE_CONTROL, "no-store"))
}

/// Waits until the visitor may no longer see what `view` shows: after a log-out, or a change of the account.
async fn no_longer_seen(visitor: &Visitor, view: &View) {
    while visitor.may_see(view).await {
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}
