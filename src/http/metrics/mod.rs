//! Counts of requests and connections.

mod report;

use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use warp::http::{Method, StatusCode};

use super::cache::Slot;
use super::label;
use crate::store::{Sizes, Store};
pub(super) use report::ROUTE;

/// How long the sizes of a history are kept at least: to count them reads every page of an index.
const SIZES_KEPT: Duration = Duration::from_secs(60);
/// They are kept this many times as long as the counting took: it takes a fiftieth of a core.
const SIZES_KEPT_TIMES: u32 = 50;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: &'static str,
}

/// Counts of requests and connections, and the sizes of the history as they were counted last.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabel, Histogram, fn() -> Histogram>,
    /// The connections that are open.
    pub connections: Gauge,
    /// The requests that are answered by routes at the moment.
    pub in_progress: Gauge,
    sizes: Slot<(Instant, Sizes)>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.0005, 4.0, 8))
            }),
            connections: Gauge::default(),
            in_progress: Gauge::default(),
            sizes: Slot::default(),
        }
    }
}

impl Metrics {
    /// Counts an answer.
    pub(crate) fn answered(&self, method: &Method, path: &str, status: StatusCode, took: Duration) {
        let route = label(path);
        let method = match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::PUT => "PUT",
            _ => "other",
        };
        let labels = RequestLabels { route, method, status: status.as_u16() };
        self.requests.get_or_create(&labels).inc();
        self.seconds.get_or_create(&RouteLabel { route }).observe(took.as_secs_f64());
    }

    /// Returns the sizes of the history, as they were within the last minute, or longer ago if counting takes more than a second.
    /// Errors if the store cannot be read.
    pub(crate) async fn sizes(&self, store: &Store) -> Result<Sizes, crate::store::StoreError> {
        let is_fresh = |(until, _): &(Instant, Sizes)| Instant::now() < *until;
        let load = async {
            let began = Instant::now();
            let sizes = store.sizes().await?;
            let kept = SIZES_KEPT.max(began.elapsed() * SIZES_KEPT_TIMES);
            Ok((Instant::now() + kept, sizes))
        };
        self.sizes.get_or_load(is_fresh, load).await.map(|counted| counted.1)
    }
}
