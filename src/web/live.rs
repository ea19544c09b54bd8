//! `/events`: what is new in a list, as it comes (server-sent events).
//!
//! One task looks once a second whether anybody wrote to the history, whoever listens. Only then each listener's
//! list is read again, and what changed in it is sent: the order of its rows, and those that are new or others
//! than before.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::poll_fn;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use warp::Reply;
use warp::http::header::CACHE_CONTROL;
use warp::sse::Event;

use super::history;
use crate::rest::envelope::Refusal;
use crate::rest::view::View;
use crate::rest::{Asked, Parameters};
use crate::store::{Selection, Watch};

/// Listeners at the same time, by all users together.
const LISTENERS: usize = 256;
/// From one look to the next.
const EVERY: Duration = Duration::from_secs(1);
/// How often a connection without news is shown to be open.
const KEPT_ALIVE: Duration = Duration::from_secs(15);
/// A listener is ended after so long, so that it must say anew who it is. Browsers do so by themselves.
const LASTS: Duration = Duration::from_secs(300);

/// Tells listeners that the history has changed.
#[derive(Debug)]
pub struct Live {
    /// Goes up with each change; `None` as annals stops.
    changed: watch::Sender<Option<u64>>,
    listeners: Arc<Semaphore>,
}

impl Default for Live {
    fn default() -> Live {
        let (changed, _) = watch::channel(Some(0));
        Live { changed, listeners: Arc::new(Semaphore::new(LISTENERS)) }
    }
}

impl Live {
    /// Looks for changes for as long as it is run.
    pub async fn look(self: Arc<Live>, watch: Watch) {
        let mut known = watch.now();
        loop {
            tokio::time::sleep(EVERY).await;
            let version = watch.now();
            if version != known {
                known = version;
                self.changed.send_modify(|count| *count = count.map(|count| count + 1));
            }
        }
    }

    /// Ends all listeners, so that annals can stop.
    pub fn end(&self) {
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
    selection: Selection,
    changed: watch::Receiver<Option<u64>>,
    /// What the listener has: hashes of rows.
    known: HashMap<i64, u64>,
    /// What the page had that the listener came from.
    seen: Option<String>,
    _permit: OwnedSemaphorePermit,
}

/// Begins to send what is new in the list that the parameters select. `seen` is the tag of the rows that are known.
pub fn events(
    live: Arc<Live>,
    asked: Asked,
    parameters: &Parameters,
) -> Result<impl Reply + use<>, Refusal> {
    let view = asked?;
    let selection = history::selected(&view, parameters)?;
    let permit = live.listeners.clone().try_acquire_owned().map_err(|_| {
        Refusal::Busy(
            "too many listen for new queries; the page shows them when it is loaded".to_string(),
        )
    })?;
    let mut changed = live.changed.subscribe();
    changed.mark_changed();
    let listener = Listener {
        view,
        selection,
        changed,
        known: HashMap::new(),
        seen: parameters.get("seen").cloned(),
        _permit: permit,
    };
    // A channel, as warp asks for a stream that threads may share, and a read of the store is none.
    let (sender, mut receiver) = mpsc::channel::<Result<Event, Infallible>>(1);
    tokio::spawn(listener.listen(sender));
    let stream = poll_fn(move |context| receiver.poll_recv(context));
    let stream = warp::sse::keep_alive().interval(KEPT_ALIVE).stream(stream);
    Ok(warp::reply::with_header(warp::sse::reply(stream), CACHE_CONTROL, "no-store"))
}

impl Listener {
    /// Sends what is new until the other side has gone, annals stops, or it was long enough.
    async fn listen(mut self, sender: mpsc::Sender<Result<Event, Infallible>>) {
        let end = tokio::time::Instant::now() + LASTS;
        loop {
            tokio::select! {
                changed = self.changed.changed() => if changed.is_err() { return },
                () = sender.closed() => return,
                () = tokio::time::sleep_until(end) => return,
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
    async fn read(&mut self) -> Result<Option<Event>, sqlx::Error> {
        let queries = self.view.records(&self.selection).await?;
        let rows = history::rows(&queries, self.view.zone);
        let hash = |row: &str| xxhash_rust::xxh3::xxh3_64(row.as_bytes());
        let now: HashMap<i64, u64> = rows.iter().map(|(id, row)| (*id, hash(&row.0))).collect();
        if self.seen.take().is_some_and(|seen| seen == history::tag(&rows)) || now == self.known {
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
