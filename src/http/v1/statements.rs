//! `/api/v1/statements`: statements without their literals, with what their queries cost together.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};
use utoipa::OpenApi;
use utoipa::openapi::Type;
use utoipa::openapi::schema::{Object, ObjectBuilder};

use crate::domain::filter::QueryFilter;
use crate::domain::profile::StatementPlans;
use crate::domain::statement::{Fingerprint, InvalidFingerprint};
use crate::http::answer::Answer;
use crate::http::doris::envelope::{Envelope, success};
use crate::http::error::ApiError;
use crate::http::query_parameters::{Count, filter_parameters, read_all, set_incomplete};
use crate::http::route::{ReadRequest, Route, RouteKind};
use crate::store::{Bound, PlanRuns, StatementOrder, StatementStatistics};

const PATH: &str = "/api/v1/statements";

pub(super) const ROUTE: Route = Route::new(PATH, |to, path| to.get(path, statements))
    .kind(RouteKind::Report)
    .cached()
    .described_by(Description::openapi);

const PLANS_PATH: &str = "/api/v1/statements/{fingerprint}/plans";

pub(super) const PLANS: Route =
    Route::new(PLANS_PATH, |to, path| to.get(path, plans)).kind(RouteKind::Report).cached();

#[derive(OpenApi)]
#[openapi(paths(statements, plans))]
struct Description;

filter_parameters! {
    /// Which queries count, and which of their statements are shown. Without times, those of the whole history; the page shows the
    /// last day.
    struct StatementParameters {
        /// Rows; 100 by default.
        #[serde(default)]
        #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
        limit: Count<100>,
        /// Sort key, largest first; `total_ms` by default.
        #[param(schema_with = Order::schema)]
        order: Option<Order>,
    }
}

filter_parameters! {
    /// Which runs count. Without times, those of the whole history. `fingerprint` changes nothing: the path names the statement.
    struct PlanParameters {}
}

/// The name of the figure by which statements are sorted.
#[derive(Debug, Clone, Copy)]
struct Order(StatementOrder);

impl Order {
    fn schema() -> Object {
        let names = StatementOrder::NAMES.map(|(name, _)| name);
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).build()
    }
}

impl<'de> Deserialize<'de> for Order {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Order, D::Error> {
        let text = String::deserialize(deserializer)?;
        let named = StatementOrder::NAMES.into_iter().find(|(name, _)| *name == text);
        named.map(|(_, order)| Order(order)).ok_or_else(|| {
            let names = StatementOrder::NAMES.map(|(name, _)| name).join(", ");
            let expected = format!("one of {names}");
            D::Error::invalid_value(Unexpected::Str(&text), &expected.as_str())
        })
    }
}

/// Statements by fingerprint, with counts and percentiles of time
#[utoipa::path(
    get, path = PATH, params(StatementParameters), tag = "statements",
    responses((status = 200, body = Envelope<Vec<StatementStatistics>>))
)]
async fn statements(request: ReadRequest) -> Result<Answer, ApiError> {
    let parameters: StatementParameters = read_all(&request.parameters)?;
    let Order(order) = parameters.order.unwrap_or(Order(StatementOrder::Total));
    let limit = parameters.limit.0;
    let filter = QueryFilter { limit, ..parameters.chosen(request.view.zone)? };
    let page = request.view.statements(&filter, order).await?;
    let mut answer = success(&page.statements, page.statements.len())?;
    if page.is_incomplete {
        set_incomplete(&mut answer, Bound::Bytes);
    }
    Ok(answer)
}

/// The plans of a statement, and when the plan changed
///
/// The runs that count have a start and a stored profile with operators. The newest 10,000 are read; `is_cut` says whether
/// there are older ones. A statement that nobody ran has no plans.
#[utoipa::path(
    get, path = PLANS_PATH, tag = "statements",
    params(("fingerprint" = String, Path, pattern = "^[0-9a-f]{16}$", description = "of the statement"), PlanParameters),
    responses((status = 200, body = Envelope<StatementPlans>))
)]
async fn plans(request: ReadRequest) -> Result<Answer, ApiError> {
    let fingerprint: Fingerprint = request
        .path
        .get("fingerprint")
        .parse()
        .map_err(|error: InvalidFingerprint| ApiError::BadRequest(error.to_string()))?;
    let parameters: PlanParameters = read_all(&request.parameters)?;
    let chosen = parameters.chosen(request.view.zone)?;
    let filter = QueryFilter { fingerprint: Some(fingerprint), ..chosen };
    let PlanRuns { runs, is_cut, unread_profiles } = request.view.plan_runs(&filter).await?;
    success(StatementPlans { unread_profiles, ..StatementPlans::of(&runs, is_cut) }, 0)
}
