//! `/api/v1/regressions`: the statements that changed.

use utoipa::OpenApi;

use crate::domain::filter::QueryFilter;
use crate::http::answer::Answer;
use crate::http::doris::envelope::{Envelope, success};
use crate::http::error::ApiError;
use crate::http::query_parameters::{BaselineText, ChangeName, Count, filter_parameters, read_all};
use crate::http::route::{ReadRequest, Route, RouteKind};
use crate::store::{ChangeKind, Regressions};

const PATH: &str = "/api/v1/regressions";

pub(super) const ROUTE: Route = Route::new(PATH, |to, path| to.get(path, regressions))
    .kind(RouteKind::Report)
    .cached()
    .described_by(Description::openapi);

#[derive(OpenApi)]
#[openapi(paths(regressions))]
struct Description;

filter_parameters! {
    /// Which statements are compared, and with what. The period begins a day before its end and ends with the history unless
    /// `from` and `to` say otherwise.
    struct RegressionParameters {
        /// Rows; 100 by default.
        #[serde(default)]
        #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
        limit: Count<100>,
        /// What is compared with: how long before, like `7d`, or two times like `2024-08-01..2024-08-02`; `7d` by default. It
        /// ends before the period.
        #[param(
            value_type = Option<String>,
            pattern = r"^([1-9][0-9]{0,2}[hd]|[0-9]{4}-[0-9]{2}-[0-9]{2}\.\.[0-9]{4}-[0-9]{2}-[0-9]{2})$"
        )]
        baseline: Option<BaselineText>,
        /// Only statements that changed in this way. Several values are alternatives: `change=new&change=slower`.
        #[serde(default)]
        #[param(schema_with = ChangeName::schema)]
        change: Vec<ChangeName>,
    }
}

/// Statements that are new, slower, more frequent or failing more than in an earlier period, with confidence and causes
///
/// The statement with most extra time is the first. Statements with too few runs to be sure come after the others.
#[utoipa::path(
    get, path = PATH, params(RegressionParameters), tag = "statements",
    responses((status = 200, body = Envelope<Regressions>))
)]
async fn regressions(request: ReadRequest) -> Result<Answer, ApiError> {
    let mut parameters: RegressionParameters = read_all(&request.parameters)?;
    let (limit, zone) = (parameters.limit.0, request.view.zone);
    let baseline = parameters.baseline.take().map(|text| text.baseline(zone)).transpose()?;
    let changes = std::mem::take(&mut parameters.change);
    let changes: Vec<ChangeKind> = changes.into_iter().map(|ChangeName(kind)| kind).collect();
    let filter = QueryFilter { limit, ..parameters.chosen(zone)? };
    let baseline = baseline.unwrap_or_default();
    let found = request.view.regressions(&filter, baseline, &changes).await?;
    success(&found, found.statements.len())
}
