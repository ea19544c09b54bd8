//! `/api/v1/findings`: what rules found in the profiles of a period.

use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use crate::domain::profile::FindingsOverview;
use crate::http::answer::Answer;
use crate::http::doris::envelope::{Envelope, success};
use crate::http::error::ApiError;
use crate::http::query_parameters::{ListParameters, Time, read_all};
use crate::http::route::{ReadRequest, Route, RouteKind};

const PATH: &str = "/api/v1/findings";

pub(super) const ROUTE: Route = Route::new(PATH, |to, path| to.get(path, findings))
    .kind(RouteKind::Report)
    .cached()
    .described_by(Description::openapi);

#[derive(OpenApi)]
#[openapi(paths(findings))]
struct Description;

/// Which runs count.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FindingsParameters {
    /// Runs that started at this time or later.
    from: Option<Time>,
    /// Runs that started before this time.
    to: Option<Time>,
}

/// The rules that found something in stored profiles, with the statements that it cost most
///
/// The 10,000 runs with findings whose profiles arrived last are read; `is_cut` says whether there are more.
#[utoipa::path(
    get, path = PATH, params(FindingsParameters), tag = "statements",
    responses((status = 200, body = Envelope<FindingsOverview>))
)]
async fn findings(request: ReadRequest) -> Result<Answer, ApiError> {
    let FindingsParameters { from, to } = read_all(&request.parameters)?;
    let list = ListParameters { from, to, ..ListParameters::default() };
    let times = list.filter(request.view.zone)?.starts();
    let overview = request.view.findings_overview(times).await?;
    success(&overview, overview.rules.len())
}
