//! `/api/v1/findings`: what rules found in the profiles of a period.

use utoipa::OpenApi;

use crate::domain::profile::FindingsOverview;
use crate::http::answer::Answer;
use crate::http::doris::envelope::{Envelope, success};
use crate::http::error::ApiError;
use crate::http::query_parameters::{filter_parameters, read_all};
use crate::http::route::{ReadRequest, Route, RouteKind};

const PATH: &str = "/api/v1/findings";

pub(super) const ROUTE: Route = Route::new(PATH, |to, path| to.get(path, findings))
    .kind(RouteKind::Report)
    .cached()
    .described_by(Description::openapi);

#[derive(OpenApi)]
#[openapi(paths(findings))]
struct Description;

filter_parameters! {
    /// Which runs count.
    struct FindingsParameters {}
}

/// The rules that found something in stored profiles, with the statements that it cost most
///
/// The 10,000 runs with findings whose profiles arrived last are read; `is_cut` says whether there are more.
#[utoipa::path(
    get, path = PATH, params(FindingsParameters), tag = "statements",
    responses((status = 200, body = Envelope<FindingsOverview>))
)]
async fn findings(request: ReadRequest) -> Result<Answer, ApiError> {
    let parameters: FindingsParameters = read_all(&request.parameters)?;
    let filter = parameters.chosen(request.view.zone)?;
    let overview = request.view.findings_overview(&filter).await?;
    success(&overview, overview.rules.len())
}
