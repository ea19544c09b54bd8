//! `/api/v1/plans`: what the plans of statements cost, and where the time of their runs goes.

use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use crate::domain::profile::ProfiledStatements;
use crate::http::answer::Answer;
use crate::http::doris::envelope::{Envelope, success};
use crate::http::error::ApiError;
use crate::http::query_parameters::{Count, ListParameters, Time, read_all};
use crate::http::route::{ReadRequest, Route, RouteKind};

const PATH: &str = "/api/v1/plans";

pub(super) const ROUTE: Route = Route::new(PATH, |to, path| to.get(path, plans))
    .kind(RouteKind::Report)
    .cached()
    .described_by(Description::openapi);

#[derive(OpenApi)]
#[openapi(paths(plans))]
struct Description;

/// Which runs count, and which statements are named.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PlanParameters {
    /// Statements; 100 by default.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Count<100>,
    /// Only statements with several plans, the one that lost most time by them first.
    #[serde(default)]
    several: bool,
    /// Runs that started at this time or later.
    from: Option<Time>,
    /// Runs that started before this time.
    to: Option<Time>,
}

/// Statements whose profiles are stored: what each plan costs, and where the time of the runs goes
///
/// The 100,000 runs whose profiles arrived last are read; `is_cut` says whether there are more.
#[utoipa::path(
    get, path = PATH, params(PlanParameters), tag = "statements",
    responses((status = 200, body = Envelope<ProfiledStatements>))
)]
async fn plans(request: ReadRequest) -> Result<Answer, ApiError> {
    let PlanParameters { limit, several, from, to } = read_all(&request.parameters)?;
    let list = ListParameters { limit, from, to, ..ListParameters::default() };
    let filter = list.filter(request.view.zone)?;
    let found = request.view.profiled_statements(filter.starts(), several, filter.limit).await?;
    success(&found, found.statements.len())
}
