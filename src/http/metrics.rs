//! `/metrics`: how annals fares, for Prometheus.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use warp::http::{Method, StatusCode};

use super::View;
use crate::http::envelope::{Answer, ApiError, open_metrics};
use crate::store::{Sizes, Store};

/// The sizes of a history are counted anew after so long: that reads every page of an index.
const SIZES_KEPT: Duration = Duration::from_secs(60);

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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RecordLabels {
    source: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WayLabel {
    source: String,
}

/// What is counted of requests and connections, and what was counted of the history last.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabel, Histogram, fn() -> Histogram>,
    /// Connections that are open.
    pub connections: Gauge,
    sizes: Mutex<Option<(Instant, Sizes)>>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.0005, 4.0, 8))
            }),
            connections: Gauge::default(),
            sizes: Mutex::default(),
        }
    }
}

impl Metrics {
    /// Counts an answer.
    pub(crate) fn answered(&self, method: &Method, path: &str, status: StatusCode, took: Duration) {
        let route = route(path);
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

    /// How much the history holds, as it was counted within the last minute.
    pub(crate) async fn sizes(&self, store: &Store) -> Result<Sizes, crate::store::StoreError> {
        let kept = *self.sizes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((counted, sizes)) = kept
            && counted.elapsed() < SIZES_KEPT
        {
            return Ok(sizes);
        }
        let sizes = store.sizes().await?;
        let mut kept = self.sizes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *kept = Some((Instant::now(), sizes));
        Ok(sizes)
    }
}

fn from(value: i64) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(value);
    gauge
}

/// The route of a path, of which there is a bounded number.
fn route(path: &str) -> &'static str {
    const ROUTES: [&str; 34] = [
        "/query_profile",
        "/statements",
        "/status",
        "/events",
        "/login",
        "/logout",
        "/assets",
        "/rest/v1/login",
        "/rest/v1/logout",
        "/rest/v1/session",
        "/rest/v1/query_profile",
        "/rest/v2/manager/query/query_info",
        "/rest/v2/manager/query/current_queries",
        "/rest/v2/manager/query/sql",
        "/rest/v2/manager/query/profile/text",
        "/rest/v2/manager/query/profile/json",
        "/rest/v2/manager/query/profile/fragments",
        "/rest/v2/manager/query/profile/graph",
        "/rest/v2/manager/query/trace_id",
        "/rest/v2/manager/query/statistics",
        "/rest/v2/manager/query/qerror",
        "/rest/v2/manager/query/kill",
        "/api/query_detail",
        "/api/v2/query_detail",
        "/api/bootstrap",
        "/api/health",
        "/api/profile/text",
        "/api/profile",
        "/api/v1/openapi.json",
        "/api/v1/statements",
        "/api/v1/status",
        "/api/v1/timeline",
        "/api/v1/queries",
        "/metrics",
    ];
    if path.starts_with("/api/") && path.ends_with("/_stream_load") {
        return "/api/{db}/{table}/_stream_load";
    }
    if path == "/" {
        return "/";
    }
    let known = ROUTES.into_iter().find(|route| {
        path.strip_prefix(route).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    known.unwrap_or("other")
}

/// Everything that is counted, in the text form of OpenMetrics.
pub(super) async fn report(view: &View, metrics: &Metrics) -> Result<Answer, ApiError> {
    let pipeline = view.pipeline_for_all()?;
    let sizes = metrics.sizes(view.store()?).await?;
    let mut registry = Registry::with_prefix("annals");
    registry.register(
        "build",
        "The version of annals",
        Info::new([("version", env!("CARGO_PKG_VERSION"))]),
    );
    registry.register("queries", "Queries and loads in the history", from(sizes.queries));
    registry.register("profiles", "Profiles in the history", from(sizes.profiles));
    let bytes = |registry: &mut Registry, name, help, value| {
        registry.register_with_unit(name, help, Unit::Bytes, from(value));
    };
    bytes(&mut registry, "database", "Size of the history's file", sizes.file_bytes);
    bytes(
        &mut registry,
        "database_log",
        "Size of its write-ahead log",
        i64::try_from(view.store()?.log_bytes()).unwrap_or(i64::MAX),
    );
    bytes(&mut registry, "profile_stored", "Profiles as they are stored", sizes.profile_bytes);
    bytes(&mut registry, "profile_text", "Profiles as texts", sizes.profile_text_bytes);
    registry.register_with_unit(
        "commit",
        "Time from the begin of a transaction to its commit",
        Unit::Seconds,
        pipeline.commit_seconds(),
    );
    registry.register("write_queue", "Batches that wait for the writer", from(pipeline.queued()));
    let pruned = pipeline.pruned();
    let count = |value: u64| {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        counter
    };
    registry.register(
        "queries_pruned",
        "Queries removed for their age or the size of the history",
        count(pruned.queries),
    );
    registry.register(
        "profiles_pruned",
        "Profiles removed while their queries stay",
        count(pruned.profiles),
    );
    registry.register("connections", "Connections that are open", metrics.connections.clone());
    registry.register("http_requests", "Requests answered", metrics.requests.clone());
    registry.register_with_unit(
        "http_request",
        "Time from the head of a request to the head of its answer",
        Unit::Seconds,
        metrics.seconds.clone(),
    );
    let records = Family::<RecordLabels, Counter>::default();
    let profiles = Family::<WayLabel, Counter>::default();
    let behind = Family::<WayLabel, Gauge>::default();
    let last_success = Family::<WayLabel, Gauge>::default();
    let last_error = Family::<WayLabel, Gauge>::default();
    for (source, report) in pipeline.report() {
        for (outcome, count) in [
            ("new", report.records_new),
            ("merged", report.records_merged),
            ("unchanged", report.records_unchanged),
            ("excluded", report.excluded),
            ("rejected", report.rejected.values().sum()),
        ] {
            records.get_or_create(&RecordLabels { source: source.clone(), outcome }).inc_by(count);
        }
        let label = WayLabel { source };
        profiles.get_or_create(&label).inc_by(report.profiles);
        if let Some(waiting) = report.lag {
            behind.get_or_create(&label).set(i64::try_from(waiting).unwrap_or(i64::MAX));
        }
        if let Some(ms) = report.last_success_ms {
            last_success.get_or_create(&label).set(ms / 1000);
        }
        if let Some(ms) = report.last_error_ms {
            last_error.get_or_create(&label).set(ms / 1000);
        }
    }
    registry.register("records", "Records taken in, by source in and outcome", records);
    registry.register("profiles_taken", "Profiles taken in, by source in", profiles);
    registry.register(
        "lag",
        "What waits to be taken in: bytes of a followed log, profiles of a frontend",
        behind,
    );
    let seconds = Unit::Seconds;
    registry.register_with_unit(
        "last_success_timestamp",
        "When a source in worked last",
        seconds.clone(),
        last_success,
    );
    registry.register_with_unit(
        "last_error_timestamp", "When a source in failed last", seconds, last_error,
    );
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| ApiError::Internal(error.into()))?;
    Ok(open_metrics(text))
}
