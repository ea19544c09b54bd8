//! Bounds of the requests that are answered at the same time, and of the time that each may take.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use prometheus_client::metrics::gauge::Gauge;
use warp::http::Response;
use warp::hyper::body::{Body, Bytes, Frame, SizeHint};

use super::answer::Answer;
use super::client::Client;
use super::error::ApiError;
use super::route::RouteKind;
use super::shares::{Full, Share, Shares};

/// Requests that are answered at the same time, except probes, streams and lists from the cache. With an answer of some
/// hundred KB each, this is a few hundred MB.
const MAX_REQUESTS: usize = 1024;
/// The part of one client: the other half is for everybody else.
const MAX_REQUESTS_EACH: usize = MAX_REQUESTS / 2;

/// Admits requests.
#[derive(Debug)]
pub(super) struct Admission {
    requests: Arc<Shares>,
    /// Counts the admitted requests for the metrics.
    gauge: Gauge,
}

/// A request that was admitted, until it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    _request: Option<Share>,
    gauge: Gauge,
}

impl Admission {
    pub(super) fn new(gauge: Gauge) -> Admission {
        Admission { requests: Shares::new(MAX_REQUESTS, MAX_REQUESTS_EACH), gauge }
    }

    /// Admits a request. Errors if there are too many of its kind.
    pub(super) fn admit(&self, kind: RouteKind, client: Client) -> Result<Admitted, ApiError> {
        let is_counted = !matches!(kind, RouteKind::Probe | RouteKind::Stream);
        let request = is_counted.then(|| self.requests.take(client)).transpose();
        let request = request.map_err(too_many)?;
        self.gauge.inc();
        Ok(Admitted { _request: request, gauge: self.gauge.clone() })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// Returns the error for a request that is one too many.
fn too_many(full: Full) -> ApiError {
    let sentence = match full {
        Full::All => "annals answers as many requests as it can; try again later",
        Full::Client => {
            "too many requests from this address at the same time; wait for their answers"
        }
    };
    ApiError::Busy(sentence.to_string())
}

/// Returns the answer to a request of this kind that took too long.
pub(super) fn too_slow(kind: RouteKind) -> Answer {
    let seconds = kind.time_limit().as_secs();
    let sentence = format!(
        "the answer took longer than {seconds} s; ask for less, such as a shorter range of time"
    );
    ApiError::Busy(sentence).into_answer()
}

/// A body that holds the place of its request until it is sent.
pub(super) struct Held<B> {
    body: Pin<Box<B>>,
    _admitted: Admitted,
}

impl Admitted {
    /// Holds the place until the body of the answer is sent.
    pub(super) fn hold<B>(self, answer: Response<B>) -> Response<Held<B>> {
        answer.map(|body| Held { body: Box::pin(body), _admitted: self })
    }
}

impl<B: Body<Data = Bytes>> Body for Held<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.body.as_mut().poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What came of making an answer.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome<A> {
    Answer(A),
    TooSlow,
    Panicked,
}

/// Makes an answer within a time limit. What is too slow is dropped, which ends it.
pub(super) async fn within<A>(limit: Duration, answer: impl Future<Output = A>) -> Outcome<A> {
    let answer = AssertUnwindSafe(tokio::time::timeout(limit, answer));
    match answer.catch_unwind().await {
        Ok(Ok(answer)) => Outcome::Answer(answer),
        Ok(Err(_)) => Outcome::TooSlow,
        Err(_) => Outcome::Panicked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_made_within_its_time_or_ends() {
        let limit = Duration::from_millis(20);
        let gauge = Gauge::default();
        let admission = Admission::new(gauge.clone());
        let admitted = || admission.admit(RouteKind::Read, Client::UNKNOWN).unwrap();
        let _first = admitted();
        assert_eq!(within(limit, async { 1 }).await, Outcome::Answer(1));
        let slow = admitted();
        let endless = async move {
            let _slow = slow;
            std::future::pending::<i32>().await
        };
        assert_eq!(within(limit, endless).await, Outcome::TooSlow);
        let broken = admitted();
        let panics = async move {
            let _broken = broken;
            panic!("on purpose");
        };
        assert_eq!(within::<i32>(limit, panics).await, Outcome::Panicked);
        assert_eq!(gauge.get(), 1);
        assert_eq!(too_slow(RouteKind::Report).status(), 503);
    }

    #[test]
    fn probes_and_streams_are_admitted_while_a_client_has_its_part() {
        let admission = Admission::new(Gauge::default());
        let admit = |kind| admission.admit(kind, Client::UNKNOWN);
        let _all: Vec<_> =
            (0..MAX_REQUESTS_EACH).map(|_| admit(RouteKind::Read).unwrap()).collect();
        assert!(matches!(admit(RouteKind::Push), Err(ApiError::Busy(_))));
        assert!(admit(RouteKind::Probe).is_ok() && admit(RouteKind::Stream).is_ok());
        let other = Client::of([10, 0, 0, 1].into());
        assert!(admission.admit(RouteKind::Read, other).is_ok());
    }
}
