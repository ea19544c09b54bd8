//! The sending end of one listener's connection.

use std::convert::Infallible;

use tokio::sync::mpsc;
use warp::sse::Event;

/// What warp sends as server-sent events.
pub(super) type EventReceiver = mpsc::Receiver<Result<Event, Infallible>>;

pub(super) struct EventSender(mpsc::Sender<Result<Event, Infallible>>);

impl EventSender {
    pub(super) fn channel() -> (EventSender, EventReceiver) {
        let (sender, receiver) = mpsc::channel(1);
        (EventSender(sender), receiver)
    }

    /// Waits until the event is handed to the connection. Returns whether the listener is still there.
    pub(super) async fn send(&self, event: Event) -> bool {
        self.0.send(Ok(event)).await.is_ok()
    }

    /// Waits until the listener is gone.
    pub(super) async fn closed(&self) {
        self.0.closed().await;
    }
}
