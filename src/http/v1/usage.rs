//! `/api/v1/usage`: who used the cluster, and `/api/v1/queries/{query_id}/concurrent`: what ran beside a query.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};
use utoipa::openapi::Type;
use utoipa::openapi::schema::{Object, ObjectBuilder};
use utoipa::{IntoParams, OpenApi};

use super::schema::QueryIdText;
use crate::domain::baseline::Baseline;
use crate::domain::filter::QueryFilter;
use crate::http::answer::Answer;
use crate::http::doris::envelope::{Envelope, success};
use crate::http::error::ApiError;
use crate::http::query_ids::{exact_query_id, unknown_query};
use crate::http::query_parameters::{BaselineText, Count, filter_parameters, read_all};
use crate::http::route::{ReadRequest, Route, RouteKind};
use crate::store::{Concurrent, Steps, Usage, UsageOrder};

const PATH: &str = "/api/v1/usage";
const CONCURRENT_PATH: &str = "/api/v1/queries/{query_id}/concurrent";

pub(super) const ROUTE: Route = Route::new(PATH, |to, path| to.get(path, usage))
    .kind(RouteKind::Report)
    .cached()
    .described_by(Description::openapi);
pub(super) const CONCURRENT: Route =
    Route::new(CONCURRENT_PATH, |to, path| to.get(path, concurrent)).kind(RouteKind::Report);

#[derive(OpenApi)]
#[openapi(paths(usage, concurrent))]
struct Description;

filter_parameters! {
    /// Which runs count, and what they are compared with. Unlike elsewhere, `from` and `to` choose what ran between them, whenever
    /// it started. Without `from`, the period begins an hour before its end; without `to`, it ends with the history.
    struct UsageParameters {
        /// Rows of each kind; 20 by default.
        #[serde(default)]
        #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
        limit: Count<20>,
        /// Steps in which concurrency is counted; 60 by default.
        #[serde(default)]
        #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
        steps: Count<60>,
        /// Sort key, largest first; `running_ms` by default.
        #[param(schema_with = Order::schema)]
        order: Option<Order>,
        /// What is compared with: the same period so long before, like `7d`, or two times like `2024-08-01..2024-08-02`; `1d` by
        /// default. If the period is longer, the baseline is the smallest multiple before by which the two do not overlap.
        #[param(
            value_type = Option<String>,
            pattern = r"^([1-9][0-9]{0,2}[hd]|[0-9]{4}-[0-9]{2}-[0-9]{2}\.\.[0-9]{4}-[0-9]{2}-[0-9]{2})$"
        )]
        baseline: Option<BaselineText>,
    }
}

/// What of what ran beside a query is shown.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ConcurrentParameters {
    /// Rows of each kind; 20 by default.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Count<20>,
    /// Whether the runs of all clusters count, and not only those of the query's own.
    all_clusters: Option<bool>,
}

/// The name of the figure by which groups are sorted.
#[derive(Debug, Clone, Copy)]
struct Order(UsageOrder);

impl Order {
    fn schema() -> Object {
        let names = UsageOrder::NAMES.map(|(name, _)| name);
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).build()
    }
}

impl<'de> Deserialize<'de> for Order {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Order, D::Error> {
        let text = String::deserialize(deserializer)?;
        let named = UsageOrder::NAMES.into_iter().find(|(name, _)| *name == text);
        named.map(|(_, order)| Order(order)).ok_or_else(|| {
            let names = UsageOrder::NAMES.map(|(name, _)| name).join(", ");
            let expected = format!("one of {names}");
            D::Error::invalid_value(Unexpected::Str(&text), &expected.as_str())
        })
    }
}

/// Who used the cluster: users, databases, tables, clients, clusters and statements, compared with a baseline
///
/// A run counts if it ran at some moment of the period: also one that started before, up to seven days. Of a run that is only
/// partly in the period, time, CPU time and bytes count by the part of its time that is. At most a million queries that start in
/// the period are read; then `is_cut` is true, and period and baseline end earlier, at `to_ms` and `baseline_to_ms`.
#[utoipa::path(
    get, path = PATH, params(UsageParameters), tag = "statements",
    responses((status = 200, body = Envelope<Usage>))
)]
async fn usage(request: ReadRequest) -> Result<Answer, ApiError> {
    let mut parameters: UsageParameters = read_all(&request.parameters)?;
    let (limit, zone) = (parameters.limit.0, request.view.zone);
    let steps = Steps::Number(parameters.steps.0);
    let Order(order) = parameters.order.unwrap_or(Order(UsageOrder::Running));
    let baseline = parameters.baseline.take().map(|text| text.baseline(zone)).transpose()?;
    let filter = QueryFilter { limit, ..parameters.chosen(zone)? };
    let baseline = baseline.unwrap_or(Baseline::DAY_BEFORE);
    success(request.view.usage(&filter, baseline, (order, steps)).await?, 0)
}

/// What ran while a query ran
///
/// Groups are sorted by CPU time if it is known, or else by time; `queries` has the runs that cost most, the query itself
/// excluded. Of several clusters, only that of the query counts, unless `all_clusters` is true or the query names none; `cluster`
/// is the one that counts, or null. A run counts as in `/api/v1/usage`. At most 250,000 queries that start while the query runs are read; then `is_cut`
/// is true, and `to_ms` is the end of what was read. `data` is null if the start of the query is unknown.
#[utoipa::path(
    get, path = CONCURRENT_PATH, tag = "queries",
    params(("query_id" = QueryIdText, Path, description = "as Doris writes it"), ConcurrentParameters),
    responses((status = 200, body = Envelope<Option<Concurrent>>))
)]
async fn concurrent(request: ReadRequest) -> Result<Answer, ApiError> {
    let query_id = exact_query_id(request.path.get("query_id"))?;
    let ConcurrentParameters { limit, all_clusters } = read_all(&request.parameters)?;
    let query = request.view.record(&query_id).await?;
    let query = query.ok_or_else(|| unknown_query(&query_id))?;
    success(request.view.concurrent(&query, all_clusters.unwrap_or(false), limit.0).await?, 0)
}
