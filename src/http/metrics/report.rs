//! `/metrics`: figures of annals for Prometheus.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::Metrics;
use crate::http::answer::{Answer, open_metrics};
use crate::http::error::ApiError;
use crate::http::panics;
use crate::http::route::{ReadRequest, Route};
use crate::ingest::Pipeline;
use crate::store::{Sizes, StoreError};

pub(in crate::http) const ROUTE: Route = Route::new("/metrics", |to, path| to.get(path, report));

/// The labels of a source: its name, and its cluster if the configuration names one.
type SourceLabels = Vec<(&'static str, String)>;

/// Answers with all figures, in the text form of OpenMetrics.
async fn report(request: ReadRequest) -> Result<Answer, ApiError> {
    let pipeline = request.view.pipeline_for_all()?;
    let store = request.view.store()?;
    let metrics = request.state.metrics();
    let read = async {
        let sizes = metrics.sizes(store).await?;
        Ok::<_, StoreError>((sizes, request.view.unread_profiles().await?))
    };
    let history = match store.unless_away(read).await {
        Err(_) if store.fault().is_some() => None,
        history => Some(history?),
    };
    let mut registry = Registry::with_prefix("annals");
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    registry.register("build", "The version of annals", Info::new(version));
    if let Some((sizes, unread_profiles)) = &history {
        register_history(&mut registry, sizes, store.log_bytes());
        let unread = "Profiles whose plan is not read yet";
        registry.register("unread_profiles", unread, gauge(*unread_profiles));
    }
    let is_writable = "1 while annals can write to the history, 0 if its file is damaged or not in its place, or if its \
                       database does not answer or writes nothing";
    registry.register("writable", is_writable, gauge(i64::from(store.fault().is_none())));
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
        ("database", "Size of the history's file or database", sizes.file_bytes),
        (
            "database_log",
            "Size of the history's write-ahead log",
            i64::try_from(log_bytes).unwrap_or(i64::MAX),
        ),
        ("profile_stored", "Size of all profiles, compressed", sizes.profile_bytes),
        ("profile_text", "Size of all profiles, uncompressed", sizes.profile_text_bytes),
    ] {
        registry.register_with_unit(name, help, Unit::Bytes, gauge(value));
    }
}

fn register_writer(registry: &mut Registry, pipeline: &Pipeline) {
    registry.register_with_unit(
        "commit",
        "Time from the start of a transaction to its commit",
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
        "young_queries_pruned",
        "Queries removed for the size of the history within a minute of their arrival",
        counter(pruned.young_queries),
    );
    registry.register(
        "retention_failing",
        "1 while the history is beyond a bound and cannot be brought within it",
        gauge(i64::from(pruned.is_failing)),
    );
    registry.register_with_unit(
        "clock_off",
        "How far the system clock is ahead of the time by which ages count, or behind it",
        Unit::Seconds,
        gauge(pruned.clock_off_ms / 1000),
    );
    registry.register(
        "profiles_pruned",
        "Profiles removed while their queries stay",
        counter(pruned.profiles),
    );
}

fn register_requests(registry: &mut Registry, metrics: &Metrics) {
    registry.register("connections", "Open connections", metrics.connections.clone());
    let in_progress = metrics.in_progress.clone();
    registry.register("http_requests_in_progress", "Requests being answered", in_progress);
    registry.register("panics", "Tasks that ended by a fault in annals", counter(panics::count()));
    registry.register("http_requests", "Requests answered", metrics.requests.clone());
    registry.register_with_unit(
        "http_request",
        "Time from a request's headers to its answer's headers",
        Unit::Seconds,
        metrics.seconds.clone(),
    );
}

fn register_sources(registry: &mut Registry, pipeline: &Pipeline) {
    let records = Family::<SourceLabels, Counter>::default();
    let profiles = Family::<SourceLabels, Counter>::default();
    let lag = Family::<SourceLabels, Gauge>::default();
    let last_success = Family::<SourceLabels, Gauge>::default();
    let last_error = Family::<SourceLabels, Gauge>::default();
    let newest_row = Family::<SourceLabels, Gauge>::default();
    let row_delay = Family::<SourceLabels, Gauge>::default();
    let rows_left = Family::<SourceLabels, Gauge>::default();
    for (source, report) in pipeline.report() {
        let cluster = report.cluster.map(|cluster| ("cluster", cluster));
        let label: SourceLabels = std::iter::once(("source", source)).chain(cluster).collect();
        for (outcome, count) in [
            ("new", report.records_new),
            ("merged", report.records_merged),
            ("unchanged", report.records_unchanged),
            ("excluded", report.excluded),
            ("rejected", report.rejected.values().sum()),
        ] {
            let mut label = label.clone();
            label.push(("outcome", outcome.to_string()));
            records.get_or_create(&label).inc_by(count);
        }
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
        let Some(table) = report.audit_table else { continue };
        if let Some(ms) = table.newest_ms {
            newest_row.get_or_create(&label).set(ms / 1000);
        }
        if let Some(ms) = table.late_ms {
            row_delay.get_or_create(&label).set(ms / 1000);
        }
        if let Some(rows) = table.backfill_rows_left {
            rows_left.get_or_create(&label).set(i64::try_from(rows).unwrap_or(i64::MAX));
        }
    }
    registry.register("records", "Records received, by source and outcome", records);
    registry.register("profiles_stored", "Profiles stored, by source", profiles);
    registry.register(
        "lag",
        "What a source has not read yet: bytes of a followed log, profiles of a frontend, rows of an audit table",
        lag,
    );
    let success = "Time of the last success of a source";
    registry.register_with_unit("last_success_timestamp", success, Unit::Seconds, last_success);
    let error = "Time of the last error of a source";
    registry.register_with_unit("last_error_timestamp", error, Unit::Seconds, last_error);
    register_audit_tables(registry, newest_row, row_delay, rows_left);
}

fn register_audit_tables(
    registry: &mut Registry,
    newest_row: Family<SourceLabels, Gauge>,
    row_delay: Family<SourceLabels, Gauge>,
    rows_left: Family<SourceLabels, Gauge>,
) {
    let newest = "Start of the newest row of an audit table, to the minute";
    registry.register_with_unit("audit_table_newest", newest, Unit::Seconds, newest_row);
    let delay =
        "Longest time from the end of a query to its row in an audit table, of the last day";
    registry.register_with_unit("audit_table_delay", delay, Unit::Seconds, row_delay);
    let left = "Older rows of an audit table that are not read yet";
    registry.register("audit_table_backfill_rows_left", left, rows_left);
}
