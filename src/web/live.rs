//! `/events`: what is new in a list, as it comes (server-sent events).
//!
//! One task looks once a second whether anybody wrote to the history, whoever listens. Only then each listener's
//! list is read again, and what changed in it is sent: the order of its rows, and those that are new or others
//! than before; and as a `chart`, what is_enabled above it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::poll_fn;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;
use warp::Reply;
use warp::http::header::CACHE_CONTROL;
use warp::sse::Event;

use super::history;
use super::timeline_cache::Timelines;
use crate::domain::filter::QueryFilter;
use crate::http::Parameters;
use crate::http::envelope::ApiError;
use crate::http::view::View;
use crate::store::Watch;

/// Listeners at the same time, by all users together.
const LISTENERS: usize = 256;
/// From one look to the next.
const EVERY: Duration = Duration::from_secs(1);
/// A chart that goes on changing is sent no more often.
const DRAWN_EVERY: Duration = Duration::from_secs(2);
/// So long after a chart could not be made, it is tried again.
const ASKED_AGAIN: Duration = Duration::from_secs(10);
/// How often a connection without news is shown to be open.
const KEPT_ALIVE: Duration = Duration::from_secs(15);
/// A listener is ended after so long, so that it must say anew who it is. Browsers do so by themselves.
const LASTS: Duration = Duration::from_secs(300);

/// Tells listeners that the history has changed.
#[derive(Debug)]
pub(crate) struct Live {
    /// Goes up with each change; `None` as annals stops.
    changed: watch::Sender<Option<u64>>,
    listeners: Arc<Semaphore>,
    watch: Arc<Watch>,
    /// What is_enabled above lists.
    pub timelines: Arc<Timelines>,
}

impl Live {
    /// Tells of what it watches, once it is run.
    pub(crate) fn new(watch: Watch) -> Live {
        let (changed, _) = watch::channel(Some(0));
        let watch = Arc::new(watch);
        let timelines = Arc::new(Timelines::new(watch.clone()));
        Live { changed, listeners: Arc::new(Semaphore::new(LISTENERS)), watch, timelines }
    }

    /// Looks for changes for as long as it is run.
    pub(crate) async fn look(self: Arc<Live>) {
        let mut known = self.watch.now();
        loop {
            tokio::time::sleep(EVERY).await;
            let version = self.watch.now();
            if version != known {
                known = version;
                self.changed.send_modify(|count| *count = count.map(|count| count + 1));
            }
        }
    }

    /// Ends all listeners, so that annals can stop.
    pub(crate) fn end(&self) {
        self.changed.send_replace(None);
    }
}

/// What is sent of a list.
#[derive(Serialize)]
struct News<'a> {
    /// Its rows, from above.
    order: Vec<i64>,
    /// Those that are new or changed.
    rows: HashMap<i64, &'a str>,
}

struct Listener {
    view: View,
    filter: QueryFilter,
    changed: watch::Receiver<Option<u64>>,
    /// What the listener has: hashes of rows.
    known: HashMap<i64, u64>,
    /// What the page had that the listener came from.
    seen: Option<String>,
    _permit: Arc<OwnedSemaphorePermit>,
}

/// What keeps the chart of a listener.
struct Drawer {
    view: View,
    filter: QueryFilter,
    parameters: Parameters,
    changed: watch::Receiver<Option<u64>>,
    timelines: Arc<Timelines>,
    /// The tag of the chart that the listener has.
    drawn: Option<String>,
    _permit: Arc<OwnedSemaphorePermit>,
}

type Events = mpsc::Sender<Result<Event, Infallible>>;

/// Begins to send what is new in the list that the parameters select, and the chart above it where that is another.
/// `seen` is the tag of the rows that are known, `drawn` that of the chart.
pub(super) fn events(
    live: &Live,
    asked: Result<View, ApiError>,
    mut parameters: Parameters,
) -> Result<impl Reply + use<>, ApiError> {
    let view = asked?;
    let (seen, drawn) = (parameters.remove("seen"), parameters.remove("drawn"));
    let filter = history::selected(&view, &parameters)?;
    let permit = live.listeners.clone().try_acquire_owned().map_err(|_| {
        ApiError::Busy(
            "too many listen for new queries; the page shows them when it is loaded".to_string(),
        )
    })?;
    let permit = Arc::new(permit);
    let mut changed = live.changed.subscribe();
    changed.mark_changed();
    let drawer = Drawer {
        view: view.clone(),
        filter: filter.clone(),
        parameters,
        changed: changed.clone(),
        timelines: live.timelines.clone(),
        drawn,
        _permit: permit.clone(),
    };
    let listener = Listener { view, filter, changed, known: HashMap::new(), seen, _permit: permit };
    // A channel, as warp asks for a stream that threads may share, and a read of the store is none.
    let (sender, mut receiver) = mpsc::channel(1);
    tokio::spawn(listening(sender, listener, drawer));
    let stream = poll_fn(move |context| receiver.poll_recv(context));
    let stream = warp::sse::keep_alive().interval(KEPT_ALIVE).stream(stream);
    Ok(warp::reply::with_header(warp::sse::reply(stream), CACHE_CONTROL, "no-store"))
}

/// Sends what is new until the other side has gone, annals stops, or it was long enough.
async fn listening(sender: Events, listener: Listener, drawer: Drawer) {
    tokio::select! {
        () = listener.listen(&sender) => {}
        () = drawer.draw(&sender) => {}
        () = sender.closed() => {}
        () = tokio::time::sleep(LASTS) => {}
    }
}

impl Drawer {
    /// Sends the chart whenever it is another one.
    async fn draw(mut self, sender: &Events) {
        loop {
            self.changed.mark_unchanged();
            let counted = self.timelines.count(&self.view, &self.filter, &self.parameters);
            let again = match counted.await {
                Ok(Some(timeline)) => {
                    let chart = history::over_time(&timeline, &self.parameters, &self.view);
                    let tag = Some(history::tag([&chart]));
                    if tag != self.drawn {
                        self.drawn = tag;
                        // A text is always JSON.
                        if let Ok(event) = Event::default().event("chart").json_data(&chart.0)
                            && sender.send(Ok(event)).await.is_err()
                        {
                            return;
                        }
                    }
                    let is_old = !self.timelines.is_of_now(&timeline);
                    is_old.then_some(timeline.holds_until.into())
                }
                Ok(None) => Some(Instant::now() + ASKED_AGAIN),
                Err(refusal) => {
                    let (_, sentence) = refusal.into_sentence();
                    tracing::warn!(sentence, "a chart cannot be made for who listens");
                    Some(Instant::now() + ASKED_AGAIN)
                }
            };
            let change = async {
                match again {
                    Some(again) => tokio::time::sleep_until(again).await,
                    None => drop(self.changed.changed().await),
                }
            };
            tokio::join!(change, tokio::time::sleep(DRAWN_EVERY));
            if self.changed.borrow().is_none() {
                return;
            }
        }
    }
}

impl Listener {
    /// Sends what is new in the list until annals stops.
    async fn listen(mut self, sender: &Events) {
        loop {
            if self.changed.changed().await.is_err() {
                return;
            }
            if self.changed.borrow_and_update().is_none() {
                return;
            }
            match self.read().await {
                Ok(None) => {}
                Ok(Some(event)) => {
                    if sender.send(Ok(event)).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "a list cannot be read for who listens");
                    return;
                }
            }
        }
    }

    /// What is new; `None` if nothing is.
    async fn read(&mut self) -> Result<Option<Event>, crate::store::StoreError> {
        let queries = self.view.records(&self.filter).await?;
        let rows = history::rows(&queries, self.view.zone);
        let hash = |row: &str| xxhash_rust::xxh3::xxh3_64(row.as_bytes());
        let now: HashMap<i64, u64> = rows.iter().map(|(id, row)| (*id, hash(&row.0))).collect();
        if self
            .seen
            .take()
            .is_some_and(|seen| seen == history::tag(rows.iter().map(|(_, row)| row)))
            || now == self.known
        {
            self.known = now;
            return Ok(None);
        }
        let news = News {
            order: rows.iter().map(|(id, _)| *id).collect(),
            rows: rows
                .iter()
                .filter(|(id, row)| self.known.get(id) != Some(&hash(&row.0)))
                .map(|(id, row)| (*id, row.0.as_str()))
                .collect(),
        };
        // Rows are texts and ids numbers: that is always JSON.
        let event = Event::default().json_data(&news).ok();
        drop(news);
        self.known = now;
        Ok(event)
    }
}
