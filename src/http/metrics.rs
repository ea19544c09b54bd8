//! `/metrics`: figures of annals for Prometheus.

use std::sync::{LazyLock, Mutex, PoisonError};
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

use super::all_routes;
use super::envelope::{Answer, ApiError, open_metrics};
use super::route::{ReadRequest, Route};
use crate::ingest::Pipeline;
use crate::store::{Sizes, Store};

pub(super) const ROUTE: Route = Route::new("/metrics", |to, path| to.get(path, report));

/// The labels of pages, which no route of this module answers.
const PAGES: [&str; 7] =
    ["/query_profile", "/statements", "/status", "/events", "/login", "/logout", "/assets"];
/// How long the sizes of a history are kept: to count them reads every page of an index.
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
struct SourceLabel {
    source: String,
}

/// Counts of requests and connections, and the sizes of the history as they were counted last.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabel, Histogram, fn() -> Histogram>,
    /// The connections that are open.
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

    /// Returns the sizes of the history, as they were within the last minute. Errors if the store cannot be read.
    pub(crate) async fn sizes(&self, store: &Store) -> Result<Sizes, sqlx::Error> {
        let kept = *self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((counted, sizes)) = kept
            && counted.elapsed() < SIZES_KEPT
        {
            return Ok(sizes);
        }
        let sizes = store.sizes().await?;
        let mut kept = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some((Instant::now(), sizes));
        Ok(sizes)
    }
}

/// Returns the label of a path. The number of labels is bounded, whatever paths clients ask for.
pub(super) fn label(path: &str) -> &'static str {
    // The longest label first: `/api/profile/text` is no part of `/api/profile`.
    static ROUTES: LazyLock<Vec<&Route>> = LazyLock::new(|| {
        let mut routes: Vec<_> = all_routes().collect();
        routes.sort_by_key(|route| std::cmp::Reverse(route.label().len()));
        routes
    });
    if path == "/" {
        return "/";
    }
    let is_below = |page: &&str| {
        path.strip_prefix(*page).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let page = || PAGES.into_iter().find(is_below);
    let route = ROUTES.iter().find(|route| route.counts(path)).map(|route| route.label());
    route.or_else(page).unwrap_or("other")
}

/// Answers with all figures, in the text form of OpenMetrics.
async fn report(request: ReadRequest) -> Result<Answer, ApiError> {
    let pipeline = request.view.pipeline_for_all()?;
    let store = request.view.store()?;
    let metrics = request.state.metrics();
    let sizes = metrics.sizes(store).await?;
    let mut registry = Registry::with_prefix("annals");
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    registry.register("build", "The version of annals", Info::new(version));
    register_history(&mut registry, &sizes, store.log_bytes());
    register_writer(&mut registry, pipeline);
    register_requests(&mut registry, metrics);
    register_sources(&mut registry, pipeline);
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| ApiError::Internal(error.into()))?;
    Ok(open_metrics(text))
}

fn gauge(value: i64) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(value);
    gauge
}

fn counter(value: u64) -> Counter {
    let counter = Counter::default();
    counter.inc_by(value);
    counter
}

fn register_history(registry: &mut Registry, sizes: &Sizes, log_bytes: u64) {
    registry.register("queries", "Queries and loads in the history", gauge(sizes.queries));
    registry.register("profiles", "Profiles in the history", gauge(sizes.profiles));
    for (name, help, value) in [
        ("database", "Size of the history's file", sizes.file_bytes),
        (
            "database_log",
            "Size of its write-ahead log",
            i64::try_from(log_bytes).unwrap_or(i64::MAX),
        ),
        ("profile_stored", "Profiles as they are stored", sizes.profile_bytes),
        ("profile_text", "Profiles as texts", sizes.profile_text_bytes),
    ] {
        registry.register_with_unit(name, help, Unit::Bytes, gauge(value));
    }
}

fn register_writer(registry: &mut Registry, pipeline: &Pipeline) {
    registry.register_with_unit(
        "commit",
        "Time from the begin of a transaction to its commit",
        Unit::Seconds,
        pipeline.commit_seconds(),
    );
    registry.register(
        "write_queue",
        "Batches in the queue of the writer",
        gauge(pipeline.queued()),
    );
    let pruned = pipeline.pruned();
    registry.register(
        "queries_pruned",
        "Queries removed for their age or the size of the history",
        counter(pruned.queries),
    );
    registry.register(
        "profiles_pruned",
        "Profiles removed while their queries stay",
        counter(pruned.profiles),
    );
}

fn register_requests(registry: &mut Registry, metrics: &Metrics) {
    registry.register("connections", "Open connections", metrics.connections.clone());
    registry.register("http_requests", "Requests answered", metrics.requests.clone());
    registry.register_with_unit(
        "http_request",
        "Time from the head of a request to the head of its answer",
        Unit::Seconds,
        metrics.seconds.clone(),
    );
}

fn register_sources(registry: &mut Registry, pipeline: &Pipeline) {
    let records = Family::<RecordLabels, Counter>::default();
    let profiles = Family::<SourceLabel, Counter>::default();
    let lag = Family::<SourceLabel, Gauge>::default();
    let last_success = Family::<SourceLabel, Gauge>::default();
    let last_error = Family::<SourceLabel, Gauge>::default();
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
        let label = SourceLabel { source };
        profiles.get_or_create(&label).inc_by(report.profiles);
        if let Some(waiting) = report.lag {
            lag.get_or_create(&label).set(i64::try_from(waiting).unwrap_or(i64::MAX));
        }
        if let Some(ms) = report.last_success_ms {
            last_success.get_or_create(&label).set(ms / 1000);
        }
        if let Some(ms) = report.last_error_ms {
            last_error.get_or_create(&label).set(ms / 1000);
        }
    }
    registry.register("records", "Records received, by source and outcome", records);
    registry.register("profiles_taken", "Profiles stored, by source", profiles);
    registry.register(
        "lag",
        "What a source has not read yet: bytes of a followed log, profiles of a frontend",
        lag,
    );
    let success = "Time of the last success of a source";
    registry.register_with_unit("last_success_timestamp", success, Unit::Seconds, last_success);
    let error = "Time of the last error of a source";
    registry.register_with_unit("last_error_timestamp", error, Unit::Seconds, last_error);
}
