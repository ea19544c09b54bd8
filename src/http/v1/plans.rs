//! `/api/v1/plans`: what the plans of statements cost, and where the time of their runs goes.

use utoipa::OpenApi;

use crate::domain::filter::QueryFilter;
use crate::domain::profile::ProfiledStatements;
use crate::http::answer::Answer;
use crate::http::doris::envelope::{Envelope, success};
use crate::http::error::ApiError;
use crate::http::query_parameters::{Count, filter_parameters, read_all};
use crate::http::route::{ReadRequest, Route, RouteKind};

const PATH: &str = "/api/v1/plans";

pub(super) const ROUTE: Route = Route::new(PATH, |to, path| to.get(path, plans))
    .kind(RouteKind::Report)
    .cached()
    .described_by(Description::openapi);

#[derive(OpenApi)]
#[openapi(paths(plans))]
struct Description;

filter_parameters! {
    /// Which runs count, and which statements are named. Without times, those of the whole history; the page shows the last day.
    struct PlanParameters {
        /// Statements; 100 by default.
        #[serde(default)]
        #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
        limit: Count<100>,
        /// Only statements with several plans, the one that lost most time by them first.
        #[serde(default)]
        several: bool,
    }
}

/// Statements whose profiles are stored: what each plan costs, and where the time of the runs goes
///
/// The 100,000 runs whose profiles arrived last are read; `is_cut` says whether there are more.
#[utoipa::path(
    get, path = PATH, params(PlanParameters), tag = "statements",
    responses((status = 200, body = Envelope<ProfiledStatements>))
)]
async fn plans(request: ReadRequest) -> Result<Answer, ApiError> {
    let parameters: PlanParameters = read_all(&request.parameters)?;
    let (limit, several) = (parameters.limit.0, parameters.several);
    let filter = QueryFilter { limit, ..parameters.chosen(request.view.zone)? };
    let found = request.view.profiled_statements(&filter, several).await?;
    success(&found, found.statements.len())
}
